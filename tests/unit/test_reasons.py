"""What silences an error, a linter or a type checker says why: on its line or in a comment just above."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("artifacts", "roles", "playbooks", "plugins", "tools", "tests", "molecule")
SUFFIXES = {"", ".py", ".yml", ".j2", ".sh", ".lua"}
CODES = r"(: ?[\w-]+(\[[\w-]+\])?(, ?[\w-]+(\[[\w-]+\])?)*|\[[\w, -]+\])?"
MARKERS = [
    *(rf"{word}: *(false|no)\b" for word in ("failed_when", "changed_when")),
    *(rf"{word}(: *(true|yes)\b|=True)" for word in ("ignore_errors", "ignore_unreachable")),
    rf"# *(noqa|nosec|type: *ignore){CODES}",
]
MARKER = re.compile("|".join(f"(?:{marker})" for marker in MARKERS))
REASON = re.compile(r"\w{2,}.*\w{2,}")


def without_reason(text: str) -> list[str]:
    """Lines with such a marker and without a reason. Several markers in a row share the comment above them."""
    lines = text.splitlines()
    found = []
    for number, line in enumerate(lines):
        marker = MARKER.search(line)
        if not marker:
            continue
        above = number - 1
        while above >= 0 and MARKER.search(lines[above]) and not lines[above].lstrip().startswith("#"):
            above -= 1
        comment = above >= 0 and re.match(r"\s*#(.*)", lines[above])
        if not REASON.search(line[marker.end() :].lstrip(") ")) and not (comment and REASON.search(comment[1])):
            found.append(f"{number + 1}: {line.strip()}")
    return found


def test_every_marker_has_a_reason() -> None:
    found = {}
    paths = {path for folder in FOLDERS for path in (ROOT / folder).rglob("*") if path.suffix in SUFFIXES}
    for path in sorted(paths - {Path(__file__).resolve()}):
        if path.is_file() and (lines := without_reason(path.read_text(encoding="utf-8", errors="replace"))):
            found[str(path.relative_to(ROOT))] = lines
    assert found == {}


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("x  # noqa: E402", 1),
        ("x  # noqa: E402, PLC0415", 1),
        ("x  # noqa: E402 - tools/ is no package", 0),
        ("y = 1\nx  # type: ignore[arg-type]", 1),
        ("x  # type: ignore[arg-type]  # listeners are sockets", 0),
        ("# listeners are sockets\nx  # type: ignore[arg-type]", 0),
        ("- name: x\n  failed_when: false", 1),
        ("- name: x\n  # it may be absent\n  ignore_unreachable: true\n  ignore_errors: true", 0),
        ("shutil.rmtree(x, ignore_errors=True)", 1),
        ("shutil.rmtree(x, ignore_errors=True)  # there may be none", 0),
        ("run(x)  # nosec", 1),
    ],
)
def test_the_control_of_that_test(text: str, lines: int) -> None:
    assert len(without_reason(text)) == lines
