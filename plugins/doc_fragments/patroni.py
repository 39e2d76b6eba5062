# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How the modules that talk to Patroni's REST API reach it."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  address:
    description: Address of this member's REST API, which its certificate names.
    type: str
    required: true
  port:
    description: TCP port of the REST API.
    type: int
    default: 8008
  ca:
    description: File on the host with the CA that signed the members' certificates.
    type: path
    default: /etc/chainops/tls/ca.pem
  cert:
    description: File on the host with its certificate, which requests that change something must show.
    type: path
    default: /etc/chainops/tls/host.pem
  key:
    description: File on the host with the key of O(cert). It is read on the host and never returned.
    type: path
    default: /etc/chainops/tls/host.key
"""
