"""`llmd picker` on a real API server, with the rights of config/picker: who its endpoints are, what requests are worth,
which of two replicas leads, and what is left when the API server is away."""

import json
import sys
import unittest
import urllib.request

from cluster import PATIENCE, ROOT, Cluster, Program, user_of, wait_for
from control_plane import POD_ADDRESS, enter_own_network, require

sys.path.insert(0, str(ROOT / "tests/integration/picker"))
import clients  # noqa: E402

if __name__ == "__main__":
    require()
    clients.run_inside(__file__)
    enter_own_network()

import proxy  # noqa: E402  (needs the client)

TEAM = "team"
POOL_API = "inference.networking.k8s.io/v1"
OLD_API = "inference.networking.x-k8s.io/v1alpha2"
USER = user_of("picker", TEAM)
plane = None
kubeconfig = None


def setUpModule():
    global plane, kubeconfig
    plane = Cluster("picker/role.yaml")
    plane.__enter__()
    unittest.addModuleCleanup(plane.stop)
    plane.kubectl("create", "namespace", TEAM)
    for name in ("default", "picker"):
        plane.kubectl("create", "serviceaccount", name, "-n", TEAM)
    plane.kubectl("create", "rolebinding", "picker", "-n", TEAM, "--clusterrole=llmd-picker",
                  f"--serviceaccount={TEAM}:picker")
    kubeconfig = plane.account("picker", TEAM)


def tearDownModule():
    refused = plane.audited(USER, code=403)
    assert not refused, f"config/picker/role.yaml lacks rights: {refused[:5]}"
    assert plane.audited(USER), "nothing was audited: is the account another one?"


def pod(name, app="vllm", **metadata):
    return {"apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": name, "namespace": TEAM, "labels": {"app": app}, **metadata}}


def pool(name="pool", app="vllm", ports=(8000,)):
    return {"apiVersion": POOL_API, "kind": "InferencePool", "metadata": {"name": name, "namespace": TEAM},
            "spec": {"selector": {"matchLabels": {"app": app}}, "targetPorts": [{"number": each} for each in ports]}}


def old_pool(name, app, port):
    return {"apiVersion": OLD_API, "kind": "InferencePool", "metadata": {"name": name, "namespace": TEAM},
            "spec": {"selector": {"app": app}, "targetPortNumber": port, "extensionRef": {"name": "none"}}}


def objective(name, priority, pool_name="pool", **reference):
    return {"apiVersion": OLD_API, "kind": "InferenceObjective", "metadata": {"name": name, "namespace": TEAM},
            "spec": {"priority": priority, "poolRef": {"name": pool_name, **reference}}}


class Picker(Program):
    def __init__(self, *words, name="pool", **environment):
        chosen = ["--pool-name", name] if name else []
        super().__init__(plane, "picker", "picker ", "picker", "--kubeconfig", kubeconfig, "--host", "127.0.0.1",
                         "--grpc-port", 0, "--grpc-health-port", 0, "--metrics-port", 0, "--secure-serving=false",
                         "--drain-timeout", "0s", "--pool-namespace", TEAM, *chosen, *words, environment=environment)
        said = dict(each.split("=", 1) for each in self.lines[-1].split()[1:])
        self.grpc, self.health_address, self.metrics = said["grpc"], said["health"], said["metrics"]

    def debug(self, path="/debug"):
        with urllib.request.urlopen(self.metrics + path, timeout=PATIENCE) as answer:
            return json.loads(answer.read())

    def endpoints(self):
        return {each["name"].split("/")[1]: each["address"] for each in self.debug()["endpoints"]}

    def until(self, **expected):
        """Waits until these are the endpoints: name=port."""
        wanted = {name.replace("_", "-"): f"{POD_ADDRESS}:{port}" for name, port in expected.items()}
        try:
            wait_for(f"endpoints {wanted}", lambda: self.endpoints() == wanted)
        except AssertionError as error:
            raise AssertionError(f"{error}: {self.endpoints()}") from error

    def health(self, service=""):
        _, _, _, messages, services = proxy.stubs()
        with proxy.grpc.insecure_channel(self.health_address) as channel:
            answer = services.HealthStub(channel).Check(messages.HealthCheckRequest(service=service), timeout=PATIENCE)
        return messages.HealthCheckResponse.ServingStatus.Name(answer.status)

    def is_serving(self):
        return self.health() == "SERVING"


class OnACluster(unittest.TestCase):
    def apply(self, *objects):
        self.addCleanup(plane.delete, objects)
        self.assertEqual(plane.apply(objects), set())

    def start(self, *words, **options):
        made = Picker(*words, **options)
        self.addCleanup(made.close)
        return made


class Endpoints(OnACluster):
    def test_pods_come_and_go_with_labels_readiness_and_life(self):
        self.apply(pool(ports=(8000, 8001)), pod("one"), pod("other", app="other"),
                   pod("slow") | {"status": {"conditions": [{"type": "Ready", "status": "False"}]}})
        made = self.start()
        made.until(one_rank_0=8000, one_rank_1=8001)
        plane.report_pod("slow", TEAM)
        made.until(one_rank_0=8000, one_rank_1=8001, slow_rank_0=8000, slow_rank_1=8001)
        plane.report_pod("one", TEAM, ready="False")
        made.until(slow_rank_0=8000, slow_rank_1=8001)
        plane.kubectl("annotate", "pod", "slow", "-n", TEAM, "inference.networking.k8s.io/active-ports=8001")
        made.until(slow_rank_1=8001)
        plane.kubectl("label", "pod", "slow", "-n", TEAM, "--overwrite", "app=none")
        made.until()
        plane.kubectl("label", "pod", "other", "-n", TEAM, "--overwrite", "app=vllm")
        made.until(other_rank_0=8000, other_rank_1=8001)
        plane.apply([pool(app="none", ports=(8001,))])
        made.until(slow_rank_0=8001)
        plane.kubectl("delete", "pod", "slow", "-n", TEAM, "--force", "--grace-period=0")
        made.until()
        self.assertTrue(made.is_serving())

    def test_a_pool_that_is_not_there_yet_comes_goes_and_comes_back(self):
        self.apply(pod("one"))
        made = self.start()
        wait_for("the pods", lambda: made.debug().get("kubernetes", {}).get("synced"))
        self.assertEqual((made.health(), made.health("liveness"), made.debug()["kubernetes"]["poolFound"]),
                         ("NOT_SERVING", "NOT_SERVING", False))
        for _ in range(2):
            self.apply(pool())
            made.until(one_rank_0=8000)
            wait_for("serving", made.is_serving)
            plane.delete([pool()])
            made.until()
            wait_for("not serving", lambda: made.health() == "NOT_SERVING")

    def test_pools_of_the_older_version(self):
        self.apply(pod("one"), old_pool("old", "vllm", 9000), pool("old", ports=(8000,)))
        self.start("--pool-group", OLD_API.split("/", maxsplit=1)[0], name="old").until(one_rank_0=9000)
        self.start(name="old").until(one_rank_0=8000)

    def test_pods_by_labels_without_a_pool(self):
        self.apply(pod("one"), pod("other", app="other"))
        made = self.start("--endpoint-selector", "app=other", "--endpoint-target-ports", "8000,8001", name=None)
        made.until(other_rank_0=8000, other_rank_1=8001)
        self.assertTrue(made.is_serving())


class Requests(OnACluster):
    def test_objectives_of_the_pool_are_priorities(self):
        self.apply(pool(), pod("one"), objective("high", 5), objective("foreign", 7, "another"),
                   objective("group", 6, group=OLD_API.split("/", maxsplit=1)[0]))
        made = self.start()
        made.until(one_rank_0=8000)
        door = proxy.Proxy(made.grpc)
        self.addCleanup(door.close)

        def priority(name):
            request = door.open(body={"model": "m", "prompt": "p"}, headers={"x-gateway-inference-objective": name})
            request.decide()
            request.complete()
            explained = made.debug("/debug/explain?last=1")
            explained = explained[0] if isinstance(explained, list) else explained
            self.assertEqual(request.destination, f"{POD_ADDRESS}:8000")
            return explained["request"]["priority"]
        wait_for("the priority", lambda: priority("high") == 5)
        self.assertEqual([priority(name) for name in ("foreign", "group", "nobody")], [0, 0, 0])
        plane.apply([objective("high", 3)])
        wait_for("the new priority", lambda: priority("high") == 3)
        plane.delete([objective("high", 0)])
        wait_for("no priority", lambda: priority("high") == 0)


class Leaders(OnACluster):
    LEASE = f"epp-{TEAM}-pool.llm-d.ai"

    def setUp(self):
        plane.kubectl("delete", "lease", self.LEASE, "-n", TEAM, "--ignore-not-found")
        self.apply(pool(), pod("one"))

    def start(self, number):
        return super().start("--ha-enable-leader-election", POD_NAME=f"picker-{number}")

    def lead_and_follow(self):
        first = self.start(1)
        wait_for("the first to lead", first.is_serving)
        second = self.start(2)
        second.until(one_rank_0=8000)
        return first, second

    def holder(self):
        return plane.get("lease", self.LEASE, TEAM)["spec"].get("holderIdentity", "")

    def test_one_is_ready_and_the_other_takes_over(self):
        first, second = self.lead_and_follow()
        self.assertTrue(self.holder().startswith("picker-1_"), self.holder())
        # A slow API server may cost it the lease for a moment.
        wait_for("the first to lead and the second to follow", lambda: [
            each.debug()["serving"]["leading"] for each in (first, second)] == [True, False])
        for service, leads, follows in (("liveness", "SERVING", "SERVING"), ("readiness", "SERVING", "NOT_SERVING"),
                                        ("envoy.service.ext_proc.v3.ExternalProcessor", "SERVING", "NOT_SERVING"),
                                        ("", "SERVING", "NOT_SERVING"), ("x", "SERVICE_UNKNOWN", "SERVICE_UNKNOWN")):
            self.assertEqual((first.health(service), second.health(service)), (leads, follows), service)
        # Who reaches a follower is served all the same.
        request = proxy.Proxy(second.grpc).open(body={"model": "m", "prompt": "p"})
        request.decide()
        request.complete()
        self.assertEqual(request.destination, f"{POD_ADDRESS}:8000")
        first.kill()  # nobody gives the lease back: it has to run out
        wait_for("the second to lead", second.is_serving)
        self.assertTrue(self.holder().startswith("picker-2_"), self.holder())
        third = self.start(3)
        third.until(one_rank_0=8000)
        self.assertEqual(second.close(), 0)  # gives it back
        wait_for("the third to lead", third.is_serving)
        self.assertEqual(plane.get("lease", self.LEASE, TEAM)["spec"]["leaseTransitions"], 2)

    def test_a_lease_that_another_has_taken_is_lost_until_it_runs_out(self):
        only = self.start(1)
        wait_for("leadership", only.is_serving)
        plane.kubectl("patch", "lease", self.LEASE, "-n", TEAM, "--type=merge", "-p", json.dumps(
            {"spec": {"holderIdentity": "somebody", "leaseDurationSeconds": 5}}))
        wait_for("the loss", lambda: only.health("readiness") == "NOT_SERVING")
        self.assertEqual(only.health("liveness"), "SERVING")
        wait_for("leadership again", only.is_serving)
        self.assertTrue(self.holder().startswith("picker-1_"))


class Outage(OnACluster):
    def test_the_last_endpoints_stay_and_debug_says_since_when(self):
        plane.kubectl("delete", "lease", Leaders.LEASE, "-n", TEAM, "--ignore-not-found")
        self.apply(pool(), pod("one"))
        alone, leader = self.start(), self.start("--ha-enable-leader-election")
        for each in (alone, leader):
            each.until(one_rank_0=8000)
            wait_for("serving", each.is_serving)
        self.assertIsNone(alone.debug()["kubernetes"]["interruptedSeconds"])
        arguments = plane.kill("kube-apiserver")
        try:
            wait_for("the outage", lambda: alone.debug()["kubernetes"]["interruptedSeconds"] is not None)
            # A leader that cannot renew might not be the only one: it is not ready any more.
            wait_for("leadership to end", lambda: leader.health("readiness") == "NOT_SERVING")
            self.assertEqual(leader.health("liveness"), "SERVING")
            self.assertTrue(alone.is_serving())
            for each in (alone, leader):
                each.until(one_rank_0=8000)
        finally:
            plane.start_again(arguments)
        self.apply(pod("two"))
        for each in (alone, leader):
            each.until(one_rank_0=8000, two_rank_0=8000)
            wait_for("serving again", each.is_serving)
        wait_for("the end of the outage", lambda: alone.debug()["kubernetes"]["interruptedSeconds"] is None)


if __name__ == "__main__":
    unittest.main()
