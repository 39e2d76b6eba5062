"""Run the steps of a check, some at once; quiet about what is good, complete about what is not, timed, as JUnit XML."""

from __future__ import annotations

import os
import re
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv"
RESULTS = ROOT / "build" / "results"
# A step that takes longer than this says that it is still running, so that nobody takes it for hung.
PATIENCE = 30


@dataclass
class Step:
    """A command (argv, run in the checkout), or a function that returns what is wrong, "" for nothing."""

    name: str
    run: Sequence[str | Path] | Callable[[], str]
    cwd: Path = ROOT
    environment: dict[str, str] = field(default_factory=dict)
    # Lines of a failed command's output that explain nothing
    noise: str = ""


@dataclass
class Outcome:
    """How a step ended: output is empty where it passed."""

    step: Step
    passed: bool
    output: str
    seconds: float


def environment(**extra: str) -> dict[str, str]:
    """The project's tools first on PATH, and Ansible's home in the checkout."""
    return os.environ | {
        "PATH": f"{VENV / 'bin'}:{os.environ['PATH']}",
        "ANSIBLE_HOME": str(ROOT / ".ansible"),
        "NO_COLOR": "1",
        "ANSIBLE_NOCOLOR": "1",
        **extra,
    }


def run_step(step: Step) -> Outcome:
    started = time.monotonic()
    stop = threading.Event()

    def still_running() -> None:
        while not stop.wait(PATIENCE):
            print(f"  {step.name}: running for {time.monotonic() - started:.0f} s", flush=True)

    watcher = threading.Thread(target=still_running, daemon=True)
    watcher.start()
    try:
        if callable(step.run):
            output = step.run()
            passed = not output
        else:
            done = subprocess.run(
                [str(word) for word in step.run],
                cwd=step.cwd,
                env=environment(**step.environment),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                check=False,
            )
            passed = done.returncode == 0
            lines = [line for line in done.stdout.splitlines() if not (step.noise and re.match(step.noise, line))]
            output = "" if passed else "\n".join([*lines, f"exit status {done.returncode}"])
    except OSError as error:
        passed, output = False, str(error)
    finally:
        stop.set()
        watcher.join()
    return Outcome(step, passed, output, time.monotonic() - started)


def run_all(suite: str, steps: Sequence[Step], parallel: int = 1) -> int:
    """Run every step even if one fails; 0 if all passed, else 1. Writes build/results/<suite>.xml."""
    started = time.monotonic()
    outcomes = []
    with ThreadPoolExecutor(max_workers=parallel) as pool:
        for future in as_completed([pool.submit(run_step, step) for step in steps]):
            outcome = future.result()
            outcomes.append(outcome)
            print(
                f"  {outcome.step.name}: {'passed' if outcome.passed else 'FAILED'} ({outcome.seconds:.1f} s)",
                flush=True,
            )
            if not outcome.passed:
                print("\n".join(f"    {line}" for line in outcome.output.splitlines()), flush=True)
    write_junit(suite, outcomes)
    failed = [outcome.step.name for outcome in outcomes if not outcome.passed]
    verdict = f"failed: {', '.join(failed)}" if failed else f"{len(outcomes)} passed"
    print(f"{suite}: {verdict} in {time.monotonic() - started:.1f} s")
    return 1 if failed else 0


def write_junit(suite: str, outcomes: Sequence[Outcome]) -> None:
    """One test case a step."""
    failures = sum(not outcome.passed for outcome in outcomes)
    root = ElementTree.Element("testsuite", name=suite, tests=str(len(outcomes)), failures=str(failures))
    for outcome in outcomes:
        attributes = {"classname": suite, "name": outcome.step.name, "time": f"{outcome.seconds:.3f}"}
        case = ElementTree.SubElement(root, "testcase", attributes)
        if not outcome.passed:
            failure = ElementTree.SubElement(case, "failure", message=f"{outcome.step.name} failed")
            failure.text = "".join(char for char in outcome.output if char.isprintable() or char in "\n\t")
    RESULTS.mkdir(parents=True, exist_ok=True)
    ElementTree.ElementTree(root).write(RESULTS / f"{suite}.xml", encoding="utf-8", xml_declaration=True)
