"""Stands between a client and kube-apiserver and does what servers do on bad days: ends watches in order or in the
middle, says that a version is too old, refuses connections. Speaks plain HTTP to the client."""

import http.client
import http.server
import json
import ssl
import threading
import urllib.parse


class FlakyServer:
    def __init__(self, plane):
        self.upstream = urllib.parse.urlsplit(plane.url).netloc
        self.trust = plane.trust
        self.watches = []  # (collection, resourceVersion asked for), in order
        self.lists = []  # collections
        self.waiting = []  # what becomes of running watches: set to an Outcome
        self.lock = threading.Lock()
        outer = self

        class Relay(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def relay(self):
                outer.relay(self)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = relay

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Relay)
        self.server.daemon_threads = True
        self.server.handle_error = lambda *_: None
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()

    def kubeconfig(self, source, path):
        """The client's, from one for the server itself."""
        config = json.loads(source.read_text())
        config["clusters"][0]["cluster"] = {"server": self.url}
        path.write_text(json.dumps(config))
        return path

    def end_watches(self, plural, how, bookmark=None):
        """how: "in order", "cut", or "expired"; bookmark: a version that is said first. Returns how many there were."""
        with self.lock:
            chosen = [each for each in self.waiting if each["plural"] == plural and each["how"] is None]
            for each in chosen:
                each["how"], each["bookmark"] = how, bookmark
                each["connection"].sock.shutdown(2)  # its read ends
            return len(chosen)

    def relay(self, handler):
        parts = urllib.parse.urlsplit(handler.path)
        query = urllib.parse.parse_qs(parts.query)
        plural = parts.path.rsplit("/", 1)[-1]
        body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        connection = http.client.HTTPSConnection(self.upstream, context=self.trust, timeout=700)
        headers = {key: value for key, value in handler.headers.items() if key.lower() not in ("host", "connection")}
        connection.request(handler.command, handler.path, body, headers)
        answer = connection.getresponse()
        if "watch" in query and answer.status == 200:
            self.watch(handler, plural, query["resourceVersion"][0], connection, answer)
            return
        if handler.command == "GET" and "limit" in query:
            self.lists.append(plural)
        content = answer.read()
        connection.close()
        handler.send_response(answer.status)
        handler.send_header("Content-Type", answer.getheader("Content-Type", "application/json"))
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content)

    def watch(self, handler, plural, version, connection, answer):
        state = {"plural": plural, "how": None, "bookmark": None, "connection": connection}
        with self.lock:
            self.watches.append((plural, version))
            self.waiting.append(state)
        handler.send_response(200)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()

        def send(data):
            handler.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
            handler.wfile.flush()

        try:
            while line := answer.readline():
                send(line)
        except (OSError, http.client.HTTPException, ValueError):
            pass
        connection.close()
        if state["bookmark"]:
            mark = {"kind": "Bookmark", "apiVersion": "v1", "metadata": {"resourceVersion": state["bookmark"]}}
            send(json.dumps({"type": "BOOKMARK", "object": mark}).encode() + b"\n")
        if state["how"] == "expired":
            gone = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Expired", "code": 410,
                    "message": "too old resource version"}
            send(json.dumps({"type": "ERROR", "object": gone}).encode() + b"\n")
        if state["how"] != "cut":
            handler.wfile.write(b"0\r\n\r\n")
        else:
            handler.close_connection = True
        with self.lock:
            self.waiting.remove(state)
