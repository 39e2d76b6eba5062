# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The Beacon API of a consensus client, as far as its health and its peers are concerned.

Every method raises EndpointError and nothing else. Numbers arrive as strings from some clients and as numbers from
others.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from .transport import CONTENT, MAX_BODY, STATUS, Endpoint, EndpointError, to_int

ZERO_ROOT = "0x" + "0" * 64


class Syncing(NamedTuple):
    head_slot: int
    distance: int  # slots between the head and the current slot, which grows on a chain that stands still
    is_syncing: bool
    is_optimistic: bool  # the execution client has not verified the head
    el_offline: bool


class Checkpoint(NamedTuple):
    epoch: int
    root: str


class Payload(NamedTuple):
    """The execution block that a beacon block stands for.

    ``hashes`` has one entry where the block holds its payload. From Gloas on it holds only a bid for it: the execution
    head then is the bid's block once the builder has revealed it, and its parent until then and when he never does.
    """

    hashes: tuple[str, ...]
    number: int | None


class BeaconClient:
    def __init__(self, url: str, *, ca_path: str | None = None, max_body: int = MAX_BODY) -> None:
        self._endpoint = Endpoint(url, ca_path=ca_path, max_body=max_body)

    def __str__(self) -> str:
        return str(self._endpoint)

    def close(self) -> None:
        self._endpoint.close()

    def get(self, path: str, deadline: float) -> Any:
        """``data`` of the answer to a GET."""
        answer = self._endpoint.json("GET", path, deadline=deadline)
        try:
            return answer["data"]
        except (KeyError, TypeError):
            raise self._unfit(path, f"no data in {answer!r:.80}") from None

    def _unfit(self, path: str, what: str) -> EndpointError:
        return EndpointError(f"GET {self._endpoint}{path}", what, CONTENT)

    def _read(self, path: str, deadline: float, read: Any) -> Any:
        data = self.get(path, deadline)
        try:
            return read(data)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise self._unfit(path, f"unexpected content: {error!r:.120}") from None

    def health(self, deadline: float) -> int:
        """The status of /eth/v1/node/health: 200 ready, 206 syncing, 503 not initialised. 206 is not success."""
        return self._endpoint.request("GET", "/eth/v1/node/health", deadline=deadline, accept=(200, 206, 503))[0]

    def syncing(self, deadline: float) -> Syncing:
        def read(data: Any) -> Syncing:
            return Syncing(
                to_int(data["head_slot"]),
                to_int(data["sync_distance"]),
                _boolean(data["is_syncing"]),
                _boolean(data.get("is_optimistic", False)),
                _boolean(data.get("el_offline", False)),
            )

        return self._read("/eth/v1/node/syncing", deadline, read)

    def head_root(self, deadline: float) -> str:
        return self._read("/eth/v1/beacon/headers/head", deadline, lambda data: _root(data["root"]))

    def finalized(self, deadline: float) -> Checkpoint | None:
        """The finalised checkpoint of the head's state; None while nothing is finalised yet."""

        def read(data: Any) -> Checkpoint | None:
            checkpoint = Checkpoint(to_int(data["finalized"]["epoch"]), _root(data["finalized"]["root"]))
            return None if checkpoint.root == ZERO_ROOT else checkpoint

        return self._read("/eth/v1/beacon/states/head/finality_checkpoints", deadline, read)

    def payload(self, block: str, deadline: float) -> Payload | None:
        """The payload of a block (``head`` or a root); None where its form is not known here.

        The blinded form is a tenth of the size. Where a client does not serve it, the whole block is asked for.
        """

        def read(data: Any) -> Payload | None:
            return _payload(data["message"]["body"])

        try:
            return self._read(f"/eth/v1/beacon/blinded_blocks/{block}", deadline, read)
        except EndpointError as error:
            if error.kind != STATUS:
                raise
            return self._read(f"/eth/v2/beacon/blocks/{block}", deadline, read)

    def connected_peers(self, deadline: float) -> int:
        return self._read("/eth/v1/node/peer_count", deadline, lambda data: to_int(data["connected"]))

    def version(self, deadline: float) -> str:
        return self._read("/eth/v1/node/version", deadline, lambda data: str(data["version"]))


def _boolean(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if value in ("true", "false"):
        return value == "true"
    raise ValueError(f"{value!r:.80} is neither true nor false")


def _root(value: Any) -> str:
    if not isinstance(value, str) or len(value) != 66 or not value.startswith("0x"):
        raise ValueError(f"{value!r:.80} is not a root")
    return value.lower()


def _payload(body: Any) -> Payload | None:
    for name in ("execution_payload_header", "execution_payload"):
        if name in body:
            return Payload((_root(body[name]["block_hash"]),), to_int(body[name]["block_number"]))
    bid = body.get("signed_execution_payload_bid")
    if bid is not None:
        return Payload((_root(bid["message"]["block_hash"]), _root(bid["message"]["parent_block_hash"])), None)
    return None
