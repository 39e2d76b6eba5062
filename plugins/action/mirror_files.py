# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Bring a directory of large files to a host, what is missing there; documented in plugins/modules/mirror_files.py."""

from __future__ import annotations

import typing as t
from pathlib import Path

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.chainops.infra.plugins.module_utils.mirror.files import MirrorError, check_path, sha256

SUMS = "SHA256SUMS"
LISTS = (SUMS, "releases.json")  # what names other files, and so comes last
BATCH = 128_000_000  # bytes that lie in the host's temporary directory at once


def read_sums(path: Path) -> dict[str, str]:
    """Path to SHA-256, from a file as sha256sum writes it."""
    found = {}
    for number, line in enumerate(path.read_text().splitlines(), 1):
        value, _blank, name = line.partition(" ")
        name = name.lstrip(" *").removeprefix("./")
        if not name and not value:
            continue
        if len(value) != 64 or not name:
            raise AnsibleActionFail(f"{path}, line {number}: not a SHA-256 sum and a path: {line!r}")
        found[name] = value.lower()
    return found


def listing(source: Path) -> dict[str, str]:
    """Path to SHA-256 of what a directory has to offer, lists last."""
    if (source / SUMS).is_file():
        found = read_sums(source / SUMS)
        missing = [path for path in found if not (source / path).is_file()]
        if missing:
            raise AnsibleActionFail(f"{source / SUMS} names files that are not there: {', '.join(missing)}")
    else:
        paths = [path.relative_to(source) for path in sorted(source.rglob("*")) if path.is_file()]
        plain = [path for path in paths if not any(part.startswith(".") for part in path.parts)]
        found = {path.as_posix(): sha256(source / path) for path in plain}
    lists = {name: sha256(source / name) for name in LISTS if (source / name).is_file()}
    return {**{path: value for path, value in found.items() if path not in lists}, **lists}


class ActionModule(ActionBase):
    TRANSFERS_FILES = False  # a run with nothing to bring needs no temporary directory
    _supports_check_mode = True
    _supports_async = False
    _VALID_ARGS = frozenset(("src", "dest"))

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        result = super().run(tmp, task_vars)
        variables = task_vars or {}
        if not self._task.args.get("src") or not self._task.args.get("dest"):
            raise AnsibleActionFail(
                "mirror_files needs src, a directory of the control node, and dest, one of the host"
            )
        source = Path(self._loader.path_dwim(str(self._task.args["src"])))
        if not source.is_dir():
            raise AnsibleActionFail(f"src: {source} is no directory of the control node")
        wanted = listing(source)
        try:
            for path in wanted:
                check_path(path)
        except MirrorError as error:
            raise AnsibleActionFail(f"{source}: {error}") from error
        arguments = {
            "src": str(source),
            "dest": self._task.args["dest"],
            "wanted": wanted,
            "sizes": {path: (source / path).stat().st_size for path in wanted},
        }
        state = self._ask(arguments, variables)
        missing, surplus = state["missing"], state["surplus"]
        if not self._task.check_mode and missing:
            directory = self._make_tmp_path()
            try:
                self._upload(source, arguments, missing, directory, variables)
            finally:
                self._remove_tmp_path(directory)
        elif not self._task.check_mode and surplus:
            self._ask({**arguments, "finish": True}, variables)
        result.update(
            changed=bool(missing or surplus),
            uploaded=missing,
            removed=surplus,
            files=len(wanted),
            diff={
                "before": "".join(f"{path}\n" for path in surplus),
                "after": "".join(f"{path}\n" for path in missing),
                "before_header": arguments["dest"],
                "after_header": arguments["dest"],
            },
        )
        return result

    def _ask(self, arguments: dict[str, t.Any], variables: dict[str, t.Any]) -> dict[str, t.Any]:
        answer = self._execute_module(
            module_name="chainops.infra.mirror_files", module_args=arguments, task_vars=variables
        )
        if answer.get("failed"):
            raise AnsibleActionFail(answer.get("msg", "the host's part of mirror_files failed"), result=answer)
        return answer

    def _upload(
        self,
        source: Path,
        arguments: dict[str, t.Any],
        missing: list[str],
        directory: str,
        variables: dict[str, t.Any],
    ) -> None:
        """Bring what is missing, in batches, so that the temporary directory never holds all of it."""
        incoming: dict[str, str] = {}
        size = 0
        for number, path in enumerate(missing):
            target = self._connection._shell.join_path(directory, f"upload-{number}")
            incoming[path] = self._transfer_file(str(source / path), target)
            size += arguments["sizes"][path]
            last = number + 1 == len(missing)
            # The lists are a batch of their own: they must not be there before what they name.
            if size > BATCH or last or (missing[number + 1] in LISTS and path not in LISTS):
                self._ask({**arguments, "incoming": incoming, "finish": last}, variables)
                incoming, size = {}, 0
