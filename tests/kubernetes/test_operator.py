"""`llmd operator` on a real control plane: kube-apiserver, etcd and kube-controller-manager, with config/ applied and no
rights but those. Nothing runs pods there, so the test plays what kubelets, gateways and the LeaderWorkerSet controller
report."""
import json
import unittest
import urllib.request

from cluster import ROOT, SYSTEM, Cluster, Program, user_of, wait_for
from control_plane import PROGRAMS, require

SPLIT = """
apiVersion: serving.kserve.io/v1alpha1
kind: LLMInferenceService
metadata: {name: split, namespace: team}
spec:
  model: {uri: hf://o/m, name: m}
  replicas: 2
  prefill: {replicas: 1}
  router: {gateway: {}, route: {}, scheduler: {}}
"""
GROUPS = """
apiVersion: serving.kserve.io/v1alpha2
kind: LLMInferenceService
metadata: {name: groups, namespace: team}
spec:
  model: {uri: hf://o/m, name: m}
  parallelism: {data: 4, dataLocal: 2}
  worker: {containers: []}
"""
SCALED = """
apiVersion: serving.kserve.io/v1alpha2
kind: LLMInferenceService
metadata: {name: scaled, namespace: team}
spec:
  model: {uri: hf://o/m, name: m}
  scaling: {minReplicas: 1, maxReplicas: 3, wva: {keda: {}}}
"""
THEIRS = {"apiVersion": "serving.kserve.io/v1alpha2", "kind": "LLMInferenceServiceConfig",
          "metadata": {"name": "kserve-config-llm-tracing", "namespace": "kserve"},
          "spec": {"annotations": {"example.com/by": "somebody else"}}}
NOW = "2026-01-01T00:00:00Z"


class OnACluster(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.plane = Cluster(with_controllers=True).__enter__()
        cls.addClassCleanup(cls.plane.stop)
        cls.plane.install(*sorted((PROGRAMS / "crds").glob("leaderworkerset*.yaml")))
        cls.plane.kubectl("apply", "--server-side", "--force-conflicts", "-k", str(ROOT / "config"))
        cls.plane.kubectl("create", "namespace", "team")
        cls.plane.apply([THEIRS])
        cls.kubeconfig = cls.plane.account("llmd-operator", SYSTEM)
        cls.operator = cls.start_operator()
        cls.addClassCleanup(cls.end_operator)

    @classmethod
    def start_operator(cls):
        made = Program(cls.plane, "operator", "operator ", "operator", "--kubeconfig", cls.kubeconfig, "--health",
                       "127.0.0.1:0", "--install-presets", "--lease-namespace", SYSTEM)
        made.health = made.lines[-1].split()[-1]
        return made

    @classmethod
    def end_operator(cls):
        code = cls.operator.close()
        assert code == 0, f"the operator ended with {code}"
        refused = cls.plane.audited(user_of("llmd-operator"), code=403)
        assert not refused, f"config/operator/roles.yaml lacks rights: {refused[:5]}"
        assert cls.plane.audited(user_of("llmd-operator")), "nothing was audited: is the account another one?"

    def get(self, kind, name):
        done = self.plane.kubectl("get", kind, name, "-n", "team", "-o", "json", check=False)
        return json.loads(done.stdout) if done.returncode == 0 else None

    def conditions(self, name):
        service = self.get("llmisvc", name) or {}
        return {one["type"]: one["status"] for one in service.get("status", {}).get("conditions", [])}

    def until(self, condition, what):
        try:
            self.plane.wait_until(condition, what)
        except TimeoutError as error:
            raise AssertionError(f"{error}\n{self.operator.log_text()[-4000:]}") from error

    def report(self, kind, name, status):
        self.plane.kubectl("patch", kind, name, "-n", "team", "--subresource=status", "--type=merge", "-p",
                           json.dumps({"status": status}))

    def available(self, name):
        deployment = self.get("deployment", name)
        self.report("deployment", name, {
            "observedGeneration": deployment["metadata"]["generation"], "replicas": deployment["spec"]["replicas"],
            "availableReplicas": deployment["spec"]["replicas"], "readyReplicas": deployment["spec"]["replicas"],
            "conditions": [{"type": "Available", "status": "True", "reason": "MinimumReplicasAvailable"}]})

    def test_a_split_service_from_its_manifest_to_ready_and_to_nothing(self):
        self.plane.kubectl("apply", "-f", "-", text=SPLIT)
        self.until(lambda: self.conditions("split").get("Ready") == "False", "the service has conditions")
        uid = self.get("llmisvc", "split")["metadata"]["uid"]
        for kind, name in (("deployment", "split-kserve"), ("deployment", "split-kserve-prefill"),
                           ("deployment", "split-kserve-router-scheduler"), ("service", "split-kserve-workload-svc"),
                           ("service", "split-epp-service"), ("httproute", "split-kserve-route"),
                           ("inferencepools.inference.networking.k8s.io", "split-inference-pool"),
                           ("inferencepools.inference.networking.x-k8s.io", "split-inference-pool"),
                           ("secret", "split-kserve-self-signed-certs"), ("serviceaccount", "split-epp-sa"),
                           ("role", "split-epp-role")):
            with self.subTest(f"{kind} {name}"):
                made = self.get(kind, name)
                self.assertIsNotNone(made)
                self.assertEqual(made["metadata"]["ownerReferences"][0]["uid"], uid)
        # The deployment controller makes pods of the templates, so they are valid to the last field.
        self.until(lambda: len(json.loads(self.plane.kubectl(
            "get", "pods", "-n", "team", "-l", "app.kubernetes.io/name=split", "-o", "json").stdout)["items"]) == 4,
            "the deployment controller has made 2 decode pods, 1 prefill pod and the scheduler's")
        self.assertEqual(self.conditions("split")["InferencePoolReady"], "False")
        parent = {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "kserve-ingress-gateway",
                  "namespace": "kserve"}
        accepted = {"type": "Accepted", "status": "True", "reason": "Accepted", "message": "", "observedGeneration": 1,
                    "lastTransitionTime": NOW}
        resolved = dict(accepted, type="ResolvedRefs", reason="ResolvedRefs")
        self.report("inferencepools.inference.networking.k8s.io", "split-inference-pool",
                    {"parents": [{"parentRef": parent, "conditions": [accepted]}]})
        self.until(lambda: self.conditions("split")["InferencePoolReady"] == "True", "the pool is accepted")
        self.report("httproute", "split-kserve-route", {"parents": [
            {"parentRef": parent, "controllerName": "example.com/gateway", "conditions": [accepted, resolved]}]})
        self.until(lambda: self.conditions("split")["HTTPRoutesReady"] == "True", "the route is accepted")

        self.plane.kubectl("patch", "llmisvc", "split", "-n", "team", "--type=merge", "-p", '{"spec":{"replicas":3}}')
        self.until(lambda: self.get("deployment", "split-kserve")["spec"]["replicas"] == 3, "the new number is applied")
        self.plane.kubectl("delete", "service", "split-kserve-workload-svc", "-n", "team")
        self.until(lambda: self.get("service", "split-kserve-workload-svc"), "the deleted Service is back")

        binding = ("get", "clusterrolebinding", "team-split-epp-auth-rb")
        self.assertEqual(self.plane.kubectl(*binding, check=False).returncode, 0)
        self.plane.kubectl("delete", "llmisvc", "split", "-n", "team", "--timeout=60s")
        self.assertNotEqual(self.plane.kubectl(*binding, check=False).returncode, 0)
        self.until(lambda: self.get("deployment", "split-kserve") is None, "the garbage collector took the children")

    def reason(self, name, condition):
        service = self.get("llmisvc", name) or {}
        return {one["type"]: one.get("reason") for one in service.get("status", {}).get("conditions", [])}.get(condition)

    def leads(self, operator):
        with urllib.request.urlopen(operator.health + "/readyz", timeout=30) as answer:
            return answer.read() == b"leading\n"

    def test_one_replica_operates_and_the_other_takes_over(self):
        wait_for("the first to lead", lambda: self.leads(self.operator))
        second = self.start_operator()
        self.addCleanup(second.close)
        self.assertFalse(self.leads(second))
        self.operator.kill()
        wait_for("the second to lead", lambda: self.leads(second))
        type(self).operator = self.start_operator()
        self.assertEqual(second.close(), 0)
        wait_for("the next to lead", lambda: self.leads(self.operator))

    def test_our_gateway_accepts_what_the_operator_publishes(self):
        made = Program(self.plane, "gateway", "gateway ", "gateway", "--kubeconfig",
                       self.plane.account("llmd-gateway", SYSTEM), "--port", "0", "--admin", "none", "--address",
                       "gateway.example", "--status-lease", f"{SYSTEM}/llmd-gateway")
        self.addCleanup(made.close)
        self.plane.kubectl("apply", "-f", "-", text=SPLIT.replace("name: split", "name: published"))
        self.until(lambda: [self.conditions("published").get(each) for each in ("HTTPRoutesReady", "InferencePoolReady")]
                   == ["True", "True"], "route and pool are accepted")
        self.assertEqual(self.get("llmisvc", "published")["status"]["url"], "http://gateway.example/team/published")
        self.plane.kubectl("delete", "llmisvc", "published", "-n", "team", "--timeout=60s")

    def test_the_operator_goes_on_after_an_outage(self):
        self.plane.kubectl("apply", "-f", "-", text=SPLIT.replace("name: split", "name: lasting"))
        self.until(lambda: self.get("deployment", "lasting-kserve"), "there is a Deployment")
        arguments = self.plane.kill("kube-apiserver")
        try:
            wait_for("leadership to end", lambda: not self.leads(self.operator))
        finally:
            self.plane.start_again(arguments)
        self.plane.kubectl("patch", "llmisvc", "lasting", "-n", "team", "--type=merge", "-p", '{"spec":{"replicas":4}}')
        self.until(lambda: self.get("deployment", "lasting-kserve")["spec"]["replicas"] == 4, "the change is applied")
        self.plane.kubectl("delete", "llmisvc", "lasting", "-n", "team", "--timeout=60s")

    def test_presets_are_installed_and_those_of_others_stay(self):
        def presets():
            items = json.loads(self.plane.kubectl("get", "llminferenceserviceconfigs", "-n", "kserve", "-o",
                                                  "json").stdout)["items"]
            return {each["metadata"]["name"] for each in items}
        expected = {path.stem for path in (ROOT / "config/presets").glob("*.yaml")}
        wait_for("the presets", lambda: {f"kserve-{name}" for name in expected} == presets())
        self.assertEqual(self.plane.get("llminferenceserviceconfig", "kserve-config-llm-tracing", "kserve")["spec"],
                         THEIRS["spec"])

    def test_a_kind_that_is_installed_later_is_found(self):
        self.plane.kubectl("apply", "-f", "-", text=SCALED)
        self.until(lambda: self.reason("scaled", "ScalingReady") == "ScalingCRDNotFound", "KEDA is missed")
        self.assertIsNotNone(self.get("deployment", "scaled-kserve"))
        self.assertEqual(self.get("llmisvc", "scaled")["status"]["annotations"]
                         ["serving.kserve.io/config-llm-template"], "kserve-config-llm-template")
        self.plane.install(PROGRAMS / "crds/keda.sh_scaledobjects.yaml")
        self.until(lambda: self.get("scaledobjects.keda.sh", "scaled-kserve-keda"), "KEDA is found")
        self.until(lambda: self.reason("scaled", "ScalingReady") == "ScaledObjectProgressing", "KEDA is waited for")

    def test_another_group_size_says_what_to_do(self):
        self.plane.kubectl("apply", "-f", "-", text=GROUPS.replace("name: groups", "name: sized"))
        self.until(lambda: self.get("leaderworkerset", "sized-kserve-mn"), "there is a LeaderWorkerSet")
        self.plane.kubectl("patch", "llmisvc", "sized", "-n", "team", "--type=merge", "-p",
                           '{"spec":{"parallelism":{"dataLocal":1}}}')
        self.until(lambda: self.reason("sized", "WorkerWorkloadReady") == "GroupSizeChanged", "the change is refused")
        self.assertEqual(self.get("leaderworkerset", "sized-kserve-mn")["spec"]["leaderWorkerTemplate"]["size"], 2)

    def test_groups_are_counted(self):
        self.plane.kubectl("apply", "-f", "-", text=GROUPS)
        self.until(lambda: self.get("leaderworkerset", "groups-kserve-mn"), "there is a LeaderWorkerSet")
        self.until(lambda: self.conditions("groups").get("WorkerWorkloadReady") == "False", "groups are not ready")
        self.report("leaderworkerset", "groups-kserve-mn", {
            "replicas": 1, "readyReplicas": 1, "updatedReplicas": 1, "hpaPodSelector": "a=b",
            "conditions": [{"type": "Available", "status": "True", "reason": "AllGroupsReady", "message": "",
                            "lastTransitionTime": NOW}]})
        self.until(lambda: self.conditions("groups").get("Ready") == "True", "the service is ready")


if __name__ == "__main__":
    require()
    unittest.main()
