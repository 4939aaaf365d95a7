#!/usr/bin/env python3
"""Several pools in one picker, endpoints that come and go, and what objectives and model rewrites change.

  test_pools.py --picker PROGRAM
"""

import argparse
import collections
import json
import sys
import unittest

import clients

clients.run_inside(__file__)

from programs import InFolder, Picker, wait_for  # noqa: E402
from proxy import Proxy  # noqa: E402

PROGRAM = None
POOLS = """\
pools:
- {name: llama, models: [llama-8b], hosts: [llama.example.com]}
- {name: qwen, models: [qwen-7b], config: qwen.yaml}
endpoints:
- {name: l1, pool: llama, address: 127.0.0.1, port: 1001}
- {name: q1, pool: qwen, address: 127.0.0.1, port: 2001, labels: {tier: gold}}
- {name: q2, pool: qwen, address: 127.0.0.1, port: 2002}
"""
# The pool's own configuration: only labelled endpoints.
QWEN = """\
plugins:
- type: label-selector-filter
  parameters: {matchLabels: {tier: gold}}
- type: random-picker
"""


class World(InFolder):
    def start(self, *arguments):
        self.picker = Picker(PROGRAM, *arguments)
        self.addCleanup(self.picker.stop)
        self.proxy = Proxy(self.picker.grpc)
        self.addCleanup(self.proxy.close)

    def debug(self):
        return json.loads(self.picker.get("/debug"))


class ManyPools(World):
    def setUp(self):
        super().setUp()
        self.write("qwen.yaml", QWEN)
        self.endpoints = self.write("endpoints.yaml", POOLS)
        self.start("--endpoints-file", self.endpoints)

    def test_requests_find_their_pool(self):
        rows = [
            ({"model": "llama-8b"}, "127.0.0.1:1001"),
            ({"model": "qwen-7b"}, "127.0.0.1:2001"),
            ({"model": "qwen"}, "127.0.0.1:2001"),
            ({"model": "qwen-7b", "headers": {":authority": "llama.example.com:443"}}, "127.0.0.1:1001"),
            ({"model": "llama-8b", "headers": {"x-llmd-pool": "qwen"}}, "127.0.0.1:2001"),
            ({"model": "llama-8b", "headers": {"x-llmd-pool": "qwen"},
              "metadata": {"llmd": {"pool": "llama"}}}, "127.0.0.1:1001"),
        ]
        for request, destination in rows:
            with self.subTest(**request):
                self.assertEqual(self.proxy.complete(**request).destination, destination)

    def test_the_list_of_models_is_that_of_all_pools(self):
        def ids(**question):
            request = self.proxy.open("/v1/models", **question).decide()
            if request.status is None:
                return request.destination
            return [card["id"] for card in json.loads(request.refusal)["data"]]

        self.assertEqual(ids(), ["llama-8b", "qwen-7b"])
        self.assertIn(ids(headers={"x-llmd-pool": "qwen"}), ["127.0.0.1:2001", "127.0.0.1:2002"])
        self.assertEqual(ids(headers={":authority": "llama.example.com"}), "127.0.0.1:1001")

    def test_what_no_pool_serves_is_not_found(self):
        refused = self.proxy.complete(model="gpt")
        self.assertEqual((refused.status, refused.refusal),
                         (404, "inference error: NotFound - no pool serves the model 'gpt'"))
        refused = self.proxy.complete(model="qwen-7b", headers={"x-llmd-pool": "unknown"})
        self.assertEqual((refused.status, refused.refusal), (404, "inference error: NotFound - there is no pool 'unknown'"))

    def test_each_pool_has_its_own_metrics_state_and_explanations(self):
        self.proxy.complete(model="qwen-7b", headers={"x-request-id": "mine"})
        page = self.picker.get("/metrics")
        self.assertIn('llm_d_epp_ready_endpoints{name="llama"} 1', page)
        self.assertIn('llm_d_epp_ready_endpoints{name="qwen"} 2', page)
        self.assertEqual(sorted(self.debug()["pools"]), ["llama", "qwen"])
        self.assertIn("label-selector-filter", self.picker.get("/debug/explain?id=mine"))
        recorded = json.loads(self.picker.get("/debug/explanations?pool=qwen"))
        self.assertEqual(len(recorded["decisions"]), 1)
        self.assertEqual(json.loads(self.picker.get("/debug/explanations?pool=llama"))["decisions"], [])

    def test_pools_come_and_go_with_the_file(self):
        self.write("endpoints.yaml", POOLS.replace("- {name: llama, models: [llama-8b], hosts: [llama.example.com]}",
                                                   "- {name: new, models: [new-1b]}").replace("pool: llama", "pool: new"))
        wait_for(lambda: sorted(self.debug().get("pools", {})) == ["new", "qwen"], "the pools to change")
        self.assertEqual(self.proxy.complete(model="new-1b").destination, "127.0.0.1:1001")
        self.assertEqual(self.proxy.complete(model="llama-8b").status, 404)
        self.write("endpoints.yaml", POOLS)
        wait_for(lambda: sorted(self.debug().get("pools", {})) == ["llama", "qwen"], "the pools to come back")
        self.assertEqual(self.proxy.complete(model="llama-8b").destination, "127.0.0.1:1001")


class Reload(World):
    def test_endpoints_change_names_and_addresses_of_every_kind(self):
        file = self.write("e.yaml", "endpoints: [{name: a, address: 10.1.2.3, port: 8000}]")
        self.start("--endpoints-file", file)
        self.assertEqual(self.proxy.complete().destination, "10.1.2.3:8000")
        for address, destination in [("fd00::7", "[fd00::7]:8000"), ("'[fd00::8]'", "[fd00::8]:8000"),
                                     ("localhost", "localhost:8000"), ("engine.example.com", "engine.example.com:8000")]:
            with self.subTest(address=address):
                file.write_text(f"endpoints: [{{name: a, address: {address}, port: '8000'}}]")
                wait_for(lambda: self.proxy.complete().destination == destination, destination)

    def test_a_mistake_leaves_the_endpoints_as_they_were(self):
        file = self.write("e.yaml", "endpoints: [{name: a, address: 10.1.2.3, port: 8000}]")
        self.start("--endpoints-file", file)
        file.write_text("endpoints: [{name: a, address: 10.1.2.3, port: none}]")
        other = self.write("f.yaml", "endpoints: [{name: a, address: 10.9.9.9, port: 1}]")
        # The watcher has passed the mistake once it has taken the file after it.
        self.assertEqual(self.proxy.complete().destination, "10.1.2.3:8000")
        file.write_text(other.read_text())
        wait_for(lambda: self.proxy.complete().destination == "10.9.9.9:1", "the corrected file")

    def test_no_endpoint_is_a_503_and_not_a_hang(self):
        file = self.write("e.yaml", "endpoints: []")
        self.start("--endpoints-file", file)
        refused = self.proxy.complete()
        self.assertEqual(refused.status, 503)
        self.assertIn("failed to find endpoint candidates", refused.refusal)
        self.assertEqual(refused.refusal_headers["x-llm-d-request-dropped-reason"], "rejected-no-endpoints")


OBJECTS = """\
apiVersion: llm-d.ai/v1alpha2
kind: InferenceObjective
metadata: {name: batch}
spec: {priority: -1}
---
apiVersion: llm-d.ai/v1alpha2
kind: InferenceModelRewrite
metadata: {name: canary, creationTimestamp: "2026-01-02T00:00:00Z"}
spec:
  poolRef: {name: default}
  rules:
  - matches: [{model: {type: Exact, value: assistant}}]
    targets: [{modelRewrite: stable, weight: 75}, {modelRewrite: fresh, weight: 25}]
---
apiVersion: llm-d.ai/v1alpha2
kind: InferenceModelRewrite
metadata: {name: newer, creationTimestamp: "2026-02-02T00:00:00Z"}
spec:
  rules:
  - matches: [{model: {type: Exact, value: assistant}}]
    targets: [{modelRewrite: never}]
  - targets: [{modelRewrite: fallback}]
"""


class Objects(World):
    def setUp(self):
        super().setUp()
        self.objects = self.write("objects.yaml", OBJECTS)
        self.endpoints = self.write("e.yaml", "endpoints: [{name: a, address: 127.0.0.1, port: 1}]")
        self.start("--endpoints-file", self.endpoints, "--objects-file", self.objects)

    def model_sent(self, **request):
        return json.loads(self.proxy.complete(**request).sent_body)["model"]

    def test_models_are_rewritten_by_weight_and_age(self):
        drawn = collections.Counter(self.model_sent(model="assistant") for _ in range(200))
        self.assertEqual(set(drawn), {"stable", "fresh"})
        self.assertGreater(drawn["stable"], drawn["fresh"])
        self.assertEqual(self.model_sent(model="other"), "fallback")
        self.assertEqual(self.model_sent(model="assistant", headers={"x-llm-d-model-name-rewrite": "header"}) in drawn,
                         True, "an object beats the header")
        page = self.picker.get("/metrics")
        for prefix in ["llm_d_epp", "inference_extension"]:
            self.assertIn(f'{prefix}_model_rewrite_decisions_total{{model_rewrite_name="canary",model_name="assistant",'
                          f'target_model="stable"}}', page)

    def test_answers_name_the_model_as_the_client_did(self):
        request = self.proxy.open(body={"model": "other", "prompt": "x"}).decide()
        headers = request.answer_begins()["response_headers"]["response"]
        self.assertIn("content-length", headers["header_mutation"]["remove_headers"])
        body = b'{"id":"1","model":"fallback","choices":[{"text":"the \\"model\\" is here"}]}'
        piece = request.answer_part(body, True)["response_body"]["response"]["body_mutation"]["streamed_response"]
        import base64

        self.assertEqual(json.loads(base64.b64decode(piece["body"]))["model"], "other")
        request.close()

    def test_the_rest_of_the_body_stays_as_it_was(self):
        text = b'{ "prompt" : "x",\n "model" : "other", "n": 1e2 }'
        request = self.proxy.open(body=text).decide()
        self.assertEqual(request.sent_body, text.replace(b'"other"', b'"fallback"'))
        request.complete()

    def test_objects_are_read_again_when_their_file_changes(self):
        self.objects.write_text(OBJECTS.replace("fallback", "changed"))
        wait_for(lambda: self.model_sent(model="other") == "changed", "the new rewrite")
        self.objects.write_text("kind: Nonsense\n")
        self.assertEqual(self.model_sent(model="other"), "changed")

    def test_an_objective_makes_a_request_sheddable(self):
        # Nobody scrapes anything from port 1: without numbers the pool counts as saturated.
        for headers, status in [({}, None), ({"x-llm-d-inference-objective": "batch"}, 429),
                                ({"x-gateway-inference-objective": "batch"}, 429),
                                ({"x-llm-d-inference-objective": "unknown"}, None)]:
            with self.subTest(headers=headers):
                request = self.proxy.complete(headers=headers)
                self.assertEqual(request.status, status, request.refusal)


class Shedding(World):
    def test_what_is_shed_is_429_or_503_with_a_reason_and_a_time(self):
        objects = self.write("objects.yaml", OBJECTS)
        # Nobody scrapes anything from port 1: without numbers the pool counts as saturated.
        endpoints = self.write("e.yaml", "endpoints: [{name: a, address: 127.0.0.1, port: 1}]")
        for flags, status in (([], 429), (["--shed-with-503"], 503)):
            with self.subTest(flags=flags):
                self.start("--endpoints-file", endpoints, "--objects-file", objects, *flags)
                refused = self.proxy.complete(headers={"x-llm-d-inference-objective": "batch"})
                self.assertEqual(refused.status, status)
                self.assertIn("x-llm-d-request-dropped-reason", refused.refusal_headers)
                self.assertGreater(int(refused.refusal_headers["retry-after"]), 0)
                self.assertEqual(self.proxy.complete().status, None, "not sheddable: served")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--picker", required=True)
    arguments, rest = parser.parse_known_args()
    PROGRAM = arguments.picker
    unittest.main(argv=[sys.argv[0], *rest])
