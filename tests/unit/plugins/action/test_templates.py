"""The action templates as a user runs it: ansible-playbook on this machine, real files, real output."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.chainops.infra.plugins.plugin_utils.templates.arguments import ARGUMENTS, mistakes, parse_mode
from ansible_collections.chainops.infra.plugins.plugin_utils.templates.render import words

ROOT = Path(__file__).resolve().parents[4]
CANARY = "CANARY-7f3a91"


class Project:
    """A directory with a role and a playbook, and no ansible.cfg."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.etc = path / "etc"
        for name in ("etc", "roles/web/templates", "roles/web/files", "roles/web/tasks", "templates", "home"):
            (path / name).mkdir(parents=True)

    def write(self, name: str, text: str) -> None:
        (self.path / name).write_text(text)

    def play(
        self, tasks: list[dict[str, Any]], *arguments: str, env: dict[str, str] | None = None, **variables: Any
    ) -> tuple[int, str, list[dict[str, Any]]]:
        """Run tasks in the role; exit status, output, and what each task registered."""
        results = []
        for number, task in enumerate(tasks):
            # a refusal is an answer that the test looks at
            results.append({**task, "register": f"result_{number}", "ignore_errors": True})
        # written by the controller, so that only the tasks under test could print anything
        dump = "{{ [" + ", ".join(f"result_{number}" for number in range(len(tasks))) + "] | to_json }}"
        results.append(
            {
                "ansible.builtin.copy": {"content": dump, "dest": str(self.path / "results")},
                "check_mode": False,
                "diff": False,
            }
        )
        self.write("roles/web/tasks/main.yml", yaml.safe_dump(results))
        play = {
            "hosts": "localhost",
            "connection": "local",
            "gather_facts": False,
            "vars": {"ansible_python_interpreter": sys.executable, "ansible_pipelining": True, **variables},
            "roles": ["web"],
        }
        self.write("play.yml", yaml.safe_dump([play], sort_keys=False))
        done = subprocess.run(
            [Path(sys.executable).parent / "ansible-playbook", "play.yml", *arguments],
            cwd=self.path,
            check=False,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={
                **os.environ,
                "HOME": str(self.path / "home"),
                "ANSIBLE_HOME": str(self.path / "home/.ansible"),
                "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".ansible/collections"),
                "ANSIBLE_NOCOLOR": "1",
                "ANSIBLE_LOCALHOST_WARNING": "false",
                "CHAINOPS_STATE": str(self.path / "state"),
                "TMPDIR": str(self.path / "home"),
                **(env or {}),
            },
        )
        file = self.path / "results"
        found = json.loads(file.read_text()) if file.exists() else []
        file.unlink(missing_ok=True)
        return done.returncode, done.stdout, found


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def templates(**arguments: Any) -> dict[str, Any]:
    return {"chainops.infra.templates": arguments}


TEMPLATE = """\
{{ ansible_managed }} {{ template_path | basename }} {{ template_destpath | basename }}
{% for item in items %}
- {{ item }}
{% endfor %}
  {% if true %}
indented
  {% endif %}
backslash \\n {{ 'a\\tb' }} {{ name | default('none') }}
{% include 'part.j2' %}
{{ lookup('ansible.builtin.template', 'part.j2') }}"""


def test_renders_as_the_template_action_does(project: Project) -> None:
    project.write("roles/web/templates/main.j2", TEMPLATE)
    project.write("roles/web/templates/header.j2", "#jinja2: lstrip_blocks: True, trim_blocks: False\n" + TEMPLATE)
    project.write("roles/web/templates/empty.j2", "")
    project.write("roles/web/templates/part.j2", "ünïcode {{ name }}")
    project.write("templates/beside.j2", "beside the playbook {{ name }}\n")
    names = ("main", "header", "empty", "beside")
    tasks: list[dict[str, Any]] = [
        {"ansible.builtin.template": {"src": f"{name}.j2", "dest": f"{project.etc}/{name}", "mode": "0644"}}
        for name in names
    ]
    tasks.append(templates(files=[{"src": f"{name}.j2", "dest": f"{project.path}/home/{name}"} for name in names]))
    variables = {"items": [1, "{{ name }}"], "name": "x", "ansible_managed": "managed by {{ name }}"}
    for given in (variables, {key: variables[key] for key in ("items", "name")}):
        status, output, results = project.play(tasks, **given)
        assert status == 0 and not any(result.get("failed") for result in results), output
        for name in names:
            ours, theirs = (project.path / "home" / name).read_bytes(), (project.etc / name).read_bytes()
            assert ours == theirs, name
    assert b"\xc3\xbcn\xc3\xafcode x" in ours or name != "main"


def test_sources_and_results(project: Project) -> None:
    project.write("roles/web/templates/each.j2", "{{ which }}\n")
    (project.path / "roles/web/files/raw").write_bytes(b"\0{{ raw }}\xff")
    (project.path / "roles/web/files/package/sub").mkdir(parents=True)
    project.write("roles/web/files/package/a.py", "a = '{{ not rendered }}'\n")
    project.write("roles/web/files/package/sub/b.py", "")
    project.write("roles/web/files/package/notes.txt", "")
    etc = project.etc
    task = templates(
        files=[
            {"src": "each.j2", "dest": f"{etc}/one", "vars": {"which": "one"}},
            {"src": "each.j2", "dest": f"{etc}/./two", "vars": {"which": "{{ base }} two"}},
            {"content": "text {{ base }}", "dest": f"{etc}/text"},
            {"content": {"b": [1], "a": "{{ base }}"}, "dest": f"{etc}/json"},
            {"content": "{{ number }}", "dest": f"{etc}/number"},
            {"copy": "raw", "dest": f"{etc}/raw", "mode": "0600"},
        ],
        directories=[{"path": f"{etc}/lib", "mode": "0750"}],
        trees=[{"src": "package", "dest": f"{etc}/lib/package", "mode": "0640"}],
        on_change=[["touch", f"{etc}/ran"]],
    )
    status, output, (planned, first, second) = project.play(
        [{**task, "check_mode": True}, task, task], base="B", number=5
    )
    assert status == 0, output
    assert planned["changed"] and planned["changed_files"] == first["changed_files"]
    assert first["changed"] and first["commands"] == [["touch", f"{etc}/ran"]] and not second["changed"]
    content = {path.name: path.read_bytes() for path in etc.iterdir() if path.is_file()}
    assert content == {
        "one": b"one\n",
        "two": b"B two\n",
        "text": b"text B",
        "json": b'{\n  "a": "B",\n  "b": [\n    1\n  ]\n}\n',
        "number": b"5",
        "raw": b"\0{{ raw }}\xff",
        "ran": b"",
    }
    package = {str(path.relative_to(etc)): f"{path.stat().st_mode & 0o777:o}" for path in (etc / "lib").rglob("*")}
    assert package == {
        "lib/package": "750",
        "lib/package/a.py": "640",
        "lib/package/sub": "750",
        "lib/package/sub/b.py": "640",
    }
    assert "invocation" not in first


def test_what_cannot_be_rendered_is_told_for_all_files_at_once(project: Project) -> None:
    project.write("roles/web/templates/undefined.j2", "fine\n{{ no_such_variable }}\n")
    project.write("roles/web/templates/syntax.j2", "{% if %}\n")
    project.write("roles/web/templates/filter.j2", f"{{{{ '{CANARY}' | ansible.builtin.from_json }}}}\n")
    etc = project.etc
    task = templates(
        files=[
            {"content": "good\n", "dest": f"{etc}/good"},
            {"src": "undefined.j2", "dest": f"{etc}/a"},
            {"src": "syntax.j2", "dest": f"{etc}/b"},
            {"src": "missing.j2", "dest": f"{etc}/c"},
            {"src": "filter.j2", "dest": f"{etc}/d", "secret": True},
        ],
        trees=[{"src": "missing", "dest": f"{etc}/e"}],
    )
    _status, _output, (result,) = project.play([task], "-vvv")
    message = result["msg"]
    assert f"files[1] ({etc}/a): template {project.path}/roles/web/templates/undefined.j2: " in message
    assert "'no_such_variable' is undefined" in message
    assert f"files[2] ({etc}/b): template {project.path}/roles/web/templates/syntax.j2: " in message
    assert f"files[3] ({etc}/c): " in message and "missing.j2" in message
    assert f"files[4] ({etc}/d): " in message and "hidden: the file is secret" in message
    assert f"trees[0] ({etc}/e): " in message
    assert CANARY not in _output and CANARY not in message
    assert list(etc.iterdir()) == []


def test_secrets_show_nowhere(project: Project, tmp_path: Path) -> None:
    """Planted secrets are looked for in all output at -vvvv, the log, and every file that is left."""
    project.write("roles/web/templates/s.j2", "password = {{ secret }}\n")
    project.write("vault.yml", f"secret: {CANARY}\nother: {CANARY}-2\n")
    etc = project.etc
    files = [
        {"src": "s.j2", "dest": f"{etc}/s", "secret": True},
        {"content": "{{ other }}", "dest": f"{etc}/t", "secret": True},
    ]
    shell = ["sh", "-c", f"cat {etc}/s {etc}/t >&2; exit 1"]
    tasks = [
        {**templates(files=files), "check_mode": True},
        templates(files=files, validate_bundle=[shell]),
        templates(files=files, on_change=[shell]),
        templates(
            files=[{**files[0], "validate": "sh -c 'cat $0; exit 1' %s", "mode": "0640"}, {**files[1], "content": "x"}]
        ),
        templates(files=[{**files[0], "owner": "nobody-such"}]),
        templates(files=[{**files[0], "mode": 640}]),
        templates(files=files),
        templates(files=["{{ secret }}"]),
        templates(files=[{"contents": "{{ secret }}", "dest": f"{etc}/s"}]),
        templates(absent=[f"{etc}/s"]),
    ]
    status, output, results = project.play(
        [{**task, "vars": {"marker": number}} for number, task in enumerate(tasks)],
        "-vvvv",
        "--diff",
        "-e",
        "@vault.yml",
        env={"ANSIBLE_LOG_PATH": str(project.path / "log"), "ANSIBLE_DISPLAY_ARGS_TO_STDOUT": "1"},
    )
    assert status == 0 and len(results) == len(tasks), output
    assert "changed (secret)" in output and "password = ********" in output
    assert CANARY not in output and CANARY not in json.dumps(results)
    allowed = {project.path / "vault.yml", etc / "t"}
    for path in project.path.rglob("*"):
        if path.is_file() and path not in allowed:
            assert CANARY.encode() not in path.read_bytes(), path


def test_control_a_file_that_is_not_secret_shows(project: Project) -> None:
    files = [{"content": CANARY, "dest": f"{project.etc}/s"}]
    _status, output, _results = project.play([templates(files=files)], "--diff")
    assert CANARY in output


@pytest.mark.parametrize("setting", [{"ansible_pipelining": False}, "keep"])
def test_a_secret_needs_pipelining(project: Project, setting: Any) -> None:
    variables = setting if isinstance(setting, dict) else {}
    env = {"ANSIBLE_KEEP_REMOTE_FILES": "1"} if setting == "keep" else {}
    tasks = [
        templates(files=[{"content": CANARY, "dest": f"{project.etc}/s", "secret": True}]),
        templates(files=[{"content": "x", "dest": f"{project.etc}/plain"}]),
    ]
    _status, _output, (secret, plain) = project.play(tasks, env=env, **variables)
    assert "ansible_pipelining: true" in secret["msg"] and not (project.etc / "s").exists()
    assert plain["changed"]


def test_check_mode_warns_of_what_is_missing(project: Project) -> None:
    files = [{"content": "x", "dest": f"{project.etc}/s", "owner": "nobody-such"}]
    status, output, (result,) = project.play([templates(files=files)], "--check")
    assert status == 0 and result["changed"]
    assert "[WARNING]: check mode: " in output and "there is no user of this name" in re.sub(r"\s+", " ", output)


def arguments(**given: Any) -> dict[str, Any]:
    """Arguments as the action has them after validation."""
    found: dict[str, Any] = {}
    for name, spec in ARGUMENTS.items():
        entries = given.get(name, [])
        if "options" in spec:
            entries = [
                {key: entry.get(key, sub.get("default")) for key, sub in spec["options"].items()} for entry in entries
            ]
        found[name] = entries
    return found


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"files": [{"content": "", "dest": "etc/x"}]}, "files[0].dest = etc/x: must be an absolute path"),
        (
            {"files": [{"content": "", "dest": "/etc/x/"}]},
            "files[0].dest = /etc/x/: must be the path of a file, not of a directory",
        ),
        ({"files": [{"content": "", "dest": "/.."}]}, "files[0].dest = /: must not be the root directory"),
        ({"files": [{"dest": "/x"}]}, "files[0] (/x): exactly one of src, content and copy must be given, not none"),
        (
            {"files": [{"src": "a", "content": "", "dest": "/x"}]},
            "files[0] (/x): exactly one of src, content and copy must be given, not src and content",
        ),
        (
            {"files": [{"content": "", "dest": "/x", "mode": 420}]},
            'files[0] (/x): mode = 420 (a number: put it in quotes, as "0644"): must be a string of octal digits, '
            'such as "0644"',
        ),
        (
            {"directories": [{"path": "/x", "mode": "u=rwx"}]},
            'directories[0] (/x): mode = u=rwx: must be a string of octal digits, such as "0644"',
        ),
        (
            {"files": [{"content": "", "dest": "/x", "validate": "visudo -cf"}]},
            "files[0] (/x).validate = visudo -cf: must contain %s, which stands for the file to look at",
        ),
        (
            {"files": [{"content": "", "dest": "/x", "validate": "a '%s"}]},
            "files[0] (/x).validate = a '%s: No closing quotation",
        ),
        (
            {"files": [{"content": "", "dest": "/x"}, {"content": "", "dest": "//x"}]},
            "files[1].dest = /x: files[0] is the same path",
        ),
        (
            {"files": [{"content": "", "dest": "/x"}], "directories": [{"path": "/x/"}]},
            "directories[0].path = /x: files[0] is the same path",
        ),
        ({"files": [{"content": "", "dest": "/x/y"}], "absent": ["/x"]}, "absent[0] = /x: files[0] puts /x/y there"),
        ({"absent": ["/"]}, "absent[0] = /: must not be the root directory"),
        ({"on_change": [[]]}, "on_change[0] = []: must be a list of words, such as [systemctl, daemon-reload]"),
        (
            {"validate_bundle": [[["x"]]]},
            "validate_bundle[0] = [['x']]: must be a list of words, such as [systemctl, daemon-reload]",
        ),
    ],
)
def test_mistakes(given: dict[str, Any], message: str) -> None:
    assert list(mistakes(arguments(**given))) == [message]


def test_good_arguments_have_no_mistakes() -> None:
    given = arguments(
        files=[{"content": "", "dest": "/etc//x/./y", "mode": "644", "validate": "test -s '%s'"}],
        directories=[{"path": "/etc/x", "mode": "2755"}, {"path": "/opt/tree"}],
        trees=[{"src": "t", "dest": "/opt/tree"}],
        absent=["/etc/x/z"],
        on_change=[["sleep", 1]],
    )
    assert list(mistakes(given)) == []
    assert given["files"][0]["dest"] == "/etc/x/y" and given["on_change"] == [["sleep", "1"]]
    assert parse_mode("2755", 0) == 0o2755


def test_words_of_a_configuration() -> None:
    assert words('user "ops" password=hunter22;token: [abcd1234]') == {
        "user",
        "password",
        "hunter22",
        "token",
        "abcd1234",
    }
