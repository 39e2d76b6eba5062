# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A value with its origin. "Could not be read" is an answer of its own, never a zero or an empty list."""

from __future__ import annotations

import typing as t

NOT_READ = "could not be read"


class Reading(t.TypedDict):
    """value is None when error says why it could not be read; read_from is a file, a command or a system call."""

    value: t.Any
    read_from: str
    error: str | None


class Unreadable(Exception):
    """Something could not be read; path says what, reason why."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason


def found(value: t.Any, read_from: str) -> Reading:
    return {"value": value, "read_from": read_from, "error": None}


def unread(read_from: str, reason: str) -> Reading:
    return {"value": None, "read_from": read_from, "error": f"{NOT_READ}: {reason}"}


def attempt(read: t.Callable[[], t.Any], read_from: str) -> Reading:
    """The value that read returns, or the reason why there is none."""
    try:
        return found(read(), read_from)
    except Unreadable as error:
        return unread(error.path, error.reason)
    except (ValueError, IndexError, KeyError) as error:
        return unread(read_from, f"its content is not what was expected ({error!r})")


def first(*readings: Reading) -> Reading:
    """The first reading that has a value; else all reasons in one."""
    for reading in readings:
        if reading["error"] is None:
            return reading
    reasons = "; ".join(
        f"{each['read_from']}: {(each['error'] or '').removeprefix(NOT_READ + ': ')}" for each in readings
    )
    return unread(", ".join(each["read_from"] for each in readings), reasons)
