"""The members' archive_command: what is pushed, how, and the one segment that is not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template

from tests.support.preflight import ROOT

NAME = "__layer_postgresql_archive_command"
PUSH = ROOT / "roles" / "pgbackrest" / "files" / "push.py"
SIZE = 16 << 20
# As PostgreSQL writes it: the ends of timelines 1 and 4, of a server on timeline 6.
HISTORY = "1\t0/1100DC60\tno recovery target specified\n\n4\t2/6E0000A0\tno recovery target specified\n"
NEWEST = "00000006000000020000006F"


PGBACKREST = """#!/bin/sh
echo "$@"
case "$*" in *archive-get*)
  test -e "$ARCHIVE/$6" && exec cp "$ARCHIVE/$6" "$7"
  exit 1 ;;
esac
exit 7
"""


class Server:
    """A data directory with a pgBackRest of the test's."""

    def __init__(self, path: Path) -> None:
        self.path = path
        (path / "pg_wal" / "archive_status").mkdir(parents=True)
        (path / "archive").mkdir()
        program = path / "pgbackrest"
        program.write_text(PGBACKREST)
        program.chmod(0o755)
        self.state("ready   ")
        self.segment(NEWEST)
        (path / "pg_wal" / "00000006.history").write_text(HISTORY)

    def state(self, word: str) -> None:
        """As PostgreSQL writes it into the eighth line of postmaster.pid."""
        lines = ["3426", "/var/lib/postgresql/17/stopping", "1795725350", "5432", "/run/postgresql", "*", "1 2", word]
        (self.path / "postmaster.pid").write_text("\n".join(lines) + "\n")

    def segment(self, name: str, size: int = SIZE) -> None:
        with (self.path / "pg_wal" / name).open("wb") as file:
            file.truncate(size)

    def push(self, name: str, directory: str = "pg_wal") -> subprocess.CompletedProcess[str]:
        environment = {"PATH": f"{self.path}:{os.environ['PATH']}", "ARCHIVE": str(self.path / "archive")}
        argv = [sys.executable, "-IBS", PUSH, "main", f"{directory}/{name}"]
        return subprocess.run(
            argv, check=False, cwd=self.path, env=environment, capture_output=True, text=True, timeout=10
        )


@pytest.fixture
def server(tmp_path: Path) -> Server:
    return Server(tmp_path)


def test_the_layer_calls_it() -> None:
    plays = yaml.safe_load((ROOT / "playbooks" / "layers" / "data.yml").read_text(encoding="utf-8"))
    text = next(play["vars"][NAME] for play in plays if NAME in play.get("vars", {}))
    variables = {"__layer_pgbackrest": True, "__layer_pgbackrest_stanza": "main"}
    command = str(Templar(loader=DataLoader(), variables=variables).template(trust_as_template(text)))
    assert command == "/usr/bin/python3 -IBS /usr/lib/chainops/pgbackrest/push.py main %p"


@pytest.mark.parametrize(("word", "option"), [("ready   ", []), ("stopping", ["--no-archive-async"]), ("starting", [])])
def test_the_way_follows_the_server_s_state(server: Server, word: str, option: list[str]) -> None:
    server.state(word)
    done = server.push(NEWEST)
    assert done.stdout.split() == ["--stanza=main", *option, "archive-push", f"pg_wal/{NEWEST}"]
    assert done.returncode == 7, "what pgBackRest says is what PostgreSQL hears"
    assert not done.stderr


@pytest.mark.parametrize(
    ("name", "pushed"),
    [
        ("00000006000000020000006E", True),  # before the end: nobody else may archive it
        ("00000006000000020000006F", False),
        ("000000060000000200000070", False),
        ("00000006.history", True),
    ],
)
def test_of_a_dead_primary_only_what_others_followed_is_archived(server: Server, name: str, pushed: bool) -> None:
    """Patroni archives it before it rewinds; the next timeline's history is in the repositories from its beginning."""
    (server.path / "postmaster.pid").unlink()
    if len(name) == len(NEWEST):
        server.segment(name)
    (server.path / "archive" / "00000007.history").write_text(HISTORY + "6\t2/6F000A28\tno recovery target\n")
    done = server.push(name, f"{server.path}/pg_wal")
    if pushed:
        alone = ["--stanza=main", "--no-archive-async", "archive-push", f"{server.path}/pg_wal/{name}"]
        assert (done.returncode, done.stdout.split()) == (7, alone)
    else:
        assert (done.returncode, done.stdout) == (0, "")
        assert f"{name} is not archived" in done.stderr


def test_a_dead_primary_that_nobody_followed_archives_all(server: Server) -> None:
    (server.path / "postmaster.pid").unlink()
    assert server.push(NEWEST, f"{server.path}/pg_wal").stdout.split()[-2] == "archive-push"
    # nor does a timeline that branched off from another one say anything
    (server.path / "archive" / "00000007.history").write_text(HISTORY)
    assert server.push(NEWEST, f"{server.path}/pg_wal").stdout.split()[-2] == "archive-push"


@pytest.mark.parametrize("end", ["000000010000000000000011", "00000004000000020000006E"])
@pytest.mark.parametrize("absolute", [False, True])
def test_the_segment_in_which_an_older_timeline_ended_stays(server: Server, end: str, absolute: bool) -> None:
    """Patroni gives an absolute path when it archives before a rewind."""
    server.segment(end)
    done = server.push(end, f"{server.path}/pg_wal" if absolute else "pg_wal")
    assert (done.returncode, done.stdout) == (0, "")
    assert f"{end} is not archived" in done.stderr


@pytest.mark.parametrize(
    "name",
    [
        "00000004000000020000006D",  # before the end, so every member has the same
        "00000004000000020000006E.partial",  # made for the archive by who was promoted
        "00000004000000020000006E.00000028.backup",
        "00000006.history",
        "00000006000000020000006E",  # the same position on this server's timeline
        "00000005000000020000006E",  # no ancestor
    ],
)
def test_everything_else_is_pushed(server: Server, name: str) -> None:
    if not (server.path / "pg_wal" / name).exists():
        server.segment(name)
    assert server.push(name).stdout.split()[-2:] == ["archive-push", f"pg_wal/{name}"]


def test_a_history_that_was_only_fetched_is_another_server_s(server: Server) -> None:
    """It says that this server's timeline ended; this server writes on, and its segment is in no other place."""
    (server.path / "pg_wal" / "00000007.history").write_text(HISTORY + f"6\t2/{0x6F << 24:X}\tno recovery target\n")
    assert server.push(NEWEST).stdout.split()[-1] == f"pg_wal/{NEWEST}"


def test_segments_of_another_size(server: Server) -> None:
    """With 64 MiB the end at 2/6E0000A0 is in segment 1B of its four GiB."""
    server.segment("00000004000000020000001B", 64 << 20)
    assert server.push("00000004000000020000001B").stdout == ""


def test_a_first_timeline_has_no_history(tmp_path: Path) -> None:
    server = Server(tmp_path)
    for path in (tmp_path / "pg_wal").glob("0*"):
        path.unlink()
    server.segment("000000010000000000000001")
    assert server.push("000000010000000000000001").stdout.split()[-1] == "pg_wal/000000010000000000000001"
