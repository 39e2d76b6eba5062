# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a site tolerates of its chain nodes. Times are in slots of the network: one policy fits every network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

SERVE, REFUSE = "serve", "refuse"


@dataclass(frozen=True, slots=True)
class Policy:
    slot_seconds: float = 12.0
    slots_per_epoch: int = 32
    # a node is ejected when its head is older than this, or lags further behind the references; with both the same,
    # age decides, and lag where the host's clock cannot be trusted
    max_age_slots: float = 5
    max_lag_slots: int = 5
    # a node is admitted only when it is this close; tighter, so that it does not swing
    admit_age_slots: float = 4
    admit_lag_slots: int = 1
    # rounds of sampling in a row that a fatal finding must last, and that a good node must have been good
    repeats: int = 2
    admit_after: int = 3
    # slots that a node may need to import a block which a reference has, when a chain goes on after a stall
    import_slots: float = 0.5
    # slots for which a difference that a reorganisation could explain may last, if outvoted or nothing is finalised
    fork_slots: float = 4
    # epochs without a new finalised checkpoint after which the chain counts as not finalising; three are normal
    max_finality_epochs: int = 4
    min_references: int = 1
    min_execution_peers: int = 3
    min_consensus_peers: int = 3
    max_clock_error_seconds: float = 1.0
    # what to do when the whole chain stands still
    on_stall: str = SERVE

    def __post_init__(self) -> None:
        problems = self.problems()
        if problems:
            raise ValueError("; ".join(problems))

    def problems(self) -> list[str]:
        """What in it is out of range or does not fit together, one sentence each."""
        found = []
        for name, least in LEAST.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not value >= least:
                found.append(f"{name} is {value!r}, it must be a number of at least {least:g}")
            elif name in WHOLE and not isinstance(value, int):
                found.append(f"{name} is {value!r}, it must be a whole number")
        if self.on_stall not in (SERVE, REFUSE):
            found.append(f"on_stall is {self.on_stall!r}, it must be {SERVE} or {REFUSE}")
        if not found:
            for tight, wide in (("admit_age_slots", "max_age_slots"), ("admit_lag_slots", "max_lag_slots")):
                if getattr(self, tight) > getattr(self, wide):
                    found.append(
                        f"{tight} ({getattr(self, tight):g}) is greater than {wide} ({getattr(self, wide):g}): "
                        "a node would be admitted and ejected by turns"
                    )
        return found

    @property
    def max_age_seconds(self) -> float:
        return self.max_age_slots * self.slot_seconds

    @property
    def admit_age_seconds(self) -> float:
        return self.admit_age_slots * self.slot_seconds

    @property
    def import_seconds(self) -> float:
        return self.import_slots * self.slot_seconds

    @property
    def fork_seconds(self) -> float:
        return self.fork_slots * self.slot_seconds

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> Policy:
        """A policy from configuration; ValueError names an unknown key or a value that is not allowed."""
        known = {field.name for field in fields(cls)}
        unknown = sorted(set(values) - known)
        if unknown:
            raise ValueError(f"unknown in the policy: {', '.join(unknown)}; known are {', '.join(sorted(known))}")
        return cls(**values)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


# a head is up to one slot old on a perfect chain, and older wherever a slot stays empty: two are the least that works
LEAST: dict[str, float] = {
    "slot_seconds": 0.1,
    "slots_per_epoch": 1,
    "max_age_slots": 2,
    "max_lag_slots": 1,
    "admit_age_slots": 1.5,
    "admit_lag_slots": 0,
    "repeats": 1,
    "admit_after": 1,
    "import_slots": 0,
    "fork_slots": 1,
    "max_finality_epochs": 3,
    "min_references": 1,
    "min_execution_peers": 0,
    "min_consensus_peers": 0,
    "max_clock_error_seconds": 0.05,
}
WHOLE = {
    "slots_per_epoch",
    "max_lag_slots",
    "admit_lag_slots",
    "repeats",
    "admit_after",
    "max_finality_epochs",
    "min_references",
    "min_execution_peers",
    "min_consensus_peers",
}
