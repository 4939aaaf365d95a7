"""`llmd gateway` on a real API server, with the rights of config/gateway: the same routes as from files, the status
contract of the Gateway API, bad days of the API server, entries made by hand."""

import functools
import json
import pathlib
import subprocess
import tempfile
import unittest
import urllib.error
import urllib.request

from cluster import CLASS, LLMD, PATIENCE, SYSTEM, Cluster, user_of, wait_for  # first: finds the next two
import harness
import test_routes
from control_plane import POD_ADDRESS, enter_own_network, require
from flaky_server import FlakyServer
from harness import exact, gateway, listener, meta, prefix, route, rule, service, to

USER = user_of("llmd-gateway")
plane = None
kubeconfig = None


def setUpModule():
    global plane, kubeconfig
    plane = Cluster("gateway/account.yaml", "gateway/roles.yaml")
    plane.__enter__()
    unittest.addModuleCleanup(plane.stop)
    kubeconfig = plane.account("llmd-gateway", SYSTEM)
    plane.kubectl("create", "namespace", "other")
    plane.apply([CLASS])


def tearDownModule():
    refused = plane.audited(USER, code=403)
    assert not refused, f"config/gateway/roles.yaml lacks rights: {refused[:5]}"
    assert plane.audited(USER), "nothing was audited: is the account another one?"


class ClusterGateway(harness.Gateway):
    """A `llmd gateway` that reads its objects from the API server."""

    def __init__(self, objects, *arguments, admin="none", config=None, server=None):
        self.applied = []
        self.refused = set()
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="llmd-gateway-"))
        self.write(objects)
        self.log = open(self.folder / "log", "wb")
        if config:
            (self.folder / "gateway.yaml").write_text(json.dumps(
                {"apiVersion": "config.llmd.dev/v1alpha1", "kind": "GatewayConfiguration", **config}))
            arguments = (*arguments, "--config", str(self.folder / "gateway.yaml"))
        self.process = subprocess.Popen(
            [LLMD, "gateway", "--kubeconfig", str(server or kubeconfig), "--port", "0", "--admin", admin, "--data",
             str(self.folder / "data"), "--routes-config-map", f"{SYSTEM}/llmd-gateway-routes", *arguments],
            stdout=subprocess.PIPE, stderr=self.log, text=True)
        for line in self.process.stdout:
            if line.startswith("admin "):
                _, self.admin_url, _, self.token_file = line.split()
            if line.startswith("gateway "):
                break
        else:
            raise AssertionError(f"no gateway: {self.process.wait()} {(self.folder / 'log').read_text()}")
        host, port = line.split("//")[1].strip().rsplit(":", 1)
        self.address = (host, int(port))
        self.listeners = {}

    def write(self, objects):
        """What was applied before and is not among them goes."""
        key = lambda each: (each["kind"], each["metadata"].get("namespace"), each["metadata"]["name"])  # noqa: E731
        wanted = {key(each) for each in objects}
        plane.delete([each for each in self.applied if key(each) not in wanted])
        self.refused |= plane.apply(objects)
        self.applied = list(objects)

    def log_text(self):
        """On a cluster the status says what files leave to the log."""
        def routes():
            items = json.loads(plane.kubectl("get", "httproutes", "-A", "-o", "json").stdout)["items"]
            ours = [each for each in items if each["spec"]["parentRefs"][0]["name"] == "gateway"]
            return json.dumps(items) if all(each.get("status") for each in ours) else None
        return (self.folder / "log").read_text() + wait_for("status of all routes", routes)

    def close(self):
        plane.delete([each for each in self.applied if each["kind"] != "GatewayClass"])
        return super().close()


test_routes.Gateway = ClusterGateway
test_routes.Upstream = functools.partial(harness.Upstream, host=POD_ADDRESS)


class Rows(test_routes.Rows):
    """The rows of the file-based test, word for word, but for those that the API server refuses: filters that exclude
    each other, and statuses of redirects that the definition does not have yet."""

    refused = frozenset({"both", "unknown", "redirect-3", "redirect-4", "redirect-5"})

    def test_filters_that_cannot_be_followed_answer_500(self):
        self.assertEqual(self.gateway.refused, self.refused)


class Attachment(test_routes.Attachment):
    pass


class Source(unittest.TestCase):
    """One gateway, one route, and what happens to its API server."""

    def setUp(self):
        self.upstreams = {name: harness.Upstream(name, host=POD_ADDRESS) for name in "ab"}
        self.objects = [gateway()]
        for upstream in self.upstreams.values():
            self.addCleanup(upstream.close)
            self.objects += service(upstream.name, upstream.port)

    def start(self, backend="a", **options):
        made = ClusterGateway([*self.objects, self.route_to(backend)], **options)
        self.addCleanup(made.close)
        return made

    def route_to(self, backend):
        return route("r", rule(prefix("/"), backends=to(backend)))

    def follow(self, made, backend):
        plane.apply([self.route_to(backend)])
        wait_for(f"the route to {backend}", lambda: made.ask("/").served_by == backend)

    def test_changes_apply_without_dropping_a_connection(self):
        made = self.start()
        connection = made.connect()
        self.addCleanup(connection.close)

        def on_same_connection():
            connection.request("GET", "/")
            response = connection.getresponse()
            response.read()
            return response.getheader("x-upstream")
        self.assertEqual(on_same_connection(), "a")
        used = connection.sock
        plane.apply([self.route_to("b")])
        wait_for("the new route", lambda: on_same_connection() == "b")
        plane.kubectl("delete", "httproute", "r")
        wait_for("no route", lambda: on_same_connection() is None)
        self.assertIs(connection.sock, used)

    def test_a_gateway_that_has_not_read_its_routes_is_not_reached(self):
        made = self.start()  # prints its address only then
        self.assertEqual(made.ask("/").served_by, "a")

    def test_without_an_api_server_the_last_routes_are_served(self):
        made = self.start()
        self.assertEqual(made.ask("/").served_by, "a")
        arguments = plane.kill("kube-apiserver")
        try:
            wait_for("the outage in the log", lambda: "watch interrupted" in (made.folder / "log").read_text())
            for _ in range(20):
                self.assertEqual(made.ask("/").served_by, "a")
        finally:
            plane.start_again(arguments)
        self.follow(made, "b")

    def flaky(self):
        server = FlakyServer(plane)
        self.addCleanup(server.stop)
        return server, server.kubeconfig(kubeconfig, plane.folder / "kubeconfig-flaky")

    def test_a_version_that_is_too_old_is_read_anew(self):
        server, file = self.flaky()
        made = self.start(server=file)
        wait_for("the watch", lambda: "httproutes" in [each[0] for each in server.watches])
        lists = server.lists.count("httproutes")
        self.assertEqual(server.end_watches("httproutes", "expired"), 1)
        wait_for("the list", lambda: server.lists.count("httproutes") > lists)
        self.assertEqual(made.ask("/").served_by, "a")
        self.follow(made, "b")
        self.assertNotIn("watch interrupted", (made.folder / "log").read_text())

    def test_a_watch_that_ends_in_order_goes_on_where_it_ended(self):
        server, file = self.flaky()
        made = self.start(server=file)
        self.follow(made, "b")
        lists = server.lists.count("httproutes")
        version = plane.get("httproute", "r")["metadata"]["resourceVersion"]
        wait_for("the status of the route", lambda: plane.get("httproute", "r").get("status"))
        watches = len([each for each in server.watches if each[0] == "httproutes"])
        self.assertEqual(server.end_watches("httproutes", "in order"), 1)
        asked = wait_for("the next watch", lambda: [each[1] for each in server.watches
                                                    if each[0] == "httproutes"][watches:])
        self.assertGreaterEqual(int(asked[0]), int(version))
        self.follow(made, "a")
        self.assertEqual(server.lists.count("httproutes"), lists)

    def test_a_watch_that_breaks_is_begun_again(self):
        server, file = self.flaky()
        made = self.start(server=file)
        for backend in "ba":
            wait_for("the watch", lambda: server.end_watches("httproutes", "cut"))
            self.follow(made, backend)


def conditions(holder):
    return {each["type"]: (each["status"], each["reason"]) for each in (holder or {}).get("conditions", [])}


class Status(unittest.TestCase):
    """The contract of the Gateway API: who says what about which object."""

    def start(self, *objects):
        upstream = harness.Upstream("a", host=POD_ADDRESS)
        self.addCleanup(upstream.close)
        made = ClusterGateway([*objects, *service("a", upstream.port), *service("a", upstream.port, namespace="other")],
                              "--address", "gateway.example")
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
        other = ClusterGateway(made.applied, "--address", "gateway.example")  # a second replica, of the same mind
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


class ByHand(unittest.TestCase):
    """Entries of the admin API, kept in a ConfigMap for all replicas."""

    def start(self):
        made = ClusterGateway([gateway()], admin="127.0.0.1:0",
                              config={"admin": {"allowedNetworks": [f"{POD_ADDRESS}/32"]}})
        self.addCleanup(made.close)
        return made

    def call(self, made, method, path, body=None):
        request = urllib.request.Request(made.admin_url + path, method=method,
                                         data=None if body is None else json.dumps(body).encode())
        request.add_header("Authorization", "Bearer " + pathlib.Path(made.token_file).read_text().strip())
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
                text = answer.read()
                return answer.status, json.loads(text) if text else None
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read())

    def models(self, made):
        return [each["model"] for each in self.call(made, "GET", "/admin/api/routing")[1]["manual"]]

    def test_every_replica_has_them_and_they_outlive_all(self):
        one, other = self.start(), self.start()
        upstream = harness.Upstream("by-hand", host=POD_ADDRESS)
        self.addCleanup(upstream.close)
        entry = {"model": "org/m", "url": f"http://{POD_ADDRESS}:{upstream.port}"}
        self.assertEqual(self.call(one, "POST", "/admin/api/routing", entry)[0], 201)
        wait_for("the other replica", lambda: self.models(other) == ["org/m"])
        body = json.dumps({"model": "org/m", "messages": []})
        wait_for("a routed request", lambda: other.ask("/v1/chat/completions", method="POST", body=body,
                                                       headers={"Content-Type": "application/json"}).served_by
                 == "by-hand")
        self.assertEqual(self.call(other, "POST", "/admin/api/routing", entry | {"weight": 2})[0], 200)
        self.assertEqual(self.call(other, "POST", "/admin/api/routing", entry | {"model": "second"})[0], 201)
        kept = json.loads(plane.get("configmap", "llmd-gateway-routes", SYSTEM)["data"]["routes"])["routes"]
        self.assertEqual([(each["model"], each["weight"]) for each in kept], [("org/m", 2), ("second", 1)])
        self.assertEqual([one.close(), other.close()], [0, 0])
        self._cleanups = [each for each in self._cleanups if each[0] not in (one.close, other.close)]
        third = self.start()
        wait_for("the entries", lambda: sorted(self.models(third)) == ["org/m", "second"])
        self.assertEqual(self.call(third, "DELETE", "/admin/api/routing?model=org/m")[0], 204)
        self.assertEqual(self.call(third, "DELETE", "/admin/api/routing?model=org/m")[0], 404)
        self.assertEqual(self.models(third), ["second"])
        plane.kubectl("patch", "configmap", "llmd-gateway-routes", "-n", SYSTEM, "--type=merge", "-p",
                      json.dumps({"data": {"routes": "a mistake"}}))
        wait_for("the mistake in the log", lambda: "from before stay" in (third.folder / "log").read_text())
        self.assertEqual(self.models(third), ["second"])
        status, answer = self.call(third, "POST", "/admin/api/routing", entry)
        self.assertGreaterEqual(status, 400)
        self.assertIn("llmd-gateway-routes", answer["error"]["message"])
        plane.kubectl("delete", "configmap", "llmd-gateway-routes", "-n", SYSTEM)
        wait_for("no entries", lambda: self.models(third) == [])


if __name__ == "__main__":
    require()
    enter_own_network()
    unittest.main()
