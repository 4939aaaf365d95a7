"""The unified API in front of backends that are no plain HTTP/1.1 servers: TLS, HTTP/2, WebSocket over both,
pools whose endpoints are picked elsewhere. No route names any of them."""

import base64
import hashlib
import json
import pathlib
import ssl
import tempfile
import threading
import unittest

from harness import (PATIENCE, Echo, Gateway, Upstream, backend_tls, certificate, gateway, prefix, route, rule, service,
                     to, wait_for)
from http2_frames import DATA, END_HEADERS, END_STREAM, HEADERS, Server, block, frame
from test_external_picker import BODY, POOL_REF, Picker, picker_config, pod, pool

MODELS = json.dumps({"object": "list", "data": [{"id": "m", "object": "model", "created": 1, "owned_by": "vllm"}]})
CHAT = "/v1/chat/completions"


class Engine(Echo):
    """Lists the model m. /socket: WebSocket that answers in capitals."""

    def do_GET(self):
        if self.path.startswith("/socket"):
            key = self.headers["Sec-WebSocket-Key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
            accept = base64.b64encode(hashlib.sha1(key.encode()).digest())
            self.wfile.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                             b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n")
            while said := self.rfile.readline():
                self.wfile.write(said.upper())
            self.close_connection = True
            return
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(MODELS)))
        self.end_headers()
        self.wfile.write(MODELS.encode())


class Http2Engine(Server):
    """Lists the model m, whatever is asked."""

    def answer(self, connection, stream):
        head = block([(":status", "200"), ("content-type", "application/json"), ("x-upstream", "h2c")])
        connection.sendall(frame(HEADERS, END_HEADERS, stream, head) +
                           frame(DATA, END_STREAM, stream, MODELS.encode()))


def unified(objects):
    """The Service is one of the unified API's, as its user says."""
    objects[0]["metadata"]["annotations"] = {"llmd.dev/unified": "true"}
    return objects


def models(made):
    return [each["id"] for each in made.ask("/v1/models").json["data"]]


class UnifiedBackends(unittest.TestCase):
    def start(self, *objects, **more):
        made = Gateway([gateway(), *objects], **more)
        self.addCleanup(made.close)
        return made

    def ask(self, made, path=CHAT):
        return made.ask(path, method="POST", body=BODY, headers={"Content-Type": "application/json"})

    def secure_upstream(self):
        folder = pathlib.Path(tempfile.mkdtemp())
        self.authority, _ = certificate(folder, "engine.example")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / "engine.example.crt", folder / "engine.example.key")
        upstream = Upstream("secure", Engine, tls=context)
        self.addCleanup(upstream.close)
        return upstream

    def test_tls_as_a_policy_says(self):
        upstream = self.secure_upstream()
        made = self.start(*unified(service("engine", upstream.port)),
                          *backend_tls("engine", "engine.example", self.authority))
        self.assertEqual(models(made), ["m"])
        self.assertEqual(self.ask(made).served_by, "secure")

    def test_a_server_that_is_somebody_else_serves_nothing(self):
        upstream = self.secure_upstream()
        made = self.start(*unified(service("engine", upstream.port)),
                          *backend_tls("engine", "other.example", self.authority))
        self.assertEqual(models(made), [])
        self.assertEqual(upstream.requests, [])

    def test_http2(self):
        upstream = Http2Engine()
        self.addCleanup(upstream.close)
        made = self.start(*unified(service("engine", upstream.port, appProtocol="kubernetes.io/h2c")))
        self.assertEqual(models(made), ["m"])
        self.assertEqual(self.ask(made).served_by, "h2c")

    def talk(self, made, path):
        """Over a WebSocket, without its frames: what passes is not looked at."""
        connection = made.connect()
        self.addCleanup(connection.close)
        connection.connect()
        connection.sock.sendall((f"GET {path} HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                                 "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
                                 ).encode())
        answer = connection.sock.makefile("rb")
        status = answer.readline()
        while answer.readline() not in (b"\r\n", b""):
            pass
        connection.sock.sendall(b"hello\n")
        return status, answer.readline()

    def test_websockets_over_tls_on_routes_and_in_the_unified_api(self):
        upstream = self.secure_upstream()
        made = self.start(*unified(service("engine", upstream.port, appProtocol="kubernetes.io/wss")),
                          *backend_tls("engine", "engine.example", self.authority),
                          route("r", rule(prefix("/socket/route"), backends=to("engine"))))
        self.assertEqual(models(made), ["m"])
        for path in ("/socket/route", "/socket?model=m"):
            with self.subTest(path):
                self.assertEqual(self.talk(made, path), (b"HTTP/1.1 101 Switching Protocols\r\n", b"HELLO\n"))

    def test_websockets_over_tls_without_a_policy_are_refused(self):
        upstream = self.secure_upstream()
        made = self.start(*service("engine", upstream.port, appProtocol="kubernetes.io/wss"),
                          route("r", rule(prefix("/"), backends=to("engine"))))
        answer = made.ask("/socket")
        self.assertEqual(answer.status, 500)
        self.assertIn("BackendTLSPolicy", answer.json["error"]["message"])


class ExternallyPicked(unittest.TestCase):
    """The pool knows the engine `a`, its picker only `b`."""

    def setUp(self):
        self.a, self.b = Upstream("a", Engine), Upstream("b", Engine)
        for each in (self.a, self.b):
            self.addCleanup(each.close)

    def start(self, picker_port, failure_mode="FailClose", **more):
        made = Gateway([gateway(), *service("picker", picker_port), pod("m-0", self.a.port),
                        pool(self.a.port, failure_mode)], **more)
        self.addCleanup(made.close)
        return made

    def picker(self):
        made = Picker([(self.b.port, {})], "--config-text", picker_config({"type": "random-picker"}))
        self.addCleanup(made.close)
        return made

    def ask(self, made, path=CHAT, body=BODY):
        return made.ask(path, method="POST", body=body, headers={"Content-Type": "application/json"})

    def test_the_picker_is_asked(self):
        picker = self.picker()
        made = self.start(picker.port)
        self.assertEqual(models(made), ["m"])
        self.assertEqual({self.ask(made).served_by for _ in range(10)}, {"b"})
        text = made.ask("/metrics").body.decode()
        self.assertIn('llmd_gateway_external_picks_total{picker="default/picker:8000",outcome="picked"} 10', text)
        wait_for("every request ended at the picker",
                 lambda: picker.metric("inference_objective_running_requests") == 0)

    def test_what_is_for_the_gateway_does_not_reach_the_engine(self):
        made = self.start(self.picker().port)
        answer = self.ask(made, CHAT + "?owned_by=vllm", json.dumps({"model": "m", "owned_by": "vllm", "prompt": "x"}))
        self.assertEqual((answer.json["target"], json.loads(answer.json["body"])), (CHAT, {"model": "m", "prompt": "x"}))

    def test_without_the_picker_the_pool_decides_what_happens(self):
        for failure_mode, outcome in (("FailOpen", "a"), ("FailClose", 503)):
            with self.subTest(failure_mode):
                picker = self.picker()
                made = self.start(picker.port, failure_mode)
                self.assertEqual(self.ask(made).served_by, "b")
                picker.close()
                self.assertEqual(self.ask(made).served_by, outcome)

    def test_the_pickers_refusal_is_the_answer(self):
        picker = self.picker()
        made = self.start(picker.port, "FailOpen")
        self.assertEqual(self.ask(made).served_by, "b")
        picker.set([])
        wait_for("the picker's own 503", lambda: self.ask(made).status == 503)

    def test_requests_are_counted_where_their_endpoints_are_known(self):
        """The picker names the pool's own pod: what runs there is a number of the gateway's, too."""
        held, go_on = threading.Event(), threading.Event()

        class Held(Engine):
            def do_POST(self):
                held.set()
                go_on.wait(PATIENCE)
                self.answer()

        engine = Upstream("held", Held)
        self.addCleanup(engine.close)
        self.addCleanup(go_on.set)
        picker = Picker([(engine.port, {})], "--config-text", picker_config({"type": "random-picker"}))
        self.addCleanup(picker.close)
        made = Gateway([gateway(), *service("picker", picker.port), pod("m-0", engine.port), pool(engine.port),
                        route("r", rule(prefix("/v1"), backends=[POOL_REF]))])
        self.addCleanup(made.close)

        def running():
            lines = made.ask("/metrics").body.decode().splitlines()
            return sum(float(each.rsplit(" ", 1)[1]) for each in lines
                       if each.startswith("llmd_gateway_running_requests{"))

        client = threading.Thread(target=self.ask, args=(made,))
        client.start()
        self.assertTrue(held.wait(PATIENCE))
        self.assertEqual(running(), 1)
        go_on.set()
        client.join(PATIENCE)
        wait_for("nothing runs", lambda: running() == 0)


if __name__ == "__main__":
    unittest.main()
