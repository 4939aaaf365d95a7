"""What a kubectl user does, with the real kubectl. The test plays the node: it reports pods as running and lets them go."""
import json
import os
import shutil
import subprocess
import sys
import threading
import time
import unittest

from server import Server, skip

KUBECTL = shutil.which("kubectl")


def minor_version():
    """Of kubectl 1.x. Debian 12's own is 1.20."""
    if KUBECTL is None:
        return 0
    said = subprocess.run([KUBECTL, "version", "--client", "-o", "json"], capture_output=True, text=True, timeout=60)
    return int(json.loads(said.stdout)["clientVersion"]["minor"].rstrip("+"))


MINOR = minor_version()


def needs(minor, what):
    if MINOR < minor:
        print(f"SKIPPED: {what} needs kubectl 1.{minor}; here is 1.{MINOR}", file=sys.stderr)
    return unittest.skipIf(MINOR < minor, f"{what} needs kubectl 1.{minor}")


MODEL = """
apiVersion: serving.kserve.io/v1alpha1
kind: LLMInferenceService
metadata: {name: smollm2}
spec:
  model: {uri: "file:///models/tiny", name: tiny}
  replicas: 2
  template: {containers: [{name: main, image: "vllm/vllm-openai:latest"}]}
  router: {gateway: {}, route: {}}
"""

WEB = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {app: web}}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers: [{name: main, image: "example:IMAGE", ports: [{containerPort: 80, name: http}]}]
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{name: http, port: 80, targetPort: http}]}
"""


class Node:
    """Reports every pod of its node as running, and removes what is deleted."""

    def __init__(self, server):
        self.server = server
        self.stopping = threading.Event()
        server.request("POST", "/api/v1/nodes", {"metadata": {"name": "llmd-local"}})
        server.request("PATCH", "/api/v1/nodes/llmd-local/status",
                       {"status": {"conditions": [{"type": "Ready", "status": "True"}]}}, "application/merge-patch+json")
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        number = 0
        while not self.stopping.wait(0.05):
            for pod in self.server.request("GET", "/api/v1/pods?fieldSelector=spec.nodeName%3Dllmd-local")["items"]:
                path = "/api/v1/namespaces/{namespace}/pods/{name}".format(**pod["metadata"])
                if pod["metadata"].get("deletionTimestamp"):
                    self.server.request("DELETE", path, {"gracePeriodSeconds": 0})
                elif pod["status"]["phase"] == "Pending":
                    number += 1
                    self.server.request("PATCH", path + "/status", self.running(pod, number), "application/merge-patch+json")

    @staticmethod
    def running(pod, number):
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        statuses = [{"name": c["name"], "ready": True, "started": True, "restartCount": 0, "image": c["image"], "imageID": "",
                     "state": {"running": {"startedAt": now}}} for c in pod["spec"]["containers"]]
        return {"status": {"phase": "Running", "podIP": f"127.1.0.{number}", "containerStatuses": statuses,
                           "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": now}]}}

    def stop(self):
        self.stopping.set()
        self.thread.join()


class Kubectl(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server()
        cls.node = Node(cls.server)

    @classmethod
    def tearDownClass(cls):
        cls.node.stop()
        assert cls.server.stop() == 0

    def kubectl(self, *arguments, stdin=None, code=0, **environment):
        home = self.server.folder / "home"
        home.mkdir(exist_ok=True)
        done = subprocess.run([KUBECTL, "--kubeconfig", str(self.server.kubeconfig), *arguments], input=stdin, text=True,
                              capture_output=True, timeout=60, env={**os.environ, "HOME": str(home), **environment})
        self.assertEqual(done.returncode, code, f"{arguments}\n{done.stdout}\n{done.stderr}")
        return done.stdout + done.stderr

    def namespace(self, name):
        self.kubectl("create", "namespace", name)
        self.addCleanup(self.kubectl, "delete", "namespace", name)
        return "-n" + name

    def test_the_kinds_are_discovered(self):
        text = self.kubectl("api-resources")
        for kind in ("llminferenceservices", "deployments", "httproutes", "endpointslices", "pods"):
            self.assertIn(kind, text)
        self.assertIn("v1.31", self.kubectl("version"))

    @needs(24, "patch --subresource")
    def test_a_model_is_applied_shown_changed_and_removed(self):
        ns = self.namespace("models")
        self.assertIn("created", self.kubectl(ns, "apply", "-f", "-", stdin=MODEL))
        self.assertIn("unchanged", self.kubectl(ns, "apply", "-f", "-", stdin=MODEL))
        self.assertIn("configured", self.kubectl(ns, "apply", "-f", "-", stdin=MODEL.replace("replicas: 2", "replicas: 3")))
        self.kubectl(ns, "patch", "llmisvc", "smollm2", "--subresource=status", "--type=merge", "-p", json.dumps(
            {"status": {"url": "http://127.0.0.1:8080/models/smollm2",
                        "conditions": [{"type": "Ready", "status": "True"}]}}))
        self.assertRegex(self.kubectl(ns, "get", "llmisvc"), r"NAME +URL +READY +REASON +AGE\nsmollm2 +http://127\S+ +True")
        self.kubectl(ns, "wait", "llmisvc/smollm2", "--for=condition=Ready", "--timeout=10s")
        self.kubectl(ns, "scale", "llmisvc/smollm2", "--replicas=1")
        self.assertEqual(self.kubectl(ns, "get", "llmisvc", "smollm2", "-o", "jsonpath={.spec.replicas}"), "1")
        self.assertIn("uri: file:///models/tiny", self.kubectl(ns, "get", "llmisvc", "smollm2", "-o", "yaml"))
        self.assertIn("llminferenceservice.serving.kserve.io/smollm2", self.kubectl(ns, "get", "all", "-o", "name"))
        self.assertIn('"smollm2" deleted', self.kubectl(ns, "delete", "llmisvc", "smollm2"))

    @needs(25, "validation by the server")
    def test_a_mistake_is_refused_with_its_path(self):
        text = self.kubectl("apply", "-f", "-", stdin=MODEL.replace("replicas", "replicsa"), code=1)
        self.assertIn('unknown field "spec.replicsa"', text)

    @needs(23, "wait --for=jsonpath")
    def test_a_deployment_rolls_out_and_back(self):
        ns = self.namespace("rollout")
        self.kubectl(ns, "apply", "-f", "-", stdin=WEB.replace("IMAGE", "1"))
        self.assertIn("successfully rolled out", self.kubectl(ns, "rollout", "status", "deploy/web", "--timeout=30s"))
        self.assertRegex(self.kubectl(ns, "get", "pods"), r"web-\S+ +1/1 +Running +0 ")
        self.kubectl(ns, "apply", "-f", "-", stdin=WEB.replace("IMAGE", "2"))
        self.kubectl(ns, "rollout", "status", "deploy/web", "--timeout=30s")
        self.assertEqual(self.images(ns), {"example:2"})
        self.kubectl(ns, "rollout", "undo", "deploy/web")
        self.kubectl(ns, "rollout", "status", "deploy/web", "--timeout=30s")
        self.assertEqual(self.images(ns), {"example:1"})
        self.assertRegex(self.kubectl(ns, "rollout", "history", "deploy/web"), r"2 .*\n3 ")
        self.kubectl(ns, "scale", "deploy/web", "--replicas=4")
        self.kubectl(ns, "wait", "deploy/web", "--for=jsonpath={.status.readyReplicas}=4", "--timeout=30s")
        text = self.kubectl(ns, "describe", "deploy", "web")
        self.assertIn("4 desired | 4 updated | 4 total | 4 available", text)
        self.assertIn("ScalingReplicaSet", text)
        self.kubectl(ns, "set", "env", "deploy/web", "MODE=fast")
        self.kubectl(ns, "rollout", "status", "deploy/web", "--timeout=30s")

    def images(self, ns):
        text = self.kubectl(ns, "get", "pods", "-l", "app=web", "-o", "json")
        return {pod["spec"]["containers"][0]["image"] for pod in json.loads(text)["items"]
                if not pod["metadata"].get("deletionTimestamp")}

    def test_a_service_has_the_addresses_of_its_ready_pods(self):
        ns = self.namespace("slices")
        self.kubectl(ns, "apply", "-f", "-", stdin=WEB.replace("IMAGE", "1"))
        self.kubectl(ns, "rollout", "status", "deploy/web", "--timeout=30s")
        addresses = self.kubectl(ns, "get", "pods", "-o", "jsonpath={.items[*].status.podIP}").split()
        self.assertEqual(len(addresses), 2)
        slices = json.loads(self.kubectl(ns, "get", "endpointslices", "-o", "json"))["items"]
        self.assertEqual(len(slices), 1)
        self.assertEqual(sorted(e["addresses"][0] for e in slices[0]["endpoints"]), sorted(addresses))
        self.assertEqual(slices[0]["ports"][0]["port"], 80)
        self.assertIn("80/TCP", self.kubectl(ns, "describe", "service", "web"))

    @needs(24, "patch --subresource")
    def test_a_failed_pod_is_replaced(self):
        ns = self.namespace("failed")
        self.kubectl(ns, "apply", "-f", "-", stdin=WEB.replace("IMAGE", "1"))
        self.kubectl(ns, "rollout", "status", "deploy/web", "--timeout=30s")
        victim = self.kubectl(ns, "get", "pods", "-o", "name").split()[0]
        self.kubectl(ns, "patch", victim, "--subresource=status", "--type=merge", "-p", '{"status":{"phase":"Failed"}}')
        self.kubectl(ns, "wait", "deploy/web", "--for=jsonpath={.status.availableReplicas}=2", "--timeout=30s")
        self.kubectl(ns, "rollout", "status", "deploy/web", "--timeout=30s")
        running = self.kubectl(ns, "get", "pods", "--field-selector=status.phase=Running", "-o", "name").split()
        self.assertNotIn(victim, running)

    def test_server_side_apply_respects_other_managers(self):
        ns = self.namespace("ssa")
        self.kubectl(ns, "apply", "--server-side", "-f", "-", stdin=WEB.replace("IMAGE", "1"))
        text = self.kubectl(ns, "apply", "--server-side", "--field-manager=other", "-f", "-", code=1,
                            stdin=WEB.replace("IMAGE", "2"))
        self.assertIn('conflict with "kubectl": .spec.template.spec.containers[name="main"].image', text)
        self.kubectl(ns, "apply", "--server-side", "--field-manager=other", "--force-conflicts", "-f", "-",
                     stdin=WEB.replace("IMAGE", "2"))
        self.assertIn("example:2", self.kubectl(ns, "get", "deploy", "web", "-o", "yaml"))

    def test_edit_label_and_annotate(self):
        ns = self.namespace("edit")
        self.kubectl(ns, "create", "configmap", "c", "--from-literal=a=1")
        self.kubectl(ns, "edit", "configmap", "c", EDITOR="sed -i s/a:.*1./a:\\ two/")
        self.assertEqual(self.kubectl(ns, "get", "cm", "c", "-o", "jsonpath={.data.a}"), "two")
        self.kubectl(ns, "label", "cm", "c", "color=red")
        self.assertIn("c", self.kubectl(ns, "get", "cm", "-l", "color in (red,blue)", "-o", "name"))
        self.kubectl(ns, "annotate", "cm", "c", "note=x")
        self.assertIn("already exists", self.kubectl(ns, "create", "configmap", "c", code=1))

    def test_foreground_deletion_waits_for_the_pods(self):
        ns = self.namespace("foreground")
        self.kubectl(ns, "apply", "-f", "-", stdin=WEB.replace("IMAGE", "1"))
        self.kubectl(ns, "rollout", "status", "deploy/web", "--timeout=30s")
        self.kubectl(ns, "delete", "deploy", "web", "--cascade=foreground", "--timeout=30s")
        self.assertIn("No resources found", self.kubectl(ns, "get", "pods,rs"))

    def test_orphans_stay(self):
        ns = self.namespace("orphans")
        self.kubectl(ns, "apply", "-f", "-", stdin=WEB.replace("IMAGE", "1"))
        self.kubectl(ns, "rollout", "status", "deploy/web", "--timeout=30s")
        self.kubectl(ns, "delete", "deploy", "web", "--cascade=orphan", "--timeout=30s")
        owners = self.kubectl(ns, "get", "rs", "-o", "jsonpath={.items[0].metadata.ownerReferences}")
        self.assertEqual(owners, "")

    def test_logs_come_from_the_folder_the_pod_names(self):
        ns = self.namespace("logs")
        folder = self.server.folder / "logs"
        folder.mkdir(exist_ok=True)
        (folder / "main.log").write_text("".join(f"line {i}\n" for i in range(100)))
        pod = {"apiVersion": "v1", "kind": "Pod",
               "metadata": {"name": "p", "annotations": {"llmd.dev/log-directory": str(folder)}},
               "spec": {"containers": [{"name": "main", "image": "x"}]}}
        self.kubectl(ns, "create", "-f", "-", stdin=json.dumps(pod))
        self.kubectl(ns, "wait", "pod/p", "--for=condition=Ready", "--timeout=30s")
        self.assertEqual(self.kubectl(ns, "logs", "p", "--tail=2"), "line 98\nline 99\n")
        self.assertEqual(len(self.kubectl(ns, "logs", "p").splitlines()), 100)
        self.assertIn("previous terminated container", self.kubectl(ns, "logs", "p", "--previous", code=1))
        self.assertIn("not supported", self.kubectl(ns, "exec", "p", "--", "true", code=1))

    def test_watch_shows_changes(self):
        ns = self.namespace("watch")
        watch = subprocess.Popen([KUBECTL, "--kubeconfig", str(self.server.kubeconfig), ns, "get", "cm", "-w", "-o", "name"],
                                 stdout=subprocess.PIPE, text=True, env={**os.environ, "HOME": str(self.server.folder)})
        self.kubectl(ns, "create", "configmap", "seen")
        self.assertEqual(watch.stdout.readline(), "configmap/seen\n")
        watch.terminate()
        watch.wait()
        watch.stdout.close()

    @needs(27, "explain by OpenAPI v3")
    def test_explain_and_can_i(self):
        self.assertIn("hf://", self.kubectl("explain", "llmisvc.spec.model.uri"))
        self.assertIn("<[]Container>", self.kubectl("explain", "pod.spec"))
        self.assertEqual(self.kubectl("auth", "can-i", "delete", "pods"), "yes\n")


if __name__ == "__main__":
    if not KUBECTL:
        skip("kubectl is not on PATH")
    unittest.main()
