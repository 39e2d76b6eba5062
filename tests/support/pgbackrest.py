"""A fake pgBackRest on PATH, with what it was asked."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).resolve().parent
DATA = HERE.parent / "unit" / "plugins" / "module_utils" / "pgbackrest" / "data"


class Fake:
    """One directory that is first on PATH."""

    def __init__(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.path = path
        path.mkdir(exist_ok=True)
        self.program("pgbackrest", (HERE / "fake_pgbackrest.py").read_text())
        monkeypatch.setenv("PATH", f"{path}{os.pathsep}{os.environ['PATH']}")
        # what a user has in the environment must not reach it
        monkeypatch.setenv("PGBACKREST_REPO1_PATH", "/elsewhere")
        self.info("info_repo1")

    def program(self, name: str, text: str) -> None:
        (self.path / name).write_text(text if text.startswith("#!") else f"#!{sys.executable}\n{text}")
        (self.path / name).chmod(0o755)

    def info(self, name: str, created: str = "info_repo1") -> None:
        (self.path / "info.json").write_text((DATA / f"{name}.json").read_text())
        (self.path / "created.json").write_text((DATA / f"{created}.json").read_text())

    def refuse(self, command: str, status: int, words: str, times: int = 0) -> None:
        """Have a command fail, so many times or (0) always."""
        (self.path / f"fail-{command}").write_text(f"{status} {words}")
        if times:
            (self.path / f"times-{command}").write_text(str(times))

    @property
    def calls(self) -> list[tuple[str, dict[str, str], list[str]]]:
        path = self.path / "calls"
        return [tuple(json.loads(line)) for line in path.read_text().splitlines()] if path.exists() else []

    @property
    def commands(self) -> list[str]:
        return [command for command, _options, _env in self.calls]

    def options(self, command: str) -> dict[str, Any]:
        return next(options for name, options, _env in self.calls if name == command)
