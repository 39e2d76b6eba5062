"""A machine that cannot carry the lab is told what it lacks before anything is made."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.chainops.infra.plugins.module_utils.lab import image, needs, network, shell
from ansible_collections.chainops.infra.plugins.module_utils.lab.shell import LabError
from ansible_collections.chainops.infra.plugins.module_utils.lab.spec import Host, Spec


def test_only_root_brings_a_lab_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(LabError, match="run as root"):
        needs.check_root()


def test_missing_commands_are_named_by_their_packages(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    keyring = tmp_path / "keyring"
    keyring.touch()
    monkeypatch.setattr(needs, "KEYRING", keyring)
    monkeypatch.setattr(shutil, "which", lambda name, path: None if name in ("nft", "systemd-nspawn") else name)
    with pytest.raises(LabError, match="apt-get install nftables systemd-container$"):
        needs.check_commands()
    keyring.unlink()
    with pytest.raises(LabError, match="debian-archive-keyring"):
        needs.check_commands()


def test_too_little_memory_is_refused_with_both_figures(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(needs, "available_memory_mb", lambda: 1000)
    needs.check_room(5, 5, False, tmp_path, tmp_path)
    with pytest.raises(LabError, match="not enough memory: 6 hosts need 1200 MB .* 1000 MB are available"):
        needs.check_room(6, 6, False, tmp_path, tmp_path)


def test_too_little_disk_is_refused_and_one_file_system_counted_once(monkeypatch: Any, tmp_path: Path) -> None:
    monkeypatch.setattr(needs, "available_memory_mb", lambda: 10**6)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: SimpleNamespace(free=1500 << 20))
    needs.check_room(1, 1, True, tmp_path / "state", tmp_path / "cache" / "lab")
    with pytest.raises(LabError, match="the lab needs 1700 MB .* 1500 MB are free"):
        needs.check_room(2, 2, True, tmp_path / "state", tmp_path / "cache" / "lab")


def link(name: str, group: int = 0, address: str = "") -> dict[str, Any]:
    local, _slash, length = address.partition("/")
    held = [{"family": "inet", "local": local, "prefixlen": int(length)}] if address else []
    return {"ifname": name, "group": str(group) if group else "default", "addr_info": held, "flags": ["UP"]}


LAB = Spec("lab", "10.87.0.0/16", {"eth-a": Host("eth-a", "10.87.1.11", "east")})


def check_free(monkeypatch: pytest.MonkeyPatch, links: list[dict[str, Any]], routes: str = "[]") -> None:
    monkeypatch.setattr(network, "_links", lambda: {one["ifname"]: one for one in links})
    monkeypatch.setattr(network, "_alias_of", lambda name: "chainops-lab x" if name == "x-east" else "")
    monkeypatch.setattr(network, "run", lambda _argv, **_options: SimpleNamespace(stdout=routes))
    network.check_free(LAB)


def test_the_lab_s_own_bridge_is_no_obstacle(monkeypatch: pytest.MonkeyPatch) -> None:
    own = network._group("lab")
    check_free(monkeypatch, [link("eth0", address="192.0.2.2/24"), link("lab-east", own, "10.87.1.1/24")])


@pytest.mark.parametrize(
    ("links", "routes", "message"),
    [
        (
            [link("docker0", address="10.87.9.1/24")],
            "[]",
            r"lab_network 10.87.0.0/16 is in use: docker0 has 10.87.9.0/24",
        ),
        ([link("vpn", address="10.0.0.1/8")], "[]", "is in use: vpn has 10.0.0.0/8"),
        (
            [link("x-east", 5, "10.87.1.1/24")],
            "[]",
            r"x-east has 10.87.1.0/24 \(the lab with prefix x\)",
        ),
        ([link("lab-east")], "[]", "an interface lab-east exists that is not this lab's"),
        ([], '[{"dst": "10.87.128.0/17", "dev": "tun0"}]', "10.87.128.0/17 is routed to tun0"),
    ],
)
def test_a_network_or_a_name_in_use_is_refused(monkeypatch: Any, links: Any, routes: str, message: str) -> None:
    with pytest.raises(LabError, match=message):
        check_free(monkeypatch, links, routes)


def test_a_default_route_is_no_obstacle(monkeypatch: pytest.MonkeyPatch) -> None:
    check_free(monkeypatch, [], '[{"dst": "default", "dev": "eth0"}, {"dst": "192.0.2.0/24", "dev": "eth0"}]')


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("nameserver 192.0.2.53\n", "nameserver 192.0.2.53\n"),
        ("# hello\nsearch example\nnameserver 127.0.0.53\nnameserver 192.0.2.53\noptions edns0\n",
         "search example\nnameserver 192.0.2.53\n"),
    ],
)  # fmt: skip
def test_hosts_get_resolvers_that_they_can_reach(monkeypatch: Any, text: str, wanted: str) -> None:
    monkeypatch.setattr(Path, "read_text", lambda _path, encoding: text)
    monkeypatch.setattr(Path, "exists", lambda _path: True)
    assert image.resolv_conf() == wanted


def test_a_machine_with_only_a_local_resolver_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "read_text", lambda _path, encoding: "nameserver 127.0.0.53\n")
    monkeypatch.setattr(Path, "exists", lambda _path: True)
    with pytest.raises(LabError, match="names no resolver that hosts of the lab can reach"):
        image.resolv_conf()


def test_a_tree_with_a_mount_in_it_is_never_deleted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "image" / "dev").mkdir(parents=True)
    line = f"1 2 0:5 / {tmp_path}/image/dev rw shared:1 - devtmpfs dev rw\n"
    monkeypatch.setattr(Path, "read_text", lambda _path, encoding: line)
    with pytest.raises(LabError, match=f"something is mounted at {tmp_path}/image/dev"):
        shell.remove_tree(tmp_path / "image")
    assert (tmp_path / "image" / "dev").is_dir()
    monkeypatch.setattr(Path, "read_text", lambda _path, encoding: line.replace("/image/", "/image2/"))
    shell.remove_tree(tmp_path / "image")
    assert not (tmp_path / "image").exists()


def test_a_failed_command_says_which_and_why() -> None:
    with pytest.raises(LabError, match="sh -c echo oops >&2; exit 3 exited 3: oops"):
        shell.run(["sh", "-c", "echo oops >&2; exit 3"])
    with pytest.raises(LabError, match="no-such-command: command not found"):
        shell.run(["no-such-command"])
    with pytest.raises(LabError, match=r"sleep 5: no end after 0\.1 s"):
        shell.run(["sleep", "5"], timeout=0.1)


def test_write_changes_only_what_differs(tmp_path: Path) -> None:
    me = os.getuid()
    path = tmp_path / "a" / "b"
    assert shell.write(path, "x", 0o600, me)
    assert not shell.write(path, "x", 0o600, me)
    assert shell.write(path, "x", 0o640, me)
    assert shell.write(path, "y", 0o640, me)
    assert path.stat().st_mode & 0o777 == 0o640
    assert [entry.name for entry in path.parent.iterdir()] == ["b"]
