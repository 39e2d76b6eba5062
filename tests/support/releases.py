"""Releases for tests: a mirror that can misbehave, keys made by gpg, and the module run as Ansible runs it."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import ssl
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]

# Runs the module in a process of its own, with arguments from stdin, as a host would. FAULTS is code run before it.
RUNNER = """
import json, sys
from ansible.module_utils.testing import patch_module_args
from ansible_collections.chainops.infra.plugins.modules import release
request = json.loads(sys.stdin.read())
exec(request["prelude"], {})
with patch_module_args(request["args"]):
    release.main()
"""


def sha256(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def executable(text: str, machine: int | None = None, size: int = 0) -> bytes:
    """A script, or the beginning of an ELF file for a machine (62 is x86-64, 183 is aarch64), padded to a size."""
    if machine is None:
        data = f"#!/bin/sh\necho {text}\n".encode()
    else:
        data = b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x02\x00" + machine.to_bytes(2, "little") + text.encode()
    return data + os.urandom(max(0, size - len(data)))


def tarball(members: dict[str, bytes], change: Callable[[tarfile.TarInfo], tarfile.TarInfo] | None = None) -> bytes:
    """A tar.gz of files, the same bytes each time; `change` may make each header something else."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(data), 0o755
            if change:
                info = change(info)
            tar.addfile(info, io.BytesIO(data) if info.isreg() else None)
    return gzip.compress(buffer.getvalue(), compresslevel=1, mtime=0)


@dataclass
class Page:
    """What the mirror answers, and how badly."""

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    send: int | None = None  # bytes of the body that are sent before the connection is closed
    announce: int | None = None  # Content-Length, where it is not the body's
    chunked: bool = False
    pause: float = 0.0  # seconds before the answer begins
    trickle: float = 0.0  # seconds between pieces of 64 bytes
    fail_first: int = 0  # answers 503 that many times


class Mirror:
    """A server on a free loopback port, plain or TLS, that counts what it was asked for."""

    def __init__(self, certificate: Path | None = None):
        self.pages: dict[str, Page] = {}
        self.asked: list[str] = []
        mirror = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                mirror.asked.append(self.path)
                page = mirror.pages.get(self.path.split("?")[0], Page(b"no such page", 404))
                if page.fail_first > 0:
                    page.fail_first -= 1
                    page = Page(b"busy", 503)
                time.sleep(page.pause)
                self.send_response(page.status)
                for name, value in page.headers.items():
                    self.send_header(name, value)
                self._body(page)

            def _body(self, page: Page) -> None:
                body = page.body if page.send is None else page.body[: page.send]
                if page.chunked:
                    self.send_header("Transfer-Encoding", "chunked")
                else:
                    self.send_header("Content-Length", str(len(page.body) if page.announce is None else page.announce))
                self.send_header("Connection", "close")
                self.end_headers()
                try:
                    if page.chunked:
                        self.wfile.write(b"%x\r\n" % (len(page.body) or 1) + body)
                        if page.send is None:
                            self.wfile.write(b"\r\n0\r\n\r\n")
                    elif page.trickle:
                        for at in range(0, len(body), 64):
                            self.wfile.write(body[at : at + 64])
                            time.sleep(page.trickle)
                    else:
                        self.wfile.write(body)
                except OSError:
                    pass
                self.close_connection = True

            def log_message(self, format: str, *args: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request: Any, client_address: Any) -> None:
                pass  # a client that refuses our certificate is what some cases are about

        self.server = Server(("127.0.0.1", 0), Handler)
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.base = f"{'https' if certificate else 'http'}://127.0.0.1:{self.server.server_address[1]}"
        self._thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()

    def publish(self, path: str, body: bytes, **how: Any) -> str:
        """Serve a body under a path; returns the URL."""
        self.pages[path] = Page(body, **how)
        return self.base + path

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self._thread.join()


def certificate(directory: Path, name: str = "127.0.0.1") -> Path:
    """A self-signed certificate with its key in one file."""
    path, key = directory / f"{name}.pem", directory / f"{name}.key"
    subject = [
        "-subj",
        f"/CN={name}",
        "-addext",
        f"subjectAltName=IP:{name}" if name[0].isdigit() else f"subjectAltName=DNS:{name}",
    ]
    request = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-days",
        "2",
    ]
    subprocess.run([*request, *subject, "-keyout", str(key), "-out", str(path)], check=True, capture_output=True)
    with path.open("a") as handle:
        handle.write(key.read_text())
    return path


class Signer:
    """An OpenPGP key in a home of its own. `expires` as gpg has it: never, or seconds=1."""

    def __init__(self, home: Path, name: str, expires: str = "never", made: str | None = None):
        self.home = home
        home.mkdir(mode=0o700)
        self._clock = ["--faked-system-time", made] if made else []
        self._gpg("--quick-generate-key", f"{name} <{name}@example.invalid>", "ed25519", "sign", expires)
        listing = self._gpg("--with-colons", "--list-keys").decode()
        self.fingerprint = next(line.split(":")[9] for line in listing.splitlines() if line.startswith("fpr"))

    def _gpg(self, *arguments: str, data: bytes = b"") -> bytes:
        command = [
            "gpg",
            "--batch",
            "--quiet",
            "--pinentry-mode",
            "loopback",
            "--passphrase",
            "",
            *self._clock,
            *arguments,
        ]
        environment = {**os.environ, "GNUPGHOME": str(self.home)}
        return subprocess.run(command, input=data, env=environment, capture_output=True, check=True, timeout=60).stdout

    def add_expired_subkey(self) -> None:
        """A signing subkey that expired long ago, which a key of many years has."""
        clock, self._clock = self._clock, ["--faked-system-time", "20300101T000000"]
        self._gpg("--quick-add-key", self.fingerprint, "ed25519", "sign", "1d")
        self._clock = clock

    def public(self) -> str:
        return self._gpg("--armor", "--export", self.fingerprint).decode()

    def secret(self) -> str:
        return self._gpg("--armor", "--export-secret-keys", self.fingerprint).decode()

    def revoked(self) -> str:
        """The public key with its revocation."""
        text = (
            (self.home / "openpgp-revocs.d" / f"{self.fingerprint}.rev")
            .read_text()
            .replace(":-----BEGIN", "-----BEGIN")
        )
        self._gpg("--import", data=text.encode())
        return self.public()

    def sign(self, data: bytes, armor: bool = True, options: tuple[str, ...] = ()) -> bytes:
        return self._gpg(
            *options,
            *(["--armor"] if armor else []),
            "--local-user",
            f"{self.fingerprint}!",
            "--detach-sign",
            data=data,
        )

    def close(self) -> None:
        environment = {**os.environ, "GNUPGHOME": str(self.home)}
        subprocess.run(["gpgconf", "--kill", "all"], env=environment, capture_output=True, check=False, timeout=30)


def run_module(
    args: dict[str, Any], *, check: bool = False, prelude: str = "", environment: dict[str, str] | None = None
):
    """Run the module in a process of its own. Returns (its JSON answer or None, the exit code, its output)."""
    arguments = {**args, "_ansible_check_mode": check, "_ansible_diff": True}
    path = os.pathsep.join([str(ROOT / ".ansible" / "collections"), *filter(None, sys.path)])
    done = subprocess.run(
        [sys.executable, "-c", RUNNER],
        input=json.dumps({"args": arguments, "prelude": prelude}),
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": path, "no_proxy": "127.0.0.1", **(environment or {})},
        timeout=120,
        check=False,
    )
    try:
        answer = json.loads(done.stdout)
    except ValueError:
        answer = None
    return answer, done.returncode, done.stdout + done.stderr
