# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A server with two shards, a repository, and the programs between them."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from ansible_collections.chainops.infra.plugins.module_utils.influxdb import backups, counts
from ansible_collections.chainops.infra.plugins.module_utils.influxdb.client import Client
from ansible_collections.chainops.infra.plugins.module_utils.influxdb.restic import Restic

from tests.unit.plugins.modules.fake_influxdb import FakeInfluxDB

HERE = Path(__file__).resolve().parent
DAY = 86_400_000_000_000
# 2026-11-25 and the day after
FIRST, SECOND = 1_795_564_800_000_000_000, 1_795_651_200_000_000_000


def series(node: str, blocks: int) -> dict[str, Any]:
    return {"name": "chain", "tags": {"node": node}, "columns": ["time", "count_block"], "values": [[0, blocks]]}


class Site:
    """What the programs see is in live.json; each shard has a file whose change is a write."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data, self.copy, self.repository = folder / "data", folder / "copy", folder / "repository"
        self.fake = FakeInfluxDB(auth=False)
        self.fake.add_database("chain", raw=("168h0m0s", "24h0m0s", True))
        self.live: dict[str, Any] = {}
        self.add_shard(1, FIRST, [series("a", 100), series("b", 7)])
        self.add_shard(2, SECOND, [series("a", 50)])
        self.fake.selects = self.count
        self.influxd, self.restic = self.program("fake_influxd"), self.program("fake_restic")
        (folder / "key").write_text("a key\n")
        self.env_file = folder / "influxdb.env"
        self.env_file.write_text(f'RESTIC_REPOSITORY="{self.repository}"\nRESTIC_PASSWORD_FILE={folder / "key"}\n')

    def program(self, name: str) -> str:
        """An executable that runs one of the fakes beside this file."""
        path = self.folder / name
        path.write_text(f"#!{sys.executable} -IB\n" + (HERE / f"{name}.py").read_text(encoding="utf-8"))
        path.chmod(0o755)
        return str(path)

    def add_shard(self, number: int, start: int, found: list[dict[str, Any]]) -> None:
        day = {FIRST: "2026-11-25", SECOND: "2026-11-26", SECOND + DAY: "2026-11-27"}
        row = [number, "chain", "raw", number, f"{day[start]}T00:00:00Z", "", "", ""]
        row[5] = {FIRST: "2026-11-26", SECOND: "2026-11-27", SECOND + DAY: "2026-11-28"}[start] + "T00:00:00Z"
        self.fake.shards.append(row)
        self.live[str(number)] = {"start": start, "series": found}
        self.written(number)

    def written(self, number: int) -> None:
        """Points came to a shard."""
        folder = self.data / "chain" / "raw" / str(number)
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "000000001-000000001.tsm").open("ab") as file:
            file.write(os.urandom(8))
        (self.folder / "live.json").write_text(json.dumps(self.live))

    def count(self, statement: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        for shard in self.live.values():
            if f"time >= {shard['start']}" in statement:
                found += shard["series"]
        return found

    def server(self) -> backups.Server:
        return backups.Server(Client(self.fake.url), "127.0.0.1:8088", self.data, self.folder / "wal", self.influxd)

    def back_up(self, everything: bool = False) -> dict[str, Any]:
        return backups.bring_up_to_date(self.server(), self.copy, everything)

    def send(self) -> None:
        Restic.from_file(str(self.env_file), str(self.folder / "cache"), binary=self.restic).send(self.copy)

    @property
    def sent(self) -> list[Path]:
        return sorted(self.repository.iterdir())

    def options(self) -> dict[str, Any]:
        """What the modules need to work with these programs."""
        return {
            "env_file": str(self.env_file),
            "influxd": self.influxd,
            "restic": self.restic,
            "cache_dir": str(self.folder / "cache"),
            "scratch_dir": str(self.folder / "scratch"),
        }


def shard_of(number: int, start: int) -> counts.Shard:
    return counts.Shard(number, "chain", "raw", start, start + DAY)
