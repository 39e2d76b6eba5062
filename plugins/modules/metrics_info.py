#!/usr/bin/python
# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
module: metrics_info
short_description: A host's figures, as Prometheus would read them
version_added: 0.1.0
author: The chainops.infra authors (@chainops)
description:
  - Reads the files of the textfile collector, asks endpoints of this host for more, and says how often timers run.
  - An endpoint that does not answer, a file that cannot be read and a timer that is not there are answers, not errors.
options:
  textfile_dirs:
    description: Directories of the textfile collector.
    type: list
    elements: path
    default: [/var/lib/node_exporter]
  endpoints:
    description: What to ask over HTTP, by a name of your own.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Name by which the answer is returned.
        type: str
        required: true
      url:
        description: Where to ask.
        type: str
        required: true
  ca_path:
    description:
      - File on the host with the certificate authorities for C(https://). An empty one takes those of the system.
    type: str
    default: /etc/chainops/tls/ca.pem
  prefixes:
    description: Only figures whose names begin with one of these are returned. Without any, all are.
    type: list
    elements: str
    default: []
  timers:
    description: Names of systemd's timers, without C(.timer), whose period is asked for.
    type: list
    elements: str
    default: []
  timeout:
    description: Seconds for each endpoint.
    type: float
    default: 5
attributes:
  check_mode:
    description: Nothing is ever changed.
    support: full
  diff_mode:
    description: Nothing is ever changed.
    support: none
"""

EXAMPLES = r"""
- name: See when the last backup was made, and how often it should be
  chainops.infra.metrics_info:
    prefixes: [pgbackrest_]
    timers: [pgbackrest-full]
  register: figures
"""

RETURN = r"""
samples:
  description: The figures.
  returned: success
  type: list
  elements: dict
  contains:
    source:
      description: Name of the file or of the endpoint.
      type: str
    name:
      description: Name of the figure.
      type: str
    labels:
      description: Its labels.
      type: dict
    value:
      description: Its value.
      type: float
endpoints:
  description: What came of each endpoint. C(status) is 0 where nobody answered, and C(error) why. C(text) is the
    beginning of an answer that is not good.
  returned: success
  type: dict
files:
  description: When each file was written, in seconds since 1970.
  returned: success
  type: dict
timers:
  description: Seconds between two runs of each timer that is there, in general (C(period)) and at most (C(longest)).
  returned: success
  type: dict
"""

import typing as t
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.metrics.fetch import Answer, fetch
from ..module_utils.metrics.text import samples
from ..module_utils.metrics.timers import rhythms

MAX_BYTES = 1 << 20
SHOWN = 200


def from_files(directories: list[str], prefixes: list[str]) -> tuple[list[dict[str, t.Any]], dict[str, float]]:
    """The figures of each file, and when it was written. Hidden files are half written ones."""
    found, files = [], {}
    for path in sorted(path for directory in directories for path in Path(directory).glob("[!.]*.prom")):
        try:
            with path.open(encoding="utf-8", errors="replace") as file:
                text = file.read(MAX_BYTES)
            files[path.name] = path.stat().st_mtime
        except OSError:
            continue
        found += [{"source": path.name} | sample for sample in samples(text, prefixes)]
    return found, files


def look(given: dict[str, t.Any]) -> dict[str, t.Any]:
    found, files = from_files(given["textfile_dirs"], given["prefixes"])
    endpoints: dict[str, dict[str, t.Any]] = {}
    asked = given["endpoints"]

    def ask(endpoint: dict[str, str]) -> Answer:
        return fetch(endpoint["url"], given["ca_path"], given["timeout"])

    # side by side, as one that hangs takes the whole timeout
    with ThreadPoolExecutor(max_workers=max(1, len(asked))) as pool:
        answers = list(pool.map(ask, asked))
    for endpoint, answer in zip(asked, answers, strict=True):
        good = answer.status == 200
        text = "" if good else " ".join(answer.text.split())[:SHOWN]
        endpoints[endpoint["name"]] = {"status": answer.status, "error": answer.error, "text": text}
        if good:
            found += [{"source": endpoint["name"]} | sample for sample in samples(answer.text, given["prefixes"])]
    return {"samples": found, "files": files, "endpoints": endpoints, "timers": rhythms(given["timers"])}


def main() -> None:
    endpoint = {"name": {"type": "str", "required": True}, "url": {"type": "str", "required": True}}
    module = AnsibleModule(
        argument_spec={
            "textfile_dirs": {"type": "list", "elements": "path", "default": ["/var/lib/node_exporter"]},
            "endpoints": {"type": "list", "elements": "dict", "default": [], "options": endpoint},
            "ca_path": {"type": "str", "default": "/etc/chainops/tls/ca.pem"},
            "prefixes": {"type": "list", "elements": "str", "default": []},
            "timers": {"type": "list", "elements": "str", "default": []},
            "timeout": {"type": "float", "default": 5},
        },
        supports_check_mode=True,
    )
    module.exit_json(changed=False, **look(module.params))


if __name__ == "__main__":
    main()
