"""A running apiserver_main in a folder of its own."""
import json
import os
import pathlib
import shutil
import signal
import ssl
import subprocess
import sys
import tempfile
import urllib.request

BINARY = os.environ.get("APISERVER_MAIN", "")
SKIPPED = 77


def skip(reason):
    print(f"SKIPPED: {reason}", file=sys.stderr)
    sys.exit(SKIPPED)


class Server:
    def __init__(self, folder=None):
        self.folder = pathlib.Path(folder or tempfile.mkdtemp(prefix="llmd-kubectl-"))
        self.start()

    def start(self):
        self.process = subprocess.Popen([BINARY, str(self.folder / "data")], stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        if not line.startswith("serving "):
            raise RuntimeError(f"the server did not start: {line!r}")
        self.url = "https://" + line.split()[1]
        self.kubeconfig = self.folder / "data" / "kubeconfig"
        self.trust = ssl.create_default_context(cafile=str(self.folder / "data" / "server.crt"))

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self):
        self.process.terminate()
        code = self.process.wait(timeout=20)
        shutil.rmtree(self.folder, ignore_errors=True)
        return code

    def request(self, method, path, body=None, content_type="application/json"):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data=data, method=method)
        request.add_header("Authorization", "Bearer token-of-the-integration-test")
        request.add_header("Content-Type", content_type)
        with urllib.request.urlopen(request, context=self.trust, timeout=20) as answer:
            return json.load(answer)
