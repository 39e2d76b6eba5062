"""The layer's real secrets as canaries: a run at full verbosity, and whether any of them is in what it left behind."""

from __future__ import annotations

from pathlib import Path

from tests.lab.site import Run, Site

from . import names
from .world import KEEP, World

FIRST_RUN = KEEP / "canary-first-run"
"""What the run that brought the layer up has left."""


def loud(site: Site, playbook: str, keep: Path, *arguments: str) -> Run:
    """A run that says all it can. Its log file and the cache of facts are kept below a directory."""
    keep.mkdir(parents=True, exist_ok=True)
    run = site.play_loud(playbook, keep, *arguments)
    (keep / "output").write_text(run.output, encoding="utf-8")
    return run


def secrets_of(world: World) -> dict[str, str]:
    """Every secret of the layer, by where it is: the control node's, and each host's key."""
    found = {}
    for path in sorted(names.SECRETS.rglob("*")):
        if path.is_file():
            lines = path.read_text(encoding="utf-8").splitlines()
            # the second line of a key in PEM is its first with secret bits
            text = lines[1] if lines and lines[0].startswith("-----") else (lines or [""])[0]
            if len(text) >= 8:
                found[str(path)] = text
    for host in world.everyone:
        lines = world.sh(host, "cat /etc/chainops/tls/host.key").splitlines()
        found[f"{host}:host.key"] = lines[1]
    return found


def printed(world: World, keep: Path) -> list[str]:
    """The places of the secrets that a run's output, log, cache of facts or the hosts' temporary files show.

    AssertionError if the search would not find a value that is printed: the control.
    """
    parts = {path: path.read_text(errors="replace") for path in keep.rglob("*") if path.is_file()}
    # what a run at full verbosity says of every host that it connects to
    address = f"<{names.BASE}."
    for path in (keep / "output", keep / "ansible.log"):
        assert address in parts[path], f"the search would not find anything in {path}"
    left = "".join(
        world.sh(host, "cat /home/ops/.ansible/tmp/*/* /root/.ansible_async/* 2>/dev/null || true")
        for host in world.everyone
    )
    everything = "".join(parts.values()) + left
    return [place for place, secret in secrets_of(world).items() if secret in everything]
