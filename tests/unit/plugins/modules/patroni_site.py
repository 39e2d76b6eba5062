# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A Patroni cluster on the wire: one TLS server, certificates of a CA made for the test, and members that remember."""

from __future__ import annotations

import datetime
import ipaddress
import json
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

NOW = datetime.datetime(2026, 1, 1)


def certificates(folder: Path) -> dict[str, str]:
    """A CA and a certificate for loopback; the paths as the modules take them."""
    ca_key, key = (ec.generate_private_key(ec.SECP256R1()) for _number in range(2))
    ca_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test CA")])
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "db-a")])

    def begin(subject: x509.Name, public: Any) -> x509.CertificateBuilder:
        builder = x509.CertificateBuilder().subject_name(subject).issuer_name(ca_name).public_key(public)
        builder = builder.serial_number(x509.random_serial_number()).not_valid_before(NOW)
        builder = builder.not_valid_after(NOW + datetime.timedelta(days=36500))
        builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(public), False)
        authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key())
        return builder.add_extension(authority, False)

    usage = dict.fromkeys(
        ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
         "encipher_only", "decipher_only"), False
    ) | {"key_cert_sign": True, "crl_sign": True}  # fmt: skip
    ca = begin(ca_name, ca_key.public_key()).add_extension(x509.BasicConstraints(True, None), True)
    ca = ca.add_extension(x509.KeyUsage(**usage), True)
    leaf = begin(name, key.public_key()).add_extension(
        x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False
    )
    leaf = leaf.add_extension(
        x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]), False
    )
    paths = {"ca": folder / "ca.pem", "cert": folder / "host.pem", "key": folder / "host.key"}
    paths["ca"].write_bytes(ca.sign(ca_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    paths["cert"].write_bytes(leaf.sign(ca_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    paths["key"].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return {name: str(path) for name, path in paths.items()}


def standby(name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "role": "quorum_standby", "state": "streaming", "timeline": 3, "lag": 0} | more


class Patroni:
    """The API of member db-a; changes without a certificate are refused, as by the real one."""

    def __init__(self, paths: dict[str, str]) -> None:
        self.config: dict[str, Any] = {"ttl": 30, "synchronous_mode": "quorum", "pause": False}
        self.members = [
            {"name": "db-a", "role": "leader", "state": "running", "timeline": 3, "host": "10.87.1.21", "port": 5432},
            standby("db-b"),
            standby("db-c"),
        ]
        self.member: dict[str, Any] = {"state": "running", "server_version": 170006, "postmaster_start_time": "1"}
        self.history: list[list[Any]] = [[1, 100, "", "2026-01-01T00:00:00+00:00", "db-b"]]
        self.requests: list[str] = []
        self.refuse: dict[str, tuple[int, str]] = {}
        self.on_change: dict[str, Any] = {"/switchover": self.switch, "/restart": self.restart}
        patroni = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self, status: int, body: Any) -> None:
                text = (body if isinstance(body, str) else json.dumps(body)).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def do_GET(self) -> None:
                if self.path in patroni.refuse:
                    self.answer(*patroni.refuse[self.path])
                    return
                cluster = {"members": patroni.members, "scope": "main"}
                cluster |= {"pause": True} if patroni.config.get("pause") else {}
                pages = {
                    "/config": patroni.config,
                    "/cluster": cluster,
                    "/patroni": patroni.member,
                    "/history": patroni.history,
                }
                self.answer(200, pages[self.path])

            def do_PATCH(self) -> None:
                self.change()

            def do_POST(self) -> None:
                self.change()

            def change(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or b"{}")
                patroni.requests.append(f"{self.command} {self.path} {json.dumps(body, sort_keys=True)}")
                if not self.connection.getpeercert():
                    self.answer(403, "client certificate required")
                elif self.path in patroni.refuse:
                    self.answer(*patroni.refuse[self.path])
                elif self.command == "PATCH":
                    merge(patroni.config, body)
                    self.answer(200, patroni.config)
                else:
                    patroni.on_change[self.path](body)
                    self.answer(200, "done")

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=paths["ca"])
        context.load_cert_chain(paths["cert"], paths["key"])
        context.verify_mode = ssl.CERT_OPTIONAL
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def named(self, name: str) -> dict[str, Any]:
        return next(member for member in self.members if member["name"] == name)

    def switch(self, body: dict[str, Any]) -> None:
        new = body.get("candidate") or "db-b"
        self.named(body["leader"]).update(role="quorum_standby", state="streaming", timeline=4, lag=0)
        self.named(new).update(role="leader", state="running", timeline=4)

    def restart(self, _body: dict[str, Any]) -> None:
        self.member.update(postmaster_start_time="2", pending_restart=False)


def merge(config: dict[str, Any], change: dict[str, Any]) -> None:
    """As Patroni does: null removes."""
    for key, value in change.items():
        if value is None:
            config.pop(key, None)
        elif isinstance(value, dict) and isinstance(config.get(key), dict):
            merge(config[key], value)
        else:
            config[key] = value
