"""The action in real ansible-playbook runs on a small collection, over local connections."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
from ansible.parsing.vault import VaultLib, VaultSecret

from tests.unit.plugins.action.preflight_collection import LAYER, write_collection, write_inventory

ANSIBLE_PLAYBOOK = str(Path(sys.executable).with_name("ansible-playbook"))


def play(tmp_path: Path, playbook: Any, inventory: Path, *arguments: str) -> tuple[int, str]:
    """(exit status, output) of a playbook."""
    path = tmp_path / "playbook.yml"
    path.write_text(json.dumps(playbook))
    configuration = tmp_path / "ansible.cfg"
    configuration.write_text("[defaults]\n")
    environment = os.environ | {
        "ANSIBLE_COLLECTIONS_PATH": str(tmp_path),
        "ANSIBLE_HOME": str(tmp_path / "home"),
        "ANSIBLE_CONFIG": str(configuration),
        "ANSIBLE_NOCOLOR": "1",
        "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}",
    }
    argv = [ANSIBLE_PLAYBOOK, "-i", str(inventory), str(path), *arguments]
    done = subprocess.run(argv, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    print(done.stdout, done.stderr)  # pytest shows it where a test fails
    return done.returncode, done.stdout + done.stderr


# Ansible's own check of a role's arguments resolves every default of the spec: the one that reads facts needs them.
NODES = {**LAYER[1], "vars": {"ansible_facts": {"memtotal_mb": 32768}}}


@pytest.fixture(autouse=True)
def collection(tmp_path: Path) -> Path:
    return write_collection(tmp_path)


def test_mistakes_stop_the_whole_site_before_any_connection(tmp_path: Path) -> None:
    """Hosts are on an address nobody answers, and ssh is a program that leaves a mark when it is started."""
    (tmp_path / "bin").mkdir()
    ssh = tmp_path / "bin" / "ssh"
    ssh.write_text(f"#!/bin/sh\ntouch {tmp_path}/connected\nexit 255\n")
    ssh.chmod(0o755)
    inventory = write_inventory(
        tmp_path,
        {"eth-a": {"node_network": "mainet"}, "eth-b": {"node_network": "mainet"}},
        ansible_connection="ssh",
        ansible_host="192.0.2.{{ groups.all.index(inventory_hostname) + 1 }}",
        ansible_ssh_executable=str(ssh),
    )
    status, output = play(tmp_path, LAYER, inventory)
    assert status == 2
    assert (
        "1 mistake found; nothing was changed on any host.\n"
        "\n"
        "eth-a, eth-b:\n"
        '  - node_network = "mainet": must be one of mainnet, hoodi, custom; did you mean mainnet?\n'
        "    set in inventory.yml:"
    ) in output
    assert "Every option is described in\n  roles/node/README.md (ansible-doc -t role chainops.infra.node)" in output
    assert not (tmp_path / "connected").exists()
    assert "TASK [chainops.infra.node" not in output


def test_the_control_of_that_test_connects(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    ssh = tmp_path / "bin" / "ssh"
    ssh.write_text(f"#!/bin/sh\ntouch {tmp_path}/connected\nexit 255\n")
    ssh.chmod(0o755)
    inventory = write_inventory(
        tmp_path,
        ansible_connection="ssh",
        ansible_host="192.0.2.{{ groups.all.index(inventory_hostname) + 1 }}",
        ansible_ssh_executable=str(ssh),
        node_cache_mb=512,
    )
    gathering = [LAYER[0], {**LAYER[1], "gather_facts": True}]
    play(tmp_path, gathering, inventory)
    assert (tmp_path / "connected").exists()


def test_a_second_check_of_the_same_layer_is_not_repeated(tmp_path: Path) -> None:
    changed = {
        "name": "Change",
        "hosts": "lb-a",
        "gather_facts": False,
        "tasks": [{"ansible.builtin.set_fact": {"balancer_port": "x"}}],
    }
    inventory = write_inventory(tmp_path, node_cache_mb=512)
    status, output = play(tmp_path, [LAYER[0], LAYER[0], changed, LAYER[0]], inventory, "-v")
    assert '"msg": "2 roles on 4 hosts: 24 options good"' in output
    assert '"msg": "found good before in this run"' in output
    assert 'balancer_port = "x": must be an integer' in output
    assert status == 2


def test_facts_make_only_what_waited_for_them_be_looked_at_again(tmp_path: Path) -> None:
    """Before facts, then with them: 10 options of each node wait there, of which one reads facts."""
    check = LAYER[0]["tasks"][0]
    before = {**check, "chainops.infra.preflight": {"layers": ["chain"], "before_facts": True}}
    setup = {
        "ansible.builtin.setup": {"gather_subset": ["!all", "!min", "hardware"], "filter": ["ansible_memtotal_mb"]}
    }
    playbook = [{**LAYER[0], "tasks": [before, setup, check, before, check]}]
    # An interpreter that is found with the facts is no change of the site either.
    interpreter = {
        "ansible_python_interpreter": "auto_silent",
        "ansible_interpreter_python_fallback": ["/usr/bin/python3"],
    }
    inventory = write_inventory(tmp_path, node_cache_mb="{{ ansible_memtotal_mb }}", **interpreter)
    status, output = play(tmp_path, playbook, inventory, "-v")
    assert status == 0
    assert '"role node: node_cache_mb needs facts (eth-a, eth-b)"' in output
    assert [output.count(words) for words in ("2 roles on 4 hosts: ", "1 role on 2 hosts: ")] == [1, 1]
    assert output.count('"msg": "found good before in this run"') == 2
    inventory = write_inventory(tmp_path, node_cache_mb="{{ ansible_memtotal_mb - ansible_memtotal_mb }}")
    status, output = play(tmp_path, playbook, inventory)
    assert status == 2
    assert "eth-a, eth-b:\n  - node_cache_mb = 0: must be at least 512" in output


def test_what_changes_before_facts_are_there_is_looked_at_as_a_whole(tmp_path: Path) -> None:
    before = {**LAYER[0]["tasks"][0], "chainops.infra.preflight": {"layers": ["chain"], "before_facts": True}}
    change = {"ansible.builtin.set_fact": {"balancer_port": "x"}, "when": "inventory_hostname == 'lb-a'"}
    playbook = [{**LAYER[0], "tasks": [before, change, LAYER[0]["tasks"][0]]}]
    status, output = play(tmp_path, playbook, write_inventory(tmp_path))
    assert status == 2
    assert 'balancer_port = "x": must be an integer' in output


def test_a_role_checks_the_host_it_runs_on(tmp_path: Path) -> None:
    hosts = {"eth-a": {"node_ws_enabled": "no", "node_htp_port": 1}}
    inventory = write_inventory(tmp_path, hosts, node_cache_mb=512)
    status, output = play(tmp_path, [NODES], inventory, "-v")
    assert status == 2
    assert 'node_ws_enabled = "no": must be true or false without quotes' in output
    assert "node_htp_port is not a variable of role node; did you mean node_http_port?" in output
    assert "ok: [eth-b]" in output
    assert '"1 role on 1 host: 10 options good"' in output


def test_a_role_s_default_is_not_shown_as_set_by_the_user(tmp_path: Path, collection: Path) -> None:
    defaults = collection / "roles" / "node" / "defaults" / "main.yml"
    defaults.write_text(defaults.read_text().replace("max_age: 3", "max_age: 300"))
    inventory = write_inventory(tmp_path, node_cache_mb=512)
    _status, output = play(tmp_path, [NODES], inventory)
    assert "node_policy.max_age = 300: must be from 1 to 100" in output
    assert "set in" not in output


def test_check_mode_and_extra_variables(tmp_path: Path) -> None:
    inventory = write_inventory(tmp_path, node_cache_mb=512)
    status, output = play(tmp_path, LAYER, inventory, "--check", "-e", "node_network=nowhere")
    assert status == 2
    assert 'node_network = "nowhere": must be one of mainnet, hoodi, custom' in output
    assert "set in <CLI option '-e'>" in output or "set in CLI option '-e'" in output


def test_what_is_encrypted_in_the_inventory_is_not_shown(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("password")
    encrypted = VaultLib().encrypt("s3cret", VaultSecret(b"password"), "default").decode()
    hosts = {"eth-a": {"node_network": "ENCRYPTED", "node_recipient": "ENCRYPTED"}}
    inventory = write_inventory(tmp_path, hosts, node_cache_mb=512)
    inventory.write_text(
        inventory.read_text().replace("ENCRYPTED", "!vault |\n" + textwrap.indent(encrypted, " " * 18))
    )
    status, output = play(tmp_path, LAYER, inventory, "--vault-password-file", "password", "-vvv")
    assert status == 2
    assert "node_network = (hidden): must be one of mainnet, hoodi, custom" in output
    assert "node_recipient = (hidden): must be 0x and 40 hexadecimal digits" in output
    assert "s3cret" not in output


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({}, "one of the following is required: layers, roles"),
        ({"layers": ["chain"], "roles": ["node"]}, "mutually exclusive"),
        ({"layers": ["chian"]}, "there is no layer chian in chainops.infra: chain"),
        ({"layers": ["chain"], "layer": "x"}, "layer. Supported parameters include: before_facts, layers, roles"),
    ],
)
def test_wrong_arguments(tmp_path: Path, arguments: dict[str, Any], error: str) -> None:
    task = {"chainops.infra.preflight": arguments, "run_once": True}
    playbook = [{"hosts": "all", "gather_facts": False, "tasks": [task]}]
    status, output = play(tmp_path, playbook, write_inventory(tmp_path))
    assert status == 2
    assert error in output
