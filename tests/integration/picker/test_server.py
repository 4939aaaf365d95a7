#!/usr/bin/env python3
"""The picker as a process: where endpoints come from without Kubernetes, how large messages may be, how connections are
encrypted, what the HTTP port tells about plugins, and what a feature gate changes.

  test_server.py --picker PROGRAM
"""

import argparse
import base64
import datetime
import json
import socket
import ssl
import subprocess
import sys
import unittest
import urllib.error
import urllib.request

import clients

clients.run_inside(__file__)

import grpc  # noqa: E402

from programs import InFolder, Picker, wait_for  # noqa: E402
from proxy import Proxy, stubs  # noqa: E402

PROGRAM = None


class World(InFolder):
    def setUp(self):
        super().setUp()
        self.endpoints = self.write("e.yaml", "endpoints: [{name: a, address: 127.0.0.1, port: 1}]")

    def run_picker(self, *arguments, secure=False):
        picker = Picker(PROGRAM, *arguments, secure=secure)
        self.addCleanup(picker.stop)
        return picker

    def start(self, *arguments, secure=False):
        return self.run_picker("--endpoints-file", self.endpoints, *arguments, secure=secure)

    def connect(self, picker):
        proxy = Proxy(picker.grpc)
        self.addCleanup(proxy.close)
        return proxy

    def refused(self, *arguments):
        done = subprocess.run([PROGRAM, "picker", "--grpc-port=0", "--grpc-health-port=0", "--metrics-port=0", *arguments],
                              capture_output=True, text=True, timeout=30, check=False)
        self.assertNotEqual(done.returncode, 0, done.stdout)
        return done.stderr

    def health(self, address, service=""):
        _, _, _, messages, services = stubs()
        with grpc.insecure_channel(address) as channel:
            answer = services.HealthStub(channel).Check(messages.HealthCheckRequest(service=service), timeout=10)
        return messages.HealthCheckResponse.ServingStatus.Name(answer.status)


DISCOVERY = """\
plugins:
- name: mine
  type: {kind}
  parameters: {{path: {path}{more}}}
- type: {others}
dataLayer: {{discovery: {{pluginRef: {reference}}}}}
"""


class FileDiscovery(World):
    """Endpoints from the file that the configuration names: no flag, no Kubernetes, no lease."""

    def configuration(self, path=None, kind="file-discovery", reference="mine", more="", others="random-picker"):
        return self.write("c.yaml", DISCOVERY.format(kind=kind, path=path or self.endpoints, reference=reference, more=more,
                                                     others=others))

    def test_it_serves_what_the_file_lists(self):
        picker = self.run_picker("--config-file", self.configuration())
        self.assertEqual(self.connect(picker).complete().destination, "127.0.0.1:1")
        for service in ["", "inference-extension", "envoy.service.ext_proc.v3.ExternalProcessor"]:
            self.assertEqual(self.health(picker.health, service), "SERVING")
        self.assertIn('llm_d_epp_ready_endpoints{name="default"} 1', picker.get("/metrics"))
        self.assertEqual(json.loads(picker.get("/debug"))["endpoints"][0]["name"], "default/a")

    def test_the_pool_is_called_as_the_flag_says(self):
        picker = self.run_picker("--config-file", self.configuration(), "--pool-name", "chat")
        self.assertIn('llm_d_epp_ready_endpoints{name="chat"} 1', picker.get("/metrics"))

    def test_it_follows_the_file_where_that_is_wanted(self):
        picker = self.run_picker("--config-file", self.configuration(more=", watchFile: true"))
        proxy = self.connect(picker)
        self.assertEqual(proxy.complete().destination, "127.0.0.1:1")
        self.endpoints.write_text("endpoints: [{name: a, address: 127.0.0.1, port: 2}]")
        wait_for(lambda: proxy.complete().destination == "127.0.0.1:2", "the other port")
        self.endpoints.write_text("endpoints: []")
        wait_for(lambda: proxy.complete().status == 503, "an empty pool")

    def test_mistakes_end_the_start_and_say_where(self):
        large = self.write("large.yaml", "endpoints: []\n#" + "x" * (1 << 20))
        rows = [(self.write("w.yaml", "endpoints:\n- {name: a, address: 127.0.0.1, port: 0}\n"),
                 "w.yaml:2:3: endpoints[0]: port: must be a port, 1 to 65535"),
                (self.write("n.yaml", "endpoints:\n- {address: 127.0.0.1, port: 1}\n"), "endpoints[0]: needs a name"),
                (self.write("l.yaml", "pods: []\n"), "a list 'endpoints' is missing"),
                (large, "large.yaml"),
                (self.folder / "absent.yaml", "absent.yaml")]
        for path, said in rows:
            with self.subTest(path=path.name):
                self.assertIn(said, self.refused("--config-file", self.configuration(path)))
        self.assertIn("1048576", self.refused("--config-file", self.configuration(large)))

    def test_the_reference_must_be_a_discovery(self):
        self.assertIn("dataLayer.discovery.pluginRef: the plugin 'other' is not defined",
                      self.refused("--config-file", self.configuration(reference="other")))
        self.assertIn("dataLayer.discovery.pluginRef: the plugin 'random-picker' is no endpoint discovery",
                      self.refused("--config-file", self.configuration(reference="random-picker")))
        self.assertIn("parameters.path: is required",
                      self.refused("--endpoints-file", self.endpoints, "--config-text", "plugins: [{type: file-discovery}]"))


CLUSTERS = """\
plugins:
- {{type: multicluster-file-discovery, parameters: {{path: {path}}}}}
- {{type: multicluster-metrics-data-source, parameters: {{scheme: http{more}}}}}
- type: multicluster-metrics-extractor
- type: multicluster-queue-scorer
- type: multicluster-kv-cache-utilization-scorer
- type: max-score-picker
dataLayer:
  discovery: {{pluginRef: multicluster-file-discovery}}
  sources:
  - pluginRef: multicluster-metrics-data-source
    extractors: {extractors}
"""
EXTRACTORS = "[{pluginRef: multicluster-metrics-extractor}]"



class MultiCluster(World):
    def configuration(self, extractors=EXTRACTORS, more=""):
        return self.write("c.yaml", CLUSTERS.format(path=self.endpoints, extractors=extractors, more=more))

    def test_clusters_are_known_by_host_names(self):
        self.endpoints.write_text("endpoints: [{name: west, address: west.example.com, port: 443}]")
        picker = self.run_picker("--config-file", self.configuration(), "--allow-experimental-plugins")
        self.assertEqual(self.connect(picker).complete().destination, "west.example.com:443")

    def test_scorers_need_the_extractor(self):
        said = self.refused("--config-file", self.configuration("[]"), "--allow-experimental-plugins")
        self.assertIn("no default producer found for missing data key metrics/multicluster-metrics-extractor", said)
        self.assertIn("consumed by multicluster-queue-scorer", said)

    def test_without_their_flag_they_are_refused(self):
        said = self.refused("--config-file", self.configuration())
        self.assertIn("has Alpha stability level, but command line flag --allow-experimental-plugins is not set", said)


class Messages(World):
    def test_a_message_may_be_as_large_as_the_flag_says(self):
        picker = self.start("--grpc-max-recv-msg-size=64Ki")
        proxy = self.connect(picker)
        self.assertEqual(proxy.complete(prompt="x" * 60_000).destination, "127.0.0.1:1")
        with self.assertRaises(grpc.RpcError) as caught:
            proxy.complete(prompt="x" * 70_000)
        self.assertEqual(caught.exception.code(), grpc.StatusCode.RESOURCE_EXHAUSTED)
        self.assertEqual(proxy.complete().destination, "127.0.0.1:1", "the connection lives on")

    def test_left_out_or_zero_it_is_more_than_four_mebibytes(self):
        for flags in [[], ["--grpc-max-recv-msg-size=0"]]:
            with self.subTest(flags=flags):
                proxy = self.connect(self.start(*flags))
                self.assertEqual(proxy.complete(prompt="x" * 5_000_000).destination, "127.0.0.1:1")


class Counting(World):
    def test_counting_tokens_is_a_request_without_tokens(self):
        picker = self.start()
        request = self.connect(picker).open("/v1/messages/count_tokens", {"model": "m", "messages": [{"role": "user"}]})
        self.assertEqual(request.decide().destination, "127.0.0.1:1")
        request.answer_begins()
        body = b'{"input_tokens":12}'
        piece = request.answer_part(body, True)["response_body"]["response"]["body_mutation"]["streamed_response"]
        self.assertEqual(base64.b64decode(piece["body"]), body)
        request.close()
        page = picker.get("/metrics")
        labels = 'model_name="m",target_model_name="m",fairness_id="default-flow",priority="0"'
        self.assertIn(f"llm_d_epp_request_total{{{labels}}} 1", page)
        self.assertNotIn(f"llm_d_epp_request_output_tokens_count{{{labels}}} 1", page)
        self.assertIn(f"llm_d_epp_request_running{{{labels}}} 0", page)


class Encryption(World):
    def agreed(self, picker, version):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.minimum_version = context.maximum_version = version
        host, port = picker.grpc.rsplit(":", 1)
        try:
            with context.wrap_socket(socket.create_connection((host, int(port)), timeout=10)) as stream:
                return stream.version()
        except (ssl.SSLError, ConnectionError):
            return None

    def test_each_version_is_the_oldest_that_it_names(self):
        versions = [("VersionTLS10", ssl.TLSVersion.TLSv1), ("VersionTLS11", ssl.TLSVersion.TLSv1_1),
                    ("VersionTLS12", ssl.TLSVersion.TLSv1_2), ("VersionTLS13", ssl.TLSVersion.TLSv1_3)]
        for i, (flag, _) in enumerate(versions):
            picker = self.start(f"--tls-min-version={flag}", secure=True)
            for j, (name, version) in enumerate(versions):
                if j < i:
                    with self.subTest(oldest=flag, offered=name):
                        self.assertIsNone(self.agreed(picker, version))
            with self.subTest(oldest=flag):
                self.assertIsNotNone(self.agreed(picker, ssl.TLSVersion.TLSv1_3))
                if i <= 2:
                    self.assertEqual(self.agreed(picker, ssl.TLSVersion.TLSv1_2), "TLSv1.2")
            picker.stop()

    def test_what_is_no_version_or_cipher_is_refused(self):
        for flag in ["--tls-min-version=VersionTLS14", "--tls-min-version=1.3", "--tls-min-version=versionTLS12"]:
            with self.subTest(flag=flag):
                self.assertIn("tls-min-version: expected VersionTLS10 to VersionTLS13",
                              self.refused("--endpoints-file", self.endpoints, flag))
        for flag in ["--tls-cipher-suites=TLS_FROM_MARS", "--tls-cipher-suites=ECDHE-ECDSA-AES128-GCM-SHA256"]:
            with self.subTest(flag=flag):
                self.assertIn("tls-cipher-suites: unknown cipher suite",
                              self.refused("--endpoints-file", self.endpoints, flag))

    def test_the_page_of_metrics_has_certificates_only_together_with_who_may_read_it(self):
        rows = [(["--metrics-client-ca-file", self.endpoints], "metrics-client-ca-file needs metrics-cert-dir"),
                (["--metrics-client-ca-file", self.endpoints, "--metrics-endpoint-auth=false"], "needs metrics-cert-dir"),
                (["--metrics-cert-dir", self.folder, "--metrics-endpoint-auth=false"], "needs metrics-endpoint-auth"),
                (["--metrics-cert-dir", self.folder], "tls.crt"),
                (["--metrics-cert-dir", self.folder, "--metrics-client-ca-file", self.folder / "absent.pem"], "absent.pem"),
                (["--cert-path", self.folder, "--secure-serving=true"], "tls.crt")]
        for flags, said in rows:
            with self.subTest(flags=flags):
                self.assertIn(said, self.refused("--endpoints-file", self.endpoints, *flags))


class PluginState(World):
    def ask(self, picker, method):
        request = urllib.request.Request(picker.metrics + "/debug/plugins/state", method=method)
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def test_it_is_read_and_never_written(self):
        picker = self.start()
        self.connect(picker).complete(prompt="word " * 500)
        status, text = self.ask(picker, "GET")
        self.assertEqual(status, 200)
        state = json.loads(text)
        self.assertEqual(sorted(state), ["plugins", "timestamp"])
        datetime.datetime.fromisoformat(state["timestamp"].replace("Z", "+00:00"))
        known = state["plugins"]["approx-prefix-cache-producer"]
        self.assertEqual(known["type"], "approx-prefix-cache-producer")
        self.assertTrue(known["state"])
        for method in ["POST", "PUT", "DELETE", "PATCH"]:
            with self.subTest(method=method):
                self.assertEqual(self.ask(picker, method), (405, "GET only\n"))


SATURATED = """\
featureGates: ["flowControl={gate}"]
plugins:
- {{type: concurrency-detector, parameters: {{maxConcurrency: 1}}}}
schedulingProfiles: [{{name: default, plugins: []}}]  # the detector is no filter there
flowControl:
  saturationDetector: {{pluginRef: concurrency-detector}}
"""
BATCH = """\
apiVersion: llm-d.ai/v1alpha2
kind: InferenceObjective
metadata: {name: batch}
spec: {priority: -1}
"""


class Gate(World):
    """The gate decides who refuses: without it a full pool sheds at once, with it requests wait for their turn."""

    def begin(self, gate):
        picker = self.start("--config-file", self.write("c.yaml", SATURATED.format(gate=gate)),
                            "--objects-file", self.write("o.yaml", BATCH))
        proxy = self.connect(picker)
        return proxy, proxy.open(body={"model": "m", "prompt": "x"}).decide()

    def batch(self, proxy):
        return proxy.open(body={"model": "m", "prompt": "x"}, headers={"x-llm-d-inference-objective": "batch"})

    def test_without_it_a_full_pool_sheds_what_may_be_shed(self):
        proxy, running = self.begin("false")
        refused = self.batch(proxy).decide()
        self.assertEqual((refused.status, refused.refusal),
                         (429, "inference error: ResourceExhausted - system saturated, sheddable request dropped"))
        self.assertEqual(proxy.complete().destination, "127.0.0.1:1", "others are never shed")
        running.complete()

    def test_with_it_they_wait_until_there_is_room(self):
        proxy, running = self.begin("true")
        waiting = self.batch(proxy)
        running.complete()
        self.assertEqual(waiting.decide().destination, "127.0.0.1:1")
        waiting.complete()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--picker", required=True)
    arguments, rest = parser.parse_known_args()
    PROGRAM = arguments.picker
    unittest.main(argv=[sys.argv[0], *rest])
