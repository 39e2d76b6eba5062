"""Break the lab on purpose, for tests and game days. A fault stays until it is undone, or for a time: --for SECONDS."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from datetime import datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "plugins"))

from module_utils.faults import Fault, Faults
from module_utils.lab.shell import LabError


def parser() -> argparse.ArgumentParser:
    """All commands and their arguments."""
    top = argparse.ArgumentParser(prog="faults", description=__doc__)
    top.add_argument("--prefix", default=os.environ.get("LAB_PREFIX") or "lab", help="which lab (LAB_PREFIX, else lab)")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(name: str, text: str, *arguments: str, lasts: bool = True) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=text, description=text)
        for argument in arguments:
            command.add_argument(argument)
        if lasts:
            command.add_argument("--for", dest="seconds", type=float, help="undo it after so many seconds")
        return command

    add("list", "faults in force", lasts=False)
    add("kill-host", "cut its power; undone by booting it", "host")
    add("shut-down-host", "an orderly poweroff; undone by booting it", "host")
    add("freeze-host", "every process of it stands still", "host")
    freeze = add("freeze", "SIGSTOP to all processes of a unit", "host", "unit")
    kill = add("kill", "SIGKILL to all processes of a unit; its Restart= may bring it back", "host", "unit")
    kill.add_argument("--stay-dead", action="store_true", help="let nothing restart it until this is undone")
    add("stop", "systemctl stop; undone by a start", "host", "unit")
    for command in (freeze, kill):
        command.add_argument("--only", default="", help="only its processes of this name: postgres of patroni.service")
    ends = "hosts, regions, `machine` and `outside` (all beyond the machine)"
    partition = add("partition", f"cut links between {ends}")
    loss = add("loss", f"lose a share of the packets between {ends}")
    delay = add("delay", f"hold packets up between {ends}")
    for command in (partition, loss, delay):
        command.add_argument("left", nargs="+")
        command.add_argument("--from", dest="right", nargs="+", required=True, help="the other side")
        command.add_argument("--one-way", action="store_true", help="only what goes from left to right")
    loss.add_argument("--percent", type=float, required=True)
    delay.add_argument("--ms", type=float, required=True, help="each packet, each way")
    delay.add_argument("--jitter-ms", type=float, default=0, help="more or less by up to this much")
    add("isolate", "cut a host off from all other hosts, but not from the machine", "host")
    fill = add("fill-disk", "fill a disk of the host's own (lab_disks)", "host", "path")
    fill.add_argument("--leave-bytes", type=int, default=0)
    skew = add("skew-clock", "says why it cannot be done here", "host")
    skew.add_argument("seconds_off", type=float)
    mend = add("mend", "undo all faults of a host, or of one unit of it", "host", lasts=False)
    mend.add_argument("unit", nargs="?", default="")
    add("undo", "undo one, by its number in the list", "number", lasts=False)
    add("undo-all", "undo everything in force, whoever made it", lasts=False)
    return top


def make(faults: Faults, given: argparse.Namespace) -> Fault:
    """The fault that the command line asks for."""
    makers = {
        "kill-host": lambda: faults.kill_host(given.host),
        "shut-down-host": lambda: faults.shut_down_host(given.host),
        "freeze-host": lambda: faults.freeze_host(given.host),
        "freeze": lambda: faults.freeze_unit(given.host, given.unit, only=given.only),
        "kill": lambda: faults.kill_unit(given.host, given.unit, stay_dead=given.stay_dead, only=given.only),
        "stop": lambda: faults.stop_unit(given.host, given.unit),
        "partition": lambda: faults.partition(given.left, given.right, one_way=given.one_way),
        "loss": lambda: faults.loss(given.left, given.right, given.percent, one_way=given.one_way),
        "delay": lambda: faults.delay(given.left, given.right, given.ms, given.jitter_ms, one_way=given.one_way),
        "isolate": lambda: faults.isolate(given.host),
        "fill-disk": lambda: faults.fill_disk(given.host, given.path, given.leave_bytes),
        "skew-clock": lambda: faults.skew_clock(given.host, given.seconds_off),
    }
    return makers[given.command]()


def show(faults: Faults) -> None:
    """What is broken, since when, and whether somebody is going to mend it."""
    entries = faults.active()
    if not entries:
        print("no fault in force")
    for entry in entries:
        since = datetime.fromtimestamp(entry.since).strftime("%H:%M:%S")
        whose = " (abandoned: the process that made it is gone)" if entry.abandoned else ""
        print(f"{entry.id:3}  since {since}  {entry.text}{whose}")


def main() -> int:
    """Carry out one command."""
    given = parser().parse_args()
    try:
        lasting = getattr(given, "seconds", None) is None
        with Faults.load(given.prefix, lasting=lasting) as faults:
            if given.command == "list":
                show(faults)
            elif given.command in ("undo", "undo-all", "mend"):
                if given.command == "mend":
                    undone = faults.mend(given.host, given.unit)
                else:
                    undone = faults.undo_all() if given.command == "undo-all" else [faults.undo_number(given.number)]
                for entry in undone:
                    print(f"undone: {entry.text}")
            else:
                print(make(faults, given))
                if not lasting:
                    time.sleep(given.seconds)
    except LabError as error:
        print(f"faults: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # | head
    sys.exit(main())
