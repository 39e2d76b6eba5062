"""The lab's site as tests see it: its inventory, its hosts by ssh, and ansible-playbook as a user runs it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
INVENTORY = ROOT / "inventories" / "lab" / "ethereum.yml"
BIN = Path(sys.executable).parent

RECAP = re.compile(
    r"^(?P<host>\S+)\s+: ok=(?P<ok>\d+)\s+changed=(?P<changed>\d+)\s+"
    r"unreachable=(?P<unreachable>\d+)\s+failed=(?P<failed>\d+)",
    re.MULTILINE,
)


@dataclass
class Run:
    """One finished ansible-playbook."""

    argv: list[str]
    returncode: int
    output: str
    seconds: float

    @property
    def recap(self) -> dict[str, dict[str, int]]:
        """Counts by host, from the play recap."""
        return {
            match["host"]: {name: int(match[name]) for name in ("ok", "changed", "unreachable", "failed")}
            for match in RECAP.finditer(self.output)
        }

    @property
    def changed(self) -> dict[str, int]:
        """The hosts on which something changed."""
        return {host: counts["changed"] for host, counts in self.recap.items() if counts["changed"]}

    def check(self) -> Run:
        """Return this run, or fail with the end of its output."""
        assert self.returncode == 0, f"{' '.join(self.argv)} exited {self.returncode}:\n{self.output[-6000:]}"
        return self


class Site:
    """The running lab, as its inventory describes it, or several of them together."""

    def __init__(self, inventory: Path = INVENTORY, *more: Path) -> None:
        self.inventory = inventory
        self._sources = [word for path in (inventory, *more) for word in ("-i", str(path))]

    @cached_property
    def _described(self) -> dict[str, Any]:
        listed = subprocess.run(
            [BIN / "ansible-inventory", *self._sources, "--list"],
            cwd=ROOT,
            check=True,
            capture_output=True,
            text=True,
        )
        return json.loads(listed.stdout)

    def hosts(self, group: str = "all") -> list[str]:
        """The names of a group's hosts, in inventory order."""
        if group == "all":
            return list(self._described["_meta"]["hostvars"])
        entry = self._described.get(group, {})
        names = list(entry.get("hosts", []))
        for child in entry.get("children", []):
            names += [host for host in self.hosts(child) if host not in names]
        return names

    def variables(self, host: str) -> dict[str, Any]:
        """A host's variables as the inventory gives them (templates unevaluated)."""
        return self._described["_meta"]["hostvars"][host]

    def run(self, host: str, *argv: str, check: bool = True, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        """Run a command as root on a lab host, by the lab's own door."""
        return subprocess.run(
            [ROOT / "tools" / "lab", "run", host, *argv],
            check=check,
            capture_output=True,
            text=True,
            timeout=timeout,
        )

    def command(self, playbook: str, *arguments: str) -> list[str]:
        """The ansible-playbook command line a user would type."""
        return [str(BIN / "ansible-playbook"), *self._sources, playbook, *arguments]

    def play(self, playbook: str, *arguments: str, timeout: float = 1200, env: dict[str, str] | None = None) -> Run:
        """Run a playbook (``chainops.infra.site``) to its end; however this ends, none of its processes is left."""
        argv = self.command(playbook, *arguments)
        started = time.monotonic()
        with subprocess.Popen(
            argv,
            cwd=ROOT,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            # ansible-playbook has workers of its own, which outlive it when it alone is killed
            start_new_session=True,
            env=os.environ | {"ANSIBLE_NOCOLOR": "1"} | (env or {}),
        ) as process:
            try:
                output, _errors = process.communicate(timeout=timeout)
            except BaseException:
                os.killpg(process.pid, signal.SIGKILL)
                raise
        return Run(argv, process.returncode, output, time.monotonic() - started)

    def play_loud(self, playbook: str, keep: Path, *arguments: str, timeout: float = 1800) -> Run:
        """As play, saying all it can. Its log file and the cache of facts are kept below a directory."""
        env = {
            "ANSIBLE_LOG_PATH": str(keep / "ansible.log"),
            "ANSIBLE_CACHE_PLUGIN": "ansible.builtin.jsonfile",
            "ANSIBLE_CACHE_PLUGIN_CONNECTION": str(keep / "facts"),
            "ANSIBLE_STDOUT_CALLBACK": "ansible.builtin.default",
            "ANSIBLE_CALLBACK_RESULT_FORMAT": "json",
        }
        return self.play(playbook, "-vvvv", "--diff", *arguments, timeout=timeout, env=env)
