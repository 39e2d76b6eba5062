# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The last two hours of a node, for a person who comes late: one point every ten seconds, the worst of each.

In memory only, and of a fixed size: 720 points of 25 bytes. Whoever wants more asks Prometheus.
"""

from __future__ import annotations

import json
import math
from array import array

POINT_SECONDS, POINTS = 10.0, 720
_NONE = math.nan


class History:
    """A ring of points: when (seconds since 1970), age of the head, blocks behind, whether in service throughout."""

    def __init__(self, point_seconds: float = POINT_SECONDS, points: int = POINTS) -> None:
        self.point_seconds = point_seconds
        self._at = array("d", [0.0]) * points
        self._age = array("d", [_NONE]) * points
        self._lag = array("d", [_NONE]) * points
        self._service = array("b", [0]) * points
        self._size, self._last = 0, -1

    def note(self, wall: float, age: float | None, lag: float | None, in_service: bool) -> None:
        """One sample; it opens a point, or makes the open one worse."""
        at = wall - wall % self.point_seconds
        last = self._last
        if self._size and self._at[last] == at:
            self._age[last] = _worse(self._age[last], age)
            self._lag[last] = _worse(self._lag[last], lag)
            self._service[last] = min(self._service[last], in_service)
            return
        last = self._last = (last + 1) % len(self._at)
        self._size = min(self._size + 1, len(self._at))
        self._at[last], self._service[last] = at, in_service
        self._age[last] = _NONE if age is None else age
        self._lag[last] = _NONE if lag is None else lag

    def points(self) -> list[tuple[float, float | None, float | None, bool]]:
        """The oldest first; None where it was not known."""
        start = self._last + 1 - self._size
        return [
            (self._at[i], _known(self._age[i]), _known(self._lag[i]), bool(self._service[i]))
            for i in (number % len(self._at) for number in range(start, start + self._size))
        ]

    def json(self) -> bytes:
        """As ``/history`` answers: the fields' names once, then bare rows."""
        rows = [[round(at), age if age is None else round(age, 2), lag, int(up)] for at, age, lag, up in self.points()]
        fields = ["at", "age_seconds", "lag_blocks", "in_service"]
        page = {"point_seconds": self.point_seconds, "fields": fields, "points": rows}
        return json.dumps(page, separators=(",", ":")).encode() + b"\n"


def _worse(before: float, now: float | None) -> float:
    if now is None:
        return before
    return now if math.isnan(before) else max(before, now)


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value
