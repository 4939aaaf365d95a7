"""The behaviours of the multi-model guide (checklist A14 to A43, as they concern a gateway), with real processes:
three engines, a gateway with objects from files, and the official openai client."""

import concurrent.futures
import json
import pathlib
import stat
import subprocess
import sys
import unittest

from processes import UNIFIED, Engine, Folder, Gateway, ask, decode_pod, service, wait_for

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "conformance" / "openai"))
SKIPPED = 77
LLAMA, QWEN = "llama-32-1b", "qwen2-5-0-5b"


def words(model, **more):
    return {"model": model, "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 4, "temperature": 0} | more


class TwoModelsOnThreeEngines(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = Folder()
        cls.llama = Engine(LLAMA)
        cls.qwen = Engine(QWEN)
        cls.sglang = Engine(QWEN, owner="sglang")
        cls.folder.put("llama", *service("llama", [cls.llama.port], UNIFIED))
        cls.folder.put("qwen", *service("qwen", [cls.qwen.port], UNIFIED))
        cls.folder.put("qwen-sglang", *service("qwen-sglang", [cls.sglang.port], UNIFIED))
        cls.gateway = Gateway(cls.folder)
        import openai
        cls.openai = openai
        cls.client = openai.OpenAI(base_url=f"http://127.0.0.1:{cls.gateway.port}/v1", api_key="none", max_retries=0,
                                   timeout=120)

    @classmethod
    def tearDownClass(cls):
        codes = [each.stop() for each in (cls.gateway, cls.llama, cls.qwen, cls.sglang)]
        cls.folder.close()
        assert codes == [0, 0, 0, 0], codes

    def chat(self, model, **more):
        return self.client.chat.completions.create(**words(model), **more)

    def counts(self):
        return [engine.served() for engine in (self.llama, self.qwen, self.sglang)]

    def served_by(self, request, times=1):
        before = self.counts()
        for _ in range(times):
            request()
        return [int(after - count) for after, count in zip(self.counts(), before)]

    def test_a14_a16_lists_the_models_with_what_their_engines_say(self):
        listed = self.client.models.list()
        self.assertEqual(listed.object, "list")
        self.assertEqual([(card.id, card.owned_by) for card in listed.data],
                         [(LLAMA, "vllm"), (QWEN, "sglang"), (QWEN, "vllm")])
        _, text = ask(self.llama.port, "GET", "/v1/models")
        for card in listed.data:
            self.assertEqual(card.object, "model")
            self.assertGreater(card.created, 0)
            self.assertEqual(card.max_model_len, json.loads(text)["data"][0]["max_model_len"])
            self.assertFalse(card.stale)
        self.assertEqual(self.client.models.retrieve(LLAMA).id, LLAMA)
        with self.assertRaises(self.openai.NotFoundError):
            self.client.models.retrieve("nobody")

    def test_a15_every_request_reaches_its_model_only(self):
        with concurrent.futures.ThreadPoolExecutor(8) as threads:
            before = self.counts()
            answers = list(threads.map(lambda _: self.chat(LLAMA), range(100)))
            self.assertEqual([int(a - b) for a, b in zip(self.counts(), before)], [100, 0, 0])
            self.assertEqual({answer.model for answer in answers}, {LLAMA})
            before = self.counts()
            list(threads.map(lambda _: self.chat(QWEN), range(100)))
            after = [int(a - b) for a, b in zip(self.counts(), before)]
        self.assertEqual(after[0], 0)
        self.assertEqual(after[1] + after[2], 100)

    def test_a17_to_a22_the_owner_comes_from_body_header_or_query(self):
        ways = {
            "body": lambda owner: self.chat(QWEN, extra_body={"owned_by": owner}),
            "engine": lambda owner: self.chat(QWEN, extra_body={"engine": owner}),
            "inference_server": lambda owner: self.chat(QWEN, extra_body={"inference_server": owner}),
            "header": lambda owner: self.chat(QWEN, extra_headers={"x-owned-by": owner}),
            "Header": lambda owner: self.chat(QWEN, extra_headers={"X-Owned-By": owner.upper()}),
            "query": lambda owner: self.chat(QWEN, extra_query={"owned_by": owner}),
        }
        for name, way in ways.items():
            with self.subTest(name):
                self.assertEqual(self.served_by(lambda: way("vllm"), 3), [0, 3, 0])
                self.assertEqual(self.served_by(lambda: way("sglang"), 3), [0, 0, 3])

    def test_a23_a25_without_an_owner_both_serve(self):
        served = self.served_by(lambda: self.chat(QWEN), 10)
        self.assertEqual(sum(served), 10)
        self.assertGreater(served[1], 0)
        self.assertGreater(served[2], 0)

    def test_a24_mistakes_are_typed_and_name_what_exists(self):
        with self.assertRaises(self.openai.NotFoundError) as raised:
            self.chat("lama-32-1b")
        self.assertEqual(raised.exception.code, "model_not_found")
        self.assertIn(f"Did you mean `{LLAMA}`?", raised.exception.message)
        with self.assertRaises(self.openai.NotFoundError) as raised:
            self.chat(LLAMA, extra_body={"owned_by": "sglang"})
        self.assertIn("Owners: vllm.", raised.exception.message)
        with self.assertRaises(self.openai.BadRequestError):
            self.client.post("/chat/completions", body={"messages": []}, cast_to=object)

    def test_a42_a_stream_keeps_its_order_and_its_end(self):
        whole = self.chat(LLAMA).choices[0].message.content
        text = "".join(choice.delta.content or "" for chunk in self.chat(LLAMA, stream=True)
                       for choice in chunk.choices)
        self.assertEqual(text, whole)
        _, raw = ask(self.gateway.port, "POST", "/v1/chat/completions", words(LLAMA, stream=True))
        events = [line for line in raw.split("\n\n") if line]
        self.assertTrue(all(event.startswith("data: ") for event in events))
        self.assertEqual(events[-1], "data: [DONE]")
        self.assertEqual(events.count("data: [DONE]"), 1)

    def test_completions_and_tokenize_and_their_like(self):
        answer = self.client.completions.create(model=LLAMA, prompt="Hello", max_tokens=2)
        self.assertEqual(answer.model, LLAMA)
        status, text = ask(self.gateway.port, "POST", "/tokenize", {"model": LLAMA, "prompt": "Hello"})
        self.assertEqual((status, json.loads(text)["count"] > 0), (200, True))

    def test_one_request_id_in_answer_and_live_list(self):
        raw = self.client.chat.completions.with_raw_response.create(
            **words(LLAMA), extra_headers={"X-Request-Id": "from-the-client"})
        self.assertEqual(raw.headers["x-request-id"], "from-the-client")


class Operations(unittest.TestCase):
    """What changes while the gateway runs."""

    def setUp(self):
        self.folder = Folder()
        self.addCleanup(self.folder.close)
        self.processes = []

    def tearDown(self):
        for process in reversed(self.processes):
            process.stop()

    def start(self, process):
        self.processes.append(process)
        return process

    def engine(self, *arguments, **more):
        return self.start(Engine(*arguments, simulate=True, **more))

    def chat(self, gateway, model, **more):
        return ask(gateway.port, "POST", "/v1/chat/completions", words(model, **more))

    def test_a26_a27_a28_discovery_at_the_start_and_on_demand(self):
        llama, qwen = self.engine(LLAMA), self.engine(QWEN)
        self.folder.put("pool", *service("infra-llama-inference-gateway-istio", [llama.port], port=80))
        self.folder.put("pods", decode_pod("ms-llama-decode-0", llama.port), decode_pod("ms-qwen-decode-0", qwen.port))
        gateway = self.start(Gateway(self.folder))
        wait_for("both models", lambda: len(gateway.models()) == 2)
        self.assertEqual(gateway.mapping(LLAMA)["via"], "pool")
        self.assertEqual(gateway.mapping(QWEN)["via"], "pod")
        self.assertEqual(gateway.mapping(LLAMA)["source"], "discovered")
        status, report = gateway.admin("POST", "/admin/discover")
        self.assertEqual((status, report), (200, {"targets": 3, "endpoints": 2, "answered": 2, "models": 2}))

    def test_a29_a30_pods_stand_in_for_the_pool_and_its_shadow_is_never_used(self):
        through_pool, pod, shadow = self.engine(LLAMA), self.engine(LLAMA), self.engine(LLAMA)
        pool = service("infra-llama-inference-gateway-istio", [through_pool.port], port=80)
        self.folder.put("pool", *pool)
        self.folder.put("shadow", *service("gaie-llama-ip-0a1b2c3d", [shadow.port], UNIFIED, port=54321))
        self.folder.put("pods", decode_pod("ms-llama-decode-0", pod.port))
        gateway = self.start(Gateway(self.folder))
        wait_for("the pool", lambda: (gateway.mapping(LLAMA) or {}).get("via") == "pool")
        self.assertEqual(self.chat(gateway, LLAMA)[0], 200)
        self.folder.remove("pool")
        wait_for("the pod", lambda: gateway.mapping(LLAMA)["via"] == "pod")
        self.assertEqual(self.chat(gateway, LLAMA)[0], 200)
        self.folder.put("pool", *pool)
        wait_for("the pool again", lambda: gateway.mapping(LLAMA)["via"] == "pool")
        self.assertEqual(self.chat(gateway, LLAMA)[0], 200)
        self.assertEqual((through_pool.served(), pod.served(), shadow.served()), (2, 1, 0))

    def test_a31_a32_models_routed_by_hand(self):
        llama = self.engine(LLAMA)
        gateway = self.start(Gateway(self.folder, {"admin": {"allowedNetworks": ["127.0.0.0/8"]}}))
        url = f"http://127.0.0.1:{llama.port}"
        entry = {"model": "by-hand", "owned_by": "vllm", "url": url, "targetModel": LLAMA}
        self.assertEqual(gateway.admin("POST", "/admin/api/routing", entry)[0], 201)
        self.assertEqual(gateway.admin("POST", "/admin/api/routing", entry)[0], 200)
        status, text = self.chat(gateway, "by-hand")
        self.assertEqual((status, json.loads(text)["model"]), (200, LLAMA))
        self.assertEqual(gateway.mapping("by-hand")["via"], "manual")
        # It survives a restart.
        gateway.stop()
        gateway = self.start(Gateway(self.folder, {"admin": {"allowedNetworks": ["127.0.0.0/8"]}}))
        self.assertEqual(self.chat(gateway, "by-hand")[0], 200)
        path = "/admin/api/routing?model=by-hand&owned_by=vllm"
        self.assertEqual(gateway.admin("DELETE", path)[0], 204)
        self.assertEqual(gateway.admin("DELETE", path)[0], 404)
        self.assertEqual(self.chat(gateway, "by-hand")[0], 404)

    def test_entries_by_hand_stay_inside_the_allowed_networks(self):
        gateway = self.start(Gateway(self.folder, {"admin": {"allowedNetworks": ["10.0.0.0/8"]}}))
        for url, status in (("http://169.254.169.254:80", 403), ("http://127.0.0.1:1", 403),
                            ("http://metadata.internal:80", 403), ("https://10.0.0.1:1", 400),
                            ("http://10.0.0.1:1/path", 400), ("http://10.0.0.1:1", 201)):
            with self.subTest(url):
                self.assertEqual(gateway.admin("POST", "/admin/api/routing", {"model": "x", "url": url})[0], status)
        self.assertEqual(gateway.admin("POST", "/admin/api/routing", {"model": "x", "uri": "y"})[0], 400)

    def test_a_discovered_model_is_not_overridden_by_accident(self):
        llama = self.engine(LLAMA)
        self.folder.put("llama", *service("llama", [llama.port], UNIFIED))
        gateway = self.start(Gateway(self.folder, {"admin": {"allowedNetworks": ["127.0.0.1"]}}))
        wait_for("the model", lambda: gateway.mapping(LLAMA))
        entry = {"model": LLAMA, "url": f"http://127.0.0.1:{llama.port}"}
        self.assertEqual(gateway.admin("POST", "/admin/api/routing", entry)[0], 409)
        self.assertEqual(gateway.admin("POST", "/admin/api/routing", entry | {"override": True})[0], 201)
        self.assertEqual(gateway.mapping(LLAMA)["via"], "manual")

    def test_the_admin_api_needs_its_token(self):
        gateway = self.start(Gateway(self.folder))
        self.assertEqual(stat.S_IMODE((gateway.data / "admin-token").stat().st_mode), 0o600)
        self.assertEqual(gateway.admin("GET", "/admin/api/routing", token="wrong")[0], 401)
        self.assertEqual(ask(gateway.admin_port, "GET", "/admin/api/routing")[0], 401)
        self.assertEqual(ask(gateway.admin_port, "GET", "/metrics")[0], 200)
        self.assertEqual(ask(gateway.port, "GET", "/admin/api/routing")[0], 404)
        self.assertEqual(gateway.admin("PUT", "/admin/log-level", {"level": "debug"}), (200, {"level": "debug"}))
        self.assertEqual(gateway.admin("PUT", "/admin/log-level", {"level": "loud"})[0], 400)
        self.assertEqual(gateway.admin("GET", "/admin/connections"), (200, {"requests": []}))

    def test_a_decision_can_be_explained_by_the_id_of_its_request(self):
        llama = self.engine(LLAMA)
        self.folder.put("llama", *service("llama", [llama.port], UNIFIED))
        gateway = self.start(Gateway(self.folder, more=["--loops", "2"]))
        status, _ = ask(gateway.port, "POST", "/v1/chat/completions", words(LLAMA), {"X-Request-Id": "asked-why"})
        self.assertEqual(status, 200)
        _, explained = gateway.admin("GET", "/admin/explain?request_id=asked-why")
        self.assertEqual(explained["default/llama:8000"]["request"]["model"], LLAMA)
        self.assertEqual(explained["default/llama:8000"]["candidates"], 1)
        self.assertEqual(gateway.admin("GET", "/admin/explain?request_id=another"), (200, {}))

    def test_drain_ends_the_gateway_when_nothing_runs_any_more(self):
        gateway = self.start(Gateway(self.folder))
        self.assertEqual(gateway.admin("POST", "/admin/drain")[0], 202)
        self.assertEqual(gateway.process.wait(60), 0)

    def test_a36_a40_engines_that_come_and_go(self):
        llama, qwen = self.engine(LLAMA), self.engine(QWEN)
        self.folder.put("llama", *service("llama", [llama.port], UNIFIED))
        self.folder.put("qwen", *service("qwen", [qwen.port], UNIFIED))
        gateway = self.start(Gateway(self.folder))
        self.assertEqual(self.chat(gateway, LLAMA)[0], 200)
        second = self.engine(LLAMA)
        self.folder.put("llama", *service("llama", [llama.port, second.port], UNIFIED))
        wait_for("the second engine", lambda: self.chat(gateway, LLAMA)[0] == 200 and second.served() > 0)
        self.folder.remove("llama")
        wait_for("the model to go", lambda: gateway.mapping(LLAMA) is None)
        self.assertEqual(self.chat(gateway, LLAMA)[0], 404)
        self.assertEqual(self.chat(gateway, QWEN)[0], 200)

    def test_a37_a_killed_engine_is_avoided(self):
        alive, dying = self.engine(LLAMA), self.engine(LLAMA)
        self.folder.put("llama", *service("llama", [alive.port, dying.port], UNIFIED))
        gateway = self.start(Gateway(self.folder))
        self.assertEqual(self.chat(gateway, LLAMA)[0], 200)
        dying.kill()
        self.assertEqual([self.chat(gateway, LLAMA)[0] for _ in range(20)], [200] * 20)
        self.assertEqual([card["id"] for card in gateway.models()], [LLAMA])

    def test_a_dead_backend_leaves_its_models_listed_as_stale(self):
        llama, qwen = self.engine(LLAMA), self.engine(QWEN)
        self.folder.put("llama", *service("llama", [llama.port], UNIFIED))
        self.folder.put("qwen", *service("qwen", [qwen.port], UNIFIED))
        gateway = self.start(Gateway(self.folder))
        wait_for("both models", lambda: len(gateway.models()) == 2)
        qwen.kill()
        gateway.admin("POST", "/admin/discover")
        self.assertEqual({card["id"]: card["stale"] for card in gateway.models()}, {LLAMA: False, QWEN: True})
        self.assertEqual(self.chat(gateway, LLAMA)[0], 200)

    def test_requests_wait_for_a_model_that_starts(self):
        self.folder.put("llama", *service("llama", [], UNIFIED, {"llmd.dev/models": LLAMA}))
        gateway = self.start(Gateway(self.folder, {"unified": {"progressInterval": "50ms"}}))
        with concurrent.futures.ThreadPoolExecutor(1) as thread:
            answer = thread.submit(self.chat, gateway, LLAMA, stream=True)
            wait_for("the waiting request", lambda: gateway.admin("GET", "/admin/connections")[1]["requests"])
            llama = self.engine(LLAMA)
            self.folder.put("llama", *service("llama", [llama.port], UNIFIED, {"llmd.dev/models": LLAMA}))
            status, text = answer.result()
        self.assertEqual(status, 200)
        self.assertTrue(text.startswith(f": waiting for the model {LLAMA} to start\n\n"), text[:200])
        self.assertTrue(text.endswith("data: [DONE]\n\n"))


class OneMachine(unittest.TestCase):
    """The same under `llmd up`: a manifest is enough."""

    def test_a_service_is_reached_by_the_name_of_its_model(self):
        sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "up"))
        import harness
        machine = harness.Machine()
        self.addCleanup(machine.close)
        machine.start(machine.write(harness.manifest("tiny")))
        host, port = machine.gateway.rsplit(":", 1)

        def answer():
            # 404 until the manifest has been read; then the request waits until the model runs.
            status, text = ask(int(port), "POST", "/v1/chat/completions", words("tiny"), host=host)
            return None if status == 404 else (status, text)

        status, text = wait_for("an answer", answer)
        self.assertEqual((status, json.loads(text)["model"]), (200, "tiny"), text)
        ids = [card["id"] for card in json.loads(ask(int(port), "GET", "/v1/models", host=host)[1])["data"]]
        self.assertIn("tiny", ids)


def main():
    if "--inside" not in sys.argv:
        from conformance_test import CLIENT, client_python
        python = client_python()
        if python is None:
            print(f"SKIPPED: the client ({CLIENT}) cannot be installed here", file=sys.stderr)
            return SKIPPED
        return subprocess.run([python, __file__, "--inside", *sys.argv[1:]], check=False).returncode
    sys.argv.remove("--inside")
    return 0 if unittest.main(exit=False, verbosity=2).result.wasSuccessful() else 1


if __name__ == "__main__":
    sys.exit(main())
