"""A small collection with two roles for the tests of preflight, whose plugins are those of this checkout."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[4]

NODE_OPTIONS: dict[str, dict[str, Any]] = {
    "node_network": {"type": "str", "default": "mainnet", "choices": ["mainnet", "hoodi", "custom"]},
    "node_http_port": {"type": "int", "default": 8545},
    "node_ws_enabled": {"type": "bool", "default": False},
    "node_ws_port": {"type": "int", "default": 8546},
    "node_peers": {"type": "list", "elements": "str", "default": "{{ __layer_node_peers | default([]) }}"},
    "node_cache_mb": {"type": "int", "default": "{{ (ansible_facts.memtotal_mb * 0.3) | int }}"},
    "node_archive": {"type": "bool", "default": False},
    "node_recipient": {"type": "str"},
    "node_password": {"type": "str", "no_log": True},
    "node_policy": {
        "type": "dict",
        "default": {"max_age": 3},
        "options": {"max_age": {"type": "int", "default": 3}, "mode": {"type": "str", "choices": ["serve", "refuse"]}},
    },
}
NODE_RULES: dict[str, Any] = {
    "ranges": {"node_policy.max_age": [1, 100]},
    "patterns": {"node_recipient": {"regex": "0x[0-9a-fA-F]{40}", "means": "0x and 40 hexadecimal digits"}},
    "ports": {"node_http_port": "tcp", "node_ws_port": {"protocol": "tcp", "when": "node_ws_enabled"}},
    "checks": [
        {
            "that": "not (node_archive and node_network == 'custom')",
            "message": "node_archive = {{ node_archive }} does not fit node_network = {{ node_network }}: "
            "a custom network keeps no archive",
        },
        {"that": "node_cache_mb >= 512", "message": "node_cache_mb = {{ node_cache_mb }}: must be at least 512"},
        {
            "that": "node_password | length > 7",
            "when": "node_password is defined",
            "message": "node_password = {{ node_password }}: must have at least 8 characters",
        },
    ],
    "site": [
        {"agree": ["node_archive"], "among": "groups.serving", "message": "nodes behind one address must agree"},
        {
            "that": "preflight_hosts | map(attribute='node_network') | unique | length == 1",
            "message": "node_network is {{ preflight_hosts | map(attribute='node_network') | unique | join(', ') }}: "
            "a site has one network",
        },
    ],
}
BALANCER_OPTIONS: dict[str, dict[str, Any]] = {
    "balancer_port": {"type": "int", "default": 443},
    "balancer_router_id": {"type": "int", "required": True},
}
BALANCER_RULES: dict[str, Any] = {
    "ports": {"balancer_port": "tcp"},
    "site": [{"unique": ["balancer_router_id"], "message": "every balancer needs its own"}],
}
LAYER: list[dict[str, Any]] = [
    {
        "name": "Check",
        "hosts": "all",
        "gather_facts": False,
        "tags": "always",
        "tasks": [{"name": "Check", "chainops.infra.preflight": {"layers": ["chain"]}, "run_once": True}],
    },
    {
        "name": "Nodes",
        "hosts": "nodes",
        "gather_facts": False,
        "vars": {"__layer_node_peers": "{{ groups['nodes'] }}"},
        "roles": ["chainops.infra.node"],
    },
    {"name": "Balancers", "hosts": "balancers", "gather_facts": False, "roles": [{"role": "chainops.infra.balancer"}]},
]


def write_role(root: Path, name: str, options: dict[str, Any], rules: Any) -> None:
    role = root / "roles" / name
    for folder in ("meta", "defaults", "tasks"):
        (role / folder).mkdir(parents=True, exist_ok=True)
    described = {key: {"description": "For a test.", **option} for key, option in options.items()}
    specs = {"argument_specs": {"main": {"short_description": "A role", "options": described}}}
    (role / "meta" / "argument_specs.yml").write_text(yaml.safe_dump(specs))
    (role / "meta" / "preflight.yml").write_text(yaml.safe_dump(rules))
    defaults = {key: option["default"] for key, option in options.items() if "default" in option}
    (role / "defaults" / "main.yml").write_text(yaml.safe_dump(defaults))
    task = {"name": "Check what the role is given", "chainops.infra.preflight": {"roles": [name]}}
    (role / "tasks" / "main.yml").write_text(yaml.safe_dump([task]))


def write_collection(base: Path, layer: Any = None) -> Path:
    """The collection under base/ansible_collections; returns its directory."""
    root = base / "ansible_collections" / "chainops" / "infra"
    root.mkdir(parents=True)
    (root / "plugins").symlink_to(ROOT / "plugins")
    (root / "meta").symlink_to(ROOT / "meta")
    (root / "galaxy.yml").symlink_to(ROOT / "galaxy.yml")
    write_role(root, "node", NODE_OPTIONS, NODE_RULES)
    write_role(root, "balancer", BALANCER_OPTIONS, BALANCER_RULES)
    layers = root / "playbooks" / "layers"
    layers.mkdir(parents=True)
    (layers / "chain.yml").write_text(json.dumps(layer or LAYER))
    return root


def write_inventory(base: Path, hosts: dict[str, dict[str, Any]] | None = None, **variables: Any) -> Path:
    """Two nodes, two balancers; hosts adds variables to one host, variables to all."""
    hosts = hosts or {}
    base_variables = {"ansible_connection": "local", "ansible_python_interpreter": "/usr/bin/python3"}
    routers = {"lb-a": {"balancer_router_id": 1}, "lb-b": {"balancer_router_id": 2}}
    inventory = {
        "all": {
            "vars": {**base_variables, **variables},
            "children": {
                "nodes": {"children": {"serving": {"hosts": {n: hosts.get(n, {}) for n in ("eth-a", "eth-b")}}}},
                "balancers": {"hosts": {n: {**routers[n], **hosts.get(n, {})} for n in routers}},
            },
        }
    }
    path = base / "inventory.yml"
    path.write_text(yaml.safe_dump(inventory))
    return path
