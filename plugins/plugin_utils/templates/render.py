# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Files rendered as ansible's own template action renders them."""

from __future__ import annotations

import json
import re
import typing as t
from pathlib import Path

from ansible.errors import AnsibleError, AnsibleUndefinedVariable
from ansible.template import generate_ansible_template_vars, trust_as_template

# What ansible.builtin.template sets by default; a template's "#jinja2:" line changes it for this template.
OVERRIDES = {"trim_blocks": True, "lstrip_blocks": False, "newline_sequence": "\n"}
# Where a configuration file's values begin and end.
DELIMITERS = re.compile(r"""[\s"'`=:,;(){}\[\]<>@|&]+""")
SHORTEST_MASKED = 4


class NotRendered(Exception):
    """Why a file could not be rendered; the text names the template."""


class Renderer:
    def __init__(self, action: t.Any, task_vars: dict[str, t.Any]) -> None:
        self.action = action
        self.loader = action._loader
        self.task_vars = task_vars

    def render(self, entry: dict[str, t.Any]) -> tuple[bytes, set[str]]:
        """The content of one file, and the words in it that are no part of its template."""
        if entry["content"] is not None:
            content = as_text(entry["content"])
            return content.encode("utf-8", "surrogateescape"), words(content)
        if entry["copy"] is not None:
            raw, _show = self.loader._get_file_contents(self._find("files", entry["copy"]))
            return raw, words(raw.decode(errors="replace")) if entry["secret"] else set()
        source = self._find("templates", entry["src"])
        template = self.loader.get_text_file_contents(source)
        try:
            content = self._template(template, source, entry)
        except AnsibleUndefinedVariable as error:
            raise NotRendered(f"template {source}: {error.message}") from error
        except AnsibleError as error:
            if entry["secret"]:
                # a filter's message may quote the value it was given
                raise NotRendered(f"template {source}: {type(error).__name__} (hidden: the file is secret)") from None
            raise NotRendered(f"template {source}: {error.message}") from error
        return content.encode("utf-8", "surrogateescape"), words(content) - words(template)

    def _find(self, kind: str, name: str) -> str:
        try:
            return self.action._find_needle(kind, name)
        except AnsibleError as error:
            raise NotRendered(error.message.splitlines()[0]) from None

    def _template(self, template: str, source: str, entry: dict[str, t.Any]) -> str:
        search = [*self.task_vars.get("ansible_search_path", []), self.loader._basedir, str(Path(source).parent)]
        variables = {
            **self.task_vars,
            **generate_ansible_template_vars(path=entry["src"], fullpath=source, dest_path=entry["dest"]),
            **entry["vars"],
        }
        if "ansible_managed" in self.task_vars:
            variables["ansible_managed"] = self.task_vars["ansible_managed"]
        templar = self.action._templar.copy_with_new_env(
            searchpath=[path for folder in search for path in (str(Path(folder, "templates")), folder)],
            available_variables=variables,
        )
        content = templar.template(trust_as_template(template), escape_backslashes=False, overrides=OVERRIDES)
        return "" if content is None else str(content)


def as_text(content: t.Any) -> str:
    """Content given in the task: text as it is, anything else as JSON."""
    if isinstance(content, str):
        return content
    end = "\n" if isinstance(content, (dict, list)) else ""
    return json.dumps(content, indent=2, sort_keys=True, default=str) + end


def words(text: str) -> set[str]:
    return {word for word in DELIMITERS.split(text) if len(word) >= SHORTEST_MASKED}
