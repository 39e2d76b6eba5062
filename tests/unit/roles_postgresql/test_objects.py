# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the role postgresql_objects gives its module: the site's objects, after those that the layer needs."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.plugins.loader import init_plugin_loader
from ansible.template import trust_as_template
from ansible_collections.chainops.infra.plugins.module_utils.pg_objects.spec import ITEMS, arguments

from tests.unit.roles.role_files import ROOT
from tests.unit.roles_edge import role_checks
from tests.unit.roles_ethereum.rendered import Role

BRING, MODULE = "chainops.infra.templates", "chainops.infra.postgresql_objects"
LOOKUP = {"database": "postgres", "schema": "lookup", "name": "find", "arguments": "wanted text"}
GIVEN: dict[str, list[dict[str, Any]]] = {
    "roles": [{"name": "app", "login": True, "connection_limit": 50}],
    "memberships": [{"role": "readers", "member": "app"}],
    "databases": [{"name": "app", "owner": "app"}],
    "schemas": [{"database": "app", "name": "app"}],
    "extensions": [{"database": "app", "name": "pg_stat_statements"}],
    "functions": [LOOKUP | {"body": "SELECT 1", "security_definer": True, "settings": {"search_path": "pg_catalog"}}],
    "grants": [{"database": "app", "role": "app", "type": "schema", "schema": "app", "privileges": ["usage"]}],
}
NAMES = ("name", "member", "database")
NEEDED = {
    kind: [{key: "needed" if key in NAMES else value for key, value in item.items()}] for kind, (item,) in GIVEN.items()
}


@pytest.fixture(autouse=True, scope="module")
def loader() -> None:
    """Lookups are found by name only after this; it warns where another test has done it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        init_plugin_loader()


def role(**variables: Any) -> Role:
    return Role("postgresql_objects", **variables)


def options(given: dict[str, Any]) -> dict[str, Any]:
    return {f"postgresql_objects_{name}": items for name, items in given.items()}


def task(module: str) -> dict[str, Any]:
    """The one task that uses a module."""
    blocks = yaml.safe_load((ROOT / "roles/postgresql_objects/tasks/main.yml").read_text(encoding="utf-8"))
    (found,) = [each for block in blocks for each in block["block"] if module in each]
    return found


def worked_out(given: Role, value: Any) -> Any:
    if isinstance(value, dict):
        return {key: worked_out(given, item) for key, item in value.items()}
    return given._templar.template(trust_as_template(value)) if isinstance(value, str) else value


def module_arguments(**variables: Any) -> dict[str, Any]:
    """As the module gets them; what it would refuse is an error here."""
    made = worked_out(role(**variables), task(MODULE)[MODULE])
    checked = ArgumentSpecValidator(arguments()).validate(made)
    assert checked.error_messages == []
    return checked.validated_parameters


def runs(**variables: Any) -> bool:
    return bool(worked_out(role(**variables), "{{ " + task(MODULE)["when"] + " }}"))


def named(items: list[dict[str, Any]]) -> list[Any]:
    return [next(item[key] for key in NAMES if item.get(key)) for item in items]


def test_the_role_has_every_kind_of_object_that_the_module_has() -> None:
    assert set(GIVEN) == set(ITEMS) == set(ITEMS) & set(task(MODULE)[MODULE])


@pytest.mark.parametrize("name", list(ITEMS))
def test_each_is_described_as_for_the_module(name: str) -> None:
    """But for passwords, which the role takes from files of the control node."""
    spec = role_checks.COLLECTION.role("postgresql_objects").options[f"postgresql_objects_{name}"]
    of_role = {
        key: {word: value for word, value in option.items() if word != "description"}
        for key, option in spec["options"].items()
    }
    of_module = {key: option for key, option in ITEMS[name].items() if not key.startswith("password_")}
    assert of_role.pop("password_file", None) == ({"type": "str"} if name == "roles" else None)
    assert of_role == of_module


def test_what_is_described_is_what_the_module_gets() -> None:
    found = module_arguments(**options(GIVEN))
    for name, items in GIVEN.items():
        assert [item.items() <= found[name][0].items() for item in items] == [True], name
    assert (found["socket_dir"], found["port"], found["timeout"]) == ("/run/postgresql", 5432, 60)
    assert found["allow_data_loss"] is False


def test_what_the_layer_needs_comes_before_it() -> None:
    found = module_arguments(__layer_postgresql_objects=NEEDED, **options(GIVEN))
    for name, (item,) in GIVEN.items():
        assert named(found[name]) == ["needed", *named([item])], name


@pytest.mark.parametrize("name", list(GIVEN))
def test_one_kind_alone_is_enough_for_a_run(name: str) -> None:
    assert runs(**options({name: GIVEN[name]}))
    assert runs(__layer_postgresql_objects={name: GIVEN[name]})
    assert len(module_arguments(__layer_postgresql_objects={name: GIVEN[name]})[name]) == 1


def test_without_objects_nothing_is_asked() -> None:
    assert not runs()
    assert not runs(__layer_postgresql_objects={})


def test_a_password_is_a_file_for_root_and_the_module_is_told_where(tmp_path: Path) -> None:
    (tmp_path / "app").write_text("canary\n")
    roles = [GIVEN["roles"][0] | {"password_file": str(tmp_path / "app")}, {"name": "reporting", "password_file": ""}]
    given = role(postgresql_objects_roles=roles, __layer_postgresql_objects={"roles": [{"name": "pooler"}]})
    (entry,) = given.value("__postgresql_objects_files")
    assert entry == {
        "content": "canary\n",
        "dest": "/etc/chainops/postgresql/app.password",
        "mode": "0600",
        "secret": True,
    }
    found = module_arguments(postgresql_objects_roles=roles, __layer_postgresql_objects={"roles": [{"name": "pooler"}]})
    assert [(each["name"], each["password_file"]) for each in found["roles"]] == [
        ("pooler", None),
        ("app", "/etc/chainops/postgresql/app.password"),
        ("reporting", None),
    ]
    assert "canary" not in str(found)


def test_good_objects_are_not_named() -> None:
    assert role_checks.mistakes("postgresql_objects") == []
    assert role_checks.mistakes("postgresql_objects", __layer_postgresql_objects=NEEDED, **options(GIVEN)) == []


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"roles": [{"name": "app"}, {"name": "app"}]}, "a role is given twice"),
        ({"roles": [{"name": "needed"}]}, "postgresql_objects_roles names needed, which another service"),
        ({"roles": [{"name": "replicator"}]}, "which belongs to the cluster itself"),
        ({"roles": [{"name": "a b"}]}, 'postgresql_objects_roles[0].name = "a b": must be a name'),
        ({"databases": [{"name": "a b"}]}, 'postgresql_objects_databases[0].name = "a b": must be a name'),
        ({"databases": [{"name": "app"}, {"name": "app"}]}, "a database is given twice"),
        ({"functions": [LOOKUP, LOOKUP]}, "postgresql_objects_functions = find, find: a function is given twice"),
        ({"functions": [LOOKUP | {"arguments": "); DROP"}]}, "must be names and types"),
        ({"roles": [{"name": "a", "conection_limit": 5}]}, "postgresql_objects_roles[0].conection_limit is unknown"),
        ({"grants": [{**GIVEN["grants"][0], "privilege": []}]}, "_grants[0].privilege is unknown: "),
        ({"functions": [{"name": "find"}]}, "postgresql_objects_functions[0].database is missing"),
        ({"grants": [{**GIVEN["grants"][0], "type": "view"}]}, "must be one of database, schema, table"),
    ],
)
def test_what_does_not_fit_is_named(given: dict[str, Any], words: str) -> None:
    found = role_checks.mistakes("postgresql_objects", __layer_postgresql_objects=NEEDED, **options(given))
    assert [text for text in found if words in text], found


def test_functions_of_one_name_with_other_arguments_are_two() -> None:
    other = LOOKUP | {"arguments": "wanted integer"}
    assert role_checks.mistakes("postgresql_objects", postgresql_objects_functions=[LOOKUP, other]) == []
