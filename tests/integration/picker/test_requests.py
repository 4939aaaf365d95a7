#!/usr/bin/env python3
"""What the picker makes of requests before they reach an engine.

  test_requests.py --picker PROGRAM
"""

import argparse
import json
import sys
import unittest

import clients

clients.run_inside(__file__)

from programs import InFolder, Picker, write_endpoints  # noqa: E402
from proxy import Proxy  # noqa: E402

PROGRAM = None
GENERIC = """\
apiVersion: llm-d.ai/v1alpha2
kind: InferenceModelRewrite
metadata: {name: usual}
spec: {rules: [{targets: [{modelRewrite: base}]}]}
"""
NAMED = GENERIC.replace("{targets:", "{matches: [{model: {value: alias}}], targets:")
MEDIA = """\
plugins:
- {type: mm-embeddings-cache-producer}
- {type: mm-embeddings-cache-scorer}
- {type: max-score-picker}
"""


class World(InFolder):
    def start(self, config="", objects=""):
        endpoints = write_endpoints(self.folder / "e.json", ["127.0.0.1:1001", "127.0.0.1:1002"])
        self.picker = Picker(PROGRAM, "--endpoints-file", endpoints,
                             "--objects-file", self.write("objects.yaml", objects),
                             "--config-file", self.write("config.yaml", config), "--allow-experimental-plugins")
        self.addCleanup(self.picker.stop)
        self.proxy = Proxy(self.picker.grpc)
        self.addCleanup(self.proxy.close)

    def decided(self, body):
        request = self.proxy.open(body=body).decide()
        if request.status is None:
            request.complete()
        return request


class Models(World):
    def test_a_rewrite_for_every_model_names_the_model_that_a_client_left_out(self):
        self.start(objects=GENERIC)
        rows = [
            (b'{"prompt":"x"}', b'{"prompt":"x","model":"base"}'),
            (b' { "prompt": "x" } ', b' { "prompt": "x" ,"model":"base"} '),
            (b'{"model":null,"prompt":"x"}', b'{"model":null,"prompt":"x","model":"base"}'),
            (b'{"model":"m","prompt":"x"}', b'{"model":"base","prompt":"x"}'),
        ]
        for body, sent in rows:
            with self.subTest(body=body):
                request = self.decided(body)
                self.assertEqual(request.sent_body, sent)
                self.assertEqual(request.headers["content-length"], str(len(sent)))
                self.assertEqual(json.loads(sent)["model"], "base")
        name = 'llm_d_epp_model_rewrite_decisions_total{model_rewrite_name="usual",model_name="",target_model="base"}'
        self.assertEqual(self.picker.metric(name), 3)

    def test_a_rewrite_for_one_model_does_not(self):
        self.start(objects=NAMED)
        refused = self.decided(b'{"prompt":"x"}')
        self.assertEqual((refused.status, refused.refusal),
                         (400, "inference error: BadRequest - model not found in request body"))
        self.assertEqual(self.decided(b"{}").status, 400)


class Media(World):
    @staticmethod
    def picture(name):
        return {"model": "m", "messages": [{"role": "user", "content": [
            {"type": "text", "text": "what is this?"},
            {"type": "image_url", "image_url": {"url": f"http://pictures/{name}.png"}}]}]}

    def test_pictures_go_where_they_have_been_encoded(self):
        self.start(MEDIA)
        for name in ["cat", "dog", "owl"]:
            first = self.ask(name)
            for _ in range(6):
                self.assertEqual(self.ask(name), first)
        self.assertEqual(self.picker.metric('llm_d_epp_encoder_cache_queries_total{modality="image"}'), 21)
        self.assertEqual(self.picker.metric('llm_d_epp_encoder_cache_hits_total{modality="image"}'), 18)

    def ask(self, name):
        request = self.proxy.open("/v1/chat/completions", self.picture(name)).decide()
        request.complete()
        return request.destination


class Parsers(World):
    def test_what_reading_bodies_takes_is_counted_by_parser(self):
        self.start()
        for path, body in [("/v1/completions", {"model": "m", "prompt": "x"}),
                           ("/v1/messages", {"model": "m", "messages": [{"role": "user", "content": "x"}]})]:
            for _ in range(16):
                request = self.proxy.open(path, body).decide()
                request.complete()
        for parser, point, count in [("openai-parser", "RequestParsing", 1), ("openai-parser", "ResponseParsing", 1),
                                     ("anthropic-parser", "RequestParsing", 16),
                                     ("anthropic-parser", "ResponseParsing", 16)]:
            labels = f'extension_point="{point}",plugin_type="{parser}",plugin_name="{parser}"'
            for name in ["llm_d_epp", "inference_extension"]:
                self.assertEqual(self.picker.metric(f"{name}_plugin_duration_seconds_count{{{labels}}}"), count, labels)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--picker", required=True)
    arguments, rest = parser.parse_known_args()
    PROGRAM = arguments.picker
    unittest.main(argv=[sys.argv[0], *rest])
