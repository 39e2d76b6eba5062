# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What an upgrade changes, and which way leads back."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.chainops.infra.plugins.filter.execution_endpoints import execution_endpoints
from ansible_collections.chainops.infra.plugins.filter.upgrade_plan import upgrade_plan
from ansible_collections.chainops.infra.plugins.filter.upgrade_way_back import upgrade_way_back

HERE = {"geth": "1.17.6", "prysm": "6.0.4"}
DIRS = {"geth": "/var/lib/geth", "prysm": "/var/lib/prysm/", "lighthouse": "/var/lib/lighthouse"}
RELEASES = {
    "geth": {"1.17.8": {"rollback_to": ["1.17.6"]}, "2.0.0": {"rollback_to": []}, "3.0.0": {}},
    "prysm": {"7.0.0": {"rollback_to": []}, "6.0.5": {"rollback_to": ["6.0.4"]}},
    "lighthouse": {"9.0.0": {}},
}


def test_a_pair_at_the_version_is_left_alone():
    plan = upgrade_plan(HERE, HERE)
    assert not plan["needed"]
    assert plan["steps"] == []


def test_only_clients_that_differ_are_steps():
    plan = upgrade_plan(HERE, {"geth": "1.17.8", "prysm": "6.0.4"})
    assert plan["steps"] == [{"client": "geth", "from": "1.17.6", "to": "1.17.8"}]
    assert plan["text"] == "geth 1.17.6 to 1.17.8"
    assert (plan["needed"], plan["resumed"], plan["drained_by_other"]) == (True, False, False)


def test_a_client_that_is_not_there_is_missing_and_no_step():
    plan = upgrade_plan({}, {"geth": "1.17.8"})
    assert (plan["missing"], plan["steps"]) == (["geth"], [])


def test_an_upgrade_cut_short_goes_on_and_remembers_where_it_came_from():
    first = upgrade_plan(HERE, {"geth": "1.17.8", "prysm": "6.0.5"})
    drain = {"who": "rolling_upgrade", "reason": first["text"], "since": 1.0}
    resumed = upgrade_plan({"geth": "1.17.8", "prysm": "6.0.4"}, {"geth": "1.17.8", "prysm": "6.0.5"}, drain)
    assert resumed["resumed"]
    assert resumed["steps"] == first["steps"]


def test_a_pair_left_drained_at_the_version_is_taken_up_again():
    drain = {"who": "rolling_upgrade", "reason": "nothing to change", "since": 1.0}
    assert upgrade_plan(HERE, HERE, drain)["needed"]


def test_somebody_elses_drain_is_his():
    plan = upgrade_plan(HERE, {"geth": "1.17.8"}, {"who": "alice", "reason": "geth 1.0.0 to 2.0.0", "since": 1.0})
    assert (plan["drained_by_other"], plan["resumed"]) == (True, False)
    assert plan["steps"][0]["from"] == "1.17.6"


@pytest.mark.parametrize("bad", [None, "1.17.6", []])
def test_a_plan_needs_dictionaries(bad):
    with pytest.raises(AnsibleFilterError, match="two dictionaries"):
        upgrade_plan(bad, {})


def test_what_the_release_data_allows_goes_back():
    steps = upgrade_plan(HERE, {"geth": "1.17.8"})["steps"]
    back = upgrade_way_back(steps, {"current": {"geth": "1.17.8"}}, RELEASES, DIRS)
    assert back == {"roll_back": [{"client": "geth", "version": "1.17.6"}], "stuck": [], "resync": []}


def test_what_was_not_reached_does_not_go_back():
    steps = upgrade_plan(HERE, {"geth": "1.17.8", "prysm": "7.0.0"})["steps"]
    back = upgrade_way_back(steps, {"current": {"geth": "1.17.8", "prysm": "6.0.4"}}, RELEASES, DIRS)
    assert [each["client"] for each in back["roll_back"]] == ["geth"]
    assert back["stuck"] == []
    assert upgrade_way_back(steps, {"current": HERE}, RELEASES, DIRS) == {"roll_back": [], "stuck": [], "resync": []}


@pytest.mark.parametrize("version", ["2.0.0", "3.0.0", "4.0.0"])
def test_without_the_datas_word_there_is_no_way_back(version):
    steps = upgrade_plan(HERE, {"geth": version})["steps"]
    back = upgrade_way_back(steps, {"current": {"geth": version}}, RELEASES, DIRS)
    assert back["roll_back"] == []
    assert f"geth_releases['{version}'].rollback_to does not name 1.17.6" in back["stuck"][0]
    assert back["resync"] == ["systemctl stop geth && rm -r /var/lib/geth/geth/chaindata && systemctl start geth"]


def test_a_version_that_was_never_started_has_not_touched_the_database():
    steps = upgrade_plan(HERE, {"geth": "2.0.0"})["steps"]
    now = {"current": {"geth": "2.0.0"}, "running": {"geth": "1.17.6"}}
    assert upgrade_way_back(steps, now, RELEASES, DIRS)["roll_back"] == [{"client": "geth", "version": "1.17.6"}]


def test_a_pair_goes_back_as_a_whole_or_not_at_all():
    steps = upgrade_plan(HERE, {"geth": "1.17.8", "prysm": "7.0.0"})["steps"]
    back = upgrade_way_back(steps, {"current": {"geth": "1.17.8", "prysm": "7.0.0"}}, RELEASES, DIRS)
    assert back["roll_back"] == []
    assert back["resync"] == ["systemctl stop prysm && rm -r /var/lib/prysm/beaconchaindata && systemctl start prysm"]


def test_data_that_has_not_the_form_is_said_to_be_so():
    with pytest.raises(AnsibleFilterError, match="upgrade_way_back"):
        upgrade_way_back([{"client": "geth", "from": "1", "to": "2"}], {"current": {"geth": "2"}}, {}, DIRS)


def test_endpoints_are_at_service_addresses():
    hostvars = {
        "a": {"ansible_host": "10.0.0.1"},
        "b": {"ansible_host": "10.0.0.2", "site_address": "fd00::2", "geth_http_port": 9545},
        "c": {},
    }
    assert [each["execution_url"] for each in execution_endpoints(["a", "b", "c"], hostvars)] == [
        "http://10.0.0.1:8545",
        "http://[fd00::2]:9545",
        "http://c:8545",
    ]
