"""Batches of points: line protocol that can be counted again, and what counts as whole."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.lab.data.prover import influx_writer as influx
from tests.lab.data.prover.ledger import ACKNOWLEDGED, INDETERMINATE, REFUSED

OPTIONS = influx.Options(tls=False, series=2, points=6, base_ns=1_700_000_000_000_000_000)


class Server(BaseHTTPRequestHandler):
    """As much of InfluxDB as counts: it keeps batches, and answers the one query over them."""

    status = 204
    keep: dict[tuple[str, int], int] = {}

    def log_message(self, *_given: object) -> None:
        pass

    def answer(self, status: int, body: bytes = b"") -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        text = self.rfile.read(int(self.headers["Content-Length"])).decode()
        for line in text.splitlines():
            tags, _value, at = line.split(" ")
            point = tags.rpartition("source=")[2], int(at)
            Server.keep[point] = Server.keep.get(point, 0) + 1
        self.answer(Server.status, b"" if Server.status == 204 else b"no")

    def do_GET(self) -> None:
        asked = parse_qs(urlsplit(self.path).query)["q"][0]
        assert "GROUP BY time(10ms), source fill(none)" in asked, asked
        series: dict[str, dict[int, int]] = {}
        for (name, at), _times in Server.keep.items():
            group = at // influx.BATCH_NS * influx.BATCH_NS
            series.setdefault(name, {})[group] = series.setdefault(name, {}).get(group, 0) + 1
        result = [
            {"tags": {"source": name}, "values": [[at, count] for at, count in counts.items()]}
            for name, counts in series.items()
        ]
        self.answer(200, json.dumps({"results": [{"series": result}]}).encode())


@pytest.fixture
def address() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    Server.status, Server.keep = 204, {}
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_batches_are_counted_by_series(address: str) -> None:
    sink = influx.Sink.opened(address, OPTIONS, "r")
    for number in (1, 2, 3):
        assert sink.write(number).fate == ACKNOWLEDGED
    sink.close()
    Server.keep.pop(("1", OPTIONS.base_ns + 2 * influx.BATCH_NS + 1))
    found = influx.counts(address, OPTIONS, "r", last=3)
    assert found[2] == {"0": 3, "1": 2}
    assert influx.whole(found, OPTIONS) == {1, 3}
    assert influx.by_series(found) == {"0": 9, "1": 8}


@pytest.mark.parametrize(("status", "fate"), [(400, INDETERMINATE), (500, INDETERMINATE), (401, REFUSED)])
def test_what_other_answers_mean(address: str, status: int, fate: str) -> None:
    Server.status = status
    sink = influx.Sink.opened(address, OPTIONS, "r")
    outcome = sink.write(1)
    sink.close()
    assert (outcome.fate, outcome.note) == (fate, f"HTTP {status} no")


def test_points_of_a_batch_are_all_different() -> None:
    lines = influx.body("r", 7, OPTIONS).decode().splitlines()
    assert len(set(lines)) == 6
    assert {line.split(" ")[1] for line in lines} == {"value=7i"}
    with pytest.raises(ValueError, match="a multiple of series"):
        influx.Options(series=4, points=6)
