# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A line over time as inline SVG: no script, no outside resource, colours from the page's style."""

from __future__ import annotations

import html
import time
from collections.abc import Sequence

WIDTH, HEIGHT = 640, 120
LEFT, RIGHT, TOP, BOTTOM = 44, 8, 8, 18

Point = tuple[float, float | None]


def ceiling(value: float) -> float:
    """The next number that reads well on an axis."""
    step = 1.0
    while True:
        for nice in (1, 2, 5):
            if value <= nice * step:
                return nice * step
        step *= 10


def runs(points: Sequence[Point], distance: float) -> list[list[tuple[float, float]]]:
    """Stretches without a gap: an unknown value ends one, and so does a time in which nobody sampled."""
    found: list[list[tuple[float, float]]] = []
    last: float | None = None
    for at, value in points:
        if value is None:
            last = None
            continue
        if last is None or at - last > 2.5 * distance:
            found.append([])
        found[-1].append((at, value))
        last = at
    return found


def line(
    title: str,
    points: Sequence[Point],
    *,
    span: tuple[float, float],
    distance: float,
    limit: float | None = None,
    shaded: Sequence[tuple[float, float]] = (),
) -> str:
    """One chart. ``limit`` is drawn across it, ``shaded`` are the times out of service."""
    start, end = span
    highest = max([value for _at, value in points if value is not None] + [1.0] + ([limit * 1.1] if limit else []))
    top = ceiling(highest)

    def x(at: float) -> float:
        return round(LEFT + (min(max(at, start), end) - start) / max(end - start, 1.0) * (WIDTH - LEFT - RIGHT), 1)

    def y(value: float) -> float:
        return round(HEIGHT - BOTTOM - min(value, top) / top * (HEIGHT - TOP - BOTTOM), 1)

    parts = [f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{html.escape(title)}">']
    parts.append(f"<title>{html.escape(title)}</title>")
    for begin, stop in shaded:
        width, height = round(max(x(stop) - x(begin), 1.0), 1), HEIGHT - TOP - BOTTOM
        parts.append(f'<rect class="out" x="{x(begin)}" y="{TOP}" width="{width}" height="{height}"/>')
    for value in (0.0, top / 2, top):
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(value)}" y2="{y(value)}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y(value) + 3.5}" text-anchor="end">{value:g}</text>')
    if limit:
        parts.append(f'<line class="limit" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(limit)}" y2="{y(limit)}"/>')
    for stretch in runs(points, distance):
        path = " ".join(f"{x(at)},{y(value)}" for at, value in stretch)
        if len(stretch) == 1:
            parts.append(f'<circle class="dot" cx="{x(stretch[0][0])}" cy="{y(stretch[0][1])}" r="1.5"/>')
        else:
            parts.append(f'<polyline class="value" points="{path}"/>')
    for at, anchor in ((start, "start"), (end, "end")):
        label = time.strftime("%H:%M UTC", time.gmtime(at))
        parts.append(f'<text x="{x(at)}" y="{HEIGHT - 4}" text-anchor="{anchor}">{label}</text>')
    parts.append("</svg>")
    return "".join(parts)
