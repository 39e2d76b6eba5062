"""A passphrase, the filters that take it, and the commitment that a copy is checked against."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.chainops.infra.plugins.filter.passphrase_commitment import passphrase_commitment
from ansible_collections.chainops.infra.plugins.filter.repository_passphrase import repository_passphrase
from ansible_collections.chainops.infra.plugins.module_utils.pgbackrest import escrow

ROOT = Path(__file__).parents[5]
GOOD = "Zm9yIHRlc3RzIG9ubHksIG5ldmVyIGZvciBhIHJlcG9zaXRvcnkh"


def test_a_passphrase_is_taken_without_its_line_s_end() -> None:
    assert repository_passphrase(GOOD + "\n") == GOOD


@pytest.mark.parametrize("bad", ["", "short-canary", "canary with blanks " + GOOD, GOOD + "\ncanary", "canaryé" + GOOD])
@pytest.mark.parametrize("use", [repository_passphrase, lambda text: passphrase_commitment(text, "main/1")])
def test_a_bad_one_is_refused_and_not_shown(use, bad: str) -> None:
    with pytest.raises(AnsibleFilterError) as error:
        use(bad)
    assert "openssl rand -base64 48" in str(error.value)
    assert "canary" not in str(error.value) and GOOD not in str(error.value)


def test_a_commitment_holds_nothing_of_it_and_differs_by_label() -> None:
    first, second = passphrase_commitment(GOOD, "main/1"), passphrase_commitment(GOOD, "main/2")
    assert first["value"] != second["value"]
    assert GOOD not in json.dumps(first)
    assert escrow.matches(GOOD + "\n", first) and not escrow.matches(GOOD[:-1], first)
    assert not escrow.matches(GOOD, {})


@pytest.mark.parametrize(("copy", "status", "words"), [(GOOD, 0, "is right"), (GOOD[:-1] + "x", 1, "is WRONG")])
def test_the_script_on_the_host_says_the_same(tmp_path: Path, copy: str, status: int, words: str) -> None:
    known = tmp_path / "escrow.json"
    known.write_text(json.dumps(passphrase_commitment(GOOD, "main/1")))
    script = ROOT / "roles" / "pgbackrest" / "files" / "escrow_check.py"
    done = subprocess.run(
        [sys.executable, "-I", str(script), str(known)], input=copy + "\n", capture_output=True, text=True, check=False
    )
    assert (done.returncode, words in done.stdout) == (status, True)
    assert copy not in done.stdout + done.stderr
