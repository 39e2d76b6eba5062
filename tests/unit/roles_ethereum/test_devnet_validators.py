"""The validators that run are those that the genesis holds, and a number that contradicts it is refused."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.preflight import ROOT, CheckedInventory


@pytest.fixture(scope="module")
def site() -> CheckedInventory:
    """The lab's inventory without the artifacts that its releases come from."""
    return CheckedInventory(ROOT / "inventories" / "lab" / "ethereum.yml")


def said(site: CheckedInventory, **values: Any) -> list[str]:
    """What is said of the number of validators."""
    release = {"6.0.4": {"url": "prysm", "checksum": f"sha256:{'0' * 64}", "binaries": ["prysm"]}}
    releases = {"lab_releases": dict.fromkeys(("geth", "prysm", "prysmctl", "prysm-validator"), release)}
    with site.changed("all", {**releases, **values}):
        found = site.check("ethereum")
    assert "devnet_validators" in found.roles
    return [text for each in found.mistakes if "devnet_validators_count" in (text := f"{each.variable} {each.text}")]


@pytest.mark.parametrize("number", [6, 16, 64])
def test_what_the_genesis_holds_is_said_once(site: CheckedInventory, number: int) -> None:
    assert said(site, devnet_validators=number) == []


def test_two_thirds_are_enough(site: CheckedInventory) -> None:
    assert said(site, devnet_validators=64, devnet_validators_count=43) == []


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"devnet_validators_count": 17}, "are more validators than the genesis holds (devnet_validators = 16)"),
        ({"devnet_validators_first": 1}, "16 from devnet_validators_first = 1 on are more validators"),
        ({"devnet_validators": 64, "devnet_validators_count": 42}, "no block would ever be final"),
        ({"devnet_validators": "64", "devnet_validators_count": 42}, "(devnet_validators = 64)"),
    ],
)
def test_a_contradiction_is_refused(site: CheckedInventory, values: dict[str, Any], words: str) -> None:
    (text,) = said(site, **values)
    assert words in text
    assert "leave devnet_validators_count out, it follows devnet_validators" in text
