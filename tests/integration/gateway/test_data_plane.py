"""Connections of a real `llmd gateway`: streaming, upgrades, large bodies, TLS, limits, malformed requests, drain."""

import base64
import hashlib
import json
import os
import pathlib
import signal
import socket
import ssl
import tempfile
import threading
import unittest

from harness import (PATIENCE, Answer, Echo, Gateway, Upstream, backend_tls, certificate, gateway, listener, meta,
                     prefix, route, rule, service, to, wait_for)


class Streaming(Echo):
    """/events: one event, the next when the test says so. /socket: WebSocket that answers in capitals.
    /slow: answers when the test says so."""

    def do_GET(self):
        if self.path.startswith("/events"):
            self.events()
        elif self.path.startswith("/socket"):
            self.socket()
        elif self.path.startswith("/slow"):
            self.server.arrived.set()
            self.server.go_on.wait(PATIENCE)
            self.answer()
        else:
            self.answer()

    def events(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        try:
            for number in range(3):
                event = f"data: {number}\n\n".encode()
                self.wfile.write(f"{len(event):x}\r\n".encode() + event + b"\r\n")
                self.wfile.flush()
                self.server.go_on.wait(PATIENCE)
                self.server.go_on.clear()
                while self.server.until_gone:
                    self.wfile.write(b"3\r\n:\n\n\r\n")
            self.wfile.write(b"0\r\n\r\n")
        except OSError:
            self.server.gone.set()

    def socket(self):
        key = self.headers["Sec-WebSocket-Key"]
        accept = base64.b64encode(hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest())
        self.wfile.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                         b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n")
        while piece := self.connection.recv(1000):
            self.connection.sendall(piece.upper())
        self.close_connection = True


def secret(name, pair):
    crt, key = (base64.b64encode(each).decode() for each in pair)
    return {"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls", "metadata": meta(name),
            "data": {"tls.crt": crt, "tls.key": key}}


class DataPlane(unittest.TestCase):
    def setUp(self):
        self.upstream = Upstream("a", Streaming)
        self.addCleanup(self.upstream.close)
        server = self.upstream.server
        server.go_on, server.gone, server.arrived = threading.Event(), threading.Event(), threading.Event()
        server.until_gone = False

    def start(self, *arguments, rules=None, objects=()):
        made = Gateway([gateway(), *service("a", self.upstream.port), *objects,
                        route("r", *(rules or [rule(prefix("/"), backends=to("a"))]))], *arguments)
        self.addCleanup(made.close)
        return made

    def test_events_arrive_one_by_one(self):
        connection = self.start().connect()
        self.addCleanup(connection.close)
        connection.request("GET", "/events")
        response = connection.getresponse()
        for number in range(3):
            self.assertEqual(response.readline() + response.readline(), f"data: {number}\n\n".encode())
            self.upstream.server.go_on.set()
        self.assertEqual(response.read(), b"")

    def test_headers_of_streamed_answers_are_edited_too(self):
        edits = {"set": [{"name": "X-Set", "value": "new"}], "remove": ["Server"]}
        connection = self.start(rules=[rule(prefix("/"), backends=to("a"), filters=[
            {"type": "ResponseHeaderModifier", "responseHeaderModifier": edits}])]).connect()
        self.addCleanup(connection.close)
        connection.request("GET", "/events")
        response = connection.getresponse()
        self.assertEqual((response.getheader("x-set"), response.getheader("server")), ("new", None))
        self.assertEqual(response.readline(), b"data: 0\n")
        for _ in range(3):
            self.upstream.server.go_on.set()
            response.readline()
        self.upstream.server.go_on.set()

    def test_a_client_that_leaves_ends_the_request_upstream(self):
        connection = self.start().connect()
        connection.request("GET", "/events")
        response = connection.getresponse()
        self.assertEqual(response.readline(), b"data: 0\n")
        self.upstream.server.until_gone = True
        self.upstream.server.go_on.set()
        response.close()
        connection.close()
        self.assertTrue(self.upstream.server.gone.wait(PATIENCE))

    def test_websockets_pass_both_ways(self):
        made = self.start()
        with socket.create_connection(made.address, timeout=PATIENCE) as client:
            client.sendall(b"GET /socket HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n"
                           b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n")
            stream = client.makefile("rb")
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                head += stream.readline()
            self.assertTrue(head.startswith(b"HTTP/1.1 101 "), head)
            self.assertIn(b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", head)
            for text in (b"hello", b"again"):
                client.sendall(text)
                self.assertEqual(stream.read(5), text.upper())
            client.shutdown(socket.SHUT_WR)
            self.assertEqual(stream.read(), b"")

    def test_an_upgrade_that_is_refused_is_an_ordinary_answer(self):
        answer = self.start().ask("/plain", headers={"Connection": "Upgrade", "Upgrade": "websocket"})
        self.assertEqual(answer.served_by, "a")

    def test_bodies_of_megabytes_and_chunks_arrive_whole(self):
        made = self.start()
        body = os.urandom(1 << 20).hex()
        self.assertEqual(made.ask("/", method="POST", body=body).json["body"], body)
        chunks = iter([b"one", b"two" * 1000, b"three"])
        connection = made.connect()
        self.addCleanup(connection.close)
        connection.request("POST", "/", body=chunks, encode_chunked=True, headers={"Transfer-Encoding": "chunked"})
        self.assertEqual(Answer(connection.getresponse()).json["body"], "one" + "two" * 1000 + "three")

    def test_100_continue(self):
        made = self.start()
        with socket.create_connection(made.address, timeout=PATIENCE) as client:
            client.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n"
                           b"Connection: close\r\n\r\n")
            self.assertEqual(client.recv(100), b"HTTP/1.1 100 Continue\r\n\r\n")
            client.sendall(b"hi")
            answer = client.makefile("rb").read()
        self.assertIn(b"HTTP/1.1 200 OK", answer)
        self.assertIn(b'"body": "hi"', answer)

    def test_timeouts_of_a_rule(self):
        made = self.start(rules=[
            rule(prefix("/slow/request"), backends=to("a"), timeouts={"request": "200ms"}),
            rule(prefix("/slow/attempt"), backends=to("a"), timeouts={"request": "60s", "backendRequest": "200ms"}),
            rule(prefix("/slow/none"), backends=to("a"), timeouts={"request": "0s", "backendRequest": "0s"})])
        for path in ("/slow/request", "/slow/attempt"):
            answer = made.ask(path)
            self.assertEqual(answer.status, 504)
            self.assertIn("deadline", answer.json["error"]["message"])
        self.upstream.server.go_on.set()
        self.assertEqual(made.ask("/slow/none").served_by, "a")

    def test_a_request_is_repeated_on_another_endpoint_with_its_body(self):
        dead = socket.create_server(("127.0.0.1", 0))
        port = dead.getsockname()[1]
        dead.close()
        made = Gateway([gateway(), *service("a", self.upstream.port, port),
                        route("r", rule(prefix("/"), backends=to("a")))])
        self.addCleanup(made.close)
        for number in range(20):
            answer = made.ask("/", method="POST", body=f"body {number}")
            self.assertEqual((answer.served_by, answer.json["body"]), ("a", f"body {number}"))

    def test_malformed_requests_are_refused_and_their_connection_is_closed(self):
        made = self.start()
        head = "POST /x HTTP/1.1\r\nHost: a\r\n"
        rows = {
            "length and chunks": head + "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /y HTTP/1.1\r\n",
            "two lengths": head + "Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
            "a list of lengths": head + "Content-Length: 3, 4\r\n\r\nabcd",
            "a signed length": head + "Content-Length: +3\r\n\r\nabc",
            "chunks that are not last": head + "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
            "an unknown coding": head + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
            "chunks twice": head + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "a space before the colon": head + "Content-Length : 3\r\n\r\nabc",
            "a folded line": head + "X: one\r\n two\r\n\r\n",
            "a bare line feed": "GET /x HTTP/1.1\nHost: a\n\n",
            "a bare line feed in a field": head + "X: one\nY: two\r\n\r\n",
            "two hosts": "GET /x HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
            "no host": "GET /x HTTP/1.1\r\n\r\n",
            "a null byte": head + "X: a\0b\r\n\r\n",
            "a malformed chunk size": head + "Transfer-Encoding: chunked\r\n\r\n0x3\r\nabc\r\n0\r\n\r\n",
            "a chunk without its end": head + "Transfer-Encoding: chunked\r\n\r\n3\r\nabcX\r\n0\r\n\r\n",
        }
        for row, text in rows.items():
            with self.subTest(row):
                received = made.raw(text)
                self.assertRegex(received, rb"^HTTP/1.1 (400|501) ")
                self.assertEqual(received.count(b"HTTP/1.1 "), 1)
        self.assertEqual([each for each in self.upstream.requests if each["target"] in ("/x", "/y")], [])

    def test_limits_of_heads_and_bodies(self):
        made = self.start()
        self.assertRegex(made.raw(b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 100_000 + b"\r\n\r\n"),
                         rb"^HTTP/1.1 431 ")
        received = made.raw(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 40000000\r\n\r\n")
        self.assertRegex(received, rb"^HTTP/1.1 413 ")
        self.assertIn(b"RequestTooLargeError", received)

    def test_tls_listeners_choose_certificates_by_name_and_reload_them(self):
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            pairs = {each: certificate(folder, each) for each in ("one.example", "*.wild.example", "other.example")}
            authorities = b"".join(crt for crt, _ in pairs.values())
            renewed = certificate(folder, "one.example")

        def https(section, hostname, reference):
            return listener(section, 443, "HTTPS", hostname=hostname,
                            tls={"certificateRefs": [{"name": reference}]})
        def objects(first):
            return [gateway(https("one", "one.example", "one"), https("wild", "*.wild.example", "wild")),
                    secret("one", first), secret("wild", pairs["*.wild.example"]),
                    *service("a", self.upstream.port), route("r", rule(prefix("/"), backends=to("a")))]
        made = Gateway(objects(pairs["one.example"]), "--open-listeners", "--listener-port", "443=0")
        self.addCleanup(made.close)
        made.read_listeners(1)

        def seen(name, trust, alpn=("http/1.1",)):
            context = ssl.create_default_context(cadata=trust.decode())
            context.set_alpn_protocols(list(alpn))
            with socket.create_connection(made.listeners[443], timeout=PATIENCE) as plain:
                with context.wrap_socket(plain, server_hostname=name) as client:
                    protocol = client.selected_alpn_protocol()
                    if protocol == "h2":
                        return protocol, client.getpeercert(True)
                    client.sendall(f"GET / HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n".encode())
                    answer = b""
                    while piece := client.recv(65536):
                        answer += piece
                    return protocol, answer
        for name in ("one.example", "x.wild.example"):
            protocol, answer = seen(name, authorities)
            self.assertEqual(protocol, "http/1.1")
            self.assertTrue(answer.startswith(b"HTTP/1.1 200 OK"), answer)
            self.assertIn(b'"x-forwarded-proto": "https"', answer)
        self.assertEqual(seen("one.example", authorities, ("h2", "http/1.1"))[0], "h2")
        made.write(objects(renewed))

        def sees_new():
            try:
                return seen("one.example", renewed[0])[0]
            except ssl.SSLError:
                return None
        wait_for("the renewed certificate", sees_new)

    def test_a_port_without_listeners_is_closed_and_what_runs_there_ends_by_itself(self):
        def objects(*listeners):
            return [gateway(*listeners), *service("a", self.upstream.port),
                    route("r", rule(prefix("/"), backends=to("a")))]

        both = listener("one", 8081), listener("two", 8082)
        made = Gateway(objects(*both), "--open-listeners", "--listener-port", "8081=0", "--listener-port", "8082=0")
        self.addCleanup(made.close)
        made.read_listeners(2)
        closing = made.listeners[8082]
        connection = made.connect(closing)
        self.addCleanup(connection.close)
        connection.request("GET", "/events")
        response = connection.getresponse()
        self.assertEqual(response.readline(), b"data: 0\n")
        made.write(objects(both[0]))

        def refused():
            try:
                socket.create_connection(closing, timeout=PATIENCE).close()
            except ConnectionRefusedError:
                return True
            return False

        wait_for("the port is closed", refused)
        for number in range(1, 3):
            self.upstream.server.go_on.set()
            self.assertEqual(response.readline() + response.readline(), f"\ndata: {number}\n".encode())
        self.upstream.server.go_on.set()
        self.assertEqual(response.read(), b"\n")
        self.assertEqual(made.ask("/", address=made.listeners[8081]).served_by, "a")
        made.write(objects(*both))
        wait_for("the port is open again", lambda: made.log_text().count('"listener"') >= 3)
        self.assertEqual(made.ask("/", address=made.listeners[8081]).served_by, "a")

    def test_upstreams_with_tls_are_known_by_their_policy(self):
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            right, other = certificate(folder, "up.example")[0], certificate(folder, "other.example")[0]
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(folder / "up.example.crt", folder / "up.example.key")
        self.upstream.close()
        self.upstream = Upstream("secure", Echo, tls=context)
        rows = {
            "the right authority and name": (backend_tls("a", "up.example", right), "secure"),
            "another authority": (backend_tls("a", "up.example", other), 503),
            "another name": (backend_tls("a", "other.example", right), 503),
            "no authority": (backend_tls("a", "up.example"), 500),
            "an authority that is none": (backend_tls("a", "up.example", b"no certificate"), 500),
            "no policy": ([], 503),
        }
        for row, (policy, expected) in rows.items():
            with self.subTest(row):
                made = self.start(objects=policy)
                self.assertEqual(made.ask("/", method="POST", body="x" * 100_000).served_by, expected)

    def test_drain_lets_running_requests_finish_and_takes_no_more(self):
        made = self.start()
        connection = made.connect()
        self.addCleanup(connection.close)
        connection.request("GET", "/slow")
        self.assertTrue(self.upstream.server.arrived.wait(PATIENCE))
        made.process.send_signal(signal.SIGTERM)

        def refuses():
            try:
                socket.create_connection(made.address, timeout=1).close()
                return False
            except ConnectionRefusedError:
                return True
        wait_for("the listener to close", refuses)
        self.upstream.server.go_on.set()
        self.assertEqual(Answer(connection.getresponse()).served_by, "a")
        self.assertEqual(made.process.wait(PATIENCE), 0)


if __name__ == "__main__":
    unittest.main()
