"""Copies and drills: whose turn it is, what a copy holds, what a drill finds. restic and Redis' tools are scripts."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.chainops.infra.plugins.module_utils.redis import copies, drill, upkeep
from ansible_collections.chainops.infra.plugins.module_utils.redis.config import Config
from ansible_collections.chainops.infra.plugins.module_utils.redis.copies import CopyError, Manifest, Repository

from tests.unit.plugins.module_utils.redis.site_config import OnDisk

TOOLS = {
    # writes what the test has put aside as the RDB
    "redis-cli": 'for last; do :; done; echo "$REDISCLI_AUTH" > {path}/seen; cp {path}/rdb "$last"',
    "redis-check-rdb": 'grep -q bad "$1" && echo "RDB CRC error" && exit 1; echo "[info] $(wc -l < "$1") keys read"',
    # keeps one copy; a file "broken" makes it fail
    "restic": """
echo "$*" >> {path}/restic.log
[ -e {path}/broken ] && echo "Fatal: number of used blobs is larger than number of available blobs" >&2 && exit 1
shift 3
case "$1" in
  cat) [ -e {path}/kept ] || {{ echo "Fatal: repository does not exist" >&2; exit 10; }} ;;
  init) mkdir {path}/kept ;;
  backup) for last; do :; done; cp "$last"/* {path}/kept/ ;;
  snapshots) [ -e {path}/kept/dump.rdb ] && echo '[{{"id": "abcd", "short_id": "ab"}}]' || echo '[]' ;;
  restore) cp {path}/kept/* "$4" ;;
esac""",
}


class Host:
    def __init__(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.path, self.disk = path, OnDisk(path)
        self.disk.site.founded()
        (path / "bin").mkdir()
        (path / "state").mkdir()
        for name, text in TOOLS.items():
            script = path / "bin" / name
            script.write_text(f"#!/bin/sh\n{text.format(path=path)}\n")
            script.chmod(0o755)
        (path / "rdb").write_text("one\ntwo\n")
        monkeypatch.setenv("PATH", f"{path}/bin:/usr/bin:/bin")
        plain = copies.run

        def with_tools(words: list[str], environment: dict[str, str], what: str, timeout: float) -> str:
            return plain(words, environment | {"PATH": f"{path}/bin:/usr/bin:/bin"}, what, timeout)

        monkeypatch.setattr(copies, "run", with_tools)

    def config(self, index: int = 1) -> Config:
        return self.disk.agent(index)

    def copy(self, index: int = 1) -> int:
        return upkeep.copy(self.config(index), "redis", self.path / "state", 20)

    @property
    def figures(self) -> str:
        return (self.path / "state" / "metrics.prom").read_text()

    @property
    def kept(self) -> Path:
        return self.path / "kept"


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    found = Host(tmp_path, monkeypatch)
    yield found
    found.disk.site.stop()


def test_the_first_replica_makes_the_copy_and_no_other(host: Host) -> None:
    site = host.disk.site
    first = min((1, 2), key=lambda index: site.servers[index].node.port)
    turns = [copies.turn(host.config(index))[0] for index in range(3)]
    assert turns == [index == first for index in range(3)]
    for server in site.servers[1:]:
        server.linked = False
    assert [copies.turn(host.config(index))[0] for index in range(3)] == [True, False, False], "a master that has none"


def test_a_copy_is_checked_marked_and_sent(host: Host) -> None:
    first = min((1, 2), key=lambda index: host.disk.site.servers[index].node.port)
    assert host.copy(first) == 0
    manifest = Manifest.read(host.kept / "manifest.json")
    assert manifest.keys == 2 and manifest.bytes == 8
    assert manifest.sha256 == hashlib.sha256(b"one\ntwo\n").hexdigest()
    assert host.disk.site.servers[0].keys[copies.MARKER] == manifest.marker
    assert "chainops_redis_copy_success 1" in host.figures and "chainops_redis_copy_keys 2" in host.figures
    assert not (host.path / "state" / "copy").exists(), "the data does not stay on the disk a second time"
    assert (host.path / "seen").read_text().strip() == "a-password-of-the-tests", "by the environment, not by argv"
    assert host.copy(0) == 0
    assert "chainops_redis_copy_turn 0" in host.figures and "chainops_redis_copy_success 1" in host.figures


def test_figures_are_plain_decimals(tmp_path: Path) -> None:
    """A copy of more than 9 GiB has more digits than :g was told to write."""
    upkeep.note(tmp_path, copy_bytes=12_345_678_901, copy_last_success_timestamp_seconds=1767571234.567, copy_success=0)
    lines = (tmp_path / "metrics.prom").read_text().splitlines()
    assert "chainops_redis_copy_bytes 12345678901" in lines and "chainops_redis_copy_success 0" in lines
    assert "chainops_redis_copy_last_success_timestamp_seconds 1767571234.567" in lines


@pytest.mark.parametrize("fault", ["rdb", "repository"])
def test_a_copy_that_fails_is_red(host: Host, fault: str, capsys: pytest.CaptureFixture[str]) -> None:
    first = min((1, 2), key=lambda index: host.disk.site.servers[index].node.port)
    (host.path / ("rdb" if fault == "rdb" else "broken")).write_text("bad\n")
    assert host.copy(first) == 1
    assert "chainops_redis_copy_success 0" in host.figures
    assert {"rdb": "RDB CRC error", "repository": "Fatal: number of used blobs"}[fault] in capsys.readouterr().err


def test_a_server_that_is_away_is_no_silent_skip(host: Host) -> None:
    host.disk.site.servers[1].stop()
    assert host.copy(1) == 1
    assert "chainops_redis_copy_success 0" in host.figures


class Loaded:
    """The scratch server, as far as a drill asks it."""

    def __init__(self, keys: int, expired: int, marker: str) -> None:
        self.said = f"rdb_last_load_keys_loaded:{keys}\r\nrdb_last_load_keys_expired:{expired}\r\n"
        self.marker = marker

    def call(self, *words: Any) -> str:
        return self.said if words[0] == "INFO" else self.marker


MANIFEST = Manifest("main", "db-b", 0.0, "", 8, 5, "m1")


def test_keys_that_expired_since_are_no_loss() -> None:
    assert drill.compare(Loaded(3, 2, "m1"), MANIFEST) == {"keys": 3, "expired": 2}  # type: ignore[arg-type]  # asks as a client is asked
    with pytest.raises(CopyError, match="4 keys were loaded and 0 had expired; the manifest says 5"):
        drill.compare(Loaded(4, 0, "m1"), MANIFEST)  # type: ignore[arg-type]  # as above
    with pytest.raises(CopyError, match="marker"):
        drill.compare(Loaded(5, 0, "m0"), MANIFEST)  # type: ignore[arg-type]  # as above


SERVER = """#!/bin/sh
while [ "$1" != --dir ]; do shift; done
grep -q unloadable "$2/dump.rdb" && exit 1
exec {python} {fake} "$2/redis.sock" "$(wc -l < "$2/dump.rdb")" {path}/marker
"""
FAKE = """
import socket, sys
sock = socket.socket(socket.AF_UNIX)
sock.bind(sys.argv[1])
sock.listen()
keys, marker = sys.argv[2], open(sys.argv[3]).read()
while True:
    client, _ = sock.accept()
    while data := client.recv(4096):
        loaded = f"loading:0\\r\\nrdb_last_load_keys_loaded:{keys}\\r\\nrdb_last_load_keys_expired:0\\r\\n"
        text = (loaded if b"INFO" in data else marker).encode()
        client.sendall(b"$%d\\r\\n%s\\r\\n" % (len(text), text))
"""


@pytest.fixture
def copied(host: Host, monkeypatch: pytest.MonkeyPatch) -> Host:
    """With a good copy in the repository, and a server that would load it."""
    first = min((1, 2), key=lambda index: host.disk.site.servers[index].node.port)
    assert host.copy(first) == 0
    (host.path / "marker").write_text(Manifest.read(host.kept / "manifest.json").marker)
    (host.path / "fake.py").write_text(FAKE)
    server = host.path / "bin" / "redis-server"
    server.write_text(SERVER.format(python=sys.executable, fake=host.path / "fake.py", path=host.path))
    server.chmod(0o755)
    plain = drill.subprocess.Popen
    monkeypatch.setattr(
        drill.subprocess,
        "Popen",
        lambda words, **other: plain([str(server), *words[1:]] if words[0] == "redis-server" else words, **other),
    )
    return host


def rehearse(host: Host, max_age: float = 3600) -> dict[str, Any]:
    code = upkeep.rehearse(host.config(), "redis", host.path / "state", 20, max_age)
    report: dict[str, Any] = json.loads((host.path / "state" / "drill.json").read_text())
    assert (code == 0) is report["good"]
    assert f"chainops_redis_drill_success {int(report['good'])}" in host.figures
    assert not (host.path / "state" / "drill").exists()
    assert list((host.path / "state" / "reports").glob("*.json"))
    return report


def test_a_good_copy_is_green(copied: Host) -> None:
    report = rehearse(copied)
    assert report["good"] and (report["keys"], report["copy"]) == (2, "ab")


def test_what_makes_a_drill_red(copied: Host) -> None:
    kept, manifest = copied.kept / "dump.rdb", copied.kept / "manifest.json"
    good = manifest.read_text()
    assert "hours old" in rehearse(copied, max_age=-1)["problem"]
    kept.write_text("one\nTWO\n")
    assert "SHA-256 differs" in rehearse(copied)["problem"]
    for text, words in (
        ("bad\n", "RDB CRC error"),
        ("one\n", "the file holds 1 keys"),
        ("unloadable\ntwo\n", "does not take the file"),
    ):
        kept.write_text(text)
        manifest.write_text(json.dumps(json.loads(good) | {"sha256": hashlib.sha256(text.encode()).hexdigest()}))
        assert words in rehearse(copied)["problem"]
    manifest.write_text("{}")
    kept.write_text("one\ntwo\n")
    assert "manifest cannot be read" in rehearse(copied)["problem"]
    manifest.write_text(good)
    (copied.path / "marker").write_text("another")
    assert "marker that was written before" in rehearse(copied)["problem"]
    (copied.path / "marker").write_text(json.loads(good)["marker"])
    assert rehearse(copied)["good"]
    copied.disk.site.servers[0].keys[copies.MARKER] = "9999-later"
    assert "a later copy was begun and did not arrive" in rehearse(copied)["problem"]
    (copied.path / "broken").write_text("")
    assert "Fatal: number of used blobs" in rehearse(copied)["problem"]


def test_an_empty_repository_is_red(host: Host) -> None:
    (host.kept).mkdir()
    assert rehearse(host)["problem"] == "the repository holds no copy"


def test_the_key_is_the_unit_s_credential(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RESTIC_PASSWORD_FILE", "/etc/chainops/restic/redis.key")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert Repository("redis", 1).environment["RESTIC_PASSWORD_FILE"] == "/etc/chainops/restic/redis.key"
    (tmp_path / "key").write_text("x")
    assert Repository("redis", 1).environment["RESTIC_PASSWORD_FILE"] == str(tmp_path / "key")
