"""Which routes a listener takes, and references between namespaces, through a real `llmd gateway` with objects from
files."""

import unittest

from harness import POOL_API, Gateway, Upstream, exact, gateway, listener, meta, prefix, route, rule, service, to


class Attachment(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.upstreams = {name: Upstream(name) for name in "abc"}

    @classmethod
    def tearDownClass(cls):
        for upstream in cls.upstreams.values():
            upstream.close()

    def start(self, *objects, listeners=()):
        everything = list(objects)
        for upstream in self.upstreams.values():
            everything += service(upstream.name, upstream.port)
            everything += service(upstream.name, upstream.port, namespace="other")
        ports = [f"{port}=0" for port in listeners]
        arguments = ["--open-listeners", "--listener-port", *ports] if ports else []
        made = Gateway(everything, *arguments)
        self.addCleanup(made.close)
        made.read_listeners(len(ports))
        return made

    def test_hosts_are_the_intersection_of_listener_and_route(self):
        made = self.start(
            gateway(listener("exact", 8001, hostname="very.specific.example"),
                    listener("wild", 8001, hostname="*.wild.example"), listener("any", 8001)),
            route("exact", rule(prefix("/s1"), backends=to("a")), hosts=["very.specific.example", "non.example"],
                  parents=[{"name": "gateway", "sectionName": "exact"}]),
            route("wild", rule(prefix("/s2"), backends=to("b")), hosts=["*.example", "foo.wild.example"],
                  parents=[{"name": "gateway", "sectionName": "wild"}]),
            route("none", rule(prefix("/s3"), backends=to("c")), hosts=["specific.but.wrong"],
                  parents=[{"name": "gateway", "sectionName": "wild"}]),
            listeners=[8001])
        door = made.listeners[8001]
        for host, path, expected in (
                ("very.specific.example", "/s1", "a"), ("non.example", "/s1", 404), ("foo.wild.example", "/s2", "b"),
                ("bar.wild.example", "/s2", "b"), ("x.y.wild.example", "/s2", "b"), ("wild.example", "/s2", 404),
                ("specific.but.wrong", "/s3", 404), ("very.specific.example", "/s2", 404)):
            with self.subTest(host=host, path=path):
                self.assertEqual(made.ask(path, host, address=door).served_by, expected)

    def test_a_listener_keeps_its_host_from_less_specific_ones(self):
        made = self.start(
            gateway(listener("one", 8001, hostname="one.example"), listener("any", 8001)),
            route("any", rule(prefix("/"), backends=to("a")), parents=[{"name": "gateway", "sectionName": "any"}]),
            route("one", rule(prefix("/one"), backends=to("b")), parents=[{"name": "gateway", "sectionName": "one"}]),
            listeners=[8001])
        door = made.listeners[8001]
        for host, path, expected in (("one.example", "/one", "b"), ("one.example", "/", 404), ("two.example", "/", "a")):
            self.assertEqual(made.ask(path, host, address=door).served_by, expected)

    def test_parents_choose_listeners_by_port(self):
        made = self.start(
            gateway(listener("one", 8001), listener("two", 8002)),
            route("one", rule(prefix("/"), backends=to("a")), parents=[{"name": "gateway", "port": 8001}]),
            route("two", rule(prefix("/"), backends=to("b")), parents=[{"name": "gateway", "port": 8002}]),
            listeners=[8001, 8002])
        self.assertEqual(made.ask("/", address=made.listeners[8001]).served_by, "a")
        self.assertEqual(made.ask("/", address=made.listeners[8002]).served_by, "b")

    def test_routes_of_other_gateways_classes_and_sections_are_not_served(self):
        other_class = {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "GatewayClass",
                       "metadata": {"name": "other"}, "spec": {"controllerName": "example.com/other"}}
        made = self.start(
            gateway(), other_class, gateway(name="theirs", class_name="other"),
            route("theirs", rule(prefix("/theirs"), backends=to("a")), parents=[{"name": "theirs"}]),
            route("nobody", rule(prefix("/nobody"), backends=to("a")), parents=[{"name": "nobody"}]),
            route("section", rule(prefix("/section"), backends=to("a")),
                  parents=[{"name": "gateway", "sectionName": "missing"}]),
            route("ours", rule(prefix("/ours"), backends=to("a"))))
        for path, expected in (("/ours", "a"), ("/theirs", 404), ("/nobody", 404), ("/section", 404)):
            self.assertEqual(made.ask(path).served_by, expected)
        self.assertIn("NoMatchingParent", made.log_text())

    def test_namespaces_of_routes(self):
        def with_namespaces(name, port, **namespaces):
            return listener(name, port) | {"allowedRoutes": {"namespaces": namespaces}}
        labelled = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "other", "labels": {"team": "x"}}}
        made = self.start(
            labelled,
            gateway(with_namespaces("same", 8001, **{"from": "Same"}),
                    with_namespaces("chosen", 8002, **{"from": "Selector", "selector": {"matchLabels": {"team": "x"}}})),
            route("here", rule(prefix("/here"), backends=to("a"))),
            route("there", rule(prefix("/there"), backends=to("b")), namespace="other"),
            listeners=[8001, 8002])
        for port, path, expected in ((8001, "/here", "a"), (8001, "/there", 404), (8002, "/there", "b"),
                                     (8002, "/here", 404)):
            with self.subTest(port=port, path=path):
                self.assertEqual(made.ask(path, address=made.listeners[port]).served_by, expected)

    def test_backends_of_other_namespaces_need_a_grant(self):
        def grant(**target):
            return {"apiVersion": "gateway.networking.k8s.io/v1beta1", "kind": "ReferenceGrant",
                    "metadata": meta("grant", "other"),
                    "spec": {"from": [{"group": "gateway.networking.k8s.io", "kind": "HTTPRoute",
                                       "namespace": "default"}],
                             "to": [{"group": "", "kind": "Service", **target}]}}
        far = route("far", rule(prefix("/a"), backends=to("a", namespace="other")),
                    rule(prefix("/b"), backends=to("b", namespace="other")))
        rows = (([], 500, 500), ([grant()], "a", "b"), ([grant(name="b")], 500, "b"))
        for grants, first, second in rows:
            with self.subTest(grants=grants):
                made = self.start(gateway(), far, *grants)
                self.assertEqual((made.ask("/a").served_by, made.ask("/b").served_by), (first, second))

    def test_pools_pick_among_their_ready_pods(self):
        def pod(name, address, ready="True"):
            return {"apiVersion": "v1", "kind": "Pod", "metadata": meta(name, labels={"app": "vllm"}),
                    "status": {"podIP": address, "conditions": [{"type": "Ready", "status": ready}]}}
        def pool(api, spec):
            return {"apiVersion": api, "kind": "InferencePool", "metadata": meta("pool"), "spec": spec}
        ports = [{"number": self.upstreams["a"].port}, {"number": self.upstreams["b"].port}]
        old_api = "inference.networking.x-k8s.io/v1alpha2"
        made = self.start(
            gateway(), pod("one", "127.0.0.1"), pod("two", "127.0.0.9", "False"),
            pool(POOL_API, {"selector": {"matchLabels": {"app": "vllm"}}, "targetPorts": ports}),
            pool(old_api, {"selector": {"app": "vllm"}, "targetPortNumber": self.upstreams["c"].port,
                           "extensionRef": {"name": "epp"}}),
            route("pools",
                  rule(prefix("/v1"), backends=[{"group": POOL_API.split("/")[0], "kind": "InferencePool",
                                                 "name": "pool", "port": 1234}]),
                  rule(prefix("/old"), backends=[{"group": old_api.split("/")[0], "kind": "InferencePool",
                                                  "name": "pool"}]),
                  rule(prefix("/missing"), backends=[{"group": POOL_API.split("/")[0], "kind": "InferencePool",
                                                      "name": "nobody"}])))
        self.assertEqual({made.ask("/v1").served_by for _ in range(20)}, {"a", "b"})
        self.assertEqual({made.ask("/old").served_by for _ in range(5)}, {"c"})
        self.assertEqual(made.ask("/missing").status, 500)


if __name__ == "__main__":
    unittest.main()
