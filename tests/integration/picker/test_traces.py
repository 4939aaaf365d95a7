#!/usr/bin/env python3
"""The spans that `llmd picker` sends to an OpenTelemetry collector, and the context that engines get.

  test_traces.py --picker PROGRAM
"""

import argparse
import os
import sys
import unittest
from pathlib import Path
from unittest import mock

import clients

clients.run_inside(__file__)

from programs import InFolder, Picker, write_endpoints  # noqa: E402
from proxy import Proxy  # noqa: E402

sys.path.append(str(Path(__file__).resolve().parents[1]))

from span_collector import SpanCollector, attributes  # noqa: E402

PROGRAM = None
TRACE, CLIENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SAMPLED = {"traceparent": f"00-{TRACE}-{CLIENT}-01"}
FLOW_CONTROL = """\
featureGates: [flowControl]
plugins:
- {type: concurrency-detector, parameters: {maxConcurrency: 8}}
flowControl: {saturationDetector: {pluginRef: concurrency-detector}}
"""


class Traces(InFolder):
    def setUp(self):
        super().setUp()
        self.collector = SpanCollector(self)

    def start(self, *arguments, exporter="otlp", sampler="parentbased_always_on"):
        endpoints = write_endpoints(self.folder / "e.json", ["127.0.0.1:1001", "127.0.0.1:1002"])
        environment = {"OTEL_TRACES_EXPORTER": exporter, "OTEL_EXPORTER_OTLP_ENDPOINT": self.collector.endpoint,
                       "OTEL_TRACES_SAMPLER": sampler}
        with mock.patch.dict(os.environ, environment):
            self.picker = Picker(PROGRAM, "--endpoints-file", endpoints, *arguments)
        self.addCleanup(self.picker.stop)
        self.proxy = Proxy(self.picker.grpc)
        self.addCleanup(self.proxy.close)

    def spans(self):
        """What a picker that ends has sent: nothing is lost."""
        self.proxy.close()
        self.assertEqual(self.picker.stop(), 0)
        return {span["name"]: span for span in self.collector.spans}

    def test_a_request_is_one_trace_from_the_client_to_the_engine(self):
        self.start("--config-text", FLOW_CONTROL, "--loops", "2")
        told = self.proxy.complete(headers=SAMPLED | {"x-request-id": "r"}).headers["traceparent"]
        spans = self.spans()
        request, deciding = spans["gateway.request"], spans["gateway.request_orchestration"]
        profile = spans["run_scheduler_profile"]
        self.assertEqual(told, f"00-{TRACE}-{request['spanId']}-01")
        self.assertEqual({span["traceId"] for span in spans.values()}, {TRACE})
        self.assertEqual((request["parentSpanId"], request["kind"]), (CLIENT, 2))
        self.assertEqual(deciding["parentSpanId"], request["spanId"])
        self.assertEqual(spans["flow_control_wait"]["parentSpanId"], deciding["spanId"])
        self.assertEqual(profile["parentSpanId"], deciding["spanId"])
        for name in ["filter_endpoints", "llm_d.epp.scoring", "pick_endpoints"]:
            self.assertEqual(spans[name]["parentSpanId"], profile["spanId"])
        said = attributes(request)
        self.assertEqual((said["gen_ai.request.model"], said["gen_ai.request.id"]), ("m", "r"))
        self.assertEqual(attributes(deciding)["llm_d.epp.candidate_endpoints"], "2")
        self.assertRegex(attributes(deciding)["llm_d.epp.destination_endpoint"], r"^127\.0\.0\.1:100[12]$")
        self.assertEqual({span["service"] for span in spans.values()}, {"llm-d-epp"})

    def test_what_is_not_sampled_is_passed_on_and_not_sent(self):
        self.start(sampler="always_off")
        unsampled = {"traceparent": f"00-{TRACE}-{CLIENT}-00"}
        self.assertNotIn("traceparent", self.proxy.complete(headers=unsampled).headers)
        self.assertRegex(self.proxy.complete().headers["traceparent"], r"^00-[0-9a-f]{32}-[0-9a-f]{16}-00$")
        self.assertEqual(self.spans(), {})

    def test_tracing_is_off_without_an_exporter_or_with_the_flag(self):
        for arguments, exporter in [((), "none"), (("--tracing=true",), "none"), (("--tracing=false",), "otlp")]:
            with self.subTest(arguments=arguments, exporter=exporter):
                # A sampler that nobody knows keeps no picker from starting that makes no spans.
                self.start(*arguments, exporter=exporter, sampler="unknown")
                self.assertNotIn("traceparent", self.proxy.complete(headers=SAMPLED).headers)
                self.assertEqual(self.spans(), {})


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--picker", required=True)
    arguments, rest = parser.parse_known_args()
    PROGRAM = arguments.picker
    unittest.main(argv=[sys.argv[0], *rest])
