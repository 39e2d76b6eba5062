# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Render many files and bring them to the host in one round trip; documented in plugins/modules/templates.py."""

from __future__ import annotations

import fnmatch
import os
import typing as t
from pathlib import Path

from ansible.errors import AnsibleActionFail, AnsibleError
from ansible.plugins.action import ActionBase
from ansible_collections.chainops.infra.plugins.module_utils.bundle.model import Bundle, Directory, File, Purge
from ansible_collections.chainops.infra.plugins.plugin_utils.templates import quick
from ansible_collections.chainops.infra.plugins.plugin_utils.templates.arguments import ARGUMENTS, mistakes, parse_mode
from ansible_collections.chainops.infra.plugins.plugin_utils.templates.render import NotRendered, Renderer

FILE_MODE = 0o644
SECRET_MODE = 0o600
DIRECTORY_MODE = 0o755


class Unshown(dict[str, t.Any]):
    """Module arguments that ANSIBLE_DEBUG does not print."""

    def __repr__(self) -> str:
        return "(not shown: files may be secret)"


class ActionModule(ActionBase):
    TRANSFERS_FILES = False
    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        super().run(tmp, task_vars)
        variables = task_vars or {}
        _validation, arguments = self.validate_argument_spec(argument_spec=ARGUMENTS)
        self._fail_with(list(mistakes(arguments)))
        bundle = self._bundle(arguments, Renderer(self, variables))
        if any(file.secret for file in bundle.files) and not self._connection.is_pipelining_enabled():
            raise AnsibleActionFail(
                "a file is secret, and without pipelining its content would be written to a temporary file: set "
                "ansible_pipelining: true for this host (and leave ANSIBLE_KEEP_REMOTE_FILES off)"
            )
        if self._is_there(bundle):
            return quick.NOTHING_TO_DO | ({"missing": []} if self._task.check_mode else {})
        result = self._execute_module(
            module_name="chainops.infra.file_bundle",
            module_args=Unshown(payload=bundle.encode()),
            task_vars=variables,
        )
        # nothing but the payload, which is hidden anyway
        result.pop("invocation", None)
        for remark in result.get("missing", []):
            result.setdefault("warnings", []).append(f"check mode: {remark}")
        return result

    def _is_there(self, bundle: Bundle) -> bool:
        command = quick.question(bundle)
        if not command:
            return False
        answer = self._low_level_execute_command(command, executable="/bin/sh")
        return answer["rc"] == 0 and quick.is_there(bundle, answer["stdout"])

    def _fail_with(self, found: list[str]) -> None:
        if found:
            raise AnsibleActionFail("\n".join(found))

    def _bundle(self, arguments: dict[str, t.Any], renderer: Renderer) -> Bundle:
        files: list[File] = []
        directories = [
            Directory(entry["path"], parse_mode(entry["mode"], DIRECTORY_MODE), entry["owner"], entry["group"])
            for entry in arguments["directories"]
        ]
        purge: list[Purge] = []
        mask: set[str] = set()
        wrong: list[str] = []
        for number, entry in enumerate(arguments["files"]):
            try:
                content, added = renderer.render(entry)
            except NotRendered as error:
                wrong.append(f"files[{number}] ({entry['dest']}): {error}")
                continue
            if entry["secret"]:
                mask |= added
            files.append(
                File(
                    entry["dest"],
                    parse_mode(entry["mode"], SECRET_MODE if entry["secret"] else FILE_MODE),
                    entry["owner"],
                    entry["group"],
                    content,
                    entry["validate"],
                    entry["backup"],
                    entry["secret"],
                    entry["symlink"],
                )
            )
        for number, tree in enumerate(arguments["trees"]):
            try:
                self._tree(tree, files, directories)
            except AnsibleError as error:
                wrong.append(f"trees[{number}] ({tree['dest']}): {error.message}")
            if tree["purge"]:
                purge.append(Purge(tree["dest"], tuple(tree["patterns"])))
        self._fail_with(wrong)
        return Bundle(
            tuple(files),
            tuple(directories),
            tuple(arguments["absent"]),
            tuple(purge),
            tuple(tuple(argv) for argv in arguments["validate_bundle"]),
            tuple(tuple(argv) for argv in arguments["on_change"]),
            tuple(sorted(mask)),
        )

    def _tree(self, tree: dict[str, t.Any], files: list[File], directories: list[Directory]) -> None:
        """A directory of the controller, as it is; files that match only, and directories that hold such."""
        top = Path(self._find_needle("files", tree["src"]))
        if not top.is_dir():
            raise AnsibleError(f"src = {tree['src']}: {top} is not a directory")
        mode = parse_mode(tree["mode"], FILE_MODE)
        known = {entry.path for entry in directories}
        found = 0
        for folder, folders, names in os.walk(top):
            folders.sort()
            matching = sorted(name for name in names if any(fnmatch.fnmatch(name, p) for p in tree["patterns"]))
            for name in matching:
                source = Path(folder, name)
                for parent in reversed(source.relative_to(top).parents):
                    path = str(Path(tree["dest"], parent))
                    if path not in known:
                        known.add(path)
                        directories.append(Directory(path, mode | (mode & 0o444) >> 2, tree["owner"], tree["group"]))
                dest = str(Path(tree["dest"], source.relative_to(top)))
                files.append(File(dest, mode, tree["owner"], tree["group"], source.read_bytes()))
                found += 1
        if not found:
            raise AnsibleError(f"src = {tree['src']}: no file in {top} matches {', '.join(tree['patterns'])}")
