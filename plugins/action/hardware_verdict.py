# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Judge a host's hardware and place; documented in plugins/modules/hardware_verdict.py."""

from __future__ import annotations

import json
import typing as t
from pathlib import Path

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.chainops.infra.plugins.module_utils.hardware.placement import GROUP, placement
from ansible_collections.chainops.infra.plugins.module_utils.hardware.verdict import (
    OK,
    UNREAD,
    Line,
    check_profile,
    judge,
)

MODES = ["enforce", "warn", "off"]
SITE = ("site_role", "site_region", "site_rack", "site_uplinks", "site_datacentre_tier")
display = Display()


class ActionModule(ActionBase):
    """Reads by a module, judges here."""

    _supports_check_mode = True
    _supports_diff = False

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        result = super().run(tmp, task_vars)
        variables = task_vars or {}
        _validation, options = self.validate_argument_spec(
            argument_spec={
                "profile": {"type": "dict", "required": True},
                "name": {"type": "str", "default": "profile"},
                "mode": {"type": "str", "choices": MODES, "default": "enforce"},
                "unreadable": {"type": "str", "choices": ["fail", "accept"], "default": "fail"},
                "placement": {"type": "str", "choices": MODES, "default": "enforce"},
                "primary_tier": {"type": "int", "default": 3},
                "show": {"type": "str", "choices": ["always", "problems"], "default": "always"},
                "report_dir": {"type": "path"},
                "hardware": {"type": "dict"},
            },
        )
        problems = check_profile(options["name"], options["profile"])
        if problems:
            raise AnsibleActionFail("; ".join(problems))
        result["changed"] = False
        if options["mode"] == "off" and options["placement"] == "off":
            return {**result, "skipped": True, "msg": "hardware and placement are not looked at (both modes are off)"}

        host = variables["inventory_hostname"]
        hardware = self._hardware(options, variables)
        if hardware.get("failed"):
            return {**result, **hardware}
        own = judge(options["profile"], hardware["hardware"]) if hardware else []
        place = self._placement(host, options, variables)
        title = f"{host}: {options['name']}{about(hardware)}"
        result.update(lines=[line.as_dict() for line in own + place], **hardware)
        if options["report_dir"] and not self._task.check_mode:
            result["report"] = write_report(Path(options["report_dir"]), host, result)
        return conclude(result, title, own, place, options)

    def _hardware(self, options: dict[str, t.Any], variables: dict[str, t.Any]) -> dict[str, t.Any]:
        """{"hardware": …}, or nothing where the mode is off, or the module's failure."""
        if options["mode"] == "off":
            return {}
        if options["hardware"]:
            return {"hardware": options["hardware"]}
        found = self._execute_module(module_name="chainops.infra.hardware_info", module_args={}, task_vars=variables)
        return found if found.get("failed") or "hardware" not in found else {"hardware": found["hardware"]}

    def _placement(self, host: str, options: dict[str, t.Any], variables: dict[str, t.Any]) -> list[Line]:
        """The lines of this host; the others of the group are read from the inventory."""
        members = variables["groups"].get(GROUP, [])
        if options["placement"] == "off" or host not in members:
            return []
        hosts = []
        for name in members:
            values = variables["hostvars"][name]
            hosts.append({"name": name, "group_names": [GROUP], **{key: values.get(key) for key in SITE}})
        return [line for name, line in placement(hosts, options["primary_tier"]) if name == host]


def conclude(
    result: dict[str, t.Any], title: str, own: list[Line], place: list[Line], options: dict[str, t.Any]
) -> dict[str, t.Any]:
    """Fail, warn or just say; write the report."""
    accepted = {OK, UNREAD} if options["unreadable"] == "accept" else {OK}
    refused = [line for line in own if line.state not in accepted] if options["mode"] == "enforce" else []
    refused += [line for line in place if line.state != OK] if options["placement"] == "enforce" else []
    unmet = [line for line in own + place if line.state != OK]
    shown = own + place if options["show"] == "always" or refused else unmet
    text = table(title, shown)
    if refused:
        words = ", ".join(
            f"{line.item} {'could not be read' if line.state == UNREAD else 'is short'}" for line in refused
        )
        # All readings would bury the table.
        result.pop("hardware", None)
        result.update(failed=True, msg=f"{words}\n{text}")
        return result
    if shown:
        display.display(text)
    if unmet:
        result["warnings"] = [f"{title}: {len(unmet)} of {len(own + place)} requirements not met or not readable"]
    result["msg"] = f"{len(own + place) - len(unmet)} of {len(own + place)} requirements met"
    return result


def in_words(line: Line) -> str:
    return f"{line.item} {'could not be read' if line.state == UNREAD else 'is short'}"


def about(hardware: dict[str, t.Any]) -> str:
    """ " on Supermicro AS -1115CS-TNR", " in a container (systemd-nspawn)" or "" ."""
    if not hardware:
        return ""
    system = hardware["hardware"]["system"]
    if system["container"]["value"]:
        return f" in a container ({system['container']['value']})"
    names = [system[key]["value"] for key in ("manufacturer", "product") if system[key]["value"]]
    return " on " + " ".join(names) if names else " on a virtual machine" if system["virtual"]["value"] else ""


def table(title: str, lines: list[Line]) -> str:
    """Aligned columns, the source of each value at the end of its line."""
    if not lines:
        return f"{title}: nothing is required"
    widths = [max(len(getattr(line, key)) for line in lines) for key in ("state", "item", "wanted")]
    rows = [title]
    for line in lines:
        head = f"  {line.state:{widths[0]}}  {line.item:{widths[1]}}  wanted {line.wanted:{widths[2]}}  "
        rows.append(f"{head}found {line.found}  [{line.read_from}]")
    return "\n".join(rows)


def write_report(directory: Path, host: str, result: dict[str, t.Any]) -> str:
    """The lines and the readings as JSON, replaced whole."""
    path = directory / f"{host}.json"
    content = {"host": host, "lines": result["lines"], "hardware": result.get("hardware")}
    try:
        directory.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial")
        partial.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")
        partial.rename(path)
    except OSError as error:
        raise AnsibleActionFail(f"report_dir = {directory}: the report of {host} cannot be written: {error}") from error
    return str(path)
