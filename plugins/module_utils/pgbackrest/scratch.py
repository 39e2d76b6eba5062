# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A PostgreSQL of one's own on a restored data directory: a private socket, no network, and no WAL into any archive."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
import typing as t
from pathlib import Path

from .command import SHOWN, PgbackrestError, identity, run
from .psql import Psql

POLL_SECONDS = 0.3
PORT = 5432
OF_RECOVERY = (
    "restore_command",
    "recovery_target",
    *(f"recovery_target_{kind}" for kind in ("action", "inclusive", "lsn", "name", "time", "timeline", "xid")),
)
TELLING = ("FATAL", "PANIC", "ERROR", "HINT", "not found")


class Scratch:
    """Started on entering, ended on leaving; the restored configuration is not used, as it is another host's."""

    def __init__(
        self,
        data_dir: Path,
        run_dir: Path,
        bin_dir: Path,
        user: str | None,
        *,
        archive: bool = False,
        memory_mb: int = 256,
    ) -> None:
        self.data_dir, self.run_dir, self.bin_dir, self.user = data_dir, run_dir, bin_dir, user
        self.archive, self.memory_mb = archive, memory_mb
        self.log = run_dir / "postgres.log"
        self._process: subprocess.Popen[bytes] | None = None

    def settings(self) -> dict[str, str]:
        """These win over postgresql.auto.conf, in which pgBackRest says how WAL is fetched and where to stop."""
        return {
            "config_file": str(self.run_dir / "postgresql.conf"),
            "hba_file": str(self.run_dir / "pg_hba.conf"),
            "ident_file": str(self.run_dir / "pg_ident.conf"),
            "listen_addresses": "",
            "unix_socket_directories": str(self.run_dir),
            "port": str(PORT),
            "ssl": "off",
            # Replay needs no more, and nobody asks before the end, so that the limits of the old host need not be kept.
            "hot_standby": "off",
            "shared_buffers": f"{self.memory_mb}MB",
            "huge_pages": "off",
            "shared_preload_libraries": "",
            "synchronous_standby_names": "",
            # A scratch copy must not write its own timeline into the repositories. Where the copy becomes the cluster,
            # what it writes is kept until the real server archives it.
            "archive_mode": "on" if self.archive else "off",
            "archive_command": "/bin/false" if self.archive else "",
            "logging_collector": "off",
            "log_destination": "stderr",
        }

    def start(self) -> None:
        who = identity(self.user)
        self.run_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name, text in (("postgresql.conf", ""), ("pg_hba.conf", "local all all trust\n"), ("pg_ident.conf", "")):
            (self.run_dir / name).write_text(text)
        for path in [self.run_dir, *self.run_dir.iterdir()] if who else []:
            os.chown(path, who["user"], who["group"])
        words = [str(self.bin_dir / "postgres"), "-D", str(self.data_dir)]
        for key, value in self.settings().items():
            words += ["-c", f"{key}={value}"]
        env = {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LC_ALL": "C.UTF-8", "HOME": "/"}
        with open(self.log, "wb") as log:
            try:
                self._process = subprocess.Popen(
                    words,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env=env,
                    cwd="/",
                    start_new_session=True,
                    **who,
                )
            except OSError as error:
                raise PgbackrestError(f"{words[0]} cannot be started: {error.strerror}") from None

    def psql(self, database: str = "postgres") -> Psql:
        return Psql(str(self.run_dir), PORT, database, self.user, program=str(self.bin_dir / "psql"))

    def wait_promoted(self, timeout: float) -> None:
        """Until it has reached its target and takes writes. A server that ends before that has not reached it."""
        end = time.monotonic() + timeout
        while True:
            if self._process is None or self._process.poll() is not None:
                raise PgbackrestError(f"PostgreSQL ended before it reached the target: {self.last_log()}")
            with contextlib.suppress(PgbackrestError):
                if self.psql().row("SELECT to_json(NOT pg_is_in_recovery());", 10):
                    return
            if time.monotonic() >= end:
                raise PgbackrestError(f"PostgreSQL has not reached the target after {timeout:g} s: {self.last_log()}")
            time.sleep(POLL_SECONDS)

    def forget_target(self) -> None:
        """Take back what pgBackRest wrote for this recovery. Clones inherit it, and would stop at the same target."""
        self.psql().rows("\n".join(f"ALTER SYSTEM RESET {name};" for name in OF_RECOVERY), 60)

    def last_log(self) -> str:
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        # What our own asking has put there, while it was not ready, tells nothing.
        lines = [line for line in lines if "not accepting" not in line and "starting up" not in line]
        telling = [line for line in lines if any(word in line for word in TELLING)]
        return "\n".join((telling or lines)[-8:])[-SHOWN:]

    def stop(self, timeout: float = 300) -> None:
        """A clean end, after which checksums can be verified; it is killed where it takes too long."""
        process = self._process
        if process is None or process.poll() is not None:
            return
        with contextlib.suppress(PgbackrestError):
            run(
                [
                    str(self.bin_dir / "pg_ctl"),
                    "-D",
                    str(self.data_dir),
                    "-m",
                    "fast",
                    "-w",
                    "-t",
                    str(int(timeout)),
                    "stop",
                ],
                self.user,
                timeout=timeout + 30,
            )
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(30)
            raise PgbackrestError(f"PostgreSQL did not end within {timeout:g} s and was killed") from None

    def __enter__(self) -> Scratch:
        self.start()
        return self

    def __exit__(self, *exc: t.Any) -> None:
        with contextlib.suppress(PgbackrestError):
            self.stop()
