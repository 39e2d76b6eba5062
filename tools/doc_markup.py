"""Ansible's documentation markup as Markdown."""

from __future__ import annotations

import re
from typing import Any

import yaml

MARKUP = re.compile(r"\b(C|V|O|RV|E|I|B|U|L|M|P|R)\(((?:\\.|[^)\\])*)\)|\bHORIZONTALLINE\b")


def markdown(text: Any) -> str:
    """One paragraph of a description."""
    return MARKUP.sub(_replace, " ".join(str(text).split()))


def _replace(match: re.Match[str]) -> str:
    kind = match[1]
    if kind is None:
        return "\n\n---\n\n"
    body = re.sub(r"\\(.)", r"\1", match[2])
    if kind == "I":
        return f"*{body}*"
    if kind == "B":
        return f"**{body}**"
    if kind == "U":
        return f"<{body}>"
    if kind in ("L", "R"):
        label, _comma, target = body.rpartition(",")
        return f"[{label.strip()}]({target.strip()})" if kind == "L" else label.strip()
    if kind == "P":
        body = body.split("#", maxsplit=1)[0]
    return f"`{body}`"


def paragraphs(value: Any) -> list[str]:
    """A description (text or a list of texts) as paragraphs."""
    items = value if isinstance(value, list) else [value] if value else []
    return [markdown(item) for item in items]


def sentence(text: str) -> str:
    text = markdown(text)
    return text if text.endswith((".", "!", "?", ":")) else f"{text}."


def literal(value: Any) -> str:
    """A value as it would be written in YAML, on one line."""
    if isinstance(value, str) and value and "\n" not in value:
        return value
    return yaml.safe_dump(value, default_flow_style=True, width=10**6).split("\n...")[0].strip()


def facts(option: dict[str, Any], extra: str = "") -> str:
    """Type, default, choices and limits of an option, in one line."""
    words = [str(option.get("type", "str"))]
    if option.get("elements"):
        words[0] += f" of {option['elements']}"
    if option.get("choices"):
        words.append("one of " + ", ".join(f"`{literal(item)}`" for item in option["choices"]))
    if extra:
        words.append(extra)
    if option.get("required"):
        words.append("**required**")
    elif option.get("default") is not None:
        default = literal(option["default"])
        words.append(f"default `{default}`" if len(default) <= 100 else "default below")
    if option.get("no_log"):
        words.append("never shown")
    return "; ".join(words)


def block(value: Any, language: str = "yaml") -> str:
    text = value if isinstance(value, str) else yaml.safe_dump(value, sort_keys=False, width=110)
    return f"```{language}\n{text.strip()}\n```"


def nested(options: dict[str, Any], depth: int = 0) -> list[str]:
    """Suboptions or return values as nested list items."""
    lines = []
    for name, option in options.items():
        text = " ".join(paragraphs(option.get("description")))
        lines.append(f"{'  ' * depth}- `{name}` ({facts(option)}): {text}")
        lines += nested(option.get("options") or option.get("suboptions") or option.get("contains") or {}, depth + 1)
    return lines
