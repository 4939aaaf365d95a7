"""`llmd gateway` in front of small servers, the way a user starts it. Standard library only."""

import http.client
import http.server
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[3]
LLMD = os.environ.get("LLMD_BINARY", str(ROOT / "build/release/llmd"))
PATIENCE = float(os.environ.get("LLMD_TEST_PATIENCE", "60"))
GATEWAY_API = "gateway.networking.k8s.io/v1"
POOL_API = "inference.networking.k8s.io/v1"


def wait_for(what, question, patience=PATIENCE):
    """Asks until the answer is true; the answer is returned. An outcome, never a duration, ends the wait."""
    ends = time.monotonic() + patience
    while True:
        answer = question()
        if answer:
            return answer
        if time.monotonic() > ends:
            raise AssertionError(f"{what}: not within {patience} s")
        time.sleep(0.02)


class Echo(http.server.BaseHTTPRequestHandler):
    """Answers with what it got, as JSON."""

    protocol_version = "HTTP/1.1"

    def answer(self):
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        if self.headers.get("Transfer-Encoding") == "chunked":
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        seen = {
            "name": self.server.name,
            "method": self.command,
            "target": self.path,
            "headers": {key.lower(): value for key, value in self.headers.items()},
            "body": body.decode("latin-1"),
        }
        self.server.requests.append(seen)
        text = json.dumps(seen).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.send_header("X-Upstream", self.server.name)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(text)

    do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = do_HEAD = do_OPTIONS = answer

    def log_message(self, *_):
        pass


class QuietServer(http.server.ThreadingHTTPServer):
    def handle_error(self, *_):
        """Clients may leave in the middle of an answer."""


class Upstream:
    def __init__(self, name, handler=Echo, host="127.0.0.1", tls=None, port=0):
        self.server = QuietServer((host, port), handler)
        if tls:
            self.server.socket = tls.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        self.server.daemon_threads = True
        self.server.name = name
        self.server.requests = self.requests = []
        self.name = name
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


def meta(name, namespace="default", **more):
    return {"name": name, "namespace": namespace, **more}


def service(name, *ports, namespace="default", addresses=("127.0.0.1",), **spec):
    """A Service of port 8000 and its slice; every port is an endpoint of the same address."""
    objects = [
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": meta(name, namespace),
            "spec": {"ports": [{"name": "http", "port": 8000, "targetPort": "http", **spec}]},
        }
    ]
    for number, port in enumerate(ports):
        objects.append(
            {
                "apiVersion": "discovery.k8s.io/v1",
                "kind": "EndpointSlice",
                "metadata": meta(f"{name}-{number}", namespace, labels={"kubernetes.io/service-name": name}),
                "addressType": "IPv4",
                "ports": [{"name": "http", "port": port}],
                "endpoints": [{"addresses": list(addresses), "conditions": {"ready": True}}],
            }
        )
    return objects


def to(*services, namespace=None):
    """backendRefs: names, or (name, weight) pairs."""
    refs = []
    for each in services:
        name, weight = each if isinstance(each, tuple) else (each, 1)
        refs.append({"name": name, "port": 8000, "weight": weight})
        if namespace:
            refs[-1]["namespace"] = namespace
    return refs


def prefix(path, **more):
    return {"path": {"type": "PathPrefix", "value": path}, **more}


def exact(path, **more):
    return {"path": {"type": "Exact", "value": path}, **more}


def regex(path, **more):
    return {"path": {"type": "RegularExpression", "value": path}, **more}


def rule(*matches, backends=(), filters=(), **more):
    made = {"matches": list(matches), "backendRefs": list(backends), **more}
    if filters:
        made["filters"] = list(filters)
    return made


def route(name, *rules, hosts=(), parents=None, namespace="default", created="2026-01-01T00:00:00Z"):
    spec = {"rules": list(rules), "parentRefs": parents or [{"name": "gateway", "namespace": "default"}]}
    if hosts:
        spec["hostnames"] = list(hosts)
    return {
        "apiVersion": GATEWAY_API,
        "kind": "HTTPRoute",
        "metadata": meta(name, namespace, creationTimestamp=created),
        "spec": spec,
    }


def listener(name="http", port=8080, protocol="HTTP", **more):
    return {"name": name, "port": port, "protocol": protocol,
            "allowedRoutes": {"namespaces": {"from": "All"}}, **more}


def gateway(*listeners, name="gateway", namespace="default", class_name="llmd"):
    return {
        "apiVersion": GATEWAY_API,
        "kind": "Gateway",
        "metadata": meta(name, namespace),
        "spec": {"gatewayClassName": class_name, "listeners": list(listeners) or [listener()]},
    }


def certificate(folder, name):
    """A self-signed certificate for `name`: (certificate, key) as PEM."""
    key, crt = folder / f"{name}.key", folder / f"{name}.crt"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                    "-keyout", key, "-out", crt, "-days", "2", "-subj", f"/CN={name.replace('*', 'any')}",
                    "-addext", f"subjectAltName=DNS:{name}"], check=True, capture_output=True)
    return crt.read_bytes(), key.read_bytes()


def backend_tls(service_name, hostname, authority=None, config_map="authority"):
    """A BackendTLSPolicy for a Service, and the ConfigMap with the authority's certificate if there is one."""
    objects = [{"apiVersion": GATEWAY_API, "kind": "BackendTLSPolicy", "metadata": meta(service_name),
                "spec": {"targetRefs": [{"group": "", "kind": "Service", "name": service_name}],
                         "validation": {"hostname": hostname, "caCertificateRefs": [
                             {"group": "", "kind": "ConfigMap", "name": config_map}]}}}]
    if authority:
        objects.append({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta(config_map),
                        "data": {"ca.crt": authority.decode()}})
    return objects


class Answer:
    def __init__(self, response):
        self.status = response.status
        self.headers = {key.lower(): value for key, value in response.getheaders()}
        self.body = response.read()

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def served_by(self):
        """The upstream's name, or the status when no upstream answered."""
        return self.headers.get("x-upstream", self.status)


class Gateway:
    """One `llmd gateway` process and the folder of objects it reads."""

    def __init__(self, objects, *arguments, config=None, environment=None):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="llmd-gateway-"))
        self.objects = self.folder / "objects"
        self.objects.mkdir()
        self.write(objects)
        if config:
            (self.folder / "gateway.yaml").write_text(json.dumps(
                {"apiVersion": "config.llmd.dev/v1alpha1", "kind": "GatewayConfiguration", **config}))
            arguments = (*arguments, "--config", str(self.folder / "gateway.yaml"))
        self.log = open(self.folder / "log", "wb")
        self.process = subprocess.Popen(
            [LLMD, "gateway", "-f", str(self.objects), "--port", "0", "--admin", "none", *arguments],
            stdout=subprocess.PIPE, stderr=self.log, text=True, env={**os.environ, **(environment or {})})
        line = self.process.stdout.readline()
        if not line.startswith("gateway "):
            self.process.kill()
            text = self.log_text()
            self.close()
            raise AssertionError(f"no gateway: {line!r} {text}")
        self.url = line.split()[1]
        host, port = self.url.split("//")[1].rsplit(":", 1)
        self.address = (host, int(port))
        self.listeners = {}

    def read_listeners(self, count):
        for _ in range(count):
            _, number, address = self.process.stdout.readline().split()
            host, port = address.rsplit(":", 1)
            self.listeners[int(number)] = (host, int(port))

    def write(self, objects):
        text = "\n---\n".join(json.dumps(each) for each in objects)
        new = self.folder / "new"
        new.write_text(text)
        new.rename(self.objects / "objects.yaml")

    def connect(self, address=None):
        return http.client.HTTPConnection(*(address or self.address), timeout=PATIENCE)

    def ask(self, path, host="any.example", method="GET", body=None, headers=None, address=None):
        connection = self.connect(address)
        try:
            connection.request(method, path, body=body, headers={"Host": host, **(headers or {})})
            return Answer(connection.getresponse())
        finally:
            connection.close()

    def raw(self, text, address=None):
        """Everything the gateway sends back until it closes."""
        with socket.create_connection(address or self.address, timeout=PATIENCE) as connection:
            connection.sendall(text if isinstance(text, bytes) else text.encode())
            received = b""
            try:
                while piece := connection.recv(65536):
                    received += piece
            except ConnectionResetError:
                pass
            return received

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def memory_mib(self):
        """What is resident of its own, without files that are mapped."""
        return self.status_kib("RssAnon") / 1024

    def is_sanitized(self):
        return self.status_kib("VmSize") > 1 << 30  # a terabyte of shadow memory

    def status_kib(self, name):
        with open(f"/proc/{self.process.pid}/status") as lines:
            return next(int(line.split()[1]) for line in lines if line.startswith(name + ":"))

    def log_text(self):
        return (self.folder / "log").read_text()

    def close(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(PATIENCE)
        self.process.stdout.close()
        self.log.close()
        shutil.rmtree(self.folder)
        return status
