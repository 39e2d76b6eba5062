"""The order of things: apply, a new connection, confirm over it, or back over the old one."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import pytest
from ansible.errors import AnsibleConnectionFailure
from ansible_collections.chainops.infra.plugins.action import sshd_config


class Connection:
    """A connection by ssh; options are what an inventory gave."""

    transport = "ssh"
    ansible_name = "ansible.builtin.ssh"
    option_definitions = {"ssh_args": {}, "password": {}, "timeout": {}, "reconnection_retries": {}}

    def __init__(self, refusals: int = 0, status: int = 0, password: str | None = None) -> None:
        self._shell = SimpleNamespace(tmpdir="/tmp")
        self.become = None
        self.refusals, self.status, self.closed = refusals, status, False
        self.options = {
            "ssh_args": "-o ControlMaster=auto -o ControlPersist=60s",
            "password": password,
            "timeout": 10,
            "reconnection_retries": 2,
        }

    def get_option(self, name: str) -> Any:
        return self.options[name]

    def set_options(self, direct: dict[str, Any]) -> None:
        self.options = direct

    def exec_command(self, _command: str, sudoable: bool = True) -> tuple[int, bytes, bytes]:
        assert not sudoable
        if self.refusals:
            self.refusals -= 1
            raise AnsibleConnectionFailure("Permission denied (publickey).")
        return self.status, b"", b"shell is nologin"

    def close(self) -> None:
        self.closed = True


class Play:
    """The action with a module whose answers are given, and which notes over which connection each phase ran."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, args: dict[str, Any], old: Connection, new: Connection) -> None:
        task = SimpleNamespace(args=args, async_val=0, check_mode=False, diff=False, environment=[], become=True)
        self.action = sshd_config.ActionModule(task, old, MagicMock(), MagicMock(), MagicMock(), None)
        self.old, self.new = old, new
        self.answers: dict[str, Any] = {
            "apply": {"changed": True, "pending": True, "path": "/x"},
            "confirm": {"changed": True},
            "restore": {"changed": True},
        }
        self.phases: list[tuple[str, str]] = []
        monkeypatch.setattr(sshd_config, "PAUSE", 0)
        monkeypatch.setattr(sshd_config.connection_loader, "get", lambda *_args, **_kw: new)
        monkeypatch.setattr(self.action, "_execute_module", self.module)
        monkeypatch.setattr(self.action, "_get_remote_user", lambda: "ops")

    def module(self, module_args: dict[str, Any], **_kw: Any) -> dict[str, Any]:
        phase = module_args["phase"]
        self.phases.append((phase, "new" if self.action._connection is self.new else "old"))
        answer = self.answers[phase]
        if isinstance(answer, Exception):
            raise answer
        return dict(answer)

    def run(self) -> dict[str, Any]:
        return self.action.run(task_vars={})


@pytest.fixture
def play(monkeypatch: pytest.MonkeyPatch) -> Any:
    def make(args: dict[str, Any] | None = None, new: Connection | None = None, **old: Any) -> Play:
        return Play(monkeypatch, args or {"settings": {"MaxAuthTries": 3}}, Connection(**old), new or Connection())

    return make


def test_unchanged_is_one_call_and_no_new_connection(play: Any) -> None:
    case = play()
    case.answers["apply"] = {"changed": False, "pending": False}
    assert case.run()["changed"] is False
    assert case.phases == [("apply", "old")]


def test_changed_is_confirmed_over_a_new_connection_that_shares_nothing(play: Any) -> None:
    case = play()
    result = case.run()
    assert (result["changed"], result["tried"], result.get("failed")) == (True, True, None)
    assert case.phases == [("apply", "old"), ("confirm", "new")]
    assert case.new.options["ssh_args"].startswith("-o ControlMaster=no -o ControlPath=none ")
    assert (case.new.options["timeout"], case.new.options["reconnection_retries"]) == (15, 0)
    assert case.new.closed
    assert case.action._connection is case.old


def test_one_refusal_while_sshd_reloads_is_tried_again(play: Any) -> None:
    case = play(new=Connection(refusals=1))
    assert not case.run().get("failed")
    assert case.phases == [("apply", "old"), ("confirm", "new")]


@pytest.mark.parametrize(
    ("new", "words"),
    [
        (Connection(refusals=2), "a new connection was refused: Permission denied"),
        (Connection(status=1), "could not run a command: shell is nologin"),
    ],
)
def test_no_way_in_puts_the_file_back_over_the_old_connection(play: Any, new: Connection, words: str) -> None:
    case = play(new=new)
    result = case.run()
    assert result["failed"] and words in result["msg"]
    assert (result["restored"], result["changed"]) == (True, False)
    assert case.phases == [("apply", "old"), ("restore", "old")]


@pytest.mark.parametrize(
    "answer", [{"failed": True, "msg": "sudo: a password is required"}, AnsibleConnectionFailure("cut")]
)
def test_a_way_in_without_root_puts_it_back_too(play: Any, answer: Any) -> None:
    case = play()
    case.answers["confirm"] = answer
    result = case.run()
    assert result["failed"] and result["restored"]
    assert case.phases == [("apply", "old"), ("confirm", "new"), ("restore", "old")]
    assert case.action._connection is case.old


def test_with_the_old_connection_gone_the_host_does_it_and_when_is_said(play: Any) -> None:
    case = play({"settings": {}, "rollback_after": 90}, new=Connection(refusals=2))
    case.answers["restore"] = AnsibleConnectionFailure("no route")
    result = case.run()
    assert result["failed"] and not result["restored"] and result["changed"]
    assert "the host does in 90 s" in result["msg"]


def test_a_password_that_would_be_turned_off_is_refused_untouched(play: Any) -> None:
    case = play({"settings": {"PasswordAuthentication": False}}, password="secret")
    result = case.run()
    assert result["failed"] and "refused, as it would lock you out" in result["msg"]
    assert "secret" not in str(result)
    assert case.phases == []


def test_a_connection_that_is_not_by_ssh_has_nothing_to_try(play: Any) -> None:
    case = play({"settings": {"AllowUsers": ["alice"]}})
    case.old.transport = case.old.ansible_name = "local"
    result = case.run()
    assert not result.get("failed") and result["tried"] is False
    assert case.phases == [("apply", "old"), ("confirm", "old")]


def test_a_module_that_fails_is_the_end(play: Any) -> None:
    case = play()
    case.answers["apply"] = {"failed": True, "msg": "unsupported option"}
    assert case.run()["msg"] == "unsupported option"
    assert case.phases == [("apply", "old")]


def test_the_phase_is_not_for_users(play: Any) -> None:
    with pytest.raises(Exception, match="phase is for"):
        play({"phase": "confirm"}).run()
