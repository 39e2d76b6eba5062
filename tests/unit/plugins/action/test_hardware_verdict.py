"""Modes, refusals, the table and the report; the readings are those of made-up hosts."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import pytest
from ansible_collections.chainops.infra.plugins.action import hardware_verdict

GIB = 2**30


def reading(value: Any, error: str | None = None) -> dict[str, Any]:
    return {"value": value, "read_from": "/made/up", "error": error}


HARDWARE = {
    "system": {
        "container": reading(""),
        "virtual": reading(False),
        "manufacturer": reading("Dell"),
        "product": reading("R7"),
    },
    "cpu": {"cores": reading(32), "threads": reading(64), "model": reading("EPYC")},
    "memory": {"installed_bytes": reading(64 * GIB), "usable_bytes": reading(62 * GIB), "ecc": reading(True)},
    "power": {"supplies": reading(None, "could not be read: no controller")},
}
SITE = {"site_region": "east", "site_rack": "east-r1", "site_uplinks": ["c1"], "site_datacentre_tier": 3}


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Any:
    shown: list[str] = []
    monkeypatch.setattr(hardware_verdict.display, "display", shown.append)

    def call(check: bool = False, standby: dict[str, Any] | None = None, **args: Any) -> dict[str, Any]:
        task = SimpleNamespace(args=args, async_val=0, check_mode=check, diff=False, environment=[])
        connection = MagicMock()
        action = hardware_verdict.ActionModule(task, connection, MagicMock(), MagicMock(), MagicMock(), None)
        calls: list[str] = []
        monkeypatch.setattr(
            action, "_execute_module", lambda **kw: calls.append(kw["module_name"]) or {"hardware": HARDWARE}
        )
        hosts = {
            "eth-a": {**SITE, "site_role": "primary"},
            "eth-b": {**SITE, "site_role": "standby", **(standby or {})},
        }
        variables = {"inventory_hostname": "eth-b", "groups": {"ethereum_serving": list(hosts)}, "hostvars": hosts}
        result = action.run(task_vars=variables)
        return {**result, "calls": calls, "shown": "\n".join(shown)}

    return call


GOOD_PLACE = {"site_region": "west", "site_rack": "west-r1", "site_uplinks": ["c2"]}


def test_all_met_is_one_round_trip_and_a_table(run: Any) -> None:
    result = run(profile={"cores": 32, "memory_gb": 64}, name="primary", standby=GOOD_PLACE)
    assert not result.get("failed") and result["changed"] is False
    assert result["msg"] == "5 of 5 requirements met"
    assert result["calls"] == ["chainops.infra.hardware_info"]
    assert "eth-b: primary on Dell R7" in result["shown"]
    assert "ok  processor cores" in result["shown"] and "[/made/up]" in result["shown"]
    assert "warnings" not in result


def test_enforce_fails_with_the_whole_table(run: Any) -> None:
    result = run(profile={"cores": 64, "memory_gb": 64}, placement="off")
    assert result["failed"]
    assert result["msg"].startswith("processor cores is short\n")
    assert "wanted 64 or more  found 32 cores" in result["msg"]
    assert "ok     memory" in result["msg"]
    assert "hardware" not in result


def test_warn_goes_on_and_warns_once(run: Any) -> None:
    result = run(profile={"cores": 64, "memory_gb": 128}, mode="warn", placement="off")
    assert not result.get("failed")
    assert result["warnings"] == ["eth-b: profile on Dell R7: 2 of 2 requirements not met or not readable"]


@pytest.mark.parametrize(("unreadable", "failed"), [("fail", True), ("accept", False)])
def test_what_could_not_be_read_is_decided_by_policy_and_never_hidden(run: Any, unreadable: str, failed: bool) -> None:
    result = run(profile={"power_supplies": 2}, unreadable=unreadable, placement="off")
    assert bool(result.get("failed")) is failed
    assert result["lines"][0]["state"] == "unread"
    assert "could not be read: no controller" in (result["msg"] if failed else result["shown"])


def test_placement_has_a_mode_of_its_own(run: Any) -> None:
    refused = run(profile={}, mode="off")
    assert refused["failed"] and "region of the standby is short" in refused["msg"]
    assert refused["calls"] == []
    warned = run(profile={}, mode="off", placement="warn")
    assert not warned.get("failed") and len(warned["warnings"]) == 1


def test_both_off_reads_nothing(run: Any) -> None:
    result = run(profile={"cores": 999}, mode="off", placement="off")
    assert result["skipped"] and result["calls"] == []


def test_problems_only(run: Any) -> None:
    result = run(profile={"cores": 64, "memory_gb": 64}, mode="warn", placement="off", show="problems")
    assert "processor cores" in result["shown"] and "memory" not in result["shown"]


def test_readings_of_an_earlier_task_are_judged_without_reading_anew(run: Any) -> None:
    assert run(profile={"cores": 1}, hardware=HARDWARE, placement="off")["calls"] == []


def test_the_report_is_written_but_not_in_check_mode(run: Any, tmp_path: Path) -> None:
    args = {"profile": {"cores": 64}, "mode": "warn", "placement": "off", "report_dir": str(tmp_path / "reports")}
    assert "report" not in run(check=True, **args)
    assert not (tmp_path / "reports").exists()
    report = json.loads(Path(run(**args)["report"]).read_text())
    assert report["host"] == "eth-b"
    assert report["lines"][0]["state"] == "short"
    assert report["hardware"]["cpu"]["cores"]["value"] == 32


def test_a_report_that_cannot_be_written_is_an_error_that_names_the_option(run: Any, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Exception, match="report_dir = .*cannot be written"):
        run(profile={"cores": 1}, placement="off", report_dir=str(tmp_path / "file"))


def test_a_wrong_profile_is_refused(run: Any) -> None:
    with pytest.raises(Exception, match="unknown key core"):
        run(profile={"core": 1})
