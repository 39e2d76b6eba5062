# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Options of the modules for InfluxDB; their argument specs: plugins/module_utils/influxdb_module.py."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  url:
    description:
      - The server's HTTP API, as the host sees it.
    type: str
    default: https://127.0.0.1:8086
  user:
    description:
      - Administrator who makes the requests. An empty one sends no credentials, for a server without authentication.
    type: str
    default: admin
  user_password_file:
    description:
      - File on the host with the administrator's password in its first line. The password itself is no option anywhere.
    type: path
    default: /etc/influxdb/credentials/admin
  ca_path:
    description:
      - File on the host with the certificate authorities for C(https://). Without it, those of the system.
    type: path
  timeout:
    description:
      - Seconds for each request.
    type: float
    default: 30
attributes:
  check_mode:
    description: Reads the server and says what would change. A server that is not there yet counts as an empty one.
    support: full
  diff_mode:
    description: Shows each object before and after; never a password.
    support: full
requirements:
  - InfluxDB 1.x (1.6 or later)
notes:
  - Needs Python on the host, no library.
"""

    USERS = r"""
options:
  users:
    type: list
    elements: dict
    suboptions:
      name:
        description: Name.
        type: str
        required: true
      password_file:
        description:
          - File on the host with the password in its first line. It is set if the server does not let the user in with
            it. A new user needs it.
        type: path
      admin:
        description: Whether the user may do everything.
        type: bool
        default: false
      grants:
        description: Rights by database, each V(READ), V(WRITE) or V(ALL).
        type: dict
        default: {}
      exclusive:
        description: Whether rights on databases that are not named are taken away.
        type: bool
        default: true
"""

    COPY = r"""
options:
  copy:
    description: Id of the copy, or V(latest).
    type: str
    default: latest
  env_file:
    description: File on the host that describes the repository (C(RESTIC_REPOSITORY=) and so on).
    type: path
    default: /etc/chainops/restic/influxdb.env
  influxd:
    description: The server's program.
    type: path
    default: /usr/bin/influxd
  restic:
    description: The program C(restic).
    type: path
    default: /usr/bin/restic
  cache_dir:
    description: Directory of restic's cache.
    type: path
    default: /var/cache/influxdb-drill
"""
