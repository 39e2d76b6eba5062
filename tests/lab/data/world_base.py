"""The ground of the data layer's cases: hosts, answers over TLS, commands, faults and metrics."""

from __future__ import annotations

import ssl
import statistics
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path

from ansible_collections.chainops.infra.plugins.module_utils.faults.core import Faults

from tests.lab.results import RESULTS
from tests.lab.site import Run, Site

from . import names

KEEP = RESULTS / "data"
"""Traces and other files of cases."""


class Base:
    """The running lab. ``faults`` undoes whatever a case leaves behind."""

    def __init__(self, site: Site, faults: Faults, full_length: bool) -> None:
        self.site = site
        self.faults = faults
        self.full_length = full_length

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
        raise AssertionError(f"{what}: not within {timeout:g} s; {self.state()}")

    def state(self) -> str:
        """What a message says of the site."""
        return ""

    def mend(self) -> None:
        """Undo all faults at once, as one electrician would: a member of etcd starts only when another one does too."""
        entries = self.faults.active()
        if entries:
            with ThreadPoolExecutor(len(entries)) as pool:
                list(pool.map(self.faults.undo, entries))

    def sh(self, host: str, script: str, check: bool = True, timeout: float = 120) -> str:
        """A shell script as root on a host; its output."""
        return self.site.run(host, "sh", "-ec", script, check=check, timeout=timeout).stdout.strip()

    def play_layer(self, *arguments: str) -> Run:
        return self.site.play(names.LAYER, *arguments, timeout=1800)

    def incarnations(self, unit: str, hosts: Iterable[str]) -> dict[str, str]:
        """Which start of a unit runs on each host; another one means that it was restarted."""
        script = f"systemctl show -p InvocationID -p MainPID --value {unit} | tr '\\n' ' '"
        return {host: self.sh(host, script) for host in hosts}

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
