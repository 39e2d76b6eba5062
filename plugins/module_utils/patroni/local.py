# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the Patroni of this host is configured to run: its own file says, whatever else was given."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass
from pathlib import Path

from .rest import Rest

try:
    import yaml
except ImportError:  # Patroni brings it
    yaml = None  # type: ignore[assignment]  # who needs it says so

CONFIG = "/etc/patroni/config.yml"


class LocalError(Exception):
    """The file is missing, or says less than is needed."""


def endpoint(text: str) -> tuple[str, int]:
    host, _colon, port = text.rpartition(":")
    return host.strip("[]"), int(port)


@dataclass(frozen=True)
class Local:
    """One member."""

    name: str
    scope: str
    namespace: str
    data_dir: Path
    bin_dir: Path
    port: int
    rest_at: tuple[str, int]
    rest_tls: dict[str, t.Any]
    etcd_at: tuple[tuple[str, int], ...]
    etcd_tls: dict[str, t.Any]

    @property
    def prefix(self) -> str:
        """Below which the cluster's state is in etcd."""
        return f"/{self.namespace.strip('/')}/{self.scope}/"

    def rest(self) -> Rest:
        return Rest(*self.rest_at, **self.rest_tls)

    def described(self) -> dict[str, t.Any]:
        return {
            "name": self.name,
            "scope": self.scope,
            "data_dir": str(self.data_dir),
            "bin_dir": str(self.bin_dir),
            "port": self.port,
            "rest_address": self.rest_at[0],
            "rest_port": self.rest_at[1],
            **{f"rest_{name}": path for name, path in self.rest_tls.items()},
        }


def read(path: str = CONFIG) -> Local:
    if yaml is None:
        raise LocalError("Python's yaml, which Patroni needs too, is not on this host")
    try:
        found = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise LocalError(f"{path}: {error.strerror}; the data layer's playbook writes it") from None
    except (yaml.YAMLError, ValueError):
        raise LocalError(f"{path} is no YAML") from None
    try:
        postgresql, rest, etcd = found["postgresql"], found["restapi"], found["etcd3"]
        return Local(
            str(found["name"]),
            str(found["scope"]),
            str(found["namespace"]),
            Path(postgresql["data_dir"]),
            Path(postgresql["bin_dir"]),
            endpoint(postgresql["connect_address"])[1],
            endpoint(rest["connect_address"]),
            {"ca": rest["cafile"], "cert": rest["certfile"], "key": rest["keyfile"]},
            tuple(endpoint(host) for host in etcd["hosts"]),
            {"ca": etcd["cacert"], "cert": etcd["cert"], "key": etcd["key"]},
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise LocalError(f"{path} is not as the role postgresql writes it: {error!r}") from None
