#!/usr/bin/env python3
"""Every series that llm-d's pickers have (metric_names.txt) is on the page after traffic, with the same labels.

  test_metrics.py --picker PROGRAM
"""

import argparse
import json
import re
import sys
import unittest
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import clients

clients.run_inside(__file__)

from programs import InSharedFolder, MetricsEngine, Picker, wait_for, write_endpoints  # noqa: E402
from proxy import Proxy  # noqa: E402

HERE = Path(__file__).resolve().parent
PROGRAM = None
OBJECTS = """\
apiVersion: llm-d.ai/v1alpha2
kind: InferenceModelRewrite
metadata: {name: rename}
spec: {rules: [{matches: [{model: {value: alias}}], targets: [{modelRewrite: real}]}]}
---
apiVersion: llm-d.ai/v1alpha2
kind: InferenceObjective
metadata: {name: batch}
spec: {priority: -1}
"""
# One configuration cannot have all plugins; together these do.
USUAL = """\
plugins:
- {type: queue-scorer}
- {type: kv-cache-utilization-scorer}
- {type: prefix-cache-scorer}
- {type: predicted-latency-producer}
- {type: latency-scorer}
- {type: mm-embeddings-cache-producer}
- {type: mm-embeddings-cache-scorer}
"""
QUEUED = """\
featureGates: [flowControl]
plugins:
- {type: concurrency-detector, parameters: {maxConcurrency: 1}}
- {type: program-aware-fairness}
flowControl:
  enableEviction: true
  maxRequests: 100
  maxBytes: 1000000
  defaultPriorityBand: {fairnessPolicyRef: program-aware-fairness}
  saturationDetector: {pluginRef: concurrency-detector}
"""
STAGES = """\
featureGates: [flowControl]
plugins:
- {type: prefill-filter}
- {type: decode-filter}
- {type: always-disagg-pd-decider}
- {type: HANDLER, parameters: PARAMETERS}
schedulingProfiles:
- {name: prefill, plugins: [{pluginRef: prefill-filter}]}
- {name: decode, plugins: [{pluginRef: decode-filter}]}
"""
ROLLOUT = """\
plugins:
- type: disaggregatedset-rollout-screener
  parameters:
    scope: {labelSelector: llm-d.ai/role}
    headerSelectors: [{name: revision, headerName: x-revision, labelKey: revision, mode: strict}]
    revisionGating: {mode: sum, requireRoles: {values: [prefill, decode]}, revisionLabelKey: revision,
                     roleLabelKey: llm-d.ai/role}
"""
PRECISE = """\
plugins:
- type: precise-prefix-cache-producer
  parameters: {indexerConfig: {kvBlockIndexConfig: {enableMetrics: true}}}
- type: prefix-cache-scorer
  parameters: {prefixMatchInfoProducerName: precise-prefix-cache-producer}
"""


def series_of(page):
    """{name: set of label tuples} of a page, without le."""
    found = {}
    for line in page.splitlines():
        if line.startswith("#") or not line:
            continue
        name, labels = re.match(r"([a-zA-Z_:][\w:]*)(?:\{(.*)\})? ", line).groups()
        names = re.findall(r'(\w+)="(?:[^"\\]|\\.)*"', labels or "")
        found.setdefault(name, set()).add(tuple(sorted(set(names) - {"le"})))
    return found


class Metrics(InSharedFolder):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.engines = [MetricsEngine(i) for i in range(4)]
        for engine in cls.engines:
            cls.addClassCleanup(engine.stop)

    def start(self, config):
        (self.folder / "config.yaml").write_text(config)
        (self.folder / "objects.yaml").write_text(OBJECTS)
        labels = [{"llm-d.ai/role": "prefill" if i == 0 else "decode", "revision": "r1"} for i in range(4)]
        endpoints = write_endpoints(self.folder / "e.yaml", [engine.address for engine in self.engines], labels)
        picker = Picker(PROGRAM, "--endpoints-file", endpoints, "--config-file", self.folder / "config.yaml",
                        "--objects-file", self.folder / "objects.yaml", "--enable-grpc-stream-metrics=true",
                        "--allow-experimental-plugins")
        self.addCleanup(picker.stop)
        proxy = Proxy(picker.grpc)
        self.addCleanup(proxy.close)
        wait_for(lambda: all(each["ageSeconds"] is not None for each in json.loads(picker.get("/debug"))["endpoints"]),
                 "the engines' numbers")
        return picker, proxy

    def stream(self, proxy, model="m", **headers):
        """An answer in forty pieces, the last of which tells the usage."""
        request = proxy.open(body={"model": model, "prompt": "word " * 200, "stream": True},
                             headers={name.replace("_", "-"): value for name, value in headers.items()}).decide()
        request.answer_begins(content_type="text/event-stream")
        for _ in range(40):
            request.answer_part(b'data: {"choices":[{"text":"x"}]}\n\n')
        usage = {"prompt_tokens": 200, "completion_tokens": 40, "prompt_tokens_details": {"cached_tokens": 64}}
        request.answer_part(b"data: " + json.dumps({"choices": [], "usage": usage}).encode() + b"\n\ndata: [DONE]\n\n", True)
        request.close()

    def usual_traffic(self):
        picker, proxy = self.start(USUAL)
        for _ in range(30):  # the predictor says nothing before it has learnt
            self.stream(proxy, x_slo_ttft_ms="0.001", x_slo_tpot_ms="0.001")
        self.stream(proxy, model="alias")
        proxy.complete(usage={"prompt_tokens": 2, "completion_tokens": 3})
        proxy.open(body={"prompt": "no model"}).decide()
        failed = proxy.open(body={"model": "m", "prompt": "x"}).decide()
        failed.complete(status=503)
        return picker

    @staticmethod
    def finish(request):
        request.decide().complete(usage={"prompt_tokens": 2, "completion_tokens": 3})

    def queued_traffic(self):
        picker, proxy = self.start(QUEUED)
        batch = proxy.open(body={"model": "m", "prompt": "x"}, headers={"x-llm-d-inference-objective": "batch"})
        batch.decide()
        held = [proxy.open(body={"model": "m", "prompt": "x"}) for _ in range(6)]
        wait_for(lambda: picker.metric('llmd_picker_waiting_requests{inference_pool="default"}') >= 2, "a queue")
        proxy.open(body={"model": "m", "prompt": "x"}).cancel()
        page = picker.get("/metrics")
        batch.immediate(batch.receive())
        with ThreadPoolExecutor(len(held)) as clients:  # each waits for its own turn, whatever the order of the queue
            for done in [clients.submit(self.finish, request) for request in held]:
                done.result()
        return page + picker.get("/metrics")

    def test_every_name_with_its_labels(self):
        pages = [self.usual_traffic().get("/metrics"), self.queued_traffic()]
        for handler, parameters in [("disagg-profile-handler", "{deciders: {prefill: always-disagg-pd-decider}}"),
                                    ("pd-profile-handler", "{deciderPluginName: always-disagg-pd-decider}")]:
            picker, proxy = self.start(STAGES.replace("HANDLER", handler).replace("PARAMETERS", parameters))
            proxy.complete()
            pages.append(picker.get("/metrics"))
        picker, proxy = self.start(ROLLOUT)
        proxy.complete()
        self.assertEqual(proxy.open(body={"model": "m", "prompt": "x"}, headers={"x-revision": "r0"}).decide().status, 503)
        pages.append(picker.get("/metrics"))
        plugin = 'plugin_type="disaggregatedset-rollout-screener",plugin_name="disaggregatedset-rollout-screener"'
        self.assertEqual(picker.metric(f'llm_d_epp_disaggregatedset_strict_header_no_match_total{{{plugin},'
                                       'selector="revision"}'), 1)
        self.assertEqual(picker.metric(f'llm_d_epp_disaggregatedset_revision_gating_share{{{plugin},mode="sum",'
                                       'revision="r1"}'), 1)
        picker, proxy = self.start(PRECISE)
        proxy.complete()
        pages.append(picker.get("/metrics"))
        found = {}
        for page in pages:
            for name, labels in series_of(page).items():
                found.setdefault(name, set()).update(labels)
        wanted = {}
        for line in (HERE / "metric_names.txt").read_text().splitlines():
            if line and not line.startswith("#"):
                name, _, labels = line.partition(" ")
                wanted[name] = tuple(sorted(labels.split(","))) if labels else ()
        self.assertGreater(len(wanted), 100)
        missing = sorted(name for name in wanted if name not in found)
        self.assertEqual(missing, [])
        other = {name: sorted(found[name]) for name, labels in wanted.items() if found[name] != {labels}}
        self.assertEqual(other, {})

    def test_no_page_says_anything_twice(self):
        for page in [self.usual_traffic().get("/metrics"), self.start(QUEUED)[0].get("/metrics")]:
            lines = [line.rsplit(" ", 1)[0] for line in page.splitlines() if not line.startswith("#")]
            self.assertEqual(len(lines), len(set(lines)))
            types = [line.split()[2] for line in page.splitlines() if line.startswith("# TYPE")]
            self.assertEqual(len(types), len(set(types)))

    def test_numbers_are_those_of_the_traffic(self):
        picker = self.usual_traffic()
        labels = 'model_name="m",target_model_name="m",fairness_id="default-flow",priority="0"'
        self.assertEqual(picker.metric(f"llm_d_epp_request_total{{{labels}}}"), 32)
        self.assertEqual(picker.metric(f"llm_d_epp_request_output_tokens_sum{{{labels}}}"), 30 * 40 + 3)
        self.assertEqual(picker.metric(f"llm_d_epp_request_cached_tokens_sum{{{labels}}}"), 30 * 64)
        self.assertEqual(picker.metric(f'llm_d_epp_request_error_total{{{labels},error_code="ModelServerError"}}'), 1)
        self.assertEqual(picker.metric('inference_objective_request_total{model_name="alias",target_model_name="real",'
                                       'priority="0"}'), 1)
        self.assertEqual(picker.metric('inference_objective_running_requests{model_name="m"}'), 0)
        # The predictor is asked from the eleventh request on, or so; what it says takes time.
        predicted = 'model_name="m",target_model_name="m"'
        for time in ["ttft", "tpot"]:
            name = f"inference_objective_request_{time}_prediction_duration_seconds"
            self.assertGreater(picker.metric(f"{name}_count{{{predicted}}}"), 0)
            self.assertGreater(picker.metric(f"{name}_sum{{{predicted}}}"), 0)
            self.assertGreater(picker.metric(f'inference_objective_inference_request_metric{{{predicted},'
                                             f'type="{time}_prediction_duration"}}'), 0)
        point = 'extension_point="Scorer",plugin_type="queue-scorer",plugin_name="queue-scorer"'
        # One decision of sixteen is measured: the first, the 17th and the 33rd of 33.
        self.assertEqual(picker.metric(f"llm_d_epp_plugin_duration_seconds_count{{{point}}}"), 33)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--picker", required=True)
    arguments, rest = parser.parse_known_args()
    PROGRAM = arguments.picker
    unittest.main(argv=[sys.argv[0], *rest])
