"""Write the pages that are generated: roles/*/README.md, docs/roles/README.md, docs/plugins/*.md.

Usage: docs [--check]. With --check nothing is written: the difference is shown, and there being any is exit status 1.
"""

from __future__ import annotations

import difflib
import itertools
import sys
from pathlib import Path

import doc_plugins
import doc_roles

ROOT = Path(__file__).resolve().parents[1]
# Lines of difference shown for each page: enough to see what is meant.
SHOWN = 12


def pages() -> dict[Path, str]:
    """Every generated page by its path."""
    found = doc_roles.pages(ROOT) | doc_plugins.pages(ROOT)
    return {path: text.rstrip() + "\n" for path, text in found.items()}


def stale(wanted: dict[Path, str]) -> list[Path]:
    """Pages of a role or plugin that is no more."""
    generated = [*ROOT.glob("docs/plugins/*.md"), *ROOT.glob("docs/roles/*.md"), *ROOT.glob("roles/*/README.md")]
    return sorted(set(generated) - set(wanted))


def main() -> int:
    check = sys.argv[1:] == ["--check"]
    if sys.argv[1:] and not check:
        print(__doc__, file=sys.stderr)
        return 2
    wanted = pages()
    different = 0
    for path in [*sorted(wanted), *stale(wanted)]:
        old = path.read_text(encoding="utf-8") if path.exists() else ""
        new = wanted.get(path, "")
        if old == new:
            continue
        different += 1
        name = str(path.relative_to(ROOT))
        if check:
            lines = difflib.unified_diff(
                old.splitlines(), new.splitlines(), name, f"{name} (generated)", lineterm="", n=1
            )
            print("\n".join(itertools.islice(lines, SHOWN)))
        elif new:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(new, encoding="utf-8")
            print(f"docs: {name}")
        else:
            path.unlink()
            print(f"docs: {name} removed")
    if check and different:
        print(f"docs: {different} generated pages differ from their specs; run `make docs`", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
