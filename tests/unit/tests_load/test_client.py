"""The load's HTTP client against servers that do what servers do when they die."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from tests.lab.load.client import Client, RequestFailed

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Node: eth-a\r\n\r\nhi"


@contextlib.asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[str]:
    server = await asyncio.start_server(handler, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/x?y=1"
    finally:
        server.close()


async def request(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    return head + await reader.readexactly(length)


def answering(*answers: bytes, pause: float = 0.0, close: bool = True) -> tuple[Handler, list[bytes]]:
    """A handler that sends these pieces for every request, and the requests that it has seen."""
    seen: list[bytes] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                seen.append(await request(reader))
                for answer in answers:
                    writer.write(answer)
                    await writer.drain()
                    await asyncio.sleep(pause)
                if close:
                    break
        writer.close()

    return handle, seen


def post(handler: Handler, times: int = 1, timeout: float = 2.0, fresh: bool = False) -> list[bytes]:
    async def run() -> list[bytes]:
        async with serving(handler) as url:
            client = Client(url)
            found = [(await client.post(b"body", timeout, fresh)).body for _dummy in range(times)]
            client.close()
            return found

    return asyncio.run(run())


def test_a_request_and_its_answer() -> None:
    handler, seen = answering(OK)
    assert post(handler) == [b"hi"]
    assert seen[0].startswith(b"POST /x?y=1 HTTP/1.1\r\nHost: 127.0.0.1:")
    assert seen[0].endswith(b"Content-Length: 4\r\n\r\nbody")


def test_connections_are_kept_or_fresh_as_asked() -> None:
    handler, seen = answering(OK, close=False)
    assert post(handler, times=3) == [b"hi"] * 3
    assert all(b"Connection: close" not in each for each in seen)
    handler, seen = answering(OK)
    assert post(handler, times=3, fresh=True) == [b"hi"] * 3
    assert all(b"Connection: close" in each for each in seen)


@pytest.mark.parametrize(
    "pieces",
    [
        [OK[:10], OK[10:40], OK[40:]],
        [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nh\r\n1", b";x=y\r\ni\r\n0\r\n\r\n"],
        [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n", b"0\r\n\r\n"],
        [b"HTTP/1.1 200 OK\r\n\r\n", b"hi"],
    ],
)
def test_answers_in_pieces_chunks_and_until_the_end(pieces: list[bytes]) -> None:
    assert post(answering(*pieces, pause=0.02)[0]) == [b"hi"]


def test_an_answer_that_says_close_is_not_followed_by_another_request_there() -> None:
    handler, seen = answering(OK.replace(b"X-Node", b"Connection: close\r\nX-Node"), close=False)
    assert post(handler, times=2) == [b"hi"] * 2
    assert len(seen) == 2


@pytest.mark.parametrize(
    ("pieces", "reason", "begun"),
    [
        ([], "connection closed", False),
        ([OK[:-1]], "connection closed", True),
        ([b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n"], "connection closed", True),
        ([b"SSH-2.0-x\r\n\r\n\r\n"], "unreadable answer", True),
    ],
)
def test_what_breaks_off_is_a_failure_that_says_whether_it_had_begun(
    pieces: list[bytes], reason: str, begun: bool
) -> None:
    with pytest.raises(RequestFailed, match=reason) as failed:
        post(answering(*pieces)[0])
    assert failed.value.begun is begun


@pytest.mark.parametrize(("pieces", "begun"), [([], False), ([OK[:-1]], True)])
def test_silence_ends_in_time(pieces: list[bytes], begun: bool) -> None:
    with pytest.raises(RequestFailed, match=r"no answer in 0\.1 s") as failed:
        post(answering(*pieces, close=False)[0], timeout=0.1)
    assert failed.value.begun is begun


def test_a_connection_that_does_not_come_is_waited_for_less() -> None:
    async def run() -> None:
        with socket.socket() as full:
            full.bind(("127.0.0.1", 0))
            full.listen(0)
            waiting = [asyncio.open_connection(*full.getsockname()) for _dummy in range(3)]
            tasks = [asyncio.create_task(each) for each in waiting]
            await asyncio.sleep(0.05)
            try:
                await Client(f"http://127.0.0.1:{full.getsockname()[1]}").post(b"", 5.0, connect_timeout=0.1)
            finally:
                for task in tasks:
                    task.cancel()

    with pytest.raises(RequestFailed, match="no connection in time"):
        asyncio.run(run())


def test_nobody_there() -> None:
    with pytest.raises(RequestFailed, match="cannot connect"):
        asyncio.run(Client("http://127.0.0.1:1").post(b"", 1.0))


@pytest.mark.parametrize("url", ["ftp://host", "host:80", "http://"])
def test_what_is_no_url(url: str) -> None:
    with pytest.raises(ValueError, match="is not an http:// or https:// URL"):
        Client(url)
