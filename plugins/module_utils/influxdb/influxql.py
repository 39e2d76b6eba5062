# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""InfluxQL: names, strings, durations, and whether two texts say the same."""

from __future__ import annotations

import re

NANOSECONDS = {
    "ns": 1,
    "u": 1_000,
    "µ": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
    "d": 86_400_000_000_000,
    "w": 604_800_000_000_000,
}
SECOND = NANOSECONDS["s"]
HOUR, DAY = NANOSECONDS["h"], NANOSECONDS["d"]
# What people write in options only: InfluxQL has no years.
YEAR = 365 * DAY
PART = re.compile(r"(\d+)(ns|ms|us|u|µ|s|m|h|d|w|y)")

# Words that a continuous query may hold, shown by the server in capitals however they were written.
KEYWORDS = {
    "ALL", "AND", "AS", "ASC", "BEGIN", "BY", "CONTINUOUS", "CREATE", "DESC", "DISTINCT", "END", "EVERY", "FALSE",
    "FOR", "FROM", "GROUP", "IN", "INTO", "LIMIT", "OFFSET", "ON", "OR", "ORDER", "QUERY", "RESAMPLE", "SELECT",
    "SLIMIT", "SOFFSET", "TRUE", "TZ", "WHERE",
}  # fmt: skip
TOKEN = re.compile(
    r"""
      (?P<space>\s+)
    | (?P<string>'(?:[^'\\\n]|\\.)*')
    | (?P<quoted>"(?:[^"\\\n]|\\.)*")
    | (?P<duration>(?:\d+(?:ns|ms|u|µ|s|m|h|d|w))+(?![A-Za-z0-9_]))
    | (?P<number>\d+\.\d+|\.\d+|\d+)
    | (?P<word>[A-Za-z_][A-Za-z0-9_]*)
    | (?P<symbol>::|=~|!~|!=|<>|<=|>=|[-+*/%&|^()=<>,;:.])
    """,
    re.VERBOSE,
)
REGEX = re.compile(r"/(?:[^/\\\n]|\\.)*/")


Token = tuple[str, str]


class QueryError(ValueError):
    """A text that is no InfluxQL."""


def name(text: str) -> str:
    """A name, quoted."""
    if not text or "\n" in text or "\0" in text:
        raise QueryError(f"{text!r} can be no name")
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def string(text: str) -> str:
    """A string, quoted. A line's end would end the statement's line, and passwords have none."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n")
    return f"'{escaped}'"


def parse_duration(text: str) -> int:
    """Nanoseconds of 7d, 1h30m, 5y (365 days each), or of Go's 168h0m0s; 0 for INF and 0s, which mean for ever."""
    value = str(text).strip()
    if value.upper() in ("INF", "0"):
        return 0
    if not re.fullmatch(rf"(?:{PART.pattern})+", value):
        raise QueryError(f"{text!r} is no duration such as 90s, 5m, 12h, 7d, 4w, 5y or INF")
    units = NANOSECONDS | {"y": YEAR, "us": 1_000}
    return sum(int(number) * units[unit] for number, unit in PART.findall(value))


def duration(nanoseconds: int) -> str:
    """As InfluxDB shows it: the largest unit that divides it."""
    if nanoseconds == 0:
        return "0s"
    for unit in ("w", "d", "h", "m", "s", "ms", "u"):
        if nanoseconds % NANOSECONDS[unit] == 0:
            return f"{nanoseconds // NANOSECONDS[unit]}{unit}"
    return f"{nanoseconds}ns"


def default_shard_duration(retention: int) -> int:
    """What the server chooses for a policy that names none."""
    if retention == 0 or retention > 180 * DAY:
        return 7 * DAY
    return HOUR if retention < 2 * DAY else DAY


def scan(text: str) -> list[tuple[str, str, int]]:
    """(kind, value, where it begins) of every word; quoted and bare names are one kind, durations are nanoseconds."""
    found: list[tuple[str, str, int]] = []
    at = 0
    while at < len(text):
        regex = REGEX.match(text, at)
        if regex and (not found or (found[-1][0] in ("keyword", "symbol") and found[-1][1] not in (")", "*"))):
            found.append(("regex", regex[0], at))
            at = regex.end()
            continue
        match = TOKEN.match(text, at)
        if not match:
            raise QueryError(f"cannot read {text[at : at + 20]!r} in a query")
        begin, at = at, match.end()
        kind, value = str(match.lastgroup), match[0]
        if kind == "space":
            continue
        if kind == "word":
            keyword = value.upper() in KEYWORDS
            found.append(("keyword", value.upper(), begin) if keyword else ("name", value, begin))
        elif kind == "quoted":
            found.append(("name", re.sub(r"\\(.)", r"\1", value[1:-1]), begin))
        elif kind == "duration":
            found.append((kind, str(parse_duration(value)), begin))
        else:
            found.append((kind, value, begin))
    return found


def tokens(text: str) -> list[Token]:
    return [(kind, value) for kind, value, _begin in scan(text)]


def normal(text: str, database: str = "", policy: str = "") -> list[Token]:
    """Words by which two texts of one query are compared.

    The server shows another text than it was given: sources with their database and policy, three decimals of a number,
    functions in small letters, no fill(null). The default database and policy are those of the query.
    """
    found = tokens(text)
    while found and found[-1] == ("symbol", ";"):
        found.pop()
    result: list[Token] = []
    at = 0
    while at < len(found):
        kind, value = found[at]
        if kind == "name" and found[at + 1 : at + 2] == [("symbol", "(")]:
            value = value.lower()
        elif kind == "number" and "." in value:
            value = f"{float(value):.3f}"
        elif (kind, value) == ("symbol", "<>"):
            value = "!="
        result.append((kind, value))
        at += 1
        if kind == "keyword" and value in ("FROM", "INTO"):
            at = sources(found, at, result, database, policy)
    return without_null_fill([word for word in result if word != ("keyword", "ASC")])


def sources(found: list[Token], at: int, result: list[Token], database: str, policy: str) -> int:
    """Copy a list of measurements, each as database.policy.measurement; where it ends. A subquery is left alone."""
    while at < len(found) and found[at] != ("symbol", "("):
        parts: list[list[Token]] = [[]]
        while at < len(found):
            kind, value = found[at]
            if (kind, value) == ("symbol", "."):
                parts.append([])
            elif kind in ("name", "regex") or (kind, value) == ("symbol", ":"):
                parts[-1].append((kind, value))
            else:
                break
            at += 1
        parts = [[]] * (3 - len(parts)) + parts
        for part, default in zip(parts[:2], (database, policy), strict=True):
            result += [*(part or [("name", default)]), ("symbol", ".")]
        result += parts[2]
        if at >= len(found) or found[at] != ("symbol", ","):
            break
        result.append(found[at])
        at += 1
    return at


def without_null_fill(words: list[Token]) -> list[Token]:
    """fill(null) is what a query without fill does; the server leaves it out."""
    null = [("name", "fill"), ("symbol", "("), ("name", "null"), ("symbol", ")")]
    for index in range(len(words) - len(null), -1, -1):
        if words[index : index + len(null)] == null:
            words = words[:index] + words[index + len(null) :]
    return words


def same_query(one: str, other: str, database: str = "", policy: str = "") -> bool:
    return normal(one, database, policy) == normal(other, database, policy)
