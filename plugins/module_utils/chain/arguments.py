# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Options that modules about the health of a chain have in common; documented in the fragment chain_health."""

from __future__ import annotations

from typing import Any

from .policy import Policy
from .samples import Identity


def shared_spec() -> dict[str, Any]:
    return {
        "references": {
            "type": "list",
            "elements": "dict",
            "default": [],
            "options": {
                "name": {"type": "str", "required": True},
                "execution_url": {"type": "str", "required": True},
                "consensus_url": {"type": "str"},
            },
        },
        "policy": {"type": "dict", "default": {}},
        "chain_id": {"type": "int"},
        "genesis_hash": {"type": "str"},
        "ca_path": {"type": "path"},
    }


def policy_of(params: dict[str, Any]) -> Policy:
    """The policy of the option ``policy``; ValueError names what is wrong with it.

    Values that come out of templates may be strings of numbers.
    """
    return Policy.from_mapping({key: _number(value) for key, value in params["policy"].items()})


def _number(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        number = float(value)
    except ValueError:
        return value
    return int(number) if number.is_integer() else number


def identity_of(params: dict[str, Any]) -> Identity:
    genesis_hash = params["genesis_hash"]
    return Identity(chain_id=params["chain_id"] or None, genesis_hash=genesis_hash.lower() if genesis_hash else None)
