#!/usr/bin/env python3
"""Real Envoy with `llmd picker` in front of eight pretended engines.

  test_envoy.py --picker PROGRAM --serve PROGRAM

Envoy comes from the package index (bench/peers.py); where it cannot be had, the test is skipped loudly (exit 77).
"""

import argparse
import http.client
import json
import re
import sys
import tempfile
import threading
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "bench"))

import peers  # noqa: E402
from picker_config import write_endpoints, write_envoy_with_picker  # noqa: E402
from plan import Missing  # noqa: E402
from programs import Child, Picker, free_port, wait_for  # noqa: E402

ENGINES = 8
PICKER = SERVE = ENVOY = None


class Engine(Child):
    def __init__(self, *arguments):
        command = [*SERVE, "sim", "--simulate", "--host", "127.0.0.1", "--port", "0",
                   "--max-model-len", "2000000", *arguments]
        super().__init__(command, r"ready", stream="stderr")
        self.address = "127.0.0.1:" + re.search(r'"?port"?[=:]\s*"?(\d+)', self.line).group(1)


class Answer:
    def __init__(self, status, body, headers):
        self.status, self.body, self.headers = status, body, headers


class World(unittest.TestCase):
    """Engines for all tests; a picker and an Envoy for each."""

    @classmethod
    def setUpClass(cls):
        cls.engines = [Engine() for _ in range(ENGINES)]

    @classmethod
    def tearDownClass(cls):
        for engine in cls.engines:
            engine.stop()

    def setUp(self):
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        self.folder = Path(holder.name)

    def start(self, mode="duplex", fail_open=False, secure=False, engines=None, arguments=()):
        addresses = [engine.address for engine in engines or self.engines]
        self.endpoints = write_endpoints(self.folder / "endpoints.yaml", addresses)
        self.secure, self.arguments = secure, arguments
        self.grpc_port = free_port()
        self.start_picker()
        self.port = free_port()
        config = write_envoy_with_picker(self.folder / "envoy.json", self.port, addresses, self.picker.grpc, mode,
                                         fail_open, secure)
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
    def check_plain_and_streamed(self):
        for stream in [False, True]:
            for size in [20, 220_000, 2_000_000]:
                with self.subTest(stream=stream, prompt_bytes=size):
                    answer = self.complete("word " * (size // 5), stream=stream)
                    self.assertEqual(answer.status, 200, answer.body[:500])
                    if stream:
                        self.assertTrue(answer.body.rstrip().endswith("data: [DONE]"), answer.body[-200:])
                    else:
                        self.assertEqual(len(json.loads(answer.body)["choices"]), 1)
        self.all_leases_are_back()
        self.assertEqual(self.picker.metric("llmd_extproc_streams_total"), 6)
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

    def test_trailers_of_a_request_reach_their_end(self):
        self.start()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        body = json.dumps({"model": "sim", "prompt": "x", "max_tokens": 2}).encode()
        connection.putrequest("POST", "/v1/completions")
        for name, value in [("Content-Type", "application/json"), ("Transfer-Encoding", "chunked"), ("Trailer", "x-t")]:
            connection.putheader(name, value)
        connection.endheaders()
        connection.send(b"%x\r\n%s\r\n0\r\nx-t: 1\r\n\r\n" % (len(body), body))
        self.assertEqual(connection.getresponse().status, 200)
        connection.close()
        self.all_leases_are_back()

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
        self.assertEqual(self.complete().status, 200, "round robin")

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
