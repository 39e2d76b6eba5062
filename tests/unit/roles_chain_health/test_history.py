# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The daemon's memory of the last hours: bounded, the worst of each point, nothing made up."""

from __future__ import annotations

import json

from ansible_collections.chainops.infra.plugins.module_utils.chain_daemon.history import History


def test_samples_of_one_point_leave_the_worst_of_it():
    history = History()
    for wall, age, lag, up in ((100.0, 1.0, 0, True), (103.0, 7.5, 2, False), (109.9, 2.0, None, True)):
        history.note(wall, age, lag, up)
    assert history.points() == [(100.0, 7.5, 2.0, False)]


def test_what_was_not_known_is_null_and_a_later_sample_fills_it():
    history = History()
    history.note(10.0, None, None, False)
    assert history.points() == [(10.0, None, None, False)]
    history.note(11.0, 3.0, None, True)
    assert history.points() == [(10.0, 3.0, None, False)]


def test_the_oldest_goes_when_the_ring_is_full():
    history = History(points=5)
    for number in range(12):
        history.note(number * 10.0, float(number), number, True)
    assert [at for at, *_rest in history.points()] == [70.0, 80.0, 90.0, 100.0, 110.0]


def test_an_empty_history_is_an_answer():
    assert json.loads(History().json())["points"] == []


def test_two_hours_are_less_than_an_answer_may_be():
    history = History()
    for number in range(2000):
        history.note(1.8e9 + number * 10, 1234.56, 12345, True)
    page = history.json()
    assert len(json.loads(page)["points"]) == 720
    assert len(page) < 32_000


def test_the_daemon_tells_its_history(start):
    daemon = start()
    daemon.until_up()
    status, body = daemon.http("GET", "/history")
    page = json.loads(body)
    assert status == 200
    assert page["fields"] == ["at", "age_seconds", "lag_blocks", "in_service"]
    assert page["points"][-1][1] < 60
