"""Where `llmd gateway` reads its objects: bad days of a real API server, the account of a pod, entries made by hand."""

import json
import pathlib
import subprocess
import unittest
import urllib.error
import urllib.request

from cluster_gateway import ClusterGateway, GatewayCluster, wait_for  # first: finds the next
import harness
from cluster import PATIENCE, ROOT, SYSTEM
from control_plane import POD_ADDRESS, enter_own_network, require
from flaky_server import FlakyServer
from harness import gateway, prefix, route, rule, service, to

plane = None


def setUpModule():
    global plane
    plane = GatewayCluster().__enter__()
    unittest.addModuleCleanup(plane.stop)


def tearDownModule():
    plane.check_rights()


class Source(unittest.TestCase):
    """One gateway, one route, and what happens to its API server."""

    def setUp(self):
        self.upstreams = {name: harness.Upstream(name, host=POD_ADDRESS) for name in "ab"}
        self.objects = [gateway()]
        for upstream in self.upstreams.values():
            self.addCleanup(upstream.close)
            self.objects += service(upstream.name, upstream.port)

    def start(self, backend="a", **options):
        made = ClusterGateway(plane, [*self.objects, self.route_to(backend)], **options)
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
        return server, server.kubeconfig(plane.account_file, plane.folder / "kubeconfig-flaky")

    def test_a_version_that_is_too_old_is_read_anew(self):
        server, file = self.flaky()
        made = self.start(source=["--kubeconfig", file])
        wait_for("the watch", lambda: "httproutes" in [each[0] for each in server.watches])
        lists = server.lists.count("httproutes")
        self.assertEqual(server.end_watches("httproutes", "expired"), 1)
        wait_for("the list", lambda: server.lists.count("httproutes") > lists)
        self.assertEqual(made.ask("/").served_by, "a")
        self.follow(made, "b")
        lines = (made.folder / "log").read_text().splitlines()  # it is no outage
        self.assertEqual([each for each in lines if "watch interrupted" in each and '"httproutes"' in each], [])

    def test_a_watch_that_ends_in_order_goes_on_where_it_ended(self):
        server, file = self.flaky()
        made = self.start(source=["--kubeconfig", file])
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

    def test_a_watch_goes_on_from_the_last_bookmark(self):
        server, file = self.flaky()
        self.start(source=["--kubeconfig", file])
        plane.kubectl("label", "namespace", "other", "--overwrite", "marked=yes")  # newer than any route
        bookmark = plane.get("namespace", "other")["metadata"]["resourceVersion"]
        wait_for("the watch", lambda: server.end_watches("httproutes", "in order", bookmark) == 1)
        wait_for("the next watch", lambda: ("httproutes", bookmark) in server.watches)

    def test_a_watch_that_breaks_is_begun_again(self):
        server, file = self.flaky()
        made = self.start(source=["--kubeconfig", file])
        for backend in "ba":
            wait_for("the watch", lambda: server.end_watches("httproutes", "cut"))
            self.follow(made, backend)


class Kubeconfigs(unittest.TestCase):
    """What people have: certificates, names of servers that are not where they connect to, programs that make tokens."""

    def start(self, change):
        config = json.loads(plane.kubeconfig.read_text())
        change(config["clusters"][0]["cluster"], config["users"][0]["user"])
        path = plane.folder / "kubeconfig-changed"
        path.write_text(json.dumps(config))
        made = ClusterGateway(plane, [gateway()], source=["--kubeconfig", path])
        self.addCleanup(made.close)
        return made

    def test_a_certificate_says_who_the_client_is(self):
        def with_certificate(_, user):
            user.clear()
            user.update(plane.client_certificate())
        self.assertEqual(self.start(with_certificate).ask("/").status, 404)  # it knows its routes: there are none
        self.assertTrue(plane.audited("certified", verb="list", code=200))

    def test_the_server_may_have_another_name_than_its_address(self):
        def named(cluster, _):
            cluster["tls-server-name"] = "kubernetes.default.svc"
        self.assertEqual(self.start(named).ask("/").status, 404)

    def test_a_program_that_makes_tokens_is_refused_with_advice(self):
        def program(_, user):
            user.clear()
            user["exec"] = {"command": "make-token"}
        with self.assertRaises(AssertionError) as raised:
            self.start(program)
        self.assertIn("no gateway: ", str(raised.exception))
        self.assertIn("kubectl create token", str(raised.exception))


class InCluster(unittest.TestCase):
    """As a pod: the API server's address in the environment, the account's token in a file."""

    def test_a_pod_needs_no_kubeconfig(self):
        folder = pathlib.Path("/run/secrets/kubernetes.io/serviceaccount")  # in this test's own mount namespace
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/run"], check=True)
        self.addCleanup(subprocess.run, ["umount", "/run"], check=True)
        folder.mkdir(parents=True)
        token = json.loads(plane.account_file.read_text())["users"][0]["user"]["token"]
        certificate = (plane.folder / "certificates/apiserver.crt").read_text()
        for name, content in (("token", token), ("ca.crt", certificate), ("namespace", SYSTEM)):
            (folder / name).write_text(content)
        upstream = harness.Upstream("a", host=POD_ADDRESS)
        self.addCleanup(upstream.close)
        host, port = plane.url.split("//")[1].split(":")
        made = ClusterGateway(plane, [gateway(), *service("a", upstream.port), route("r", rule(backends=to("a")))],
                              source=["--in-cluster"],
                              environment={"KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": port})
        self.addCleanup(made.close)
        self.assertEqual(made.ask("/").served_by, "a")


class Replicas(unittest.TestCase):
    """Two gateways that call themselves differently."""

    def start(self, address, objects=()):
        made = ClusterGateway(plane, [gateway(), *objects], "--address", address)
        self.addCleanup(made.close)
        return made

    def front(self):
        found = plane.get("gateway", "gateway")
        addresses = found.get("status", {}).get("addresses", [])
        return found["metadata"]["resourceVersion"], [each["value"] for each in addresses]

    def test_one_writes_status_and_the_other_when_it_ends(self):
        first = self.start("first.example")
        wait_for("the first one's address", lambda: self.front()[1] == ["first.example"])
        second = self.start("second.example")  # prints its address once it has read everything
        plane.apply([route("r", rule(prefix("/"), backends=to("nobody")))])
        for made in (first, second):
            wait_for("the route", lambda: made.ask("/").status == 500)
        wait_for("the route's status", lambda: plane.get("httproute", "r").get("status"))
        seen = {self.front()[1][0] for _ in range(50)}
        self.assertEqual(seen, {"first.example"})
        first.process.terminate()
        wait_for("the second one's address", lambda: self.front()[1] == ["second.example"])
        lines = (second.folder / "log").read_text().splitlines()
        self.assertEqual([each for each in lines if "status not written" in each], [])


class Manifests(unittest.TestCase):
    def test_the_names_that_users_of_an_api_gateway_look_for(self):
        """A33: the label, and port 8000 beside 80."""
        plane.kubectl("apply", "--server-side", "--force-conflicts", "-f",
                      str(ROOT / "config/gateway/deployment.yaml"))
        found = json.loads(plane.kubectl("get", "services,deployments", "-n", SYSTEM, "-l", "app=llmd-gateway", "-o",
                                         "json").stdout)["items"]
        objects = {each["kind"]: each for each in found}
        ports = {each["port"]: each["targetPort"] for each in objects["Service"]["spec"]["ports"]}
        self.assertEqual(ports, {80: "http", 8000: "http"})
        labels = objects["Deployment"]["spec"]["template"]["metadata"]["labels"]
        self.assertEqual(labels["app"], "llmd-gateway")
        self.assertLessEqual(objects["Service"]["spec"]["selector"].items(), labels.items())


class ByHand(unittest.TestCase):
    """Entries of the admin API, kept in a ConfigMap for all replicas."""

    def start(self):
        made = ClusterGateway(plane, [gateway()], admin="127.0.0.1:0",
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
