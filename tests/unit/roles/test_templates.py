"""Templates read only variables that exist; units that a role ships can be left alone at night."""

from __future__ import annotations

import re

import pytest

from tests.unit.roles.role_files import ROLES, RoleFiles, used

each_role = pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
# systemd.exec settings that every unit states; `systemd-analyze security` in the lab judges the whole.
HARDENING = (
    "CapabilityBoundingSet",
    "LockPersonality",
    "NoNewPrivileges",
    "PrivateTmp",
    "ProtectControlGroups",
    "ProtectHome",
    "ProtectKernelModules",
    "ProtectKernelTunables",
    "ProtectSystem",
    "RestrictAddressFamilies",
    "RestrictNamespaces",
    "RestrictSUIDSGID",
    "SystemCallArchitectures",
    "SystemCallFilter",
)
UNITS = [(role, path) for role in ROLES for path in role.files("templates/**/*.service*", "files/**/*.service*")]
# A drop-in for a unit of Debian's adds to that one.
WHOLE_UNITS = [(role, path) for role, path in UNITS if "ExecStart=" in path.read_text(encoding="utf-8")]


@each_role
def test_templates_read_only_what_the_role_may_read(role: RoleFiles) -> None:
    problems = []
    for path in role.files("templates/**/*"):
        problems += [
            f"{path.name}: {name}" for name in used(path.read_text(encoding="utf-8")) if not role.may_read(name)
        ]
    assert sorted(problems) == []


@each_role
def test_templates_end_in_j2_and_say_who_wrote_them(role: RoleFiles) -> None:
    names = [path.name for path in role.files("templates/**/*")]
    assert [name for name in names if not name.endswith(".j2")] == []


@pytest.mark.parametrize(("role", "path"), WHOLE_UNITS, ids=[f"{role.name}-{path.name}" for role, path in WHOLE_UNITS])
def test_units_restart_stop_and_are_hardened(role: RoleFiles, path) -> None:
    text = path.read_text(encoding="utf-8")
    settings = set(re.findall(r"^(\w+)=", text, re.MULTILINE))
    missing = [name for name in HARDENING if name not in settings]
    if "Type=oneshot" not in text:
        missing += [name for name in ("Restart", "RestartSec", "TimeoutStopSec") if name not in settings]
        missing += [] if settings & {"StartLimitIntervalSec", "StartLimitBurst"} else ["StartLimitIntervalSec"]
    assert missing == []
