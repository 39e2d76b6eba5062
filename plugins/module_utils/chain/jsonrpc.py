# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""JSON-RPC towards an execution client, over HTTP or over its IPC socket."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

from .transport import CONTENT, MAX_BODY, NETWORK, REFUSED, TIMEOUT, Endpoint, EndpointError, remaining, to_int

Call = tuple[str, list[Any]]


class RpcError(Exception):
    """The client understood the request and answered with an error object."""

    def __init__(self, endpoint: str, method: str, code: int | None, message: str) -> None:
        super().__init__(f"{endpoint}: {method} was answered with error {code}: {message}")
        self.method = method
        self.code = code


class Block(NamedTuple):
    number: int
    hash: str
    timestamp: int


def parse_block(value: Any) -> Block | None:
    """A block as eth_getBlockByNumber answers; None for null, which is a block that the client does not have."""
    if value is None:
        return None
    try:
        block_hash = value["hash"]
        if not isinstance(block_hash, str) or not block_hash.startswith("0x"):
            raise ValueError(f"its hash is {block_hash!r:.80}")
        return Block(to_int(value["number"]), block_hash.lower(), to_int(value["timestamp"]))
    except (KeyError, TypeError) as error:
        raise ValueError(f"not a block: {error!r:.80}") from None


class HttpRpc:
    """A JSON-RPC server behind a URL."""

    def __init__(self, url: str, *, ca_path: str | None = None, max_body: int = MAX_BODY) -> None:
        self._endpoint = Endpoint(url, ca_path=ca_path, max_body=max_body)

    def __str__(self) -> str:
        return str(self._endpoint)

    def close(self) -> None:
        self._endpoint.close()

    def exchange(self, request: Any, deadline: float) -> Any:
        return self._endpoint.json("POST", "", request, deadline=deadline)


class IpcRpc:
    """A JSON-RPC server behind a UNIX socket: the only place where geth offers the namespace ``admin``."""

    def __init__(self, path: str, *, max_body: int = MAX_BODY) -> None:
        self._path = path
        self._max_body = max_body
        self._socket: socket.socket | None = None

    def __str__(self) -> str:
        return self._path

    def close(self) -> None:
        if self._socket:
            self._socket.close()
            self._socket = None

    def exchange(self, request: Any, deadline: float) -> Any:
        try:
            if not self._socket:
                self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
                self._socket.settimeout(remaining(deadline))
                self._socket.connect(self._path)
            self._socket.settimeout(remaining(deadline))
            self._socket.sendall(json.dumps(request).encode() + b"\n")
            return self._answer(self._socket, deadline)
        except TimeoutError:
            self.close()
            raise EndpointError(self._path, "no whole answer in the time given", TIMEOUT) from None
        except (ConnectionRefusedError, FileNotFoundError) as error:
            self.close()
            raise EndpointError(self._path, f"{error.strerror}: the client does not run", REFUSED) from None
        except OSError as error:
            self.close()
            raise EndpointError(self._path, error.strerror or str(error), NETWORK) from None
        except ValueError as error:
            self.close()
            raise EndpointError(self._path, str(error), CONTENT) from None

    def _answer(self, sock: socket.socket, deadline: float) -> Any:
        """The next line, as geth ends every answer with one."""
        data = bytearray()
        while not data.endswith(b"\n"):
            sock.settimeout(remaining(deadline))
            part = sock.recv(65536)
            data += part
            if len(data) > self._max_body:
                raise ValueError(f"the answer has more than the {self._max_body} bytes allowed")
            if not part:
                break
        try:
            return json.loads(bytes(data))
        except (ValueError, RecursionError):
            raise ValueError(f"not JSON: {bytes(data[:80])!r}") from None


class ExecutionClient:
    """Calls and batches of calls; results in the order of the calls, whatever the order of the answers."""

    def __init__(self, transport: HttpRpc | IpcRpc) -> None:
        self._transport = transport

    def __str__(self) -> str:
        return str(self._transport)

    def close(self) -> None:
        self._transport.close()

    def call(self, method: str, *params: Any, timeout: float = 5.0) -> Any:
        """One result. Raises RpcError for an error object, EndpointError for everything else."""
        result = self.batch([(method, list(params))], time.monotonic() + timeout)[0]
        if isinstance(result, RpcError):
            raise result
        return result

    def batch(self, calls: Sequence[Call], deadline: float) -> list[Any]:
        """All results in one round trip; a call that was answered with an error object has an RpcError in its place."""
        requests = [
            {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
            for number, (method, params) in enumerate(calls, 1)
        ]
        if len(requests) == 1:
            answers = [self._transport.exchange(requests[0], deadline)]
        else:
            answers = self._transport.exchange(requests, deadline)
            if isinstance(answers, dict) and "error" in answers:
                # the batch as a whole was refused
                raise self._error("a batch", answers["error"])
        if not isinstance(answers, list):
            raise EndpointError(str(self), f"not a JSON-RPC answer: {answers!r:.80}", CONTENT)
        by_id = {answer.get("id"): answer for answer in answers if isinstance(answer, dict)}
        return [self._result(method, by_id.get(number)) for number, (method, _params) in enumerate(calls, 1)]

    def _result(self, method: str, answer: Any) -> Any:
        if answer is None:
            raise EndpointError(str(self), f"no answer to {method} in what it sent", CONTENT)
        if answer.get("error") is not None:
            return self._error(method, answer["error"])
        if "result" not in answer:
            raise EndpointError(str(self), f"neither result nor error in the answer to {method}", CONTENT)
        return answer["result"]

    def _error(self, method: str, error: Any) -> RpcError:
        if not isinstance(error, dict):
            return RpcError(str(self), method, None, repr(error)[:200])
        code = error.get("code")
        return RpcError(str(self), method, code if isinstance(code, int) else None, str(error.get("message"))[:200])
