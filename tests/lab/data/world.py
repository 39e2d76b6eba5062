"""What a case of the data layer has at hand: the site, its faults, provers through the balancers, and who leads."""

from __future__ import annotations

import json
import ssl
import statistics
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

from ansible_collections.chainops.infra.plugins.module_utils.faults.core import Faults

from tests.lab.results import RESULTS
from tests.lab.site import Run, Site

from . import names
from .prover import influx_writer, redis_writer, writer
from .prover.engine import Pace
from .prover.run import Prover
from .prover.stores import Store

KEEP = RESULTS / "data"
"""Traces and other files of cases."""
ETCD_LEADER = (
    "import urllib.request; text = urllib.request.urlopen('http://127.0.0.1:2381/metrics', timeout=3).read().decode(); "
    "print(int('\\netcd_server_is_leader 1' in text))"
)


class World:
    """The running lab. ``faults`` undoes whatever a case leaves behind."""

    def __init__(self, site: Site, faults: Faults, full_length: bool) -> None:
        self.site = site
        self.faults = faults
        self.full_length = full_length
        self.rebuilt = 0
        """Members that had to be built anew, since they could not come back by themselves."""
        # the short form runs right after a converge, under the inventory's policy
        self._policy = "" if full_length else names.DEFAULT_RPO
        self.policy_changed = False

    # --- addresses and answers

    def address(self, host: str) -> str:
        """A host's address; the inventory gives it as a template over the lab's base."""
        given = self.site.variables(host)
        return str(given.get("site_address") or given["ansible_host"]).replace("{{ lab_base }}", names.BASE)

    def region(self, host: str) -> str:
        return str(self.site.variables(host).get("site_region", ""))

    def group(self, *groups: str) -> list[str]:
        """All hosts of some groups, each once."""
        return list(dict.fromkeys(host for group in groups for host in self.site.hosts(group)))

    def region_hosts(self, region: str) -> list[str]:
        """The data layer's hosts of a region."""
        return [host for host in self.everyone if self.region(host) == region]

    @cached_property
    def everyone(self) -> list[str]:
        """The hosts of the data layer."""
        groups = ("postgresql", "etcd", "redis", "redis_sentinel", "influxdb", "data_balancers")
        return self.group(*groups, "pgbackrest_repository", "pgbackrest_restore")

    @cached_property
    def ca(self) -> Path:
        """The site's CA certificate, read from a host."""
        KEEP.mkdir(parents=True, exist_ok=True)
        path = KEEP / "ca.pem"
        path.write_text(self.site.run(names.WITNESS, "cat", names.CA).stdout, encoding="utf-8")
        return path

    @cached_property
    def server_name(self) -> str:
        """The name that all servers' certificates bear besides their own: a balancer passes TLS through."""
        extra = self.site.variables(names.POSTGRESQL[0]).get("host_certificate_extra_names") or ["localhost"]
        return str(extra[0])

    def get(self, host: str, port: int, path: str, timeout: float = 3.0) -> tuple[int, str]:
        """(status, body) of a GET over TLS, verified; (0, reason) where nothing answers."""
        context = ssl.create_default_context(cafile=str(self.ca))
        try:
            with urllib.request.urlopen(
                f"https://{self.address(host)}:{port}{path}", timeout=timeout, context=context
            ) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError as error:
            return 0, str(error)

    def until(self, what: str, holds: Callable[[], bool], timeout: float, interval: float = 0.3) -> float:
        """Seconds until it holds; AssertionError names what did not come."""
        started = time.monotonic()
        while time.monotonic() - started < timeout:
            if holds():
                return time.monotonic() - started
            time.sleep(interval)
        raise AssertionError(f"{what}: not within {timeout:g} s; members say {self.members()}")

    def mend(self) -> None:
        """Undo all faults at once, as one electrician would: a member of etcd starts only when another one does too."""
        entries = self.faults.active()
        if entries:
            with ThreadPoolExecutor(len(entries)) as pool:
                list(pool.map(self.faults.undo, entries))

    def sh(self, host: str, script: str, check: bool = True, timeout: float = 120) -> str:
        """A shell script as root on a host; its output."""
        return self.site.run(host, "sh", "-ec", script, check=check, timeout=timeout).stdout.strip()

    # --- PostgreSQL

    def members(self, ask: tuple[str, ...] = names.POSTGRESQL) -> list[dict[str, Any]]:
        """Patroni's view of its members, from the first that answers."""
        for host in ask:
            status, body = self.get(host, names.PATRONI_PORT, "/cluster")
            if status == 200:
                return list(json.loads(body)["members"])
        return []

    def leader(self) -> str:
        """The member that holds the lock, "" while there is none."""
        return next((member["name"] for member in self.members() if member["role"] == "leader"), "")

    def wait_leader(self, timeout: float = 90, other_than: str = "") -> str:
        """The leader, once there is one (and another one where asked)."""
        self.until(
            f"a leader{' other than ' + other_than if other_than else ''}",
            lambda: self.leader() not in ("", other_than),
            timeout,
        )
        return self.leader()

    def standbys(self) -> list[str]:
        return [host for host in names.POSTGRESQL if host != self.leader()]

    def in_sync(self) -> bool:
        """All members there, one leader, the others stream the same timeline without lag."""
        members = self.members()
        leaders = [member for member in members if member["role"] == "leader" and member["state"] == "running"]
        if len(members) != len(names.POSTGRESQL) or len(leaders) != 1:
            return False
        followers = [member for member in members if member is not leaders[0]]
        return all(
            member["state"] == "streaming"
            and member.get("timeline") == leaders[0]["timeline"]
            and member.get("lag") in (0, "0")
            for member in followers
        )

    def etcd_leader(self) -> str:
        """The member of etcd that leads, "" if none says so."""
        for host in names.ETCD:
            if self.site.run(host, "python3", "-c", ETCD_LEADER, check=False).stdout.strip() == "1":
                return host
        return ""

    def settle(self) -> None:
        """The state every case begins in. A member that cannot come back by itself is built anew."""
        try:
            self.until("every member streams without lag", self.in_sync, 120, 1)
        except AssertionError:
            lagging = self._not_streaming()
            if not lagging or not self.leader():
                raise
            for host in lagging:
                self.rebuild(host)
            self.until("every member streams without lag", self.in_sync, 180, 1)
        self.until("etcd has a leader", lambda: bool(self.etcd_leader()), 60, 1)

    def rebuild(self, host: str) -> None:
        """What an operator does with a member that pg_rewind cannot help: its data directory is put away by hand."""
        self.sh(host, f"systemctl stop patroni; rm -rf {names.DATA_DIR}; systemctl start patroni", timeout=330)
        self.rebuilt += 1

    def _not_streaming(self) -> list[str]:
        known = {member["name"]: member for member in self.members()}
        leader = self.leader()
        return [
            host
            for host in names.POSTGRESQL
            if host != leader and known.get(host, {}).get("state") not in ("streaming", "running")
        ]

    def patroni_config(self) -> dict[str, Any]:
        """The dynamic configuration now in force."""
        for host in names.POSTGRESQL:
            status, body = self.get(host, names.PATRONI_PORT, "/config")
            if status == 200:
                return dict(json.loads(body))
        raise AssertionError("no member tells its configuration")

    @property
    def ttl(self) -> float:
        return float(self.patroni_config()["ttl"])

    def policy(self, rpo: str) -> None:
        """Bring the cluster under a policy by its playbook, as a user does; nothing is done where it is already."""
        if self._policy == rpo:
            return
        self._policy = ""
        self.policy_changed = True
        self.play_layer("-e", f"{names.RPO}={rpo}", "--limit", ",".join(names.POSTGRESQL)).check()
        self._policy = rpo

    def play_layer(self, *arguments: str) -> Run:
        return self.site.play(names.LAYER, *arguments, timeout=1800)

    @contextmanager
    def timing(self, values: dict[str, int]) -> Iterator[None]:
        """Patroni with other times, over its REST API as a member of the cluster; put back at the end."""
        before = {name: self.patroni_config()[name] for name in values}
        try:
            self._patch(values)
            yield
        finally:
            self._patch(before)

    def _patch(self, values: dict[str, Any]) -> None:
        host = self.wait_leader()
        script = (
            "import json, ssl, urllib.request; "
            f"context = ssl.create_default_context(cafile='{names.CA}'); "
            "context.load_cert_chain('/etc/chainops/tls/host.pem', '/etc/chainops/tls/host.key'); "
            f"asked = urllib.request.Request('https://{self.address(host)}:{names.PATRONI_PORT}/config', "
            f"data=json.dumps({values!r}).encode(), method='PATCH'); "
            "urllib.request.urlopen(asked, timeout=5, context=context).read()"
        )
        self.site.run(host, "python3", "-c", script)
        self.until(
            f"Patroni with {values}",
            lambda: values.items() <= self.patroni_config().items(),
            30,
        )
        # every member reads it in its next round
        time.sleep(float(self.patroni_config()["loop_wait"]) + 1)

    @contextmanager
    def checks(self, words: str) -> Iterator[None]:
        """The balancers looking at PostgreSQL's servers at another pace; put back at the end."""
        path = names.HAPROXY_POSTGRESQL
        for host in names.BALANCERS:
            self.sh(
                host,
                f"cp -a {path} {path}.kept; "
                f"sed -i -E '/default-server check/{{s/ (inter|fastinter|downinter) [0-9]+m?s//g; "
                f"s/ (rise|fall) [0-9]+//g; s/$/ {words}/}}' {path}; "
                f"if cmp -s {path} {path}.kept; then exit 9; fi; systemctl reload haproxy",
            )
        time.sleep(5)
        try:
            yield
        finally:
            for host in names.BALANCERS:
                self.sh(host, f"mv {path}.kept {path}; systemctl reload haproxy")
            time.sleep(5)

    def sql(self, text: str, database: str = "prover", host: str = "") -> str:
        """A statement as the superuser on the leader (or a host); tuples only, unaligned."""
        where = host or self.wait_leader()
        argv = ["runuser", "-u", "postgres", "--", "psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-d", database, "-c", text]
        return self.site.run(where, *argv, timeout=300).stdout.strip()

    def prove_postgresql(self, name: str, rate: float = 100.0, ports: tuple[int, ...] = ()) -> Prover:
        """A prover through the balancers of both regions."""
        addresses = [
            f"{self.address(host)}:{port}" for port in ports or (names.PRIMARY_PORT,) for host in names.BALANCERS
        ]
        options = writer.Options(
            password_file=names.PASSWORDS["postgresql"], ca=str(self.ca), server_name=self.server_name
        )
        store = Store("postgresql", addresses, run_name(name), options)
        return Prover(store, KEEP / f"{name}.jsonl", Pace(rate=rate, connections=8, timeout=6.0))

    # --- Redis

    def redis_master(self) -> str:
        """The host whose agent says that Sentinel's quorum names it; "" while none does."""
        said = [
            host for host in self.site.hosts("redis") if self.get(host, names.REDIS_AGENT_PORT, "/primary")[0] == 200
        ]
        return said[0] if len(said) == 1 else ""

    def wait_redis_master(self, timeout: float = 60, other_than: str = "") -> str:
        self.until("a master of Redis", lambda: self.redis_master() not in ("", other_than), timeout)
        return self.redis_master()

    def redis_replicas(self) -> list[str]:
        master = self.redis_master()
        return [host for host in self.site.hosts("redis") if host != master]

    def redis_options(self, replicas: int) -> redis_writer.Options:
        return redis_writer.Options(
            password_file=names.PASSWORDS["redis"], ca=str(self.ca), server_name=self.server_name, replicas=replicas
        )

    def prove_redis(self, name: str, replicas: int = 2, rate: float = 100.0) -> Prover:
        """A prover through the balancers; acknowledged by so many replicas."""
        addresses = [f"{self.address(host)}:{names.REDIS_FRONTEND}" for host in names.BALANCERS]
        store = Store("redis", addresses, run_name(name), self.redis_options(replicas))
        return Prover(store, KEEP / f"{name}.jsonl", Pace(rate=rate, connections=4, timeout=5.0))

    def redis_info(self, host: str) -> dict[str, str]:
        """INFO of one server, asked past the balancers; empty where it does not answer."""
        options = self.redis_options(0)
        address = f"{self.address(host)}:6379"
        try:
            text = redis_writer.insist([address], options, lambda c: redis_writer.ask(c, "INFO", "everything"), 3.0)
        except redis_writer.CannotConnect:
            return {}
        lines = redis_writer.text(text).splitlines()
        return dict(line.split(":", 1) for line in lines if ":" in line)

    def settle_redis(self) -> None:
        """One master, all others follow it."""

        def settled() -> bool:
            master = self.redis_master()
            if not master:
                return False
            count = len(self.site.hosts("redis")) - 1
            found = self.redis_info(master)
            lags = [found.get(f"slave{number}", "") for number in range(count)]
            return found.get("connected_slaves") == str(count) and all("state=online" in lag for lag in lags)

        self.until("one master of Redis that all others follow", settled, 120, 1)

    # --- InfluxDB

    def influx_options(self, **more: Any) -> influx_writer.Options:
        return influx_writer.Options(password_file=names.PASSWORDS["influxdb"], ca=str(self.ca), **more)

    def prove_influxdb(self, name: str, batches: float = 20.0, **more: Any) -> Prover:
        """A prover of batches, straight to the one host."""
        options = self.influx_options(base_ns=influx_writer.base_now(), **more)
        store = Store("influxdb", [f"{self.address(names.INFLUXDB)}:{names.INFLUXDB_PORT}"], run_name(name), options)
        return Prover(store, KEEP / f"{name}.jsonl", Pace(rate=batches, connections=4, timeout=15.0))

    def influx(self, text: str, database: str = "prover") -> list[Any]:
        address = f"{self.address(names.INFLUXDB)}:{names.INFLUXDB_PORT}"
        return influx_writer.query(address, self.influx_options(), text, database=database)

    # --- what must not be touched

    def incarnations(self, unit: str, hosts: Iterable[str]) -> dict[str, str]:
        """Which start of a unit runs on each host; another one means that it was restarted."""
        script = f"systemctl show -p InvocationID -p MainPID --value {unit} | tr '\\n' ' '"
        return {host: self.sh(host, script) for host in hosts}

    # --- metrics and reports

    def metric(self, host: str, name: str) -> dict[str, float]:
        """The samples of a metric that timers have written on a host, by their labels."""
        text = self.sh(host, f"cat {names.METRICS}/*.prom 2>/dev/null || true")
        found = {}
        for line in text.splitlines():
            head, _blank, value = line.rpartition(" ")
            if head.partition("{")[0] == name:
                found[head[len(name) :]] = float(value)
        return found


def run_name(name: str) -> str:
    """A run's name in the store: the case, and when."""
    return f"{name}-{int(time.time())}"


def median(values: list[float]) -> float:
    return round(statistics.median(values), 3)
