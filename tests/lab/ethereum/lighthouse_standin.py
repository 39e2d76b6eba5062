"""Stands in for Lighthouse: its version, the files it must be able to read and write, and a Beacon API that answers.

It refuses a flag that it does not know, as the real one does: the list is put in place of FLAGS.
"""

import http.server
import json
import signal
import sys

FLAGS: set = set()


def main() -> None:
    given = dict((word.lstrip("-").split("=", 1) + [""])[:2] for word in sys.argv[1:] if word.startswith("--"))
    if "version" in given:
        print("Lighthouse v8.2.2-standin")
        return
    unknown = sorted(set(given) - FLAGS)
    if unknown:
        sys.exit(f"error: unexpected argument '--{unknown[0]}' found")
    with open(given["execution-jwt"]) as file:
        bytes.fromhex(file.read().strip())
    with open(given["datadir"] + "/started", "w") as file:
        file.write("by the stand-in")

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps({"data": {"version": "Lighthouse/v8.2.2-standin", "flags": sys.argv[1:]}}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    signal.signal(signal.SIGINT, lambda *_: sys.exit(0))
    print("Lighthouse started", flush=True)
    http.server.ThreadingHTTPServer((given["http-address"], int(given["http-port"])), Handler).serve_forever()


main()
