# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a host is called in certificates: only what the inventory says, never what the host says of itself. Pure."""

from __future__ import annotations

import typing as t
from collections.abc import Iterable, Mapping

# Every host's; a service that is asked over loopback shows the same certificate.
LOOPBACK = ("localhost", "127.0.0.1", "::1")
ADDRESSES = ("site_address", "ansible_host")
EXTRA = "host_certificate_extra_names"


def names_of(host: str, known: Mapping[str, t.Any]) -> list[str]:
    """The host's name, its name in the site's domain, its addresses, and what the inventory adds."""
    names = [host]
    fqdn = known.get("site_fqdn") or (f"{host}.{known['site_domain']}" if known.get("site_domain") else "")
    names += [str(fqdn)] if fqdn else []
    names += [str(known[key]) for key in ADDRESSES if known.get(key)]
    extra = known.get(EXTRA) or []
    names += [str(name) for name in extra]
    return list(dict.fromkeys([*names, *LOOPBACK]))


def requests_of(hosts: Iterable[str], hostvars: Mapping[str, t.Any], registered: str) -> list[dict[str, t.Any]]:
    """What the authority is given: each host that asked, with the names that the inventory has for it."""
    asked = []
    for host in hosts:
        known = hostvars[host]
        answer = known.get(registered) or {}
        if answer.get("needs_signing") and answer.get("csr"):
            asked.append({"name": str(host), "csr": str(answer["csr"]), "names": names_of(str(host), known)})
    return asked
