"""The programs of the picker's tests: pretended engines, the picker, Envoy."""

import http.server
import json
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import urllib.request
from pathlib import Path


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class MetricsEngine:
    """Says how loaded it is, and nothing else: engine number i has i waiting requests and 0.05·i KV usage."""

    def __init__(self, number):
        page = (
            f'vllm:num_requests_waiting{{model_name="bench"}} {number}\n'
            f'vllm:num_requests_running{{model_name="bench"}} 0\n'
            f'vllm:kv_cache_usage_perc{{model_name="bench"}} {0.05 * number}\n'
            'vllm:cache_config_info{block_size="16",num_gpu_blocks="1000"} 1\n'
        ).encode()

        class Page(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                found = self.path == "/metrics"
                self.send_response(200 if found else 404)
                self.send_header("Content-Type", "text/plain")
                self.send_header("Content-Length", str(len(page) if found else 0))
                self.end_headers()
                self.wfile.write(page if found else b"")

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
        self.server.daemon_threads = True
        self.server.handle_error = lambda *_: None  # a picker that ends in the middle of a page
        self.address = f"127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


class Child:
    """A child process whose output is shown and never fills a pipe."""

    def __init__(self, command, ready, stream="stdout"):
        self.process = subprocess.Popen(
            [str(word) for word in command],
            stdout=subprocess.PIPE if stream == "stdout" else None,
            stderr=subprocess.PIPE if stream == "stderr" else None,
            text=True,
        )
        pipe = self.process.stdout if stream == "stdout" else self.process.stderr
        self.line = None
        for line in pipe:
            sys.stderr.write(line)
            if re.search(ready, line):
                self.line = line
                break
        self.drain = threading.Thread(target=self.read_on, args=(pipe,), daemon=True)
        self.drain.start()
        if self.line is None:
            raise RuntimeError(f"{command[0]} ended with {self.process.wait()} before it was ready")

    def read_on(self, pipe):
        with pipe:
            while pipe.read(65536):
                pass

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
        return self.process.wait(timeout=60)

    def kill(self):
        self.process.kill()
        self.process.wait()


class Picker(Child):
    def __init__(self, program, *arguments, grpc_port=0, secure=False, host="127.0.0.1"):
        command = [program, "picker", "--host", host, "--grpc-port", grpc_port, "--grpc-health-port", 0,
                   "--metrics-port", 0, f"--secure-serving={'true' if secure else 'false'}", *arguments]
        super().__init__(command, r"^picker grpc=")
        found = re.search(r"grpc=(\S+) health=(\S+) metrics=(\S+)", self.line)
        self.grpc, self.health, self.metrics = (each.replace("0.0.0.0", "127.0.0.1") for each in found.groups())

    def get(self, path):
        with urllib.request.urlopen(self.metrics + path, timeout=10) as answer:
            return answer.read().decode()

    def metric(self, name):
        for line in self.get("/metrics").splitlines():
            if line.startswith(name + " "):
                return float(line.rsplit(" ", 1)[1])
        return 0.0


class InFolder(unittest.TestCase):
    """Each test has an empty folder of its own."""

    def setUp(self):
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        self.folder = Path(holder.name)

    def write(self, name, text):
        path = self.folder / name
        path.write_text(text)
        return path


class InSharedFolder(unittest.TestCase):
    """All tests of the class have a folder in common."""

    @classmethod
    def setUpClass(cls):
        holder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(holder.cleanup)
        cls.folder = Path(holder.name)


def wait_for(condition, what, seconds=30):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds} s in vain for {what}")
        time.sleep(0.02)


def write_endpoints(path, addresses, labels=None):
    entries = [
        {"name": f"e{i + 1}", "address": address.rsplit(":", 1)[0], "port": address.rsplit(":", 1)[1],
         "labels": labels[i] if labels else {}}
        for i, address in enumerate(addresses)
    ]
    path.write_text(json.dumps({"endpoints": entries}))
    return path
