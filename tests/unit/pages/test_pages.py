# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the pages for people name exists: other pages, operations and their variables, options, metrics, cases."""

from __future__ import annotations

import fnmatch
import importlib
import re
import sys
from functools import cache
from pathlib import Path

import pytest

from tests.lab.data.case import CASES, MODULES

ROOT = Path(__file__).parents[3]
sys.path.insert(0, str(ROOT / "tools"))
import measured  # noqa: E402 - tools/ is no package

PAGES = [
    *sorted((ROOT / "docs").glob("*.md")),
    ROOT / "README.md",
    ROOT / "CHANGELOG.md",
    ROOT / "inventories" / "example" / "README.md",
]
STORES = [ROOT / "docs" / f"{store}.md" for store in ("postgresql", "influxdb", "redis")]
NAMES = [path.relative_to(ROOT).as_posix() for path in PAGES]
# What begins like a role's option: it is one, a playbook's variable, or a figure that some file here writes.
OURS = re.compile(
    r"\b(?:postgresql|pgbackrest|pgbouncer|etcd|redis|influxdb|chain_metrics|host_certificate|haproxy|keepalived"
    r"|backup_repository|hardware_preflight|site|chainops)_[a-z0-9_]*[a-z0-9]\b(?![*-])"
)
# HAProxy's own exporter writes these.
FOREIGN = {"haproxy_backend_active_servers", "haproxy_backend_current_queue"}


def text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


@cache
def written() -> set[str]:
    """The words of all that roles, playbooks and plugins say of themselves, and what the example sets."""
    found = []
    for directory, patterns in {
        "roles": ("*/defaults/*.yml", "*/meta/*.yml", "*/files/*.py", "*/templates/*.j2", "*/docs.md"),
        "playbooks": ("**/*.yml",),
        "plugins": ("**/*.py",),
        "inventories": ("**/*.yml",),
    }.items():
        for pattern in patterns:
            found += [text(path) for path in sorted((ROOT / directory).glob(pattern))]
    return set(re.findall(r"\w+", "\n".join(found)))


def anchors(path: Path) -> set[str]:
    titles = re.findall(r"^#+ (.+)$", text(path), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.strip().lower()).replace(" ", "-") for title in titles}


def unknown_names(page: str) -> list[str]:
    # a figure's name may be put together of its store's and its own
    parts = {name: re.sub(r"^chainops_[a-z]+_", "", name) for name in OURS.findall(page)}
    return sorted(name for name, own in parts.items() if not {name, own} & written() and name not in FOREIGN)


@pytest.mark.parametrize("name", NAMES)
def test_links_lead_somewhere(name: str) -> None:
    page = ROOT / name
    dead = []
    for link in re.findall(r"\]\(([^)\s]+)\)", text(page)):
        path, _hash, anchor = link.partition("#")
        if link.startswith("http"):
            continue
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            dead.append(link)
    assert dead == []


@pytest.mark.parametrize("name", NAMES)
def test_operations_and_what_they_are_given_exist(name: str) -> None:
    page = text(ROOT / name)
    operations = set(re.findall(r"chainops\.infra\.operations\.(\w+)", page))
    assert [each for each in operations if not (ROOT / "playbooks" / "operations" / f"{each}.yml").is_file()] == []
    given = set(re.findall(r"-e ['\"]?(?:\{\")?(\w+)[=\"]", page))
    assert [each for each in given if each not in written()] == []


@pytest.mark.parametrize("name", NAMES)
def test_options_and_figures_exist(name: str) -> None:
    assert unknown_names(text(ROOT / name)) == []


def test_a_name_that_is_nowhere_would_be_found() -> None:
    assert unknown_names("Set `postgresql_rpos`, then `chainops_redis_wellness`.") == [
        "chainops_redis_wellness",
        "postgresql_rpos",
    ]


def test_every_case_of_the_register_has_a_place_for_its_result_and_every_place_a_case() -> None:
    for module in MODULES:
        importlib.import_module(f"tests.lab.data.cases_{module}")
    places = [block for path in STORES for block in measured.BLOCK.finditer(text(path))]
    patterns = [pattern for block in places for pattern in block["cases"].split()]
    assert [pattern for pattern in patterns if not fnmatch.filter(CASES, pattern)] == []
    assert [name for name in CASES if not any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)] == []
