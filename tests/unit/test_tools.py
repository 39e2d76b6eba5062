"""The commands behind make: a step that fails is told in full, and what they write is what they say."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))
import collection_copy  # noqa: E402 - tools/ is no package
import consumer  # noqa: E402 - the same
import doc_markup  # noqa: E402 - the same
import doc_roles  # noqa: E402 - the same
import lint  # noqa: E402 - the same
import sanity  # noqa: E402 - the same
import steps  # noqa: E402 - the same


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(steps, "RESULTS", tmp_path)
    return tmp_path


def test_good_steps_take_one_line_each(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert steps.run_all("suite", [steps.Step("good", ["true"]), steps.Step("function", lambda: "")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(" (")[0] for line in lines] == ["  good: passed", "  function: passed", lines[2]]
    assert lines[2].startswith("suite: 2 passed in ")
    assert ElementTree.parse(results / "suite.xml").getroot().attrib["failures"] == "0"


def test_every_step_runs_and_a_failure_is_shown(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad = ["sh", "-c", "echo Downloading; echo what is wrong >&2; exit 3"]
    listed = [
        steps.Step("bad", bad, noise="Downloading"),
        steps.Step("missing", ["no-such-command"]),
        steps.Step("function", lambda: "it is wrong"),
        steps.Step("good", ["true"]),
    ]
    assert steps.run_all("suite", listed, parallel=2) == 1
    output = capsys.readouterr().out
    assert "    what is wrong\n    exit status 3\n" in output
    assert "Downloading" not in output
    assert "no-such-command" in output
    assert "suite: failed: " in output
    cases = {case.attrib["name"]: case for case in ElementTree.parse(results / "suite.xml").iter("testcase")}
    assert {name for name, case in cases.items() if case.find("failure") is not None} == {"bad", "missing", "function"}
    assert "it is wrong" in (cases["function"].find("failure").text or "")


def test_a_long_step_says_that_it_runs(
    results: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(steps, "PATIENCE", 0.05)
    assert steps.run_all("suite", [steps.Step("slow", ["sleep", "0.2"])]) == 0
    assert "  slow: running for 0 s" in capsys.readouterr().out


def test_the_project_s_tools_come_first() -> None:
    environment = steps.environment(EXTRA="1")
    assert environment["PATH"].startswith(str(ROOT / ".venv" / "bin"))
    assert (environment["EXTRA"], environment["ANSIBLE_HOME"]) == ("1", str(ROOT / ".ansible"))


def test_a_copy_has_what_git_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    (source / "sub").mkdir(parents=True)
    for name, text in {".gitignore": "ignored\n", "ignored": "", "sub/kept": "1", "deleted": ""}.items():
        (source / name).write_text(text)
    subprocess.run(["git", "init", "--quiet"], cwd=source, check=True)
    subprocess.run(["git", "add", "."], cwd=source, check=True)
    (source / "deleted").unlink()
    (source / "new").write_text("untracked files are copied")
    monkeypatch.setattr(steps, "ROOT", source)
    (target / "old").mkdir(parents=True)
    (target / "old" / "stale").write_text("")
    collection_copy.copy_collection(target)
    copied = {str(path.relative_to(target)) for path in target.rglob("*") if ".git/" not in f"{path}/"}
    assert copied == {".gitignore", "new", "sub", "sub/kept"}
    (source / "sub" / "kept").write_text("2")
    collection_copy.copy_collection(target)
    assert (target / "sub" / "kept").read_text() == "2"


@pytest.mark.parametrize(
    ("first", "program"),
    [
        ("#!/usr/bin/env bash", "bash"),
        ("#!/bin/sh", "sh"),
        ("#!/usr/bin/python3", "python3"),
        ("text", ""),
        ("", ""),
    ],
)
def test_scripts_are_known_by_their_first_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: str, program: str
) -> None:
    monkeypatch.setattr(steps, "ROOT", tmp_path)
    (tmp_path / "script").write_text(first + "\n")
    assert lint.interpreter(Path("script")) == program


def test_every_linter_of_the_project_runs() -> None:
    names = [step.name for step in lint.lint_steps()]
    assert names[:6] == ["ansible-lint", "mypy", "yamllint", "docs", "ruff check", "ruff format"]


def test_sanity_gets_the_user_s_pip_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sanity, "HOME", tmp_path)
    monkeypatch.setenv("PIP_INDEX_URL", "https://index.example.org/simple")
    monkeypatch.setenv("PIP_CERT", "/etc/ssl/own.pem")
    assert sanity.prepare_home() == ""
    text = (tmp_path / ".config" / "pip" / "pip.conf").read_text()
    assert "index-url = https://index.example.org/simple\n" in text
    assert "cert = /etc/ssl/own.pem\n" in text
    assert (tmp_path / ".config" / "pip" / "pip.conf").stat().st_mode & 0o777 == 0o600
    script = next((tmp_path / ".ansible" / "test" / "cache").glob("get_pip_*.py"))
    compile(script.read_text(), str(script), "exec")


def test_single_sanity_tests_can_be_named() -> None:
    whole = [word for step in sanity.sanity_steps([]) for word in step.run]
    assert whole.count("--junit") == 3
    (one,) = sanity.sanity_steps(["--test", "shebang"])
    assert one.run[-2:] == ["--test", "shebang"]


def test_a_consumer_has_none_of_the_project_s_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANSIBLE_COLLECTIONS_PATH", "/work")
    monkeypatch.setenv("ANSIBLE_CONFIG", "/srv/ansible.cfg")
    monkeypatch.setenv("LAB_PREFIX", "other")
    environment = consumer.user_environment()
    assert [name for name in environment if name.startswith("ANSIBLE_")] == ["ANSIBLE_NOCOLOR"]
    assert (environment["HOME"], environment["LAB_PREFIX"]) == (str(consumer.HOME), "other")


def test_what_galaxy_importer_complains_of() -> None:
    log = "Loading role geth\nWARNING: role geth has no readme\nERROR: broken\nimport WARNING: not at the start\n"
    assert [match["text"] for match in consumer.COMPLAINT.finditer(log)] == ["role geth has no readme", "broken"]


@pytest.mark.parametrize(
    ("markup", "markdown"),
    [
        ("Set O(layers) or C(x=1), V(true).", "Set `layers` or `x=1`, `true`."),
        ("See L(the docs,https://example.org/a).", "See [the docs](https://example.org/a)."),
        ("See U(https://example.org).", "See <https://example.org>."),
        ("B(bold) I(thin) M(a.b.copy) RV(msg) E(HOME)", "**bold** *thin* `a.b.copy` `msg` `HOME`"),
        ("C(a\\)b) and text\n  over lines", "`a)b` and text over lines"),
        ("COMMENT(x) stays", "COMMENT(x) stays"),
    ],
)
def test_markup(markup: str, markdown: str) -> None:
    assert doc_markup.markdown(markup) == markdown


def test_a_role_s_page(tmp_path: Path) -> None:
    role = tmp_path / "roles" / "node"
    (role / "meta").mkdir(parents=True)
    spec = {
        "short_description": "A node",
        "description": ["Runs C(node)."],
        "options": {
            "node_port": {"type": "int", "default": 8545, "description": "TCP port of HTTP."},
            "node_version": {"type": "str", "default": "1.0", "description": "Version."},
            "node_releases": {"type": "dict", "default": {}, "description": "Releases."},
            "node_release_checksum": {"type": "str", "default": "", "description": "Its sum."},
            "node_key": {"type": "str", "required": True, "no_log": True, "description": ["Path."]},
            "node_policy": {
                "type": "dict",
                "default": {"age": 3},
                "description": "Limits.",
                "options": {"age": {"type": "int", "default": 3, "description": "Slots."}},
            },
        },
    }
    rules = {
        "ranges": {"node_policy.age": [1, None]},
        "ports": {"node_port": "tcp"},
        "release": "node_releases",
        "checks": [{"that": "node_port != 1", "message": "node_port = {{ node_port }}: not 1"}],
        "site": [{"agree": ["node_port"], "message": "alike"}],
    }
    (role / "meta" / "argument_specs.yml").write_text(yaml.safe_dump({"argument_specs": {"main": spec}}))
    (role / "meta" / "preflight.yml").write_text(yaml.safe_dump(rules))
    (role / "docs.md").write_text("More about it.\n")
    written = doc_roles.pages(tmp_path)
    assert "| [node](../../roles/node/README.md) | A node. |" in written[tmp_path / "docs" / "roles" / "README.md"]
    page = written[role / "README.md"]
    assert page.startswith("<!-- Generated")
    for part in (
        "# chainops.infra.node\n\nA node.\n\nRuns `node`.\n\nMore about it.\n\n## Options\n",
        "### node_port\n\nint; tcp port; default `8545`\n\nTCP port of HTTP.\n",
        "### node_key\n\nstr; **required**; never shown\n\nPath.\n",
        "### node_policy\n\ndict; `node_policy.age` at least 1; default `{age: 3}`\n\nLimits.\n\n",
        "Limits.\n\n- `age` (int; default `3`): Slots.\n",
        "### node_version\n\nstr; a version: letters, digits, '.', '_', '+' and '-'; default `1.0`\n",
        "## Refused before any host is touched\n\n- `node_version` names an entry of `node_releases`, of which `url` ",
        " `checksum` is a SHA-256 (or that is in `node_release_checksum`) and, where there is a `signature_url`, ",
        "\n- must hold: `node_port != 1`\n",
        "- equal on all hosts: `node_port`\n",
    ):
        assert part in page
