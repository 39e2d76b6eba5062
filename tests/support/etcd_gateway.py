"""etcd's JSON gateway over TLS, as far as a cluster's state needs it: range, and a transaction of versions."""

from __future__ import annotations

import base64
import json
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import yaml


def decoded(text: str) -> str:
    return base64.b64decode(text).decode()


def coded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


class Etcd:
    """One voter. Who shows no certificate is not let in."""

    def __init__(self, paths: dict[str, str]) -> None:
        self.paths = paths
        self.values: dict[str, str] = {}
        self.asked: list[str] = []
        self.status = 200
        etcd = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                etcd.asked.append(self.path)
                text = json.dumps(etcd.answer(self.path, body)).encode()
                self.send_response(etcd.status)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=paths["ca"])
        context.load_cert_chain(paths["cert"], paths["key"])
        context.verify_mode = ssl.CERT_REQUIRED
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def end(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    def meant(self, range_: dict[str, str]) -> list[str]:
        first = decoded(range_["key"])
        end = decoded(range_["range_end"]) if "range_end" in range_ else first + "\0"
        return sorted(name for name in self.values if first <= name < end)

    def answer(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        if path == "/v3/kv/range":
            found = [{"key": coded(name), "value": coded(self.values[name])} for name in self.meant(body)]
            return {"header": {}} | ({"kvs": found} if found else {})
        assert path == "/v3/kv/txn"
        for each in body["compare"]:
            assert (each["target"], each["result"], each["version"]) == ("VERSION", "EQUAL", "0")
            if self.meant(each):
                return {"header": {}}
        for request in body["success"]:
            for name in self.meant(request["request_delete_range"]):
                del self.values[name]
        return {"header": {}, "succeeded": True}

    def config(self, folder: Path, name: str = "db-a", **postgresql: Any) -> str:
        """Patroni's file on a member, as far as it is read."""
        etcd = {name: self.paths[file] for name, file in (("cacert", "ca"), ("cert", "cert"), ("key", "key"))}
        rest = {f"{file}file": self.paths[of] for file, of in (("ca", "ca"), ("cert", "cert"), ("key", "key"))}
        content = {
            "scope": "app",
            "namespace": "/chainops/",
            "name": name,
            "restapi": {"connect_address": "[2001:db8::1]:8008", **rest},
            "etcd3": {"hosts": [f"127.0.0.1:{self.port}"], "protocol": "https", **etcd},
            "postgresql": {"connect_address": "192.0.2.1:5433", "bin_dir": "/usr/lib/postgresql/17/bin", **postgresql},
        }
        path = folder / f"{name}.yml"
        path.write_text(yaml.safe_dump(content))
        return str(path)
