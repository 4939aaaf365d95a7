#!/usr/bin/env python3
"""What a configuration says about endpoints and their numbers: found in a file, asked by https, with limits.

  test_data_layer.py --picker PROGRAM
"""

import argparse
import http.server
import json
import ssl
import subprocess
import sys
import threading
import unittest

from programs import InFolder, Picker, wait_for

PROGRAM = None
MEBIBYTE = 1 << 20


class World(InFolder):
    def start(self, config, *arguments):
        picker = Picker(PROGRAM, "--config-file", self.write("config.yaml", config), *arguments)
        self.addCleanup(picker.stop)
        return picker

    def refused(self, config, *arguments):
        done = subprocess.run([PROGRAM, "picker", "--grpc-port", "0", "--grpc-health-port", "0", "--metrics-port", "0",
                               "--config-file", self.write("config.yaml", config), *arguments],
                              capture_output=True, text=True, timeout=30, check=False)
        self.assertNotEqual(done.returncode, 0)
        return done.stderr


class Discovery(World):
    def config(self, file, watch="true"):
        return (f"plugins:\n- {{name: files, type: file-discovery, parameters: {{path: {file}, watchFile: {watch}}}}}\n"
                "- type: random-picker\ndataLayer: {discovery: {pluginRef: files}}\n")

    def names(self, picker):
        return [endpoint["name"] for endpoint in json.loads(picker.get("/debug"))["endpoints"]]

    def test_endpoints_are_found_renewed_and_deleted(self):
        file = self.write("e.yaml", "endpoints:\n- {name: a, address: 10.0.0.1, port: '8000'}\n"
                                    "- {name: b, namespace: team, address: engine.example.com, port: '8000'}\n")
        picker = self.start(self.config(file))
        self.assertEqual(self.names(picker), ["default/a", "team/b"])
        file.write_text("endpoints: [{name: b, namespace: team, address: 'fd00::1', port: '8000'}]")
        wait_for(lambda: self.names(picker) == ["team/b"], "the other one to go")
        file.write_text("endpoints: [{name: c, address: 10.0.0.3, port: '8000'}]")
        wait_for(lambda: self.names(picker) == ["default/c"], "the file after it")

    def test_a_file_that_is_not_watched_is_read_once(self):
        file = self.write("e.yaml", "endpoints: [{name: a, address: 10.0.0.1, port: 1}]")
        watched = self.write("w.yaml", file.read_text())
        still = self.start(self.config(file, watch="false"))
        other = self.start(self.config(watched))
        file.write_text("endpoints: []")
        watched.write_text("endpoints: []")
        wait_for(lambda: self.names(other) == [], "the watched file")
        self.assertEqual(self.names(still), ["default/a"])

    def test_files_that_make_no_sense_are_refused_at_start(self):
        rows = [("endpoints: []\n#" + "x" * MEBIBYTE, "e.yaml"),
                ("endpoints: [{name: a, address: 10.0.0.1, port: '70000'}]", "port: must be a port"),
                ("endpoints: [{name: a, address: '', port: '1'}]", "address: must be an address or a host name"),
                ("endpoints: [{address: 10.0.0.1, port: '1'}]", "needs a name")]
        for text, said in rows:
            with self.subTest(text=text[:80]):
                self.assertIn(said, self.refused(self.config(self.write("e.yaml", text))))
        self.assertIn("nowhere.yaml", self.refused(self.config(self.folder / "nowhere.yaml")))


class Sources(World):
    def setUp(self):
        super().setUp()
        done = subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
                               "-nodes", "-days", "2", "-subj", "/CN=engine", "-addext", "subjectAltName=IP:127.0.0.1",
                               "-keyout", self.folder / "key", "-out", self.folder / "crt"],
                              capture_output=True, check=False)
        if done.returncode != 0:
            print("SKIPPED: openssl cannot make certificates here", file=sys.stderr)
            self.skipTest("no openssl")

        class Page(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(200)
                self.end_headers()
                self.wfile.write(b"vllm:num_requests_waiting 7\n")

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
        self.server.handle_error = lambda *_: None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.folder / "crt", self.folder / "key")
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.addCleanup(self.server.server_close)
        self.addCleanup(self.server.shutdown)
        self.endpoints = self.write("e.yaml", "endpoints: [{name: a, address: 127.0.0.1, port: "
                                              f"{self.server.server_port}}}]")

    def config(self, parameters):
        return ("plugins:\n- type: queue-scorer\n- {type: metrics-data-source, parameters: {scheme: https, "
                f"{parameters}}}}}\n")

    def test_engines_are_asked_by_https(self):
        for parameters in ["insecureSkipVerify: true",
                           f"insecureSkipVerify: false, caCertPath: {self.folder / 'crt'}"]:
            with self.subTest(parameters=parameters):
                picker = self.start(self.config(parameters), "--endpoints-file", self.endpoints)
                wait_for(lambda: json.loads(picker.get("/debug"))["endpoints"][0]["waiting"] == 7, "the numbers")

    def test_engines_that_nobody_vouches_for_are_not_believed(self):
        picker = self.start(self.config("insecureSkipVerify: false"), "--endpoints-file", self.endpoints)
        name = 'llm_d_epp_datalayer_poll_errors_total{source_type="metrics-data-source"}'
        wait_for(lambda: picker.metric(name) >= 3, "failures")
        self.assertIsNone(json.loads(picker.get("/debug"))["endpoints"][0]["ageSeconds"])

    def test_certificates_that_cannot_be_read_are_refused_at_start(self):
        said = self.refused(self.config("insecureSkipVerify: false, caCertPath: /nowhere/ca.crt"),
                            "--endpoints-file", self.endpoints)
        self.assertIn("data source 'metrics-data-source'", said)
        self.assertIn("/nowhere/ca.crt", said)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--picker", required=True)
    arguments, rest = parser.parse_known_args()
    PROGRAM = arguments.picker
    unittest.main(argv=[sys.argv[0], *rest])
