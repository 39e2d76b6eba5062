"""One value against one option, rule or name: what is refused, and in which words."""

from __future__ import annotations

import pytest
from ansible_collections.chainops.infra.plugins.plugin_utils.preflight import names, rules
from ansible_collections.chainops.infra.plugins.plugin_utils.preflight.mistake import Mistake, show
from ansible_collections.chainops.infra.plugins.plugin_utils.preflight.report import report
from ansible_collections.chainops.infra.plugins.plugin_utils.preflight.spec import check_value

PEER = {"type": "dict", "options": {"host": {"type": "str", "required": True}, "port": {"type": "int", "default": 1}}}


def said(path: str, spec: dict, value: object) -> list[str]:
    return [f"{problem.path} {problem.text}" for problem in check_value(path, spec, value)[1]]


@pytest.mark.parametrize(
    ("spec", "value", "converted"),
    [
        ({"type": "int"}, "8545", 8545),
        ({"type": "int"}, 1.0, 1),
        ({"type": "str"}, 12, "12"),
        ({"type": "bytes"}, "4G", 4 * 2**30),
        ({"type": "float"}, "0.5", 0.5),
        ({"type": "list", "elements": "int"}, ["1", 2], [1, 2]),
        ({"type": "bool"}, False, False),
        ({"type": "str", "default": None}, None, None),
        ({"type": "raw"}, {"a": [1]}, {"a": [1]}),
        (PEER, {"host": "a"}, {"host": "a", "port": 1}),
        ({"type": "dict"}, {"anything": 1}, {"anything": 1}),
        ({"type": "str", "choices": ["a"]}, "a", "a"),
        ({"type": "path"}, "/var/lib", "/var/lib"),
    ],
)
def test_good_values_come_back_as_their_type(spec: dict, value: object, converted: object) -> None:
    assert check_value("x", spec, value) == (converted, [])


@pytest.mark.parametrize(
    ("spec", "value", "text"),
    [
        ({"type": "int"}, "many", 'x = "many": must be an integer'),
        ({"type": "int"}, 1.5, "x = 1.5: must be an integer"),
        ({"type": "int"}, True, "x = true: must be an integer"),
        ({"type": "int", "default": 1}, None, "x = null: must be an integer"),
        ({"type": "str", "required": True}, None, "x = null: must be a string"),
        ({"type": "str"}, ["a"], 'x = ["a"]: must be a string'),
        (
            {"type": "bool"},
            "no",
            'x = "no": must be true or false without quotes (on the command line: -e \'{"name": true}\', '
            "since -e name=true is a string)",
        ),
        ({"type": "bool"}, 1, "x = 1: must be true or false"),
        ({"type": "list", "elements": "str"}, "eth,net", 'x = "eth,net": must be a list of str'),
        ({"type": "list", "elements": "int"}, [1, "b"], 'x[1] = "b": must be an integer'),
        ({"type": "list", "elements": "str"}, ["a", None], "x[1] = null: must be a string"),
        (
            {"type": "list", "elements": "str", "choices": ["eth", "net"]},
            ["eth", "admin"],
            'x[1] = "admin": must be one of eth, net',
        ),
        ({"type": "dict"}, "a=b", 'x = "a=b": must be a dictionary'),
        ({"type": "bytes"}, "much", 'x = "much": must be a size such as 512M or 4G'),
        (
            {"type": "str", "choices": ["mainnet", "hoodi"]},
            "mainet",
            'x = "mainet": must be one of mainnet, hoodi; did you mean mainnet?',
        ),
        ({"type": "int", "choices": [1, 2]}, 3, "x = 3: must be one of 1, 2"),
        ({"type": "str", "choices": ["a"], "no_log": True}, "s3cret", "x = (hidden): must be one of a"),
        (PEER, {"port": 1}, "x.host is missing: must be a string"),
        (PEER, {"host": "a", "prot": 1}, "x.prot is unknown: x takes host, port; did you mean port?"),
        (
            {"type": "list", "elements": "dict", "options": PEER["options"]},
            [{"host": []}],
            "x[0].host = []: must be a string",
        ),
        (
            {"type": "dict", "options": {"a": {}, "b": {}}, "mutually_exclusive": [["a", "b"]]},
            {"a": "1", "b": "2"},
            'x = {"a": "1", "b": "2"}: parameters are mutually exclusive: a|b',
        ),
        (
            {"type": "dict", "options": {"a": {}, "b": {}}, "required_together": [["a", "b"]]},
            {"a": "1"},
            'x = {"a": "1"}: parameters are required together: a, b',
        ),
    ],
)
def test_a_wrong_value_names_itself_and_what_is_allowed(spec: dict, value: object, text: str) -> None:
    assert said("x", spec, value) == [text]


def test_a_dictionary_with_a_secret_in_it_is_not_shown() -> None:
    options = {"user": {"type": "str"}, "password": {"type": "str", "no_log": True}, "port": {"type": "int"}}
    spec = {"type": "dict", "options": options, "required_together": [["user", "password"]]}
    assert said("x", spec, {"password": "s3cret"}) == ["x = (hidden): parameters are required together: user, password"]
    assert said("x", spec, ["s3cret"]) == ["x = (hidden): must be a dictionary"]
    assert said("x", spec, {"user": "a", "password": ["s3cret"], "port": "b"}) == [
        "x.password = (hidden): must be a string",
        'x.port = "b": must be an integer',
    ]


def test_a_long_value_is_cut() -> None:
    assert len(show("a" * 5000)) < 120


@pytest.mark.parametrize(
    ("name", "bounds", "value", "texts"),
    [
        ("p", [1, 65535], 65535, []),
        ("p", [1, 65535], 0, ["p = 0: must be from 1 to 65535"]),
        ("p", [1, 65535], "70000", ['p = "70000": must be from 1 to 65535']),
        ("p", [None, 5], 6, ["p = 6: must be at most 5"]),
        ("p", [5, None], [6, 4], ["p[1] = 4: must be at least 5"]),
        ("p.a", [0, 1], {"a": 2}, ["p.a = 2: must be from 0 to 1"]),
        ("p.a", [0, 1], {"b": 2}, []),
        ("p.*.n", [0, 1], {"x": {"n": 2}, "y": {"n": 1}}, ["p.x.n = 2: must be from 0 to 1"]),
        ("p.n", [0, 1], [{"n": 2}], ["p[0].n = 2: must be from 0 to 1"]),
        ("p", [0, 1], "no number", []),
    ],
)
def test_ranges(name: str, bounds: list, value: object, texts: list[str]) -> None:
    assert [f"{problem.path} {problem.text}" for problem in rules.check_range(name, bounds, value)] == texts


def test_patterns_match_the_whole_value() -> None:
    pattern = {"regex": "0x[0-9a-f]{4}", "means": "0x and 4 hexadecimal digits"}
    assert rules.check_pattern("p", pattern, "0xabcd") == []
    problem = rules.check_pattern("p", pattern, "0xabcde")[0]
    assert f"{problem.path} {problem.text}" == 'p = "0xabcde": must be 0x and 4 hexadecimal digits'
    assert rules.check_pattern("p", pattern, "zz", hidden=True)[0].text.startswith("= (hidden)")


@pytest.mark.parametrize(
    ("data", "error"),
    [
        ({"rangs": {}}, "has the unknown key rangs: known are ranges, patterns, ports, release, known, checks, site"),
        ({"ranges": {"a": 5}}, "ranges: a must be [lowest, highest], got 5"),
        (
            {"ports": {"a": "sctp"}},
            'ports: a must be one of tcp, udp, tcp+udp or {protocol, when}, got {"protocol": "sctp"}',
        ),
        ({"checks": [{"that": "a"}]}, 'checks[0] must be {that, message, when}, got {"that": "a"}'),
        ({"site": [{"agree": ["a"], "unique": ["b"], "message": "m"}]}, "site[0] must be"),
        ({"patterns": {"a": {"regex": "("}}}, "patterns: a must be {regex, means}"),
        ({"release": "geth_version"}, 'release must name a variable that ends in _releases, got "geth_version"'),
        ({"release": {"geth_releases": "geth_version"}}, "release must name a variable that ends in _releases"),
        ("text", "is neither a dictionary nor a list of checks"),
    ],
)
def test_rules_that_cannot_be_read_are_errors(data: object, error: str) -> None:
    assert error in rules.parse(data).errors[0]


def test_a_list_of_rules_is_checks() -> None:
    parsed = rules.parse([{"that": "a", "message": "m"}])
    assert (len(parsed.checks), parsed.errors) == (1, [])


OPTIONS = {
    "haproxy": {"haproxy_port", "haproxy_bind"},
    "haproxy_exporter": {"haproxy_exporter_port"},
    "geth": {"geth_http_port"},
}


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("haproxy_port", None),
        ("haproxy_exporter_port", None),
        ("haproxy_prot", ("haproxy", "haproxy_port")),
        ("haproxy_exporter_prt", ("haproxy_exporter", "haproxy_exporter_port")),
        ("haproxy_exporter_bind", ("haproxy_exporter", "haproxy_exporter_port")),
        ("gteh_http_port", ("", "geth_http_port")),
        ("reth_http_port", None),
        ("geth_zzz", ("geth", "")),
        ("site_regoin", ("", "site_region")),
        ("site_region", None),
        ("site_contact", None),
        ("_geth_private", None),
        ("my_own", None),
    ],
)
def test_unknown_names(name: str, found: tuple[str, str] | None) -> None:
    assert names.unknown([name], OPTIONS).get(name) == found


def test_the_report_says_a_shared_mistake_once() -> None:
    mistakes = [Mistake(host, "geth", "geth_x", "= 1: must be 2", (f"hosts.yml:{n}",)) for n, host in enumerate("ab")]
    mistakes.append(Mistake("b", "", "geth_y", "is not a variable of any role"))
    mistakes.append(Mistake("", "geth", "", "no two sites are one"))
    assert report(mistakes, "chainops.infra") == (
        "3 mistakes found; nothing was changed on any host.\n"
        "\n"
        "a, b:\n"
        "  - geth_x = 1: must be 2\n"
        "    set in hosts.yml:0, hosts.yml:1\n"
        "\n"
        "b:\n"
        "  - geth_y is not a variable of any role\n"
        "\n"
        "the site as a whole:\n"
        "  - no two sites are one\n"
        "\n"
        "Every option is described in\n"
        "  roles/geth/README.md (ansible-doc -t role chainops.infra.geth)"
    )
