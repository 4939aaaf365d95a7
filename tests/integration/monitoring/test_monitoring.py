"""Rules and dashboard of config/monitoring, with the real promtool and the metrics of a running gateway."""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "tests" / "integration" / "unified"))
from processes import UNIFIED, Engine, Folder, Gateway, ask, service  # noqa: E402

MONITORING = ROOT / "config" / "monitoring"
PROMTOOL = os.environ.get("LLMD_PROMTOOL") or shutil.which("promtool")
SKIPPED = 77
METRIC = re.compile(r"\b((?:llmd|llm_d|inference)_[a-z_]+)")


def promtool(*arguments, text=None):
    return subprocess.run([PROMTOOL, *arguments], cwd=MONITORING, input=text, capture_output=True, text=True, check=False)


def without_suffix(name):
    return re.sub(r"_(bucket|sum|count)$", "", name)


class Rules(unittest.TestCase):
    def check(self, *arguments):
        done = promtool(*arguments)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_rules_and_example_are_valid(self):
        self.check("check", "rules", "alerts-gateway.yaml")
        self.check("check", "config", "prometheus.yaml")

    def test_alerts_fire_when_they_should(self):
        self.check("test", "rules", "alerts-gateway-test.yaml")

    def test_every_alert_has_a_test(self):
        rules = (MONITORING / "alerts-gateway.yaml").read_text()
        tests = (MONITORING / "alerts-gateway-test.yaml").read_text()
        for alert in re.findall(r"alert: (\w+)", rules):
            self.assertIn(f"alertname: {alert}", tests)


class Metrics(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = Folder()
        cls.engine = Engine("m", simulate=True)
        cls.folder.put("m", *service("m", [cls.engine.port], UNIFIED))
        cls.gateway = Gateway(cls.folder)
        for more in ({}, {"stream": True, "stream_options": {"include_usage": True}}):
            body = {"model": "m", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 8} | more
            status, text = ask(cls.gateway.port, "POST", "/v1/chat/completions", body)
            assert status == 200, text
        _, cls.page = ask(cls.gateway.admin_port, "GET", "/metrics")

    @classmethod
    def tearDownClass(cls):
        cls.gateway.stop()
        cls.engine.stop()
        cls.folder.close()

    def test_promtool_finds_nothing_wrong_with_the_page(self):
        done = promtool("check", "metrics", text=self.page)
        # Upstream's names are theirs (promtool takes the d of llm_d for days); ours must please it.
        complaints = [line for line in (done.stdout + done.stderr).splitlines()
                      if line and not line.startswith(("inference_objective_", "llm_d_epp_"))]
        self.assertEqual(complaints, [])

    def test_rules_and_dashboard_name_metrics_that_exist(self):
        exported = set(re.findall(r"^# TYPE (\S+)", self.page, re.MULTILINE))
        dashboard = json.loads((MONITORING / "dashboard-gateway.json").read_text())
        expressions = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
        expressions.append((MONITORING / "alerts-gateway.yaml").read_text())
        named = {without_suffix(name) for text in expressions for name in METRIC.findall(text)}
        self.assertGreater(len(named), 10)
        self.assertEqual(named - exported, set())

    def test_what_was_served_is_counted(self):
        self.assertIn('llm_d_epp_request_total{model_name="m",target_model_name="m",priority="0"} 2\n', self.page)
        self.assertIn('llm_d_epp_request_ttft_seconds_count{model_name="m",target_model_name="m"} 2\n', self.page)
        self.assertIn('llm_d_epp_request_streaming_tpot_seconds_count{model_name="m",target_model_name="m"} 1\n', self.page)


if __name__ == "__main__":
    if PROMTOOL is None:
        print("SKIPPED: promtool is not installed (Debian package prometheus)", file=sys.stderr)
        sys.exit(SKIPPED)
    unittest.main(verbosity=2)
