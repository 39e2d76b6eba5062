# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A server of its own for a moment: loopback, ports that are free, no retention, no queries, gone afterwards."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import time
from pathlib import Path

from .backups import BackupError
from .client import Client, InfluxError

CONFIG = """\
reporting-disabled = true
bind-address = "127.0.0.1:{rpc}"
[meta]
  dir = "{home}/meta"
[data]
  dir = "{home}/data"
  wal-dir = "{home}/wal"
  index-version = "tsi1"
  query-log-enabled = false
  cache-max-memory-size = 0
  max-series-per-database = 0
  max-values-per-tag = 0
[http]
  bind-address = "127.0.0.1:{http}"
  auth-enabled = false
  log-enabled = false
[monitor]
  store-enabled = false
[continuous_queries]
  enabled = false
[retention]
  enabled = false
[subscriber]
  enabled = false
"""


def free_ports(count: int) -> list[int]:
    """Ports that nobody has at this moment."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _number in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


class Scratch:
    """Used as a context: running inside, ended and removed after it. The directory must not exist or be empty."""

    def __init__(self, home: Path, influxd: str = "/usr/bin/influxd", user: str = "", timeout: float = 60) -> None:
        self.home, self._influxd, self._user, self._timeout = home, influxd, user, timeout
        http, rpc = free_ports(2)
        self.rpc = f"127.0.0.1:{rpc}"
        self.client = Client(f"http://127.0.0.1:{http}", timeout=3600)
        self._config = CONFIG.format(home=home, http=http, rpc=rpc)
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Scratch:
        self.home.mkdir(parents=True, exist_ok=True)
        config = self.home / "influxdb.conf"
        config.write_text(self._config, encoding="utf-8")
        config.chmod(0o644)
        if self._user:
            shutil.chown(self.home, self._user)
        try:
            self._process = subprocess.Popen(
                # Less than the real server's share of the host.
                ["nice", "-n", "10", self._influxd, "-config", str(config)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                user=self._user or None,
                group=self._user or None,
                extra_groups=[] if self._user else None,
                env={"PATH": "/usr/bin:/bin", "HOME": str(self.home)},
            )
            self._wait()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _wait(self) -> None:
        until = time.monotonic() + self._timeout
        while time.monotonic() < until:
            if self._process and self._process.poll() is not None:
                raise BackupError(f"the scratch server ended with {self._process.returncode}")
            with contextlib.suppress(InfluxError):
                self.client.version()
                return
            time.sleep(0.2)
        raise BackupError(f"the scratch server does not answer after {self._timeout:.0f} s")

    def __exit__(self, *_unused: object) -> None:
        if self._process and self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        shutil.rmtree(self.home, ignore_errors=True)  # nothing of a restored copy is left behind
