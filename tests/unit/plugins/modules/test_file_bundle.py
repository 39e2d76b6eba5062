"""The half of templates that runs on the host: real files, real commands, real kills."""

from __future__ import annotations

import contextlib
import io
import json
import os
import random
import resource
import shutil
import signal
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args
from ansible_collections.chainops.infra.plugins.module_utils.bundle.model import Bundle, Directory, File, Purge
from ansible_collections.chainops.infra.plugins.module_utils.bundle.stage import STAGE_PREFIX
from ansible_collections.chainops.infra.plugins.modules import file_bundle

# What a process of its own runs, so that it can be killed.
PROCESS = """
import json, sys
from ansible.module_utils.testing import patch_module_args
from ansible_collections.chainops.infra.plugins.modules import file_bundle
with patch_module_args(json.load(sys.stdin)):
    file_bundle.main()
"""


@pytest.fixture(autouse=True)
def state(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    directory = tmp_path_factory.mktemp("state")
    monkeypatch.setenv("CHAINOPS_STATE", str(directory))
    return directory / "templates"


@pytest.fixture
def etc(tmp_path: Path) -> Path:
    folder = tmp_path / "etc"
    folder.mkdir()
    return folder


def run(bundle: Bundle, check: bool = False, diff: bool = False) -> dict[str, Any]:
    arguments = {"payload": bundle.encode(), "_ansible_check_mode": check, "_ansible_diff": diff}
    output = io.StringIO()
    with patch_module_args(arguments), contextlib.redirect_stdout(output), pytest.raises(SystemExit):
        file_bundle.main()
    return json.loads(output.getvalue())


def process(bundle: Bundle, **options: Any) -> subprocess.Popen[str]:
    started = subprocess.Popen(
        [sys.executable, "-c", PROCESS],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        **options,
    )
    assert started.stdin
    started.stdin.write(json.dumps({"payload": bundle.encode()}))
    started.stdin.close()
    started.stdin = None
    return started


def file(path: Path, content: str = "new\n", mode: int = 0o644, **options: Any) -> File:
    return File(str(path), mode, content=content.encode(), **options)


def snapshot(top: Path) -> dict[str, Any]:
    """Everything below a directory that a change could show in."""
    found = {}
    for path in sorted(top.rglob("*")):
        status = path.lstat()
        content = path.read_bytes() if stat.S_ISREG(status.st_mode) else b""
        found[str(path)] = (status.st_mode, status.st_uid, status.st_gid, status.st_ino, status.st_mtime_ns, content)
    return found


def stages(top: Path) -> list[Path]:
    return [path for path in top.rglob("*") if path.name.startswith(STAGE_PREFIX)]


def entries(state: Path) -> list[Path]:
    return list(state.glob("*.json"))


def test_brings_every_kind_of_change_and_nothing_the_second_time(etc: Path) -> None:
    (etc / "old").write_text("old\n")
    (etc / "wide").write_text("new\n")
    (etc / "wide").chmod(0o666)
    (etc / "gone").write_text("x")
    (etc / "gone.d/sub").mkdir(parents=True)
    (etc / "package").mkdir()
    (etc / "package/stray.py").write_text("x")
    (etc / "package/notes.txt").write_text("x")
    bundle = Bundle(
        files=(
            file(etc / "old"),
            file(etc / "wide"),
            file(etc / "made.d/deep/new", mode=0o640),
            file(etc / "package/a.py"),
        ),
        directories=(Directory(str(etc / "made.d"), 0o750), Directory(str(etc / "made.d/deep"), 0o755)),
        absent=(str(etc / "gone"), str(etc / "gone.d"), str(etc / "never")),
        purge=(Purge(str(etc / "package"), ("*.py",)),),
        on_change=(("sh", "-c", f"echo ran >> {etc.parent}/ran"),),
    )
    planned = run(bundle, check=True)
    result = run(bundle)
    assert result["changed"], result
    assert result["changed_files"] == [
        str(etc / name)
        for name in ("gone", "gone.d", "made.d/deep/new", "old", "package/a.py", "package/stray.py", "wide")
    ]
    assert result["changed_directories"] == [str(etc / "made.d"), str(etc / "made.d/deep")]
    assert {key: planned[key] for key in ("changed_files", "changed_directories", "commands")} == {
        key: result[key] for key in ("changed_files", "changed_directories", "commands")
    }
    assert (etc / "old").read_text() == (etc / "made.d/deep/new").read_text() == "new\n"
    assert stat.S_IMODE((etc / "wide").stat().st_mode) == 0o644
    assert stat.S_IMODE((etc / "made.d").stat().st_mode) == 0o750
    assert stat.S_IMODE((etc / "made.d/deep/new").stat().st_mode) == 0o640
    assert sorted(path.name for path in etc.iterdir()) == ["made.d", "old", "package", "wide"]
    assert sorted(path.name for path in (etc / "package").iterdir()) == ["a.py", "notes.txt"]

    before = snapshot(etc)
    again = run(bundle)
    assert not again["changed"] and again["commands"] == [] and snapshot(etc) == before
    assert (etc.parent / "ran").read_text() == "ran\n"


def test_check_mode_writes_nothing(etc: Path, state: Path) -> None:
    (etc / "old").write_text("old\n")
    before = snapshot(etc.parent)
    result = run(
        Bundle(
            files=(file(etc / "old", validate="grep -q new %s"), file(etc / "new.d/new")),
            directories=(Directory(str(etc / "new.d"), 0o755),),
            on_change=(("touch", str(etc / "ran")),),
        ),
        check=True,
        diff=True,
    )
    assert result["changed"] and result["missing"] == []
    assert snapshot(etc.parent) == before and not state.exists()
    assert result["diff"][1]["before"] == "old\n" and result["diff"][1]["after"] == "new\n"


def test_modes_are_exact_whatever_the_umask(etc: Path) -> None:
    umask = os.umask(0o077)
    try:
        run(Bundle(files=(file(etc / "d/a"),), directories=(Directory(str(etc / "d"), 0o755),)))
    finally:
        os.umask(umask)
    assert stat.S_IMODE((etc / "d").stat().st_mode) == 0o755
    assert stat.S_IMODE((etc / "d/a").stat().st_mode) == 0o644


def test_every_file_is_validated_before_the_first_is_replaced(etc: Path) -> None:
    for name in "abc":
        (etc / name).write_text("old\n")
    before = snapshot(etc)
    result = run(
        Bundle(
            files=(
                file(etc / "a"),
                file(etc / "b", validate="sh -c 'echo line 7 is wrong; exit 3' %s"),
                file(etc / "c", validate="no-such-validator %s"),
            ),
            on_change=(("touch", str(etc / "ran")),),
        )
    )
    assert result["failed"] and "Nothing was changed." in result["msg"]
    assert f"{etc}/b: sh -c 'echo line 7 is wrong; exit 3' " in result["msg"]
    assert "exit status 3: line 7 is wrong" in result["msg"]
    assert "there is no command no-such-validator on this host" in result["msg"]
    assert snapshot(etc) == before and stages(etc) == []


def test_a_validator_sees_final_name_and_attributes(etc: Path) -> None:
    seen = etc.parent / "seen"
    bundle = Bundle(files=(file(etc / "x.service", mode=0o640, validate=f"sh -c 'ls -l \"$0\" > {seen}' %s"),))
    assert run(bundle)["changed"]
    assert seen.read_text().startswith("-rw-r-----") and seen.read_text().rstrip().endswith("/new/x.service")


def test_a_refused_bundle_is_put_back_as_it_was(etc: Path, state: Path) -> None:
    (etc / "old").write_text("old\n")
    (etc / "old").chmod(0o600)
    (etc / "wide").write_text("new\n")
    (etc / "gone.d").mkdir()
    (etc / "gone.d/x").write_text("x")
    (etc / "link").symlink_to("old")
    bundle = Bundle(
        files=(
            file(etc / "old", backup=True),
            file(etc / "wide", mode=0o600),
            file(etc / "new.d/new"),
            file(etc / "link", symlink="replace"),
        ),
        directories=(Directory(str(etc / "new.d"), 0o755),),
        absent=(str(etc / "gone.d"),),
        # all of it is in place when the command runs
        validate_bundle=(
            ("grep", "-q", "new", str(etc / "new.d/new")),
            ("sh", "-c", f"ls {etc}/gone.d; echo refused; exit 1"),
        ),
        on_change=(("touch", str(etc / "ran")),),
    )
    before = snapshot(etc)
    result = run(bundle)
    assert "refused" in result["msg"] and "No such file" in result["msg"]
    assert result["msg"].endswith("Every file was put back as it was.")
    after = snapshot(etc)
    assert after.keys() == before.keys()
    for path, kept in before.items():
        # the directory's own time moves with the names in it
        same = slice(0, 4) if Path(path).is_dir() else slice(None)
        assert after[path][same] == kept[same], path
    assert entries(state) == []


def test_on_change_that_fails_is_due_again(etc: Path, state: Path) -> None:
    ran, ready = etc.parent / "ran", etc.parent / "ready"
    bundle = Bundle(
        files=(file(etc / "a"),),
        on_change=(
            ("sh", "-c", f"echo one >> {ran}"),
            ("sh", "-c", f"test -e {ready} || {{ echo not yet; exit 1; }}"),
            ("sh", "-c", f"echo three >> {ran}"),
        ),
    )
    result = run(bundle)
    assert "on_change: sh -c" in result["msg"] and "not yet" in result["msg"]
    assert (etc / "a").read_text() == "new\n" and ran.read_text() == "one\n"
    assert len(entries(state)) == 1

    planned = run(bundle, check=True)
    assert planned["changed"] and planned["completed"] and planned["changed_files"] == []
    ready.touch()
    result = run(bundle)
    assert result["changed"] and result["completed"] and result["changed_files"] == []
    assert ran.read_text() == "one\none\nthree\n"
    assert not run(bundle)["changed"] and entries(state) == []


def killed(bundle: Bundle) -> None:
    """The bundle's commands kill the process that runs them, as a power cut would."""
    ended = process(bundle)
    ended.communicate()
    assert ended.returncode == -signal.SIGKILL


KILL = ("sh", "-c", "kill -9 $PPID")


def test_killed_before_on_change_the_next_run_does_it(etc: Path, state: Path) -> None:
    ran = etc.parent / "ran"
    killed(Bundle(files=(file(etc / "a"),), on_change=(KILL,)))
    assert (etc / "a").read_text() == "new\n"
    bundle = Bundle(files=(file(etc / "a"),), on_change=(("touch", str(ran)),))
    result = run(bundle)
    assert result["completed"] and result["changed"] and result["changed_files"] == []
    assert ran.exists() and entries(state) == []
    assert not run(bundle)["changed"]


def test_control_without_the_journal_on_change_would_be_lost(etc: Path, state: Path) -> None:
    killed(Bundle(files=(file(etc / "a"),), on_change=(KILL,)))
    shutil.rmtree(state)
    result = run(Bundle(files=(file(etc / "a"),), on_change=(("touch", str(etc.parent / "ran")),)))
    assert not result["changed"] and not (etc.parent / "ran").exists()


def test_another_bundle_leaves_an_unfinished_one_alone(etc: Path, state: Path) -> None:
    killed(Bundle(files=(file(etc / "a"),), on_change=(KILL,)))
    assert not run(Bundle(files=(file(etc / "b"),)))["completed"]
    assert len(entries(state)) == 1


def test_killed_before_the_whole_was_accepted_the_next_run_begins_anew(etc: Path) -> None:
    (etc / "old").write_text("old\n")
    (etc / "gone").write_text("x")
    files = (file(etc / "old"), file(etc / "new"))
    killed(Bundle(files=files, absent=(str(etc / "gone"),), validate_bundle=(KILL,)))
    assert (etc / "old").read_text() == "new\n" and not (etc / "gone").exists()

    # The next run refuses the same files: what is put back is what was good, not what the killed run left.
    result = run(Bundle(files=files, validate_bundle=(("false",),), on_change=(("touch", str(etc / "ran")),)))
    assert result["msg"].endswith("Every file was put back as it was.")
    assert (etc / "old").read_text() == "old\n" and (etc / "gone").read_text() == "x"
    assert sorted(path.name for path in etc.iterdir()) == ["gone", "old"]

    # on_change is still due, as something may have been started from the files of the killed run
    result = run(Bundle(files=files, validate_bundle=(("true",),), on_change=(("touch", str(etc / "ran")),)))
    assert result["completed"] and (etc / "old").read_text() == "new\n" and (etc / "ran").exists()


def test_killed_while_validating_nothing_is_replaced_and_nothing_stays(etc: Path) -> None:
    (etc / "old").write_text("old\n")
    killed(Bundle(files=(file(etc / "old", validate="sh -c 'kill -9 $PPID' %s"),)))
    assert (etc / "old").read_text() == "old\n" and len(stages(etc)) == 1
    result = run(Bundle(files=(file(etc / "old"),)))
    assert result["changed"] and not result["completed"] and stages(etc) == []


@pytest.mark.parametrize("seed", range(6))
def test_killed_at_any_moment_files_are_whole_and_the_next_run_finishes(etc: Path, state: Path, seed: int) -> None:
    names = [f"{number:03}" for number in range(120)]
    old, new = "old\n" * 500, "new\n" * 500
    for name in names[::2]:
        (etc / name).write_text(old)
    ran = etc.parent / "ran"
    bundle = Bundle(
        files=tuple(file(etc / name, new) for name in names),
        validate_bundle=(("sleep", "0.05"),),
        on_change=(("touch", str(ran)),),
    )
    running = process(bundle)
    # from the first stage on: before that there is nothing to interrupt
    deadline = time.monotonic() + 10
    while not stages(etc) and running.poll() is None and time.monotonic() < deadline:
        time.sleep(0.001)
    time.sleep(random.Random(seed).uniform(0, 0.15))
    running.kill()
    running.communicate()
    for name in names:
        assert not (etc / name).exists() or (etc / name).read_text() in (old, new)
    result = run(bundle)
    assert "failed" not in result, result
    assert {(etc / name).read_text() for name in names} == {new}
    assert ran.exists() and stages(etc) == [] and entries(state) == []
    assert not run(bundle)["changed"]


def test_two_runs_at_once_wait_for_each_other(etc: Path) -> None:
    log = etc.parent / "log"
    slow = Bundle(
        files=(file(etc / "a"),), on_change=(("sh", "-c", f"echo in >> {log}; sleep 0.5; echo out >> {log}"),)
    )
    other = Bundle(files=(file(etc / "b"),), on_change=(("sh", "-c", f"echo in >> {log}; echo out >> {log}"),))
    first = process(slow)
    while not log.exists():
        time.sleep(0.01)
    assert run(other)["changed"]
    first.communicate()
    assert log.read_text().split() == ["in", "out", "in", "out"]


def test_a_full_disk_changes_nothing(etc: Path) -> None:
    (etc / "a").write_text("old\n")
    limited = process(
        Bundle(files=(file(etc / "a"), file(etc / "big", "x" * 200_000))),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000)),
    )
    result = json.loads(limited.communicate()[0])
    assert f"{etc}/big: File too large" in result["msg"] and "Nothing was changed." in result["msg"]
    assert (etc / "a").read_text() == "old\n" and stages(etc) == []


def test_what_stands_in_the_way_is_told_at_once(etc: Path) -> None:
    (etc / "dir").mkdir()
    (etc / "file").write_text("")
    (etc / "link").symlink_to("/dev/null")
    os.mkfifo(etc / "pipe")
    bundle = Bundle(
        files=(
            file(etc / "dir"),
            file(etc / "file/below"),
            file(etc / "link"),
            file(etc / "pipe"),
            file(etc / "no/parent"),
            file(etc / "a", owner="nobody-such", group="nogroup-such"),
        ),
        directories=(Directory(str(etc / "file"), 0o755),),
    )
    for mode in (False, True):
        message = run(bundle, check=mode)["msg"]
        assert f"directory {etc}/file: there is a file of this name" in message
        assert f"dest {etc}/dir is an existing directory; it must be the path of a file" in message
        assert f"dest {etc}/file/below: a part of this path is a file" in message
        assert f"dest {etc}/link is a symbolic link to /dev/null" in message
        assert f"dest {etc}/pipe is an existing named pipe" in message
    message = run(bundle)["msg"]
    assert f"{etc}/no/parent: its directory {etc}/no does not exist" in message
    assert f"{etc}/a: owner = nobody-such: there is no user of this name" in message
    assert f"{etc}/a: group = nogroup-such: there is no group of this name" in message


def test_what_an_earlier_task_brings_is_no_error_in_check_mode(etc: Path) -> None:
    bundle = Bundle(
        files=(file(etc / "no/parent"), file(etc / "a", owner="nobody-such", validate="no-such-validator %s")),
        on_change=(("no-such-command",),),
    )
    result = run(bundle, check=True)
    assert result["changed_files"] == [str(etc / "a"), str(etc / "no/parent")]
    assert [line.split(":")[0] for line in result["missing"]] == [
        f"{etc}/no/parent",
        f"{etc}/a",
        f"{etc}/a",
        "no-such-command",
    ]
    assert "there is no command no-such-validator" in result["missing"][2]


def test_links(etc: Path) -> None:
    (etc / "target").write_text("old\n")
    (etc / "follow").symlink_to("target")
    (etc / "replace").symlink_to("target")
    result = run(
        Bundle(files=(file(etc / "follow", symlink="follow"), file(etc / "replace", "own\n", symlink="replace")))
    )
    assert result["changed_files"] == [str(etc / "replace"), str(etc / "target")]
    assert (etc / "follow").is_symlink() and (etc / "target").read_text() == "new\n"
    assert not (etc / "replace").is_symlink() and (etc / "replace").read_text() == "own\n"


def test_backup(etc: Path) -> None:
    (etc / "a").write_text("old\n")
    result = run(Bundle(files=(file(etc / "a", backup=True), file(etc / "b", backup=True))))
    assert list(result["backup_files"]) == [str(etc / "a")]
    assert Path(result["backup_files"][str(etc / "a")]).read_text() == "old\n"


CANARY = "hunter2-CANARY"


def test_secrets_do_not_show(etc: Path) -> None:
    (etc / "s").write_text("before-CANARY\n")
    secret = file(etc / "s", f"password = {CANARY}\n", secret=True, mode=0o600)
    refused = File(**{**vars(secret), "validate": "sh -c 'cat $0; exit 1' %s"})
    shown = [
        run(Bundle(files=(secret,)), check=True, diff=True),
        run(Bundle(files=(refused,)), diff=True),
        run(Bundle(files=(refused,)), check=True, diff=True),
        run(
            Bundle(files=(secret,), validate_bundle=(("sh", "-c", f"cat {etc}/s; exit 1"),), mask=(CANARY,)), diff=True
        ),
        run(Bundle(files=(secret,), on_change=(("sh", "-c", f"cat {etc}/s; exit 1"),), mask=(CANARY,)), diff=True),
        run(Bundle(files=(secret,), absent=(str(etc / "s"),)), diff=True),
    ]
    assert "its output is hidden: the file is secret" in shown[1]["msg"]
    assert "password = ********" in shown[3]["msg"] and "password = ********" in shown[4]["msg"]
    assert "CANARY" not in json.dumps(shown)


def test_control_what_is_not_secret_shows(etc: Path) -> None:
    bundle = Bundle(files=(file(etc / "s", CANARY, validate="sh -c 'cat $0; exit 1' %s"),))
    assert CANARY in run(bundle)["msg"] and CANARY in json.dumps(run(bundle, check=True, diff=True))


def test_an_unforeseen_error_shows_nothing(etc: Path) -> None:
    broken = File(str(etc / "s"), mode=CANARY, content=CANARY.encode(), secret=True)
    message = run(Bundle(files=(broken,)))["msg"]
    assert message.startswith("unforeseen ") and CANARY not in message


def test_diffs(etc: Path) -> None:
    (etc / "binary").write_bytes(b"\0old")
    (etc / "large").write_text("x" * 200_000)
    (etc / "same").write_text("new\n")
    (etc / "same").chmod(0o600)
    diffs = run(
        Bundle(files=(file(etc / "binary"), file(etc / "large"), file(etc / "same"), file(etc / "empty", ""))),
        diff=True,
    )["diff"]
    owner = diffs[0]["after_header"].partition(" (")[2].split()[0]
    assert diffs[0]["dst_binary"] == 1 and "before" not in diffs[0]
    assert diffs[1]["dst_larger"] and "before" not in diffs[1]
    assert diffs[2]["prepared"] == f"{etc}/same: {owner} 0600 -> {owner} 0644\n"
    assert diffs[3]["prepared"] == f"{etc}/empty (empty): not there -> {owner} 0644\n"


def test_a_reader_never_sees_half_a_file(etc: Path) -> None:
    old, new = "old\n" * 20_000, "new\n" * 20_000
    (etc / "a").write_text(old)
    seen, done = set(), threading.Event()

    def read() -> None:
        while not done.is_set():
            seen.add((etc / "a").read_text())

    reader = threading.Thread(target=read)
    reader.start()
    for _round in range(10):
        for content in (new, old):
            run(Bundle(files=(file(etc / "a", content),)))
    done.set()
    reader.join()
    assert seen == {old, new}
