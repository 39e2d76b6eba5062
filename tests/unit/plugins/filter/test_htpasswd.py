"""The line of a user in an htpasswd file, and what is refused."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.chainops.infra.plugins.filter.htpasswd_line import htpasswd_line

PASSWORD = "a" * 24


def test_the_line_is_that_of_the_format() -> None:
    # printf %024d 0 | tr 0 a | openssl dgst -sha1 -binary | base64
    line = htpasswd_line("redis", PASSWORD)
    assert line == "redis:{SHA}scdq7HZ0hl1TRrOw0cssIjxT5z4="
    assert PASSWORD not in line


@pytest.mark.parametrize(
    ("user", "password"), [("redis", "short"), ("redis", "a" * 30 + "\n"), ("a:b", PASSWORD), ("", PASSWORD)]
)
def test_what_is_refused_is_not_repeated(user: str, password: str) -> None:
    with pytest.raises(AnsibleFilterError) as caught:
        htpasswd_line(user, password)
    assert password not in str(caught.value)
