"""What the roles hand to the module ``release``, which installs it from a real server; with a signature and without."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible.parsing.dataloader import DataLoader

from tests.support.releases import Mirror, Signer, executable, run_module, sha256
from tests.unit.roles_ethereum.rendered import ROOT, Role

ROLES = ["geth", "prysm", "lighthouse", "devnet", "devnet_validators"]


@pytest.fixture(scope="module")
def mirror() -> Iterator[Mirror]:
    server = Mirror()
    yield server
    server.close()


@pytest.fixture(scope="module")
def signer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Signer]:
    key = Signer(tmp_path_factory.mktemp("gpg") / "upstream", "upstream")
    yield key
    key.close()


def publish(mirror: Mirror, signer: Signer, role: str) -> dict[str, Any]:
    """An entry of <role>_releases for a file that the mirror serves, with all that says who signed it."""
    body = executable("1.0")
    url = mirror.publish(f"/{role}/program", body)
    return {
        "url": url,
        "checksum": sha256(body),
        "signature_url": mirror.publish(f"/{role}/program.asc", signer.sign(body)),
        "signing_key": signer.public(),
        "fingerprint": signer.fingerprint,
        "archive": "none",
        "binaries": ["program"],
    }


def install(role: str, entry: dict[str, Any], root: Path) -> dict[str, Any]:
    """Work out the arguments of the role's task as a run does, and run the module with them."""
    tasks = DataLoader().load_from_file(str(ROOT / "roles" / role / "tasks" / "main.yml"), trusted_as_template=True)
    (given,) = [
        task["chainops.infra.release"] for part in tasks for task in part["block"] if "chainops.infra.release" in task
    ]
    variables = {f"{role}_version": "1.0", f"{role}_releases": {"1.0": entry}, "given": given}
    answer, _code, output = run_module({**Role(role, **variables).value("given"), "root": str(root)})
    assert answer is not None, output
    return answer


@pytest.mark.parametrize("role", ROLES)
def test_a_release_that_nobody_signed_is_installed(role: str, mirror: Mirror, signer: Signer, tmp_path: Path) -> None:
    """A mirror of one's own may hold no signature; what else an entry says of the signer is of no use then."""
    entry = publish(mirror, signer, role)
    del entry["signature_url"]
    answer = install(role, entry, tmp_path)
    assert answer.get("action") == "installed", answer["msg"]


@pytest.mark.parametrize("role", ROLES)
def test_a_signature_is_looked_at_where_there_is_one(role: str, mirror: Mirror, signer: Signer, tmp_path: Path) -> None:
    entry = publish(mirror, signer, role)
    wrong = {**entry, "signature_url": mirror.publish(f"/{role}/wrong.asc", signer.sign(b"something else"))}
    assert "signature" in install(role, wrong, tmp_path)["msg"]
    assert install(role, entry, tmp_path)["action"] == "installed"
