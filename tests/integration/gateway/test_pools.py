"""InferencePools that the gateway picks for itself: what its picker decides beside the endpoint, objectives."""

import json
import socket
import threading
import unittest

from harness import PATIENCE, POOL_API, Echo, Gateway, Upstream, gateway, meta, prefix, route, rule, wait_for

POOL_REF = {"group": "inference.networking.k8s.io", "kind": "InferencePool", "name": "pool"}
CONFIG = {"apiVersion": "inference.networking.x-k8s.io/v1alpha1", "kind": "EndpointPickerConfig"}
DISAGGREGATED = {
    **CONFIG,
    "plugins": [{"type": "prefill-header-handler"}, {"type": "prefill-filter"}, {"type": "decode-filter"},
                {"type": "max-score-picker"}, {"type": "pd-profile-handler", "parameters": {"threshold": 0}}],
    "schedulingProfiles": [
        {"name": "prefill", "plugins": [{"pluginRef": "prefill-filter"}, {"pluginRef": "max-score-picker"}]},
        {"name": "decode", "plugins": [{"pluginRef": "decode-filter"}, {"pluginRef": "max-score-picker"}]}],
}
ONE_AT_A_TIME = {
    **CONFIG,
    "featureGates": ["flowControl"],
    "plugins": [{"type": "concurrency-detector", "parameters": {"maxConcurrency": 1}}],
    "saturationDetector": {"pluginRef": "concurrency-detector"},
}
EVICTING = {**ONE_AT_A_TIME, "flowControl": {"enableEviction": True}}
MODEL = {"object": "list", "data": [{"id": "m", "object": "model", "created": 1, "owned_by": "vllm"}]}


class Engine(Echo):
    """Lists the model m; what is asked of /held is answered when the test says so, a stream's second event too."""

    def do_GET(self):
        text = json.dumps(MODEL).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def do_POST(self):
        if self.path == "/held":
            self.server.order.append(self.headers.get("x-name"))
            self.server.arrived.release()
            self.server.go_on.acquire(timeout=PATIENCE)
        if self.path == "/streamed":
            self.begin_events()
            self.server.arrived.release()
            self.server.go_on.acquire(timeout=PATIENCE)
            return
        self.answer()

    def begin_events(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(b"data: first\n\n")
        self.wfile.flush()


def pod(name, address, role):
    return {"apiVersion": "v1", "kind": "Pod",
            "metadata": meta(name, labels={"app": "m", "llm-d.ai/role": role}), "spec": {"containers": []},
            "status": {"podIP": address, "phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}}


def pool(port):
    return {"apiVersion": POOL_API, "kind": "InferencePool", "metadata": meta("pool"),
            "spec": {"selector": {"matchLabels": {"app": "m"}}, "targetPorts": [{"number": port}],
                     "endpointPickerRef": {"name": "none", "port": {"number": 9002}}}}


def objective(name, priority):
    return {"apiVersion": "inference.networking.x-k8s.io/v1alpha2", "kind": "InferenceObjective",
            "metadata": meta(name), "spec": {"priority": priority, "poolRef": {"name": "pool"}}}


class Pools(unittest.TestCase):
    def setUp(self):
        self.upstream = Upstream("decode", Engine)
        self.addCleanup(self.upstream.close)
        self.upstream.server.order = []
        self.upstream.server.arrived, self.upstream.server.go_on = threading.Semaphore(0), threading.Semaphore(0)

    def start(self, config, *objects, trusted=True, routed=True):
        port = self.upstream.port
        rules = [rule(prefix(path), backends=[POOL_REF]) for path in ("/r", "/held", "/streamed")]
        made = Gateway([gateway(), pool(port), pod("decode-0", "127.0.0.1", "decode"), *objects,
                        *([route("r", *rules)] if routed else [])],
                       config={"pools": {"pickerConfig": config}, "trustedListeners": ["*"] if trusted else []})
        self.addCleanup(made.close)
        return made

    def prefiller(self):
        """Listens: one that refuses connections is never named."""
        made = Upstream("prefill", host="127.0.0.2", port=self.upstream.port)
        self.addCleanup(made.close)
        return pod("prefill-0", "127.0.0.2", "prefill")

    def test_the_prefill_worker_is_named_on_routes_and_in_the_unified_api(self):
        made = self.start(DISAGGREGATED, self.prefiller())
        for path in ("/r/v1/completions", "/v1/completions"):
            with self.subTest(path):
                answer = made.ask(path, method="POST", body=json.dumps({"model": "m", "prompt": "x" * 5000}),
                                  headers={"x-prefiller-host-port": "6.6.6.6:1"})
                self.assertEqual(answer.status, 200, answer.body)
                self.assertEqual(answer.json["headers"]["x-prefiller-host-port"], f"127.0.0.2:{self.upstream.port}")

    def test_a_worker_of_the_wrong_role_gets_nothing(self):
        made = self.start(DISAGGREGATED, self.prefiller())
        for _ in range(10):
            answer = made.ask("/r", method="POST", body=json.dumps({"model": "m", "prompt": "x"}))
            self.assertEqual(answer.served_by, "decode")

    def order_of(self, made):
        """The first request fills the pool, `low` and then `high` wait; the order in which they arrive."""
        clients = []

        def ask(name, objective_name):
            clients.append(threading.Thread(target=made.ask, args=("/held",), kwargs={
                "method": "POST", "body": json.dumps({"model": "m", "prompt": name}),
                "headers": {"x-name": name, "x-gateway-inference-objective": objective_name}}))
            clients[-1].start()

        def waiting(count):
            text = made.ask("/metrics").body.decode()
            lines = [line for line in text.splitlines() if line.startswith("llmd_gateway_waiting_requests{")]
            return sum(float(line.rsplit(" ", 1)[1]) for line in lines) == count

        ask("first", "none")
        self.assertTrue(self.upstream.server.arrived.acquire(timeout=PATIENCE))
        ask("low", "low")
        wait_for("low waits", lambda: waiting(1))
        ask("high", "high")
        wait_for("high waits", lambda: waiting(2))
        for _ in range(2):
            self.upstream.server.go_on.release()
            self.assertTrue(self.upstream.server.arrived.acquire(timeout=PATIENCE))
        self.upstream.server.go_on.release()
        for client in clients:
            client.join(PATIENCE)
        return self.upstream.server.order

    def test_an_objective_decides_who_is_served_first(self):
        made = self.start(ONE_AT_A_TIME, objective("low", -1), objective("high", 10))
        self.assertEqual(self.order_of(made), ["first", "high", "low"])

    def test_an_objective_decides_also_where_no_route_leads(self):
        made = self.start(ONE_AT_A_TIME, objective("low", -1), objective("high", 10), routed=False)
        self.assertEqual(self.order_of(made), ["first", "high", "low"])

    def test_objectives_from_outside_are_not_believed(self):
        made = self.start(ONE_AT_A_TIME, objective("low", -1), objective("high", 10), trusted=False)
        self.assertEqual(self.order_of(made), ["first", "low", "high"])

    def evicted(self, made, path):
        """A request that may be shed runs when one with a priority comes; what its client gets."""
        answers = {}

        def ask(name, path):
            client = threading.Thread(target=lambda: answers.update({name: made.ask(
                path, method="POST", body=json.dumps({"model": "m", "prompt": name, "stream": path == "/streamed"}),
                headers={"x-name": name, "x-gateway-inference-objective": name})}))
            client.start()
            return client

        low = ask("low", path)
        self.assertTrue(self.upstream.server.arrived.acquire(timeout=PATIENCE))
        high = ask("high", "/held")
        low.join(PATIENCE)
        self.assertTrue(self.upstream.server.arrived.acquire(timeout=PATIENCE), "the place is free")
        self.upstream.server.go_on.release(2)
        high.join(PATIENCE)
        self.assertEqual(answers["high"].status, 200)
        return answers["low"]

    def test_a_request_that_may_be_shed_makes_room_when_that_is_wanted(self):
        for routed in (True, False):
            with self.subTest(routed=routed):
                made = self.start(EVICTING, objective("low", -1), objective("high", 10), routed=routed)
                answer = self.evicted(made, "/held")
                self.assertEqual(answer.status, 429)
                self.assertIn("evicted by flow control", json.loads(answer.body)["error"]["message"])

    def test_a_stream_that_makes_room_ends_with_an_error(self):
        made = self.start(EVICTING, objective("low", -1), objective("high", 10))
        answer = self.evicted(made, "/streamed")
        events = answer.body.decode().split("\n\n")
        self.assertEqual(events[0], "data: first")
        self.assertEqual(json.loads(events[1].removeprefix("data: "))["error"]["code"], 429)
        self.assertEqual(events[2], "data: [DONE]")

    def test_a_mistake_in_the_configuration_is_named(self):
        with self.assertRaisesRegex(AssertionError, "pickerConfig.*no-such-plugin"):
            self.start({**CONFIG, "plugins": [{"type": "no-such-plugin"}]})

    def test_every_plugin_name_of_published_guides_is_accepted(self):
        """A43 of the checklist, as the gateway's own picker has it."""
        names = ["prefill-header-handler", "prefill-filter", "decode-filter", "queue-scorer",
                 "kv-cache-utilization-scorer", "prefix-cache-scorer", "max-score-picker", "random-picker"]
        for handler in ("pd-profile-handler", "slo-aware-profile-handler"):
            with self.subTest(handler):
                profile = [{"pluginRef": "queue-scorer", "weight": 2}, {"pluginRef": "max-score-picker"}]
                profiles = ["prefill", "decode"] if handler == "pd-profile-handler" else ["default", "slo"]
                made = self.start({**CONFIG, "plugins": [{"type": name} for name in [*names, handler]],
                                   "schedulingProfiles": [{"name": each, "plugins": profile} for each in profiles]})
                answer = made.ask("/r", method="POST", body=json.dumps({"model": "m", "prompt": "x"}),
                                  headers={"x-prediction-based-scheduling": "true", "x-slo-ttft-ms": "200",
                                           "x-slo-tpot-ms": "50"})
                self.assertEqual(answer.status, 200, answer.body)


if __name__ == "__main__":
    unittest.main()
