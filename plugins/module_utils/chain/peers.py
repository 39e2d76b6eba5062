# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Peers of one client: which it has, and how it is told of others.

Every client differs in what it tells. A ``Peer`` is known by ``key``, which is the same however its address is written.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from . import enr, peerid
from .jsonrpc import ExecutionClient, IpcRpc
from .transport import STATUS, Endpoint, EndpointError

STATIC, TRUSTED = "static", "trusted"


class Unable(Exception):
    """The client cannot do what is asked, or there is no point in it; the text says what can be done instead."""


@dataclass(frozen=True, slots=True)
class Peer:
    key: str
    url: str
    connected: bool = False
    listed: bool = False  # among the peers of the kind in question, as far as can be known


class Client(Protocol):
    """What the module needs of a client. ``peers`` are those that are connected or listed."""

    lists_all: bool  # whether ``peers`` holds every peer of the list, or only those that it can know of

    def parse(self, text: str) -> Peer:
        """ValueError for what is no peer of this client."""

    def peers(self) -> dict[str, Peer]: ...

    def same(self, known: Peer, wanted: Peer) -> bool:
        """Whether a listed peer is listed with the address that is wanted, as far as can be known."""

    def add(self, peer: Peer) -> None: ...

    def remove(self, peer: Peer) -> None: ...


class Record:
    """What has been added to a running client that does not list it itself.

    geth tells only of peers that are connected. What was added lasts as long as its process: the record is valid for
    the IPC socket it was written for, which is made anew at every start.
    """

    def __init__(self, directory: str, ipc_path: str, kind: str) -> None:
        found = Path(ipc_path).stat()
        self._instance = f"{found.st_dev}:{found.st_ino}:{found.st_ctime_ns}"
        name = "".join(c if c.isalnum() else "_" for c in ipc_path.strip("/"))
        self._path = Path(directory) / f"{name}.{kind}.json"
        self.urls: dict[str, str] = {}
        try:
            raw = json.loads(self._path.read_text(encoding="utf-8"))
            if raw["instance"] == self._instance:
                self.urls = {str(key): str(url) for key, url in raw["urls"].items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            pass

    def save(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        temporary = self._path.with_suffix(".new")
        temporary.write_text(json.dumps({"instance": self._instance, "urls": self.urls}), encoding="utf-8")
        temporary.replace(self._path)


class Geth:
    """An execution client over its IPC socket, with the namespace ``admin``. Peers are enode URLs."""

    lists_all = False
    _ADD = {STATIC: "admin_addPeer", TRUSTED: "admin_addTrustedPeer"}
    _REMOVE = {STATIC: "admin_removePeer", TRUSTED: "admin_removeTrustedPeer"}

    def __init__(self, ipc_path: str, kind: str, record_dir: str, timeout: float) -> None:
        self._rpc = ExecutionClient(IpcRpc(ipc_path))
        self._kind, self._timeout = kind, timeout
        own = self._rpc.call("admin_nodeInfo", timeout=timeout)
        self._own = peerid.parse_enode(own["enode"])[0]
        self._record = Record(record_dir, ipc_path, kind)

    def parse(self, text: str) -> Peer:
        key, _host, _port = peerid.parse_enode(text)
        if key == self._own:
            raise Unable(f"{text} is this node itself")
        return Peer(key, text)

    def peers(self) -> dict[str, Peer]:
        found = {key: Peer(key, url, listed=True) for key, url in self._record.urls.items()}
        for entry in self._rpc.call("admin_peers", timeout=self._timeout):
            key = peerid.parse_enode(entry["enode"])[0]
            known = found.get(key)
            listed = known is not None or bool(entry["network"].get(self._kind))
            found[key] = Peer(key, known.url if known else entry["enode"], connected=True, listed=listed)
        return found

    def same(self, known: Peer, wanted: Peer) -> bool:
        return self._record.urls.get(known.key, wanted.url) == wanted.url

    def add(self, peer: Peer) -> None:
        other = self._record.urls.get(peer.key)
        if other and other != peer.url:
            # geth keeps the address it was given first
            self._call(self._REMOVE[self._kind], other)
        self._call(self._ADD[self._kind], peer.url)
        self._record.urls[peer.key] = peer.url
        self._record.save()

    def remove(self, peer: Peer) -> None:
        self._call(self._REMOVE[self._kind], peer.url)
        if self._record.urls.pop(peer.key, None):
            self._record.save()

    def _call(self, method: str, url: str) -> None:
        if self._rpc.call(method, url, timeout=self._timeout) is not True:
            raise Unable(f"{method} {url} was not accepted")


class _Http:
    """Routes of a consensus client that are its own."""

    def __init__(self, url: str, timeout: float) -> None:
        self._endpoint, self._timeout = Endpoint(url), timeout

    def get(self, path: str) -> Any:
        return self._endpoint.json("GET", path, deadline=time.monotonic() + self._timeout)

    def tell(self, method: str, path: str, body: Any = None) -> None:
        """A change, whose answer says nothing but that it has been made."""
        data = None if body is None else json.dumps(body).encode()
        self._endpoint.request(method, path, data, deadline=time.monotonic() + self._timeout)


def _lacks(error: EndpointError, message: str) -> Exception:
    """A route that is not there is a lack of the client; everything else stays the error it is."""
    return Unable(f"{message}: {error}") if error.kind == STATUS and error.status in (404, 405) else error


class Prysm:
    """A consensus client with Prysm's own routes. Peers are multiaddresses that end with /p2p/<peer id>."""

    lists_all = True
    _PATH = "/prysm/v1/node/trusted_peers"

    def __init__(self, url: str, timeout: float) -> None:
        self._http = _Http(url, timeout)

    def parse(self, text: str) -> Peer:
        head, separator, peer_id = text.rpartition("/p2p/")
        if not separator or not head.startswith("/") or "/tcp/" not in head:
            raise ValueError(f"{text!r} is not /ip4/<address>/tcp/<port>/p2p/<peer id>")
        peerid.public_key_of_peer_id(peer_id)
        return Peer(peer_id, text)

    def peers(self) -> dict[str, Peer]:
        try:
            answer = self._http.get(self._PATH)
        except EndpointError as error:
            raise _lacks(error, "this client has no trusted peers to be changed while it runs; is it Prysm?") from None
        found = {}
        for entry in answer.get("Peers") or answer.get("peers") or ():
            address = entry.get("last_seen_p2p_address") or ""
            url = f"{address}/p2p/{entry['peer_id']}" if address else entry["peer_id"]
            connected = str(entry.get("state", "")).lower() == "connected"
            found[entry["peer_id"]] = Peer(entry["peer_id"], url, connected=connected, listed=True)
        return found

    def same(self, known: Peer, wanted: Peer) -> bool:
        return known.key == wanted.key

    def add(self, peer: Peer) -> None:
        self._http.tell("POST", self._PATH, {"addr": peer.url})

    def remove(self, peer: Peer) -> None:
        self._http.tell("DELETE", f"{self._PATH}/{peer.key}")


class Lighthouse:
    """A consensus client with Lighthouse's own routes. Peers are node records (enr:…)."""

    lists_all = False

    def __init__(self, url: str, timeout: float) -> None:
        self._http = _Http(url, timeout)

    def parse(self, text: str) -> Peer:
        return Peer(enr.peer_id(text), text)

    def peers(self) -> dict[str, Peer]:
        try:
            entries = self._http.get("/lighthouse/peers")
        except EndpointError as error:
            raise _lacks(error, "this client does not tell its peers as Lighthouse does; is it Lighthouse?") from None
        found = {}
        for entry in entries:
            info = entry["peer_info"]
            connected = info.get("connection_status", {}).get("status") == "connected"
            peer = Peer(entry["peer_id"], info.get("enr") or entry["peer_id"], connected, bool(info.get("is_trusted")))
            if peer.connected or peer.listed:
                found[peer.key] = peer
        return found

    def same(self, known: Peer, wanted: Peer) -> bool:
        return known.key == wanted.key

    def add(self, peer: Peer) -> None:
        self._tell("/lighthouse/add_peer", peer)

    def remove(self, peer: Peer) -> None:
        self._tell("/lighthouse/remove_peer", peer)

    def _tell(self, path: str, peer: Peer) -> None:
        try:
            self._http.tell("POST", path, {"enr": peer.url})
        except EndpointError as error:
            raise _lacks(error, f"this Lighthouse has no {path}; upgrade it, or give peers at its start") from None


def planned(
    client: Client, wanted: Iterable[Peer], present: bool, before: dict[str, Peer]
) -> tuple[list[Peer], dict[str, Peer]]:
    """The peers that something has to be done for, and what the client will have then."""
    todo, after = [], dict(before)
    for peer in wanted:
        known = before.get(peer.key)
        if present and (known is None or not known.listed or not client.same(known, peer)):
            todo.append(peer)
            after[peer.key] = replace(peer, connected=bool(known and known.connected), listed=True)
        elif not present and known is not None and known.listed:
            todo.append(replace(peer, url=known.url) if isinstance(client, Geth) else peer)
            del after[peer.key]
    return todo, after
