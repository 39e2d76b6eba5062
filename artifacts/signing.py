# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The lab's OpenPGP key, which signs what is built here as upstream signs its releases.

The secret key is made once, without a passphrase, and stays in the cache, in a directory that is never served.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

USER_ID = "chainops lab releases <lab@chainops.invalid>"


class Key:
    """The signing key under `home` (a GnuPG home directory), made on first use."""

    def __init__(self, home: Path):
        self.home = home
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not (fingerprint := self._fingerprint()):
            # ed25519: what GnuPG 2.2 and later verify; no expiry, as the cache outlives any date chosen here
            self._gpg("--passphrase", "", "--quick-generate-key", USER_ID, "ed25519", "sign", "never")
            fingerprint = self._fingerprint()
        self.fingerprint = fingerprint
        self.armored = self._gpg("--armor", "--export-options", "export-minimal", "--export", fingerprint)

    def _gpg(self, *arguments: str) -> str:
        command = ["gpg", "--batch", "--quiet", "--no-tty", "--pinentry-mode", "loopback", *arguments]
        environment = {**os.environ, "GNUPGHOME": str(self.home), "LC_ALL": "C.UTF-8"}
        try:
            done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=120)
        except FileNotFoundError:
            raise SystemExit("artifacts: no gpg: apt-get install gnupg") from None
        except subprocess.CalledProcessError as error:
            raise SystemExit(f"artifacts: gpg {' '.join(arguments)}: {error.stderr.strip()}") from None
        return done.stdout

    def _fingerprint(self) -> str:
        listing = self._gpg("--with-colons", "--list-secret-keys")
        lines = [line.split(":") for line in listing.splitlines()]
        return next((fields[9] for fields in lines if fields[0] == "fpr"), "")

    def sign(self, path: Path, kind: str) -> Path:
        """Sign a file; kind "asc" is armored text, "sig" binary, as the two upstreams have it."""
        signature = path.with_name(f"{path.name}.{kind}")
        armor = ["--armor"] if kind == "asc" else []
        output = ["--output", str(signature), "--detach-sign", str(path)]
        self._gpg("--yes", *armor, "--local-user", self.fingerprint, *output)
        return signature

    def close(self) -> None:
        """End the agent that gpg left behind, so that nothing outlives a build."""
        environment = {**os.environ, "GNUPGHOME": str(self.home)}
        command = ["gpgconf", "--kill", "gpg-agent"]
        subprocess.run(command, env=environment, capture_output=True, check=False, timeout=30)
