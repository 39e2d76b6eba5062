# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Changes as ansible's diffs; of a secret file, only that it changes."""

from __future__ import annotations

import typing as t

from .plan import Change

# What ansible's own modules show at most (its setting max_diff_size has the same default).
MAX_SIZE = 104448
UNKNOWN = "an owner or group that does not exist yet"


def diff_of(change: Change) -> dict[str, t.Any]:
    """The headers name owner and mode too, which may be all that changes."""
    path = change.path
    if change.kind == "absent":
        # its content is not shown: nothing says whether it was secret
        return {"prepared": f"removed: {path}\n"}
    before, after = str(change.before or "not there"), str(change.after or UNKNOWN)
    if change.file is None:
        kind = "directory " if change.about_directory else ""
        return {"prepared": f"{kind}{path}: {before} -> {after}\n"}
    if change.file.secret:
        return {"prepared": f"{path}: changed (secret): {before} -> {after}\n"}
    if not change.file.content and not change.old:
        return {"prepared": f"{path} (empty): {before} -> {after}\n"}
    diff: dict[str, t.Any] = {"before_header": f"{path} ({before})", "after_header": f"{path} ({after})"}
    for side, other, content in (("before", "dst", change.old or b""), ("after", "src", change.file.content)):
        if b"\0" in content:
            diff[f"{other}_binary"] = 1
        elif len(content) > MAX_SIZE:
            diff[f"{other}_larger"] = MAX_SIZE
        else:
            diff[side] = content.decode(errors="replace")
    return diff
