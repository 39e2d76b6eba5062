"""The lab: a whole site of hosts on this machine.

  tools/lab up [HOST|GROUP ...]       boot the site, or a part of it; boots again what was off
  tools/lab down [HOST|GROUP ...]     remove it, with its disks
  tools/lab status                    what is up
  tools/lab ssh HOST [COMMAND ...]    as the user ops, as in production
  tools/lab run HOST COMMAND ...      as root, by the machine's own door (works when the network is cut)

LAB_PREFIX (lab) and LAB_NETWORK (10.87.0.0/16) choose another lab beside the first; LAYERS=ethereum,data narrows `up`
to the hosts that these layers need.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "plugins"))

from module_utils.faults.journal import Journal  # noqa: E402  the path has to be set first
from module_utils.lab import needs  # noqa: E402  the path has to be set first
from module_utils.lab.shell import LabError  # noqa: E402  the path has to be set first
from module_utils.lab.site import Site  # noqa: E402  the path has to be set first

PREFIX = os.environ.get("LAB_PREFIX") or "lab"


def follow(path: Path, done: threading.Event) -> None:
    """Print what the module writes to its progress file while it works."""
    position = path.stat().st_size if path.exists() else 0
    while True:
        last = done.wait(0.2)
        try:
            with path.open(encoding="utf-8") as file:
                file.seek(position)
                print(file.read(), end="", flush=True)
                position = file.tell()
        except FileNotFoundError:
            position = 0
        if last:
            return


def play(name: str, limit: list[str]) -> int:
    """Run playbooks/lab/NAME.yml, silent but for its progress unless it fails."""
    needs.check_root()
    binary = ROOT / ".venv" / "bin" / "ansible-playbook"
    program = str(binary) if binary.exists() else "ansible-playbook"
    environment = os.environ | {"ANSIBLE_HOME": os.environ.get("ANSIBLE_HOME", str(ROOT / ".ansible"))}
    if limit:
        environment["LAB_HOSTS"] = ",".join(limit)
    if name == "down":
        # of what is removed no part may be left because another layer made it, nor the bridges
        environment.pop("LAYERS", None)
    argv = [program, "-i", str(ROOT / "inventories" / "lab"), str(ROOT / "playbooks" / "lab" / f"{name}.yml")]
    done = threading.Event()
    watcher = threading.Thread(target=follow, args=(Path(f"/var/lib/chainops-lab/{PREFIX}/progress.log"), done))
    with tempfile.TemporaryFile("w+") as output:
        watcher.start()
        try:
            code = subprocess.run(
                argv, cwd=ROOT, env=environment, stdout=output, stderr=subprocess.STDOUT, check=False
            ).returncode
        except FileNotFoundError as error:
            raise LabError("ansible-playbook not found: make setup") from error
        finally:
            done.set()
            watcher.join()
        if code:
            output.seek(0)
            print(output.read(), file=sys.stderr)
    return code


def status() -> int:
    """One line a host."""
    site = Site.load(PREFIX)
    print(f"lab {site.spec.prefix}, network {site.spec.network}, state in {site.directory}")
    for name, host in site.spec.hosts.items():
        machine = site.machine(name)
        if machine.running:
            state = machine.system_state() or "no answer"
            if state == "degraded":
                state += f" ({', '.join(machine.failed_units())})"
        else:
            state = "off" if machine.exists else "absent"
        print(f"  {name:12} {host.region:10} {host.address:15} {state}")
    for entry in Journal(site.directory).entries():
        print(f"  fault {entry.id}: {entry.text} (tools/faults undo {entry.id})")
    return 0


def ssh(name: str, command: list[str]) -> int:
    """Replace this process by ssh to a host."""
    site = Site.load(PREFIX)
    machine = site.machine(name)
    argv = ["ssh", "-i", site.key, "-o", f"UserKnownHostsFile={site.known_hosts}", "-o", "StrictHostKeyChecking=yes"]
    argv += ["-o", "IdentitiesOnly=yes", "-o", "LogLevel=ERROR", f"ops@{machine.host.address}", *command]
    os.execvp("ssh", argv)


def main() -> int:
    """Carry out one command."""
    arguments = sys.argv[1:]
    command, rest = (arguments[0], arguments[1:]) if arguments else ("", [])
    try:
        if command in ("up", "down"):
            code = play(command, rest)
            if command == "up" and code == 0:
                return status()
            return code
        if command == "status" and not rest:
            return status()
        if command == "ssh" and rest:
            return ssh(rest[0], rest[1:])
        if command == "run" and len(rest) > 1:
            needs.check_root()
            argv = Site.load(PREFIX).machine(rest[0]).enter(rest[1:])
            path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
            clean = {"PATH": path, "HOME": "/root", "LC_ALL": "C.UTF-8", "TERM": os.environ.get("TERM", "dumb")}
            os.execvpe(argv[0], argv, clean)
    except LabError as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1
    print(__doc__, file=sys.stderr if command not in ("-h", "--help", "help") else sys.stdout)
    return 2


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # | head
    sys.exit(main())
