# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The arguments of the action C(templates): their spec, and what a spec cannot say."""

from __future__ import annotations

import posixpath
import re
import shlex
import typing as t
from collections.abc import Iterator

OWNED: dict[str, t.Any] = {
    "owner": {"type": "str"},
    "group": {"type": "str"},
    # raw: as a string, an unquoted 0644 (which YAML reads as 420) would look like a mode
    "mode": {"type": "raw"},
}
ARGUMENTS: dict[str, t.Any] = {
    "files": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "src": {"type": "str"},
            "content": {"type": "raw"},
            "copy": {"type": "str"},
            "dest": {"type": "str", "required": True},
            **OWNED,
            "validate": {"type": "str"},
            "backup": {"type": "bool", "default": False},
            "secret": {"type": "bool", "default": False},
            "symlink": {"type": "str", "default": "refuse", "choices": ["refuse", "follow", "replace"]},
            "vars": {"type": "dict", "default": {}},
        },
    },
    "directories": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {"path": {"type": "str", "required": True}, **OWNED},
    },
    "trees": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "src": {"type": "str", "required": True},
            "dest": {"type": "str", "required": True},
            **OWNED,
            "patterns": {"type": "list", "elements": "str", "default": ["*.py"]},
            "purge": {"type": "bool", "default": True},
        },
    },
    "absent": {"type": "list", "elements": "str", "default": []},
    "validate_bundle": {"type": "list", "elements": "list", "default": []},
    "on_change": {"type": "list", "elements": "list", "default": []},
}
MODE = re.compile(r"[0-7]{3,4}")


def parse_mode(value: t.Any, default: int) -> int:
    if value is None:
        return default
    text = str(value)
    if isinstance(value, str) and MODE.fullmatch(text):
        return int(text, 8)
    hint = ' (a number: put it in quotes, as "0644")' if isinstance(value, int) else ""
    raise ValueError(f'mode = {value}{hint}: must be a string of octal digits, such as "0644"')


def mistakes(arguments: dict[str, t.Any]) -> Iterator[str]:
    """Everything that is wrong with the arguments, by where it stands; paths in the arguments become plain ones."""
    places: dict[str, str] = {}
    for name, key in (("files", "dest"), ("directories", "path"), ("trees", "dest")):
        for number, entry in enumerate(arguments[name]):
            where = f"{name}[{number}]"
            entry[key], wrong = plain_path(entry[key], file=name == "files")
            # a tree may also be named as a directory, with a mode of its own
            if not wrong and name != "trees" and entry[key] in places:
                wrong = f"{places[entry[key]]} is the same path"
            if wrong:
                yield f"{where}.{key} = {entry[key]}: {wrong}"
            places.setdefault(entry[key], where)
            try:
                parse_mode(entry["mode"], 0)
            except ValueError as error:
                yield f"{where} ({entry[key]}): {error}"
            if name == "files":
                yield from file_mistakes(where, entry)
    yield from absent_mistakes(arguments["absent"], places)
    for name in ("validate_bundle", "on_change"):
        for number, argv in enumerate(arguments[name]):
            if not argv or not all(isinstance(word, (str, int, float)) for word in argv):
                yield f"{name}[{number}] = {argv}: must be a list of words, such as [systemctl, daemon-reload]"
            else:
                arguments[name][number] = [str(word) for word in argv]


def absent_mistakes(absent: list[str], places: dict[str, str]) -> Iterator[str]:
    for number, given in enumerate(absent):
        path, wrong = plain_path(given, file=False)
        absent[number] = path
        inside = [other for other in places if other == path or other.startswith(path + "/")]
        if not wrong and inside:
            wrong = f"{places[inside[0]]} puts {inside[0]} there"
        if wrong:
            yield f"absent[{number}] = {path}: {wrong}"


def file_mistakes(where: str, entry: dict[str, t.Any]) -> Iterator[str]:
    where = f"{where} ({entry['dest']})"
    sources = [name for name in ("src", "content", "copy") if entry[name] is not None]
    if len(sources) != 1:
        yield f"{where}: exactly one of src, content and copy must be given, not {' and '.join(sources) or 'none'}"
    if entry["validate"]:
        try:
            words = shlex.split(entry["validate"])
        except ValueError as error:
            yield f"{where}.validate = {entry['validate']}: {error}"
        else:
            if not any("%s" in word for word in words):
                yield f"{where}.validate = {entry['validate']}: must contain %s, which stands for the file to look at"


def plain_path(path: str, file: bool) -> tuple[str, str]:
    """A path without dots and doubled slashes, and what is wrong with it."""
    if not path.startswith("/"):
        return path, "must be an absolute path"
    if file and path.endswith("/"):
        return path, "must be the path of a file, not of a directory"
    plain = posixpath.normpath(path)
    plain = "/" + plain.lstrip("/")
    return plain, "must not be the root directory" if plain == "/" else ""
