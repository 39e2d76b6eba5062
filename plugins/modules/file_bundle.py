#!/usr/bin/python
# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
module: file_bundle
short_description: The half of chainops.infra.templates that runs on the host
version_added: 0.1.0
author: The chainops.infra authors (@chainops)
description:
  - Brings rendered files onto the host, all of them or none. The action M(chainops.infra.templates) renders them and
    calls this module once; it is not meant for playbooks.
options:
  payload:
    description:
      - The bundle, as C(plugins/module_utils/bundle/model.py) encodes it (JSON, compressed, base64).
      - It is one string, so that hiding it hides nothing else, and it is never logged, as files may be secret.
    type: str
    required: true
attributes:
  check_mode:
    support: full
    description: Says what would change, and runs the validators that are there on copies.
  diff_mode:
    support: full
    description: Shows content and attributes of each file; of a secret file, only that it changes.
seealso:
  - module: chainops.infra.templates
"""

EXAMPLES = r"""
- name: Use the action instead
  chainops.infra.templates:
    files:
      - {content: "vm.swappiness = 1\n", dest: /etc/sysctl.d/60-example.conf, mode: "0644"}
    on_change:
      - [sysctl, --system]
"""

RETURN = r"""
changed_files:
  description: Files whose content or attributes changed, and paths removed.
  returned: always
  type: list
  elements: str
changed_directories:
  description: Directories made, or whose attributes changed.
  returned: always
  type: list
  elements: str
completed:
  description: An earlier run had been killed before it was through; this one finished its work.
  returned: always
  type: bool
commands:
  description: Commands of C(on_change) that ran, or would run in check mode.
  returned: always
  type: list
  elements: list
backup_files:
  description: Files that were kept as a backup, by path.
  returned: always
  type: dict
missing:
  description: In check mode, what an earlier task would have to bring first (owners, directories, validators).
  returned: in check mode
  type: list
  elements: str
"""

import typing as t
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.bundle import commands
from ..module_utils.bundle.apply import Application, Refused, describe, rehearse
from ..module_utils.bundle.diff import diff_of
from ..module_utils.bundle.journal import REPLACING, Busy, Entry, Journal, state_directory, take_back
from ..module_utils.bundle.model import Bundle
from ..module_utils.bundle.plan import Plan, plan
from ..module_utils.bundle.stage import remove_stale_stages


class Failed(Exception):
    """A message for the user; it never holds a secret."""


def unfinished(bundle: Bundle, journal: Journal) -> list[Entry]:
    """Entries of killed runs that changed what this bundle decides about."""
    return [entry for entry in journal.entries() if bundle.paths & set(entry.paths)]


def report(bundle: Bundle, found: Plan, left: list[Entry], diff: bool) -> dict[str, t.Any]:
    changed = bool(found.changes or left)
    result: dict[str, t.Any] = {
        "changed": changed,
        "changed_files": sorted(str(change.path) for change in found.changes if not change.about_directory),
        "changed_directories": sorted(str(change.path) for change in found.changes if change.about_directory),
        "completed": bool(left),
        "commands": [list(argv) for argv in bundle.on_change] if changed else [],
        "backup_files": {},
    }
    if diff:
        result["diff"] = [diff_of(change) for change in found.changes]
        if left:
            result["diff"].append({"prepared": "an interrupted run is finished\n"})
    return result


def check(bundle: Bundle, journal: Journal, diff: bool) -> dict[str, t.Any]:
    found = plan(bundle)
    if found.errors:
        raise Failed("\n".join(found.errors))
    result = report(bundle, found, unfinished(bundle, journal), diff)
    result["missing"] = found.missing + rehearse(bundle, found)
    return result


def apply(bundle: Bundle, journal: Journal, diff: bool) -> dict[str, t.Any]:
    with journal.lock():
        left = unfinished(bundle, journal)
        for entry in left:
            take_back_unfinished(entry, journal)
        known = {stage for entry in journal.entries() for stage in entry.stages}
        remove_stale_stages({Path(path).parent for path in bundle.paths}, known)
        found = plan(bundle)
        if found.errors or found.missing:
            raise Failed("\n".join([*found.errors, *found.missing, "Nothing was changed."]))
        result = report(bundle, found, left, diff)
        if not result["changed"]:
            return result
        application = Application(bundle, found, journal)
        entry = application.replace()
        result["backup_files"] = application.backups
        for earlier in left:
            journal.remove(earlier)
        for argv in bundle.on_change:
            try:
                commands.run(argv, bundle.mask)
            except commands.CommandFailed as error:
                raise Failed(
                    f"on_change: {error}\nThe files are in place, and the next run begins with on_change again."
                ) from None
        journal.remove(entry)
        return result


def take_back_unfinished(entry: Entry, journal: Journal) -> None:
    if entry.state != REPLACING:
        return
    failures = take_back(entry)
    if failures:
        raise Failed(f"an interrupted run cannot be taken back: {'; '.join(failures)}")
    # on_change is still due: something may have been started from the files meanwhile
    entry.accept()
    journal.write(entry)


def main() -> None:
    module = AnsibleModule(
        argument_spec={"payload": {"type": "str", "required": True, "no_log": True}},
        supports_check_mode=True,
    )
    # Everything is caught: the text of an unforeseen exception may hold what a file holds.
    try:
        bundle = Bundle.decode(module.params["payload"])
        work = check if module.check_mode else apply
        result = work(bundle, Journal(state_directory()), module._diff)
    except (Failed, Refused, Busy) as error:
        module.fail_json(msg=str(error))
    except OSError as error:
        module.fail_json(msg=describe(error))
    except Exception as error:
        module.fail_json(msg=f"unforeseen {type(error).__name__}; its text is not shown, as it may hold a secret")
    module.exit_json(**result)


if __name__ == "__main__":
    main()
