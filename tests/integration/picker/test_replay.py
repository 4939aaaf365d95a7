#!/usr/bin/env python3
"""Recorded ext_proc streams against `llmd picker`, played by a stock gRPC client.

  test_replay.py --picker PROGRAM

`streams/` holds traces of our own; the streams recorded from llm-d's picker are read where they lie (../shared/oracle
beside the checkout, or LLMD_ORACLE) and skipped loudly where they do not. What differs on purpose is the table
DIFFERENCES, and nothing else.
"""

import argparse
import base64
import json
import os
import sys
import tempfile
import threading
import unittest
from pathlib import Path

import clients

clients.run_inside(__file__)

import grpc  # noqa: E402
from google.protobuf import json_format  # noqa: E402

from programs import MetricsEngine, Picker, wait_for, write_endpoints  # noqa: E402

HERE = Path(__file__).resolve().parent
ORACLE = Path(os.environ.get("LLMD_ORACLE", clients.ROOT.parent / "shared" / "oracle")) / "epp"

# Upstream's debugging headers.
NOT_COMPARED = {"x-went-into-resp-headers"}
# Scenario: what of it is different, and why.
DIFFERENCES = {
    "get-models": ({"destination"}, "upstream takes a random endpoint, we take one of ours"),
    "get-unknown": ({"destination"}, "as get-models"),
    "post-no-body": ({"destination"}, "as get-models"),
    "body-first": ({"generated"}, "a request id is made where the client sent none"),
    "client-sends-destination": ({"removed", "x-prefiller-host-port"}, "control headers of clients are removed"),
    "pd-client-header": ({"removed", "x-prefiller-host-port"}, "control headers of clients are removed"),
    "answer-session": (set(), ""),
}
PROGRAM = None


def lower(headers):
    """{name: value} of a HeaderMutation or HeaderMap in protobuf's JSON form."""
    found = {}
    for each in headers:
        field = each.get("header", each)
        raw = field.get("raw_value")
        found[field["key"].lower()] = base64.b64decode(raw).decode() if raw else field.get("value", "")
    return found


class Trace:
    """What a series of ProcessingResponses means, without what may differ."""

    def __init__(self, sent, received, engines):
        self.engines = engines
        self.sent = {}
        for message in sent:
            for part in ("request_headers", "response_headers"):
                if part in message:
                    self.sent[part] = lower(message[part].get("headers", {}).get("headers", []))
        self.parts = {}
        for message in received:
            self.add(message)

    def name(self, text):
        for number, address in enumerate(self.engines):
            text = text.replace(address, f"engine{number}")
        return text

    def add(self, message):
        part = next(name for name in message if name not in ("dynamic_metadata", "mode_override"))
        content = message[part]
        kept = self.parts.setdefault(part, {})
        metadata = message.get("dynamic_metadata")
        if metadata:
            kept["metadata"] = self.name(json.dumps(metadata, sort_keys=True))
        if part == "immediate_response":
            # Our messages say numbers where Envoy's enumeration has names.
            code = content["status"]["code"]
            kept["status"] = {"BadRequest": 400, "TooManyRequests": 429, "ServiceUnavailable": 503}.get(code, code)
            kept["body"] = base64.b64decode(content.get("body", "")).decode()
            return
        common = content.get("response", {})
        mutation = common.get("header_mutation", {})
        before = self.sent.get(part, {})
        for name, value in lower(mutation.get("set_headers", [])).items():
            if name not in NOT_COMPARED and before.get(name) != value:
                kept.setdefault("set", {})[name] = self.name(value)
        if mutation.get("remove_headers"):
            kept["removed"] = sorted(mutation["remove_headers"])
        if common.get("clear_route_cache"):
            kept["clear_route_cache"] = True
        streamed = common.get("body_mutation", {}).get("streamed_response")
        if streamed is not None:
            kept["body"] = kept.get("body", b"") + base64.b64decode(streamed.get("body", ""))
            kept["end"] = streamed.get("end_of_stream", False)

    def without(self, ignored):
        parts = json.loads(json.dumps(self.parts, default=lambda body: body.decode("utf-8", "replace")))
        for part in parts.values():
            headers = part.get("set", {})
            if "destination" in ignored:
                part.pop("metadata", None)
                headers.pop("x-gateway-destination-endpoint", None)
            if "removed" in ignored:
                part.pop("removed", None)
            if "generated" in ignored:
                headers.pop("x-request-id", None)
            for name in ignored:
                headers.pop(name, None)
            if not headers:
                part.pop("set", None)
        # What stands in the details of JSON errors is each parser's own.
        refused = parts.get("immediate_response", {})
        if "error unmarshaling" in refused.get("body", ""):
            refused["body"] = refused["body"].split("bodyMap:")[0]
        return parts


def load(folder):
    return {path.stem: json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))}


class Replay(unittest.TestCase):
    maxDiff = 4000

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        clients.generate_stubs(cls.folder.name)
        import ext_proc_pb2
        import ext_proc_pb2_grpc
        import health_pb2
        import health_pb2_grpc

        cls.messages, cls.services = ext_proc_pb2, ext_proc_pb2_grpc
        cls.health_messages, cls.health_services = health_pb2, health_pb2_grpc
        cls.engines = [MetricsEngine(i) for i in range(8)]

    @classmethod
    def tearDownClass(cls):
        for engine in cls.engines:
            engine.stop()
        cls.folder.cleanup()

    def start(self, config_text, roles=None):
        folder = Path(self.folder.name)
        config = folder / "config.yaml"
        config.write_text(config_text)
        labels = [{"llm-d.ai/role": role} for role in roles] if roles else None
        endpoints = write_endpoints(folder / "endpoints.yaml", [engine.address for engine in self.engines], labels)
        picker = Picker(PROGRAM, "--config-file", config, "--endpoints-file", endpoints,
                        "--allow-experimental-plugins")
        self.addCleanup(picker.stop)
        self.wait_until_numbers_are_there(picker)
        return picker

    def wait_until_numbers_are_there(self, picker):
        def waiting():
            return [each["waiting"] for each in json.loads(picker.get("/debug"))["endpoints"]]

        wait_for(lambda: waiting() == list(range(8)), "the engines' numbers", 10)

    def wait_until_prompts_are_remembered(self, picker):
        """A thread of its own writes them into the index."""
        seen = []

        def settled():
            plugins = json.loads(picker.get("/debug"))["plugins"].values()
            seen.append([each.get("state", {}).get("blocks") for each in plugins])
            return len(seen) > 2 and seen[-1] == seen[-2]

        wait_for(settled, "the prefix index to settle")

    def play(self, picker, stream):
        """The responses, and the status the stream ended with."""
        with grpc.insecure_channel(picker.grpc) as channel:
            process = self.services.ExternalProcessorStub(channel).Process
            requests = [json_format.ParseDict(each, self.messages.ProcessingRequest()) for each in stream["send"]]
            cancelled = stream.get("close") == "cancel"
            over = threading.Event()

            def sending():
                yield from requests
                if cancelled:
                    over.wait(20)

            call = process(sending(), timeout=20)
            responses = []
            try:
                for response in call:
                    responses.append(json_format.MessageToDict(response, preserving_proto_field_name=True))
                    if cancelled and len(responses) == len(stream["received"]):
                        call.cancel()
                        over.set()
            except grpc.RpcError as error:
                return responses, error.code().name
            return responses, "OK"

    def check(self, name, scenario, picker, engines):
        ignored, _ = DIFFERENCES.get(name, (set(), ""))
        for number, stream in enumerate(scenario["streams"]):
            received, status = self.play(picker, stream)
            expected = Trace(stream["send"], stream["received"], engines)
            actual = Trace(stream["send"], received, [engine.address for engine in self.engines])
            with self.subTest(scenario=name, stream=number):
                self.assertEqual(list(actual.parts), list(expected.parts))
                self.assertEqual(actual.without(ignored), expected.without(ignored))
                self.assertEqual(status, "CANCELLED" if stream.get("close") == "cancel" else "OK")
            self.wait_until_prompts_are_remembered(picker)
        wait_for(lambda: picker.metric("llmd_extproc_streams") == 0, "every stream to end")
        # A proxy's own 503 leaves an engine out until its next scrape.
        wait_for(lambda: not any(each["refusesConnections"] for each in json.loads(picker.get("/debug"))["endpoints"]),
                 "every engine to be asked again")

    def test_our_own_traces(self):
        scenarios = load(HERE / "streams")
        self.assertTrue(scenarios)
        picker = self.start((HERE / "config-load.yaml").read_text())
        for name, scenario in scenarios.items():
            self.check(name, scenario, picker, [f"127.0.0.1:{9101 + i}" for i in range(8)])

    def test_what_the_real_picker_said(self):
        if not ORACLE.is_dir():
            print(f"SKIPPED: no recorded streams at {ORACLE}", file=sys.stderr)
            self.skipTest("no recorded streams")
        scenarios = load(ORACLE)
        roles = {"pd": ["prefill"] * 3 + ["decode"] * 5, "pd-decode-only": ["decode"] * 8, "prefill-only": ["prefill"] * 8}
        for config in sorted({scenario["config"] for scenario in scenarios.values()}):
            text = (ORACLE / f"config-{config}.yaml").read_text()
            for name, scenario in scenarios.items():
                if scenario["config"] == config:
                    picker = self.start(text, roles.get(config, ["decode"] * 8))
                    self.check(name, scenario, picker, [f"127.0.0.1:{9101 + i}" for i in range(8)])
                    picker.stop()

    def test_health_as_probes_ask_for_it(self):
        picker = self.start((HERE / "config-load.yaml").read_text())
        with grpc.insecure_channel(picker.health) as channel:
            check = self.health_services.HealthStub(channel).Check
            for service in ["", "liveness", "readiness", "envoy.service.ext_proc.v3.ExternalProcessor"]:
                answer = check(self.health_messages.HealthCheckRequest(service=service), timeout=10)
                self.assertEqual(answer.status, self.health_messages.HealthCheckResponse.SERVING, service)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--picker", required=True)
    arguments, rest = parser.parse_known_args()
    PROGRAM = arguments.picker
    unittest.main(argv=[sys.argv[0], *rest])
