"""The spans that a real `llmd gateway` sends to an OpenTelemetry collector, and the context that engines see."""

import json
import re
import sys
import unittest
from pathlib import Path

from harness import Gateway, Upstream, prefix, route, rule, service, to, wait_for

sys.path.append(str(Path(__file__).resolve().parents[1]))

from span_collector import SpanCollector, attributes  # noqa: E402

TRACE, CLIENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SAMPLED = {"traceparent": f"00-{TRACE}-{CLIENT}-01", "tracestate": "vendor=1"}
CHAT = json.dumps({"model": "llama", "messages": [{"role": "user", "content": "hello"}]})
OK, ERROR, INTERNAL, SERVER, CLIENT_KIND = 1, 2, 1, 2, 3  # OTLP's numbers


class Traces(unittest.TestCase):
    def setUp(self):
        self.collector = SpanCollector(self)
        self.spans = self.collector.spans

    def engine(self, name="llama"):
        made = Upstream(name)
        self.addCleanup(made.close)
        return made

    def start(self, *ports, **environment):
        objects = [route("chat", rule(prefix("/v1"), backends=to("llama"))), *service("llama", *ports)]
        made = Gateway(objects, config={"unified": {"enabled": False}}, environment=environment)
        self.addCleanup(made.close)
        return made

    def traced(self, *ports, **more):
        return self.start(*ports, OTEL_TRACES_EXPORTER="otlp", OTEL_EXPORTER_OTLP_ENDPOINT=self.collector.endpoint,
                          **more)

    def chat(self, made, headers=None):
        return made.ask("/v1/chat/completions", method="POST", body=CHAT,
                        headers={"Content-Type": "application/json", **(headers or {})})

    def spans_of(self, made, count):
        """What a gateway that ends has sent: nothing is lost."""
        made.process.terminate()
        self.assertEqual(made.process.wait(30), 0)
        self.assertEqual(len(self.spans), count, self.spans)
        return self.spans

    def test_a_request_is_one_trace_from_the_client_to_the_engine(self):
        engine = self.engine()
        made = self.traced(engine.port)
        self.assertEqual(self.chat(made, SAMPLED).status, 200)
        spans = {span["name"]: span for span in self.spans_of(made, 3)}
        server, pick, upstream = spans["POST /v1/chat/completions"], spans["pick"], spans["upstream"]
        self.assertEqual({span["traceId"] for span in spans.values()}, {TRACE})
        self.assertEqual(server["parentSpanId"], CLIENT)
        self.assertEqual([pick["parentSpanId"], upstream["parentSpanId"]], [server["spanId"]] * 2)
        self.assertEqual([server["kind"], pick["kind"], upstream["kind"]], [SERVER, INTERNAL, CLIENT_KIND])
        self.assertEqual({span["service"] for span in spans.values()}, {"llmd-gateway"})
        seen = engine.requests[0]["headers"]
        self.assertEqual(seen["traceparent"], f"00-{TRACE}-{upstream['spanId']}-01")
        self.assertEqual(seen["tracestate"], "vendor=1")
        told = attributes(server)
        self.assertEqual((told["gen_ai.request.model"], told["http.response.status_code"]), ("llama", "200"))
        self.assertEqual(told["http.route"], "default/chat")
        self.assertEqual(attributes(upstream)["server.port"], str(engine.port))
        self.assertLessEqual(int(server["startTimeUnixNano"]), int(upstream["startTimeUnixNano"]))
        self.assertGreaterEqual(int(server["endTimeUnixNano"]), int(upstream["endTimeUnixNano"]))

    def test_each_attempt_is_a_span_and_says_why_it_failed(self):
        good, dead = self.engine(), self.engine()
        dead.close()
        made = self.traced(good.port, dead.port, OTEL_TRACES_SAMPLER="always_on")

        def retried():
            page = made.ask("/metrics", host="metrics.example").body.decode()
            return re.search(r"^llmd_gateway_retries_total [1-9]", page, re.MULTILINE)

        wait_for("a request that is tried twice", lambda: self.chat(made).status == 200 and retried())
        made.process.terminate()
        self.assertEqual(made.process.wait(30), 0)
        server = next(each for each in self.spans if "http.request.resend_count" in attributes(each))
        attempts = [each for each in self.spans
                    if each.get("parentSpanId") == server["spanId"] and each["name"] == "upstream"]
        self.assertEqual([attributes(each)["server.port"] for each in attempts], [str(dead.port), str(good.port)])
        self.assertEqual([each.get("status", {}).get("code", OK) == ERROR for each in attempts], [True, False])

    def test_what_the_client_does_not_sample_is_passed_on_and_not_sent(self):
        engine = self.engine()
        made = self.traced(engine.port, OTEL_TRACES_SAMPLER="parentbased_always_on")
        self.assertEqual(self.chat(made, {"traceparent": f"00-{TRACE}-{CLIENT}-00"}).status, 200)
        self.assertRegex(engine.requests[0]["headers"]["traceparent"], f"^00-{TRACE}-[0-9a-f]{{16}}-00$")
        self.spans_of(made, 0)

    def test_without_tracing_a_context_passes_as_it_came(self):
        engine = self.engine()
        made = self.start(engine.port, OTEL_TRACES_EXPORTER="none")
        self.assertEqual(self.chat(made, SAMPLED).status, 200)
        self.assertEqual(engine.requests[0]["headers"]["traceparent"], SAMPLED["traceparent"])

    def test_a_collector_that_is_away_costs_nothing_but_spans(self):
        engine = self.engine()
        self.collector.refuse()
        made = self.traced(engine.port, OTEL_TRACES_SAMPLER="always_on")
        self.assertEqual([self.chat(made).status for _ in range(50)], [200] * 50)
        made.process.terminate()
        self.assertEqual(made.process.wait(30), 0)
        self.assertIn("spans", made.log_text())

    def test_a_setting_that_cannot_be_is_refused_by_name(self):
        with self.assertRaisesRegex(AssertionError, "OTEL_TRACES_SAMPLER_ARG: '7' is not between 0 and 1"):
            self.start(1, OTEL_TRACES_EXPORTER="otlp", OTEL_TRACES_SAMPLER_ARG="7")


if __name__ == "__main__":
    unittest.main()
