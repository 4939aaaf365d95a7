"""Engines and a gateway as processes, and the objects in files that lead from one to the other."""

import http.client
import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[3]
LLMD = os.environ.get("LLMD_BINARY", str(ROOT / "build/release/llmd"))
PATIENCE = float(os.environ.get("LLMD_TEST_PATIENCE", "120"))


def wait_for(what, question):
    """Asks until the answer is true; the answer is returned."""
    ends = time.monotonic() + PATIENCE
    while True:
        answer = question()
        if answer:
            return answer
        if time.monotonic() > ends:
            raise AssertionError(f"{what}: not within {PATIENCE} s")
        time.sleep(0.02)


class Process:
    """A program whose first lines tell where it listens."""

    def __init__(self, arguments, patterns, environment=None):
        self.process = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                        stdin=subprocess.DEVNULL, env=os.environ | (environment or {}))
        self.lines = []
        self.found = {}
        ready = threading.Event()

        def read():
            for line in self.process.stdout:
                self.lines.append(line)
                for name, pattern in patterns.items():
                    if match := re.search(pattern, line):
                        self.found[name] = match.group(1)
                if len(self.found) == len(patterns):
                    ready.set()
            ready.set()

        self.reader = threading.Thread(target=read, daemon=True)
        self.reader.start()
        if not ready.wait(PATIENCE) or len(self.found) != len(patterns):
            self.kill()
            raise AssertionError(f"{arguments} did not become ready:\n" + "".join(self.lines))

    def kill(self):
        self.process.kill()
        self.process.wait(PATIENCE)
        self.reader.join(PATIENCE)
        self.process.stdout.close()

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
        code = self.process.wait(PATIENCE)
        self.reader.join(PATIENCE)
        self.process.stdout.close()
        return code


class Engine(Process):
    """`llmd serve` with the tiny model, or one that only pretends."""

    def __init__(self, name, owner="vllm", port=0, simulate=False, more=()):
        arguments = [LLMD, "serve", str(ROOT / "models/tiny"), "--served-model-name", name, "--owned-by", owner,
                     "--host", "127.0.0.1", "--port", str(port), "--threads", "1", *more]
        super().__init__(arguments + (["--simulate"] if simulate else []), {"port": r'(?=.*ready).*"?port"?[=:]\s*"?(\d+)'})
        self.name, self.owner, self.port = name, owner, int(self.found["port"])

    def served(self):
        """Requests that the engine has answered, by its own count."""
        _, text = ask(self.port, "GET", "/metrics")
        return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines()
                   if line.startswith("vllm:request_success_total{"))


def ask(port, method, path, body=None, headers=None, host="127.0.0.1"):
    """Status and text; JSON in, when `body` is no string."""
    connection = http.client.HTTPConnection(host, port, timeout=PATIENCE)
    try:
        text = body if body is None or isinstance(body, str) else json.dumps(body)
        connection.request(method, path, text, {"Content-Type": "application/json"} | (headers or {}))
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


class Folder:
    """Manifests that the gateway reads again when they change."""

    def __init__(self):
        self.path = pathlib.Path(tempfile.mkdtemp(prefix="llmd-unified-"))
        self.manifests = self.path / "manifests"
        self.manifests.mkdir()
        self.put("namespace", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "default"}})

    def put(self, name, *objects):
        partial = self.path / "partial"
        partial.write_text("\n---\n".join(json.dumps(each) for each in objects))
        partial.rename(self.manifests / f"{name}.yaml")

    def remove(self, name):
        (self.manifests / f"{name}.yaml").unlink()

    def close(self):
        shutil.rmtree(self.path, ignore_errors=True)


class Gateway(Process):
    def __init__(self, folder, configuration=None, more=()):
        self.data = folder.path / "data"
        arguments = [LLMD, "gateway", "-f", str(folder.manifests), "--port", "0", "--admin", "127.0.0.1:0",
                     "--data", str(self.data), *more]
        if configuration is not None:
            path = folder.path / "gateway.yaml"
            path.write_text(json.dumps({"apiVersion": "config.llmd.dev/v1alpha1",
                                        "kind": "GatewayConfiguration"} | configuration))
            arguments += ["--config", str(path)]
        super().__init__(arguments, {"port": r"gateway http://127\.0\.0\.1:(\d+)",
                                     "admin": r"admin http://127\.0\.0\.1:(\d+)"})
        self.port, self.admin_port = int(self.found["port"]), int(self.found["admin"])

    def token(self):
        return (self.data / "admin-token").read_text().strip()

    def admin(self, method, path, body=None, token=None):
        status, text = ask(self.admin_port, method, path, body,
                           {"Authorization": f"Bearer {token or self.token()}"})
        return status, json.loads(text) if text.startswith("{") else text

    def mapping(self, model, owner="vllm"):
        """How the gateway reaches a model; None when it does not know it."""
        _, routing = self.admin("GET", "/admin/api/routing")
        return next((each for each in routing["mappings"] if each["model"] == model and each["owned_by"] == owner), None)

    def models(self):
        return json.loads(ask(self.port, "GET", "/v1/models")[1])["data"]


def service(name, ports, labels=None, annotations=None, port=8000):
    """A Service and its slices: one per engine's port, because every engine here has the same address."""
    metadata = {"name": name, "namespace": "default", "labels": labels or {}, "annotations": annotations or {}}
    slices = [{"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
               "metadata": {"name": f"{name}-{engine}", "namespace": "default",
                            "labels": {"kubernetes.io/service-name": name}},
               "ports": [{"port": engine}],
               "endpoints": [{"addresses": ["127.0.0.1"], "conditions": {"ready": True},
                              "targetRef": {"kind": "Pod", "name": f"{name}-{engine}"}}]} for engine in ports]
    return [{"apiVersion": "v1", "kind": "Service", "metadata": metadata,
             "spec": {"ports": [{"port": port}]}}, *slices]


def decode_pod(name, port, labels=None):
    return {"apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": name, "namespace": "default",
                         "labels": {"llm-d.ai/role": "decode"} | (labels or {})},
            "spec": {"containers": [{"name": "vllm", "image": "vllm", "ports": [{"containerPort": port}]}]},
            "status": {"podIP": "127.0.0.1", "phase": "Running",
                       "conditions": [{"type": "Ready", "status": "True"}]}}


UNIFIED = {"llmd.dev/unified": "true"}
