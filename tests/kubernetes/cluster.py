"""What tests of llmd on a real API server share: one control plane for a test file, with what llmd needs installed, and
programs that run with the rights of config/ and no others."""

import json
import os
import pathlib
import re
import signal
import subprocess
import sys

from control_plane import POD_ADDRESS, PROGRAMS, ControlPlane

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
HERE = pathlib.Path(__file__).resolve().parent
LLMD = os.environ.get("LLMD_BINARY", str(ROOT / "build/release/llmd"))
PATIENCE = float(os.environ.get("LLMD_TEST_PATIENCE", "60"))
sys.path.insert(0, str(ROOT / "tests/integration/gateway"))
from harness import wait_for  # noqa: E402,F401  (for those who import this)

SYSTEM = "llmd-system"
CLASS = {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "GatewayClass", "metadata": {"name": "llmd"},
         "spec": {"controllerName": "llmd.dev/gateway-controller"}}


def user_of(account, namespace=SYSTEM):
    return f"system:serviceaccount:{namespace}:{account}"


class Cluster(ControlPlane):
    def __init__(self, *manifests, **options):
        super().__init__(with_audit=True, **options)
        self.manifests = manifests

    def start(self):
        super().start()
        self.install(*sorted((ROOT / "config/crd").glob("llm*.yaml")), HERE / "stubs.yaml",
                     *sorted((PROGRAMS / "crds").glob("gateway.*.yaml")),
                     # CORS and more statuses of redirects than the standard definition has.
                     *sorted((PROGRAMS / "crds-experimental").glob("*.yaml")),
                     *sorted((PROGRAMS / "crds").glob("inference.*.yaml")))
        files = [argument for name in self.manifests for argument in ("-f", str(ROOT / "config" / name))]
        self.kubectl("apply", "--server-side", "-f", str(ROOT / "config/namespaces.yaml"), *files)
        # No controller makes them here.
        for namespace in ("default", "kserve", SYSTEM):
            self.kubectl("create", "serviceaccount", "default", "-n", namespace, check=False)

    def apply(self, objects):
        """Applies the objects, and the status of pods as a kubelet would; returns the names that the server refused."""
        pods = [each for each in objects if each["kind"] == "Pod"]
        text = as_list(as_on_a_cluster(each) for each in objects)
        done = self.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", text=text, check=False)
        refused = re.findall(r'"([^"]+)" is invalid', done.stderr)
        if done.returncode != 0 and not refused:
            raise AssertionError(done.stderr)
        for pod in pods:
            self.report_pod(pod["metadata"]["name"], pod["metadata"].get("namespace", "default"), **pod_facts(pod))
        return set(refused)

    def report_pod(self, name, namespace="default", address=POD_ADDRESS, ready="True"):
        status = {"podIP": address, "podIPs": [{"ip": address}], "phase": "Running",
                  "conditions": [{"type": "Ready", "status": ready}]}
        self.kubectl("patch", "pod", name, "-n", namespace, "--subresource=status", "--type=merge", "-p",
                     json.dumps({"status": status}))

    def delete(self, objects):
        text = as_list({key: each[key] for key in ("apiVersion", "kind", "metadata")}
                       for each in objects if each["kind"] != "Namespace")
        self.kubectl("delete", "--ignore-not-found", "--wait=false", "--grace-period=0", "--force", "-f", "-", text=text)

    def get(self, kind, name, namespace="default"):
        done = self.kubectl("get", kind, name, "-n", namespace, "-o", "json", check=False)
        return json.loads(done.stdout) if done.returncode == 0 else None


def as_list(objects):
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})


def pod_facts(pod):
    status = pod.get("status", {})
    ready = {each["type"]: each["status"] for each in status.get("conditions", [])}.get("Ready", "True")
    return {"address": on_this_network(status.get("podIP", POD_ADDRESS)), "ready": ready}


def on_this_network(address):
    return POD_ADDRESS if address == "127.0.0.1" else address


def as_on_a_cluster(one):
    """The object of a file as a real API server takes it."""
    one = json.loads(json.dumps(one))
    one["metadata"].pop("creationTimestamp", None)
    if one["kind"] == "EndpointSlice":
        for endpoint in one["endpoints"]:
            endpoint["addresses"] = [on_this_network(each) for each in endpoint["addresses"]]
    if one["kind"] == "HTTPRoute":
        for mirror in [each["requestMirror"] for rule in one["spec"]["rules"] for each in rule.get("filters", [])
                       if "requestMirror" in each]:
            mirror["backendRef"].pop("weight", None)
    if one["kind"] == "Pod":
        one.pop("status", None)
        one["spec"] = {"containers": [{"name": "main", "image": "none"}]}
    if one["apiVersion"] == "inference.networking.k8s.io/v1":
        one["spec"].setdefault("endpointPickerRef", {"name": "none", "port": {"number": 9002}})
    return one


class Program:
    """A running llmd whose log is kept; `ready` is the beginning of the line that says it serves."""

    def __init__(self, plane, name, ready, *words, environment=None):
        self.log_path = plane.folder / f"{name}-{len(list(plane.folder.glob('*.log')))}.log"
        self.log = open(self.log_path, "wb")
        self.process = subprocess.Popen([LLMD, *map(str, words)], stdout=subprocess.PIPE, stderr=self.log, text=True,
                                        env=os.environ | (environment or {}))
        self.lines = []
        for line in self.process.stdout:
            self.lines.append(line)
            if line.startswith(ready):
                return
        self.process.wait()
        raise AssertionError(f"{name} ended with {self.process.returncode}: {''.join(self.lines)}{self.log_text()}")

    def log_text(self):
        return self.log_path.read_text(errors="replace")

    def kill(self):
        self.process.kill()
        self.close()

    def close(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(PATIENCE)
        self.process.stdout.close()
        self.log.close()
        return status
