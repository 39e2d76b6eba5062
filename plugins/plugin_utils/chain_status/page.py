# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The report as one HTML file, which needs nothing else: to be mailed, kept, or opened at night on a telephone."""

from __future__ import annotations

from html import escape
from typing import Any

from . import chart
from .model import Pair, clock
from .table import summary

STYLE = """
:root {
  color-scheme: light dark;
  --ink: #1c2430; --soft: #5b6675; --paper: #f6f7f9; --card: #fff; --line: #dfe3e8;
  --good: #14743b; --fair: #8a5a00; --bad: #b3261e; --value: #2159c4;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ink: #e4e8ee; --soft: #98a3b3; --paper: #12161c; --card: #1a2029; --line: #2d3642;
    --good: #5cc98a; --fair: #e0b04c; --bad: #ff8a80; --value: #7fa9ff;
  }
}
* { box-sizing: border-box; }
body { margin: 0; padding: 1.5rem; background: var(--paper); color: var(--ink); font: 15px/1.45 system-ui, sans-serif; }
main { max-width: 84rem; margin: 0 auto; }
h1 { font-size: 1.35rem; margin: 0; }
h2 { font-size: 1.05rem; margin: 0; }
h3 { font-size: .8rem; font-weight: 600; margin: .8rem 0 .1rem; color: var(--soft); }
p { margin: .3rem 0; }
.soft { color: var(--soft); }
.scroll, .card { background: var(--card); border: 1px solid var(--line); border-radius: .5rem; }
.scroll { overflow-x: auto; margin: 1rem 0; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: left; vertical-align: top; white-space: nowrap; }
th, td { padding: .45rem .6rem; border-bottom: 1px solid var(--line); }
tr:last-child td { border-bottom: 0; }
th { font-size: .78rem; font-weight: 600; color: var(--soft); }
td.number, th.number { text-align: right; }
tr.why td { white-space: normal; overflow-wrap: anywhere; padding-top: 0; }
tr.told td { border-bottom: 0; }
.good, .fair, .bad { font-weight: 600; }
.good { color: var(--good); }
.fair { color: var(--fair); }
.bad { color: var(--bad); }
.cards { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fit, minmax(min(30rem, 100%), 1fr)); }
.card { padding: .9rem 1rem; min-width: 0; overflow-wrap: anywhere; }
.head { display: flex; justify-content: space-between; gap: 1rem; flex-wrap: wrap; }
ul { margin: .4rem 0; padding-left: 1.1rem; }
details { margin-top: .6rem; }
summary { cursor: pointer; color: var(--soft); }
details td { padding: .15rem .5rem; }
svg { width: 100%; height: auto; display: block; }
svg text { font-size: 10px; fill: var(--soft); }
.grid { stroke: var(--line); }
.limit { stroke: var(--bad); stroke-dasharray: 4 3; }
.value { fill: none; stroke: var(--value); stroke-width: 1.5; stroke-linejoin: round; }
.dot { fill: var(--value); }
.out { fill: var(--bad); opacity: .14; }
.layer { margin-top: 2rem; }
.layer h2 { margin-top: 1.4rem; }
.layer .scroll { margin: .5rem 0; }
"""

HEADINGS = {
    "Pair": "",
    "Role": "",
    "Region": "",
    "Service": "",
    "Verdict": "",
    "Head": "number",
    "Age": "number",
    "Behind": "number",
    "Peers": "number",
    "Execution": "",
    "Consensus": "",
    "Disk free": "number",
}
_TONE = {"healthy": "good", "degraded": "fair", "syncing": "fair", "unknown": "fair", "chain_stalled": "fair"}


def text(value: Any) -> str:
    """Whatever it is, safe in HTML; a dash for nothing."""
    return escape("–" if value is None or value == "" else str(value))


def tone(pair: Pair) -> str:
    if not pair.asked or not (pair.in_service or pair.drain):
        return "bad"
    return "fair" if pair.drain else "good"


def row(pair: Pair) -> str:
    age = None if pair.age_seconds is None else f"{pair.age_seconds:.1f} s"
    verdict = f'<span class="{_TONE.get(pair.state, "bad")}">{text(pair.state)}</span>' if pair.asked else text(None)
    low = any(disk.low for disk in pair.disks)
    free = ", ".join(str(disk) for disk in pair.disks)
    cells = [
        f"<td><strong>{text(pair.name)}</strong></td>",
        f"<td>{text(pair.role)}</td><td>{text(pair.region)}</td>",
        f'<td><span class="{tone(pair)}">{text(pair.service)}</span></td><td>{verdict}</td>',
        f'<td class="number">{text(pair.head)}</td><td class="number">{text(age)}</td>',
        f'<td class="number">{text(pair.lag_blocks)}</td>',
        f'<td class="number">{text(pair.peers[0])} / {text(pair.peers[1])}</td>',
        f"<td>{text(pair.versions[0])}</td><td>{text(pair.versions[1])}</td>",
        f'<td class="number{" bad" if low else ""}">{text(free)}</td>',
    ]
    if not pair.reason:
        return f"<tr>{''.join(cells)}</tr>"
    why = f'<tr class="why"><td></td><td colspan="{len(HEADINGS) - 1}">{text(pair.reason)}</td></tr>'
    return f'<tr class="told">{"".join(cells)}</tr>{why}'


def outages(pair: Pair) -> list[tuple[float, float]]:
    """When it was not in service, as far as the daemon remembers."""
    found: list[tuple[float, float]] = []
    for at, _age, _lag, up in pair.points:
        if up:
            continue
        if found and at - found[-1][1] <= pair.point_seconds / 2:
            found[-1] = (found[-1][0], at + pair.point_seconds)
        else:
            found.append((at, at + pair.point_seconds))
    return found


def charts(pair: Pair, span: tuple[float, float]) -> str:
    if not pair.points:
        return '<p class="soft">Its daemon tells no history.</p>' if pair.asked else ""
    limit, out = pair.max_age, outages(pair)
    dashed = f"; dashed: ejected above {limit:g} s" if limit else ""
    ages = [(at, age) for at, age, _lag, _up in pair.points]
    lags = [(at, lag) for at, _age, lag, _up in pair.points]
    name = f"of {pair.name} over time"
    return (
        f"<h3>Age of the head, seconds{text(dashed)}</h3>"
        + chart.line(f"Age of the head {name}", ages, span=span, distance=pair.point_seconds, limit=limit, shaded=out)
        + "<h3>Blocks behind the references</h3>"
        + chart.line(f"Blocks behind {name}", lags, span=span, distance=pair.point_seconds, shaded=out)
    )


def card(pair: Pair, span: tuple[float, float]) -> str:
    findings = "".join(f"<li>{text(finding)}</li>" for finding in pair.findings)
    policy = "".join(
        f'<tr><td>{text(name)}</td><td class="number">{text(value)}</td></tr>'
        for name, value in sorted(pair.policy.items())
    )
    disks = "".join(
        f'<p class="soft">{text(disk.path)}: {text(disk)} free, ejected below {disk.min_free_bytes / 1e9:.1f} GB</p>'
        for disk in pair.disks
    )
    state = f"{pair.service}, {pair.state}" if pair.asked else pair.service
    return (
        f'<section class="card"><div class="head"><h2>{text(pair.name)}</h2>'
        f'<span class="{tone(pair)}">{text(state)}</span></div>'
        + (f"<p>{text(pair.reason)}</p>" if pair.reason and pair.reason not in pair.findings else "")
        + (f"<ul>{findings}</ul>" if findings else "")
        + charts(pair, span)
        + disks
        + (f"<details><summary>Policy</summary><table>{policy}</table></details>" if policy else "")
        + "</section>"
    )


def page(pairs: list[Pair], now: float, title: str, more: str = "") -> str:
    """The whole file. ``now`` is in seconds since 1970, ``more`` is HTML of other layers."""
    times = [at for pair in pairs for at, *_rest in pair.points]
    span = (min(times), max(times)) if times else (now, now)
    headings = "".join(f'<th class="{kind}">{name}</th>' for name, kind in HEADINGS.items())
    rows = "".join(row(pair) for pair in pairs)
    return document(
        title,
        f'<h1>{text(title)}</h1><p class="soft">{text(summary(pairs))}. Looked at {text(clock(now))}. '
        "Shaded: out of service.</p>"
        f'<div class="scroll"><table><thead><tr>{headings}</tr></thead><tbody>{rows}</tbody></table></div>'
        f'<div class="cards">{"".join(card(pair, span) for pair in pairs)}</div>{more}',
    )


def document(title: str, body: str) -> str:
    """A file that needs nothing else; ``body`` is HTML."""
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        # nothing in it may run or be fetched, whatever a client calls itself
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f"<title>{text(title)}</title><style>{STYLE}</style></head><body><main>{body}</main></body></html>\n"
    )
