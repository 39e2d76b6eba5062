# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Changes as ansible's diffs; of a secret file, only that it changes."""

from __future__ import annotations

import typing as t

from .plan import Change

# What ansible's own modules show at most (its setting max_diff_size has the same default).
MAX_SIZE = 104448


def diffs(changes: list[Change], secrets: set[str]) -> list[dict[str, t.Any]]:
    found = []
    for change in changes:
        found += list(_of(change, change.path in secrets))
    return found


def _of(change: Change, secret: bool) -> t.Iterator[dict[str, t.Any]]:
    path = change.path
    if change.kind == "absent":
        yield {"prepared": f"removed: {path}\n"}
        return
    if change.file is not None:
        if secret or change.file.secret:
            yield {"prepared": f"changed (secret): {path}\n"}
        else:
            yield _content(change)
    if change.after != change.before:
        kind = " (directory)" if change.kind == "directory" else ""
        yield {
            "before_header": f"{path}{kind} attributes",
            "after_header": f"{path}{kind} attributes",
            "before": str(change.before) if change.before else "",
            "after": str(change.after) if change.after else "an owner or group that does not exist yet\n",
        }


def _content(change: Change) -> dict[str, t.Any]:
    diff: dict[str, t.Any] = {"before_header": change.path, "after_header": change.path}
    new = change.file.content if change.file else b""
    for side, other, content in (("before", "dst", change.old or b""), ("after", "src", new)):
        if b"\0" in content:
            diff[f"{other}_binary"] = 1
        elif len(content) > MAX_SIZE:
            diff[f"{other}_larger"] = MAX_SIZE
        else:
            diff[side] = content.decode(errors="replace")
    if change.before is None:
        diff["before_header"] += " (not there)"
    return diff
