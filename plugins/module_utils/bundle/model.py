# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A bundle of files as it travels from the action C(templates) to the module C(file_bundle), in one string."""

from __future__ import annotations

import base64
import dataclasses
import json
import typing as t
import zlib


@dataclasses.dataclass(frozen=True)
class Owned:
    """Who owns a path and who may do what with it; None leaves it to the user the module runs as."""

    path: str
    mode: int
    owner: str | None = None
    group: str | None = None


@dataclasses.dataclass(frozen=True)
class File(Owned):
    content: bytes = b""
    validate: str | None = None
    backup: bool = False
    secret: bool = False
    # What a symbolic link at the path means: refuse, follow (write its target) or replace (by a file).
    symlink: str = "refuse"


@dataclasses.dataclass(frozen=True)
class Directory(Owned):
    pass


@dataclasses.dataclass(frozen=True)
class Purge:
    """Files below a directory that match a pattern and are not among the bundle's files are removed."""

    path: str
    patterns: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Bundle:
    files: tuple[File, ...] = ()
    directories: tuple[Directory, ...] = ()
    absent: tuple[str, ...] = ()
    purge: tuple[Purge, ...] = ()
    validate_bundle: tuple[tuple[str, ...], ...] = ()
    on_change: tuple[tuple[str, ...], ...] = ()
    # Words that were put into secret files; they are taken out of what commands print.
    mask: tuple[str, ...] = ()

    @property
    def paths(self) -> set[str]:
        """Every path this bundle decides about."""
        owned: tuple[Owned, ...] = (*self.files, *self.directories)
        return {entry.path for entry in owned} | set(self.absent) | {entry.path for entry in self.purge}

    def encode(self) -> str:
        data = dataclasses.asdict(self)
        for file in data["files"]:
            file["content"] = base64.b64encode(file["content"]).decode()
        return base64.b64encode(zlib.compress(json.dumps(data).encode(), 6)).decode()

    @classmethod
    def decode(cls, payload: str) -> Bundle:
        data: dict[str, t.Any] = json.loads(zlib.decompress(base64.b64decode(payload)))
        files = []
        for file in data["files"]:
            file["content"] = base64.b64decode(file["content"])
            files.append(File(**file))
        return cls(
            files=tuple(files),
            directories=tuple(Directory(**entry) for entry in data["directories"]),
            absent=tuple(data["absent"]),
            purge=tuple(Purge(entry["path"], tuple(entry["patterns"])) for entry in data["purge"]),
            validate_bundle=tuple(tuple(argv) for argv in data["validate_bundle"]),
            on_change=tuple(tuple(argv) for argv in data["on_change"]),
            mask=tuple(data["mask"]),
        )
