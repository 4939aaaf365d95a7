#!/usr/bin/env python3
"""What one picker decided, another process recomputes from the exported explanations alone.

  test_explanations.py --picker PROGRAM
"""

import argparse
import json
import random
import subprocess
import sys
import unittest

import clients

clients.run_inside(__file__)

from programs import InSharedFolder, MetricsEngine, Picker, wait_for, write_endpoints  # noqa: E402
from proxy import Proxy  # noqa: E402

PROGRAM = None
REQUESTS = 1000
CONFIG = """\
plugins:
- type: queue-scorer
- type: kv-cache-utilization-scorer
- type: prefix-cache-scorer
- type: active-request-scorer
- type: session-affinity-scorer
- type: prefill-filter
- type: decode-filter
- type: weighted-random-picker
- type: prefix-based-pd-decider
  parameters: {nonCachedTokens: 100}
- type: disagg-profile-handler
  parameters: {deciders: {prefill: prefix-based-pd-decider}}
schedulingProfiles:
- name: prefill
  plugins: [{pluginRef: prefill-filter}, {pluginRef: queue-scorer}, {pluginRef: prefix-cache-scorer, weight: 3}]
- name: decode
  plugins:
  - {pluginRef: decode-filter}
  - {pluginRef: queue-scorer}
  - {pluginRef: kv-cache-utilization-scorer}
  - {pluginRef: active-request-scorer, weight: 2}
  - {pluginRef: prefix-cache-scorer, weight: 3}
  - {pluginRef: session-affinity-scorer, weight: 2}
  - {pluginRef: weighted-random-picker}
"""
OTHER = "plugins: [{type: queue-scorer}, {type: max-score-picker}]\n"


class Explanations(InSharedFolder):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.exported, cls.seen = cls.live_through_a_thousand_requests()

    @classmethod
    def live_through_a_thousand_requests(cls):
        """The file, and where each request went as its proxy saw it."""
        engines = [MetricsEngine(i) for i in range(8)]
        labels = [{"llm-d.ai/role": "prefill" if i % 3 == 0 else "decode"} for i in range(8)]
        addresses = [engine.address for engine in engines]
        endpoints = write_endpoints(cls.folder / "endpoints.yaml", addresses, labels)
        config = cls.folder / "config.yaml"
        config.write_text(CONFIG)
        picker = Picker(PROGRAM, "--config-file", config, "--endpoints-file", endpoints,
                        "--allow-experimental-plugins")
        proxy = Proxy(picker.grpc)
        seen = {}
        chance = random.Random(7)
        try:
            wait_for(lambda: all(each["ageSeconds"] is not None
                                 for each in json.loads(picker.get("/debug"))["endpoints"]), "the engines' numbers")
            running = []
            for i in range(REQUESTS):
                headers = {"x-request-id": f"r{i}"}
                if chance.random() < 0.3:
                    headers["x-session-token"] = "ZGVmYXVsdC9lMg=="  # default/e2
                prompt = f"group {chance.randrange(8)} " + "word " * chance.randrange(400)
                request = proxy.open(body={"model": f"m{chance.randrange(3)}", "prompt": prompt}, headers=headers)
                request.decide()
                seen[f"r{i}"] = (request.destination, request.headers.get("x-prefiller-host-port", ""))
                running.append(request)
                if len(running) > 12:
                    running.pop(chance.randrange(12)).complete()
                if i == REQUESTS // 2:  # the world changes half-way
                    write_endpoints(cls.folder / "endpoints.yaml", addresses[:7], labels)
                    wait_for(lambda: len(json.loads(picker.get("/debug"))["endpoints"]) == 7, "an endpoint to go")
            for request in running:
                request.complete()
            exported = cls.folder / "explanations.json"
            exported.write_text(picker.get("/debug/explanations"))
            cls.told = {words: cls.explain(picker, *words) for words in (("r998",), ("--last", "3"), ("nobody",), ())}
        finally:
            proxy.close()
            picker.stop()
            for engine in engines:
                engine.stop()
        return exported, seen

    @staticmethod
    def explain(picker, *words):
        """What `llmd explain` prints for a running picker: (exit status, output, errors)."""
        done = subprocess.run([PROGRAM, "explain", *words, "--address", picker.metrics.removeprefix("http://")],
                              text=True, capture_output=True, timeout=60, check=False)
        return done.returncode, done.stdout, done.stderr

    def test_the_command_line_says_why(self):
        status, text, errors = self.told["r998",]
        self.assertEqual(status, 0, errors)
        destination, prefiller = self.seen["r998"]
        self.assertIn("r998", text)
        self.assertIn(destination, text)
        # Candidates, filters with what is left, what each scorer gave, the choice.
        for word in ("candidates", "decode-filter", "queue-scorer", "kv-cache-utilization-scorer",
                     "active-request-scorer", "prefix-cache-scorer", "session-affinity-scorer",
                     "weighted-random-picker", prefiller):
            self.assertIn(word, text)
        status, text, errors = self.told["--last", "3"]
        self.assertEqual(status, 0, errors)
        self.assertTrue(all(f"r{i}" in text for i in (997, 998, 999)), text)
        self.assertNotIn("r996", text)
        status, _, errors = self.told["nobody",]
        self.assertNotEqual(status, 0)
        self.assertIn("nobody", errors)
        status, _, errors = self.told[()]
        self.assertNotEqual(status, 0)
        self.assertIn("REQUEST-ID", errors)

    def replay(self, *arguments):
        return subprocess.run([PROGRAM, "picker", "--replay", self.exported, *map(str, arguments)], text=True,
                              capture_output=True, timeout=120, check=False)

    def test_a_second_process_recomputes_every_decision(self):
        done = self.replay("-o", "json")
        self.assertEqual(done.returncode, 0, done.stderr)
        report = json.loads(done.stdout)
        self.assertEqual((report["decisions"], report["different"], report["rejected"]), (REQUESTS, 0, 0),
                         report["changed"][:3])
        self.assertEqual(report["missingData"], [])

    def test_the_file_says_what_the_proxy_was_told(self):
        recorded = json.loads(self.exported.read_text())
        snapshots = {each["version"]: each["endpoints"] for each in recorded["snapshots"]}

        def address(decision, row):
            if row is None:
                return ""
            endpoint = snapshots[decision["snapshot"]][row]
            return f"{endpoint['address']}:{endpoint['port']}"

        told = {each["request"]["id"]: (address(each, each["primary"][0]), address(each, each["prefill"]))
                for each in recorded["decisions"]}
        self.assertEqual(told, self.seen)
        self.assertGreater(sum(1 for _, prefill in told.values() if prefill), 50)
        self.assertGreater(len({primary for primary, _ in told.values()}), 3)

    def test_another_configuration_is_compared_endpoint_by_endpoint(self):
        other = self.folder / "other.yaml"
        other.write_text(OTHER)
        report = json.loads(self.replay("--config", other, "-o", "json").stdout)
        self.assertGreater(report["different"], 0)
        self.assertEqual(report["same"] + report["different"], REQUESTS)
        self.assertEqual(sum(each["then"] for each in report["endpoints"]), REQUESTS)
        self.assertEqual(sum(each["now"] for each in report["endpoints"]), REQUESTS)
        # The queues are 0 to 7 long, and the new configuration looks at nothing else: all go to the first.
        self.assertEqual(max(each["now"] for each in report["endpoints"]), REQUESTS)
        table = self.replay("--config", other)
        self.assertEqual(table.returncode, 0, table.stderr)
        self.assertRegex(table.stdout, rf"^1000 decisions: {report['same']} as they were, {report['different']} ")
        self.assertRegex(table.stdout, r"(?m)^ENDPOINT +THEN +NOW +CHANGE$")
        self.assertRegex(table.stdout, r"(?m)^  r\d+: 127\.0\.0\.1:\d+ .* -> 127\.0\.0\.1:\d+ \(1\.000\)$")

    def test_mistakes_are_named(self):
        nonsense = self.folder / "nonsense.json"
        nonsense.write_text("{}")
        done = subprocess.run([PROGRAM, "picker", "--replay", nonsense], capture_output=True, text=True, check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("nonsense.json", done.stderr)
        broken = self.folder / "broken.yaml"
        broken.write_text("plugins: [{type: queue-scorrer}]\n")
        done = self.replay("--config", broken)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("queue-scorer", done.stderr)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--picker", required=True)
    arguments, rest = parser.parse_known_args()
    PROGRAM = arguments.picker
    unittest.main(argv=[sys.argv[0], *rest])
