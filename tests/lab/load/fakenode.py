"""Stand-ins for execution nodes with their health daemons: real servers, a made-up chain, faults on demand.

For trying a balancer's configuration and the load generator without a chain:

    python -m tests.lab.load.fakenode eth-a=127.0.1.1 eth-b=127.0.1.2 --control 127.0.0.1:9000
    curl '127.0.0.1:9000/eth-a?rpc=hang&health=dead'
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from dataclasses import dataclass, field
from typing import Any

from aiohttp import WSMsgType, web
from eth_utils import keccak

# How a fault looks from outside: `dead` refuses connections, `hang` accepts and says nothing.
MODES = {
    "rpc": ("ok", "hang", "dead", "stale", "behind", "slow"),
    "health": ("ok", "unhealthy", "hang", "dead"),
    "agent": ("up", "down", "drain", "ready", "hang", "dead"),
}


@dataclass
class Chain:
    """One chain that all nodes follow: a block every `slot` seconds, a transaction is in the block after it came."""

    slot: float = 2.0
    genesis: float = field(default_factory=lambda: time.time() - 1000)
    included: dict[str, int] = field(default_factory=dict)

    def head(self, at: float | None = None) -> int:
        return int(((time.time() if at is None else at) - self.genesis) / self.slot)

    def block(self, number: int) -> dict[str, Any]:
        return {
            "number": hex(number),
            "hash": "0x" + keccak(text=str(number)).hex(),
            "timestamp": hex(int(self.genesis + number * self.slot)),
            "transactions": [],
        }


class Node:
    """One node on one address: RPC 8545, WebSocket 8546, health 8740, agent 8741."""

    def __init__(self, name: str, address: str, chain: Chain) -> None:
        self.name, self.address, self.chain = name, address, chain
        self.modes = {"rpc": "ok", "health": "ok", "agent": "up"}
        self.stale_at = 0
        self.counts = {"requests": 0, "bodies": 0}
        self._servers: dict[str, Any] = {}

    async def set(self, **modes: str) -> None:
        """Change behaviours; a server that goes `dead` closes its port and every connection it has."""
        for what, mode in modes.items():
            if mode not in MODES[what]:
                raise ValueError(f"{what} is one of {', '.join(MODES[what])}, not {mode}")
            self.modes[what] = mode
            if mode in ("stale", "behind"):
                self.stale_at = self.chain.head() - (5 if mode == "behind" else 0)
            for server in ("rpc", "ws") if what == "rpc" else (what,):
                await (self._stop if mode == "dead" else self._start)(server)

    async def start(self) -> None:
        for server in ("rpc", "ws", "health", "agent"):
            await self._start(server)

    async def stop(self) -> None:
        for server in list(self._servers):
            await self._stop(server)

    async def _start(self, server: str) -> None:
        if server in self._servers:
            return
        if server == "agent":
            self._servers[server] = await asyncio.start_server(self._agent, self.address, 8741)
            return
        handler = {"rpc": self._rpc, "ws": self._ws, "health": self._health}[server]
        app = web.Application(client_max_size=8 << 20)
        app.router.add_route("*", "/{tail:.*}", handler)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.01)
        await runner.setup()
        port = {"rpc": 8545, "ws": 8546, "health": 8740}[server]
        await web.TCPSite(runner, self.address, port, reuse_address=True, backlog=1024).start()
        self._servers[server] = runner

    async def _stop(self, server: str) -> None:
        running = self._servers.pop(server, None)
        if running is None:
            return
        if server == "agent":
            running.close()
        else:
            await running.cleanup()

    async def _agent(self, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        mode = self.modes["agent"]
        if mode != "hang":
            writer.write(f"{mode}{' #stale' if mode == 'down' else ''}\n".encode())
            writer.close()

    async def _health(self, _request: web.Request) -> web.Response:
        if self.modes["health"] == "hang":
            await asyncio.sleep(3600)
        return web.Response(status=200 if self.modes["health"] == "ok" else 503)

    async def _rpc(self, request: web.Request) -> web.Response:
        self.counts["requests"] += 1
        body = json.loads(await request.read())
        mode = self.modes["rpc"]
        if mode in ("hang", "slow"):
            await asyncio.sleep(3600 if mode == "hang" else 0.2)
        self.counts["bodies"] += 1
        answers = [self._answer(call) for call in (body if isinstance(body, list) else [body])]
        return web.json_response(answers if isinstance(body, list) else answers[0])

    async def _ws(self, request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        pushing: asyncio.Task[None] | None = None
        async for message in socket:
            if message.type != WSMsgType.TEXT:
                break
            call = json.loads(message.data)
            await socket.send_json({"jsonrpc": "2.0", "id": call["id"], "result": "0x1"})
            pushing = asyncio.create_task(self._push(socket))
        if pushing:
            pushing.cancel()
        return socket

    async def _push(self, socket: web.WebSocketResponse) -> None:
        last = 0
        while not socket.closed:
            if self._head() > last and self.modes["rpc"] != "hang":
                last = self._head()
                params = {"subscription": "0x1", "result": self.chain.block(last)}
                await socket.send_json({"jsonrpc": "2.0", "method": "eth_subscription", "params": params})
            await asyncio.sleep(0.05)

    def _head(self) -> int:
        return self.stale_at if self.modes["rpc"] in ("stale", "behind") else self.chain.head()

    def _answer(self, call: dict[str, Any]) -> dict[str, Any]:
        answer: dict[str, Any] = {"jsonrpc": "2.0", "id": call.get("id")}
        try:
            answer["result"] = self._result(call["method"], call.get("params") or [])
        except ValueError as error:
            answer["error"] = {"code": -32000, "message": str(error)}
        return answer

    def _result(self, method: str, params: list[Any]) -> Any:
        head = self._head()
        if method == "eth_blockNumber":
            return hex(head)
        if method == "eth_getBlockByNumber":
            return self.chain.block(head if params[0] == "latest" else int(params[0], 16))
        if method == "eth_sendRawTransaction":
            transaction = "0x" + keccak(hexstr=params[0]).hex()
            if transaction in self.chain.included:
                raise ValueError("already known")
            self.chain.included[transaction] = self.chain.head() + 1
            return transaction
        if method == "eth_getTransactionReceipt":
            block = self.chain.included.get(params[0])
            return {"blockNumber": hex(block), "status": "0x1"} if block and block <= head else None
        if method == "eth_call":
            return params[0].get("data", "0x")
        constants = {"eth_chainId": "0x539", "eth_gasPrice": "0x3b9aca00", "eth_getTransactionCount": "0x0"}
        return constants.get(method, self.name)


async def _serve(nodes: dict[str, Node], control: str) -> None:
    async def change(request: web.Request) -> web.Response:
        node = nodes[request.match_info["node"]]
        await node.set(**request.query)
        return web.json_response({"modes": node.modes, "counts": node.counts})

    for node in nodes.values():
        await node.start()
    app = web.Application()
    app.router.add_get("/{node}", change)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    host, port = control.rsplit(":", 1)
    await web.TCPSite(runner, host, int(port)).start()
    await asyncio.Event().wait()


def main() -> None:
    parser = argparse.ArgumentParser(description="Stand-ins for execution nodes")
    parser.add_argument("nodes", nargs="+", metavar="NAME=ADDRESS")
    parser.add_argument("--control", default="127.0.0.1:9000")
    parser.add_argument("--slot", type=float, default=2.0)
    arguments = parser.parse_args()
    chain = Chain(arguments.slot)
    nodes = {}
    for entry in arguments.nodes:
        name, address = entry.split("=")
        nodes[name] = Node(name, address, chain)
    asyncio.run(_serve(nodes, arguments.control))


if __name__ == "__main__":
    main()
