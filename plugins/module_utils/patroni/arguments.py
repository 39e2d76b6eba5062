# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The options that all modules for Patroni's REST API have; documented in plugins/doc_fragments/patroni.py."""

from __future__ import annotations

import typing as t

from .rest import Rest

REST_ARGUMENTS: dict[str, t.Any] = {
    "address": {"type": "str", "required": True},
    "port": {"type": "int", "default": 8008},
    "ca": {"type": "path", "default": "/etc/chainops/tls/ca.pem"},
    "cert": {"type": "path", "default": "/etc/chainops/tls/host.pem"},
    # a path, not the key
    "key": {"type": "path", "default": "/etc/chainops/tls/host.key", "no_log": False},
}


def rest_of(options: dict[str, t.Any]) -> Rest:
    return Rest(options["address"], options["port"], ca=options["ca"], cert=options["cert"], key=options["key"])
