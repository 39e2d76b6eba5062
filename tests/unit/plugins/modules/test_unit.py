"""The module unit with real files, and a systemctl that remembers what it was asked for."""

from __future__ import annotations

import contextlib
import io
import json
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args
from ansible_collections.chainops.infra.plugins.module_utils.systemd import manager, systemctl
from ansible_collections.chainops.infra.plugins.modules import unit as module

NAME = "geth.service"


class Systemd:
    """Units as the fake systemctl has them, and their files in a directory of their own."""

    def __init__(self, path: Path) -> None:
        self.file = path / "systemd.json"
        self.etc = path / "etc"
        self.etc.mkdir()
        self.fragment = self.etc / NAME
        self.fragment.write_text("[Service]\nExecStart=/bin/true\n")
        self.file.write_text(json.dumps({"units": {}, "does": {}, "calls": []}))

    @property
    def data(self) -> dict[str, Any]:
        return json.loads(self.file.read_text())

    def set(self, name: str = NAME, **properties: Any) -> None:
        data = self.data
        known = {
            "LoadState": "loaded",
            "FragmentPath": str(self.fragment),
            "UnitFileState": "disabled",
            "Type": "notify",
        }
        data["units"][name] = known | data["units"].get(name, {}) | properties
        self.file.write_text(json.dumps(data))

    def running(self, **properties: Any) -> None:
        """A unit that has been running for a moment."""
        time.sleep(0.05)
        now = str(int(time.monotonic() * 1e6))
        running = {"ActiveState": "active", "SubState": "running", "Result": "success", "InvocationID": "at-boot"}
        self.set(**(running | {"InactiveExitTimestampMonotonic": now} | properties))
        time.sleep(0.05)

    def does(self, verb: str, **properties: Any) -> None:
        data = self.data
        data["does"][verb] = properties
        self.file.write_text(json.dumps(data))

    @property
    def calls(self) -> list[str]:
        """What was asked for since the last look, looks at units aside."""
        data = self.data
        calls = [call.replace(" --", "") for call in data["calls"] if not call.startswith("show")]
        data["calls"] = []
        self.file.write_text(json.dumps(data))
        return calls


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Systemd:
    commands = tmp_path / "bin"
    commands.mkdir()
    fake = Path(__file__).with_name("fake_systemctl.py").read_text()
    for name in ("systemctl", "journalctl"):
        (commands / name).write_text(f"#!{sys.executable}\n{fake}")
        (commands / name).chmod(0o755)
    found = Systemd(tmp_path)
    for name, value in (("PATH", f"{commands}:/usr/bin:/bin"), ("FAKE_SYSTEMD", str(found.file))):
        monkeypatch.setenv(name, value)
        # the module takes its environment when it begins, which is once in this process
        monkeypatch.setitem(systemctl.ENVIRONMENT, name, value)
    monkeypatch.setenv("CHAINOPS_STATE", str(tmp_path / "state"))
    return found


def unit(check: bool = False, diff: bool = False, **options: Any) -> dict[str, Any]:
    arguments = {"name": NAME, "timeout": 5, "_ansible_check_mode": check, "_ansible_diff": diff} | options
    output = io.StringIO()
    with patch_module_args(arguments), contextlib.redirect_stdout(output), pytest.raises(SystemExit):
        module.main()
    return json.loads(output.getvalue())


def does(**options: Any) -> tuple[str, list[str]]:
    result = unit(**options)
    assert not result.get("failed"), result["msg"]
    return result["action"], result["reasons"]


def test_starts_once_with_one_look_at_what_is_as_it_should_be(systemd: Systemd) -> None:
    systemd.set()
    result = unit(enabled=True)
    assert (result["changed"], result["action"], result["enabled"]) == (True, "started", True)
    assert systemd.calls == ["enable geth.service", "daemon-reload", "reset-failed geth.service", "start geth.service"]
    data = systemd.data
    data["calls"] = []
    systemd.file.write_text(json.dumps(data))
    assert not unit(enabled=True)["changed"]
    assert len(systemd.data["calls"]) == 1 and systemd.data["calls"][0].startswith("show ")


def test_check_mode_asks_and_does_nothing(systemd: Systemd, tmp_path: Path) -> None:
    assert does(check=True) == ("started", ["the unit does not exist yet"])
    systemd.set(NeedDaemonReload="yes")
    result = unit(check=True, enabled=True, diff=True)
    assert result["changed"] and result["action"] == "started"
    assert result["diff"]["before"] == "enabled: disabled\nstate: inactive\n"
    assert result["diff"]["after"] == "enabled: enabled\nstate: active\nstarted: it was inactive (dead)\n"
    systemd.running()
    assert does(check=True) == ("restarted", ["the unit's files changed"])
    assert does(check=True, state="stopped") == ("stopped", [])
    assert systemd.calls == [] and not (tmp_path / "state").exists()


def test_what_an_earlier_task_would_change_is_foretold(systemd: Systemd) -> None:
    systemd.running(CanReload="yes")
    options: dict[str, Any] = {
        "restart_on": ["/etc/geth/*.toml", "/etc/geth/d"],
        "reload_on": ["/etc/geth/r"],
        "release": "/opt/x/current",
        "check": True,
    }
    for path, action in (
        ("/etc/geth/config.toml", "restarted"),
        ("/etc/geth/d/deep/file", "restarted"),
        ("/etc/geth/r", "reloaded"),
        ("/opt/x/current", "restarted"),
        (f"/run/systemd/system/{NAME}", "restarted"),
        (f"/etc/systemd/system/{NAME}.d/10-more.conf", "restarted"),
    ):
        assert does(planned=[path, "/etc/other", "/etc/systemd/system/other.service"], **options) == (
            action,
            [f"{path} would change"],
        )
    assert does(planned=["/etc/other"], **options)[0] == "none"
    # in a real run the files are what they are
    options.pop("check")
    options.pop("release")
    assert does(planned=["/etc/geth/config.toml"], **options)[0] == "none"


def test_digests_decide_while_the_start_is_our_own(systemd: Systemd) -> None:
    config, reload = systemd.etc / "config", systemd.etc / "reload"
    config.write_text("1")
    options: dict[str, Any] = {"restart_on": [f"{systemd.etc}/*.conf", str(config)], "reload_on": [str(reload)]}
    systemd.set(CanReload="yes")
    assert does(**options)[0] == "started"
    # the same content by another file: the same
    (systemd.etc / "new").write_text("1")
    (systemd.etc / "new").rename(config)
    systemd.fragment.touch()
    assert does(**options) == ("none", [])
    config.write_text("2")
    assert does(**options) == ("restarted", [f"{config} changed"])
    reload.write_text("1")
    assert does(**options) == ("reloaded", [f"{reload} changed"])
    assert systemd.calls[-1] == "reload geth.service"
    reload.unlink()
    assert does(**options) == ("reloaded", [f"{reload} was removed"])
    # both: one restart does for both
    (systemd.etc / "a.conf").write_text("1")
    reload.write_text("2")
    assert does(**options) == ("restarted", [f"{systemd.etc}/a.conf changed after the start", f"{reload} changed"])
    assert does(**options) == ("none", [])


def test_a_restart_that_is_not_allowed_is_reported_until_it_was_made(
    systemd: Systemd, capsys: pytest.CaptureFixture[str]
) -> None:
    config, reload = systemd.etc / "config", systemd.etc / "reload"
    config.write_text("1")
    reload.write_text("1")
    options: dict[str, Any] = {"restart_on": [str(config)], "reload_on": [str(reload)], "restart": "report"}
    systemd.set(CanReload="yes")
    assert does(**options)[0] == "started"
    config.write_text("2")
    for _again in range(2):
        result = unit(**options)
        assert (result["changed"], result["action"], result["pending"]) == (False, "none", [f"{config} changed"])
    assert f"geth.service waits for a restart: {config} changed" in capsys.readouterr().err
    reload.write_text("2")
    assert does(**options) == ("reloaded", [f"{reload} changed"])
    result = unit(**options)
    assert (result["action"], result["pending"]) == ("none", [f"{config} changed"])
    assert does(**(options | {"restart": "allowed"})) == ("restarted", [f"{config} changed"])
    assert unit(**options)["pending"] == []


def test_what_cannot_reload_waits_too_and_what_has_ended_is_started(systemd: Systemd) -> None:
    reload = systemd.etc / "reload"
    systemd.running(CanReload="no")
    reload.write_text("1")
    result = unit(reload_on=[str(reload)], restart="report")
    assert (result["action"], result["pending"]) == ("none", [f"{reload} changed after the start"])
    systemd.set(ActiveState="failed", SubState="failed")
    assert does(reload_on=[str(reload)], restart="report")[0] == "started"


def test_times_decide_when_somebody_else_has_started_it(systemd: Systemd) -> None:
    config = systemd.etc / "config"
    config.write_text("1")
    systemd.running()
    assert does(restart_on=[str(config)]) == ("none", [])
    config.write_text("2")
    systemd.running(InvocationID="by-hand")
    assert does(restart_on=[str(config)]) == ("none", [])
    config.write_text("3")
    assert does(restart_on=[str(config)]) == ("restarted", [f"{config} changed"])
    systemd.running(InvocationID="by-hand-again")
    config.write_text("4")
    assert does(restart_on=[str(config)]) == ("restarted", [f"{config} changed after the start"])


def test_what_is_gone_was_read_if_it_went_after_the_start(systemd: Systemd) -> None:
    folder = systemd.etc / "geth.service.d"
    folder.mkdir()
    dropin = folder / "x.conf"
    dropin.write_text("[Service]\n")
    systemd.set(DropInPaths=str(dropin))
    unit()
    dropin.unlink()
    folder.rmdir()
    # started after it went
    systemd.running(DropInPaths="")
    assert does() == ("none", [])
    folder.mkdir()
    dropin.write_text("[Service]\n")
    systemd.running(DropInPaths=str(dropin), InvocationID="with")
    unit()
    systemd.running(InvocationID="with-again")
    dropin.unlink()
    folder.rmdir()
    systemd.set(DropInPaths="")
    assert does() == ("restarted", [f"{dropin} was removed"])


def test_a_reload_by_somebody_else_counts(systemd: Systemd) -> None:
    config = systemd.etc / "config"
    config.write_text("1")
    systemd.running(CanReload="yes")
    assert does(reload_on=[str(config)]) == ("none", [])
    config.write_text("2")
    time.sleep(0.05)
    stamp = time.strftime("%a %Y-%m-%d %H:%M:%S.999999 UTC", time.gmtime())
    done = f"{{ path=/bin/kill ; start_time=[{stamp}] ; stop_time=[{stamp}] ; pid=7 ; code=exited ; status=0 }}"
    systemd.set(ExecReload=["{ path=/bin/check ; start_time=[n/a] ; code=(null) ; status=0/0 }", done])
    assert does(reload_on=[str(config)]) == ("none", [])
    config.write_text("3")
    systemd.set(ExecReload=[done.replace("status=0", "status=1")])
    assert does(reload_on=[str(config)]) == ("reloaded", [f"{config} changed"])


def test_a_unit_that_cannot_reload_is_restarted(systemd: Systemd) -> None:
    config = systemd.etc / "config"
    systemd.running(CanReload="no")
    config.write_text("1")
    assert does(reload_on=[str(config)]) == ("restarted", [f"{config} changed after the start"])


def test_files_that_the_unit_reads_are_implied(systemd: Systemd) -> None:
    (systemd.etc / "token").write_text("secret")
    (systemd.etc / "1.env").write_text("A=1")
    systemd.fragment.write_text(f"[Service]\nLoadCredential=token:{systemd.etc}/token\nLoadCredential=other\n")
    systemd.set(EnvironmentFiles=[f"{systemd.etc}/*.env (ignore_errors=no)", "/etc/default/no (ignore_errors=yes)"])
    unit()
    record = json.loads(next(Path(f"{systemd.file.parent}/state/units").iterdir()).read_text())
    assert list(record["restart"]) == [
        str(systemd.fragment),
        f"{systemd.etc}/1.env",
        "/etc/default/no",
        f"{systemd.etc}/token",
    ]
    assert record["restart"]["/etc/default/no"] == "absent" and "secret" not in json.dumps(record)
    for path in ("token", "1.env"):
        (systemd.etc / path).write_text("2")
        assert does() == ("restarted", [f"{systemd.etc / path} changed"])


def test_a_record_of_another_version_is_no_record(systemd: Systemd, tmp_path: Path) -> None:
    systemd.running()
    unit()
    record = tmp_path / f"state/units/{NAME}.json"
    for text in ("", "[1]", '{"invocation": "at-boot", "more": 1}'):
        record.write_text(text)
        assert does() == ("none", [])
    assert record.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("properties", "message"),
    [
        ({"LoadState": "masked"}, "geth.service is masked on this host"),
        (
            {
                "LoadState": "bad-setting",
                "LoadError": 'org.freedesktop.systemd1.BadUnitSetting "Unit has a bad setting."',
            },
            "geth.service: systemd cannot use the unit's file (bad-setting): Unit has a bad setting.",
        ),
        ({"UnitFileState": "static"}, "geth.service has no [Install] section, so it cannot be enabled"),
    ],
)
def test_what_cannot_be_started(systemd: Systemd, properties: dict[str, Any], message: str) -> None:
    systemd.set(**properties)
    for check in (False, True):
        result = unit(enabled=True, check=check)
        assert result["failed"] and message in result["msg"]
    assert systemd.calls == []


def test_failures_show_the_last_words(systemd: Systemd) -> None:
    systemd.set()
    systemd.does(
        f"start {NAME}",
        fail="Job for geth.service failed.\nmore",
        ActiveState="failed",
        ExecMainCode="1",
        ExecMainStatus="7",
    )
    result = unit()
    assert result["changed"] and result["msg"] == (
        "geth.service did not start (exit status 7): Job for geth.service failed.\nIts last log lines:\nlast words"
    )
    assert "last words" not in unit(log_lines=0)["msg"]
    systemd.does(
        f"start {NAME}", ActiveState="activating", SubState="auto-restart", ExecMainCode="2", ExecMainStatus="9"
    )
    assert "was started, but its process ended (killed by signal 9)" in unit()["msg"]


@pytest.mark.parametrize("state", ["auto-restart", "auto-restart-queued"])
def test_a_unit_that_keeps_ending_is_restarted(systemd: Systemd, state: str) -> None:
    systemd.running()
    systemd.set(ActiveState="activating", SubState=state, Result="exit-code")
    assert does() == ("restarted", ["its process keeps ending: result exit-code"])


def test_waits_for_what_systemd_is_doing_first(systemd: Systemd) -> None:
    systemd.running()
    systemd.set(ActiveState="deactivating", SubState="stop-sigterm", TimeoutStopUSec="5min")
    timer = threading.Timer(0.6, lambda: systemd.set(ActiveState="inactive", SubState="dead"))
    timer.start()
    assert does() == ("started", ["it was inactive (dead)"])
    systemd.set(ActiveState="reloading", SubState="reload")
    assert "is reloading (reload) and does not come to an end" in unit(timeout=0.5)["msg"]


def test_sockets_are_opened_without_the_service_that_holds_them(systemd: Systemd) -> None:
    systemd.set()
    systemd.set("geth.socket", Triggers=NAME)
    unit(name="geth.socket")
    unit()
    assert "start geth.socket" in systemd.calls
    systemd.fragment.write_text("[Socket]\n")
    assert unit(name="geth.socket")["action"] == "restarted"
    assert systemd.calls[2:] == ["stop geth.service", "restart geth.socket", "start geth.service"]


class Answers(BaseHTTPRequestHandler):
    status = 200

    def do_GET(self) -> None:
        if self.path == "/slow":
            time.sleep(3)
        if self.path == "/garbage":
            self.wfile.write(b"\0\0\0\n")
            return
        self.send_response(503 if self.path == "/busy" else 200)
        self.end_headers()

    def log_message(self, *_arguments: Any) -> None:
        pass


@pytest.fixture
def server() -> Any:
    found = HTTPServer(("127.0.0.1", 0), Answers)
    threading.Thread(target=found.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{found.server_port}"
    found.shutdown()


def test_readiness(systemd: Systemd, server: str) -> None:
    systemd.running()
    for ready in (
        {"tcp": server},
        {"http": f"http://{server}/"},
        {"http": f"http://{server}/busy", "status": [200, 503]},
    ):
        assert does(ready=ready) == ("none", [])
    for ready, message in (
        ({"tcp": "127.0.0.1:1"}, "not ready at tcp 127.0.0.1:1: connection refused (after 0.5 s)"),
        (
            {"http": f"http://{server}/busy"},
            f"not ready at http://{server}/busy: status 503 instead of 200 (after 0.5 s)",
        ),
        (
            {"http": f"http://{server}/garbage"},
            f"not ready at http://{server}/garbage: not HTTP: BadStatusLine (after 0.5 s)",
        ),
        ({"http": f"http://{server}/slow"}, f"not ready at http://{server}/slow: no answer within 2 s (after 0.5 s)"),
    ):
        result = unit(ready=ready, timeout=0.5)
        assert message in result["msg"] and not result["changed"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ready": {"tcp": "8545"}}, "ready.tcp = 8545: must be an address and a port"),
        ({"ready": {"tcp": "127.0.0.1:99999"}}, "ready.tcp = 127.0.0.1:99999: must be"),
        ({"ready": {"http": "https://x/"}}, "ready.http = https://x/: must be an http:// URL"),
        ({"ready": {}}, "one of the following is required: tcp, http"),
        ({"restart_on": ["etc/x"]}, "restart_on = etc/x: must be an absolute path"),
        ({"release": "current"}, "release = current: must be an absolute path"),
        ({"timeout": 0}, "timeout = 0: must be a number of seconds above 0"),
    ],
)
def test_options_that_do_not_fit(systemd: Systemd, options: dict[str, Any], message: str) -> None:
    assert message in unit(**options)["msg"]
    assert systemd.calls == []


def test_a_host_without_systemd(systemd: Systemd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(systemctl.ENVIRONMENT, "PATH", "/nowhere")
    assert "there is no command systemctl on this host" in unit()["msg"]


@pytest.mark.parametrize(
    ("span", "seconds"),
    [("1min 30s", 90), ("5min", 300), ("500ms", 0.5), ("1h 2min 3s 4us", 3723.000004), ("infinity", 3600), ("0", 0)],
)
def test_time_spans(span: str, seconds: float) -> None:
    assert systemctl.seconds(span) == pytest.approx(seconds)


def test_names_and_lines() -> None:
    assert systemctl.full_name("geth") == "geth.service" and systemctl.full_name("a@b.timer") == "a@b.timer"
    assert systemctl.full_name("with.dot") == "with.dot.service"
    assert systemctl.printable("\x1b[31mred\x1b[0m\x07") == "red?"
    assert len(systemctl.printable("x" * 5000)) == systemctl.LOG_LINE_CHARACTERS
    assert manager.SETTLE_SECONDS <= 1


def test_a_guard_keeps_a_unit_that_runs(systemd: Systemd) -> None:
    """It stays as it was, for the same reasons the next run asks again, and what is down may always be started."""
    config = systemd.etc / "a.conf"
    config.write_text("one")
    refuse, allow = ["/bin/sh", "-c", "echo two members are down >&2; exit 1"], ["/bin/true"]
    systemd.set()
    assert does(restart_on=[str(config)], guard=refuse)[0] == "started"
    assert does(restart_on=[str(config)], guard=refuse) == ("none", [])
    config.write_text("two")
    assert systemd.calls and does(restart_on=[str(config)], guard=refuse, check=True)[0] == "restarted"
    refused = unit(restart_on=[str(config)], guard=refuse)
    assert refused["failed"] and not refused["changed"]
    assert refused["msg"] == f"{NAME} was left running: two members are down"
    assert "left running" in unit(state="stopped", guard=refuse)["msg"] and systemd.calls == []
    assert "/nowhere: No such file" in unit(restart_on=[str(config)], guard=["/nowhere"])["msg"]
    assert does(restart_on=[str(config)], guard=allow) == ("restarted", [f"{config} changed"])
