"""What is on record holds for the product that gave it, and for no other."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.lab import results
from tests.lab.data.case import ROLES
from tests.lab.results import ROOT, Case


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(results, "ROOT", tmp_path)
    monkeypatch.setattr(results, "RESULTS", tmp_path / "build" / "results")
    for name in ("roles/redis/tasks.yml", "roles/redis/README.md", "tests/case.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("as it was\n")
    git = ("git", "-C", tmp_path, "-c", "user.name=test", "-c", "user.email=test@localhost")
    for words in (("init", "-q"), ("add", "."), ("commit", "-q", "-m", "first")):
        subprocess.run([*git, *words], check=True)
    return tmp_path


def test_a_case_stays_on_record_when_only_tests_or_documents_change(checkout: Path) -> None:
    results.save("data", [Case("one", True)], full_length=True)
    (checkout / "roles/redis/README.md").write_text("better words\n")
    (checkout / "tests/case.py").write_text("another case\n")
    assert list(results.load("data")) == ["one"]
    results.save("data", [Case("two", True)], full_length=True)
    kept = results.load("data")
    assert kept["one"].commit + "-dirty" == kept["two"].commit


@pytest.mark.parametrize("name", ["roles/redis/tasks.yml", "plugins/new.py"])
def test_a_changed_product_drops_what_was_measured(checkout: Path, name: str) -> None:
    results.save("data", [Case("one", True)], full_length=True)
    (checkout / name).parent.mkdir(exist_ok=True)
    (checkout / name).write_text("changed\n")
    assert results.load("data") == {}


def test_a_case_stays_on_record_when_a_role_changes_that_it_does_not_depend_on(checkout: Path) -> None:
    results.save("data", [Case("redis", roles=["redis"]), Case("etcd", roles=["etcd"]), Case("all")], full_length=True)
    (checkout / "roles/redis/tasks.yml").write_text("changed\n")
    assert list(results.load("data")) == ["etcd"]
    (checkout / "plugins").mkdir()
    (checkout / "plugins/new.py").write_text("every role may call it\n")
    assert results.load("data") == {}


def test_every_role_that_a_store_s_cases_depend_on_is_there() -> None:
    """A name that no directory has would bind a figure to nothing."""
    named = {role for roles in ROLES.values() for role in roles}
    assert {role for role in named if not (ROOT / "roles" / role / "tasks").is_dir()} == set()
