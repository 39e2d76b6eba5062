"""PostgreSQL as its cases see it: who leads, under which policy and times, and what a prover writes through."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from ansible_collections.chainops.infra.plugins.module_utils.faults.core import Faults

from tests.lab.site import Site

from . import names
from .prover import writer
from .prover.engine import Pace
from .prover.run import Prover
from .prover.stores import Store
from .world_base import KEEP, Base, run_name

ASK_ETCD = "import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1], timeout=3).read().decode())"
ETCDCTL = (
    "etcdctl --endpoints=https://127.0.0.1:2379 --cacert=/etc/chainops/tls/ca.pem --cert=/etc/chainops/tls/host.pem "
    "--key=/etc/chainops/tls/host.key"
)


class Postgresql(Base):
    """The cluster, by Patroni's word and by SQL."""

    def __init__(self, site: Site, faults: Faults, full_length: bool) -> None:
        super().__init__(site, faults, full_length)
        self.rebuilt = 0
        """Members that had to be built anew, since they could not come back by themselves."""
        # the short form runs right after a converge, under the inventory's policy
        self._policy = "" if full_length else names.DEFAULT_RPO
        self.policy_changed = False

    def state(self) -> str:
        return f"members say {self.members()}"

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
            and member.get("timeline") == leaders[0].get("timeline")
            and member.get("lag") in (0, "0")
            for member in followers
        )

    def etcd_leader(self) -> str:
        """The member of etcd that leads, "" if none says so."""
        return next((host for host in names.ETCD if "\netcd_server_is_leader 1" in self._ask_etcd(host, "metrics")), "")

    def etcd_whole(self) -> bool:
        """Whether every member of etcd confirms what it reads with the leader.

        After a partition one was seen to find the others again only after 19 s; until then a second fault meets two.
        """
        return all('"health":"true"' in self._ask_etcd(host, "health") for host in names.ETCD)

    def lead_etcd(self, host: str) -> None:
        """Have a member of etcd lead it."""
        leader = self.etcd_leader()
        if leader == host:
            return
        status = json.loads(self.sh(host, f"{ETCDCTL} endpoint status -w json"))
        self.sh(leader, f"{ETCDCTL} move-leader {status[0]['Status']['header']['member_id']:x}")
        self.until(f"{host} leads etcd", lambda: self.etcd_leader() == host, 10)

    def _ask_etcd(self, host: str, what: str) -> str:
        return self.site.run(host, "python3", "-c", ASK_ETCD, f"http://127.0.0.1:2381/{what}", check=False).stdout

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
        self.until("every member of etcd is in step", self.etcd_whole, 60, 1)
        self.until("all WAL is in the repositories", self.archived, 120, 1)

    def diverged(self) -> list[str]:
        """Standbys that stream without lag and have other rows than the primary."""
        rows = "SELECT count(*), sum(number), sum(hashtext(run || timeline)) FROM prover_rows"
        right = self.sql(rows)
        return [host for host in self.standbys() if self.sql(rows, host=host) != right]

    def archived(self) -> bool:
        """Whether nothing waits for the repositories; a member that cannot archive at all shows only when it leads."""
        return self.sql("SELECT count(*) FROM pg_ls_archive_statusdir() WHERE name LIKE '%.ready'", "postgres") == "0"

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

    @contextmanager
    def timing(self, values: dict[str, int]) -> Iterator[None]:
        """Patroni with other times, over its REST API as a member of the cluster; put back at the end."""
        before = {name: self.patroni_config()[name] for name in values}
        try:
            self._patch(values)
            yield
        finally:
            self._patch(before)

    def lead(self, host: str) -> None:
        """Have a member lead before a case begins."""
        leader = self.wait_leader()
        if leader == host:
            return

        def told() -> bool:
            try:
                self._tell(leader, "POST", "/switchover", {"leader": leader, "candidate": host})
            except subprocess.CalledProcessError:
                # a member that has just come back may lead only when Patroni's next round has seen it in sync
                return False
            return True

        self.until(f"Patroni has {host} lead", told, 30, 1)
        self.until(f"{host} leads", lambda: self.leader() == host, 60)
        self.settle()

    def _tell(self, host: str, method: str, path: str, values: dict[str, Any]) -> None:
        """A request that changes something, made by a member with its certificate."""
        script = (
            "import json, ssl, urllib.request; "
            f"context = ssl.create_default_context(cafile='{names.CA}'); "
            "context.load_cert_chain('/etc/chainops/tls/host.pem', '/etc/chainops/tls/host.key'); "
            f"asked = urllib.request.Request('https://{self.address(host)}:{names.PATRONI_PORT}{path}', "
            f"data=json.dumps({values!r}).encode(), method={method!r}); "
            "urllib.request.urlopen(asked, timeout=60, context=context).read()"
        )
        self.site.run(host, "python3", "-c", script, timeout=90)

    def _patch(self, values: dict[str, Any]) -> None:
        self._tell(self.wait_leader(), "PATCH", "/config", values)
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
        try:
            for host in names.BALANCERS:
                self.sh(
                    host,
                    f"cp -a {path} {path}.kept; "
                    f"sed -i -E '/default-server check/{{s/ (inter|fastinter|downinter) [0-9]+m?s//g; "
                    f"s/ (rise|fall) [0-9]+//g; s/$/ {words}/}}' {path}; "
                    f"if cmp -s {path} {path}.kept; then exit 9; fi; systemctl reload haproxy",
                )
            time.sleep(5)
            yield
        finally:
            for host in names.BALANCERS:
                # a reload in the moment of a change may have read what was before: the next playbook would reload again
                back = f"mv {path}.kept {path}; sleep 1; systemctl reload haproxy"
                self.sh(host, f"if test -e {path}.kept; then {back}; fi")
            time.sleep(5)

    def sql(self, text: str, database: str = "prover", host: str = "") -> str:
        """A statement as the superuser on the leader (or a host); tuples only, unaligned."""
        where = host or self.wait_leader()
        argv = ["runuser", "-u", "postgres", "--", "psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-d", database, "-c", text]
        return self.site.run(where, *argv, timeout=300).stdout.strip()

    @contextmanager
    def restored(self) -> Iterator[Callable[[str], str]]:
        """The copy on the scratch host, started with a socket only; what is yielded asks it a statement."""
        run = names.RESTORED_RUN
        settings = {
            "config_file": f"{run}/postgresql.conf",
            "hba_file": f"{run}/pg_hba.conf",
            "listen_addresses": "",
            "unix_socket_directories": run,
            "archive_mode": "off",
            "ssl": "off",
            "shared_preload_libraries": "",
            "synchronous_standby_names": "",
        }
        words = " ".join(f"-c {name}={value}" for name, value in settings.items())
        ask = ["runuser", "-u", "postgres", "--", "psql", "-XAtq", "-h", run, "-d", "prover", "-c"]
        start = f"systemd-run -q --collect --unit=case-restored -p User=postgres {names.BIN_DIR}/postgres"
        self.sh(names.SCRATCH, f"{start} -D {names.RESTORED} {words}")
        try:
            self.until(
                "the restored copy answers",
                lambda: self.site.run(names.SCRATCH, *ask, "SELECT 1", check=False).returncode == 0,
                60,
            )
            yield lambda text: self.site.run(names.SCRATCH, *ask, text).stdout.strip()
        finally:
            self.site.run(names.SCRATCH, "systemctl", "stop", "case-restored", check=False)

    def postgresql_options(self, pooled: bool = False) -> writer.Options:
        return writer.Options(
            password_file=names.PASSWORDS["postgresql"], ca=str(self.ca), server_name=self.server_name, pooled=pooled
        )

    def prove_postgresql(
        self, name: str, rate: float = 100.0, ports: tuple[int, ...] = (), pooled: bool = False
    ) -> Prover:
        """A prover through the balancers of both regions."""
        addresses = [
            f"{self.address(host)}:{port}" for port in ports or (names.PRIMARY_PORT,) for host in names.BALANCERS
        ]
        store = Store("postgresql", addresses, run_name(name), self.postgresql_options(pooled))
        return Prover(store, KEEP / f"{name}.jsonl", Pace(rate=rate, connections=8, timeout=6.0))
