#!/usr/bin/env python3
"""Every flag of llm-d's picker does what it says, or says that it does nothing.

  test_flags.py --picker PROGRAM
"""

import argparse
import http.server
import json
import socket
import ssl
import subprocess
import sys
import threading
import unittest
import urllib.error
import urllib.request

from programs import InFolder, Picker, wait_for

PROGRAM = None


class World(InFolder):
    def setUp(self):
        super().setUp()
        self.endpoints = self.write("e.yaml", "endpoints: [{name: a, address: 127.0.0.1, port: 1}]")

    def start(self, *arguments, secure=False):
        picker = Picker(PROGRAM, "--endpoints-file", self.endpoints, *arguments, secure=secure)
        self.addCleanup(picker.stop)
        return picker

    def refused(self, *arguments):
        done = subprocess.run([PROGRAM, "picker", "--endpoints-file", self.endpoints, *arguments],
                              capture_output=True, text=True, timeout=30, check=False)
        self.assertNotEqual(done.returncode, 0)
        return done.stderr


class Certificates(World):
    def openssl(self, *arguments):
        done = subprocess.run(["openssl", *map(str, arguments)], capture_output=True, check=False)
        if done.returncode != 0:
            print("SKIPPED: openssl cannot make certificates here", file=sys.stderr)
            self.skipTest("no openssl")

    def certificate(self, name):
        folder = self.folder / name
        folder.mkdir()
        self.openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", 2,
                     "-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", folder / "tls.key",
                     "-out", folder / "tls.crt")
        return folder

    def handshake(self, picker, **limits):
        """What was agreed on, or None."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.set_ciphers(limits.get("ciphers", "ALL:@SECLEVEL=0"))
        context.minimum_version = limits.get("version", ssl.TLSVersion.MINIMUM_SUPPORTED)
        context.maximum_version = limits.get("version", ssl.TLSVersion.MAXIMUM_SUPPORTED)
        host, port = picker.grpc.rsplit(":", 1)
        try:
            with context.wrap_socket(socket.create_connection((host, int(port)), timeout=10)) as stream:
                return stream.version(), stream.cipher()[0]
        except (ssl.SSLError, ConnectionError):
            return None

    def test_versions_below_the_oldest_are_refused(self):
        usual = self.start(secure=True)
        self.assertEqual(self.handshake(usual, version=ssl.TLSVersion.TLSv1_2)[0], "TLSv1.2")
        self.assertIsNone(self.handshake(usual, version=ssl.TLSVersion.TLSv1_1))
        newest = self.start("--tls-min-version", "VersionTLS13", secure=True)
        self.assertIsNone(self.handshake(newest, version=ssl.TLSVersion.TLSv1_2))
        self.assertEqual(self.handshake(newest)[0], "TLSv1.3")
        self.assertIn("expected VersionTLS10 to VersionTLS13", self.refused("--tls-min-version=1.2"))

    def test_only_listed_ciphers_are_agreed_on(self):
        picker = self.start("--tls-cipher-suites",
                            "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305", secure=True)
        two = ssl.TLSVersion.TLSv1_2
        self.assertEqual(self.handshake(picker, version=two, ciphers="ECDHE-ECDSA-AES256-GCM-SHA384")[0], "TLSv1.2")
        self.assertEqual(self.handshake(picker, version=two, ciphers="ECDHE-ECDSA-CHACHA20-POLY1305")[0], "TLSv1.2")
        self.assertIsNone(self.handshake(picker, version=two, ciphers="ECDHE-ECDSA-AES128-GCM-SHA256"))
        self.assertIn("unknown cipher suite 'TLS_FROM_MARS'", self.refused("--tls-cipher-suites=TLS_FROM_MARS"))

    def read(self, picker, client=None):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(self.folder / "server" / "tls.crt")
        if client:
            context.load_cert_chain(client / "tls.crt", client / "tls.key")
        with urllib.request.urlopen(picker.metrics + "/metrics", timeout=10, context=context) as answer:
            return answer.read().decode()

    def test_the_metrics_page_may_be_encrypted_and_for_known_clients_only(self):
        server, friend, stranger = (self.certificate(name) for name in ["server", "friend", "stranger"])
        picker = self.start("--metrics-cert-dir", server)
        self.assertTrue(picker.metrics.startswith("https://"))
        self.assertIn("llm_d_epp_info", self.read(picker))
        picker = self.start("--metrics-cert-dir", server, "--metrics-client-ca-file", friend / "tls.crt")
        self.assertIn("llm_d_epp_info", self.read(picker, friend))
        for other in [None, stranger]:
            with self.assertRaises((urllib.error.URLError, ssl.SSLError, ConnectionError)):
                self.read(picker, other)
        self.assertIn("needs metrics-cert-dir", self.refused("--metrics-client-ca-file", friend / "tls.crt"))
        self.assertIn("needs metrics-endpoint-auth",
                      self.refused("--metrics-cert-dir", server, "--metrics-endpoint-auth=false"))


class EnginesMetrics(World):
    def setUp(self):
        super().setUp()

        class Page(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                found = self.path == "/stats"
                self.send_response(200 if found else 404)
                self.end_headers()
                self.wfile.write(b"my:queue 7\nmy:running 3\nvllm:kv_cache_usage_perc 0.5\n" if found else b"")

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
        self.server.handle_error = lambda *_: None
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.addCleanup(self.server.server_close)
        self.addCleanup(self.server.shutdown)
        self.flags = ["--model-server-metrics-port", self.server.server_port, "--model-server-metrics-path", "/stats",
                      "--total-queued-requests-metric", "my:queue", "-totalRunningRequestsMetric", "my:running"]

    def test_flags_say_where_and_under_which_names(self):
        picker = self.start(*self.flags)
        wait_for(lambda: json.loads(picker.get("/debug"))["endpoints"][0]["ageSeconds"] is not None, "the numbers")
        endpoint = json.loads(picker.get("/debug"))["endpoints"][0]
        self.assertEqual((endpoint["waiting"], endpoint["running"], endpoint["kvUsage"]), (7, 3, 0.5))


class Mistakes(World):
    def test_values_that_make_no_sense_are_refused_at_start(self):
        rows = [("--grpc-max-recv-msg-size=many", "grpc-max-recv-msg-size: expected a size"),
                ("--endpoint-target-ports=8000,0", "endpoint-target-ports: '0' is not a port"),
                ("--endpoint-target-ports=65536", "endpoint-target-ports: '65536' is not a port"),
                ("--grpc-port=65536", "grpc-port"),
                ("--drain-timeout=5", "5"),
                ("--refresh-metrics-interval=often", "often"),
                ("--enable-grpc-stream-metrics=perhaps", "enable-grpc-stream-metrics: expected true or false"),
                ("--zap-log-level=loud", "zap-log-level: expected error, info, debug or a number"),
                ("--model-server-metrics-port=70000", "model-server-metrics-port: '70000' is not a port"),
                ("--model-server-metrics-scheme=ftp", "scheme"),
                ("--total-queued-requests-metric={", "queuedRequestsSpec"),
                ("--metrics-prot=1", "--metrics-port")]
        for flag, said in rows:
            with self.subTest(flag=flag):
                self.assertIn(said, self.refused(flag))
        both = self.refused("--config-text=plugins: []", "--config-file", self.endpoints)
        self.assertIn("exclude each other", both)

    def test_every_spelling_is_one_flag(self):
        for flag in ["--grpc-max-recv-msg-size=1Mi", "--grpcMaxRecvMsgSize=1000000", "-grpc_max_recv_msg_size=1M",
                     "--drain-timeout=1m", "--refreshMetricsInterval=10ms", "-refresh-metrics-interval=1s",
                     "--enable-grpc-stream-metrics", "-enableGrpcStreamMetrics=false", "-v=4", "--v=2"]:
            with self.subTest(flag=flag):
                self.assertIn("llm_d_epp_info", self.start(flag).get("/metrics"))


class Silence(World):
    def test_flags_without_effect_say_so_unless_they_ask_for_what_happens_anyway(self):
        rows = [("--tracing=true", False), ("--tracing=false", False), ("--zap-encoder=json", False),
                ("--zap-encoder=console", True), ("--enable-pprof", True), ("--grpc-enable-compression=true", True),
                ("--fairness-id-metric-label-limit=1000", False), ("--fairness-id-metric-label-limit=10", True)]
        for flag, warns in rows:
            with self.subTest(flag=flag):
                # Without such a file it ends at once.
                said = self.refused(flag, "--replay", self.folder / "nothing")
                self.assertEqual("this flag has no effect" in said, warns, said)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--picker", required=True)
    arguments, rest = parser.parse_known_args()
    PROGRAM = arguments.picker
    unittest.main(argv=[sys.argv[0], *rest])
