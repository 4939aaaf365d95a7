"""`llmd up` from the outside: what the README promises, and what happens when things are killed."""

import json
import os
import shutil
import signal
import subprocess
import sys
import unittest

from harness import LLMD, ROOT, Load, Machine, manifest, wait_for


@unittest.skipUnless(shutil.which("kubectl"), "SKIPPED: kubectl is not installed (./dev setup installs it)")
class Up(unittest.TestCase):
    def setUp(self):
        self.machine = Machine()
        self.addCleanup(self.machine.close)

    def up(self, text):
        self.file = self.machine.write(text)
        self.machine.start(self.file)
        self.machine.wait_ready()

    def test_a_manifest_becomes_a_url_that_answers_and_streams(self):
        self.up(manifest())
        status, body = self.machine.chat("What is the capital of France?")
        self.assertEqual(status, 200, body)
        whole = json.loads(body)["choices"][0]["message"]["content"]
        self.assertIn("Paris", whole)
        status, body = self.machine.chat("What is the capital of France?", stream=True)
        self.assertEqual(status, 200, body)
        events = [line[6:] for line in body.splitlines() if line.startswith("data: ")]
        self.assertEqual(events[-1], "[DONE]")
        deltas = [json.loads(event)["choices"][0]["delta"].get("content") or "" for event in events[:-1]]
        self.assertEqual("".join(deltas), whole)
        wait_for("the curl to paste", lambda: "curl http://" in self.machine.printed())

    def test_the_official_openai_client_works_through_the_gateway(self):
        self.up(manifest())
        result = subprocess.run([sys.executable, ROOT / "tests/conformance/openai/conformance_test.py"],
                                env={**os.environ, "BASE_URL": f"http://{self.machine.gateway}/default/tiny/v1"},
                                capture_output=True, text=True, timeout=300)
        if result.returncode == 77:
            self.skipTest("the openai client could not be installed: " + result.stderr[-300:])
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)

    def test_kubectl_sees_the_service_its_deployment_and_its_pods(self):
        self.up(manifest(replicas=2))
        self.machine.wait_ready_pods(2)
        table = self.machine.kubectl("get", "llmisvc,pods,deploy", "-A")
        self.assertIn("tiny", table)
        self.assertRegex(table, r"pod/tiny-\S+\s+1/1\s+Running")
        self.assertRegex(table, r"deployment\S*/tiny\S*\s+2/2")
        pod = self.machine.pods()[0]["metadata"]["name"]
        self.assertIn("kind: Pod", self.machine.kubectl("get", "pod", pod, "-o", "yaml"))
        self.assertTrue(self.machine.kubectl("logs", pod))

    def test_the_same_manifest_again_changes_nothing_and_another_replica_count_scales(self):
        self.up(manifest())
        versions = self.versions()
        again = self.machine.run_up(self.file)
        self.assertEqual(again.returncode, 0, again.stdout + again.stderr)
        self.assertEqual(self.versions(), versions)
        scaled = self.machine.run_up(self.machine.write(manifest(replicas=2)))
        self.assertEqual(scaled.returncode, 0, scaled.stdout + scaled.stderr)
        self.machine.wait_ready_pods(2)
        self.machine.run_up(self.machine.write(manifest(replicas=1)))
        self.machine.wait_ready_pods(1)
        wait_for("one engine", lambda: len(self.machine.pids()) == 1)

    def versions(self):
        return {(kind, each["metadata"]["name"]): (each["metadata"]["uid"], each["metadata"].get("generation"))
                for kind in ("llmisvc", "deploy", "svc", "httproutes", "pods") for each in self.machine.objects(kind)}

    def test_an_engine_killed_under_load_costs_no_client_an_error_and_comes_back(self):
        self.up(manifest(replicas=2))
        self.machine.wait_ready_pods(2)
        load = Load(self.machine)
        wait_for("some answers", lambda: len(load.answers) > 8)
        before = self.machine.pids()
        os.kill(before[0], signal.SIGKILL)
        wait_for("a new engine", lambda: len(self.machine.pids()) == 2 and before[0] not in self.machine.pids())
        self.machine.wait_ready_pods(2)
        answered = len(load.answers)
        wait_for("more answers", lambda: len(load.answers) > answered + 8)
        bad = [answer for answer in load.finish() if answer[0] != 200]
        self.assertEqual(bad, [])
        restarts = sorted(pod["status"]["containerStatuses"][0]["restartCount"] for pod in self.machine.pods())
        self.assertEqual(restarts, [0, 1])

    def test_a_killed_up_leaves_engines_that_the_next_one_adopts_and_ctrl_c_leaves_none(self):
        self.up(manifest(replicas=2))
        self.machine.wait_ready_pods(2)
        engines = self.machine.pids()
        pods = sorted(pod["metadata"]["uid"] for pod in self.machine.pods())
        self.machine.kill()
        self.assertEqual(self.machine.pids(), engines)
        self.machine.start()
        self.machine.wait_ready()
        self.machine.wait_ready_pods(2)
        self.assertEqual(self.machine.pids(), engines)
        self.assertEqual(sorted(pod["metadata"]["uid"] for pod in self.machine.pods()), pods)
        self.assertEqual(self.machine.chat()[0], 200)
        self.assertEqual(self.machine.interrupt(), 0)
        self.assertEqual(self.machine.pids() + self.machine.pids("shim"), [])

    def test_a_service_that_is_deleted_takes_its_processes_with_it(self):
        self.up(manifest())
        self.machine.kubectl("delete", "llmisvc", "tiny")
        wait_for("no engine", lambda: not self.machine.pids())
        wait_for("no pods", lambda: not self.machine.pods())
        self.assertEqual(self.machine.chat()[0], 404)

    def test_explain_config_asks_the_running_one_which_layer_set_a_field(self):
        config = ("---\napiVersion: serving.kserve.io/v1alpha1\nkind: LLMInferenceServiceConfig\n"
                  "metadata: {name: shared}\n"
                  "spec: {template: {containers: [{name: main, env: [{name: LAYER, value: \"{{.Name}}\"}]}]}}\n")
        self.up(manifest(extra="  baseRefs: [{name: shared}]\n") + config)
        result = subprocess.run([LLMD, "explain-config", "tiny", "--data", self.machine.data],
                                capture_output=True, text=True, timeout=60)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("spec.replicas = 1\n    service\n", result.stdout)
        self.assertRegex(result.stdout, r'env\[\d+\]\.value = "tiny"\n    baseRef default/shared \(cluster\)')
        self.assertIn("preset kserve/kserve-config-llm-template", result.stdout)

    def test_a_service_of_the_server_dialect_answers_too(self):
        self.up("apiVersion: llm-d.ai/v1alpha1\nkind: LLMInferenceService\nmetadata: {name: tiny}\nspec:\n"
                "  inferenceServer:\n    type: vllm\n    image: vllm/vllm-openai:v0.12.0\n"
                f"    args: [--model, {ROOT}/models/tiny, --served-model-name, tiny, --port, '8000']\n"
                "  router: {gateway: {}, route: {}}\n")
        self.assertEqual(self.machine.chat()[0], 200)

    def test_a_mistake_is_refused_with_file_line_path_and_hint(self):
        file = self.machine.write(manifest().replace("replicas:", "replcias:"))
        result = self.machine.run_up(file)
        self.assertEqual(result.returncode, 2)
        self.assertRegex(result.stderr, r"service\.yaml:6:\d+: error: spec\.replcias: unknown field")
        self.assertIn("replicas", result.stderr.split("unknown field", 1)[1])

    def test_a_program_nobody_knows_is_refused_with_the_reason_in_the_status(self):
        file = self.machine.write(manifest().replace("vllm/vllm-openai:latest", "acme/webserver:1")
                                  .replace('image: "acme', 'command: [webserver], image: "acme'))
        self.machine.start(file)

        def refused():
            pods = self.machine.pods()
            return "webserver" in json.dumps([pod.get("status") for pod in pods])
        wait_for("the reason", refused)
        self.assertIn("no engine profile", self.machine.kubectl("get", "pods", "-o", "yaml"))


if __name__ == "__main__":
    unittest.main(verbosity=2)
