# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""One GET with a deadline, for endpoints on or near this host. Whatever goes wrong is an answer too."""

from __future__ import annotations

import http.client
import ssl
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass

MAX_BYTES = 8 << 20


@dataclass(frozen=True)
class Answer:
    """``status`` is 0 where nobody answered, and ``error`` why."""

    status: int = 0
    text: str = ""
    error: str = ""


def fetch(url: str, ca: str, timeout: float) -> Answer:
    if urllib.parse.urlsplit(url).scheme not in ("http", "https"):
        return Answer(error="the URL is neither http:// nor https://")
    handlers: list[urllib.request.BaseHandler] = [urllib.request.ProxyHandler({})]
    try:
        if url.startswith("https:"):
            handlers.append(urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=ca or None)))
        with urllib.request.build_opener(*handlers).open(url, timeout=timeout) as answer:
            return Answer(answer.status, answer.read(MAX_BYTES).decode(errors="replace"))
    except urllib.error.HTTPError as error:
        return Answer(error.code, error.read(65536).decode(errors="replace"))
    except urllib.error.URLError as error:
        return Answer(error=str(error.reason))
    except (OSError, ValueError, http.client.HTTPException) as error:
        return Answer(error=f"{type(error).__name__}: {error}")
