# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Who may connect: what is written to a member, and what of it is refused before that."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from tests.unit.roles_edge import role_checks
from tests.unit.roles_postgresql.rendered_site import role

POOLER = {"role": "pooler", "certificates": ["lb-a"], "networks": ["10.87.1.51"]}
ZONE = {"name": "apps", "networks": ["10.87.0.0/16"]}


def said(**variables: Any) -> list[str]:
    return role_checks.mistakes("postgresql", **variables)


@pytest.mark.parametrize("name", ["postgresql_mapped_users", "__layer_postgresql_mapped_users"])
def test_a_mapped_user_is_in_both_files(name: str) -> None:
    """Given by the user, or by the layer."""
    written = yaml.safe_load(role(**{name: [POOLER]}).template("patroni.yml.j2"))["postgresql"]
    assert written["pg_hba"][-1] == 'hostssl all "pooler" 10.87.1.51/32 cert map=role-pooler'
    assert written["pg_ident"][-1] == 'role-pooler "lb-a" "pooler"'


def test_what_is_good_is_not_named() -> None:
    found = said(postgresql_mapped_users=[POOLER], postgresql_zones=[ZONE])
    assert [text for text in found if "mapped_users" in text or "zones" in text] == []


@pytest.mark.parametrize(
    ("users", "words"),
    [
        ([POOLER, POOLER], "postgresql_mapped_users = pooler, pooler: a role is given twice"),
        ([POOLER | {"role": "postgres"}], "postgresql_mapped_users names postgres: the superuser and the members' own"),
        ([POOLER | {"role": "replicator"}], "postgresql_mapped_users names replicator"),
        ([POOLER | {"certificates": []}], "postgresql_mapped_users = pooler: no certificates"),
        ([POOLER | {"networks": []}], "postgresql_mapped_users = pooler: no networks"),
        ([POOLER | {"networks": ["::/0"]}], "postgresql_mapped_users: pooler: ::/0 is everywhere, or nearly"),
        ([POOLER | {"networks": ["lb-a"]}], 'postgresql_mapped_users[0].networks[0] = "lb-a": must be an address or a'),
        ([POOLER | {"certificates": ["/.*"]}], 'postgresql_mapped_users[0].certificates[0] = "/.*": must be a'),
        ([POOLER | {"role": "a b"}], 'postgresql_mapped_users[0].role = "a b": must be a role'),
        ([{"role": "pooler", "networks": ["10.87.1.51"]}], "postgresql_mapped_users[0].certificates is missing"),
    ],
)
def test_a_mapped_user_that_does_not_fit_is_named(users: list[dict[str, Any]], words: str) -> None:
    found = said(postgresql_mapped_users=users)
    assert [text for text in found if words in text], found


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"name": "a b"}, "postgresql_zones[0].name"),
        ({"networks": ["everywhere"]}, "postgresql_zones[0].networks[0]"),
        ({"databases": ["a b"]}, "postgresql_zones[0].databases[0]"),
        ({"users": ['x" trust #']}, "postgresql_zones[0].users[0]"),
    ],
)
def test_every_part_of_a_zone_is_looked_at(wrong: dict[str, Any], words: str) -> None:
    found = said(postgresql_zones=[ZONE | wrong])
    assert [text for text in found if text.startswith(words)], found
