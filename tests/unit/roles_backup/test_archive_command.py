"""The layer's archive_command: asynchronous, but for what a server that stops still has to send."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template

from tests.support.preflight import ROOT

NAME = "__layer_postgresql_archive_command"


@pytest.fixture(scope="module")
def command() -> str:
    plays = yaml.safe_load((ROOT / "playbooks" / "layers" / "data.yml").read_text(encoding="utf-8"))
    text = next(play["vars"][NAME] for play in plays if NAME in play.get("vars", {}))
    variables = {"__layer_pgbackrest": True, "__layer_pgbackrest_stanza": "main"}
    return str(Templar(loader=DataLoader(), variables=variables).template(trust_as_template(text)))


@pytest.mark.parametrize(
    ("status", "option"), [("ready   ", []), ("stopping", ["--no-archive-async"]), ("starting", []), (None, [])]
)
def test_the_way_follows_the_server_s_state(
    command: str, tmp_path: Path, status: str | None, option: list[str]
) -> None:
    """As PostgreSQL writes it into the eighth line of postmaster.pid; without the file the command still archives."""
    program = tmp_path / "pgbackrest"
    program.write_text('#!/bin/sh\necho "$@"\n')
    program.chmod(0o755)
    if status:
        lines = ["3426", "/var/lib/postgresql/17/stopping", "1795725350", "5432", "/run/postgresql", "*", "1 2", status]
        (tmp_path / "postmaster.pid").write_text("\n".join(lines) + "\n")
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    argv = ["sh", "-c", command.replace("%p", "pg_wal/0000000A0000000000000019")]
    done = subprocess.run(argv, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=10, check=True)
    assert done.stdout.split() == ["--stanza=main", *option, "archive-push", "pg_wal/0000000A0000000000000019"]
    assert not done.stderr
