#!/usr/bin/python
# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
module: certificate_sign
short_description: Sign the certificates of hosts with the site's own authority
version_added: 0.1.0
author: The chainops.infra authors (@chainops)
description:
  - Runs on the one host that holds the authority's key, and signs the requests of many hosts in one call.
  - A request must be for exactly the names that the inventory gives to that host (O(requests[].names)); one that asks
    for more, or for less, is refused, and then nothing at all is signed. The certificate is made from the inventory's
    names; of the request only the public key is used.
  - Makes the authority (ECDSA P-256, ten years) where there is none and O(create) allows it.
options:
  path:
    description: Directory of the authority.
    type: path
    default: /etc/chainops/ca
  site:
    description: Name of the site, which the authority's own certificate shows.
    type: str
    default: site
  requests:
    description: What is to be signed.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: The host's name in the inventory.
        type: str
        required: true
      csr:
        description: Its request as PEM.
        type: str
        required: true
      names:
        description: Names and addresses that the inventory gives to the host.
        type: list
        elements: str
        default: []
  days:
    description: Days that a certificate is valid, up to 825; never longer than the authority itself.
    type: int
    default: 397
  create:
    description:
      - Whether an authority may be made where there is none. To be V(false) where hosts have certificates already, so
        that a lost authority is noticed instead of being replaced by one that nobody trusts.
    type: bool
    default: true
attributes:
  check_mode:
    description: Checks every request and says who would get a certificate.
    support: full
  diff_mode:
    description: Shows which hosts get a certificate, with their names.
    support: full
notes:
  - Runs the program C(openssl). The authority's key is never in a result, a message or an argument.
seealso:
  - module: chainops.infra.host_certificate
"""

EXAMPLES = r"""
- name: Sign what the hosts ask for
  chainops.infra.certificate_sign:
    site: east-west
    requests:
      - {name: db-a, csr: "{{ hostvars['db-a'].asked.csr }}", names: [db-a.example.org, 10.10.1.31]}
  delegate_to: "{{ groups['site_ca'][0] }}"
  run_once: true
  register: signed
"""

RETURN = r"""
certificates:
  description: Certificate and intermediates as PEM, by the host's name.
  returned: success
  type: dict
ca:
  description: What hosts are to trust, as PEM; empty in check mode where there is no authority yet.
  returned: success
  type: str
created:
  description: Whether the authority was made.
  returned: success
  type: bool
ca_ends:
  description: End of the authority's own certificate, in ISO 8601.
  returned: success
  type: str
"""

import typing as t
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.certificates.authority import DAYS_MAX, Asked, Authority
from ..module_utils.certificates.openssl import CertificateError, NoOpenssl

ARGUMENTS: dict[str, t.Any] = {
    "path": {"type": "path", "default": "/etc/chainops/ca"},
    "site": {"type": "str", "default": "site"},
    "requests": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "name": {"type": "str", "required": True},
            "csr": {"type": "str", "required": True},
            "names": {"type": "list", "elements": "str", "default": []},
        },
    },
    "days": {"type": "int", "default": 397},
    "create": {"type": "bool", "default": True},
}


def answer(module: AnsibleModule, authority: Authority, asked: list[Asked]) -> dict[str, t.Any]:
    """Every request is checked before the first is signed."""
    days, created = module.params["days"], False
    for each in asked:
        authority.check(each)
    exists = authority.exists
    if not exists and not module.params["create"]:
        raise CertificateError(
            f"there is no authority in {authority.directory}, and this run may not found one, as hosts may trust one "
            "already: restore the directory from its backup, as the page of the role host_certificate says. Where "
            "there was never one, run the layer on all hosts of the inventory, all reached and without --limit"
        )
    if not exists and asked and not module.check_mode:
        authority.found(module.params["site"])
        created = exists = True
    own = authority.certificate() if exists else None
    certificates = {}
    if not module.check_mode:
        certificates = {each.name: authority.sign(each, days)[0] for each in asked}
    if own and own.days_left() < days:
        module.warn(
            f"the authority in {authority.bundle} ends in {own.days_left():.0f} days, and so do the certificates that "
            "it signs: rotate it as the page of the role host_certificate says"
        )
    lines = [f"{each.name}: {', '.join(each.names)}\n" for each in asked]
    return {
        "changed": bool(asked),
        "certificates": certificates,
        "ca": authority.trusted() if exists else "",
        "created": created,
        "ca_ends": own.ends.isoformat() if own else "",
        "diff": {"before": "", "after": "".join(["a new authority\n"] * created + lines)},
    }


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    given = module.params
    try:
        if not 1 <= given["days"] <= DAYS_MAX:
            raise CertificateError(f"days = {given['days']}: must be from 1 to {DAYS_MAX}")
        asked = [Asked(each["name"], each["csr"], each["names"]) for each in given["requests"]]
        if len({each.name for each in asked}) < len(asked):
            raise CertificateError("a host asks twice")
        authority = Authority(Path(given["path"]))
        if module.check_mode:
            result = answer(module, authority, asked)
        else:
            with authority.lock():
                result = answer(module, authority, asked)
    except NoOpenssl as error:
        module.fail_json(msg=f"{error}: install the package openssl on the host of the authority")
    except CertificateError as error:
        module.fail_json(msg=f"nothing was signed: {error}")
    except OSError as error:
        module.fail_json(msg=f"{error.filename or given['path']}: {error.strerror}")
    except Exception:  # a traceback would show what was being worked with
        module.fail_json(msg="nothing was signed: an error nobody thought of; nothing is shown")
    module.exit_json(**result)


if __name__ == "__main__":
    main()
