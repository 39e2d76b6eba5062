"""A standby's restore_command asks the repositories that take a connection, and never waits for a dead one."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

FETCH = Path(__file__).resolve().parents[3] / "roles" / "pgbackrest" / "files" / "fetch.py"
SEGMENT = "000000010000000000000007"
LIST = ["tls-server-auth=repo-a=main", "tls-server-auth=repo-b=main", "repo1-host-type=tls"]
# Each call's arguments on a line; repository 2 alone has the file, and repository 3's process dies.
PGBACKREST = """#!/bin/sh
echo "$*" >> "$CALLS"
case "$*" in
  *--repo=3*) kill -TERM $$ ;;
  *--repo=2*) exit 0 ;;
  *--repo=1*) exit 1 ;;
  *) exit 42 ;;
esac
"""


@pytest.fixture
def hosts() -> Iterator[dict[str, int]]:
    """Ports of a host that answers, of one whose process is gone, and of one that drops every packet."""
    with ExitStack() as stack:
        there = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        silent = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        port = silent.getsockname()[1]
        # its queue is full, so that further connections are not answered at all
        waiting = [stack.enter_context(socket.socket()) for _number in range(3)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(("127.0.0.1", port))
        with socket.create_server(("127.0.0.1", 0)) as closed:
            gone = closed.getsockname()[1]
        yield {"there": there.getsockname()[1], "gone": gone, "silent": port}


class Fetch:
    """The script with a configuration and a pgBackRest of the test's."""

    def __init__(self, tmp_path: Path, ports: list[int], address: str = "127.0.0.1", name: str = SEGMENT) -> None:
        self.calls_file = tmp_path / "calls"
        config = tmp_path / "pgbackrest.conf"
        lines = [f"repo{number}-host={address}\nrepo{number}-host-port={port}" for number, port in enumerate(ports, 1)]
        config.write_text(
            "\n".join(["# a = b", "[global]", *LIST, *lines, "[global:archive-get]", "io-timeout=10", ""])
        )
        (tmp_path / "pg_wal").mkdir(exist_ok=True)
        program = tmp_path / "pgbackrest"
        program.write_text(PGBACKREST)
        program.chmod(0o755)
        script = tmp_path / "fetch.py"
        text = FETCH.read_text().replace('"/etc/pgbackrest/pgbackrest.conf"', repr(str(config)))
        script.write_text(text.replace('"/var/lib/postgresql/pgbackrest/missing"', repr(str(tmp_path / "missing"))))
        environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "CALLS": str(self.calls_file)}
        started = time.monotonic()
        argv = [sys.executable, "-IBS", str(script), "main", name, "pg_wal/RECOVERYXLOG"]
        self.status = subprocess.run(argv, env=environment, check=False, timeout=30, cwd=tmp_path).returncode
        self.seconds = time.monotonic() - started

    @property
    def calls(self) -> list[str]:
        return self.calls_file.read_text().splitlines() if self.calls_file.exists() else []


def call(*repository: str, name: str = SEGMENT) -> str:
    words = ["--stanza=main", "--io-timeout=1", "--protocol-timeout=3", "--no-archive-async", *repository]
    return " ".join([*words, "archive-get", name, "pg_wal/RECOVERYXLOG"])


def test_all_are_asked_in_one_call_where_all_are_there(tmp_path: Path, hosts: dict[str, int]) -> None:
    fetch = Fetch(tmp_path, [hosts["there"], hosts["there"]])
    assert fetch.calls == [call()]
    assert fetch.status == 42


@pytest.mark.parametrize("dead", ["gone", "silent"])
def test_a_dead_first_repository_is_left_out(tmp_path: Path, hosts: dict[str, int], dead: str) -> None:
    fetch = Fetch(tmp_path, [hosts[dead], hosts["there"]])
    assert fetch.calls == [call("--repo=2")]
    assert fetch.status == 0
    assert fetch.seconds < 2


def test_what_the_living_one_lacks_is_not_found(tmp_path: Path, hosts: dict[str, int]) -> None:
    fetch = Fetch(tmp_path, [hosts["there"], hosts["gone"]])
    assert fetch.calls == [call("--repo=1")]
    assert fetch.status == 1


def test_what_was_missing_a_moment_ago_is_not_asked_for_again(tmp_path: Path, hosts: dict[str, int]) -> None:
    ports = [hosts["there"], hosts["gone"]]
    fetches = [Fetch(tmp_path, ports, name=name) for name in (SEGMENT, "00000002.history", SEGMENT, "00000002.history")]
    assert [fetch.status for fetch in fetches] == [1, 1, 1, 1]
    once = [call("--repo=1"), call("--repo=1", name="00000002.history")]
    assert fetches[0].calls == once
    another = Fetch(tmp_path, ports, name="000000010000000000000008")
    assert another.calls == [*once, call("--repo=1", name="000000010000000000000008")]


@pytest.mark.parametrize(("name", "kind", "old"), [(SEGMENT, "segment", 2.1), ("00000002.history", "history", 1.1)])
def test_neither_an_old_answer_counts_nor_one_from_the_future(
    tmp_path: Path, hosts: dict[str, int], name: str, kind: str, old: float
) -> None:
    for asked, when in enumerate((None, time.time() - old, time.time() + 60), 1):
        if when:
            os.utime(tmp_path / f"missing.{kind}", (when, when))
        assert len(Fetch(tmp_path, [hosts["there"], hosts["gone"]], name=name).calls) == asked


@pytest.mark.parametrize(
    ("streamed", "name"),
    [(SEGMENT, SEGMENT), ("00000002.history", "00000002.history"), (SEGMENT, "00000002.history")],
)
def test_what_was_streamed_a_moment_ago_is_not_asked_for(
    tmp_path: Path, hosts: dict[str, int], streamed: str, name: str
) -> None:
    """Nor is another timeline, which begins with a file of its own."""
    path = tmp_path / "pg_wal" / streamed
    path.parent.mkdir()
    path.touch()
    fetch = Fetch(tmp_path, [hosts["there"]], name=name)
    assert (fetch.status, fetch.calls) == (1, [])
    os.utime(path, (time.time() - 2.1, time.time() - 2.1))
    assert Fetch(tmp_path, [hosts["there"]], name=name).calls == [call(name=name)]


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("0000002C000000010000003E", True),  # before the end
        ("0000002C000000010000003F", False),  # with the end, and what an old primary wrote after it
        ("0000002C0000000100000040", False),
        ("0000002C0000000200000000", False),
        ("0000002D000000010000003F", True),  # the newer timeline's own
        ("0000002B000000010000003F", True),  # no ancestor, so that PostgreSQL does not ask for it
    ],
)
def test_nothing_is_given_from_after_a_timeline_s_end(
    tmp_path: Path, hosts: dict[str, int], name: str, given: bool
) -> None:
    (tmp_path / "pg_wal").mkdir()
    # the newer of two that branched off counts, as it is the one that PostgreSQL follows
    (tmp_path / "pg_wal" / "0000002D.history").write_text("44\t1/3E000028\tno recovery target specified\n")
    (tmp_path / "pg_wal" / "0000002E.history").write_text(
        "41\t0/3702DD28\tno recovery target specified\n\n44\t1/3F014278\tno recovery target specified\n"
    )
    fetch = Fetch(tmp_path, [hosts["there"]], name=name)
    assert (fetch.status, fetch.calls) == ((42, [call(name=name)]) if given else (1, []))


def test_the_end_is_looked_up_by_the_size_of_the_segments_there(tmp_path: Path, hosts: dict[str, int]) -> None:
    """With 64 MiB, 1/3F014278 is in segment 0F."""
    (tmp_path / "pg_wal").mkdir()
    (tmp_path / "pg_wal" / "0000002D.history").write_text("44\t1/3F014278\tno recovery target specified\n")
    with (tmp_path / "pg_wal" / "0000002C000000010000000D").open("wb") as file:
        file.truncate(64 << 20)
    for name, calls in (("0000002C000000010000000E", 1), ("0000002C000000010000000F", 1)):
        assert len(Fetch(tmp_path, [hosts["there"]], name=name).calls) == calls


def test_the_next_segment_is_asked_for_while_one_is_fresh(tmp_path: Path, hosts: dict[str, int]) -> None:
    """What was just restored is fresh too, and the archive may have many more."""
    path = tmp_path / "pg_wal" / SEGMENT
    path.parent.mkdir()
    path.touch()
    assert Fetch(tmp_path, [hosts["there"]], name="000000010000000000000008").calls == [
        call(name="000000010000000000000008")
    ]


def test_what_was_found_or_failed_is_asked_for_again(tmp_path: Path, hosts: dict[str, int]) -> None:
    for ports, repository in (([hosts["gone"], hosts["there"]], "--repo=2"), ([hosts["there"]], "")):
        calls = Fetch(tmp_path, ports).calls
        assert Fetch(tmp_path, ports).calls == [*calls, call(*filter(None, [repository]))]


def test_the_next_living_one_is_asked_for_what_one_lacks(tmp_path: Path, hosts: dict[str, int]) -> None:
    fetch = Fetch(tmp_path, [hosts["there"], hosts["there"], hosts["silent"]])
    assert fetch.calls == [call("--repo=1"), call("--repo=2")]
    assert fetch.status == 0


def test_a_name_that_nobody_knows_is_a_dead_host(tmp_path: Path, hosts: dict[str, int]) -> None:
    fetch = Fetch(tmp_path, [hosts["there"], hosts["there"]], address="nobody.invalid")
    assert fetch.calls == []
    assert fetch.status == os.EX_UNAVAILABLE


def test_no_repository_is_an_error_and_not_a_hang(tmp_path: Path, hosts: dict[str, int]) -> None:
    fetch = Fetch(tmp_path, [hosts["silent"], hosts["silent"]])
    assert fetch.calls == []
    assert fetch.status == os.EX_UNAVAILABLE
    assert fetch.seconds < 2


def test_an_ended_pgbackrest_is_told_as_a_shell_does(tmp_path: Path, hosts: dict[str, int]) -> None:
    fetch = Fetch(tmp_path, [hosts["gone"], hosts["gone"], hosts["there"]])
    assert fetch.calls == [call("--repo=3")]
    assert fetch.status == 128 + 15
