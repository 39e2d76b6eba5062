"""The action templates on a lab host, over ssh and sudo: users made by the first task, kills, and secrets."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.lab.on_host import OnHost
from tests.lab.site import Run, Site

SITE = Site()
HOST = SITE.hosts("ethereum_reference")[-1]
ON = OnHost(HOST)
ETC = "/etc/chainops-lab-templates"
CANARY = "CANARY-51e0c8"
USER = "chainops-lab-t"


@pytest.fixture(autouse=True)
def clean() -> Iterator[None]:
    yield
    ON.sh(
        f"rm -rf {ETC} /etc/sysusers.d/{USER}.conf /etc/tmpfiles.d/{USER}.conf /var/lib/{USER};"
        f"userdel {USER} 2>/dev/null; groupdel {USER} 2>/dev/null; true"
    )


def play(path: Path, tasks: list[dict[str, Any]], *arguments: str, **variables: Any) -> Run:
    """Run templates tasks, each the arguments of one."""
    named = [{"name": f"task {number}", "chainops.infra.templates": task} for number, task in enumerate(tasks)]
    playbook = {"hosts": HOST, "become": True, "gather_facts": False, "vars": variables, "tasks": named}
    (path / "play.yml").write_text(yaml.safe_dump([playbook], sort_keys=False))
    return SITE.play(str(path / "play.yml"), *arguments, env={"ANSIBLE_LOG_PATH": str(path / "log")})


def test_a_user_from_the_first_task_owns_the_files_of_the_second(tmp_path: Path) -> None:
    tasks = [
        {
            # a minimal Debian has neither of them
            "directories": [{"path": "/etc/sysusers.d"}, {"path": "/etc/tmpfiles.d"}],
            "files": [
                {"content": f'u {USER} - "Lab"\n', "dest": f"/etc/sysusers.d/{USER}.conf"},
                {"content": f"d /var/lib/{USER} 0750 {USER} {USER}\n", "dest": f"/etc/tmpfiles.d/{USER}.conf"},
            ],
            "on_change": [["systemd-sysusers"], ["systemd-tmpfiles", "--create", f"/etc/tmpfiles.d/{USER}.conf"]],
        },
        {
            "files": [
                {
                    "content": "x\n",
                    "dest": f"/var/lib/{USER}/x",
                    "owner": USER,
                    "group": USER,
                    "validate": f"runuser -u {USER} -- test -s %s",
                }
            ],
            "validate_bundle": [["runuser", "-u", USER, "--", "cat", f"/var/lib/{USER}/x"]],
        },
    ]
    before = play(tmp_path, tasks, "--check", "--diff").check()
    words = re.sub(r"\s+", " ", before.output)
    assert before.recap[HOST]["changed"] == 2
    assert f"owner = {USER}: there is no user of this name" in words and "its directory" in words
    assert f"+d /var/lib/{USER} 0750" in before.output and ON.sh(f"ls {ETC} 2>/dev/null || true") == ""

    first = play(tmp_path, tasks).check()
    assert first.recap[HOST]["changed"] == 2
    assert ON.sh(f"stat -c '%U %G %a' /var/lib/{USER} /var/lib/{USER}/x") == f"{USER} {USER} 750\n{USER} {USER} 644\n"
    for arguments in ((), ("--check", "--diff")):
        again = play(tmp_path, tasks, *arguments).check()
        assert not again.changed and "WARNING" not in again.output, again.output


def test_killed_on_the_host_the_next_run_finishes(tmp_path: Path) -> None:
    """Whatever ends the module (a power cut, the kernel), the command that was due is run by the next run."""
    directories = [{"path": ETC}]
    files = [{"content": "new\n", "dest": f"{ETC}/{name}"} for name in "abc"]
    killed = play(
        tmp_path, [{"directories": directories, "files": files, "on_change": [["sh", "-c", "kill -9 $PPID; sleep 1"]]}]
    )
    assert killed.returncode != 0 and ON.sh(f"cat {ETC}/a {ETC}/b {ETC}/c") == "new\n" * 3
    mended = [{"directories": directories, "files": files, "on_change": [["touch", f"{ETC}/ran"]]}]
    foretold = play(tmp_path, mended, "--check", "--diff").check()
    assert foretold.changed and "an interrupted run is finished" in foretold.output
    assert play(tmp_path, mended).check().changed
    ON.sh(f"test -e {ETC}/ran")
    assert not play(tmp_path, mended).check().changed


def test_secrets_show_nowhere_on_either_side(tmp_path: Path) -> None:
    secret = {"dest": f"{ETC}/s", "secret": True}
    good = {"directories": [{"path": ETC}], "files": [{**secret, "content": "password = {{ secret }}\n"}]}
    refused = {**good, "files": [{**good["files"][0], "mode": "0640", "validate": "sh -c 'cat $0; exit 1' %s"}]}
    whole = {
        **good,
        "files": [{**secret, "content": "{{ secret }}!\n"}],
        "validate_bundle": [["sh", "-c", f"cat {ETC}/s; false"]],
    }
    (tmp_path / "secrets.yml").write_text(f"secret: {CANARY}\n")
    since = ON.sh("date +%s").strip()
    outputs = [
        play(tmp_path, [task], "-vvvv", "--diff", *more, "-e", f"@{tmp_path}/secrets.yml").output
        for task, more in ((good, ["--check"]), (good, []), (whole, []), (refused, ["--check"]), (refused, []))
    ]
    assert "changed (secret)" in outputs[1] and "********" in outputs[2]
    assert CANARY not in "".join(outputs) and CANARY not in (tmp_path / "log").read_text()
    assert ON.sh(f"cat {ETC}/s") == f"password = {CANARY}\n"
    assert CANARY not in ON.sh(f"journalctl --no-pager -o verbose --since=@{since}", timeout=120)
    places = "/tmp /var/tmp /run /home /root /var/lib/chainops /var/log /etc"
    found = ON.sh(f"grep -rlsI --exclude-dir=user {CANARY} {places} || true", timeout=120).split()
    assert found == [f"{ETC}/s"]
