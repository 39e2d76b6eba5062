# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Prometheus' text format, read with leniency: a line that is none is passed over."""

from __future__ import annotations

import math
import re
import typing as t

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LINE = re.compile(rf"(?P<name>{NAME})(?:\{{(?P<labels>.*)\}})?\s+(?P<value>\S+)(?:\s+-?\d+)?\s*$")
LABEL = re.compile(rf'(?P<name>{NAME})="(?P<value>(?:[^"\\]|\\.)*)"')
ESCAPES = {"n": "\n", '"': '"', "\\": "\\"}


def plain(text: str) -> str:
    return re.sub(r"\\(.)", lambda found: ESCAPES.get(found[1], found[0]), text)


def samples(text: str, prefixes: t.Sequence[str] = ()) -> list[dict[str, t.Any]]:
    """Those whose names begin with one of the prefixes; all without any. What JSON cannot hold (NaN) is left out."""
    found = []
    for line in text.splitlines():
        if line.startswith("#") or (prefixes and not line.startswith(tuple(prefixes))):
            continue
        match = LINE.match(line)
        if not match:
            continue
        try:
            value = float(match["value"])
        except ValueError:
            continue
        if math.isfinite(value):
            labels = {label["name"]: plain(label["value"]) for label in LABEL.finditer(match["labels"] or "")}
            found.append({"name": match["name"], "labels": labels, "value": value})
    return found
