"""What an operator would look at on the hosts of the Ethereum layer, one assertion a promise."""

from __future__ import annotations

import json

import pytest

# Ansible itself connects: testinfra would not resolve the variables that the lab's addresses and keys are made of.
PAIRS = "ansible://ethereum?force_ansible=true"
testinfra_hosts = [PAIRS, "ansible://rpc_balancers?force_ansible=true"]

SECRETS = ("/var/lib/ethereum/jwt.hex",)
UNITS = {"ethereum": ("geth", "prysm", "chain_health"), "rpc_balancers": ("haproxy", "keepalived")}
EXPOSURE = 3.0


def groups(host) -> list[str]:
    return host.ansible.get_variables()["group_names"]


def units(host) -> list[str]:
    return [unit for group, names in UNITS.items() if group in groups(host) for unit in names]


def listeners(host) -> set[str]:
    """Addresses with ports that TCP listeners of the host have."""
    with host.sudo():
        return {line.split()[3] for line in host.check_output("ss -Hltn").splitlines()}


def test_services_run_and_come_back_after_a_boot(host) -> None:
    for unit in units(host):
        service = host.service(unit)
        assert service.is_running, unit
        assert service.is_enabled, unit


def test_units_are_hardened(host) -> None:
    """systemd's own judgement of each unit; what is above the limit has its reason in the role's page."""
    for unit in units(host):
        if unit == "keepalived":
            continue  # it sets addresses and raw sockets: see the role's page
        with host.sudo():
            said = host.check_output(f"systemd-analyze security --no-pager --json=short {unit}.service")
            overall = host.run(f"systemd-analyze security --no-pager --threshold={int(EXPOSURE * 10)} {unit}.service")
        assert json.loads(said), unit
        assert overall.rc == 0, overall.stdout.splitlines()[-1]


def test_no_unit_has_failed(host) -> None:
    assert host.check_output("systemctl list-units --failed --no-legend --plain") == ""


def test_the_engine_is_on_loopback_only(host) -> None:
    if "ethereum" not in groups(host):
        assert not any(address.endswith(":8551") for address in listeners(host))
        return
    assert {address for address in listeners(host) if address.endswith(":8551")} == {"127.0.0.1:8551"}


def test_the_secret_between_the_clients_is_theirs_alone(host) -> None:
    if "ethereum" not in groups(host):
        pytest.fail("no pair") if any(host.file(path).exists for path in SECRETS) else None
        return
    with host.sudo():
        secret = host.file(SECRETS[0])
        assert (secret.user, secret.group, secret.mode) == ("root", "ethereum", 0o640)
        assert len(secret.content_string.strip().removeprefix("0x")) == 64


def test_geth_refuses_what_is_not_for_clients(host) -> None:
    if "ethereum" not in groups(host):
        assert host.run("pgrep -x geth").rc == 1
        return
    address = host.ansible.get_variables()["ansible_host"]
    for method in (
        "admin_peers",
        "debug_setHead",
        "personal_listAccounts",
        "engine_exchangeCapabilities",
        "txpool_content",
    ):
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": []})
        script = (
            "import sys, urllib.request as u; r = u.Request(sys.argv[1], sys.argv[2].encode(), "
            "{'Content-Type': 'application/json', 'Host': 'localhost'}); print(u.urlopen(r, timeout=5).read().decode())"
        )
        said = json.loads(host.check_output("python3 -c %s %s %s", script, f"http://{address}:8545", body))
        assert said["error"]["code"] == -32601, (method, said)
