"""An OpenTelemetry collector that keeps what it gets: OTLP over HTTP, as JSON."""

import http.server
import json
import threading


class Collect(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        for resource in body["resourceSpans"]:
            named = {each["key"]: each["value"] for each in resource["resource"]["attributes"]}
            service = named["service.name"]["stringValue"]
            for scope in resource["scopeSpans"]:
                self.server.spans += [{**span, "service": service} for span in scope["spans"]]
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        """A program that ends may leave in the middle of an answer."""


class SpanCollector:
    """Listens while its test runs; `spans` are those of all programs, each with its `service`."""

    def __init__(self, test):
        self.server = Server(("127.0.0.1", 0), Collect)
        self.spans = self.server.spans = []
        self.endpoint = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        test.addCleanup(self.server.server_close)
        test.addCleanup(self.server.shutdown)

    def refuse(self):
        """From now on nobody listens."""
        self.server.server_close()


def attributes(span):
    return {each["key"]: next(iter(each["value"].values())) for each in span["attributes"]}
