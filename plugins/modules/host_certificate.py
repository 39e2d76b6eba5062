#!/usr/bin/python
# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
module: host_certificate
short_description: A host's own key and certificate, renewed in time and switched together
version_added: 0.1.0
author: The chainops.infra authors (@chainops)
description:
  - Makes the host's private key, which never leaves it, and a signing request where there is no certificate or the one
    in use will not do. That is when it ends within O(renew_days), is for other names, does not belong to its key, or
    is not from the authority beside it.
  - With O(certificate), puts the answer in use. Key, certificate and authority are written to a directory of their own,
    and one rename of a symbolic link switches all three, so that none is ever beside another's.
  - With O(given), uses a key and certificate that somebody else brought to the host, after the same checks.
  - Without any of them it asks. A request that was not answered is asked again, so that a run that was killed is
    finished by the next.
options:
  path:
    description: Directory of the files C(host.key), C(host.pem), C(ca.pem), which are links that stay the same.
    type: path
    default: /etc/chainops/tls
  common_name:
    description: The host's name; the subject of the certificate and the first of its names.
    type: str
    required: true
  names:
    description: Further host names and IP addresses.
    type: list
    elements: str
    default: []
  group:
    description: Group that may read the key.
    type: str
    default: ssl-cert
  renew_days:
    description: Days before its end at which a certificate is renewed.
    type: int
    default: 30
  renew:
    description: Ask for a new certificate although the one in use is good.
    type: bool
    default: false
  certificate:
    description: The signed certificate, with those of intermediates after it, as PEM. It must answer the request.
    type: str
  ca:
    description:
      - What the host is to trust, as PEM; needed with O(certificate).
      - Without O(certificate), only this is replaced, if the certificate in use is from an authority in it.
    type: str
  given:
    description: Files on the host to use instead of asking. Nothing is signed then, and nothing renewed.
    type: dict
    suboptions:
      key:
        description: The private key, PEM without a password.
        type: path
        required: true
      certificate:
        description: The certificate, with those of intermediates after it. It must be for servers and for clients.
        type: path
        required: true
      ca:
        description: The authorities that all hosts' certificates are from.
        type: path
        required: true
  metrics:
    description: File for the textfile collector of node_exporter with the time of expiry; empty for none.
    type: str
    default: /var/lib/node_exporter/host_certificate.prom
attributes:
  check_mode:
    description:
      - Says whether a certificate would be asked for or installed; no key is made.
      - A host without openssl yet would ask.
    support: full
  diff_mode:
    description: Shows names and end of the certificate, and why another is needed; nothing of the key.
    support: full
notes:
  - Runs the program C(openssl); needs no Python library. No key is ever in a result, a message or an argument.
seealso:
  - module: chainops.infra.certificate_sign
"""

EXAMPLES = r"""
- name: Ask for a certificate where one is needed
  chainops.infra.host_certificate:
    common_name: "{{ inventory_hostname }}"
    names: [db-a.example.org, 10.10.1.31, localhost]
  register: asked

- name: Put the answer in use
  chainops.infra.host_certificate:
    common_name: "{{ inventory_hostname }}"
    names: [db-a.example.org, 10.10.1.31, localhost]
    certificate: "{{ signed.certificates[inventory_hostname] }}"
    ca: "{{ signed.ca }}"
"""

RETURN = r"""
needs_signing:
  description: Whether a certificate is asked for.
  returned: success
  type: bool
csr:
  description: The signing request as PEM; empty where none is needed, and in check mode where it would have to be made.
  returned: success
  type: str
reason:
  description: Why it is asked for; empty where it is not.
  returned: success
  type: str
ca_known:
  description: Whether the host trusts an authority already.
  returned: success
  type: bool
ends:
  description: End of the certificate in use, in ISO 8601; empty where there is none.
  returned: success
  type: str
"""

import typing as t
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.certificates.host import UNREADABLE, HostFiles, Wanted
from ..module_utils.certificates.openssl import CertificateError, NoOpenssl

ARGUMENTS: dict[str, t.Any] = {
    "path": {"type": "path", "default": "/etc/chainops/tls"},
    "common_name": {"type": "str", "required": True},
    "names": {"type": "list", "elements": "str", "default": []},
    "group": {"type": "str", "default": "ssl-cert"},
    "renew_days": {"type": "int", "default": 30},
    "renew": {"type": "bool", "default": False},
    "certificate": {"type": "str"},
    "ca": {"type": "str"},
    "given": {
        "type": "dict",
        "options": {
            # a path: the key itself is never an argument
            "key": {"type": "path", "required": True, "no_log": False},
            "certificate": {"type": "path", "required": True},
            "ca": {"type": "path", "required": True},
        },
    },
    "metrics": {"type": "str", "default": "/var/lib/node_exporter/host_certificate.prom"},
}


def describe(host: HostFiles) -> str:
    """The certificate in use in a few lines."""
    try:
        leaf = host.leaf()
    except CertificateError:
        return "certificate: unreadable\n"
    if leaf is None:
        return "certificate: none\n"
    return f"certificate: {leaf.subject}\nnames: {', '.join(leaf.names)}\nends: {leaf.ends:%Y-%m-%d %H:%M:%S} UTC\n"


def run(module: AnsibleModule) -> dict[str, t.Any]:
    given = module.params
    host = HostFiles(Path(given["path"]), given["group"], module.check_mode)
    wanted = Wanted(given["common_name"], given["names"], given["renew_days"], given["renew"])
    if len(wanted.common_name) > 64:
        raise CertificateError(f"{wanted.common_name} is longer than the 64 characters of a subject")
    before, reason, csr, after = describe(host), "", "", ""
    if given["given"]:
        paths = {name: Path(path) for name, path in given["given"].items()}
        host.take(paths["key"], paths["certificate"], paths["ca"], wanted)
    elif given["certificate"]:
        host.install(given["certificate"], given["ca"], wanted)
    elif given["ca"]:
        host.refresh(given["ca"])
    else:
        reason = host.why_renew(wanted)
        csr = host.request(wanted) if reason else ""
        after = f"asked for: CN={wanted.common_name}\nnames: {', '.join(wanted.alternative_names)}\nbecause: {reason}\n"
    host.tend()
    if given["metrics"]:
        host.measure(Path(given["metrics"]))
    leaf = host.leaf() if reason != UNREADABLE else None
    return {
        "changed": host.changed,
        "needs_signing": bool(reason),
        "csr": csr,
        "reason": reason,
        "ca_known": bool(host.text("ca.pem")),
        "ends": leaf.ends.isoformat() if leaf else "",
        "diff": {"before": before, "after": before + after if reason else describe(host)},
    }


def main() -> None:
    module = AnsibleModule(
        argument_spec=ARGUMENTS,
        required_by={"certificate": ["ca"]},
        mutually_exclusive=[["given", "certificate"], ["given", "ca"]],
        supports_check_mode=True,
    )
    try:
        result = run(module)
    except NoOpenssl as error:
        if not module.check_mode:
            module.fail_json(msg=f"{error}: install the package openssl")
        asks = not module.params["given"]
        nothing = {"csr": "", "reason": str(error), "ca_known": False, "ends": ""}
        result = {"changed": True, "needs_signing": asks, **nothing}
    except CertificateError as error:
        module.fail_json(msg=f"certificate of {module.params['common_name']}: {error}")
    except OSError as error:
        module.fail_json(msg=f"{error.filename or module.params['path']}: {error.strerror}")
    except Exception:  # a traceback would show what was being worked with
        module.fail_json(
            msg=f"certificate of {module.params['common_name']}: an error nobody thought of; nothing is shown"
        )
    module.exit_json(**result)


if __name__ == "__main__":
    main()
