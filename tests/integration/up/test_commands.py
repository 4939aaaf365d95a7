"""The commands that ask a running `llmd up`, and what it accepts from manifests that were written for clusters."""

import os
import shutil
import subprocess
import unittest

from harness import LLMD, ROOT, Machine

CLUSTER_LIST = f"""\
apiVersion: v1
kind: List
items:
- apiVersion: serving.kserve.io/v1alpha2
  kind: LLMInferenceService
  metadata: {{name: tiny, namespace: default}}
  spec:
    model: {{uri: "file://{ROOT}/models/tiny", name: tiny}}
    template: {{containers: [{{name: main, image: "vllm/vllm-openai:latest"}}]}}
    router: {{gateway: {{}}, route: {{}}, scheduler: {{config: {{ref: {{name: picking, key: config.yaml}}}}}}}}
- apiVersion: v1
  kind: ConfigMap
  metadata: {{name: picking, namespace: default}}
  data:
    config.yaml: |
      plugins:
      - type: load-aware-scorer
        parameters: {{treshold: 3}}
"""


@unittest.skipUnless(shutil.which("kubectl"), "SKIPPED: kubectl is not installed (./dev setup installs it)")
class Commands(unittest.TestCase):
    """One machine for all tests: none changes it."""

    @classmethod
    def setUpClass(cls):
        cls.machine = Machine()
        cls.addClassCleanup(cls.machine.close)
        cls.machine.start(cls.machine.write(CLUSTER_LIST))
        cls.machine.wait_ready()

    def llmd(self, *words):
        return subprocess.run([LLMD, *words, "--data", self.machine.data], capture_output=True, text=True, timeout=60)

    def test_a_list_in_the_version_of_clusters_is_served(self):
        status, body = self.machine.chat()
        self.assertEqual(status, 200, body)

    def test_mistakes_of_a_schedulers_configuration_are_warnings_here(self):
        self.assertRegex(self.machine.printed(), r"service\.yaml:18:22: warning: ConfigMap default/picking: "
                                                 r"data\[config\.yaml\]:3:16: plugins\[0\]\.parameters\.treshold")

    def test_get_prints_several_kinds_under_their_short_names(self):
        result = self.llmd("get", "llmisvc,po,deploy")
        self.assertEqual(result.returncode, 0, result.stderr)
        tables = result.stdout.split("\n\n")
        self.assertEqual([table.split()[:2] for table in tables], [["NAMESPACE", "NAME"]] * 3)
        self.assertRegex(tables[0], r"(?m)^default +tiny +http://\S+ +True +")
        self.assertNotIn("null", result.stdout)
        self.assertIn("no kind 'pots'", self.llmd("get", "pots").stderr)

    def test_logs_takes_a_pod_and_says_so_to_those_who_name_something_else(self):
        pod = self.machine.pods()[0]["metadata"]["name"]
        for name in (pod, f"pod/{pod}"):
            result = self.llmd("logs", name, "--tail", "1")
            self.assertEqual((result.returncode, result.stdout.count("\n")), (0, 1), result.stderr)
        refused = self.llmd("logs", "deploy/tiny-kserve")
        self.assertEqual(refused.returncode, 2)
        self.assertIn("'deploy/tiny-kserve' is no pod's name\n  `llmd get pods` lists them", refused.stderr)

    def test_a_reader_that_has_seen_enough_is_no_error(self):
        reader, writer = os.pipe()
        os.close(reader)
        with os.fdopen(writer, "wb") as closed:
            result = subprocess.run([LLMD, "explain-config", "tiny", "--data", self.machine.data], stdout=closed,
                                    stderr=subprocess.PIPE, text=True, timeout=60)
        self.assertEqual((result.returncode, result.stderr), (141, ""))

    def test_a_full_disk_is_an_error_in_words(self):
        with open("/dev/full", "wb") as full:
            result = subprocess.run([LLMD, "explain-config", "tiny", "--data", self.machine.data], stdout=full,
                                    stderr=subprocess.PIPE, text=True, timeout=60)
        self.assertEqual(result.returncode, 8)
        self.assertIn("llmd explain-config: standard output: No space left on device", result.stderr)

    def test_explain_says_who_remembers_decisions(self):
        gateway = subprocess.run([LLMD, "explain", "--last", "1", "--address", self.machine.gateway],
                                 capture_output=True, text=True, timeout=60)
        self.assertEqual(gateway.returncode, 3)
        self.assertIn("no route matches GET /debug/explain", gateway.stderr)
        self.assertNotIn("{", gateway.stderr)
        self.assertIn("--address is the metrics port of a llmd picker", gateway.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)
