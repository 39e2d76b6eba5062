# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Download over HTTPS: the whole file or nothing, within a time, and never by a weaker way than the one asked for."""

from __future__ import annotations

import hashlib
import http.client
import ipaddress
import socket
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from .errors import PassingFault, ReleaseError, disk_error, require_space

ATTEMPTS = 3
PAUSE = 1.0  # seconds before the second attempt; twice as long before the third
REDIRECTS = 5
CHUNK = 1 << 18
STALL = 30  # seconds without a byte after which a connection is given up
LARGEST = 4_000_000_000  # bytes; no release of a client is near that, an endless answer would pass it


@dataclass
class Fetched:
    """What a download was."""

    sha256: str
    size: int


def redacted(url: str) -> str:
    """The address without what may be secret in it: user, password, query."""
    parts = urllib.parse.urlsplit(url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else (parts.hostname or "")
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{host}{port}{parts.path}"


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_url(url: str, option: str) -> None:
    """Raise ReleaseError unless the address is one that may be asked: https, or http on this very host."""
    try:
        parts = urllib.parse.urlsplit(url)
        host, _port = parts.hostname, parts.port
    except ValueError as error:
        raise ReleaseError(f"{option}: not a URL: {error}") from None
    if parts.username is not None or parts.password is not None:
        raise ReleaseError(f"{option}: a user or password in a URL ends up in logs: {redacted(url)} must work without")
    if not host or parts.scheme not in {"https", "http"}:
        raise ReleaseError(f"{option}: must be an https URL, found {redacted(url)!r}")
    if parts.scheme == "http" and not _is_loopback(host):
        raise ReleaseError(f"{option}: plain http only to this host's own loopback, found {redacted(url)}: use https")


class _Redirects(urllib.request.HTTPRedirectHandler):
    """At most five, each to an address that could have been asked in the first place, and never from https to http."""

    max_redirections = REDIRECTS

    def redirect_request(self, req, *rest):
        target = rest[-1]
        if req.full_url.startswith("https:") and not target.startswith("https:"):
            raise ReleaseError(f"{redacted(req.full_url)} redirects to {redacted(target)}, which is not https: refused")
        check_url(target, f"redirect from {redacted(req.full_url)}")
        return super().redirect_request(req, *rest)


def _opener(ca_path: str | None) -> urllib.request.OpenerDirector:
    if ca_path:
        path = Path(ca_path)
        if not path.exists():
            raise ReleaseError(f"ca_path: {ca_path} does not exist on this host")
        try:
            is_directory = path.is_dir()
            context = ssl.create_default_context(
                cafile=None if is_directory else ca_path, capath=ca_path if is_directory else None
            )
        except (ssl.SSLError, OSError) as error:
            raise ReleaseError(f"ca_path: {ca_path} holds no usable certificate: {error}") from None
    else:
        context = ssl.create_default_context()
    return urllib.request.build_opener(urllib.request.HTTPSHandler(context=context), _Redirects())


def _open(opener: urllib.request.OpenerDirector, url: str, stall: float) -> http.client.HTTPResponse:
    """Ask for an address; every fault becomes a sentence with the address in it."""
    where = redacted(url)
    headers = {"User-Agent": "chainops.infra release", "Accept-Encoding": "identity"}
    request = urllib.request.Request(url, headers=headers)
    try:
        return opener.open(request, timeout=stall)
    except urllib.error.HTTPError as error:
        error.close()
        kind = PassingFault if error.code >= 500 or error.code in {408, 429} else ReleaseError
        if error.code in {301, 302, 303, 307, 308}:
            raise ReleaseError(f"{where}: more than {REDIRECTS} redirects, or one in a circle") from None
        raise kind(f"{where} answered {error.code} {error.reason}") from None
    except urllib.error.URLError as error:
        reason = error.reason
        if isinstance(reason, ssl.SSLCertVerificationError):
            raise ReleaseError(
                f"{where}: the server's certificate is not trusted: {reason.verify_message}; "
                "a mirror with its own CA needs ca_path"
            ) from None
        if isinstance(reason, TimeoutError):
            raise PassingFault(f"{where}: no connection within {stall:.0f} s") from None
        if isinstance(reason, socket.gaierror):
            raise PassingFault(f"{where}: the name cannot be resolved: {reason.strerror}") from None
        text = getattr(reason, "strerror", None) or reason
        raise PassingFault(f"{where}: no connection: {text}") from None
    except TimeoutError:
        raise PassingFault(f"{where}: no answer within {stall:.0f} s") from None
    except (http.client.HTTPException, OSError) as error:
        raise PassingFault(f"{where}: not a whole answer: {error or type(error).__name__}") from None


def _receive(response, where: str, target: Path, deadline: float, limit: int) -> Fetched:
    """Write an answer's body to a file, hashing it on the way."""
    text = response.headers.get("Content-Length")
    announced = int(text) if text and text.isdigit() else None
    if announced is not None and announced > limit:
        raise ReleaseError(f"{where}: {announced} bytes announced, more than the {limit} that are allowed here")
    require_space(target.parent, announced or 0, f"the download of {where}")
    digest, size = hashlib.sha256(), 0
    with target.open("wb") as handle:
        while True:
            try:
                chunk = response.read1(CHUNK)
            except TimeoutError:
                raise PassingFault(f"{where}: no byte for {STALL} s after {size} bytes") from None
            except (http.client.HTTPException, OSError) as error:
                raise PassingFault(f"{where}: broke off after {size} bytes: {error or type(error).__name__}") from None
            if not chunk:
                break
            size += len(chunk)
            digest.update(chunk)
            if size > limit:
                raise ReleaseError(f"{where}: more than the {limit} bytes that are allowed here")
            if time.monotonic() > deadline:
                came = f"{size} of {announced or 'an unknown number of'} bytes came"
                raise ReleaseError(f"{where}: not through in the time given (timeout): {came}")
            try:
                handle.write(chunk)
            except OSError as error:
                raise disk_error(error, target.parent, f"the download of {where}") from None
    if announced is not None and size != announced:
        raise PassingFault(f"{where}: truncated: {size} of {announced} bytes came")
    return Fetched(digest.hexdigest(), size)


def fetch(url: str, target: Path, *, ca_path: str | None, timeout: float, limit: int = LARGEST) -> Fetched:
    """Download an address into a file. Passing faults are tried three times within `timeout` seconds.

    Raises ReleaseError with the address (less what may be secret in it) and what went wrong.
    """
    deadline = time.monotonic() + timeout
    opener = _opener(ca_path)
    attempt = 1
    while True:
        try:
            stall = max(1.0, min(STALL, deadline - time.monotonic()))
            with _open(opener, url, stall) as response:
                return _receive(response, redacted(url), target, deadline, limit)
        except PassingFault as fault:
            pause = attempt * PAUSE
            if attempt == ATTEMPTS or time.monotonic() + pause > deadline:
                raise ReleaseError(f"{fault} (attempt {attempt} of {ATTEMPTS})") from None
            time.sleep(pause)
            attempt += 1
