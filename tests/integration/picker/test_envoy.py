#!/usr/bin/env python3
"""Real Envoy with `llmd picker` in front of eight pretended engines.

  test_envoy.py --picker PROGRAM --serve PROGRAM

Envoy comes from the package index (bench/peers.py); where it cannot be had, the test is skipped loudly (exit 77).
"""

import argparse
import http.client
import http.server
import json
import random
import re
import socket
import sys
import threading
import unittest
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "bench"))

import peers  # noqa: E402
from picker_config import write_endpoints, write_envoy_with_picker  # noqa: E402
from plan import Missing  # noqa: E402
from programs import Child, InFolder, Picker, free_port, wait_for  # noqa: E402

ENGINES = 8
PICKER = SERVE = ENVOY = None


class Engine(Child):
    def __init__(self, *arguments):
        command = [*SERVE, "sim", "--simulate", "--host", "127.0.0.1", "--port", "0",
                   "--max-model-len", "2000000", *arguments]
        super().__init__(command, r"ready", stream="stderr")
        self.address = "127.0.0.1:" + re.search(r'"?port"?[=:]\s*"?(\d+)', self.line).group(1)

    def served(self):
        """Requests that it has answered, by its own count."""
        with urllib.request.urlopen(f"http://{self.address}/metrics", timeout=30) as page:
            return sum(float(line.rsplit(b" ", 1)[1]) for line in page.read().splitlines()
                       if line.startswith(b"vllm:request_success_total{"))


class TrailingEngine:
    """Answers in chunks, with trailers; keeps the bodies and trailers it was sent."""

    def __init__(self):
        self.seen = seen = []

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                self.send_response(404)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def do_POST(self):
                body, trailers = b"", b""
                if "Content-Length" in self.headers:  # Envoy knows it once it has buffered the body
                    body = self.rfile.read(int(self.headers["Content-Length"]))
                else:
                    while size := int(self.rfile.readline(), 16):
                        body += self.rfile.read(size + 2)[:-2]
                    while (line := self.rfile.readline()) != b"\r\n":
                        trailers += line
                seen.append((body, trailers))
                self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                                 b"Transfer-Encoding: chunked\r\n\r\n"
                                 b"2\r\n{}\r\n0\r\nx-behind: the answer\r\n\r\n")

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.server.handle_error = lambda *_: None  # a picker that ends in the middle of a page
        self.address = f"127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class Answer:
    def __init__(self, status, body, headers):
        self.status, self.body, self.headers = status, body, headers


class World(InFolder):
    """Engines for all tests; a picker and an Envoy for each."""

    @classmethod
    def setUpClass(cls):
        cls.engines = [Engine() for _ in range(ENGINES)]

    @classmethod
    def tearDownClass(cls):
        for engine in cls.engines:
            engine.stop()

    def start(self, mode="duplex", fail_open=False, secure=False, engines=None, arguments=(), trailers=False):
        addresses = [engine.address for engine in engines or self.engines]
        self.endpoints = write_endpoints(self.folder / "endpoints.yaml", addresses)
        self.secure, self.arguments = secure, arguments
        self.grpc_port = free_port()
        self.start_picker()
        self.port = free_port()
        config = write_envoy_with_picker(self.folder / "envoy.json", self.port, addresses, self.picker.grpc, mode,
                                         fail_open, secure, trailers)
        self.envoy = Child([ENVOY, "-c", config, "--concurrency", "2", "--base-id-path", self.folder / "id",
                            "--use-dynamic-base-id"], r"starting main dispatch loop", stream="stderr")
        self.addCleanup(self.envoy.kill)

    def start_picker(self):
        self.picker = Picker(PICKER, "--endpoints-file", self.endpoints, *self.arguments, grpc_port=self.grpc_port,
                             secure=self.secure)
        self.addCleanup(self.picker.stop)

    def ask(self, path, body=None, headers=None, timeout=30):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            payload = json.dumps(body) if body is not None else None
            fields = {"Content-Type": "application/json"} | (headers or {})
            connection.request("POST" if body is not None else "GET", path, payload, fields)
            answer = connection.getresponse()
            return Answer(answer.status, answer.read().decode(), dict(answer.getheaders()))
        finally:
            connection.close()

    def complete(self, prompt="Hello", tokens=8, stream=False, **more):
        body = {"model": "sim", "prompt": prompt, "max_tokens": tokens, "stream": stream, **more}
        return self.ask("/v1/completions", body)

    def all_leases_are_back(self):
        def running():
            return sum(each["inFlightRequests"] for each in json.loads(self.picker.get("/debug"))["endpoints"])

        wait_for(lambda: running() == 0, "every lease to be given back")
        wait_for(lambda: self.picker.metric("llmd_extproc_streams") == 0, "every stream to end")


    def ended(self, how):
        return self.picker.metric(f'llmd_extproc_streams_ended_total{{how="{how}"}}')


class Picked(World):
    def check_plain_and_streamed(self, sizes=(20, 220_000, 2_000_000)):
        for stream in [False, True]:
            for size in sizes:
                with self.subTest(stream=stream, prompt_bytes=size):
                    answer = self.complete("word " * (size // 5), stream=stream)
                    self.assertEqual(answer.status, 200, answer.body[:500])
                    if stream:
                        self.assertTrue(answer.body.rstrip().endswith("data: [DONE]"), answer.body[-200:])
                    else:
                        self.assertEqual(len(json.loads(answer.body)["choices"]), 1)
        self.all_leases_are_back()
        self.assertEqual(self.picker.metric("llmd_extproc_streams_total"), 2 * len(sizes))
        self.assertEqual(self.ended("abandoned"), 0)

    def test_full_duplex(self):
        self.start()
        self.check_plain_and_streamed()

    def test_full_duplex_over_tls_with_a_self_signed_certificate(self):
        self.start(secure=True)
        self.check_plain_and_streamed()

    def test_answers_that_are_not_shown(self):
        self.start("no-answers")
        self.check_plain_and_streamed()

    def test_lists_need_no_body(self):
        self.start()
        answer = self.ask("/v1/models")
        self.assertEqual(answer.status, 200)
        self.assertEqual(json.loads(answer.body)["data"][0]["id"], "sim")
        self.all_leases_are_back()

    def test_buffered(self):
        self.start("buffered")
        answer = self.complete("word " * 2000, stream=True)
        self.assertEqual(answer.status, 200, answer.body)
        self.assertIn("[DONE]", answer.body)
        self.all_leases_are_back()

    def test_streamed(self):
        """The headers decide; bodies pass in pieces."""
        self.start("streamed")
        self.check_plain_and_streamed()

    def test_streamed_without_waiting_for_the_headers(self):
        """The body decides, though Envoy gave it away in pieces; the model's name in it may change."""
        objects = self.folder / "objects.yaml"
        objects.write_text("apiVersion: llm-d.ai/v1alpha2\nkind: InferenceModelRewrite\nmetadata: {name: r}\n"
                           "spec: {rules: [{matches: [{model: {value: alias}}], targets: [{modelRewrite: sim}]}]}\n")
        self.start("not-waiting", arguments=["--objects-file", objects])
        # No more than Envoy buffers (1 MiB): it sends the rest of a body when the beginning has been answered.
        self.check_plain_and_streamed(sizes=(20, 220_000))
        for size in (20, 220_000):
            answer = self.complete("word " * (size // 5), model="alias")
            self.assertEqual((answer.status, json.loads(answer.body)["model"]), (200, "alias"), answer.body[:500])

    def test_mistakes_are_answered_by_the_picker(self):
        self.start()
        answer = self.ask("/v1/completions", {"prompt": "no model"})
        self.assertEqual(answer.status, 400)
        self.assertEqual(answer.body, "inference error: BadRequest - model not found in request body")
        self.all_leases_are_back()

    def test_a_request_can_ask_why(self):
        self.start()
        answer = self.ask("/v1/completions", {"model": "sim", "prompt": "x", "max_tokens": 1},
                          {"x-llmd-explain": "1", "x-request-id": "why-me"})
        self.assertIn("x-llmd-explanation", answer.headers)
        self.assertIn("why-me", self.picker.get("/debug/explain?id=why-me"))

    def with_trailers(self, body):
        """Everything that comes back for a request in chunks whose trailers follow it."""
        head = (b"POST /v1/completions HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nTE: trailers\r\n"
                b"Transfer-Encoding: chunked\r\nConnection: close, TE\r\n\r\n")
        with socket.create_connection(("127.0.0.1", self.port), timeout=60) as client:
            client.sendall(head)
            for at in range(0, len(body), 50_000):
                piece = body[at:at + 50_000]
                client.sendall(b"%x\r\n%s\r\n" % (len(piece), piece))
            client.sendall(b"0\r\nx-behind: the request\r\n\r\n")
            return client.makefile("rb").read()

    def test_trailers_pass_both_ways(self):
        answering = TrailingEngine()
        self.addCleanup(answering.close)
        # Not "not-waiting": there Envoy keeps trailers back until the body is answered, whose end nobody knows.
        for mode in ("duplex", "no-answers", "buffered", "streamed"):
            for size in (10, 220_000):
                with self.subTest(mode, prompt_bytes=size):
                    self.start(mode, engines=[answering], trailers=True)
                    body = json.dumps({"model": "sim", "prompt": "x" * size}).encode()
                    received = self.with_trailers(body)
                    self.assertRegex(received, rb"^HTTP/1.1 200 ")
                    self.assertRegex(received, rb"0\r\nx-behind: the answer\r\n\r\n$")
                    self.assertEqual(answering.seen.pop(), (body, b"x-behind: the request\r\n"))
                    self.all_leases_are_back()
                    self.assertEqual(self.ended("abandoned"), 0)
                    self.envoy.kill()
                    self.picker.stop()

    def test_a_client_that_leaves_gives_its_lease_back(self):
        self.start()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        body = {"model": "sim", "prompt": "x", "max_tokens": 100_000, "stream": True}
        connection.request("POST", "/v1/completions", json.dumps(body), {"Content-Type": "application/json"})
        answer = connection.getresponse()
        self.assertEqual(answer.status, 200)
        answer.read(10)
        connection.sock.close()
        answer.close()
        connection.close()
        self.all_leases_are_back()


class Random(World):
    """Requests of every kind at once, some of which their clients leave, while engines and the picker die."""

    CLIENTS, EACH = 12, 25

    def setUp(self):
        super().setUp()
        self.fleet = [Engine() for _ in range(ENGINES)]
        self.addCleanup(lambda: [engine.kill() for engine in self.fleet])

    def one(self, chance):
        """How a random request ended: a status, "left" by us, "cut", or "hang"."""
        size = chance.choice([20, 20, 500, 5_000, 220_000, 2_000_000])
        stream = chance.random() < 0.6
        leaves = chance.choice([None, None, None, "body", "head", "answer"])
        tokens = 100_000 if leaves == "answer" else chance.choice([1, 16, 64])
        body = json.dumps({"model": "sim", "prompt": "x" * size, "max_tokens": tokens, "stream": stream}).encode()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.putrequest("POST", "/v1/completions")
            connection.putheader("Content-Type", "application/json")
            connection.putheader("Content-Length", str(len(body)))
            connection.endheaders()
            if leaves == "body":
                connection.send(body[:len(body) // 2])
                return "left"
            connection.send(body)
            if leaves == "head":
                return "left"
            answer = connection.getresponse()
            if leaves == "answer" and stream:
                answer.read(10)
                return "left"
            answer.read()
            return answer.status
        except TimeoutError:
            return "hang"
        except (OSError, http.client.HTTPException):
            return "cut"
        finally:
            connection.close()

    def run_all(self, disturb):
        outcomes = []

        def client(seed):
            chance = random.Random(seed)
            for _ in range(self.EACH):
                outcomes.append(self.one(chance))

        threads = [threading.Thread(target=client, args=(seed,)) for seed in range(self.CLIENTS)]
        for thread in threads:
            thread.start()
        disturb(outcomes)
        for thread in threads:
            thread.join()
        counts = {str(each): outcomes.count(each) for each in set(outcomes)}
        print(f"{len(outcomes)} requests: {counts}", file=sys.stderr)
        self.assertEqual(len(outcomes), self.CLIENTS * self.EACH)
        self.assertNotIn("hang", outcomes)
        self.all_leases_are_back()
        self.assertEqual(self.complete().status, 200, "and it goes on")
        return counts

    def test_nothing_hangs_and_every_lease_comes_back(self):
        self.start(engines=self.fleet)
        counts = self.run_all(lambda outcomes: None)
        self.assertEqual(set(counts) - {"200", "left"}, set())

    def test_nothing_hangs_when_engines_and_the_picker_die_meanwhile(self):
        self.start(engines=self.fleet, fail_open=True)

        def kill(outcomes):
            for number, engine in enumerate(self.fleet[:3]):
                wait_for(lambda least=20 * (number + 1): len(outcomes) > least, "some requests", 120)
                engine.kill()
            self.picker.kill()
            self.start_picker()

        # 500 and 503: the stream to the picker, or the engine, was lost before the answer's head.
        counts = self.run_all(kill)
        self.assertEqual(set(counts) - {"200", "left", "cut", "500", "503"}, set())
        self.assertGreater(counts["200"], 0)


class Dead(World):
    """Engines that are gone attract no requests, though they seem to have nothing to do."""

    KILLED = 3

    def ask_until(self, enough, clients=4):
        """Statuses of requests, half of which share a prefix, in the order in which they ended."""
        statuses = []

        def client(seed):
            chance = random.Random(seed)
            while not enough(statuses):
                prompt = "shared " * 400 if chance.random() < 0.5 else str(chance.random()) * 200
                try:
                    answer = self.complete(prompt, chance.choice([1, 16, 64]), stream=chance.random() < 0.5)
                    statuses.append(answer.status)
                except (OSError, http.client.HTTPException):
                    statuses.append("cut")

        threads = [threading.Thread(target=client, args=(seed,)) for seed in range(clients)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return statuses

    def refusing(self):
        return self.picker.metric('llmd_picker_refusing_endpoints{name="default"}')

    def test_requests_go_to_those_that_live(self):
        fleet = [Engine() for _ in range(ENGINES)]
        self.addCleanup(lambda: [engine.kill() for engine in fleet])
        config = self.folder / "config.yaml"
        config.write_text("plugins: [{type: queue-scorer}, {type: prefix-cache-scorer}, {type: max-score-picker}]\n")
        self.start(engines=fleet, arguments=["--config-file", config])
        self.assertEqual(set(self.ask_until(lambda seen: len(seen) >= 60)), {200})
        dead = fleet[:self.KILLED]

        def kill(seen):
            if len(seen) >= 20 and dead[0].process.poll() is None:
                for engine in dead:
                    engine.kill()
            return self.refusing() == self.KILLED

        at_the_kill = self.ask_until(kill)
        # Each of four clients may fail at each: the proxy's 503 is a sign that the next request heeds. A scrape that
        # was on its way at the kill may clear the sign, once.
        self.assertLessEqual(at_the_kill.count(503), 2 * 4 * self.KILLED, at_the_kill)
        self.assertEqual(set(at_the_kill) - {200, 503, "cut"}, set())
        print(f"{len(at_the_kill)} requests around the kill, {at_the_kill.count(503)} got 503", file=sys.stderr)
        # Now everybody knows.
        afterwards = self.ask_until(lambda seen: len(seen) >= 178)
        self.assertEqual(set(afterwards), {200})
        answer = self.ask("/v1/completions", {"model": "sim", "prompt": "x", "max_tokens": 1},
                          {"x-llmd-explain": "1", "x-request-id": "dead-ones"})
        self.assertIn("3 left out: refuses connections", answer.headers["x-llmd-explanation"])
        left_out = {each["endpoint"]: each["reason"]
                    for each in json.loads(self.picker.get("/debug/explain?id=dead-ones"))["leftOut"]}
        self.assertEqual(left_out, {engine.address: "refuses connections" for engine in dead})
        self.all_leases_are_back()


class Failing(World):
    """Requests from four clients, all of which end, while something is killed."""

    def under_load(self, disturb, tokens=20):
        outcomes = []
        stop = threading.Event()

        def client():
            while not stop.is_set():
                try:
                    outcomes.append(self.complete("x" * 500, tokens, stream=True).status)
                except (OSError, http.client.HTTPException):
                    outcomes.append(0)  # an end, though not a good one

        threads = [threading.Thread(target=client) for _ in range(4)]
        for thread in threads:
            thread.start()
        try:
            wait_for(lambda: outcomes.count(200) > 20, "the load to begin")
            disturb()
            count = len(outcomes)
            wait_for(lambda: 200 in outcomes[count + 8:], "requests to succeed again")
        finally:
            stop.set()
            for thread in threads:
                thread.join(timeout=60)
        self.assertFalse(any(thread.is_alive() for thread in threads), "a client hangs")
        return outcomes

    def restart_picker(self):
        self.picker.kill()
        self.start_picker()

    def test_fail_open_survives_a_picker_that_is_killed(self):
        self.start(fail_open=True)
        self.under_load(self.restart_picker)
        self.all_leases_are_back()

    def test_fail_close_answers_with_an_error_until_the_picker_is_back(self):
        self.start(fail_open=False)
        self.under_load(self.restart_picker)
        self.picker.kill()
        self.assertEqual(self.complete().status, 500)
        self.start_picker()
        wait_for(lambda: self.complete().status == 200, "the picker to be used again")
        self.all_leases_are_back()

    def test_fail_open_needs_no_picker_at_all(self):
        # Under FULL_DUPLEX_STREAMED Envoy has given the body away and cannot go on without an answer.
        self.start("buffered", fail_open=True)
        self.picker.kill()
        before = [engine.served() for engine in self.engines]
        for _ in range(4 * ENGINES):
            self.assertEqual(self.complete().status, 200)
        served = [engine.served() - then for engine, then in zip(self.engines, before)]
        # Round robin; Envoy has two workers, each of which goes round by itself.
        self.assertEqual(sum(served), 4 * ENGINES)
        self.assertTrue(all(2 <= each <= 6 for each in served), served)

    def test_an_engine_killed_in_the_middle_of_a_stream_ends_that_stream(self):
        mortal = Engine()
        self.addCleanup(mortal.kill)
        self.start(engines=[mortal])
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        body = {"model": "sim", "prompt": "x", "max_tokens": 1_000_000, "stream": True}
        connection.request("POST", "/v1/completions", json.dumps(body), {"Content-Type": "application/json"})
        answer = connection.getresponse()
        self.assertEqual(answer.status, 200)
        answer.read(100)
        mortal.kill()
        with self.assertRaises((http.client.HTTPException, OSError)):
            while answer.read(65536):
                pass
            raise http.client.IncompleteRead(b"")
        self.all_leases_are_back()

    def test_sigterm_lets_running_requests_finish(self):
        self.start(fail_open=True)
        statuses = []
        threads = [threading.Thread(target=lambda: statuses.append(self.complete("x", 200, stream=True).status))
                   for _ in range(4)]
        before = self.picker.metric("llmd_extproc_streams_total")  # of the question whether Envoy is ready
        for thread in threads:
            thread.start()
        wait_for(lambda: self.picker.metric("llmd_extproc_streams_total") >= before + 4, "requests to begin")
        self.assertEqual(self.picker.stop(), 0)
        for thread in threads:
            thread.join(timeout=60)
        self.assertEqual(statuses, [200] * 4)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--picker", required=True)
    parser.add_argument("--serve", required=True, nargs="+", help="program that pretends to be an engine")
    arguments, rest = parser.parse_known_args()
    PICKER, SERVE = arguments.picker, arguments.serve
    try:
        ENVOY = peers.envoy()
    except Missing as missing:
        print(f"SKIPPED: {missing}", file=sys.stderr)
        sys.exit(77)
    unittest.main(argv=[sys.argv[0], *rest])
