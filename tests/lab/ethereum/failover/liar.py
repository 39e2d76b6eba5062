"""A reference that lies, run on a lab host: it hands questions on to the real node and falsifies the answers.

python3 liar.py ADDRESS:PORT REAL_URL ahead|fork

``ahead``: every block number is a thousand higher. ``fork``: every block has another hash.
"""

from __future__ import annotations

import json
import sys
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

AHEAD = 1000
address, real, mode = sys.argv[1:]
host, port = address.rsplit(":", 1)


def lie(value: Any) -> Any:
    """An answer with its blocks falsified."""
    if isinstance(value, list):
        return [lie(entry) for entry in value]
    if not isinstance(value, dict):
        return value
    told = {key: lie(entry) for key, entry in value.items()}
    if "parentHash" in told and mode == "ahead":
        told["number"] = hex(int(told["number"], 16) + AHEAD)
    elif "parentHash" in told and int(told["number"], 16) > 0:
        # the genesis stays true: a liar on another chain would not be asked at all
        told["hash"] = "0x" + told["hash"][:1:-1]
    return told


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        request = urllib.request.Request(real, body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=5) as answer:
            told = json.dumps(lie(json.load(answer))).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(told)))
        self.end_headers()
        self.wfile.write(told)

    def log_message(self, *_arguments: object) -> None:
        """Nothing: it is asked every second by everybody."""


ThreadingHTTPServer((host, int(port)), Handler).serve_forever()
