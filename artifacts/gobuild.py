# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""One go build, with its progress on standard error."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import time
from pathlib import Path

# Seconds between lines where standard error is no terminal.
REPORT_EVERY = float(os.environ.get("CHAINOPS_PROGRESS_SECONDS", "10"))


class Progress:
    """One line that changes on a terminal, a line every ten seconds elsewhere (CI logs)."""

    def __init__(self, title: str):
        self.title = title
        self.started = time.monotonic()
        self.state = "starting"
        self._tty = sys.stderr.isatty()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Progress:
        self._thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._stop.set()
        self._thread.join()
        if self._tty:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.started

    def _run(self) -> None:
        while not self._stop.wait(0.5 if self._tty else REPORT_EVERY):
            line = f"{self.title}: {self.state}, {self.seconds:.0f} s"
            sys.stderr.write(f"\r\x1b[K{line[:110]}" if self._tty else f"{line}\n")
            sys.stderr.flush()


def _run(command: list[str], directory: Path, environment: dict[str, str], on_line) -> str:
    """Run a go command; every line of its standard error goes to on_line. Returns its standard output."""
    process = subprocess.Popen(
        # It must not starve what runs beside it, and must not go on when this process is killed.
        ["setpriv", "--pdeathsig", "TERM", "nice", "-n", "10", *command],
        cwd=directory,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    stdout, stderr = process.stdout, process.stderr
    assert stdout and stderr
    output: list[str] = []
    reader = threading.Thread(target=lambda: output.append(stdout.read()), daemon=True)
    reader.start()
    errors: list[str] = []
    try:
        for line in stderr:
            errors.append(line)
            on_line(line.strip())
        process.wait()
    except BaseException:
        process.kill()
        process.wait()
        raise
    reader.join()
    if process.returncode:
        tail = "".join(line for line in errors if not line.startswith("go: downloading"))[-4000:]
        raise SystemExit(f"artifacts: {' '.join(command[:3])} in {directory} failed with {process.returncode}:\n{tail}")
    return "".join(output)


def go_flags(artifact: dict) -> list[str]:
    """What `go build` is told: stripped, without a build id, so that the same sources give the same bytes."""
    linker = ["-s", "-w", "-buildid=", *artifact.get("ldflags", [])]
    return ["-tags", ",".join(artifact.get("tags", [])), "-ldflags", " ".join(linker)]


def build(go: str, artifact: dict, environment: dict[str, str], *, target: Path, title: str) -> float:
    """Build every package of an artifact into the directory `target`, an executable each. Returns the seconds."""
    flags, packages, source = go_flags(artifact), artifact["packages"], artifact["source"]
    with Progress(title) as progress:
        downloads = 0

        def downloading(line: str) -> None:
            nonlocal downloads
            if line.startswith("go: downloading"):
                downloads += 1
                progress.state = f"fetching modules, {downloads} so far ({line.split()[2]})"

        progress.state = "resolving modules"
        form = "{{if and .Stale (not .Standard)}}{{.ImportPath}}{{end}}"
        stale = _run([go, "list", "-deps", *flags, "-f", form, *packages.values()], source, environment, downloading)
        wanted = max(len(stale.split()), 1)
        compiled = 0

        def compiling(line: str) -> None:
            nonlocal compiled
            if re.fullmatch(r"[\w.~/-]+", line):
                compiled += 1
                progress.state = f"{min(compiled, wanted)} of {wanted} packages ({line})"

        for binary, package in packages.items():
            progress.state = f"{min(compiled, wanted)} of {wanted} packages, then linking {binary}"
            _run([go, "build", "-v", *flags, "-o", str(target / binary), package], source, environment, compiling)
        return progress.seconds
