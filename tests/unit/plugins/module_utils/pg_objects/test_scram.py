"""Verifiers against those that PostgreSQL 17 made of the same passwords, and names and values in SQL."""

from __future__ import annotations

import pytest
from ansible_collections.chainops.infra.plugins.module_utils.pg_objects import quoting, scram

# Made by CREATE ROLE … PASSWORD of PostgreSQL 17.12
MADE = {
    "pencil": "p/Njchtt+yOcFxx0HEr4cw==$YiRnBd5+WGCgCIIym0rhIZ5TgpL+kbDj8MMqt0IobAQ=:"
    "A33IXb6qFbwGeTu7G2H0IHtLoIW5eSs1aXK5NfSstsE=",
    "p\xe4 ss'word": "cbdvvxrFQiCqLv17ra5utw==$RuOxPQu9jLK5YfQOZvbscw+INiIqpRVu06ESh/niBNE=:"
    "zViHG6sKbjrijDoWsdlV1yzKwIx5cj4Y9btd3nqy7kw=",
    # mapped to nothing, normalised, forbidden for its directions, forbidden as a control character
    "I\xadX": "s+SNd+m5JFpkR2mVlYQz/g==$359zhoJ4Ieu63QEOGZ+fQhPjNVHnrGhw1BJ3i/gK62w=:"
    "UwPLg2Ll3wKLVNlK5PLcfg0s37eqywOthY/4zMGw2DY=",
    "\u2168 \xa0x": "fA6aqgzN3g6H0Wwx0HyrLQ==$1LKOOiI9eRA/f3LxhjdF+Ssqrf+67FL9OFR1vb7PHRs=:"
    "8NPlzuJFEwM1gV31gvBHcV2biYCGgFZPv2H7FlkKhr0=",
    "\u06271": "DtKxbZYPH6ALWgJZS6U9sQ==$oD+grAacUx5T09Fvn6kcodBy9HVXD7zY/cyIyOGSR7U=:"
    "nGA4V+BTEoRQ+cyx3e8utOGu/0i8RJ0LvOIOq1B1Z8k=",
    "a\x07b": "HITpRXMADAAHh88yAHnOOA==$iQqGhE+2Tgy5QmpIF5Pjm7SjNPjq0YJs5x00sQIPMEU=:"
    "MI7fFlDjhTmCGc1+m9GTiLSzc04mSYVNltTXc9IGu4A=",
    "\ufb01ne": "ITxZqKzdFvufxtQmu+RQLA==$ona9s5CLQjtvTVMvGW25PP9uL5QopC9RjhOC2RrVm04=:"
    "zHaP+yCjrCwMe8G+TgKE1D0QNCzu+IrRQ9fX3hLjyQg=",
}  # fmt: skip


@pytest.mark.parametrize("password", MADE, ids=ascii)
def test_postgresql_s_own_verifier_is_recognised(password: str) -> None:
    verifier = f"SCRAM-SHA-256$4096:{MADE[password]}"
    assert scram.is_verifier(verifier)
    assert scram.matches(password, verifier)
    assert not scram.matches(password + "x", verifier)


def test_a_new_verifier_has_a_salt_of_its_own() -> None:
    one, two = scram.make("pencil"), scram.make("pencil", 10000)
    assert one != two
    assert two.startswith("SCRAM-SHA-256$10000:")
    assert scram.matches("pencil", one)
    assert scram.matches("pencil", two)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "pencil",
        "md5" + "0" * 32,
        "SCRAM-SHA-256$0:AAAA$AAAA:AAAA",
        "SCRAM-SHA-256$4096:AAAA$AAAA:AAAA",
        "SCRAM-SHA-256$4096:" + MADE["pencil"] + "\n",
        "SCRAM-SHA-256$4096:" + MADE["pencil"].replace("=:", ":"),
        "SCRAM-SHA-256$99999999:" + MADE["pencil"],
    ],
)
def test_what_is_no_verifier(text: str) -> None:
    assert not scram.is_verifier(text)
    assert not scram.matches("pencil", text)


@pytest.mark.parametrize(
    ("name", "quoted"),
    [
        ("app", '"app"'),
        ('a"b', '"a""b"'),
        ("x; DROP", '"x; DROP"'),
        ("\\! id", '"\\! id"'),
        ("ß" * 31, f'"{"ß" * 31}"'),
    ],
)
def test_names_are_identifiers_whatever_is_in_them(name: str, quoted: str) -> None:
    assert quoting.ident(name) == quoted


@pytest.mark.parametrize("name", ["", "a\0b", "x" * 64, "ß" * 32])
def test_a_name_that_would_be_cut_off_is_refused(name: str) -> None:
    with pytest.raises(quoting.BadName):
        quoting.ident(name)


def test_values_are_strings_whatever_is_in_them() -> None:
    assert quoting.literal("it's") == "'it''s'"
    assert quoting.literal("\\'; --") == " E'\\\\''; --'"
    assert quoting.literal(":x $$ \n") == "':x $$ \n'"
    assert quoting.setting_value(["$user", "public"]) == "'$user', 'public'"
    assert quoting.stored_value(["$user", "public"]) == '"$user", public'
    assert quoting.setting_value(True) == "'on'"
    assert quoting.setting_name('auto_explain.log"x') == '"auto_explain"."log""x"'
    assert quoting.role("public") == "PUBLIC"
    assert quoting.role("Public") == '"Public"'
    with pytest.raises(quoting.BadName):
        quoting.literal("a\0")
