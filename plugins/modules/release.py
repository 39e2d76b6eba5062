#!/usr/bin/python
# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: release
short_description: Put an upstream release on a host, verified, or roll it back
version_added: 0.1.0
author: The chainops.infra authors (@chainops)
description:
  - Downloads a release from upstream or a mirror, checks its SHA-256 and, where upstream signs, a detached OpenPGP
    signature by one pinned key, and installs the executables named into C(ROOT/NAME/VERSION/). Then the symbolic link
    C(ROOT/NAME/current) is moved to it by one rename.
  - Until that rename nothing that runs is touched. A wrong checksum, a wrong signer, an expired key, a truncated
    download, a full disk, an archive that is not what it should be, or a build for another machine stop it, and the
    message says which. A run that is killed at any point leaves the old version or the new one, and the next run
    sweeps up after it.
  - What is installed is compared with what was verified then (SHA-256, mode, owner) on every run, without a download.
    A file that was tampered with is replaced and reported.
  - It restarts nothing. M(chainops.infra.unit) does, when it is told the link in its
    O(chainops.infra.unit#module:release).
  - Proxies are taken from the task's environment (E(https_proxy), E(no_proxy)).
requirements:
  - gpgv on the host (Debian package C(gpgv)), where O(signature_url) is given
options:
  name:
    description: Name of the directory below O(root), most often the program's.
    type: str
    required: true
  version:
    description:
      - The version, which names the directory.
      - With O(state=rolled_back) the version to go back to, which must be on disk; without it the one that ran
        before.
      - With O(state=absent) the one to remove, which must not be the current one; without it all of them.
      - Required with O(state=present).
    type: str
  url:
    description:
      - Where the release file is. It must be C(https); C(http) is allowed to this host's own loopback only. The same
        holds for up to five redirects, which never lead from C(https) to C(http).
      - No user or password may stand in it. A query is left out of messages.
      - Required with O(state=present).
    type: str
  checksum:
    description:
      - SHA-256 of the release file, C(sha256:) and 64 hex digits. There is no way to do without.
      - Required with O(state=present).
    type: str
  signature_url:
    description: Where the detached OpenPGP signature is, armored or binary. Needs O(signing_key) and O(fingerprint).
    type: str
  signing_key:
    description:
      - The public key that signs, as armored text. It is the only one accepted; an expired or revoked one is refused,
        so when upstream extends its key, the text given here must be renewed.
    type: str
  fingerprint:
    description: The whole fingerprint of that key or of its signing subkey, 40 hex digits; blanks are ignored.
    type: str
  archive:
    description: What the file is. V(auto) goes by the end of O(url); V(none) is the executable itself.
    type: str
    choices: [auto, none, tar, zip]
    default: auto
  binaries:
    description:
      - Paths of the executables inside the archive; each is installed under its file name. With a file that is no
        archive, the one name to install it under.
      - Only these are taken out of an archive. An archive with a member that reaches out of it, is a device or is
        setuid is refused.
      - Each must be a script or an ELF executable for the host's machine.
      - Required with O(state=present).
    type: list
    elements: str
  root:
    description: Directory that holds all releases. Staging, versions and the link are in one file system below it.
    type: path
    default: /opt/chainops
  keep:
    description:
      - How many versions stay on disk, the current and the previous one first. With V(1) there is nothing to roll
        back to.
    type: int
    default: 2
  ca_path:
    description:
      - A file (or directory) on the host with the CA certificates to trust instead of the system's, for a mirror with
        a CA of its own.
    type: path
  timeout:
    description:
      - Seconds that the download may take at most, attempts included. A connection without a byte for 30 s is given
        up before.
    type: int
    default: 900
  state:
    description:
      - V(present) installs the version if needed and makes it the current one.
      - V(rolled_back) makes an earlier version that is still on disk the current one, without a download. A second
        run changes nothing.
      - V(absent) removes.
    type: str
    choices: [present, rolled_back, absent]
    default: present
attributes:
  check_mode:
    support: full
    description: Says what would be installed; nothing is downloaded.
  diff_mode:
    support: full
    description: Shows the current version before and after, and what was found wrong with the files.
  platform:
    support: full
    description: Linux.
    platforms: linux
notes:
  - The signature is checked by C(gpgv) alone, with a keyring made for this one call, so no key of the host's counts.
seealso:
  - module: chainops.infra.unit
"""

EXAMPLES = r"""
- name: Install geth from upstream
  chainops.infra.release:
    name: geth
    version: "1.17.5"
    url: https://gethstore.blob.core.windows.net/builds/geth-linux-amd64-1.17.5-9621c6ad.tar.gz
    checksum: "sha256:{{ geth_sha256 }}"
    signature_url: https://gethstore.blob.core.windows.net/builds/geth-linux-amd64-1.17.5-9621c6ad.tar.gz.asc
    signing_key: "{{ lookup('ansible.builtin.file', 'geth.asc') }}"
    fingerprint: FDE5 A1A0 44FA 13D2 F7AD A019 A61A 1356 9BA2 8146
    binaries: [geth-linux-amd64-1.17.5-9621c6ad/geth]
  register: geth_release

- name: Install a bare executable from a mirror with its own CA
  chainops.infra.release:
    name: prysm
    version: "6.0.4"
    url: https://mirror.example.net:8443/prysm/6.0.4/beacon-chain-v6.0.4-linux-amd64
    checksum: "sha256:{{ prysm_sha256 }}"
    archive: none
    binaries: [beacon-chain]
    ca_path: /etc/chainops/mirror-ca.pem

- name: Go back to what ran before the upgrade
  chainops.infra.release:
    name: geth
    version: "{{ geth_release.previous_version }}"
    state: rolled_back
"""

RETURN = r"""
version:
  description: The current version after the run; null when nothing is left.
  returned: success
  type: str
  sample: "1.17.8"
previous_version:
  description:
    - The version to go back to; the one that was current before this run, or, where this run changed nothing, the one
      before that. Null if there is none.
  returned: success
  type: str
  sample: "1.17.6"
path:
  description: Directory of the current version; null when nothing is left.
  returned: success
  type: str
  sample: /opt/chainops/geth/1.17.8
current:
  description: The link that services run from.
  returned: success
  type: str
  sample: /opt/chainops/geth/current
action:
  description:
    - What was done, or would be in check mode.
    - V(installed) is a version that was not on disk, V(switched) one that was, V(repaired) one whose files or pin
      were not those wanted, V(pruned) the removal of versions beyond O(keep) and nothing else.
  returned: success
  type: str
  sample: installed
removed:
  description: Versions that were removed.
  returned: success
  type: list
  elements: str
  sample: ["1.17.4"]
msg:
  description: What was done and why, or what went wrong.
  returned: always
  type: str
  sample: "1.17.8 installed: 1.17.8 is not installed"
"""

import os
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.release import steps
from ..module_utils.release.errors import ReleaseError

SOURCE_OPTIONS = (
    "url",
    "checksum",
    "signature_url",
    "signing_key",
    "fingerprint",
    "archive",
    "binaries",
    "keep",
    "ca_path",
    "timeout",
)


def _diff(name: str, outcome: steps.Outcome) -> dict[str, str]:
    def text(version: str | None, notes: list[str]) -> str:
        return "".join(f"{line}\n" for line in [f"current: {version or 'nothing'}", *notes])

    notes = outcome.notes if outcome.action == "repaired" else []
    removed = [f"on disk: {version}" for version in outcome.removed]
    return {
        "before_header": name,
        "after_header": name,
        "before": text(outcome.before, [*notes, *removed]),
        "after": text(outcome.version, []),
    }


def main() -> None:
    """Entry point."""
    present = ["version", "url", "checksum", "binaries"]
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "version": {"type": "str"},
            "url": {"type": "str"},
            "checksum": {"type": "str"},
            "signature_url": {"type": "str"},
            "signing_key": {"type": "str", "no_log": False},
            "fingerprint": {"type": "str"},
            "archive": {"type": "str", "choices": ["auto", "none", "tar", "zip"], "default": "auto"},
            "binaries": {"type": "list", "elements": "str"},
            "root": {"type": "path", "default": "/opt/chainops"},
            "keep": {"type": "int", "default": 2},
            "ca_path": {"type": "path"},
            "timeout": {"type": "int", "default": 900},
            "state": {"type": "str", "choices": ["present", "rolled_back", "absent"], "default": "present"},
        },
        required_if=[("state", "present", present)],
        required_together=[("signature_url", "signing_key", "fingerprint")],
        supports_check_mode=True,
    )
    options, state = module.params, module.params["state"]
    # A hardened umask must not make a directory that the service's user cannot enter.
    os.umask(0o022)
    wanted = steps.Wanted(
        name=options["name"],
        version=options["version"],
        root=Path(options["root"]),
        **({name: options[name] for name in SOURCE_OPTIONS} if state == "present" else {}),
        gpgv=module.get_bin_path("gpgv"),
    )
    action = {"present": steps.present, "rolled_back": steps.rolled_back, "absent": steps.absent}[state]
    try:
        wanted.check(state)
        outcome = action(wanted, check_mode=module.check_mode)
    except ReleaseError as error:
        module.fail_json(msg=f"{wanted.name} {wanted.version or ''}: {error}".replace(" :", ":"))
    except OSError as error:
        module.fail_json(msg=f"{wanted.name}: {error.filename or wanted.root}: {error.strerror or error}")
    base = wanted.root / wanted.name
    module.exit_json(
        changed=outcome.changed,
        version=outcome.version,
        previous_version=outcome.previous,
        path=str(base / outcome.version) if outcome.version else None,
        current=str(base / "current"),
        action=outcome.action,
        removed=outcome.removed,
        msg=outcome.message,
        diff=_diff(f"{wanted.name} in {wanted.root}", outcome),
    )


if __name__ == "__main__":
    main()
