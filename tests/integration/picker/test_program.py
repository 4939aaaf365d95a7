#!/usr/bin/env python3
"""The picker as a program: loops, certificates, who may read its metrics, bodies that proxies keep to themselves,
requests that are taken back, tokens that an engine counts.

  test_program.py --picker PROGRAM
"""

import argparse
import base64
import http.server
import json
import socket
import ssl
import subprocess
import sys
import threading
import unittest
import urllib.error
import urllib.request

import clients

clients.run_inside(__file__)

import grpc  # noqa: E402
from google.protobuf import json_format  # noqa: E402

from programs import InFolder, Picker, wait_for  # noqa: E402
from proxy import Proxy, fields, stubs  # noqa: E402

PROGRAM = None


class World(InFolder):
    def setUp(self):
        super().setUp()
        self.endpoints = self.write("e.yaml", "endpoints: [{name: a, address: 127.0.0.1, port: 1}]")

    def start(self, *arguments, secure=False):
        self.picker = Picker(PROGRAM, "--endpoints-file", self.endpoints, *arguments, secure=secure)
        self.addCleanup(self.picker.stop)

    def connect(self, *arguments):
        proxy = Proxy(self.picker.grpc, *arguments)
        self.addCleanup(proxy.close)
        return proxy


class Loops(World):
    def test_every_loop_serves_and_all_count_together(self):
        self.start("--loops", "3")
        for i in range(24):  # the kernel spreads connections over the loops
            proxy = Proxy(self.picker.grpc)
            self.assertEqual(proxy.complete(headers={"x-request-id": f"r{i}"}).destination, "127.0.0.1:1")
            proxy.close()
        self.assertEqual(self.picker.metric("llmd_extproc_streams_total"), 24)
        self.assertEqual(len(json.loads(self.picker.get("/debug/explain?last=100"))), 24)
        labels = 'model_name="m",target_model_name="m",fairness_id="default-flow",priority="0"'
        self.assertEqual(self.picker.metric(f"llm_d_epp_request_total{{{labels}}}"), 24)
        wait_for(lambda: self.picker.metric(f"llm_d_epp_request_running{{{labels}}}") == 0, "every request to end")

    def test_it_ends_while_streams_are_open(self):
        self.start("--loops", "2")
        request = self.connect().open(body={"model": "m", "prompt": "x"}).decide()
        stopping = threading.Thread(target=self.picker.stop)
        stopping.start()
        request.complete()
        stopping.join(timeout=60)
        self.assertFalse(stopping.is_alive(), "the picker waits for a stream that has ended")


class Certificates(World):
    def make(self, name):
        made = subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
             "-days", "2", "-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout",
             self.folder / "tls.key", "-out", self.folder / "tls.crt"], capture_output=True, check=False)
        if made.returncode != 0:
            print("SKIPPED: openssl cannot make certificates here", file=sys.stderr)
            self.skipTest("no openssl")

    def served(self):
        host, port = self.picker.grpc.rsplit(":", 1)
        return ssl.get_server_certificate((host, int(port)))

    def test_a_new_certificate_is_served_without_a_restart(self):
        self.make("first")
        self.start("--cert-path", self.folder, "--enable-cert-reload=true", secure=True)
        first = (self.folder / "tls.crt").read_text()
        self.assertEqual(self.served(), first)
        self.assertEqual(self.connect(first.encode()).complete().destination, "127.0.0.1:1")
        self.make("second")
        second = (self.folder / "tls.crt").read_text()
        wait_for(lambda: self.served() == second, "the new certificate")
        self.assertEqual(self.connect(second.encode()).complete().destination, "127.0.0.1:1")

    def test_a_broken_certificate_leaves_the_old_one(self):
        self.make("first")
        self.start("--cert-path", self.folder, "--enable-cert-reload=true", secure=True)
        first = self.served()
        (self.folder / "tls.crt").write_text("no certificate")
        self.assertEqual(self.served(), first)
        self.make("third")
        wait_for(lambda: self.served() == (self.folder / "tls.crt").read_text(), "the repaired certificate")


def other_address():
    """An address of this machine that is not loopback; None without a network."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return None
        address = probe.getsockname()[0]
        return None if address.startswith("127.") else address


class MetricsAccess(World):
    def status(self, host):
        port = self.picker.metrics.rsplit(":", 1)[1]
        try:
            with urllib.request.urlopen(f"http://{host}:{port}/metrics", timeout=10) as answer:
                return answer.status
        except urllib.error.HTTPError as error:
            return error.code

    def test_without_kubernetes_the_flag_means_this_machine(self):
        address = other_address()
        if address is None:
            print("SKIPPED: this machine has no other address than loopback", file=sys.stderr)
            self.skipTest("no network")
        for flag, expected in [([], 200), (["--metrics-endpoint-auth=false"], 200),
                               (["--metrics-endpoint-auth=true"], 403), (["--metrics-endpoint-auth"], 403)]:
            with self.subTest(flag=flag):
                self.picker = Picker(PROGRAM, "--endpoints-file", self.endpoints, *flag, host="0.0.0.0")
                self.addCleanup(self.picker.stop)
                self.assertEqual(self.status("127.0.0.1"), 200)
                self.assertEqual(self.status(address), expected)
                self.picker.stop()

    def test_nonsense_is_refused_at_start(self):
        done = subprocess.run([PROGRAM, "picker", "--endpoints-file", self.endpoints, "--metrics-endpoint-auth=perhaps"],
                              capture_output=True, text=True, timeout=30, check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("metrics-endpoint-auth: expected true or false", done.stderr)


class Modes(World):
    """A proxy in STREAMED mode, as Envoy says it in protocol_config."""

    def talk(self, arguments, modes):
        self.start(*arguments)
        _, messages, services, _, _ = stubs()
        body = base64.b64encode(b'{"model":"m","prompt":"x"}').decode()
        sent = [{"request_headers": fields({":method": "POST", ":path": "/v1/completions"}), "protocol_config": modes},
                {"request_body": {"body": body, "end_of_stream": True}},
                {"response_headers": fields({":status": "200", "content-type": "application/json"})}]
        proxy = self.connect()
        answers = services.ExternalProcessorStub(proxy.channel).Process(
            iter([json_format.ParseDict(each, messages.ProcessingRequest()) for each in sent]), timeout=20)
        return [json_format.MessageToDict(each, preserving_proto_field_name=True) for each in answers]

    # BodySendMode: 1 STREAMED, 2 BUFFERED, 4 FULL_DUPLEX_STREAMED.
    STREAMED = {"request_body_mode": 2, "response_body_mode": 1}

    def test_answers_may_pass_unseen(self):
        answers = self.talk(["--skip-response-bodies"], self.STREAMED)
        self.assertIn("response_headers", answers[-1])
        override = answers[-1].get("mode_override")
        self.assertIsNotNone(override, answers[-1])
        self.assertEqual(override.get("response_body_mode", 0), 0, "NONE")
        self.assertEqual(override.get("response_trailer_mode"), 1, "SEND")

    def test_without_the_flag_nothing_is_overridden(self):
        answers = self.talk([], self.STREAMED)
        self.assertNotIn("mode_override", answers[-1])

    def test_full_duplex_is_left_alone(self):
        answers = self.talk(["--skip-response-bodies"], {"request_body_mode": 4, "response_body_mode": 4})
        self.assertNotIn("mode_override", answers[-1])


EVICTING = """\
featureGates: [flowControl]
plugins:
- {type: concurrency-detector, parameters: {maxConcurrency: 1}}
flowControl:
  enableEviction: true
  saturationDetector: {pluginRef: concurrency-detector}
"""
BATCH = """\
apiVersion: llm-d.ai/v1alpha2
kind: InferenceObjective
metadata: {name: batch}
spec: {priority: -1}
"""


class Eviction(World):
    def test_a_request_that_may_be_shed_makes_room(self):
        self.start("--config-file", self.write("c.yaml", EVICTING), "--objects-file", self.write("o.yaml", BATCH))
        proxy = self.connect()
        batch = proxy.open(body={"model": "m", "prompt": "x"}, headers={"x-llm-d-inference-objective": "batch"}).decide()
        self.assertEqual(batch.destination, "127.0.0.1:1")
        batch.answer_begins()
        urgent = proxy.open(body={"model": "m", "prompt": "x"})
        batch.immediate(batch.receive())
        self.assertEqual((batch.status, batch.refusal), (429, "request evicted by flow control"))
        self.assertEqual(batch.refusal_headers["x-llm-d-request-dropped-reason"], "evicted")
        self.assertEqual(urgent.decide().destination, "127.0.0.1:1")
        urgent.complete()
        page = self.picker.get("/metrics")
        self.assertIn('llm_d_epp_flow_control_revocations_issued_total{priority="-1",inference_pool="default"} 1', page)
        self.assertIn('llm_d_epp_flow_control_revocations_total{outcome="confirmed",inference_pool="default"} 1', page)

    def test_equals_wait_for_each_other(self):
        self.start("--config-file", self.write("c.yaml", EVICTING), "--objects-file", self.write("o.yaml", BATCH))
        proxy = self.connect()
        headers = {"x-llm-d-inference-objective": "batch"}
        first = proxy.open(body={"model": "m", "prompt": "x"}, headers=headers).decide()
        second = proxy.open(body={"model": "m", "prompt": "x"}, headers=headers)
        first.complete()
        self.assertIsNone(first.status)
        self.assertEqual(second.decide().destination, "127.0.0.1:1")
        second.complete()


class RenderingEngine:
    """Answers render requests with as many tokens as the prompt has words."""

    def __init__(self):
        self.asked = []
        asked = self.asked

        class Page(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                prompt = body.get("prompt") or body["messages"][0]["content"]
                if prompt != "warm-up":  # which no client sent
                    asked.append((self.path, body))
                tokens = {"token_ids": [len(word) for word in prompt.split()]}
                failed = "fail" in prompt
                text = json.dumps([tokens] if self.path.startswith("/v1/completions") else tokens).encode()
                self.send_response(500 if failed else 200)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


class Rendering(World):
    def setUp(self):
        super().setUp()
        self.engine = RenderingEngine()
        self.addCleanup(self.engine.stop)
        config = self.write("c.yaml", f"""\
plugins:
- type: token-producer
  parameters: {{modelName: real-name, vllm: {{url: "http://127.0.0.1:{self.engine.server.server_port}"}}}}
- type: precise-prefix-cache-producer
  parameters: {{kvEventsConfig: {{discoverPods: false}}, indexerConfig: {{kvBlockIndexConfig: {{enableMetrics: true}}}}}}
- type: prefix-cache-scorer
  parameters: {{prefixMatchInfoProducerName: precise-prefix-cache-producer}}
""")
        self.start("--config-file", config)
        self.proxy = self.connect()

    def explained(self, name):
        recorded = json.loads(self.picker.get("/debug/explanations"))
        return next(each for each in recorded["decisions"] if each["request"]["id"] == name)

    def test_the_engine_counts_the_tokens(self):
        prompt = "word " * 100
        self.proxy.complete(prompt=prompt, headers={"x-request-id": "text"})
        chat = self.proxy.open("/v1/chat/completions", {"model": "m", "messages": [{"role": "user", "content": prompt}]},
                               {"x-request-id": "chat"}).decide()
        chat.complete()
        self.assertEqual([path for path, _ in self.engine.asked],
                         ["/v1/completions/render", "/v1/chat/completions/render"])
        self.assertEqual({body["model"] for _, body in self.engine.asked}, {"real-name"})
        for name in ["text", "chat"]:
            decision = self.explained(name)
            self.assertEqual(decision["request"]["promptTokens"], 100)
            self.assertEqual(decision["scalars"]["prefix/precise-prefix-cache-producer/total"], 100 // 16)
        self.assertEqual(self.picker.metric("llm_d_epp_kv_cache_index_lookup_requests_total"), 2)

    def test_a_request_goes_on_when_nobody_counts(self):
        request = self.proxy.complete(prompt="fail " * 50)
        self.assertEqual(request.destination, "127.0.0.1:1")
        self.assertEqual(self.picker.metric("llmd_extproc_unrendered_requests_total"), 1)
        self.engine.stop()
        self.assertEqual(self.proxy.complete(prompt="x").destination, "127.0.0.1:1")


class Streams(World):
    def test_grpc_streams_are_counted_on_demand(self):
        self.start("--enable-grpc-stream-metrics=true")
        proxy = self.connect()
        proxy.complete()
        proxy.open(body={"model": "m", "prompt": "x"}).decide().cancel()
        wait_for(lambda: 'llm_d_epp_extproc_streams_total{code="Canceled"} 1' in self.picker.get("/metrics"),
                 "the cancelled stream to end")
        page = self.picker.get("/metrics")
        self.assertIn('llm_d_epp_extproc_streams_total{code="OK"} 1', page)
        self.assertIn("llm_d_epp_extproc_streams_inflight 0", page)

    def test_what_is_no_message_ends_the_stream_and_is_counted_so(self):
        self.start("--enable-grpc-stream-metrics=true")
        with grpc.insecure_channel(self.picker.grpc) as channel:
            process = channel.stream_stream("/envoy.service.ext_proc.v3.ExternalProcessor/Process",
                                            request_serializer=bytes, response_deserializer=bytes)
            with self.assertRaises(grpc.RpcError) as refused:
                list(process(iter([b"\xff\xff\xff"]), timeout=30))
        self.assertEqual(refused.exception.code(), grpc.StatusCode.INVALID_ARGUMENT)
        wait_for(lambda: 'llm_d_epp_extproc_streams_total{code="InvalidArgument"} 1' in self.picker.get("/metrics"),
                 "the stream to end")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--picker", required=True)
    arguments, rest = parser.parse_known_args()
    PROGRAM = arguments.picker
    unittest.main(argv=[sys.argv[0], *rest])
