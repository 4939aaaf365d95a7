#!/usr/bin/env python3
"""What the picker believes of engines' caches is compared with what their answers say: a cache that was lost, hashes
that do not agree and blocks of another size are noticed, counted, healed where that helps, and shown.

  test_self_check.py --picker PROGRAM --serve PROGRAM
"""

import argparse
import json
import re
import sys
import unittest

import clients

clients.run_inside(__file__)

from programs import Child, InFolder, Picker, free_port, wait_for, write_endpoints  # noqa: E402
from proxy import Proxy  # noqa: E402

PROGRAM = SERVE = None
STORY = "once upon a time there was " * 400
TOKENS = len(STORY) // 4
# Two engines that are told apart by nothing but their caches.
APPROXIMATE = "plugins: [{type: prefix-cache-scorer}, {type: max-score-picker}]\n"
PRECISE = """\
plugins:
- type: token-producer
  parameters: {modelName: m, vllm: {url: "http://127.0.0.1:ENGINE"}}
- type: precise-prefix-cache-scorer
  parameters: {kvEventsConfig: {podDiscoveryConfig: {socketPort: PORT}}}
- type: max-score-picker
"""


class SelfCheck(InFolder):
    def start(self, config, engines=1):
        endpoints = write_endpoints(self.folder / "endpoints.json", [f"127.0.0.{i + 1}:1" for i in range(engines)])
        self.picker = Picker(PROGRAM, "--endpoints-file", endpoints, "--config-file", self.write("config.yaml", config))
        self.addCleanup(self.picker.stop)
        self.proxy = Proxy(self.picker.grpc)
        self.addCleanup(self.proxy.close)

    def start_precise(self):
        """With an engine that counts tokens and tells nothing of its cache."""
        engine = Child([*SERVE, "m", "--simulate", "--host", "127.0.0.1", "--port", "0"], r"ready", stream="stderr")
        self.addCleanup(engine.stop)
        port = re.search(r'"?port"?[=:]\s*"?(\d+)', engine.line).group(1)
        self.start(PRECISE.replace("PORT", str(free_port())).replace("ENGINE", port))

    def ask(self, cached, prompt=STORY, tokens=TOKENS):
        """A request whose engine says that it found `cached` tokens; where it went."""
        usage = {"prompt_tokens": tokens, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": cached}}
        return self.proxy.complete(prompt=prompt, usage=usage).destination

    def check(self, engine=1):
        """What /debug says of an engine, from whichever plugin predicts."""
        for plugin in json.loads(self.picker.get("/debug"))["plugins"].values():
            found = plugin.get("state", {}).get("predictions", {}).get(f"default/e{engine}")
            if found:
                return found
        return {}

    def counted(self, name, **labels):
        text = "".join(f',{key}="{value}"' for key, value in labels.items())
        return sum(float(line.rsplit(" ", 1)[1]) for line in self.picker.get("/metrics").splitlines()
                   if line.startswith(f"llmd_prefix_{name}{{") and text + "}" in line)

    def remember(self):
        """The prompt is in the index; a thread of its own writes it there."""
        self.ask(0)
        before = self.check()["agreed"]
        wait_for(lambda: self.ask(TOKENS) and self.check()["agreed"] > before and self.check()["predictedTokens"] > 0,
                 "a prediction that comes true")

    def test_a_cache_that_was_lost_is_noticed_counted_and_forgotten(self):
        self.start(APPROXIMATE)
        self.remember()
        self.assertEqual(self.check()["state"], "trusted")
        for _ in range(5):
            self.ask(0)
        seen = self.check()
        self.assertEqual((seen["missing"], seen["heals"], seen["state"]), (5, 1, "healing"))
        self.assertEqual(self.counted("heals_total"), 1)
        self.assertEqual(self.counted("predictions_total", outcome="missing"), 5)
        self.assertEqual(self.counted("endpoints", state="healing"), 1)
        # What the new engine learns is believed again.
        self.remember()
        self.assertEqual(self.check()["state"], "trusted")
        self.assertEqual(self.counted("endpoints", state="trusted"), 1)

    def test_hashes_that_never_agree_are_distrusted_and_attract_nothing(self):
        self.start(APPROXIMATE, engines=2)
        first = self.ask(0)
        other = {"127.0.0.1:1": "127.0.0.2:1", "127.0.0.2:1": "127.0.0.1:1"}[first]
        engine = int(first[8])
        # Its engine never finds what was sent there, and healing does not help.
        wait_for(lambda: self.ask(0) == other or self.check(engine)["state"] == "distrusted", "distrust", 60)
        wait_for(lambda: other in {self.ask(0) for _ in range(4)}, "requests to leave the engine")
        self.assertGreaterEqual(self.check(engine)["heals"], 1)
        self.assertGreater(self.counted("predictions_total", outcome="missing"), 5)

    def test_blocks_of_another_size_show_in_the_reports(self):
        self.start_precise()
        for blocks in (3, 5, 8, 7, 12, 2, 9, 11, 4):
            self.ask(blocks * 24, prompt=chr(97 + blocks) * 500, tokens=2000)
        self.assertEqual(self.check()["suspectedBlockSize"], 24)
        self.assertEqual(self.counted("other_block_sizes"), 1)

    def test_hits_that_nobody_predicted_are_counted(self):
        self.start_precise()
        for i in range(12):
            self.ask(1600, prompt=chr(97 + i) * 500, tokens=2000)
        seen = self.check()
        self.assertEqual((seen["state"], seen["unforeseen"], seen["heals"]), ("blind", 12, 1))
        self.assertEqual(self.counted("endpoints", state="blind"), 1)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--picker", required=True)
    parser.add_argument("--serve", required=True, nargs="+", help="program that pretends to be an engine")
    arguments, rest = parser.parse_known_args()
    PROGRAM, SERVE = arguments.picker, arguments.serve
    unittest.main(argv=[sys.argv[0], *rest])
