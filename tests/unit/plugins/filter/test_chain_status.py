# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The site's report: what is told is shown, what is not known is said so, and nothing a client says becomes markup."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from ansible_collections.chainops.infra.plugins.filter.chain_peers_table import chain_peers_table
from ansible_collections.chainops.infra.plugins.filter.chain_status_page import chain_status_page
from ansible_collections.chainops.infra.plugins.filter.chain_status_table import chain_status_table
from ansible_collections.chainops.infra.plugins.plugin_utils.chain_status import chart
from ansible_collections.chainops.infra.plugins.plugin_utils.chain_status.model import short_hashes, short_version

NOW = 1_800_000_000.0
EVIL = "<script>alert('x')</script>\"&\x1b[2J"


def answer(**changes):
    status = {
        "drain": None,
        "reasons": [],
        "obstacle": "",
        "lag_blocks": 0,
        "policy": {"slot_seconds": 2.0, "max_age_slots": 6},
        "execution": {
            "version": "Geth/v1.17.6-stable/linux-amd64/go1.26.8",
            "peers": 3,
            "latest": {"number": 258, "age_seconds": 1.234},
        },
        "consensus": {"version": "Prysm/v6.0.4 (linux amd64)", "peers": 5},
        "disks": [{"path": "/var/lib/geth", "free_bytes": 1_900_000_000, "min_free_bytes": 400_000_000}],
    }
    history = {"point_seconds": 10.0, "points": [[NOW - 20, 1.0, 0, 1], [NOW - 10, None, None, 0], [NOW, 3.0, 1, 1]]}
    return {
        "in_service": True,
        "verdict": "healthy",
        "reason": "healthy",
        "status": status | changes,
        "history": history,
    }


def site(**pairs):
    return {
        name: {"site_role": role, "site_region": "east"} | ({} if found is None else {"pair": found})
        for name, (role, found) in pairs.items()
    }


def table(hostvars):
    return chain_status_table(list(hostvars), hostvars, "pair")


def page(hostvars):
    return chain_status_page(list(hostvars), hostvars, "pair", NOW)


SITE = site(
    ref=("reference", answer()),
    a=("primary", answer()),
    b=("standby", answer(drain={"who": "alice", "reason": "new disk", "since": NOW - 60}) | {"in_service": False}),
    c=("standby", {"unreachable": True, "msg": "Failed to connect\nto the host via ssh"}),
    d=("standby", {"failed": True, "msg": "the module broke"}),
    e=("standby", {"in_service": False, "verdict": "unknown", "reason": "chain_health does not answer", "status": {}}),
    f=("standby", None),
)


def test_columns_are_aligned_and_primaries_come_first():
    lines = table(SITE)
    names = [line.split()[0] for line in lines if not line.startswith(" ")]
    assert names == ["PAIR", "a", "b", "c", "d", "e", "f", "ref", "1"]
    column = lines[0].index("VERDICT")
    assert lines[1][column:].startswith("healthy")
    assert "Geth 1.17.6" in lines[1]
    assert "Prysm 6.0.4" in lines[1]
    assert "3/5" in lines[1]
    assert "1.9 GB" in lines[1]


def test_what_is_wrong_stands_below():
    text = "\n".join(table(SITE))
    assert "    drained by alice since 2027-01-15 07:59:00 UTC: new disk" in text
    assert "    the host is not reached by ssh: Failed to connect to the host via ssh" in text
    assert "    it could not be asked: the module broke" in text
    assert "    chain_health does not answer" in text
    assert text.endswith("1 of 6 pairs in service; not reached: c, d, f")


def test_an_empty_site_is_no_error():
    assert table({})[-1] == "0 of 0 pairs in service"
    assert "0 of 0 pairs in service" in page({})


def test_a_client_cannot_move_the_cursor():
    hostvars = site(a=("primary", answer(obstacle=EVIL)))
    assert all(line.isprintable() for line in table(hostvars))


class Reader(HTMLParser):
    """Tags and attributes of a page, and whether every tag is closed."""

    VOID = {"meta", "rect", "line", "circle", "polyline"}

    def __init__(self):
        super().__init__()
        self.tags, self.attributes, self.open = [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def read(text):
    reader = Reader()
    reader.feed(text)
    assert reader.open == []
    return reader


def test_the_page_is_whole_and_needs_nothing_else():
    reader = read(page(SITE))
    assert reader.tags.count("svg") == 2 * 3
    assert not {"script", "link", "img", "iframe", "object"} & set(reader.tags)
    assert not {"src", "href", "onload", "onclick"} & {name for name, _value in reader.attributes}
    assert "url(" not in page(SITE)
    assert "prefers-color-scheme: dark" in page(SITE)


@pytest.mark.parametrize("where", ["version", "obstacle", "finding", "drain", "disk", "policy", "name", "msg"])
def test_whatever_a_client_says_stays_text(where):
    told = {
        "version": answer(execution={"version": EVIL}),
        "obstacle": answer(obstacle=EVIL),
        "finding": answer(reasons=[{"text": EVIL}]),
        "drain": answer(drain={"who": EVIL, "reason": EVIL, "since": EVIL}),
        "disk": answer(disks=[{"path": EVIL, "free_bytes": EVIL, "min_free_bytes": None}]),
        "policy": answer(policy={EVIL: EVIL}),
        "name": answer() | {"verdict": EVIL},
        "msg": {"failed": True, "msg": EVIL},
    }[where]
    hostvars = site(**{EVIL: ("primary", told)})
    text = page(hostvars)
    assert "<script" not in text
    read(text)


def test_out_of_service_is_shaded_and_the_unknown_is_a_gap():
    text = page(SITE)
    assert len(re.findall('class="out"', text)) == 2 * 3
    assert chart.runs([(0, 1.0), (10, None), (20, 2.0), (30, 2.0), (90, 1.0)], 10) == [
        [(0, 1.0)],
        [(20, 2.0), (30, 2.0)],
        [(90, 1.0)],
    ]


def test_the_policys_limit_is_drawn():
    assert "dashed: ejected above 12 s" in page(SITE)
    assert 'class="limit"' in page(SITE)


@pytest.mark.parametrize(("value", "top"), [(0.3, 1), (1, 1), (3, 5), (12.1, 20), (51, 100), (999, 1000)])
def test_axes_end_at_round_numbers(value, top):
    assert chart.ceiling(value) == top


def test_versions_and_hashes_are_short():
    assert short_version("Lighthouse/v8.2.2-abcdef/x86_64-linux") == "Lighthouse 8.2.2"
    assert short_version(None) == ""
    assert short_hashes(f"block 0x{'ab' * 32} here") == "block 0xababab…abab here"


def test_peers_of_all_clients_and_those_that_could_not_be_asked():
    peer = {"id": "x", "url": "enode://ab@10.0.0.2:30303", "connected": True, "listed": True}
    found = {"results": [{"item": "geth", "peers": [peer]}, {"item": "prysm", "failed": True, "msg": "no\nanswer"}]}
    hostvars = {"a": {"peers": found}, "b": {"peers": {"unreachable": True}}, "c": {}}
    assert chain_peers_table(["a", "b", "c"], hostvars, "peers") == [
        "a geth: 1 connected, 1 known",
        "    connected  listed  enode://ab@10.0.0.2:30303",
        "a prysm: no answer",
        "b: not reached",
        "c: not reached",
    ]
