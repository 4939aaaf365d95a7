"""Our CustomResourceDefinitions on a real kube-apiserver: it serves them, and refuses what `llmd check` refuses."""
import json
import os
import pathlib
import re
import subprocess
import unittest

from control_plane import ControlPlane, require

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
LLMD = os.environ.get("LLMD_BINARY", str(ROOT / "build/release/llmd"))
GROUP = "apiVersion: serving.kserve.io/v1alpha2\nkind: LLMInferenceService\nmetadata: {name: a}\nspec:\n"

# What a schema can say, and the codes under which `llmd check` says it.
BAD = {
    "unknown field": ("  model: {uri: hf://a/b}\n  replica: 3\n", "unknown-field"),
    "unknown field of a container": ("  model: {uri: hf://a/b}\n  template: {containers: [{name: main, img: x}]}\n",
                                     "unknown-field"),
    "no model": ("  replicas: 1\n", "missing-field"),
    "wrong type": ("  model: {uri: hf://a/b}\n  replicas: three\n", "wrong-type"),
    "negative replicas": ("  model: {uri: hf://a/b}\n  replicas: -1\n", "out-of-range"),
    "tensor of nothing": ("  model: {uri: hf://a/b}\n  parallelism: {tensor: 0}\n", "out-of-range"),
    "port too high": ("  model: {uri: hf://a/b}\n  parallelism: {dataRPCPort: 70000}\n", "out-of-range"),
    "weight too high": ("  model: {uri: hf://a/b}\n  router: {route: {group: g, weight: 1000001}}\n", "out-of-range"),
    "group name": ("  model: {uri: hf://a/b}\n  router: {route: {group: G_1, weight: 1}}\n", "bad-value"),
    "criticality": ("  model: {uri: hf://a/b, criticality: Important}\n", "bad-value"),
    "eviction policy": ("  model: {uri: hf://a/b}\n  kvCacheOffloading: {cpu: 1Gi, evictionPolicy: mru}\n", "bad-value"),
    "two containers of one name": ("  model: {uri: hf://a/b}\n  template: {containers: [{name: main}, {name: main}]}\n",
                                   "duplicate"),
    "container without name": ("  model: {uri: hf://a/b}\n  template: {containers: [{image: x}]}\n", "missing-field"),
    "scaling and replicas": ("  model: {uri: hf://a/b}\n  replicas: 1\n  scaling: {maxReplicas: 2, wva: {hpa: {}}}\n",
                             "scaling"),
    "scaling without actuator": ("  model: {uri: hf://a/b}\n  scaling: {maxReplicas: 2, wva: {}}\n", "scaling"),
    "scaling without wva": ("  model: {uri: hf://a/b}\n  scaling: {maxReplicas: 2}\n", "scaling"),
    "two actuators": ("  model: {uri: hf://a/b}\n  scaling: {maxReplicas: 2, wva: {hpa: {}, keda: {}}}\n", "scaling"),
    "min above max": ("  model: {uri: hf://a/b}\n  scaling: {minReplicas: 3, maxReplicas: 2, wva: {hpa: {}}}\n",
                      "scaling"),
    "idle not below min": ("  model: {uri: hf://a/b}\n  scaling: {minReplicas: 2, maxReplicas: 3, "
                           "wva: {keda: {idleReplicaCount: 2}}}\n", "scaling"),
    "no model but null": ("  model: null\n", "wrong-type"),
    "null for a key": ("  model: {uri: hf://a/b}\n  template: {containers: [{name: null}]}\n", "wrong-type"),
    "null in a list": ("  model: {uri: hf://a/b}\n  template: {containers: [{name: main, args: [null]}]}\n",
                       "wrong-type"),
    "prefill scaled twice": ("  model: {uri: hf://a/b}\n  prefill: {replicas: 1, scaling: {maxReplicas: 2, "
                             "wva: {hpa: {}}}}\n", "scaling"),
}

# What an API server refuses where we know what is meant: the reason is in docs/compatibility.md.
GOOD = {
    "smallest": "  model: {uri: hf://a/b}\n",
    "the guide's spellings": "  model: {uri: \"gs://a/b\", criticality: Normal}\n",
    "removal by $patch": "  model: {uri: hf://a/b}\n  template: {containers: [{name: main}, "
                         "{name: side, $patch: delete}]}\n",
    "null that is dropped": "  model: {uri: hf://a/b, criticality: null}\n  replicas: null\n  scaling: {minReplicas: 2, "
                            "maxReplicas: 3, wva: {keda: {idleReplicaCount: null}}}\n",
    "removal by null": "  model: {uri: hf://a/b}\n  router: null\n  template: {nodeSelector: null, tolerations: null, "
                       "containers: [{name: main, livenessProbe: null, lifecycle: null, args: null, resources: "
                       "{limits: {memory: null}}, env: [{name: A, value: null}]}]}\n",
    "one port for two protocols": "  model: {uri: hf://a/b}\n  template: {containers: [{name: main, ports: "
                                  "[{containerPort: 1, protocol: TCP}, {containerPort: 1, protocol: UDP}]}]}\n",
    "scaled by KEDA": "  model: {uri: hf://a/b}\n  scaling: {minReplicas: 2, maxReplicas: 3, wva: {keda: "
                      "{pollingInterval: 5, idleReplicaCount: 1}}}\n",
    "cache tiers": "  model: {uri: hf://a/b}\n  kvCacheOffloading: {cpu: 10Gi, secondary: [{fileSystem: {emptyDir: "
                   "{size: 1Ti}}}]}\n",
}


def check(text):
    """Codes of the errors that `llmd check` finds."""
    done = subprocess.run([LLMD, "check", "-o", "json", "-"], input=text, capture_output=True, text=True, check=False)
    findings = json.loads(done.stdout)
    return {one["code"] for one in findings if one["severity"] == "error"}


class Definitions(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.plane = ControlPlane().__enter__()
        cls.addClassCleanup(cls.plane.stop)
        cls.names = cls.plane.install(*sorted((ROOT / "config/crd").glob("llm*.yaml")))

    def dry_run(self, text):
        return self.plane.kubectl("apply", "--dry-run=server", "-f", "-", text=text, check=False)

    def test_both_are_established_and_structural(self):
        self.assertEqual(len(self.names), 2)
        for name in self.names:
            status = json.loads(self.plane.kubectl("get", name, "-o", "json").stdout)["status"]
            conditions = {one["type"]: one["status"] for one in status["conditions"]}
            self.assertEqual(conditions, {"NamesAccepted": "True", "Established": "True"})

    def test_the_short_name_and_the_columns_are_served(self):
        self.plane.kubectl("apply", "-f", "-", text=GROUP.replace("name: a", "name: shown") + GOOD["smallest"])
        self.plane.kubectl("patch", "llmisvc", "shown", "--subresource=status", "--type=merge", "-p", json.dumps(
            {"status": {"url": "http://x/y", "observedGeneration": 1, "conditions": [{"type": "Ready", "status": "False", "reason": "Why"}],
                        "addresses": [{"url": "http://z"}]}}))
        lines = self.plane.kubectl("get", "llmisvc", "shown", "-o", "wide").stdout.splitlines()
        self.assertEqual(lines[0].split(), ["NAME", "URL", "READY", "REASON", "AGE", "URLS"])
        self.assertEqual(lines[1].split()[:4], ["shown", "http://x/y", "False", "Why"])
        self.assertIn("http://z", lines[1])

    def test_both_versions_hold_the_same(self):
        old = GROUP.replace("v1alpha2", "v1alpha1").replace("name: a", "name: old")
        self.plane.kubectl("apply", "-f", "-", text=old + "  model: {uri: hf://a/b, criticality: Critical}\n"
                                                          "  kvCacheOffloading: {cpu: 1Gi}\n")
        specs = [json.loads(self.plane.kubectl(
            "get", f"llminferenceservices.{version}.serving.kserve.io", "old", "-o", "json").stdout)["spec"]
            for version in ("v1alpha1", "v1alpha2")]
        self.assertEqual(specs[0], specs[1])
        self.assertEqual(specs[0]["model"]["criticality"], "Critical")
        self.assertEqual(specs[0]["kvCacheOffloading"], {"cpu": "1Gi"})

    def test_it_refuses_what_check_refuses(self):
        for name, (spec, code) in BAD.items():
            with self.subTest(name):
                done = self.dry_run(GROUP + spec)
                self.assertNotEqual(done.returncode, 0, "the API server accepts it")
                self.assertIn(code, check(GROUP + spec))

    def test_it_accepts_what_check_accepts(self):
        for name, spec in GOOD.items():
            with self.subTest(name):
                done = self.dry_run(GROUP + spec)
                self.assertEqual(done.returncode, 0, done.stderr)
                self.assertEqual(check(GROUP + spec), set())

    def test_null_stays_where_it_removes_and_is_dropped_elsewhere(self):
        text = GROUP + ("  model: {uri: hf://a/b, criticality: null}\n  replicas: null\n"
                        "  template: {nodeSelector: null, containers: [{name: main, livenessProbe: null}]}\n")
        made = json.loads(self.plane.kubectl("create", "--dry-run=server", "-o", "json", "-f", "-", text=text).stdout)
        self.assertEqual(made["spec"], {"model": {"uri": "hf://a/b"}, "template": {
            "nodeSelector": None, "containers": [{"name": "main", "livenessProbe": None}]}})
        done = subprocess.run([LLMD, "check", "-o", "json", "-"], input=text, capture_output=True, text=True, check=False)
        self.assertEqual({(one["code"], one["path"]) for one in json.loads(done.stdout)},
                         {("null-dropped", "spec.model.criticality"), ("null-dropped", "spec.replicas")})

    def test_examples_and_the_services_of_the_guides_are_accepted(self):
        files = sorted((ROOT / "examples").glob("*.yaml")) + sorted((ROOT / "src/llmisvc/testdata/inputs").glob("*.yaml"))
        count = 0
        for file in files:
            text = file.read_text()
            ours = [one for one in re.split(r"^---$", text, flags=re.M)
                    if re.search(r"^kind: LLMInferenceService(Config)?$", one, re.M)
                    and re.search(r"^apiVersion: serving.kserve.io", one, re.M)]
            for document in ours:
                # Where the guide shows a status: only a controller may write one, and here it lacks its times.
                document = re.sub(r"^status:.*\Z", "", document, flags=re.M | re.S)
                document = re.sub(r"^  namespace: .*$", "  namespace: default", document, flags=re.M)
                count += "kind: LLMInferenceService\n" in document
                with self.subTest(file.name):
                    done = self.dry_run(document)
                    self.assertEqual(done.returncode, 0, done.stderr)
        self.assertGreaterEqual(count, 23)

    def test_the_presets_are_accepted_with_their_templates(self):
        for file in sorted((ROOT / "config/presets").glob("*.yaml")):
            with self.subTest(file.name):
                done = self.dry_run(file.read_text())
                self.assertEqual(done.returncode, 0, done.stderr)


if __name__ == "__main__":
    require()
    unittest.main()
