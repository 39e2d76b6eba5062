"""The rule about the release that a role installs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.chainops.infra.plugins.plugin_utils.preflight.releases import check_release

from tests.support.preflight import CheckedInventory, message
from tests.unit.plugins.action.preflight_collection import (
    NODE_OPTIONS,
    NODE_RULES,
    write_collection,
    write_inventory,
    write_role,
)

SUM = f"sha256:{'0' * 64}"
KEY = "FDE5A1A044FA13D2F7ADA019A61A13569BA28146"
ENTRY = {
    "url": "https://example.org/geth.tar.gz",
    "checksum": SUM,
    "signature_url": "https://example.org/geth.tar.gz.asc",
    "fingerprint": KEY,
    "binaries": ["geth"],
}
OPTIONS = {"geth_version", "geth_releases", "geth_release_checksum", "geth_release_base_url"}


def said(entry: Any, without: set[str] = frozenset(), hidden: set[str] = frozenset(), **values: Any) -> list[str]:
    """What is said of an entry. without names options that are wrong by themselves, or wait for facts."""
    good = {"geth_version": "1.17.6", "geth_releases": {"1.17.6": entry}, "geth_release_checksum": ""}
    good |= {"geth_release_base_url": ""} | values
    known = {name: value for name, value in good.items() if name not in without}
    return [
        f"{problem.path} {problem.text}" for problem, _about in check_release("geth_releases", OPTIONS, known, hidden)
    ]


@pytest.mark.parametrize(
    ("change", "values"),
    [
        ({}, {}),
        ({"fingerprint": "fde5 a1a0 44fa 13d2 f7ad  a019 a61a 1356 9ba2 8146"}, {}),
        ({"fingerprint": f"0x{KEY.lower()}"}, {}),
        ({"fingerprint": "AB" * 32}, {}),
        ({"signature_url": "", "fingerprint": ""}, {}),
        ({"signature_url": None, "fingerprint": None}, {}),
        ({"checksum": ""}, {"geth_release_checksum": SUM}),
        ({"url": "geth.tar.gz"}, {"geth_release_base_url": "https://mirror"}),
    ],
)
def test_a_whole_entry_is_good(change: dict[str, Any], values: dict[str, Any]) -> None:
    assert said({**ENTRY, **change}, **values) == []


@pytest.mark.parametrize("fingerprint", ["9BA28146", KEY[:-1], f"{KEY}0", "", None, 1234, "x" * 40])
def test_a_signature_by_nobody_is_refused(fingerprint: Any) -> None:
    (text,) = said({**ENTRY, "fingerprint": fingerprint})
    shown = {None: "null", 1234: "1234"}.get(fingerprint, f'"{fingerprint}"')
    assert text == (
        f"geth_releases['1.17.6'].fingerprint = {shown} is no whole fingerprint of 40 hexadecimal digits, which its "
        "signature_url needs: give that of the signing key or subkey"
    )


def test_a_fingerprint_that_is_missing_is_named() -> None:
    (text,) = said({key: value for key, value in ENTRY.items() if key != "fingerprint"})
    assert text.startswith("geth_releases['1.17.6'].fingerprint = \"\" is no whole fingerprint")


@pytest.mark.parametrize("checksum", ["", None, SUM[:-1], SUM.upper(), "md5:abc", f"{SUM}\n"])
def test_a_checksum_that_is_none_says_how_to_get_one(checksum: Any) -> None:
    (text,) = said({**ENTRY, "checksum": checksum})
    assert text.startswith("geth_releases['1.17.6'].checksum = ")
    assert text.endswith(
        " is no SHA-256 (sha256: and 64 lower-case hexadecimal digits): download https://example.org/geth.tar.gz and "
        f"https://example.org/geth.tar.gz.asc, verify the file with gpg against the key {KEY}, then set "
        "geth_release_checksum to sha256:<what sha256sum prints>"
    )


def test_without_an_option_for_the_checksum_it_belongs_into_the_entry() -> None:
    entry = {"url": "https://example.org/x", "checksum": ""}
    values = {"x_version": "1", "x_releases": {"1": entry}}
    (found,) = check_release("x_releases", set(values), values)
    assert found[0].path == "x_releases['1'].checksum"
    assert found[0].text.endswith(
        ": download https://example.org/x, then set x_releases['1'].checksum to sha256:<what sha256sum prints>"
    )


@pytest.mark.parametrize("url", ["geth.tar.gz", "http://example.org/geth.tar.gz", "", None])
def test_a_url_that_leads_nowhere_is_refused(url: Any) -> None:
    (text,) = said({**ENTRY, "url": url})
    assert text.startswith("geth_releases['1.17.6'].url = ")
    assert text.endswith(" is no https:// URL, and geth_release_base_url, which a relative one is joined to, is empty")


def test_every_flaw_of_an_entry_is_named() -> None:
    assert [text.split(" ")[0] for text in said({"signature_url": "x"})] == [
        "geth_releases['1.17.6'].checksum",
        "geth_releases['1.17.6'].fingerprint",
        "geth_releases['1.17.6'].url",
    ]


def test_a_version_that_nobody_described() -> None:
    assert said(ENTRY, geth_version="9.9.9") == [
        "geth_version = 9.9.9 is not in geth_releases, which has 1.17.6: "
        "add an entry with url, checksum, signature_url, fingerprint and binaries"
    ]
    (text,) = said(ENTRY, geth_releases={})
    assert "is not in geth_releases, which has nothing: add" in text


@pytest.mark.parametrize("entry", [None, "https://example.org/geth.tar.gz", []])
def test_an_entry_that_is_no_dictionary(entry: Any) -> None:
    (text,) = said(entry)
    assert text.startswith("geth_releases['1.17.6'] = ") and "must be a dictionary with url, checksum" in text


@pytest.mark.parametrize("name", sorted(OPTIONS))
def test_what_is_wrong_by_itself_is_not_blamed_again(name: str) -> None:
    """preflight has said so already; a checksum or a mirror that are set and wrong would do if they were right."""
    entry = {**ENTRY, "checksum": ""} if name.endswith("checksum") else ENTRY
    entry = {**ENTRY, "url": "geth.tar.gz"} if name.endswith("base_url") else entry
    assert said(entry, without={name}) == []


def test_secrets_of_the_inventory_are_not_shown() -> None:
    entry = {"url": "s3cret", "checksum": "s3cret", "signature_url": "s3cret", "fingerprint": "s3cret"}
    texts = said(entry, hidden={"geth_releases"})
    assert len(texts) == 3
    assert all(" = (hidden) is no " in text and "s3cret" not in text for text in texts)
    (text,) = said(ENTRY, hidden={"geth_version"}, geth_version="s3cret")
    assert text.startswith("geth_version = (hidden) is not in geth_releases")


WITH_RELEASE = {
    **NODE_OPTIONS,
    "node_version": {"type": "str", "default": "1.0"},
    "node_releases": {"type": "dict", "default": {"1.0": ENTRY}},
    "node_release_base_url": {"type": "str", "default": ""},
}


def site(tmp_path: Path, options: dict[str, Any] = WITH_RELEASE, **variables: Any) -> CheckedInventory:
    root = write_collection(tmp_path)
    write_role(root, "node", options, {**NODE_RULES, "release": "node_releases"})
    return CheckedInventory(write_inventory(tmp_path, node_cache_mb=512, **variables), root)


def test_a_role_states_the_rule_in_one_word(tmp_path: Path) -> None:
    assert site(tmp_path).check("chain").mistakes == []


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"node_version": "2.0"}, "node_version = 2.0 is not in node_releases, which has 1.0"),
        ({"node_version": "1 0"}, "node_version = \"1 0\": must be a version: letters, digits, '.', '_', '+' and '-'"),
        (
            {"node_release_base_url": "http://x"},
            'node_release_base_url = "http://x": must be empty, or the URL of a mir',
        ),
        (
            {"node_releases": {"1.0": {**ENTRY, "fingerprint": "1"}}},
            "node_releases['1.0'].fingerprint = \"1\" is no whole",
        ),
    ],
)
def test_what_breaks_it_is_named_with_its_place(tmp_path: Path, values: dict[str, Any], words: str) -> None:
    text = message(site(tmp_path, **values).check("chain").mistakes)
    assert words in text
    assert "set in " in text and "inventory.yml:" in text


def test_a_rule_about_options_that_the_role_has_not(tmp_path: Path) -> None:
    text = message(site(tmp_path, NODE_OPTIONS).check("chain").mistakes)
    for name in ("node_releases", "node_version"):
        assert f"{name} stands in roles/node/meta/preflight.yml but is no option of the role" in text


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"node_version": "{{ ansible_facts.memtotal_mb }}"}, "node_version = 32768 is not in node_releases"),
        (
            {"node_releases": {"1.0": {**ENTRY, "url": "x-{{ ansible_facts.memtotal_mb }}"}}},
            "node_releases['1.0'].url = \"x-32768\" is no https:// URL, and node_release_base_url",
        ),
        (
            {
                "node_releases": {"1.0": {**ENTRY, "url": "x"}},
                "node_release_base_url": "{{ '' if ansible_facts.memtotal_mb else 'https://mirror' }}",
            },
            "node_releases['1.0'].url = \"x\" is no https:// URL",
        ),
    ],
)
def test_what_needs_facts_is_looked_at_once_there_are_some(tmp_path: Path, values: dict[str, Any], words: str) -> None:
    checked = site(tmp_path, **values)
    first = checked.check("chain", before_facts=True)
    assert first.mistakes == []
    for host in checked.inventory.hosts:
        checked.manager.set_host_facts(host, {"memtotal_mb": 32768})
    assert words in message(checked.check("chain", only=first.waiting).mistakes)
