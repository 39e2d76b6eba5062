# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""metrics_info: real files, real HTTP and HTTPS servers, and systemd's own words; what is not there is an answer."""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.chainops.infra.plugins.module_utils.metrics import timers
from ansible_collections.chainops.infra.plugins.module_utils.metrics.text import samples
from ansible_collections.chainops.infra.plugins.modules import metrics_info

from tests.unit.plugins.modules.in_process import run_module
from tests.unit.plugins.modules.patroni_site import certificates

TEXT = """# HELP a_total What it is.
# TYPE a_total counter
a_total{job="redis",path="C:\\\\dir\\"x\\"\\n"} 3
a_plain 1.5e3 1795681832000
b_nan NaN
b_inf +Inf
not a line at all
"""
TIMERS = """TimersCalendar={ OnCalendar=Mon..Sat *-*-* 01:00:00 ; next_elapse=Fri 2026-11-27 01:00:00 UTC }
Id=work.timer

Id=absent.timer
"""
CALENDAR = """Normalized form: Mon..Sat *-*-* 01:00:00
    Next elapse: Fri 2026-11-27 01:00:00 UTC
       From now: 16h left
   Iteration #2: Sat 2026-11-28 01:00:00 UTC
       From now: 1 day 16h left
   Iteration #3: Mon 2026-11-30 01:00:00 UTC
       From now: 3 days left
   Iteration #4: Tue 2026-12-01 01:00:00 UTC
       From now: 4 days left
"""


class Server:
    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if self.path == "/hangs":
                    time.sleep(1)
                status, text = (200, "a_up 1\n") if self.path == "/metrics" else (503, "NOSPACE\nis\x1b on\n")
                body = text.encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        if context:
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.url = f"http{'s' if context else ''}://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.close()


def run(tmp_path: Path, **options: Any) -> dict[str, Any]:
    return run_module(metrics_info, **({"textfile_dirs": [str(tmp_path)]} | options))


def names(result: dict[str, Any]) -> list[str]:
    return [sample["name"] for sample in result["samples"]]


def test_the_text_is_read_as_prometheus_does() -> None:
    found = samples(TEXT)
    assert [(sample["name"], sample["value"]) for sample in found] == [("a_total", 3), ("a_plain", 1500)]
    assert found[0]["labels"] == {"job": "redis", "path": 'C:\\dir"x"\n'}
    assert samples(TEXT, ["a_p"]) == found[1:]


def test_files_that_are_whole_and_can_be_read(tmp_path: Path) -> None:
    (tmp_path / "one.prom").write_text(TEXT)
    (tmp_path / ".one.prom.new").write_text("half 1\n")
    (tmp_path / ".hidden.prom").write_text("half 1\n")
    (tmp_path / "other.txt").write_text("other 1\n")
    (tmp_path / "folder.prom").mkdir()
    result = run(tmp_path)
    assert names(result) == ["a_total", "a_plain"] and not result["changed"]
    assert {sample["source"] for sample in result["samples"]} == {"one.prom"}
    assert list(result["files"]) == ["one.prom"] and time.time() - result["files"]["one.prom"] < 60


def test_a_host_without_any(tmp_path: Path) -> None:
    result = run(tmp_path / "none")
    assert (result["samples"], result["files"], result["endpoints"], result["timers"]) == ([], {}, {}, {})


def test_endpoints_answer_or_do_not(tmp_path: Path, server: Server) -> None:
    asked = {"good": f"{server.url}/metrics", "ill": f"{server.url}/health", "none": "http://127.0.0.1:1/metrics"}
    asked |= {"hangs": f"{server.url}/hangs", "file": "file:///etc/hostname"}
    result = run(tmp_path, endpoints=[{"name": name, "url": url} for name, url in asked.items()], timeout=0.3)
    assert not result.get("failed")
    assert result["samples"] == [{"source": "good", "name": "a_up", "labels": {}, "value": 1.0}]
    answers = result["endpoints"]
    assert answers["good"] == {"status": 200, "error": "", "text": ""}
    assert answers["ill"]["status"] == 503 and answers["ill"]["text"].startswith("NOSPACE is")
    assert answers["none"]["status"] == 0 and "refused" in answers["none"]["error"]
    assert answers["hangs"]["status"] == 0 and "timed out" in answers["hangs"]["error"]
    assert "neither" in answers["file"]["error"]


def test_a_certificate_must_be_the_authoritys(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    good, other = certificates(tmp_path), certificates(tmp_path / "other")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(good["cert"], good["key"])
    server = Server(context)
    asked = [{"name": "agent", "url": f"{server.url}/metrics"}]
    try:
        assert names(run(tmp_path, endpoints=asked, ca_path=good["ca"])) == ["a_up"]
        refused = run(tmp_path, endpoints=asked, ca_path=other["ca"])
        assert refused["samples"] == [] and "CERTIFICATE_VERIFY_FAILED" in refused["endpoints"]["agent"]["error"]
        gone = run(tmp_path, endpoints=asked, ca_path=str(tmp_path / "no.pem"))
        assert "FileNotFoundError" in gone["endpoints"]["agent"]["error"]
    finally:
        server.close()


def test_how_often_a_timer_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, ...]] = []

    def ask(*words: str) -> str:
        asked.append(words)
        return TIMERS if words[0] == "systemctl" else CALENDAR

    monkeypatch.setattr(timers, "ask", ask)
    result = run(tmp_path, timers=["work", "absent"])
    assert result["timers"] == {"work": {"period": 86400.0, "longest": 172800.0}}
    assert asked[-1][-1] == "Mon..Sat *-*-* 01:00:00"


def test_without_systemd_no_timer_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timers, "ask", lambda *_words: "")
    assert run(tmp_path, timers=["work"])["timers"] == {}
    monkeypatch.undo()
    assert timers.ask("/nonexistent/program") == ""
