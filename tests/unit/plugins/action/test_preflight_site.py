"""Layers checked against an inventory in this process, on a small collection."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from ansible.errors import AnsibleError

from tests.support.preflight import CheckedInventory, message
from tests.unit.plugins.action.preflight_collection import (
    LAYER,
    write_collection,
    write_inventory,
    write_role,
)

FACTS = {"memtotal_mb": 32768}


def check(tmp_path: Path, hosts: dict[str, Any] | None = None, facts: dict[str, Any] | None = None, **variables: Any):
    """(lines of the report without indentation, notes) for an inventory."""
    root = tmp_path / "ansible_collections" / "chainops" / "infra"
    if not root.exists():
        write_collection(tmp_path)
    checked = CheckedInventory(write_inventory(tmp_path, hosts, **variables), root)
    for host in checked.inventory.hosts:
        if facts is not None:
            checked.manager.set_host_facts(host, dict(facts))
    outcome = checked.check("chain")
    lines = []
    for mistake in outcome.mistakes:
        lines.append(f"{mistake.host or 'site'}: {f'{mistake.variable} {mistake.text}'.strip()}")
    return lines, outcome.notes


def test_a_good_site_has_no_mistake(tmp_path: Path) -> None:
    assert check(tmp_path, facts=FACTS) == ([], [])


def test_what_needs_facts_waits_for_them(tmp_path: Path) -> None:
    mistakes, notes = check(tmp_path)
    assert mistakes == []
    assert ("eth-a", "role node: node_cache_mb needs facts") in notes
    assert ("eth-a", "role node: the check node_cache_mb >= 512 needs facts") in notes


ADDRESS = {"ansible_default_ipv4": {"address": "192.0.2.7"}, "ansible_memtotal_mb": 32768}


def without_facts(tmp_path: Path, facts: dict[str, Any] | None = None, **variables: Any) -> CheckedInventory:
    root = tmp_path / "ansible_collections" / "chainops" / "infra"
    if not root.exists():
        root = write_collection(tmp_path)
    checked = CheckedInventory(write_inventory(tmp_path, **variables), root)
    for host in checked.inventory.hosts if facts else ():
        checked.manager.set_host_facts(host, dict(facts or {}))
    return checked


@pytest.mark.parametrize(
    "recipient",
    [
        "{{ ansible_facts.default_ipv4.address }}",
        "{{ ansible_default_ipv4.address }}",
        "{{ hostvars['eth-b'].ansible_facts.default_ipv4.address }}",
        "{{ hostvars['eth-b'].ansible_default_ipv4.address }}",
        "{{ of_the_site }}",
        "{{ hostvars['eth-b'].of_the_site }}",
        "{{ lookup('vars', 'ansible_' ~ 'default_ipv4').address }}",
    ],
)
def test_however_a_value_reads_facts_it_waits_for_them(tmp_path: Path, recipient: str) -> None:
    """A default for want of facts is no answer, an error no mistake, and facts of an earlier run may be old."""
    variables = {"of_the_site": "{{ ansible_default_ipv4.address | default('') }}", "node_recipient": recipient}
    for facts in ({}, {"ansible_default_ipv4": {"address": "0x" + "1" * 40}, "ansible_memtotal_mb": 1}):
        checked = without_facts(tmp_path, facts, **variables)
        first = checked.check("chain", before_facts=True)
        assert first.mistakes == []
        assert ("eth-a", "role node: node_recipient needs facts") in first.notes
        for host in checked.inventory.hosts:
            checked.manager.set_host_facts(host, ADDRESS)
        second = checked.check("chain", only=first.waiting)
        assert {(m.host, m.text) for m in second.mistakes} == {
            (host, '= "192.0.2.7": must be 0x and 40 hexadecimal digits') for host in ("eth-a", "eth-b")
        }


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"node_cache_mb": "{{ ansible_facts.memtotal_mb // 100 }}"}, "node_cache_mb = 327: must be at least 512"),
        ({"node_http_port": "{{ 443 if ansible_facts.memtotal_mb else 1 }}"}, ""),
        ({"node_ws_port": "{{ ansible_facts.memtotal_mb - 24223 }}", "node_ws_enabled": True}, "the same tcp port"),
        ({"node_archive": "{{ ansible_facts.memtotal_mb > 1 and inventory_hostname == 'eth-a' }}"}, "must agree"),
        ({"site_datacentre_tier": "{{ ansible_facts.memtotal_mb }}"}, "must be one of 1, 2, 3, 4"),
        ({"balancer_router_id": "{{ ansible_facts.memtotal_mb }}"}, "every balancer needs its own"),
    ],
)
def test_the_second_check_finds_what_one_with_facts_would(tmp_path: Path, values: dict[str, Any], words: str) -> None:
    hosts = {"lb-a": {}, "lb-b": {}}
    for name in [name for name in values if name.startswith("balancer")]:
        hosts = {host: {name: values[name]} for host in hosts}
    write_collection(tmp_path)
    root = tmp_path / "ansible_collections" / "chainops" / "infra"
    checked = CheckedInventory(write_inventory(tmp_path, hosts, **values), root)
    first = checked.check("chain", before_facts=True)
    assert first.mistakes == []
    for host in checked.inventory.hosts:
        checked.manager.set_host_facts(host, FACTS)
    whole = checked.check("chain")
    assert checked.check("chain", only=first.waiting).mistakes == whole.mistakes
    assert words in message(whole.mistakes)
    assert bool(words) == bool(whole.mistakes)


def test_the_second_check_looks_only_at_what_waited(tmp_path: Path) -> None:
    checked = without_facts(tmp_path)
    first = checked.check("chain", before_facts=True)
    assert first.waiting == {"node": False}
    for host in checked.inventory.hosts:
        checked.manager.set_host_facts(host, {"memtotal_mb": 1000})
    with checked.changed("nodes", {"node_http_port": "x", "node_network": "mainet"}):
        second = checked.check("chain", only=first.waiting)
    assert {f"{m.variable} {m.text}".strip() for m in second.mistakes} == {"node_cache_mb = 300: must be at least 512"}
    assert second.roles == {"node"}
    assert checked.check("chain", only={}).hosts == set()


def test_a_default_for_a_missing_fact_is_no_answer(tmp_path: Path) -> None:
    root = write_collection(tmp_path)
    option = {"type": "str", "default": "{{ ansible_facts.interface | default('') }}"}
    rules = {"patterns": {"balancer_interface": {"regex": ".+", "means": "an interface"}}}
    rules["checks"] = [{"that": "ansible_facts.kernel | default('') != ''", "message": "no kernel"}]
    write_role(root, "balancer", {"balancer_interface": option}, rules)
    notes = ("lb-a", "role balancer: balancer_interface needs facts")
    mistakes, found = check(tmp_path)
    assert [mistake for mistake in mistakes if mistake.startswith("lb-a: balancer_i")] == []
    assert notes in found
    assert ("lb-a", "role balancer: the check ansible_facts.kernel | default('') != '' needs facts") in found
    mistakes, _notes = check(tmp_path, facts=FACTS)
    assert 'lb-a: balancer_interface = "": must be an interface' in mistakes
    assert "lb-a: no kernel" in mistakes


def test_facts_are_read_where_gathered(tmp_path: Path) -> None:
    mistakes, _notes = check(tmp_path, facts={"memtotal_mb": 1000})
    assert mistakes == [f"{host}: node_cache_mb = 300: must be at least 512" for host in ("eth-a", "eth-b")]


def test_a_fact_that_was_not_found_is_a_mistake_not_a_note(tmp_path: Path) -> None:
    mistakes, notes = check(tmp_path, facts={"other": 1})
    assert "eth-a: node_cache_mb cannot be worked out: object of type 'dict' has no attribute 'memtotal_mb'" in mistakes
    assert notes == []


def test_every_mistake_is_reported_not_the_first_only(tmp_path: Path) -> None:
    hosts = {
        "eth-a": {"node_network": "custom", "node_archive": True, "node_policy": {"max_age": 0, "mode": "hide"}},
        "eth-b": {"node_recipient": "0x12", "node_htp_port": 1, "node_ws_enabled": True, "node_ws_port": 8545},
        "lb-b": {"balancer_router_id": 1, "balancer_port": 70000},
    }
    mistakes, _notes = check(tmp_path, hosts, FACTS)
    assert sorted(mistakes) == sorted(
        [
            "eth-a: node_archive = True does not fit node_network = custom: a custom network keeps no archive",
            'eth-a: node_policy.mode = "hide": must be one of serve, refuse',
            'eth-b: node_recipient = "0x12": must be 0x and 40 hexadecimal digits',
            "eth-b: node_ws_port = 8545: node_http_port has the same tcp port on this host; "
            "every service needs its own",
            "eth-b: node_htp_port is not a variable of role node; did you mean node_http_port?",
            "eth-a: node_archive (eth-a true, eth-b false): nodes behind one address must agree",
            "eth-b: node_archive (eth-a true, eth-b false): nodes behind one address must agree",
            "site: node_network is custom, mainnet: a site has one network",
            "lb-b: balancer_port = 70000: must be from 0 to 65535",
            "lb-a: balancer_router_id (lb-a 1, lb-b 1): every balancer needs its own",
            "lb-b: balancer_router_id (lb-a 1, lb-b 1): every balancer needs its own",
        ]
    )


def test_a_secret_is_never_shown(tmp_path: Path) -> None:
    checked = CheckedInventory(
        write_inventory(tmp_path, {"eth-a": {"node_password": "s3cret"}, "eth-b": {"node_password": ["s3cret"]}}),
        write_collection(tmp_path),
    )
    text = message(checked.check("chain").mistakes)
    assert "node_password = (hidden): must be a string" in text
    assert "node_password = (hidden): must have at least 8 characters" in text
    assert "s3cret" not in text


def test_a_broken_secret_template_is_not_shown(tmp_path: Path) -> None:
    checked = CheckedInventory(
        write_inventory(tmp_path, {"eth-a": {"node_password": "{{ 's3cret' + nothing }}"}}), write_collection(tmp_path)
    )
    text = message(checked.check("chain").mistakes)
    assert "node_password cannot be worked out" in text
    assert "s3cret" not in text


def test_a_secret_is_not_shown_by_an_error_of_a_check(tmp_path: Path) -> None:
    root = write_collection(tmp_path)
    rule = {"that": "node_password is match('[' ~ node_password)", "message": "m"}
    write_role(root, "node", {"node_password": {"type": "str", "no_log": True}}, {"checks": [rule]})
    checked = CheckedInventory(write_inventory(tmp_path, node_password="s3cret"), root)
    text = message(checked.check("chain").mistakes)
    assert "of role node cannot be evaluated" in text
    assert "s3cret" not in text


def test_a_required_option(tmp_path: Path) -> None:
    mistakes, _notes = check(tmp_path, {"lb-a": {"balancer_router_id": "{{ omit }}"}}, FACTS)
    assert mistakes == ["lb-a: balancer_router_id is not set: must be an integer"]


def test_an_undefined_variable_in_a_value(tmp_path: Path) -> None:
    mistakes, _notes = check(tmp_path, {"eth-a": {"node_http_port": "{{ base_port + 1 }}"}}, FACTS)
    assert mistakes == ["eth-a: node_http_port cannot be worked out: 'base_port' is undefined"]


def test_layer_variables_reach_defaults_and_the_inventory_wins(tmp_path: Path) -> None:
    layer = [LAYER[0], {**LAYER[1], "vars": {"__layer_node_peers": "none"}}, LAYER[2]]
    write_collection(tmp_path, layer)
    mistakes, _notes = check(tmp_path, {"eth-a": {"node_peers": ["b"]}}, FACTS)
    assert mistakes == ['eth-b: node_peers = "none": must be a list of str']


def test_a_layer_may_not_set_an_option(tmp_path: Path) -> None:
    write_collection(tmp_path, [{**LAYER[1], "vars": {"node_http_port": 1}}])
    mistakes, _notes = check(tmp_path, facts=FACTS)
    assert mistakes == [
        "site: the vars of play Nodes of playbooks/layers/chain.yml set node_http_port: "
        "a layer only sets __layer_* variables"
    ]


def test_a_role_with_when_is_checked_where_it_applies(tmp_path: Path) -> None:
    layer = [{**LAYER[1], "roles": [{"role": "node", "when": "inventory_hostname == 'eth-a'"}]}]
    write_collection(tmp_path, layer)
    mistakes, _notes = check(tmp_path, facts=FACTS, node_http_port="x")
    assert mistakes == ['eth-a: node_http_port = "x": must be an integer']


@pytest.mark.parametrize("word", ["import_role", "ansible.builtin.include_role"])
def test_a_role_applied_by_a_task_is_checked_like_others(tmp_path: Path, word: str) -> None:
    task = {"name": "Node", word: {"name": "node"}, "when": "inventory_hostname == 'eth-a'", "tags": ["node"]}
    play = {key: value for key, value in LAYER[1].items() if key != "roles"} | {"tasks": [task]}
    write_collection(tmp_path, [play])
    mistakes, _notes = check(tmp_path, facts=FACTS, node_http_port="x")
    assert mistakes == ['eth-a: node_http_port = "x": must be an integer']


APPLIED = {"ansible.builtin.include_role": {"name": "balancer"}}


@pytest.mark.parametrize(
    "hidden",
    [
        {"post_tasks": [APPLIED]},
        {"tasks": [{"block": [APPLIED]}]},
        {"tasks": [{"block": [], "rescue": [{"block": [APPLIED]}]}]},
        {"tasks": [{"include_role": {"name": "{{ which }}"}}]},
    ],
)
def test_a_role_that_would_not_be_seen_is_an_error(tmp_path: Path, hidden: dict[str, Any]) -> None:
    write_collection(tmp_path, [LAYER[1] | hidden])
    with pytest.raises(AnsibleError, match="applies a role in"):
        check(tmp_path)


def test_an_unknown_layer_is_an_error(tmp_path: Path) -> None:
    checked = CheckedInventory(write_inventory(tmp_path), write_collection(tmp_path))
    with pytest.raises(AnsibleError, match=r"there is no layer chian in chainops\.infra: chain"):
        checked.check("chian")


def test_a_role_without_argument_spec_is_a_mistake(tmp_path: Path) -> None:
    root = write_collection(tmp_path)
    (root / "roles" / "balancer" / "meta" / "argument_specs.yml").unlink()
    mistakes, _notes = check(tmp_path, facts=FACTS)
    assert "lb-a: roles/balancer/meta/argument_specs.yml is missing or has no entry point main" in mistakes


def test_a_role_that_does_not_exist_is_a_mistake(tmp_path: Path) -> None:
    write_collection(tmp_path, [{**LAYER[1], "roles": ["chainops.infra.nod"]}])
    mistakes, _notes = check(tmp_path, facts=FACTS)
    assert mistakes[0] == "eth-a: there is no role nod in chainops.infra: balancer, node"


def test_a_rule_for_an_option_that_does_not_exist(tmp_path: Path) -> None:
    root = write_collection(tmp_path)
    write_role(root, "balancer", {}, {"ranges": {"balancer_prt": [1, 2]}})
    mistakes, _notes = check(tmp_path, facts=FACTS)
    expected = "balancer_prt stands in roles/balancer/meta/preflight.yml but is no option of the role"
    assert f"lb-a: {expected}" in mistakes


def test_a_check_that_cannot_be_evaluated_is_a_mistake(tmp_path: Path) -> None:
    root = write_collection(tmp_path)
    write_role(root, "balancer", {}, {"checks": [{"that": "no_such_thing > 1", "message": "m"}]})
    mistakes, _notes = check(tmp_path, facts=FACTS)
    expected = "the check no_such_thing > 1 of role balancer cannot be evaluated: 'no_such_thing' is undefined"
    assert f"lb-a: {expected}" in mistakes


def test_site_variables(tmp_path: Path) -> None:
    mistakes, _notes = check(
        tmp_path, {"eth-a": {"site_role": "backup", "site_datacentre_tier": 5, "site_regoin": "east"}}, FACTS
    )
    assert mistakes == [
        "eth-a: site_regoin is not a variable of any role; did you mean site_region?",
        "eth-a: site_datacentre_tier = 5: must be one of 1, 2, 3, 4",
        'eth-a: site_role = "backup": must be one of primary, standby, reference',
    ]


def test_a_limit_narrows_what_is_reported_not_what_is_compared(tmp_path: Path) -> None:
    hosts = {"eth-a": {"node_http_port": "x"}, "lb-b": {"balancer_router_id": 1}}
    checked = CheckedInventory(write_inventory(tmp_path, hosts), write_collection(tmp_path))
    checked.inventory.subset("lb-b")
    said = {f"{m.host}: {m.variable}" for m in checked.check("chain").mistakes}
    assert said == {"lb-a: balancer_router_id", "lb-b: balancer_router_id"}
    checked.inventory.subset("eth-b")
    assert checked.check("chain").mistakes == []


def test_eight_hosts_and_ten_roles_in_two_seconds(tmp_path: Path) -> None:
    root = write_collection(tmp_path)
    names = [f"big{number}" for number in range(10)]
    for name in names:
        options = {f"{name}_o{n}": {"type": "int", "default": n} for n in range(30)}
        options[f"{name}_list"] = {
            "type": "list",
            "default": "{{ groups.all | map('extract', hostvars, 'kind') | list }}",
        }
        options[f"{name}_layer"] = {"type": "str", "default": "{{ __layer_x | default('') }}"}
        checks = [{"that": f"{name}_o{n} < {name}_o{n + 1}", "message": "m"} for n in range(5)]
        write_role(root, name, options, {"checks": checks, "site": [{"agree": [f"{name}_list"], "message": "m"}]})
    (root / "playbooks" / "layers" / "big.yml").write_text(f"[{{hosts: all, roles: [{', '.join(names)}]}}]")
    inventory = tmp_path / "big.yml"
    hosts = {f"h{number}": {} for number in range(8)}
    inventory.write_text(json.dumps({"all": {"vars": {"kind": "x"}, "hosts": hosts}}))
    checked = CheckedInventory(inventory, root)
    started = time.process_time()
    outcome = checked.check("big")
    assert (outcome.mistakes, outcome.options) == ([], 8 * 10 * 32)
    assert time.process_time() - started < 2
