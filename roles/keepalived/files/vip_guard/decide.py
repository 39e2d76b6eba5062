# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Whether this balancer must not hold the address, from what it sees. Pure: no clock, no socket.

VRRP alone takes silence for death. Two balancers cut from each other, both still reaching their clients, would both
take the address. So the one that holds it says so to arbiters (the balancers of other regions) many times a second, and
the one that no longer hears it asks them. The rule is evidence: an arbiter heard the holder *after* this balancer heard
it last, so it lives, so the address is not taken. No evidence, no veto: a dead holder stops speaking to both at the
same moment, and with arbiters out of reach this is plain VRRP. The guard only ever keeps a balancer from holding the
address.
"""

from __future__ import annotations

from dataclasses import dataclass, field

CONTACT = 0.35
"""Seconds without a word from a partner after which contact with it is lost: three words and a half."""
CLAIM = 0.6
"""Seconds for which a claim lasts that is not renewed."""
LATER = 0.15
"""Seconds by which a claim must be younger than the last word of its holder to prove that it lives."""
LEARN = 1.0
"""Seconds after the start in which a balancer that knows nothing yet waits."""
CONFLICT = 0.4
"""Seconds that VRRP gets to settle two owners who hear each other."""
UNFIT = 1.0
"""Seconds without a healthy server, while a partner has one, after which that one is to hold the address. Two balancers
see the same server come back up to a check's interval apart, and the address must not move for that."""


@dataclass
class Partner:
    """Another balancer of the region, as it last described itself."""

    heard: float | None = None
    holds: bool = False
    held_for: float = 0.0
    serves_since: float | None = None
    """Since when it says that it has a healthy server, on this host's clock."""
    priority: int = 0


@dataclass
class Claim:
    """Who holds the address, as an arbiter says."""

    holder: str
    at: float
    """When the holder renewed it last, on this host's clock."""
    priority: int = 0


@dataclass
class View:
    """What a balancer knows at one moment."""

    name: str
    priority: int
    now: float
    started: float
    held_since: float | None = None
    unfit_since: float | None = None
    """Since when it has had no healthy server itself."""
    partners: dict[str, Partner] = field(default_factory=dict)
    arbiters: int = 0
    claims: dict[str, Claim | None] = field(default_factory=dict)
    """By arbiter: its last answer, None where nobody claims. An arbiter that has not answered is not in it."""
    answered: float | None = None
    """When any arbiter answered last."""

    def hears(self, name: str) -> bool:
        partner = self.partners.get(name)
        return partner is not None and partner.heard is not None and self.now - partner.heard <= CONTACT


@dataclass
class Decision:
    """``fault`` says why the address must not be held here; ``fence``: keepalived does not obey and must be killed."""

    fault: str = ""
    fence: bool = False


class Judge:
    """Decides again and again; remembers only conflicts."""

    def __init__(self) -> None:
        self._conflict: tuple[str, float] | None = None
        self._fenced_for = ""

    def decide(self, view: View) -> Decision:
        conflict = self._settle(view)
        if conflict:
            return conflict
        for rule in (_ignorant, _held_elsewhere, _isolated, _unfit):
            fault = rule(view)
            if fault:
                return Decision(fault)
        return Decision()

    def _settle(self, view: View) -> Decision | None:
        """Two owners who hear each other: VRRP settles that in a moment, unless a keepalived is frozen or filtered.

        The later owner took the address because the earlier one was silent in VRRP; so the earlier one goes, and stays
        away for as long as the other holds it.
        """
        other = next((name for name, partner in view.partners.items() if partner.holds and view.hears(name)), None)
        if other is None:
            self._conflict, self._fenced_for = None, ""
            return None
        if self._fenced_for == other:
            return Decision(f"{other} holds the address and does not hear this keepalived")
        if view.held_since is None:
            self._conflict = None
            return None
        if self._conflict is None or self._conflict[0] != other:
            self._conflict = (other, view.now)
        partner = view.partners[other]
        mine = (view.now - view.held_since, view.priority, view.name)
        theirs = (partner.held_for, partner.priority, other)
        if view.now - self._conflict[1] > CONFLICT and mine > theirs:
            self._fenced_for, self._conflict = other, None
            return Decision(f"{other} took the address over: this keepalived is silent", fence=True)
        return None


def _ignorant(view: View) -> str:
    """Just started, and neither a partner nor an arbiter has spoken yet."""
    alone = not view.partners and not view.arbiters
    heard = any(partner.heard is not None for partner in view.partners.values()) or view.claims
    if alone or heard or view.held_since is not None or view.now - view.started > LEARN:
        return ""
    return "just started: waiting for word from a partner or an arbiter"


def _held_elsewhere(view: View) -> str:
    """A partner that is not heard is alive, and holds the address: an arbiter has heard it since."""
    own = False
    others: dict[str, tuple[int, str]] = {}
    for arbiter, claim in view.claims.items():
        if claim is None or view.now - claim.at > CLAIM:
            continue
        if claim.holder == view.name:
            own = True
        elif not view.hears(claim.holder) and _spoke_since(view, claim):
            others[claim.holder] = (claim.priority, arbiter)
    if not others:
        return ""
    holder, (priority, arbiter) = max(others.items(), key=lambda item: (item[1][0], item[0]))
    if view.held_since is not None and own and (view.priority, view.name) > (priority, holder):
        # The arbiters are split, so both hold it. One stays, and both choose the same one.
        return ""
    return f"cut from {holder}, which holds the address as {arbiter} says"


def _spoke_since(view: View, claim: Claim) -> bool:
    partner = view.partners.get(claim.holder)
    return partner is None or partner.heard is None or claim.at > partner.heard + LATER


def _isolated(view: View) -> str:
    """Nobody is heard, and there is nothing to serve: a partner in a better place may have the address by now."""
    if view.unfit_since is None or not view.partners or not view.arbiters:
        return ""
    silence = view.now - (view.answered or view.started)
    if silence <= CLAIM or any(view.hears(name) for name in view.partners):
        return ""
    return "no partner, no arbiter and no healthy server is in reach"


def _unfit(view: View) -> str:
    """No healthy server here, while a partner that is heard has one. When nobody has one, the holder answers that."""
    if view.unfit_since is None:
        return ""
    for name, partner in view.partners.items():
        if partner.serves_since is None or not view.hears(name):
            continue
        if view.now - max(view.unfit_since, partner.serves_since) >= UNFIT:
            return f"no healthy server here, {name} has one"
    return ""
