"""Rows of the multi-model guide's checklist beside those of test_unified.py (A33 to A35, A38, A39, A41, A43), with
real processes. What needs a cluster's network is stood in for: a Service's port by the process behind it."""

import json
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

from processes import LLMD, UNIFIED, Engine, Folder, Gateway, Process, ask, service, wait_for

MODEL = "Qwen/Qwen2.5-0.5B-Instruct"
SGLANG = ["python3", "-m", "sglang.launch_server"]
ARGUMENTS = ["--model-path", MODEL, "--port", "8000"]
IMAGE = "lmsysorg/sglang:v0.5.6.post2-runtime"
DIALECT = {
    "apiVersion": "llm-d.ai/v1alpha1", "kind": "LLMInferenceService", "metadata": {"name": "qwen"},
    "spec": {"inferenceServer": {"type": "sglang", "image": IMAGE, "command": SGLANG, "args": ARGUMENTS}},
}
VALUES = {
    "modelArtifacts": {"uri": f"hf://{MODEL}", "name": MODEL, "size": "2Gi", "authSecretName": ""},
    "multinode": False, "routing": {"servicePort": 8000}, "prefill": {"create": False},
    "decode": {"create": True, "replicas": 1, "containers": [
        {"name": "sglang", "image": IMAGE, "modelCommand": "custom", "command": SGLANG, "args": ARGUMENTS}]},
}
PLUGINS = ["prefill-header-handler", "prefill-filter", "decode-filter", "queue-scorer", "kv-cache-utilization-scorer",
           "prefix-cache-scorer", "max-score-picker", "random-picker"]


def words(model, **more):
    return {"model": model, "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 4} | more


def llmd(*arguments, text=None):
    """What a command of llmd prints."""
    done = subprocess.run([LLMD, *arguments], input=text, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise AssertionError(f"llmd {' '.join(arguments)}: {done.stderr}")
    return done.stdout


def rendered(text):
    objects = json.loads(llmd("render", "-o", "json", "-", text=text))
    return objects if isinstance(objects, list) else objects.get("items", [objects])


def running(objects, port):
    """What a cluster would make of rendered objects: slices and a ready pod, whose ports are all this one."""
    made = []
    for each in objects:
        each["metadata"].setdefault("namespace", "default")
        if each["kind"] == "Service" and each["metadata"]["name"].endswith("-workload-svc"):
            made += [each, *service(each["metadata"]["name"], [port])[1:]]
            made[-1]["ports"][0]["name"] = "http"
        elif each["kind"] == "Deployment" and each["metadata"]["name"].endswith("-kserve"):
            made.append({"apiVersion": "v1", "kind": "Pod",
                         "metadata": {"name": "qwen-0", "namespace": "default",
                                      "labels": each["spec"]["template"]["metadata"]["labels"]},
                         "spec": {"containers": []},
                         "status": {"podIP": "127.0.0.1", "conditions": [{"type": "Ready", "status": "True"}]}})
        elif each["kind"] == "InferencePool":
            if "targetPorts" in each["spec"]:
                each["spec"]["targetPorts"] = [{"number": port}]
            else:
                each["spec"]["targetPortNumber"] = port
            made.append(each)
    return made


class Checklist(unittest.TestCase):
    def setUp(self):
        self.folder = Folder()
        self.addCleanup(self.folder.close)

    def start(self, process):
        self.addCleanup(process.stop)
        return process

    def engine(self, name=MODEL, owner="vllm"):
        return self.start(Engine(name, owner, simulate=True))

    def chat(self, port, model=MODEL, **more):
        status, text = ask(port, "POST", "/v1/chat/completions", words(model, **more))
        return status, json.loads(text)

    def test_a33_the_gateway_is_ready_soon(self):
        """Its first line says that it listens; whoever connects then is answered."""
        gateway = self.start(Gateway(self.folder))
        self.assertEqual(ask(gateway.port, "GET", "/healthz"), (200, "ok\n"))

    def test_a34_an_engine_answers_without_a_gateway(self):
        engine = self.engine()
        self.folder.put("qwen", *service("qwen", [engine.port], UNIFIED))
        gateway = self.start(Gateway(self.folder))
        wait_for("the model", lambda: gateway.mapping(MODEL))
        answers = [self.chat(port) for port in (engine.port, gateway.port)]
        self.assertEqual([status for status, _ in answers], [200, 200])
        self.assertEqual(*[body["model"] for _, body in answers])

    def test_a35_the_pool_answers_on_80_and_the_unified_api_on_its_own_port(self):
        engine = self.engine()
        pool = Folder()
        self.addCleanup(pool.close)
        pool.put("route", *service("qwen", [engine.port]),
                 {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway",
                  "metadata": {"name": "pool", "namespace": "default"},
                  "spec": {"gatewayClassName": "llmd", "listeners": [{"name": "http", "port": 80, "protocol": "HTTP"}]}},
                 {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
                  "metadata": {"name": "qwen", "namespace": "default"},
                  "spec": {"parentRefs": [{"name": "pool"}],
                           "rules": [{"backendRefs": [{"name": "qwen", "port": 8000}]}]}})
        front = self.start(Gateway(pool, more=["--open-listeners", "--listener-port", "80=0"]))
        line = wait_for("port 80", lambda: next((each for each in front.lines if each.startswith("listener 80 ")), None))
        port = int(re.search(r":(\d+)$", line.strip()).group(1))
        self.folder.put("pool", *service("infra-qwen-inference-gateway-istio", [port], port=80))
        gateway = self.start(Gateway(self.folder))
        wait_for("the model", lambda: gateway.mapping(MODEL))
        self.assertEqual(gateway.mapping(MODEL)["via"], "pool")
        before = engine.served()
        for each in (port, gateway.port):
            self.assertEqual(self.chat(each)[0], 200)
        self.assertEqual(engine.served() - before, 2)

    def test_a38_the_server_dialect_of_sglang_is_rendered(self):
        objects = rendered(json.dumps(DIALECT))
        template = next(each for each in objects if each["kind"] == "Deployment")["spec"]["template"]
        self.assertEqual(template["metadata"]["labels"]["llm-d.ai/engine-type"], "sglang")
        container = template["spec"]["containers"][0]
        self.assertEqual((container["image"], container["command"], container["args"]), (IMAGE, SGLANG, ARGUMENTS))

    def test_a39_values_and_the_server_dialect_lead_to_the_same_engine(self):
        engine = self.engine(owner="sglang")
        results = []
        with tempfile.TemporaryDirectory() as name:
            values = pathlib.Path(name) / "values.yaml"
            values.write_text(json.dumps(VALUES))
            texts = [llmd("convert", "--name", "qwen", str(values)), json.dumps(DIALECT)]
        for text in texts:
            self.folder.put("qwen", *running(rendered(text), engine.port))
            gateway = self.start(Gateway(self.folder))
            wait_for("the model", lambda: gateway.mapping(MODEL, "sglang"))
            before = engine.served()
            results.append([
                [(card["id"], card["owned_by"]) for card in gateway.models()],
                [self.chat(gateway.port)[0] for _ in range(5)],
                self.chat(gateway.port, owned_by="SGLang")[0],
                self.chat(gateway.port, owned_by="vllm")[0],
                self.chat(gateway.port, "other")[0],
                engine.served() - before,
            ])
        self.assertEqual(*results)
        self.assertEqual(results[0], [[(MODEL, "sglang")], [200] * 5, 200, 404, 404, 6])

    def test_a41_two_machines_are_managed_from_one_command_line(self):
        sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "up"))
        import harness
        machines = {}
        for name in ("one", "two"):
            machines[name] = harness.Machine()
            self.addCleanup(machines[name].close)
            machines[name].start(machines[name].write(harness.manifest(name)))
        for name, machine in machines.items():
            machine.wait_ready(name)
            listed = llmd("get", "llmisvc", "--data", str(machine.data))
            self.assertIn(name, listed)
            self.assertNotIn("two" if name == "one" else "one", listed)

    def test_a43_plugin_names_of_the_guides_are_accepted_by_the_picker(self):
        for handler, profiles in {"pd-profile-handler": ["prefill", "decode"],
                                  "slo-aware-profile-handler": ["default", "slo"]}.items():
            plugins = [{"pluginRef": "queue-scorer", "weight": 2}, {"pluginRef": "max-score-picker"}]
            config = {"apiVersion": "inference.networking.x-k8s.io/v1alpha1", "kind": "EndpointPickerConfig",
                      "plugins": [{"type": name} for name in [*PLUGINS, handler]],
                      "schedulingProfiles": [{"name": name, "plugins": plugins} for name in profiles]}
            endpoints = self.folder.path / "endpoints.json"
            endpoints.write_text(json.dumps({"endpoints": []}))
            with self.subTest(handler):
                picker = Process([LLMD, "picker", "--host", "127.0.0.1", "--grpc-port", "0", "--grpc-health-port", "0",
                                  "--metrics-port", "0", "--endpoints-file", str(endpoints), "--config-text",
                                  json.dumps(config)], {"metrics": r"metrics=http://127\.0\.0\.1:(\d+)"})
                self.addCleanup(picker.kill)
                self.assertEqual(ask(int(picker.found["metrics"]), "GET", "/metrics")[0], 200)


if __name__ == "__main__":
    unittest.main()
