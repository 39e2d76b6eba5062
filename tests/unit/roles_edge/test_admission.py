"""What decides which servers HAProxy may start with: the state file, from a configuration and a running process."""

from __future__ import annotations

import importlib.util
import json
import socket
import sys
import threading
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).resolve().parents[3] / "roles" / "haproxy" / "files" / "admission.py"

CONFIG = """
global
  stats socket /run/haproxy/admin.sock  # server fake 1.2.3.4:1 check
defaults http
  default-server inter 1s
defaults checked
  default-server check weight 7
frontend rpc from http
  use_backend "server nothing check" if { path /server }
backend short from http
  default-server check port 8740
  server a 10.0.0.1:8545
  server b 10.0.0.2:8545 weight 5   # a comment with track
  server plain 10.0.0.3:8545 no-check
backend long from http
  server a 10.0.0.1:8545 track short/a
  server c 10.0.0.1:8545
listen sql from checked
  bind :5432
  server pg1 pg1.example.org:5432
  server pg2 [2001:db8::1]:5432 no-check
  server pg3 ipv6@[2001:db8::3]:5432
backend many from http
  server-template node 2-3 10.0.0.9:80 check
  server-template last 2 10.0.0.9:81 check
  server noport 10.0.0.8 check
"""


@pytest.fixture
def admission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = importlib.util.spec_from_file_location("admission", SCRIPT)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "admission", module)
    spec.loader.exec_module(module)
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "haproxy.cfg").write_text("".join(CONFIG.partition("backend long")[:1]))
    (tmp_path / "conf.d" / "50-rest.cfg").write_text("".join(CONFIG.partition("backend long")[1:]))
    (tmp_path / "conf.d" / "ignored.txt").write_text("backend x\n  server x 1.1.1.1:1 check\n")
    monkeypatch.setattr(module, "CONFIG", [tmp_path / "haproxy.cfg", tmp_path / "conf.d"])
    monkeypatch.setattr(module, "RUN", tmp_path)
    return module


def states(tmp_path: Path) -> dict[tuple[str, str], dict[str, str]]:
    version, header, *lines = (tmp_path / "admission.state").read_text().splitlines()
    assert version == "1"
    names = header.removeprefix("# ").split()
    assert len(names) == 25
    found = {}
    for line in lines:
        fields = dict(zip(names, line.split(), strict=True))
        found[fields["be_name"], fields["srv_name"]] = fields
    return found


def test_every_checked_server_is_found_whatever_checks_it(admission: ModuleType) -> None:
    found = {(s.backend, s.name): (s.address, s.port, s.weight) for s in admission.servers(admission.configuration())}
    assert found == {
        ("short", "a"): ("10.0.0.1", "8545", "1"),
        ("short", "b"): ("10.0.0.2", "8545", "5"),
        ("sql", "pg1"): ("pg1.example.org", "5432", "7"),
        ("sql", "pg3"): ("2001:db8::3", "5432", "7"),
        ("many", "node2"): ("10.0.0.9", "80", "1"),
        ("many", "node3"): ("10.0.0.9", "80", "1"),
        ("many", "last1"): ("10.0.0.9", "81", "1"),
        ("many", "last2"): ("10.0.0.9", "81", "1"),
        ("many", "noport"): ("10.0.0.8", "0", "1"),
    }


def test_a_cold_start_has_everyone_down_and_open_to_checks(
    admission: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["admission", "cold"])
    assert admission.main() == 0
    found = states(tmp_path)
    assert len(found) == 9
    for fields in found.values():
        assert (fields["srv_op_state"], fields["srv_check_health"], fields["srv_admin_state"]) == ("0", "0", "0")
        assert fields["srv_check_status"] == "1", "0 would make HAProxy deaf to every check that follows"
    assert found["short", "b"]["srv_port"] == "8545"


RUNNING = """1
# (header)
4 short 1 a 10.0.0.1 2 0 1 1 15 15 3 3 6 22 0 0 - 8545 - 0 8740 - - 8741
4 short 2 b 10.0.0.7 2 0 5 5 15 15 3 3 6 22 0 0 - 8545 - 0 8740 - - 8741
6 sql 1 pg1 10.1.1.1 2 0 7 7 15 15 3 3 6 0 0 0 pg1.example.org 5432 - 0 0 - - 0
6 gone 1 x 10.1.1.1 2 0 7 7 15 15 3 3 6 0 0 0 - 5432 - 0 0 - - 0
7 many 1 node2 10.0.0.9 2 0 1 1 15 15 3 3 6 0 0 0 - 8080 - 0 0 - - 0
"""


def test_a_reload_carries_over_only_servers_that_are_the_same(admission: ModuleType) -> None:
    merged = admission.merge(admission.servers(admission.configuration()), RUNNING)
    up = {tuple(line.split()[1:4:2]) for line in merged if line.split()[5] == "2"}
    assert up == {("short", "a"), ("sql", "pg1")}, "b has another address, node2 another port, the rest are new"
    assert len(merged) == 9


def test_where_checks_go_is_never_carried_over(admission: ModuleType) -> None:
    """HAProxy would ask the old port, whatever the new configuration says."""
    asked = {
        tuple(line.split()[21:]) for line in admission.merge(admission.servers(admission.configuration()), RUNNING)
    }
    assert asked == {("0", "-", "-", "0")}
    assert {line.split()[21] for line in RUNNING.splitlines() if not line.startswith(("#", "1"))} != {"0"}


def test_whether_tls_is_spoken_is_the_configuration_s_word(admission: ModuleType) -> None:
    """A state of 0 would turn it off for a server that has it, and send in clear what was to be encrypted."""
    text = """
defaults plain
backend web from plain
  default-server ssl verify none check
  server a 10.0.0.1:443
  server b 10.0.0.2:80 no-ssl
  server c 10.0.0.3:443 check-ssl
backend raw from plain
  server a 10.0.0.1:443 check check-ssl verify none
"""
    known = admission.servers(text)
    assert [(server.backend, server.name, server.ssl) for server in known] == [
        ("web", "a", "1"),
        ("web", "b", "0"),
        ("web", "c", "1"),
        ("raw", "a", "0"),
    ]
    assert [server.cold().split()[20] for server in known] == ["1", "0", "1", "0"]
    running = "4 web 1 a 10.0.0.1 2 0 1 1 15 15 3 3 6 22 0 0 - 443 - 0 0 - - 0\n"
    (carried, *_rest) = admission.merge(known, running)
    assert (carried.split()[5], carried.split()[20]) == ("2", "1")


def serve(path: Path, answer: str, seen: list[str]) -> threading.Thread:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen(1)

    def run() -> None:
        connection, _dummy = listener.accept()
        seen.append(connection.recv(1000).decode())
        seen.append((path.parent / "admission.state").read_text() if (path.parent / "admission.state").exists() else "")
        connection.sendall(answer.encode())
        connection.close()
        listener.close()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


@pytest.mark.parametrize(("answer", "code"), [("Success=1\n--\nloaded\n", 0), ("Success=0\n--\n[ALERT] no\n", 1)])
def test_a_reload_uses_the_states_once_and_leaves_the_file_cold(
    admission: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    *,
    answer: str,
    code: int,
) -> None:
    monkeypatch.setattr(admission, "check", lambda: None)
    monkeypatch.setattr(sys, "argv", ["admission", "reload"])
    worker: list[str] = []
    master: list[str] = []
    serve(tmp_path / "admin.sock", RUNNING, worker)
    serve(tmp_path / "master.sock", answer, master)
    assert admission.main() == code
    assert (worker[0], master[0]) == ("show servers state\n", "reload\n")
    assert "short 1 a 10.0.0.1 2" in master[1], "the states are there when the new worker starts"
    assert all(fields["srv_op_state"] == "0" for fields in states(tmp_path).values())
    assert ("the old one goes on" in capsys.readouterr().err) is bool(code)


def test_a_configuration_that_is_not_valid_is_not_loaded(
    admission: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stand_in = tmp_path / "haproxy"
    stand_in.write_text("#!/bin/sh\necho '[WARNING] noise'\necho \"[ALERT] $*\" >&2\nexit 1\n")
    stand_in.chmod(0o755)
    monkeypatch.setattr(admission, "HAPROXY", str(stand_in))
    monkeypatch.setattr(sys, "argv", ["admission", "reload"])
    assert admission.main() == 1
    assert not (tmp_path / "admission.state").exists()
    said = capsys.readouterr().err
    assert said.startswith("admission: not reloaded, the configuration is not valid:\n[ALERT] -c -f ")
    assert "noise" not in said


def test_without_a_running_process_nothing_is_reloaded(
    admission: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(admission, "check", lambda: None)
    monkeypatch.setattr(sys, "argv", ["admission", "reload"])
    assert admission.main() == 1
    assert "admin.sock did not answer 'show servers state'" in capsys.readouterr().err


def test_the_servers_can_be_listed(
    admission: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["admission", "servers"])
    assert admission.main() == 0
    assert ["short", "a"] in json.loads(capsys.readouterr().out)
