#!/usr/bin/env python3
"""`llmd picker` with our own API server: what replicas that do not lead know, and what probes are told when a pool's
engines speak what the configured parsers do not.

  test_replicas.py --picker PROGRAM --apiserver PROGRAM
"""

import argparse
import json
import sys
import unittest
from pathlib import Path

import clients

clients.run_inside(__file__)

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "kubectl"))

import grpc  # noqa: E402
import server as apiserver  # noqa: E402

from programs import InFolder, Picker, wait_for  # noqa: E402
from proxy import Proxy, stubs  # noqa: E402

PROGRAM = None
POOLS = "/apis/inference.networking.k8s.io/v1/namespaces/default/inferencepools"
PODS = "/api/v1/namespaces/default/pods"


def pool(protocol=None):
    spec = {"selector": {"matchLabels": {"app": "vllm"}}, "targetPorts": [{"number": 8000}]}
    if protocol:
        spec["appProtocol"] = protocol
    return {"apiVersion": "inference.networking.k8s.io/v1", "kind": "InferencePool", "metadata": {"name": "pool"},
            "spec": spec}


class World(InFolder):
    def setUp(self):
        super().setUp()
        self.server = apiserver.Server()
        self.addCleanup(self.server.stop)
        self.server.request("POST", PODS, {"apiVersion": "v1", "kind": "Pod",
                                           "metadata": {"name": "p", "labels": {"app": "vllm"}},
                                           "spec": {"containers": [{"name": "main", "image": "none"}]}})
        self.patch(PODS + "/p/status", {"status": {"podIP": "127.0.0.1",
                                                   "conditions": [{"type": "Ready", "status": "True"}]}})

    def patch(self, path, change):
        self.server.request("PATCH", path, change, content_type="application/merge-patch+json")

    def start(self, text, *arguments):
        configuration = self.folder / "c.yaml"
        configuration.write_text(text)
        picker = Picker(PROGRAM, "--kubeconfig", self.server.kubeconfig, "--pool-name", "pool", "--config-file",
                        configuration, "--drain-timeout", "0s", *arguments)
        self.addCleanup(picker.stop)
        return picker

    def health(self, picker, service=""):
        _, _, _, messages, services = stubs()
        with grpc.insecure_channel(picker.health) as channel:
            answer = services.HealthStub(channel).Check(messages.HealthCheckRequest(service=service), timeout=10)
        return messages.HealthCheckResponse.ServingStatus.Name(answer.status)

    def endpoints(self, picker):
        return [each["address"] for each in json.loads(picker.get("/debug"))["endpoints"]]

    def until_found(self, picker):
        wait_for(lambda: self.endpoints(picker) == ["127.0.0.1:8000"], "the pod")

    def change_pool(self, protocol):
        self.patch(POOLS + "/pool", {"spec": {"appProtocol": protocol}})


class Protocols(World):
    """Every parser has to read what the pool's engines are sent: HTTP/1.1 unless the pool says h2c."""

    ROWS = [("plugins: []", None, "SERVING"), ("plugins: []", "http", "SERVING"),
            ("plugins: []", "kubernetes.io/h2c", "SERVING"),
            ("parser: {pluginRef: vllmgrpc-parser}", None, "NOT_SERVING"),
            ("parser: {pluginRef: vllmgrpc-parser}", "http", "NOT_SERVING"),
            ("parser: {pluginRef: vllmgrpc-parser}", "kubernetes.io/h2c", "SERVING"),
            ("requestHandler: {parsers: [{pluginRef: openai-parser}, {pluginRef: vertexai-parser}]}", "http", "NOT_SERVING"),
            ("parser: {pluginRef: passthrough-parser}", "http", "SERVING")]

    def test_probes_hear_of_a_pool_that_the_parsers_cannot_serve(self):
        self.server.request("POST", POOLS, pool())
        for text, protocol, status in self.ROWS:
            with self.subTest(parsers=text, protocol=protocol):
                self.change_pool(protocol)
                picker = self.start(text)
                self.until_found(picker)
                wait_for(lambda: self.health(picker) == status, status)
                self.assertEqual(self.health(picker, "inference-extension"), status)
                picker.stop()

    def test_a_pool_that_changes_is_served_from_then_on(self):
        self.server.request("POST", POOLS, pool("http"))
        picker = self.start("parser: {pluginRef: vllmgrpc-parser}", "--ha-enable-leader-election")
        self.until_found(picker)
        self.assertEqual(self.health(picker, "readiness"), "NOT_SERVING")
        self.assertEqual(self.health(picker, "liveness"), "SERVING")
        self.change_pool("kubernetes.io/h2c")
        wait_for(lambda: self.health(picker, "readiness") == "SERVING", "the change")
        self.change_pool("http")
        wait_for(lambda: self.health(picker, "readiness") == "NOT_SERVING", "the change back")
        self.assertEqual(self.health(picker, "liveness"), "SERVING")


class Followers(World):
    def setUp(self):
        super().setUp()
        self.server.request("POST", POOLS, pool())

    def two(self, text):
        leader = self.start(text, "--ha-enable-leader-election")
        wait_for(lambda: self.health(leader, "readiness") == "SERVING", "a leader")
        return leader, self.start(text, "--ha-enable-leader-election")

    def destination(self, picker):
        proxy = Proxy(picker.grpc)
        try:
            request = proxy.complete()
        finally:
            proxy.close()
        return request.destination if request.status is None else request.status

    def test_they_know_the_endpoints_and_route_what_reaches_them(self):
        leader, follower = self.two("plugins: []")
        self.until_found(follower)
        self.assertEqual([self.destination(each) for each in [leader, follower]], ["127.0.0.1:8000"] * 2)
        self.assertEqual(self.health(follower, "readiness"), "NOT_SERVING")
        self.assertEqual(self.health(follower, "liveness"), "SERVING")

    def test_with_the_gate_off_they_know_nothing_until_they_lead(self):
        leader, follower = self.two("featureGates: [haPopulateNonLeaderDatastore=false]\nplugins: []")
        self.assertEqual(self.destination(leader), "127.0.0.1:8000")
        self.assertEqual(self.endpoints(follower), [])
        self.assertEqual(self.destination(follower), 503)
        self.assertEqual(self.health(follower, "liveness"), "SERVING")
        leader.stop()
        wait_for(lambda: self.health(follower, "readiness") == "SERVING", "the next leader", 60)
        self.assertEqual(self.destination(follower), "127.0.0.1:8000")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--picker", required=True)
    parser.add_argument("--apiserver", required=True)
    arguments, rest = parser.parse_known_args()
    PROGRAM = arguments.picker
    apiserver.BINARY = arguments.apiserver
    unittest.main(argv=[sys.argv[0], *rest])
