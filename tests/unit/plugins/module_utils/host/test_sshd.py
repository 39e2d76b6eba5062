"""Settings of sshd: their text, what they would lock out, and what an earlier file overrides."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.chainops.infra.plugins.module_utils.host import sshd


def test_the_text_has_words_for_booleans_one_line_for_a_list_and_nothing_for_null() -> None:
    text = sshd.render(
        {
            "PasswordAuthentication": False,
            "AllowUsers": ["ops", "alice"],
            "MaxAuthTries": 3,
            "Banner": None,
            "DenyUsers": [],
        },
        "Match User backup\n  AllowTcpForwarding no\n",
    )
    assert text == (
        sshd.HEADER + "PasswordAuthentication no\nAllowUsers ops alice\nMaxAuthTries 3\n"
        "\nMatch User backup\n  AllowTcpForwarding no\n"
    )


@pytest.mark.parametrize(
    ("settings", "user", "by_password", "words"),
    [
        ({"PasswordAuthentication": False}, "ops", True, "this connection uses a password"),
        ({"passwordauthentication": "no"}, "ops", True, "this connection uses a password"),
        ({"PermitRootLogin": "no"}, "root", False, "this connection is root's"),
        ({"PermitRootLogin": "prohibit-password"}, "root", True, "root's password"),
        ({"AllowUsers": ["alice", "bob@10.0.0.1"]}, "ops", False, "does not have ops"),
        ({"DenyUsers": "o*"}, "ops", False, "DenyUsers = o* has ops"),
    ],
)
def test_what_would_surely_lock_out(settings: dict[str, Any], user: str, by_password: bool, words: str) -> None:
    found = sshd.lockouts(settings, user, by_password)
    assert len(found) == 1
    assert words in found[0]


@pytest.mark.parametrize(
    ("settings", "user", "by_password"),
    [
        ({"PasswordAuthentication": False}, "ops", False),
        ({"PasswordAuthentication": True}, "ops", True),
        ({"PermitRootLogin": False}, "ops", False),
        ({"AllowUsers": ["op?"]}, "ops", False),
        ({"AllowUsers": ["ops@10.0.0.1"]}, "ops", False),
        ({"AllowGroups": ["nosuchgroup"]}, "ops", False),
        ({"AllowUsers": ["alice"]}, "", False),
    ],
)
def test_what_only_a_try_can_tell_is_let_through(settings: dict[str, Any], user: str, by_password: bool) -> None:
    assert sshd.lockouts(settings, user, by_password) == []


def test_a_setting_that_an_earlier_file_overrides() -> None:
    report = "port 22\npasswordauthentication yes\npermitrootlogin without-password\nallowusers ops\n"
    assert sshd.overridden({"PasswordAuthentication": False}, report) == [
        "PasswordAuthentication would be yes, not no: a file that is read earlier sets it"
    ]
    assert sshd.overridden({"PasswordAuthentication": True, "Port": 22, "AllowUsers": ["ops"]}, report) == []
