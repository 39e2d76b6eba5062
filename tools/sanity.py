"""ansible-test sanity on a copy of the collection, without ignore entries.

Usage: sanity [ARGUMENT ...]; arguments go to ansible-test (--test validate-modules plugins/modules/unit.py)

ansible-test wants the collection in a directory of that name, not in a link to it. It makes its environments in HOME:
here that is a directory of the cache, so that the user's own ~/.ansible neither matters nor changes.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from xml.etree import ElementTree

import steps
from collection_copy import copy_collection

COPY = steps.ROOT / "build" / "ansible_collections" / "chainops" / "infra"
CACHE = Path(os.environ.get("CHAINOPS_CACHE") or Path.home() / ".cache" / "chainops")
HOME = CACHE / "ansible-test"
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
NOISE = (
    r"\s+(Downloading|━)|(Collecting|Installing|Successfully|Using cached|Looking in|Running sanity|WARNING: Using) "
)
# ansible-test fetches this script from a server of its own to put pip into new environments. Python brings a pip along,
# which then gets the wanted version from the configured package index.
GET_PIP = '''"""Put pip into an environment by what Python brings along; used by ansible-test in place of get-pip."""
import subprocess
import sys

wanted = [word for word in sys.argv[1:] if not word.startswith("--no-")]
subprocess.check_call([sys.executable, "-Im", "ensurepip"], stdout=subprocess.DEVNULL)
subprocess.check_call([sys.executable, "-Im", "pip", "install", "--quiet", *wanted])
'''


def prepare_home() -> str:
    """A HOME with the pip settings of this user and the script above; returns what is wrong."""
    requirements = steps.VENV.glob("lib/python*/site-packages/ansible_test/_internal/python_requirements.py")
    pip = re.search(r"^\s+pip='([\d.]+)'", next(requirements).read_text(encoding="utf-8"), re.MULTILINE)
    if not pip:
        return "this ansible-test does not say which pip it wants"
    script = HOME / ".ansible" / "test" / "cache" / f"get_pip_{pip[1].replace('.', '_')}.py"
    script.parent.mkdir(parents=True, exist_ok=True)
    script.write_text(GET_PIP, encoding="utf-8")
    # ansible-test hides the environment from pip: what is set there has to stand in a file.
    command = [str(steps.VENV / "bin" / "pip"), "config", "list"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True, env=steps.environment()).stdout
    settings = {}
    for section in ("global", "install", ":env:"):
        for name, value in re.findall(rf"^{section}\.([a-z-]+)='(.*)'$", listed, re.MULTILINE):
            settings[name] = value.replace("\\n", "\n    ")
    for name in ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"):
        if os.environ.get(name):
            settings.setdefault("cert", os.environ[name])
    configuration = HOME / ".config" / "pip" / "pip.conf"
    configuration.parent.mkdir(parents=True, exist_ok=True)
    configuration.touch(mode=0o600)
    lines = ["[global]", *(f"{name} = {value}" for name, value in settings.items())]
    configuration.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return ""


def collect_junit() -> str:
    """Add the single tests to build/results/sanity.xml, without those that have nothing to look at here."""
    results = steps.RESULTS / "sanity.xml"
    suites = ElementTree.Element("testsuites")
    suites.append(ElementTree.parse(results).getroot())
    for path in sorted((COPY / "tests" / "output" / "junit").glob("*.xml")):
        for suite in ElementTree.parse(path).iter("testsuite"):
            if not any(case.text == "No tests applicable." for case in suite.iter("skipped")):
                suites.append(suite)
    ElementTree.ElementTree(suites).write(results, encoding="utf-8", xml_declaration=True)
    return "" if len(suites) > 1 else "ansible-test left no result"


def step(name: str, *words: str) -> steps.Step:
    command = ["ansible-test", "sanity", "--local", "--python", PYTHON, "--color", "no", *words]
    return steps.Step(name, command, COPY, {"HOME": str(HOME), "LC_ALL": "C.UTF-8"}, NOISE)


def prime() -> int:
    """Make the environments, once: parts that run side by side would make the same one at the same time."""
    done = HOME / f"primed-{PYTHON}-{version('ansible-core')}"
    if done.exists():
        return 0
    print("  ansible-test makes its environments: about two minutes, this once", flush=True)
    status = steps.run_all("sanity", [step("environments", "--prime-venvs")], parallel=1)
    if not status:
        done.touch()
    return status


def sanity_steps(arguments: list[str]) -> list[steps.Step]:
    """In three parts for two cores: pylint takes four times as long as everything else."""
    parts = {
        "pylint of plugins": ["--test", "pylint", "plugins/"],
        "pylint of tests and tools": ["--test", "pylint", "tests/", "tools/"],
        "all others": ["--skip-test", "pylint"],
    }
    if arguments:
        parts = {"ansible-test": arguments}
    return [step(name, "--junit", "--truncate", "0", *words) for name, words in parts.items()]


def main() -> int:
    # there is none before the first run
    shutil.rmtree(COPY / "tests" / "output" / "junit", ignore_errors=True)
    copy_collection(COPY)
    ignored = [str(path.relative_to(COPY)) for path in COPY.glob("tests/sanity/ignore*")]
    wrong = f"ignore entries are not allowed: {', '.join(ignored)}" if ignored else prepare_home()
    if wrong:
        print(f"sanity: {wrong}", file=sys.stderr)
        return 1
    if prime():
        return 1
    status = steps.run_all("sanity", sanity_steps(sys.argv[1:]), parallel=2)
    if wrong := collect_junit():
        print(f"sanity: {wrong}", file=sys.stderr)
        return 1
    return status


if __name__ == "__main__":
    sys.exit(main())
