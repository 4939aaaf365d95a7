#!/usr/bin/env python3
"""The picker follows what engines say about their caches: requests go where their beginning is cached.

  test_kv_events.py --picker PROGRAM --serve PROGRAM
"""

import argparse
import json
import sys
import unittest
import urllib.request

import clients

clients.run_inside(__file__)

from programs import Child, InFolder, Picker, free_port, wait_for, write_endpoints  # noqa: E402
from proxy import Proxy  # noqa: E402

PICKER = SERVE = None
STORIES = [f"{animal} " * 60 for animal in ("bees", "dogs", "owls", "cats")]


class Engine(Child):
    """A simulated engine on an address of its own."""

    def __init__(self, host, port, events, replay):
        config = {"enable_kv_cache_events": True, "publisher": "zmq", "endpoint": f"tcp://*:{events}",
                  "replay_endpoint": f"tcp://*:{replay}"}
        self.address = f"{host}:{port}"
        super().__init__([*SERVE, "m", "--simulate", "--max-model-len", 4096, "--host", host, "--port", port,
                          "--kv-events-config", json.dumps(config)], '"event":"ready"', "stderr")

    def complete(self, prompt):
        body = json.dumps({"model": "m", "prompt": prompt, "max_tokens": 2}).encode()
        request = urllib.request.Request(f"http://{self.address}/v1/completions", body,
                                         {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.read()


class Follows(InFolder):
    def setUp(self):
        super().setUp()
        self.ports = [free_port() for _ in range(3)]
        self.engines = [self.start_engine(host) for host in ("127.0.0.2", "127.0.0.3")]
        config = self.write("config.yaml", f"""\
plugins:
- type: token-producer
  parameters: {{modelName: m, vllm: {{url: "http://{self.engines[0].address}"}}}}
- type: precise-prefix-cache-scorer
  parameters:
    kvEventsConfig:
      podDiscoveryConfig: {{socketPort: {self.ports[1]}, replaySocketPort: {self.ports[2]}}}
- type: max-score-picker
""")
        endpoints = write_endpoints(self.folder / "endpoints.json", [engine.address for engine in self.engines])
        self.picker = Picker(PICKER, "--endpoints-file", endpoints, "--config-file", config)
        self.addCleanup(self.picker.stop)
        self.proxy = Proxy(self.picker.grpc)
        self.addCleanup(self.proxy.close)

    def start_engine(self, host):
        engine = Engine(host, *self.ports)
        self.addCleanup(engine.stop)
        return engine

    def destination(self, prompt):
        return self.proxy.complete(prompt=prompt).destination

    def goes_to(self, prompt, engine):
        # Chosen by chance, eight requests in a row would go there once in 256 times.
        return all(self.destination(prompt) == engine.address for _ in range(8))

    def test_prompts_go_where_they_are_cached(self):
        for i, story in enumerate(STORIES):
            self.engines[i % 2].complete(story)
        for i, story in enumerate(STORIES):
            wait_for(lambda i=i, story=story: self.goes_to(story + "and then?", self.engines[i % 2]),
                     f"requests for story {i} to follow it")

    def test_a_restarted_engine_attracts_nothing(self):
        story = STORIES[0]
        self.engines[1].complete(story)
        wait_for(lambda: self.goes_to(story, self.engines[1]), "requests to go to the cache")
        self.engines[1].kill()
        self.engines[1] = self.start_engine("127.0.0.3")
        wait_for(lambda: any(self.destination(story) == self.engines[0].address for _ in range(8)),
                 "the cache of the engine that was killed to be forgotten")
        self.engines[0].complete(story)
        wait_for(lambda: self.goes_to(story, self.engines[0]), "requests to go to the new cache")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--picker", required=True)
    parser.add_argument("--serve", required=True, nargs="+", help="program that pretends to be an engine")
    arguments, rest = parser.parse_known_args()
    PICKER, SERVE = arguments.picker, arguments.serve
    unittest.main(argv=[sys.argv[0], *rest])
