"""The module unit against systemd on a lab host: every way a process can be older than what is on disk.

What is decided from files and properties alone is in tests/unit; here is what only systemd itself can show.
"""

from __future__ import annotations

import itertools
import json
import textwrap
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.lab.on_host import OnHost
from tests.lab.site import Site

UNITS = "/etc/systemd/system"
ON = OnHost(Site().hosts("ethereum_reference")[-1])


class Service:
    """A unit of its own for each test, so that none waits for another to be cleaned away."""

    numbers = itertools.count(1)

    def __init__(self) -> None:
        number = next(self.numbers)
        self.name = f"chainops-test-{number}.service"
        self.file = f"{UNITS}/{self.name}"
        self.conf = f"/etc/chainops-test/{number}"
        self.a = f"{self.conf}/a"
        self.port = 18900 + number
        self.ready = {"tcp": f"127.0.0.1:{self.port}"}
        self.server = f"python3 -m http.server {self.port} --bind 127.0.0.1 --directory {self.conf}"

    def write(self, start: str = "", more: str = "", unit: str = "", path: str = "") -> None:
        """Write a unit; it comes with its configuration, so that a first start finds both."""
        if not start:
            # says that it is ready, so that the module does not watch it for a second after each start
            start = f"/bin/sh -c 'systemd-notify --ready; exec {self.server}'"
            more = f"Type=notify\nNotifyAccess=all\n{textwrap.dedent(more)}"
        text = f"[Unit]\n{unit}\n[Service]\nExecStart={start}\n{more}\n[Install]\nWantedBy=multi-user.target\n"
        script = f"mkdir -p {self.conf}; cat > {path or self.file}; test -e {self.a} || echo 1 > {self.a}"
        ON.sh(script, data=text.encode())

    def unit(self, check: bool = False, **options: Any) -> dict[str, Any]:
        return ON.call("unit", check=check, **{"name": self.name, "timeout": 20, **options})

    def good(self, **options: Any) -> dict[str, Any]:
        result = self.unit(**options)
        assert not result.get("failed"), result["msg"]
        assert result["changed"] == (result["action"] != "none") or "enabled" in options
        return result

    def does(self, **options: Any) -> tuple[str, list[str]]:
        result = self.good(**options)
        return result["action"], result["reasons"]

    def fails(self, **options: Any) -> str:
        result = self.unit(**options)
        assert result.get("failed"), result
        return result["msg"]

    def show(self, name: str) -> str:
        return ON.sh(f"systemctl show --property={name} --value {self.name}").strip()


@pytest.fixture(scope="module", autouse=True)
def clean() -> Iterator[None]:
    yield
    ON.sh(
        "systemctl stop 'chainops-test*'; systemctl reset-failed 'chainops-test*' 2>/dev/null;"
        f"rm -rf /etc/chainops-test /opt/chainops-test /var/lib/chainops/units/chainops-test* {ON.place}"
        f" {UNITS}/chainops-test* {UNITS}/*.wants/chainops-test*; systemctl daemon-reload"
    )


@pytest.fixture
def service() -> Service:
    return Service()


def test_from_nothing_to_running_and_then_nothing(service: Service) -> None:
    assert service.fails() == f"{service.name}: systemd finds no such unit on this host"
    assert service.does(check=True, enabled=True) == ("started", ["the unit does not exist yet"])
    service.write(more=f"ExecReload=/bin/true\nEnvironmentFile=-{service.conf}/env")
    assert service.does(check=True, enabled=True)[0] == "started" and service.show("ActiveState") == "inactive"

    first = service.good(enabled=True, ready=service.ready)
    assert (first["action"], first["active_state"], first["enabled"]) == ("started", "active", True)
    again = service.good(enabled=True, ready=service.ready)
    assert not again["changed"] and again["invocation_id"] == first["invocation_id"]
    # a changed file in check mode: said, not done
    ON.sh(f"echo 2 > {service.a}")
    assert service.does(check=True, restart_on=[service.a]) == ("restarted", [f"{service.a} changed after the start"])
    assert service.good()["invocation_id"] == first["invocation_id"]

    stopped = service.good(state="stopped", enabled=False)
    assert (stopped["action"], stopped["active_state"], stopped["enabled"]) == ("stopped", "inactive", False)
    assert not service.good(state="stopped", enabled=False)["changed"]


def test_what_the_start_itself_made_is_no_reason_for_another(service: Service) -> None:
    """A secret that a unit before it makes, or its own ExecStartPre: not there before, read by the process."""
    made, own, late = (f"{service.conf}/{name}" for name in ("made", "own", "late"))
    maker = service.name.replace(".service", "-maker.service")
    text = f"[Service]\nType=oneshot\nExecStart=/bin/sh -c 'test -e {made} || echo secret > {made}'\n"
    ON.write(f"{UNITS}/{maker}", text)
    service.write(more=f"ExecStartPre=/bin/sh -c 'echo x > {own}'", unit=f"Wants={maker}\nAfter={maker}\n")
    options: dict[str, Any] = {"restart_on": [made, own, late], "ready": service.ready}
    assert service.does(**options)[0] == "started"
    assert service.does(**options) == ("none", [])
    # what comes when the process is running, it has not read
    ON.sh(f"echo 1 > {late}")
    assert service.does(**options) == ("restarted", [f"{late} changed"])
    ON.sh(f"echo other > {made}")
    assert service.does(**options) == ("restarted", [f"{made} changed"])


def test_every_file_it_was_started_from_counts(service: Service) -> None:
    conf, a, file = service.conf, service.a, service.file
    service.write(more=f"EnvironmentFile=-{conf}/*.env\nLoadCredential=token:{conf}/token")
    ON.sh(f"echo t > {conf}/token")
    options: dict[str, Any] = {"restart_on": [a], "ready": service.ready}
    assert service.does(**options)[0] == "started"
    dropin = f"{file}.d/x.conf"
    for script, *reasons in (
        (f"echo 2 > {a}; echo u > {conf}/token", f"{conf}/token changed", f"{a} changed"),
        (f"echo A=2 > {conf}/2.env", f"{conf}/2.env changed after the start"),
        (f"mkdir {file}.d; printf '[Service]\\nNice=1\\n' > {dropin}", f"{dropin} changed after the start"),
        # systemd has been told, so that it has nothing to say of its own
        (f"rm {dropin} {conf}/2.env; systemctl daemon-reload", f"{dropin} was removed", f"{conf}/2.env was removed"),
        # put back by rename with the times of before, as a restore does it
        (f"cp {a} {a}.b; echo 9 > {a}.b; touch -d 2020-01-01 {a}.b; mv {a}.b {a}", f"{a} changed"),
    ):
        ON.sh(script)
        assert service.does(**options) == ("restarted", reasons), script
    # the same content again, and a file of another directory: nothing
    ON.sh(f"cat {a} > {a}.b; mv {a}.b {a}; touch {file}; echo > {conf}/other; systemctl daemon-reload")
    assert service.does(**options) == ("none", [])


@pytest.mark.parametrize("who", ["systemd", "a person"])
def test_a_start_by_somebody_else_counts(service: Service, who: str) -> None:
    service.write(more="Restart=on-failure\nRestartSec=0.1")
    options: dict[str, Any] = {"restart_on": [service.a, f"{service.conf}/*.conf"], "ready": service.ready}
    service.good(**options)
    pid = service.show("MainPID")
    restart = f"systemctl restart {service.name}"
    if who == "systemd":
        restart = f"systemctl kill -s KILL {service.name}; while systemctl show {service.name} | grep -qx MainPID={pid}"
        restart += "; do sleep 0.1; done; sleep 1"
    ON.sh(f"echo 2 > {service.a}; echo x > {service.conf}/x.conf; sleep 0.1; {restart}")
    assert service.does(**options) == ("none", [])
    ON.sh(f"systemctl restart {service.name}; sleep 0.1; echo 3 > {service.a}; rm {service.conf}/x.conf")
    reasons = [f"{service.a} changed after the start", f"{service.conf}/x.conf was removed"]
    assert service.does(**options) == ("restarted", reasons)
    assert service.does(**options) == ("none", [])


def test_killed_while_it_restarts_the_next_run_knows(service: Service) -> None:
    """Killed before the restart, it is made; killed after it, it is not made again."""
    service.write(service.server)
    options: dict[str, Any] = {"restart_on": [service.a]}
    service.good(**options)
    call = json.dumps({"name": service.name, **options})
    for delay in ("0.3", "0.6", "1.2"):
        ON.sh(f"date > {service.a}")
        ON.sh(f"echo '{call}' | timeout -s KILL {delay} python3 {ON.place}/call.py {ON.place} unit", check=False)
        before = service.show("InactiveExitTimestampMonotonic")
        action, _reasons = service.does(**options)
        stale = "awk '{print $1}' /proc/uptime; date +%s.%N; stat -c %.9Z " + service.a
        uptime, now, changed = (float(word) for word in ON.sh(stale).split())
        read_before = now - uptime + int(before) / 1e6 > changed
        assert action == ("none" if read_before else "restarted")
        assert service.does(**options) == ("none", [])


def test_what_can_reload_is_not_restarted(service: Service) -> None:
    a, broken = service.a, f"{service.conf}/broken"
    service.write(more=f"ExecReload=/bin/sh -c 'test ! -e {broken} || {{ echo broken by test; exit 3; }}'")
    options: dict[str, Any] = {"restart_on": [f"{service.conf}/[ab]"], "reload_on": [a], "ready": service.ready}
    first = service.good(**options)
    ON.sh(f"echo 2 > {a}")
    assert service.does(**options) == ("reloaded", [f"{a} changed"])
    assert service.does(**options) == ("none", [])
    # somebody else's reload has read it too
    ON.sh(f"echo 3 > {a}; sleep 0.1; systemctl reload {service.name}")
    assert service.does(**options) == ("none", [])
    ON.sh(f"echo 4 > {a}; touch {broken}")
    message = service.fails(**options)
    assert f"could not reload ({a} changed): Job for {service.name} failed" in message and "broken by test" in message
    ON.sh(f"rm {broken}")
    result = service.good(**options)
    assert (result["action"], result["reasons"]) == ("reloaded", [f"{a} changed"])
    assert result["invocation_id"] == first["invocation_id"]

    service.write(more="ExecReload=/bin/sh -c '(sleep 0.3; kill -TERM $MAINPID) &'")
    service.good(**options)
    ON.sh(f"echo 5 > {a}")
    assert "its process" in service.fails(**options)
    service.write()
    service.good(**options)
    ON.sh(f"echo 6 > {a}")
    assert service.does(**options) == ("restarted", [f"{a} changed"])


def test_the_release_that_runs_is_the_one_on_disk(service: Service) -> None:
    top = "/opt/chainops-test"
    ON.sh(f"for v in 1 2; do mkdir -p {top}/$v; cp /usr/bin/sleep {top}/$v/; done; ln -sfn 1 {top}/current")
    # hardened as the roles' units are: its mount namespace is not the one that the module sees
    hardened = "ProtectSystem=strict\nPrivateTmp=true\nProtectHome=true\nReadWritePaths=/var/tmp\nDynamicUser=true"
    service.write(f"{top}/current/sleep 1000", more=hardened)
    options: dict[str, Any] = {"release": f"{top}/current"}
    service.good(**options)
    assert service.does(**options) == ("none", [])
    ON.sh(f"ln -sfn 2 {top}/current.new; mv -T {top}/current.new {top}/current")
    assert service.does(**options) == ("restarted", [f"it runs {top}/1/sleep, and {top}/current is {top}/2"])
    # replaced in place, as a package does it
    ON.sh(f"cp /usr/bin/sleep {top}/2/new; mv {top}/2/new {top}/2/sleep")
    assert service.does(**options) == ("restarted", [f"its program {top}/2/sleep was replaced"])
    assert service.does(**options) == ("none", [])
    ON.sh(f"rm -r {top}/1; ln -sfn 1 {top}/current")
    assert service.fails(**options).endswith(f"release = {top}/current: there is nothing at {top}/1")


def test_a_program_that_ends_fails_at_once_with_its_words(service: Service) -> None:
    often = "Restart=on-failure\nRestartSec=60"
    service.write("/bin/sh -c 'echo unknown flag --frobnicate >&2; exit 7'", more=often)
    begun = time.monotonic()
    message = service.fails(timeout=60)
    assert "exit status 7" in message and "unknown flag --frobnicate" in message
    # systemd would wait for a minute before its next try; a run with the mistake mended does not
    service.write(more=often)
    action, reasons = service.does(ready=service.ready)
    assert action == "restarted" and "its process keeps ending" in reasons[0]

    other = Service()
    other.write("/bin/sh -c 'sleep 2; echo out of memory; kill -ABRT $$'")
    message = other.fails(ready=other.ready, timeout=60)
    assert "was started, but its process ended" in message and "out of memory" in message
    # a program that answers on our port is not ours
    other.write(service.server)
    message = other.fails(ready=service.ready, timeout=60)
    assert "was started, but its process ended" in message and "Address already in use" in message
    assert time.monotonic() - begun < 60


def test_not_ready_in_time(service: Service) -> None:
    service.write(service.server)
    message = service.fails(ready={"tcp": "127.0.0.1:18899"}, timeout=1.5, log_lines=3)
    assert "is running but not ready at tcp 127.0.0.1:18899: connection refused (after 1.5 s)" in message
    assert len(message.splitlines()) <= 5
    # the next run does not restart what was started from what is on disk; it waits again
    pid, url = service.show("MainPID"), f"http://127.0.0.1:{service.port}"
    result = service.unit(ready={"http": f"{url}/no"}, timeout=1)
    assert f"is running but not ready at {url}/no: status 404 instead of 200 (after 1 s)" in result["msg"]
    assert not result["changed"] and service.show("MainPID") == pid
    service.good(ready={"http": f"{url}/no", "status": [200, 404]})


def test_a_start_limit_does_not_refuse_a_wanted_start(service: Service) -> None:
    limit = "StartLimitIntervalSec=600\nStartLimitBurst=2"
    service.write("/bin/false", unit=limit, more="Restart=always\nRestartSec=0.05")
    service.fails()
    ON.sh(f"until systemctl is-failed -q {service.name}; do sleep 0.2; done")
    service.write(unit=limit)
    assert service.does(ready=service.ready)[0] == "started"
    for number in range(3):
        ON.sh(f"echo {number}x > {service.a}")
        assert service.does(restart_on=[service.a], ready=service.ready)[0] == "restarted"


def test_a_slow_stop_is_not_part_of_the_timeout_and_a_slow_start_is(service: Service) -> None:
    """As geth: the old process takes longer to stop than the new one has to start."""
    trap = f'trap "sleep 4; exit" TERM; systemd-notify --ready; {service.server} & wait'
    service.write(f"/bin/sh -c '{trap}'", more="Type=notify\nNotifyAccess=all\nKillMode=mixed\nTimeoutStopSec=30")
    options: dict[str, Any] = {"restart_on": [service.a], "ready": service.ready, "timeout": 3}
    service.good(**{**options, "timeout": 20})
    ON.sh(f"echo 2 > {service.a}")
    assert service.does(**options)[0] == "restarted"
    # a person is stopping it at this moment: that comes to its end first
    ON.sh(f"systemctl stop --no-block {service.name}; sleep 0.2")
    assert service.does(**options)[0] == "started"

    loading = "/bin/sh -c 'systemd-notify --status=loading; exec sleep 1000'"
    service.write(loading, more="Type=notify\nNotifyAccess=all\nTimeoutStartSec=600")
    begun = time.monotonic()
    assert "is still activating (start): loading (after 3 s)" in service.fails(**options)
    assert time.monotonic() - begun < 30


def test_oneshot_timer_socket_and_instance(service: Service) -> None:
    conf, base = service.conf, service.name.removesuffix(".service")
    service.write(f"/bin/sh -c 'echo ran >> {conf}/ran'", more="Type=oneshot")
    options: dict[str, Any] = {"enabled": True, "restart_on": [service.a]}
    service.good(**options)
    assert service.does(**options) == ("none", [])
    ON.sh(f"echo 2 > {service.a}")
    assert service.does(**options) == ("restarted", [f"{service.a} changed"])
    assert ON.sh(f"cat {conf}/ran") == "ran\nran\n"

    timer, wanted = f"{UNITS}/{base}.timer", "[Install]\nWantedBy=timers.target\n"
    ON.write(timer, f"[Timer]\nOnCalendar=yearly\n{wanted}")
    assert service.good(name=f"{base}.timer", enabled=True)["sub_state"] == "waiting"
    ON.write(timer, f"[Timer]\nOnCalendar=monthly\n{wanted}")
    assert service.does(name=f"{base}.timer", enabled=True) == ("restarted", [f"{timer} changed"])

    held = Service()
    socket, name = f"{UNITS}/{held.name.replace('.service', '.socket')}", held.name.replace(".service", ".socket")
    held.write("/bin/sleep 1000")
    ON.write(socket, f"[Socket]\nListenStream=127.0.0.1:{held.port}\n")
    held.good(name=name)
    ON.sh(f"python3 -c \"import socket; socket.create_connection(('127.0.0.1', {held.port}))\"; sleep 0.5")
    assert held.show("ActiveState") == "active"
    ON.write(socket, f"[Socket]\nListenStream=127.0.0.1:{held.port + 50}\n")
    assert held.does(name=name, ready={"tcp": f"127.0.0.1:{held.port + 50}"})[0] == "restarted"
    assert held.show("ActiveState") == "active"

    template, one = f"{UNITS}/{base}-of@.service", f"{base}-of@one.service"
    service.write("/bin/sleep 1000", path=template)
    assert service.good(name=one.removesuffix(".service"), enabled=True)["name"] == one
    assert not service.good(name=one, enabled=True)["changed"]
    assert service.does(name=one, check=True, planned=[template]) == ("restarted", [f"{template} would change"])
    ON.sh(f"echo '# more' >> {template}")
    assert service.does(name=one) == ("restarted", [f"{template} changed"])


def test_enablement_and_what_cannot_be_started(service: Service) -> None:
    file = service.file
    service.write()
    service.good(enabled=True)
    ON.sh(f"sed -i 's/multi-user.target/network-online.target multi-user.target/' {file}")
    assert service.good(enabled=True)["enabled"]
    assert ON.sh(f"ls {UNITS}/network-online.target.wants/{service.name}")
    assert not service.good(enabled=True)["changed"]
    ON.sh(f"sed -i '/Install/,$d' {file}; rm {UNITS}/*.wants/{service.name}")
    assert "has no [Install] section" in service.fails(enabled=True)

    service.good(state="stopped")
    ON.sh(f"mv {file} {file}.away; ln -s /dev/null {file}; systemctl daemon-reload")
    assert f"{service.name} is masked on this host" in service.fails()
    assert not service.good(state="stopped")["changed"]
    ON.sh(f"rm {file}; echo '[Service]' > {file}")
    assert "systemd cannot use the unit's file (bad-setting)" in service.fails()
    service.write(unit="ConditionPathExists=/no/such/path")
    message = service.fails()
    assert "a condition of its unit" in message and "ConditionPathExists=/no/such/path" in message
    service.write(unit="Requires=chainops-test-no.service\nAfter=chainops-test-no.service")
    assert "chainops-test-no.service not found" in service.fails()


def test_no_op_is_cheap(service: Service) -> None:
    """Its own processor time, as the machine's other work does not count; most of it is Python's start."""
    service.write()
    options: dict[str, Any] = {"restart_on": [service.a], "ready": service.ready}
    service.good(**options)
    call = json.dumps({"name": service.name, **options})
    run = f"for n in 1 2 3; do echo '{call}' | python3 {ON.place}/call.py {ON.place} unit; done; times"
    output = ON.sh(run)
    assert output.count('"changed": false') == 3
    minutes_seconds = [word.rstrip("s").split("m") for word in output.split()[-2:]]
    assert sum(int(minutes) * 60 + float(seconds) for minutes, seconds in minutes_seconds) / 3 < 0.4, output
