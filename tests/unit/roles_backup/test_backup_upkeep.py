"""What the repository host measures, and when it refuses to remove copies; restic is a script told what to say."""

from __future__ import annotations

import importlib.util
import json
import time
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[3]
SOURCE = ROOT / "roles" / "backup_repository" / "files" / "backup_upkeep.py"
RESTIC = """#!/bin/sh
echo "$*" >> {log}
case "$*" in
  *snapshots*) cat {answers} ;;
  *check*) exit {check} ;;
esac
"""


class Host:
    def __init__(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.path, self.data, self.log = path, path / "data", path / "calls"
        for name in ("state", "bin", "data/redis/snapshots"):
            (path / name).mkdir(parents=True)
        monkeypatch.setenv("STATE_DIRECTORY", str(path / "state"))
        self.module = self._load(monkeypatch)
        self.restic(0, [])
        (self.data / "redis" / "config").write_text("x")

    def _load(self, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
        spec = importlib.util.spec_from_file_location("backup_upkeep", SOURCE)
        assert spec and spec.loader
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        initial = module.Restic.__init__

        def with_path(own, *arguments: object) -> None:
            initial(own, *arguments)
            own.environment["PATH"] = f"{self.path}/bin:/usr/bin:/bin"

        monkeypatch.setattr(module.Restic, "__init__", with_path)
        monkeypatch.setenv("PATH", f"{self.path}/bin:/usr/bin:/bin")
        return module

    def restic(self, check: int, snapshots: list[dict]) -> None:
        (self.path / "answers").write_text(json.dumps(snapshots))
        script = self.path / "bin" / "restic"
        script.write_text(RESTIC.format(log=self.log, answers=self.path / "answers", check=check))
        script.chmod(0o755)

    def run(self, key_file: str = "/key") -> int:
        job = {"name": "redis", "key_file": key_file, "keep": {"last": 3, "daily": 14, "weekly": 0, "monthly": 12}}
        config = self.path / "upkeep.json"
        config.write_text(json.dumps({"data_dir": str(self.data), "check_percent": 5, "jobs": [job]}))
        return self.module.main(str(config))

    @property
    def figures(self) -> str:
        return (self.path / "state" / "metrics.prom").read_text()

    @property
    def calls(self) -> list[str]:
        return self.log.read_text().splitlines() if self.log.exists() else []


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    return Host(tmp_path, monkeypatch)


def test_what_is_on_disk_is_measured_without_a_key(host: Host) -> None:
    (host.data / "redis" / "snapshots" / "ab").write_text("12345")
    assert host.run(key_file="") == 0
    assert host.calls == []
    assert 'chainops_backup_repository_copies{job="redis"} 1' in host.figures
    assert 'chainops_backup_repository_size_bytes{job="redis"} 6' in host.figures
    assert (host.path / "state" / "metrics.prom").stat().st_mode & 0o777 == 0o644


def test_a_repository_that_nobody_has_made_yet_has_no_copies(host: Host) -> None:
    (host.data / "redis" / "config").unlink()
    assert host.run() == 0
    assert host.calls == []
    assert 'chainops_backup_repository_latest_copy_timestamp_seconds{job="redis"} 0' in host.figures


def test_old_copies_are_removed_once_a_day(host: Host) -> None:
    assert host.run() == host.run() == 0
    forgets = [call for call in host.calls if "forget" in call]
    assert len(forgets) == 1
    assert forgets[0].endswith("--prune --keep-last=3 --keep-daily=14 --keep-monthly=12")


def test_a_copy_dated_in_the_future_stops_the_removal(host: Host) -> None:
    later = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(time.time() + 3 * 86400))
    host.restic(0, [{"time": f"{later}.123456789Z", "short_id": "bad1"}])
    assert host.run() == 1
    assert [call for call in host.calls if "forget" in call] == []
    assert 'upkeep_success{job="redis"} 0' in host.figures


def test_data_that_does_not_read_back_is_red_until_it_does(host: Host) -> None:
    host.restic(1, [])
    assert host.run() == 1
    host.restic(0, [])
    assert host.run() == 0
    assert 'upkeep_success{job="redis"} 0' in host.figures, "today's check has failed; there was no other"
    (host.path / "state" / "redis.tended").write_text("2000-01-01")
    assert host.run() == 0
    assert 'upkeep_success{job="redis"} 1' in host.figures
