"""The collection as its users get it: built, checked by galaxy-importer, installed, run by its name.

Usage: consumer [PLAYBOOK [ARGUMENT ...]]

Without arguments nothing is run on any host: the site's playbook is listed, and its variables are checked, with the
lab's inventory. With a playbook (chainops.infra.site, or a file) that is run after the installation, with these
arguments, in a project that has nothing but that inventory: no ansible.cfg, no checkout, a HOME without anything.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import steps
from collection_copy import copy_collection

WORK = steps.ROOT / "build" / "consumer"
SOURCE = WORK / "source"
HOME = WORK / "home"
PROJECT = WORK / "project"
INVENTORY = PROJECT / "inventories" / "lab" / "ethereum.yml"
NAME = "chainops.infra"
# A line of galaxy-importer's log that is not only information
COMPLAINT = re.compile(r"^(WARNING|ERROR|CRITICAL): (?P<text>.*)", re.MULTILINE)


def ansible(*words: str, **extra: str) -> tuple[int, str]:
    """(exit status, output) of a program of the pinned environment, as a user without any settings runs it."""
    argv = [str(steps.VENV / "bin" / words[0]), *words[1:]]
    done = subprocess.run(
        argv,
        cwd=PROJECT,
        env=user_environment() | extra,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout


def user_environment() -> dict[str, str]:
    """This environment without Ansible's settings and the checkout's, with an empty HOME."""
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "GALAXY_", "MOLECULE_"))
    }
    return kept | {"HOME": str(HOME), "PATH": f"{steps.VENV / 'bin'}:{os.environ['PATH']}", "ANSIBLE_NOCOLOR": "1"}


def failed(words: tuple[str, ...]) -> str:
    """What is wrong with a command, "" for nothing."""
    status, output = ansible(*words)
    return f"{' '.join(words)}: exit status {status}\n{output.strip()}" if status else ""


def prepare() -> str:
    """An empty project with the lab's inventory, and an empty HOME."""
    for path in (HOME, PROJECT, *WORK.glob("*.tar.gz")):
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    HOME.mkdir(parents=True)
    shutil.copytree(steps.ROOT / "inventories" / "lab", PROJECT / "inventories" / "lab")
    copy_collection(SOURCE)
    return ""


def artifact() -> Path:
    return next(WORK.glob("*.tar.gz"))


def build() -> str:
    return failed(("ansible-galaxy", "collection", "build", "--output-path", str(WORK), str(SOURCE)))


def importer() -> str:
    """galaxy-importer ends with status 0 whatever it finds, unless it cannot go on: its log has to be read.

    It runs ansible-lint too, for most of a minute and less strictly than tools/lint does: here only at full length.
    """
    lint = "true" if os.environ.get("CHAINOPS_FULL_LENGTH") else "false"
    words = ("python", "-m", "galaxy_importer.main", str(artifact()))
    status, output = ansible(*words, GALAXY_IMPORTER_RUN_ANSIBLE_LINT=lint)
    complaints = [match["text"] for match in COMPLAINT.finditer(output)]
    if status or "Importer processing completed successfully" not in output:
        last = [line for line in output.splitlines() if not line.startswith(("INFO", "Loading"))][-20:]
        return "\n".join([f"galaxy-importer: exit status {status}", *last])
    return "\n".join(complaints)


def install() -> str:
    return failed(("ansible-galaxy", "collection", "install", "--offline", str(artifact())))


def playbook(*arguments: str) -> tuple[str, ...]:
    return ("ansible-playbook", "-i", str(INVENTORY), f"{NAME}.site", *arguments)


def list_tasks() -> str:
    """Every play of the site is found by the collection's name, every role and plugin in it too."""
    return failed(playbook("--list-tasks")) or failed(playbook("--syntax-check"))


def documentation() -> str:
    """A user finds each role and plugin with ansible-doc."""
    roles = sorted(path.parents[1].name for path in SOURCE.glob("roles/*/meta/argument_specs.yml"))
    modules = sorted(path.stem for path in SOURCE.glob("plugins/modules/*.py"))
    return failed(("ansible-doc", "-t", "role", *(f"{NAME}.{role}" for role in roles))) or failed(
        ("ansible-doc", *(f"{NAME}.{module}" for module in modules))
    )


def run(words: list[str]) -> int:
    """Run a playbook in the project, its output shown as it comes; its exit status."""
    name, *arguments = words
    argv = [str(steps.VENV / "bin" / "ansible-playbook"), "-i", str(INVENTORY), name, *arguments]
    return subprocess.run(argv, cwd=PROJECT, env=user_environment(), check=False).returncode


def main() -> int:
    preparation = [
        steps.Step("empty project", prepare),
        steps.Step("build", build),
        steps.Step("install", install),
    ]
    if sys.argv[1:]:
        return steps.run_all("consumer-install", preparation) or run(sys.argv[1:])
    checks = [
        steps.Step("galaxy-importer", importer),
        steps.Step("site by its name", list_tasks),
        steps.Step("documentation", documentation),
    ]
    return steps.run_all("consumer-install", preparation) or steps.run_all("consumer", checks, parallel=2)


if __name__ == "__main__":
    sys.exit(main())
