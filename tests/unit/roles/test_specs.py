"""A role's argument spec is the one source: its defaults, its page and its rules agree with it."""

from __future__ import annotations

import sys

import pytest
from ansible_collections.chainops.infra.plugins.plugin_utils.preflight import releases, rules, spec

from tests.unit.roles.role_files import ROLES, ROOT, RoleFiles, used_in

sys.path.insert(0, str(ROOT / "tools"))
import doc_roles

each_role = pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
OPTION_KEYS = {"type", "elements", "default", "description", "choices", "required", "no_log", "options"}


def options_of(options: dict, path: str = ""):
    """(path, option) of every option and suboption."""
    for name, option in options.items():
        yield path + name, option
        yield from options_of(option.get("options") or {}, f"{path}{name}.")


def test_every_role_has_an_argument_spec() -> None:
    missing = [path.name for path in ROOT.glob("roles/*") if path.is_dir() and path.name not in {r.name for r in ROLES}]
    assert missing == []


@each_role
def test_the_role_is_described(role: RoleFiles) -> None:
    assert role.spec["short_description"] and role.spec["description"]
    assert set(role.spec) <= {"short_description", "description", "options", "author", "version_added"}


@each_role
def test_defaults_are_those_of_the_spec(role: RoleFiles) -> None:
    assert role.defaults == {name: option["default"] for name, option in role.options.items() if "default" in option}


@each_role
def test_an_option_is_required_or_has_a_default(role: RoleFiles) -> None:
    neither = [name for name, option in role.options.items() if not option.get("required") and "default" not in option]
    assert neither == [], "without a default (null is one) the role reads an undefined variable"


@each_role
def test_every_option_is_one_that_preflight_checks(role: RoleFiles) -> None:
    problems = []
    for path, option in options_of(role.options):
        unknown = set(option) - OPTION_KEYS - set(spec.CONSTRAINTS)
        if unknown:
            problems.append(f"{path} has {', '.join(sorted(unknown))}")
        if option.get("type") not in spec.TYPES:
            problems.append(f"{path} has no type")
        if option.get("type") == "list" and "elements" not in option:
            problems.append(f"{path} is a list without elements")
    assert problems == []


@each_role
def test_every_option_says_what_it_is(role: RoleFiles) -> None:
    problems = []
    for path, option in options_of(role.options):
        texts = option.get("description") or []
        texts = [texts] if isinstance(texts, str) else texts
        if not texts:
            problems.append(f"{path} has no description")
        problems += [
            f"{path}: no sentence: {text}" for text in texts if not text.strip().endswith((".", ":", ")", "?"))
        ]
    assert problems == []


@each_role
def test_plain_defaults_are_good_values(role: RoleFiles) -> None:
    problems = []
    for name, option in role.options.items():
        if "default" in option and "{{" not in str(option["default"]):
            problems += [f"{p.path} {p.text}" for p in spec.check_value(name, option, option["default"])[1]]
    assert problems == []


@each_role
def test_names_have_the_role_s_prefix(role: RoleFiles) -> None:
    assert [name for name in role.options if not name.startswith(f"{role.name}_")] == []
    assert [name for name in role.variables if not name.startswith(f"__{role.name}_")] == []
    registered = [task["register"] for task in role.all_tasks if "register" in task]
    assert [name for name in registered if not name.startswith(f"__{role.name}_")] == []


@each_role
def test_the_rules_of_preflight_can_be_read(role: RoleFiles) -> None:
    parsed = rules.parse(role.rules)
    assert parsed.errors == []
    named = [*parsed.ranges, *parsed.patterns, *parsed.ports]
    for item in parsed.site:
        named += [*item.get("agree", []), *item.get("unique", [])]
    if parsed.release:
        named += [parsed.release, rules.release_option(parsed.release, "version")]
    assert [name for name in named if rules.option_of(name) not in role.options] == []
    assert [name for name in parsed.known if not name.startswith(f"{role.name}_")] == []


@each_role
def test_a_role_that_installs_a_release_has_the_rule_about_it(role: RoleFiles) -> None:
    installs = any("chainops.infra.release" in task for task in role.all_tasks)
    assert rules.parse(role.rules).release == (f"{role.name}_releases" if installs else "")


@each_role
def test_rules_read_only_what_the_role_may_read(role: RoleFiles) -> None:
    assert [name for name in used_in(role.rules) if not role.may_read(name) and name != "preflight_hosts"] == []


@each_role
def test_plain_defaults_keep_the_rules(role: RoleFiles) -> None:
    parsed = rules.parse(role.rules)
    problems = []
    for name, bounds in parsed.ranges.items():
        default = role.defaults.get(rules.option_of(name))
        if default is not None and "{{" not in str(default):
            problems += rules.check_range(name, bounds, default)
    for name, pattern in {**parsed.patterns, **rules.release_patterns(parsed.release, role.options)}.items():
        default = role.defaults.get(rules.option_of(name))
        if default is not None and "{{" not in str(default):
            problems += rules.check_pattern(name, pattern, default)
    if role.defaults.get(parsed.release):
        problems += [found for found, _about in releases.check_release(parsed.release, role.options, role.defaults)]
    assert [f"{problem.path} {problem.text}" for problem in problems] == []


@each_role
def test_the_page_is_the_generated_one(role: RoleFiles) -> None:
    readme = role.path / "README.md"
    assert readme.exists(), "run `make docs`"
    page = doc_roles.page(role.path, role.spec).rstrip() + "\n"
    assert readme.read_text(encoding="utf-8") == page, "run `make docs`"
