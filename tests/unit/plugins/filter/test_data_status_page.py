# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The data layer as HTML: a page of its own or a part of the site's, and nothing that a service says becomes markup."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

import pytest
from ansible_collections.chainops.infra.plugins.filter.chain_status_page import chain_status_page
from ansible_collections.chainops.infra.plugins.filter.data_status_page import data_status_page
from ansible_collections.chainops.infra.plugins.filter.data_status_table import data_status_table

from tests.unit.plugins.filter.data_site import NOW, Site

EVIL = "<script>alert('x')</script>\"&\x1b[2J"


@pytest.fixture
def site() -> Site:
    return Site()


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.seen.add(tag)
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_whole_and_needs_nothing(site: Site) -> None:
    site.cut["sc-a"] = "No route to host"
    text = data_status_page(site.groups, site.hostvars, "data", NOW)
    tags = Tags()
    tags.feed(text)
    assert tags.open == [] and "script" not in tags.seen and "link" not in tags.seen
    assert "<h2>PostgreSQL</h2>" in text and "sc-a: not reached by ssh: No route to host" in text
    assert '<span class="good">leader</span>' in text


def test_it_is_a_part_of_the_sites_page(site: Site) -> None:
    part = data_status_page(site.groups, site.hostvars, "data", NOW, whole=False)
    assert part.startswith("<section") and "<html" not in part
    pair = {"a": {"site_role": "primary", "pair": {"unreachable": True}}}
    text = chain_status_page(["a"], pair, "pair", NOW, more=part)
    tags = Tags()
    tags.feed(text)
    assert tags.open == [] and part in text
    assert chain_status_page([], {}, "pair", NOW, more=part).count("<h2>Redis</h2>") == 1


def test_nothing_a_service_says_becomes_markup_or_moves_the_cursor(site: Site) -> None:
    site.cluster["members"][1]["state"] = EVIL
    site.cluster["faults"] = [EVIL]
    site.answers["db-a"]["sizes"] = {"standby": False, "databases": [{"name": EVIL, "bytes": 1, "connections": 1}]}
    site.answers["db-a"]["redis"] = {"msg": EVIL}
    site.answers["ts-a"]["influxdb"] = {"msg": EVIL}
    site.endpoints["db-b"]["redis"] = {"status": 500, "error": "", "text": EVIL}
    site.cut["sc-a"] = EVIL
    assert all(line.isprintable() for line in data_status_table(site.groups, site.hostvars, "data", NOW))
    text = data_status_page(site.groups, site.hostvars, "data", NOW)
    assert "<script" not in text and "&lt;script&gt;" in text
