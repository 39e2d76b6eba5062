# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is to be done, in order."""

from __future__ import annotations

from dataclasses import dataclass, field


class Refused(Exception):
    """A wish that cannot be met, or only with a loss that was not allowed."""


@dataclass(frozen=True)
class Change:
    """One statement on one object. before and after are what a person is shown; neither holds a verifier."""

    obj: str
    statement: str
    before: str
    after: str
    database: str = "postgres"
    shown: str = ""

    @property
    def secret(self) -> bool:
        return bool(self.shown)

    @property
    def words(self) -> str:
        return self.shown or self.statement


@dataclass
class Plan:
    """The changes; later and last hold what takes away, which comes after what is made."""

    changes: list[Change] = field(default_factory=list)
    last: list[Change] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def all(self) -> list[Change]:
        return self.changes + self.last
