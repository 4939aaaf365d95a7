"""InferencePools whose endpoints are picked elsewhere: `llmd gateway` asking `llmd picker` over ext_proc."""

import concurrent.futures
import http.client
import json
import os
import signal
import socket
import subprocess
import tempfile
import threading
import unittest
from pathlib import Path

from harness import (LLMD, PATIENCE, POOL_API, Echo, Gateway, Upstream, gateway, meta, prefix, route, rule, service,
                     wait_for)

PICKER = os.environ.get("LLMD_PICKER_BINARY", LLMD)


class Picker:
    """`llmd picker` with endpoints from a file."""

    def __init__(self, endpoints, *arguments, secure=True):
        self.holder = tempfile.TemporaryDirectory()
        self.file = Path(self.holder.name) / "endpoints.json"
        self.set(endpoints)
        self.process = subprocess.Popen(
            [PICKER, "picker", "--host", "127.0.0.1", "--grpc-port", "0", "--grpc-health-port", "0", "--metrics-port",
             "0", f"--secure-serving={'true' if secure else 'false'}", "--endpoints-file", str(self.file), *arguments],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        line = self.process.stdout.readline()
        if not line.startswith("picker grpc="):
            raise AssertionError(f"no picker: {line!r}")
        self.port = int(line.split()[1].rsplit(":", 1)[1])
        metrics = line.split("metrics=")[1].split()[0]
        self.metrics = metrics.split("//")[-1]

    def set(self, endpoints):
        partial = self.file.with_suffix(".new")
        partial.write_text(json.dumps({"endpoints": [
            {"name": f"e{number}", "address": "127.0.0.1", "port": str(port), "labels": labels}
            for number, (port, labels) in enumerate(endpoints)]}))
        partial.rename(self.file)

    def metric(self, name):
        connection = http.client.HTTPConnection(self.metrics, timeout=PATIENCE)
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
        connection.close()
        return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines()
                   if line.startswith((name + " ", name + "{")))

    def close(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
        self.process.wait(PATIENCE)
        self.process.stdout.close()
        self.holder.cleanup()


class Answers(Echo):
    """/json: an answer with usage. /events: events, the next when the test says so. Others: what arrived."""

    def do_POST(self):
        if self.path.endswith("/events"):
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for number in range(3):
                event = f"data: {number}\n\n".encode()
                self.wfile.write(f"{len(event):x}\r\n".encode() + event + b"\r\n")
                self.wfile.flush()
                self.server.go_on.wait(PATIENCE)
                self.server.go_on.clear()
            self.wfile.write(b"0\r\n\r\n")
        elif self.path.endswith("/slow"):
            self.server.arrived.set()
            self.server.go_on.wait(PATIENCE)
            self.answer()
        else:
            self.answer()


def pod(name, port):
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta(name, labels={"app": "m"}),
            "spec": {"containers": []},
            "status": {"podIP": "127.0.0.1", "phase": "Running",
                       "conditions": [{"type": "Ready", "status": "True"}]}}


def pool(port, failure_mode="FailClose", picker="picker", annotations=None):
    spec = {"selector": {"matchLabels": {"app": "m"}}, "targetPorts": [{"number": port}],
            "endpointPickerRef": {"name": picker, "port": {"number": 8000}, "failureMode": failure_mode}}
    return {"apiVersion": POOL_API, "kind": "InferencePool",
            "metadata": meta("pool", annotations=annotations or {"llmd.dev/endpoint-picker": "external"}), "spec": spec}


def picker_config(plugin):
    """An EndpointPickerConfig with one plugin."""
    return json.dumps({"apiVersion": "inference.networking.x-k8s.io/v1alpha1", "kind": "EndpointPickerConfig",
                       "plugins": [plugin],
                       "schedulingProfiles": [{"name": "default", "plugins": [{"pluginRef": plugin["type"]}]}]})


POOL_REF = {"group": "inference.networking.k8s.io", "kind": "InferencePool", "name": "pool"}
BODY = json.dumps({"model": "m", "prompt": "a long enough prompt " * 50})


class ExternalPicker(unittest.TestCase):
    def upstream(self, name):
        made = Upstream(name, Answers)
        made.server.go_on, made.server.arrived = threading.Event(), threading.Event()
        self.addCleanup(made.close)
        return made

    def setUp(self):
        self.upstreams = [self.upstream("a"), self.upstream("b")]

    def picker(self, upstreams=None, **more):
        made = Picker([(each.port, {}) for each in (upstreams or self.upstreams)], **more)
        self.addCleanup(made.close)
        return made

    def start(self, picker_ports, failure_mode="FailClose", config=None, annotations=None, secure=True):
        protocol = {} if secure else {"appProtocol": "kubernetes.io/h2c"}
        objects = [gateway(), *service("picker", *picker_ports, **protocol), pod("m-0", self.upstreams[0].port),
                   pool(self.upstreams[0].port, failure_mode, annotations=annotations),
                   route("r", rule(prefix("/"), backends=[POOL_REF]))]
        made = Gateway(objects, config=config)
        self.addCleanup(made.close)
        return made

    def ask(self, made, path="/v1/completions", body=BODY, **more):
        return made.ask(path, method="POST", body=body, headers={"Content-Type": "application/json"}, **more)

    def posted(self, upstream):
        """What clients sent, without the gateway's own questions for models."""
        return [each for each in upstream.requests if each["method"] == "POST"]

    def test_requests_go_where_the_picker_says(self):
        """The picker knows both upstreams, the pool only one."""
        picker = Picker([(each.port, {}) for each in self.upstreams], "--config-text",
                        picker_config({"type": "random-picker"}))
        self.addCleanup(picker.close)
        made = self.start([picker.port])
        served = {self.ask(made).served_by for _ in range(40)}
        self.assertEqual(served, {"a", "b"})
        arrived = self.posted(self.upstreams[0])[0]
        self.assertEqual(arrived["body"], BODY)
        self.assertEqual(arrived["target"], "/v1/completions")
        self.assertIn("x-request-id", arrived["headers"])
        wait_for("every request ended at the picker",
                 lambda: picker.metric("inference_objective_running_requests") == 0)

    def test_a_picker_without_tls(self):
        made = self.start([self.picker(secure=False).port], secure=False)
        self.assertIn(self.ask(made).served_by, ("a", "b"))

    def test_configuration_chooses_for_pools_that_say_nothing(self):
        """In process only the pool's pod is known; the picker knows the other one."""
        picker = self.picker([self.upstreams[1]])
        made = self.start([picker.port], annotations={"x": "y"})
        self.assertEqual(self.ask(made).served_by, "a")
        made = self.start([picker.port], annotations={"x": "y"}, config={"pools": {"endpointPicker": "External"}})
        self.assertEqual(self.ask(made).served_by, "b")
        made = self.start([picker.port], annotations={"llmd.dev/endpoint-picker": "in-process"},
                          config={"pools": {"endpointPicker": "External"}})
        self.assertEqual(self.ask(made).served_by, "a")

    def test_the_model_that_the_picker_chose_arrives(self):
        picker = self.picker([self.upstreams[0]])
        objects = [gateway(), *service("picker", picker.port), pool(self.upstreams[0].port),
                   route("r", rule(prefix("/"), backends=[POOL_REF]))]
        made = Gateway(objects, config={"trustedListeners": ["*"]})
        self.addCleanup(made.close)
        made.ask("/v1/completions", method="POST", body=BODY,
                 headers={"x-gateway-model-name-rewrite": "other", "Content-Type": "application/json"})
        arrived = self.posted(self.upstreams[0])[-1]
        self.assertEqual(json.loads(arrived["body"])["model"], "other")
        self.assertEqual(arrived["headers"]["content-length"], str(len(arrived["body"])))

    def test_large_bodies_and_requests_without_one(self):
        made = self.start([self.picker().port])
        body = json.dumps({"model": "m", "prompt": "x" * 3_000_000})
        answer = self.ask(made, body=body)
        self.assertEqual(answer.json["body"], body)
        self.assertIn(made.ask("/v1/models").served_by, ("a", "b"))

    def test_the_next_endpoint_of_the_list_stands_in(self):
        """A picker that names two endpoints, the first of which is gone."""
        config = picker_config({"type": "random-picker", "parameters": {"maxNumOfEndpoints": 2}})
        with socket.create_server(("127.0.0.1", 0)) as taken:
            gone = taken.getsockname()[1]
        picker = Picker([(gone, {}), (self.upstreams[1].port, {})], "--config-text", config)
        self.addCleanup(picker.close)
        made = self.start([picker.port])
        self.assertEqual({self.ask(made).served_by for _ in range(20)}, {"b"})

    def test_events_arrive_one_by_one(self):
        picker = self.picker()
        connection = self.start([picker.port]).connect()
        self.addCleanup(connection.close)
        connection.request("POST", "/v1/events", BODY, {"Content-Type": "application/json"})
        response = connection.getresponse()
        self.assertEqual(response.status, 200)
        for number in range(3):
            self.assertEqual(response.readline() + response.readline(), f"data: {number}\n\n".encode())
            for upstream in self.upstreams:
                upstream.server.go_on.set()
        self.assertEqual(response.read(), b"")

    def test_the_pickers_refusal_is_the_answer(self):
        picker = self.picker()
        made = self.start([picker.port])
        picker.set([])
        answer = wait_for("the picker's own 503", lambda: (lambda it: it.status == 503 and it)(self.ask(made)))
        self.assertIn(b"inference error", answer.body)
        answer = self.ask(made, body="no json")
        self.assertEqual(answer.status, 400)
        self.assertIn(b"inference error: BadRequest", answer.body)

    def test_without_a_picker_fail_close_is_503_and_fail_open_serves(self):
        picker = self.picker()
        picker.process.kill()
        picker.process.wait(PATIENCE)
        for ports in ([picker.port], []):
            with self.subTest(ports=ports):
                closed = self.ask(self.start(ports, "FailClose"))
                self.assertEqual(closed.status, 503)
                self.assertIn("endpoint picker", closed.json["error"]["message"])
                self.assertEqual(self.ask(self.start(ports, "FailOpen")).served_by, "a")

    def test_a_replica_that_is_gone_is_passed_over(self):
        gone = self.picker()
        gone.process.kill()
        gone.process.wait(PATIENCE)
        made = self.start([gone.port, self.picker().port])
        self.assertIn(self.ask(made).served_by, ("a", "b"))

    def test_a_picker_that_says_nothing_is_waited_for_only_so_long(self):
        picker = self.picker()
        picker.process.send_signal(signal.SIGSTOP)
        config = {"timeouts": {"picker": "1s", "connect": "1s"}}
        self.assertEqual(self.ask(self.start([picker.port], "FailClose", config)).status, 503)
        self.assertEqual(self.ask(self.start([picker.port], "FailOpen", config)).served_by, "a")

    def test_a_picker_that_dies_takes_no_answer_with_it(self):
        """It dies while the engine works, and in the middle of a stream; the picker after it serves the next."""
        for path in ("/v1/slow", "/v1/events"):
            with self.subTest(path):
                picker = self.picker([self.upstreams[0]])
                made = self.start([picker.port])
                server = self.upstreams[0].server
                server.go_on.clear()
                server.arrived.clear()
                connection = made.connect()
                self.addCleanup(connection.close)
                connection.request("POST", path, BODY, {"Content-Type": "application/json"})
                if path == "/v1/events":
                    response = connection.getresponse()
                    self.assertEqual(response.readline(), b"data: 0\n")
                else:
                    self.assertTrue(server.arrived.wait(PATIENCE))
                picker.process.kill()
                picker.process.wait(PATIENCE)
                if path == "/v1/events":
                    server.go_on.set()
                    self.assertEqual(response.readline() + response.readline(), b"\ndata: 1\n")
                    server.go_on.set()
                    self.assertEqual(response.readline() + response.readline(), b"\ndata: 2\n")
                    server.go_on.set()
                    self.assertEqual(response.read(), b"\n")
                else:
                    server.go_on.set()
                    response = connection.getresponse()
                    self.assertEqual(response.status, 200)
                    self.assertEqual(json.loads(response.read())["body"], BODY)
                self.assertEqual(self.ask(made).status, 503)

    def test_a_picker_killed_under_load_leaves_only_documented_answers(self):
        picker = self.picker()
        made = self.start([picker.port], "FailOpen")
        killed = threading.Event()

        def one(number):
            if number == 100:
                picker.process.kill()
                killed.set()
            answer = self.ask(made)
            return answer.status, len(answer.body) > len(BODY)

        with concurrent.futures.ThreadPoolExecutor(16) as clients:
            outcomes = set(clients.map(one, range(300)))
        self.assertEqual(outcomes, {(200, True)})
        self.assertTrue(killed.is_set())

    def test_changed_addresses_of_the_picker_are_followed(self):
        first, second = self.picker([self.upstreams[0]]), self.picker([self.upstreams[1]])
        made = self.start([first.port])
        self.assertEqual(self.ask(made).served_by, "a")
        made.write([gateway(), *service("picker", second.port), pod("m-0", self.upstreams[0].port),
                    pool(self.upstreams[0].port), route("r", rule(prefix("/"), backends=[POOL_REF]))])
        wait_for("the second picker is asked", lambda: self.ask(made).served_by == "b")


if __name__ == "__main__":
    unittest.main()
