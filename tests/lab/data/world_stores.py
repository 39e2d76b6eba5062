"""Redis and InfluxDB as their cases see them."""

from __future__ import annotations

import json
from typing import Any

from . import names
from .prover import influx_writer, redis_writer
from .prover.engine import Pace
from .prover.run import Prover
from .prover.stores import Store
from .world_base import KEEP, Base, run_name


class Redis(Base):
    """The master is who Sentinel's quorum names."""

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


class Influxdb(Base):
    """The one host."""

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

    def influx_admin(self, text: str, database: str = "") -> list[Any]:
        """A query as the administrator, made on the host, where the password is."""
        url = f"https://{self.address(names.INFLUXDB)}:{names.INFLUXDB_PORT}/query"
        script = (
            "import base64, ssl, urllib.parse, urllib.request; "
            f"context = ssl.create_default_context(cafile='{names.CA}'); "
            f"password = open('{names.INFLUXDB_ADMIN_PASSWORD}').readline().strip(); "
            "key = base64.b64encode(b'admin:' + password.encode()).decode(); "
            f"data = urllib.parse.urlencode({{'db': {database!r}, 'q': {text!r}}}).encode(); "
            f"asked = urllib.request.Request({url!r}, data=data, headers={{'Authorization': 'Basic ' + key}}); "
            "print(urllib.request.urlopen(asked, timeout=60, context=context).read().decode())"
        )
        (result,) = json.loads(self.site.run(names.INFLUXDB, "python3", "-c", script, timeout=90).stdout)["results"]
        assert "error" not in result, f"{text}: {result['error']}"
        return list(result.get("series", []))
