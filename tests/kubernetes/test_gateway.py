"""`llmd gateway` on a real API server: the same routes as from files, and the status contract of the Gateway API."""

import functools
import json
import unittest

from cluster_gateway import USER, ClusterGateway, GatewayCluster, wait_for  # first: finds the next three
import harness
import test_attachment
import test_routes
from control_plane import POD_ADDRESS, enter_own_network, require
from harness import exact, gateway, listener, prefix, route, rule, service, to

plane = None


def setUpModule():
    global plane
    plane = GatewayCluster().__enter__()
    unittest.addModuleCleanup(plane.stop)


def tearDownModule():
    plane.check_rights()


for tests in (test_attachment, test_routes):
    tests.Gateway = lambda *words: ClusterGateway(plane, *words)
    tests.Upstream = functools.partial(harness.Upstream, host=POD_ADDRESS)


class Rows(test_routes.Rows):
    """The rows of the file-based test, word for word, but for those that the API server refuses: filters that exclude
    each other, and statuses of redirects that the definition does not have yet."""

    refused = frozenset({"both", "unknown", "redirect-3", "redirect-4", "redirect-5"})

    def test_filters_that_cannot_be_followed_answer_500(self):
        self.assertEqual(self.gateway.refused, self.refused)


class Attachment(test_attachment.Attachment):
    pass


def conditions(holder):
    return {each["type"]: (each["status"], each["reason"]) for each in (holder or {}).get("conditions", [])}


class Status(unittest.TestCase):
    """The contract of the Gateway API: who says what about which object."""

    def start(self, *objects):
        upstream = harness.Upstream("a", host=POD_ADDRESS)
        self.addCleanup(upstream.close)
        services = [*service("a", upstream.port), *service("a", upstream.port, namespace="other")]
        made = ClusterGateway(plane, [*objects, *services], "--address", "gateway.example")
        self.addCleanup(made.close)
        return made

    def parents(self, name, namespace="default"):
        return (plane.get("httproute", name, namespace) or {}).get("status", {}).get("parents", [])

    def until_said(self, name, **expected):
        """Waits until the only parent of the route has these conditions; all know the newest generation."""
        def said():
            parents = self.parents(name)
            seen = conditions(parents[0]) if len(parents) == 1 else {}
            generation = plane.get("httproute", name)["metadata"]["generation"]
            known = all(each["observedGeneration"] == generation for each in parents[0]["conditions"]) if seen else False
            return known and expected.items() <= seen.items()
        try:
            wait_for(f"{name}: {expected}", said)
        except AssertionError as error:
            raise AssertionError(f"{error}: {self.parents(name)}") from error

    def test_routes(self):
        holds = ("True", "Accepted")
        resolved = ("True", "ResolvedRefs")
        foreign = [{"group": "example.com", "kind": "Bucket", "name": "a"}]
        rows = {
            "good": ([rule(prefix("/"), backends=to("a"))], {}, holds, resolved),
            "missing": ([rule(prefix("/"), backends=to("nobody"))], {}, holds, ("False", "BackendNotFound")),
            "kind": ([rule(prefix("/"), backends=foreign)], {}, holds, ("False", "InvalidKind")),
            "grant": ([rule(prefix("/"), backends=to("a", namespace="other"))], {}, holds, ("False", "RefNotPermitted")),
            "hosts": ([rule(prefix("/"), backends=to("a"))],
                      {"hosts": ["else.example"], "parents": [{"name": "gateway", "sectionName": "named"}]},
                      ("False", "NoMatchingListenerHostname"), resolved),
            "section": ([rule(prefix("/"), backends=to("a"))],
                        {"parents": [{"name": "gateway", "sectionName": "nobody"}]}, ("False", "NoMatchingParent"),
                        resolved),
        }
        made = self.start(gateway(listener(), listener("named", 8081, hostname="named.example")),
                          *[route(name, *rules, **more) for name, (rules, more, _, _) in rows.items()])
        for name, (_, _, accepted, refs) in rows.items():
            with self.subTest(name):
                self.until_said(name, Accepted=accepted, ResolvedRefs=refs)
                parent = self.parents(name)[0]
                self.assertEqual(parent["controllerName"], "llmd.dev/gateway-controller")
                self.assertEqual(parent["parentRef"]["name"], "gateway")
        # A new generation is seen, and what was wrong may be right now.
        plane.apply([route("missing", rule(prefix("/"), backends=to("a")))])
        self.until_said("missing", ResolvedRefs=resolved)
        before = plane.get("gateway", "gateway")
        plane.apply([gateway(listener())])
        wait_for("the Gateway's generation", lambda: self.generations(plane.get("gateway", "gateway")) ==
                 {before["metadata"]["generation"] + 1})
        self.until_said("hosts", Accepted=("False", "NoMatchingParent"))
        self.assertEqual(made.refused, set())

    def generations(self, one):
        status = one.get("status", {})
        every = [*status.get("conditions", []), *(each for listener in status.get("listeners", [])
                                                  for each in listener["conditions"])]
        return {each["observedGeneration"] for each in every}

    def test_namespaces(self):
        self.start(gateway(listener() | {"allowedRoutes": {"namespaces": {"from": "Same"}}}),
                   route("far", rule(prefix("/"), backends=to("a")), namespace="other"))
        wait_for("the refusal", lambda: [conditions(each).get("Accepted") for each in self.parents("far", "other")] ==
                 [("False", "NotAllowedByListeners")])

    def test_gateways_classes_and_listeners(self):
        def secure(name, port, **tls):
            return listener(name, port, "HTTPS", hostname=f"{name}.example", tls={"mode": "Terminate", **tls})
        self.start(gateway(
            listener(), listener("one", 8001, hostname="x.example"), listener("bad", 8003, "TCP"),
            secure("secret", 8004, certificateRefs=[{"name": "nobody"}]),
            secure("far", 8005, certificateRefs=[{"name": "theirs", "namespace": "other"}]),
            listener("kinds", 8006) | {"allowedRoutes": {"kinds": [{"kind": "GRPCRoute"}, {"kind": "HTTPRoute"}]}}),
            route("r", rule(prefix("/"), backends=to("a")), parents=[{"name": "gateway", "sectionName": "http"}]))

        def said():
            status = plane.get("gateway", "gateway").get("status", {})
            found = {each["name"]: each for each in status.get("listeners", [])}
            return (status, found) if found.get("http", {}).get("attachedRoutes") == 1 else None
        status, listeners = wait_for("the Gateway's status", said)
        self.assertEqual(conditions(status)["Programmed"], ("True", "Programmed"))
        self.assertEqual(status["addresses"], [{"type": "Hostname", "value": "gateway.example"}])
        self.assertEqual({name: each["attachedRoutes"] for name, each in listeners.items() if each["attachedRoutes"]},
                         {"http": 1})
        good = {"Accepted": ("True", "Accepted"), "Programmed": ("True", "Programmed"),
                "ResolvedRefs": ("True", "ResolvedRefs"), "Conflicted": ("False", "NoConflicts")}
        self.assertEqual(conditions(listeners["http"]), good)
        self.assertEqual(conditions(listeners["one"]), good)
        self.assertEqual(conditions(listeners["bad"])["Accepted"], ("False", "UnsupportedProtocol"))
        self.assertEqual(conditions(listeners["secret"])["ResolvedRefs"], ("False", "InvalidCertificateRef"))
        self.assertEqual(conditions(listeners["far"])["ResolvedRefs"], ("False", "RefNotPermitted"))
        self.assertEqual(conditions(listeners["secret"])["Programmed"][0], "False")
        self.assertIn("HTTPRoute", [each["kind"] for each in listeners["kinds"]["supportedKinds"]])
        self.assertEqual(self.generations({"status": status}), {1})
        accepted = conditions(plane.get("gatewayclass", "llmd")["status"])["Accepted"]
        self.assertEqual(accepted, ("True", "Accepted"))

    def test_others_entries_stay_and_nothing_is_written_without_need(self):
        mine = route("shared", rule(prefix("/"), backends=to("a")))
        made = self.start(gateway(), mine)
        other = ClusterGateway(plane, made.applied, "--address", "gateway.example")  # a second replica, of the same mind
        self.addCleanup(other.close)
        self.until_said("shared", Accepted=("True", "Accepted"))
        theirs = {"parentRef": {"name": "theirs"}, "controllerName": "example.com/gateway", "conditions": [
            {"type": "Accepted", "status": "True", "reason": "Accepted", "message": "", "observedGeneration": 1,
             "lastTransitionTime": "2026-01-01T00:00:00Z"}]}
        parents = [*self.parents("shared"), theirs]
        plane.kubectl("patch", "httproute", "shared", "--subresource=status", "--type=merge", "-p",
                      json.dumps({"status": {"parents": parents}}))
        plane.apply([route("shared", rule(prefix("/x"), backends=to("a")))])
        wait_for("the new generation", lambda: [
            each["conditions"][0]["observedGeneration"] for each in self.parents("shared")
            if each["controllerName"].startswith("llmd")] == [2])
        self.assertIn("example.com/gateway", [each["controllerName"] for each in self.parents("shared")])

        def versions():
            return [plane.get(kind, name)["metadata"]["resourceVersion"]
                    for kind, name in (("httproute", "shared"), ("gateway", "gateway"), ("gatewayclass", "llmd"))]

        def writes():
            return len(plane.audited(USER, subresource="status"))
        before, written = versions(), writes()
        for turn in range(5):  # both look at everything again each time
            path = f"/turn-{turn}"
            plane.apply([route("turn", rule(exact(path), backends=to("a")), parents=[{"name": "elsewhere"}])])
            plane.kubectl("annotate", "service", "a", f"turn={turn}", "--overwrite")
            for each in (made, other):
                self.assertEqual(each.ask("/x").served_by, "a")
        plane.delete([route("turn")])
        self.assertEqual((versions(), writes()), (before, written))


if __name__ == "__main__":
    require()
    enter_own_network()
    unittest.main()
