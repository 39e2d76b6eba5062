# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Sees to it that no start of HAProxy admits a server which no check has found good.

HAProxy takes every server for UP until its first check has failed. It can read a file of states when it starts, though:
`admission cold` writes one in which every checked server is DOWN, and the unit runs it before every start.

`admission reload` is the unit's ExecReload. It writes the states that the running process has found, servers new in
the configuration DOWN, lets the master start the new worker, and makes the file cold again: whatever starts HAProxy
after that, in whichever way, begins with nobody admitted.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

CONFIG = [Path("/etc/haproxy/haproxy.cfg"), Path("/etc/haproxy/conf.d")]
RUN = Path("/run/haproxy")
HAPROXY = "/usr/sbin/haproxy"

FIELDS = (
    "be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight "
    "srv_time_since_last_change srv_check_status srv_check_result srv_check_health srv_check_state srv_agent_state "
    "bk_f_forced_id srv_f_forced_id srv_fqdn srv_port srvrecord srv_use_ssl srv_check_port srv_check_addr "
    "srv_agent_addr srv_agent_port"
)
SECTIONS = {"backend", "listen"}
KEYWORDS = {
    *(
        "global",
        "defaults",
        "frontend",
        "backend",
        "listen",
        "peers",
        "resolvers",
        "userlist",
        "cache",
        "program",
        "ring",
    ),
    *("mailers", "http-errors", "fcgi-app", "crt-store", "log-forward", "log-profile", "traces"),
}


class Problem(Exception):
    """Something that the operator must read."""


@dataclass(frozen=True)
class Server:
    """A server that a health check of its own decides about (one that tracks another follows it by itself)."""

    backend: str
    name: str
    address: str
    port: str
    weight: str = "1"
    ssl: str = "0"

    def cold(self) -> str:
        """The line of a server that is DOWN and has not been checked.

        The check status must be 1 (initialized): HAProxy ignores every later result of a server that was given 0
        (unknown). The port, and whether TLS is spoken, must be the configured ones, since they are taken over as they
        stand.
        """
        weight = f"{self.weight} {self.weight}"
        return f"0 {self.backend} 0 {self.name} - 0 0 {weight} 0 1 0 0 0 0 0 0 - {self.port} - {self.ssl} 0 - - 0"


def words(line: str) -> list[str]:
    """A line's words, without a comment."""
    return re.findall(r'(?:[^\s"\'#\\]|\\.|"(?:[^"\\]|\\.)*"|\'[^\']*\')+|#.*', line)


def servers(text: str) -> list[Server]:
    """The checked servers of a configuration."""
    found = []
    defaults: dict[str, list[str]] = {"": []}
    section, name, inherited = "", "", ""
    for line in text.splitlines():
        entry = [word for word in words(line) if not word.startswith("#")]
        if not entry:
            continue
        if entry[0] in KEYWORDS:
            section, name = entry[0], entry[1] if len(entry) > 1 else ""
            inherited = entry[entry.index("from") + 1] if "from" in entry[:-1] else ""
            parent = f"defaults {inherited}" if inherited else "defaults"
            defaults[f"{section} {name}".strip()] = list(defaults.get(parent, []))
        elif entry[0] == "default-server":
            defaults.setdefault(f"{section} {name}".strip(), []).extend(entry[1:])
        elif section in SECTIONS and entry[0] in ("server", "server-template"):
            options = defaults[f"{section} {name}"] + entry[1:]
            if checked(options):
                found += expand(name, entry, options)
    return found


def checked(options: list[str]) -> bool:
    """Whether `check` is the last word on it, and the server does not track another."""
    return last_word(options, "check", "no-check") == "1" and "track" not in options


def last_word(options: list[str], word: str, negation: str) -> str:
    """Whether the last of the two that is given is the word, as HAProxy's state file writes it."""
    found = [option for option in options if option in (word, negation)]
    return "1" if found and found[-1] == word else "0"


def expand(backend: str, entry: list[str], options: list[str]) -> list[Server]:
    place = entry[3] if entry[0] == "server-template" else entry[2]
    match = re.fullmatch(r"(?:ipv[46]@)?\[?(.*?)\]?(?::(\d+))?", place)
    address, port = (match[1], match[2] or "0") if match else (place, "0")
    weight = options[len(options) - 1 - options[::-1].index("weight") + 1] if "weight" in options[:-1] else "1"
    ssl = last_word(options, "ssl", "no-ssl")
    if entry[0] == "server":
        return [Server(backend, entry[1], address, port, weight, ssl)]
    first, _, last = entry[2].rpartition("-")
    return [
        Server(backend, f"{entry[1]}{number}", address, port, weight, ssl)
        for number in range(int(first or 1), int(last) + 1)
    ]


def configuration() -> str:
    """All files, in the order in which HAProxy reads them."""
    texts = []
    for path in CONFIG:
        files = sorted(path.glob("*.cfg")) if path.is_dir() else [path]
        texts += [file.read_text(encoding="utf-8") for file in files]
    return "\n".join(texts)


def write_states(lines: Iterable[str]) -> None:
    path = RUN / "admission.state"
    partial = path.with_suffix(".partial")
    partial.write_text("\n".join(["1", f"# {FIELDS}", *lines]) + "\n", encoding="utf-8")
    partial.rename(path)


def ask(name: str, command: str, timeout: float = 30.0) -> str:
    """Send a command to one of HAProxy's sockets and return the answer."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(timeout)
        try:
            connection.connect(str(RUN / name))
            connection.sendall(f"{command}\n".encode())
            answer = b""
            while block := connection.recv(65536):
                answer += block
        except OSError as error:
            raise Problem(f"{RUN / name} did not answer {command!r}: {error}") from error
    return answer.decode()


def merge(known: list[Server], running: str) -> list[str]:
    """For every server of the new configuration its line of the running process.

    A server that was not there before, or was another machine or port under the same name, gets the cold line.
    """
    lines = {}
    for line in running.splitlines():
        if line.startswith("#"):
            continue
        fields = dict(zip(FIELDS.split(), line.split(), strict=False))
        if len(fields) == len(FIELDS.split()):
            lines[fields["be_name"], fields["srv_name"]] = fields
    merged = []
    for server in known:
        fields = lines.get((server.backend, server.name), {})
        same = (
            fields and server.port == fields["srv_port"] and server.address in (fields["srv_addr"], fields["srv_fqdn"])
        )
        merged.append(state_alone(server, fields) if same else server.cold())
    return merged


def state_alone(server: Server, fields: dict[str, str]) -> str:
    """A server's line without how it is reached and where its checks go: HAProxy prefers that to the configuration."""
    unset = {"srv_check_port": "0", "srv_agent_port": "0", "srv_check_addr": "-", "srv_agent_addr": "-"}
    return " ".join((fields | unset | {"srv_use_ssl": server.ssl}).values())


def check() -> None:
    """Let HAProxy read its configuration; of what it says, the errors are shown, not the states it would start with."""
    argv = [HAPROXY, "-c", *(word for path in CONFIG for word in ("-f", str(path)))]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        said = (done.stdout + done.stderr).splitlines()
        errors = [line for line in said if line.startswith("[ALERT]")] or said
        raise Problem("the configuration is not valid:\n" + "\n".join(errors))


def reload() -> None:
    try:
        check()
    except Problem as problem:
        raise Problem(f"not reloaded, {problem}") from None
    known = servers(configuration())
    write_states(merge(known, ask("admin.sock", "show servers state")))
    try:
        answer = ask("master.sock", "reload")
    finally:
        write_states(server.cold() for server in known)
    if "Success=1" not in answer:
        raise Problem(f"the new worker did not start, the old one goes on:\n{answer}")


def main() -> int:
    parser = argparse.ArgumentParser(description="No start of HAProxy admits a server which no check has found good")
    parser.add_argument("command", choices=["check", "cold", "reload", "servers"])
    command = parser.parse_args().command
    os.umask(0o027)
    try:
        if command == "cold":
            write_states(server.cold() for server in servers(configuration()))
        elif command == "reload":
            reload()
        elif command == "check":
            check()
        else:
            print(json.dumps([[server.backend, server.name] for server in servers(configuration())]))
    except Problem as problem:
        print(f"admission: {problem}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
