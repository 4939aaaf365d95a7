"""Starts `llmd up` the way a user does and asks it questions from the outside. Standard library only."""

import http.client
import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[3]
LLMD = os.environ.get("LLMD_BINARY", str(ROOT / "build/release/llmd"))
PATIENCE = float(os.environ.get("LLMD_TEST_PATIENCE", "180"))


def wait_for(what, question, patience=PATIENCE):
    """Asks until the answer is true; the answer is returned. An outcome, never a duration, ends the wait."""
    ends = time.monotonic() + patience
    while True:
        answer = question()
        if answer:
            return answer
        if time.monotonic() > ends:
            raise AssertionError(f"{what}: not within {patience} s")
        time.sleep(0.05)


def manifest(name="tiny", replicas=1, extra=""):
    return f"""\
apiVersion: serving.kserve.io/v1alpha1
kind: LLMInferenceService
metadata: {{name: {name}, namespace: default}}
spec:
  model: {{uri: "file://{ROOT}/models/tiny", name: {name}}}
  replicas: {replicas}
  template: {{containers: [{{name: main, image: "vllm/vllm-openai:latest"}}]}}
  router: {{gateway: {{}}, route: {{}}}}
{extra}"""


class Machine:
    """One data directory and the `llmd up` processes that use it."""

    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="llmd-up-"))
        self.data = self.folder / "data"
        self.process = None

    def write(self, text, name="service.yaml"):
        path = self.folder / name
        path.write_text(text)
        return path

    def start(self, *files):
        (self.data / "running.json").unlink(missing_ok=True)
        with open(self.folder / "up.out", "ab") as output:
            self.process = subprocess.Popen(
                [LLMD, "up", *map(str, files), "--data", str(self.data), "--port", "0", "--api-port", "0"],
                stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True)
        wait_for("running.json", lambda: self._running() or self._died())
        running = self._running()
        assert running, self.printed()
        self.gateway = running["gateway"]
        return self

    def _running(self):
        try:
            running = json.loads((self.data / "running.json").read_text())
        except (FileNotFoundError, json.JSONDecodeError):
            return None
        return running if running["pid"] == self.process.pid else None

    def _died(self):
        return self.process.poll() is not None

    def printed(self):
        return (self.folder / "up.out").read_text(errors="replace")

    def run_up(self, *files):
        """A second `llmd up` on the same data directory, to its end."""
        return subprocess.run([LLMD, "up", *map(str, files), "--data", str(self.data)], capture_output=True, text=True,
                              timeout=PATIENCE, stdin=subprocess.DEVNULL)

    def interrupt(self):
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(PATIENCE)

    def kill(self):
        self.process.kill()
        self.process.wait(PATIENCE)

    def close(self):
        if self.process and self.process.poll() is None:
            self.interrupt()
        for pid in self.pids():
            os.kill(pid, signal.SIGKILL)
        shutil.rmtree(self.folder, ignore_errors=True)

    # --- what a user sees -------------------------------------------------------------------------------------------

    def kubectl(self, *arguments, check=True):
        result = subprocess.run(["kubectl", "--kubeconfig", str(self.data / "kubeconfig"), *arguments],
                                capture_output=True, text=True, timeout=PATIENCE)
        assert not check or result.returncode == 0, result.stderr + self.printed()
        return result.stdout

    def objects(self, resource):
        return json.loads(self.kubectl("get", resource, "-A", "-o", "json"))["items"]

    def pods(self):
        return self.objects("pods")

    def ready_pods(self):
        return [pod for pod in self.pods() if condition(pod, "Ready") == "True"]

    def wait_ready(self, name="tiny"):
        def ready():
            assert not self._died(), self.printed()
            found = [each for each in self.objects("llmisvc") if each["metadata"]["name"] == name]
            return bool(found) and condition(found[0], "Ready") == "True"
        try:
            wait_for(f"service {name} ready", ready)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.printed()}\n{self.kubectl('get', 'llmisvc,pods', '-A', '-o', 'yaml')}")

    def wait_ready_pods(self, count):
        wait_for(f"{count} ready pods", lambda: len(self.ready_pods()) == count == len(self.pods()))

    def request(self, body, path="/default/tiny/v1/chat/completions", timeout=PATIENCE):
        host, port = self.gateway.rsplit(":", 1)
        connection = http.client.HTTPConnection(host, int(port), timeout=timeout)
        try:
            connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def chat(self, text="Hello!", **more):
        body = {"model": "tiny", "messages": [{"role": "user", "content": text}], "max_tokens": 16, "temperature": 0}
        return self.request({**body, **more})

    def pids(self, word="serve"):
        """Processes of this data directory whose command line has `word` after the program's name."""
        found = []
        for entry in pathlib.Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    words = (entry / "cmdline").read_bytes().split(b"\0")
                except OSError:
                    continue
                if len(words) > 2 and words[1] == word.encode() and str(self.data).encode() in b" ".join(words):
                    found.append(int(entry.name))
        return sorted(found)


def condition(item, kind):
    for each in item.get("status", {}).get("conditions", []):
        if each["type"] == kind:
            return each["status"]
    return None


class Load:
    """Clients that ask one question after another until stopped, and remember every answer."""

    def __init__(self, machine, clients=4, **more):
        self.answers = []
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(machine, more)) for _ in range(clients)]
        for thread in self._threads:
            thread.start()

    def _ask(self, machine, more):
        while not self._stop.is_set():
            try:
                self.answers.append(machine.chat(**more))
            except Exception as error:  # a connection that breaks is an answer the test wants to see
                self.answers.append((0, repr(error)))

    def finish(self):
        self._stop.set()
        for thread in self._threads:
            thread.join()
        return self.answers
