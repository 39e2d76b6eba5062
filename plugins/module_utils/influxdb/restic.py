# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The repository that backups go to. Its secrets are in two files of root, and go to restic by its environment."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from .backups import BackupError, run

TAG = "influxdb"
KNOWN = ("RESTIC_REPOSITORY", "RESTIC_REST_USERNAME", "RESTIC_REST_PASSWORD", "RESTIC_CACERT", "RESTIC_PASSWORD_FILE")


class Restic:
    """A repository, as an environment file in systemd's form describes it."""

    def __init__(self, environment: dict[str, str], cache_dir: str, binary: str = "/usr/bin/restic") -> None:
        missing = [name for name in ("RESTIC_REPOSITORY", "RESTIC_PASSWORD_FILE") if not environment.get(name)]
        if missing:
            raise BackupError(f"the repository is not described: {', '.join(missing)} is missing")
        self._environment = {name: environment[name] for name in KNOWN if name in environment}
        self._environment |= {"PATH": "/usr/bin:/bin", "RESTIC_CACHE_DIR": cache_dir}
        self._binary = binary

    @classmethod
    def from_file(cls, path: str, cache_dir: str, **more: str) -> Restic:
        """Read as root, where systemd does not hand the file's content over."""
        environment = {}
        try:
            for line in Path(path).read_text(encoding="utf-8").splitlines():
                key, found, value = line.partition("=")
                if found and not line.lstrip().startswith("#"):
                    environment[key.strip()] = value.strip().strip('"')
        except OSError as error:
            raise BackupError(f"{path} cannot be read: {error.strerror}") from None
        return cls(environment, cache_dir, **more)

    @classmethod
    def from_unit(cls, cache_dir: str) -> Restic:
        """In a unit: EnvironmentFile= for all but the key, which is a credential."""
        environment = dict(os.environ)
        credentials = environment.get("CREDENTIALS_DIRECTORY", "")
        if credentials and Path(credentials, "key").exists():
            environment["RESTIC_PASSWORD_FILE"] = str(Path(credentials, "key"))
        return cls(environment, cache_dir)

    def _run(self, *words: str, cwd: Path | None = None) -> str:
        line = [self._binary, "--quiet", "--retry-lock=30m", *words]
        return run(line, f"restic {words[0]}", env=self._environment, cwd=cwd, timeout=12 * 3600)

    def send(self, directory: Path) -> None:
        """A copy of a directory's content; the first one makes the repository."""
        try:
            self._run("cat", "config")
        except BackupError as error:
            # restic's words and its status for a repository that nobody has made
            if "ended with 10:" not in str(error) and "unable to open config file" not in str(error):
                raise
            self._run("init")
        self._run("backup", f"--tag={TAG}", "--exclude=work", ".", cwd=directory)

    def copies(self) -> list[dict[str, Any]]:
        """What the repository holds, the newest last."""
        try:
            found = json.loads(self._run("snapshots", "--json", f"--tag={TAG}") or "[]")
        except ValueError:
            raise BackupError("restic snapshots: its answer is no JSON") from None
        return sorted(found or [], key=lambda copy: copy["time"])

    def fetch(self, copy: str, into: Path) -> None:
        """Bring one copy (its id, or latest). restic checks what it reads against its own sums."""
        into.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._run("restore", copy, f"--tag={TAG}", f"--target={into}")
