"""What a real `llmd gateway` asks of every request: keys and their limits, headers that nobody outside may set,
deadlines that say which one they were, limits of its own, sessions, endpoints that fail."""

import concurrent.futures
import hashlib
import json
import pathlib
import socket
import tempfile
import threading
import unittest

from harness import PATIENCE, Echo, Gateway, Upstream, gateway, prefix, route, rule, service, to, wait_for
from misbehaving import Misbehaving

# Sent by clients; none of them may ever reach an engine.
NEVER = ["x-gateway-destination-endpoint", "X-Gateway-Destination-Endpoint", "x-gateway-destination-endpoint-subset",
         "x-gateway-destination-endpoint-served", "x-prefiller-host-port", "x-prefiller-url", "x-encoder-hosts-ports",
         "x-data-parallel-host-port", "x-data-parallel-rank", "x-kv-cache-source-host-port"]
# Believed from those only that the configuration names.
TRUSTED = ["x-gateway-inference-objective", "x-llm-d-inference-objective", "x-gateway-inference-fairness-id",
           "x-llm-d-inference-fairness-id", "x-slo-ttft-ms", "x-slo-tpot-ms", "x-llm-d-slo-ttft-ms",
           "x-llm-d-slo-tpot-ms", "x-prediction-based-scheduling"]


class Engine(Echo):
    """Serves the model of its own name; counts 12 tokens for every request; /held waits until the test says so."""

    def do_GET(self):
        if self.path != "/v1/models":
            return self.answer()
        card = {"id": self.server.name, "object": "model", "created": 1, "owned_by": "vllm"}
        return self.send_json({"object": "list", "data": [card]})

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])) or "{}")
        self.server.requests.append({"target": self.path, "body": body,
                                     "headers": {key.lower(): value for key, value in self.headers.items()}})
        if body.get("held"):
            self.server.arrived.release()
            self.server.go_on.acquire(timeout=PATIENCE)
        self.send_json({"headers": self.server.requests[-1]["headers"],
                        "usage": {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}})

    def send_json(self, value):
        text = json.dumps(value).encode()
        self.send_response(200)
        for name, content in (("Content-Type", "application/json"), ("Content-Length", str(len(text))),
                              ("X-Upstream", self.server.name)):
            self.send_header(name, content)
        self.end_headers()
        self.wfile.write(text)


def api_key(name, secret, **limits):
    return {"name": name, "hash": "sha256:" + hashlib.sha256(secret.encode()).hexdigest(), **limits}


def with_key(secret):
    return {"Authorization": f"Bearer {secret}"}


class World(unittest.TestCase):
    def engine(self, name):
        made = Upstream(name, Engine)
        self.addCleanup(made.close)
        made.server.arrived, made.server.go_on = threading.Semaphore(0), threading.Semaphore(0)
        return made

    def start(self, config, services, *arguments, rules=None):
        """A gateway whose route /NAME leads to the service of that name, which serves its models, too."""
        objects = [gateway()]
        for name, ports in services.items():
            objects += service(name, *ports)
        rules = rules or [rule(prefix(f"/{name}"), backends=to(name)) for name in services]
        made = Gateway([*objects, route("r", *rules)], *arguments, config=config)
        self.addCleanup(made.close)
        return made

    def chat(self, made, model="llama", headers=None, path="/v1/chat/completions", **more):
        body = json.dumps({"model": model, "messages": [{"role": "user", "content": "my words"}], **more})
        return made.ask(path, method="POST", body=body, headers={"Content-Type": "application/json", **(headers or {})})

    def until_known(self, made, *models, headers=None):
        def listed():
            answer = made.ask("/v1/models", headers=headers)
            return answer.status == 200 and {card["id"] for card in answer.json["data"]} >= set(models)
        wait_for("the models", listed)

    def metric(self, made, name):
        for line in made.ask("/metrics").body.decode().splitlines():
            if line.startswith(name + " "):
                return float(line.rsplit(" ", 1)[1])
        return 0.0


class Keys(World):
    def setUp(self):
        self.llama, self.qwen = self.engine("llama"), self.engine("qwen")
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        self.log = pathlib.Path(holder.name) / "access.jsonl"

    def started(self, *keys):
        made = self.start({"apiKeys": [api_key("probe", "secret-probe"), *keys], "accessLog": {"path": str(self.log)}},
                          {"llama": [self.llama.port], "qwen": [self.qwen.port]})
        self.until_known(made, "llama", "qwen", headers=with_key("secret-probe"))
        return made

    def assert_refused(self, answer, status, code):
        self.assertEqual((answer.status, answer.json["error"]["code"]), (status, code), answer.body)

    def test_without_a_key_nothing_is_served_and_with_one_the_engine_never_sees_it(self):
        made = self.started(api_key("a", "secret-a"))
        for headers in ({}, with_key("wrong"), {"x-api-key": ""}, {"Authorization": "Basic secret-a"}):
            with self.subTest(headers=headers):
                self.assert_refused(self.chat(made, headers=headers), 401, "invalid_api_key")
                self.assert_refused(self.chat(made, path="/llama", headers=headers), 401, "invalid_api_key")
        self.assertEqual(made.ask("/healthz").status, 200)
        self.assertEqual(self.llama.requests, [])
        for headers in (with_key("secret-a"), {"x-api-key": "secret-a"}, {"api-key": "secret-a"}):
            for path in ("/v1/chat/completions", "/llama"):
                with self.subTest(headers=headers, path=path):
                    seen = self.chat(made, path=path, headers=headers).json["headers"]
                    self.assertNotIn("secret-a", json.dumps(seen))

    def test_a_key_reaches_its_models_only(self):
        made = self.started(api_key("a", "secret-a", models=["ll*"]))
        listed = made.ask("/v1/models", headers=with_key("secret-a")).json["data"]
        self.assertEqual([card["id"] for card in listed], ["llama"])
        self.assertEqual(self.chat(made, "llama", with_key("secret-a")).status, 200)
        self.assert_refused(self.chat(made, "qwen", with_key("secret-a")), 403, "model_not_allowed")
        self.assert_refused(self.chat(made, "qwen", with_key("secret-a"), path="/qwen"), 403, "model_not_allowed")
        self.assertEqual(self.qwen.requests, [])

    def test_requests_per_minute(self):
        made = self.started(api_key("a", "secret-a", requestsPerMinute=3), api_key("b", "secret-b"))
        self.assertEqual([self.chat(made, headers=with_key("secret-a")).status for _ in range(3)], [200] * 3)
        limited = self.chat(made, headers=with_key("secret-a"))
        self.assert_refused(limited, 429, "rate_limit_exceeded")
        self.assertIn(int(limited.headers["retry-after"]), range(1, 21))
        self.assertEqual(self.chat(made, headers=with_key("secret-b")).status, 200, "others go on")

    def test_tokens_per_minute_as_engines_count_them(self):
        made = self.started(api_key("a", "secret-a", tokensPerMinute=10))
        self.assertEqual(self.chat(made, headers=with_key("secret-a")).status, 200)
        limited = wait_for("the tokens are charged", lambda: self.limited(made))
        self.assert_refused(limited, 429, "rate_limit_exceeded")
        self.assertEqual(limited.json["error"]["type"], "tokens")

    def limited(self, made):
        answer = self.chat(made, headers=with_key("secret-a"))
        return answer if answer.status == 429 else None

    def test_requests_at_the_same_time(self):
        made = self.started(api_key("a", "secret-a", concurrency=1))
        with concurrent.futures.ThreadPoolExecutor(1) as thread:
            first = thread.submit(self.chat, made, headers=with_key("secret-a"), held=True)
            self.assertTrue(self.llama.server.arrived.acquire(timeout=PATIENCE))
            self.assert_refused(self.chat(made, headers=with_key("secret-a")), 429, "rate_limit_exceeded")
            self.llama.server.go_on.release()
            self.assertEqual(first.result().status, 200)
        wait_for("the place is free", lambda: self.chat(made, headers=with_key("secret-a")).status == 200)

    def test_the_access_log_says_whose_request_it_was_and_keeps_secrets(self):
        made = self.started(api_key("a", "secret-a"))
        self.chat(made, headers={**with_key("secret-a"), "X-Request-Id": "id-7"},
                  path="/v1/chat/completions?x=secret-q")
        def logged():
            lines = self.log.read_text().splitlines() if self.log.exists() else []
            return [each for each in map(json.loads, lines) if each["requestId"] == "id-7"]
        line = wait_for("the line", logged)[0]
        self.assertEqual({name: line[name] for name in ("path", "model", "key", "status", "promptTokens",
                                                        "completionTokens", "upstream")},
                         {"path": "/v1/chat/completions", "model": "llama", "key": "a", "status": 200,
                          "promptTokens": 9, "completionTokens": 3, "upstream": f"127.0.0.1:{self.llama.port}"})
        for secret in ("secret-a", "secret-q", "my words"):
            self.assertNotIn(secret, self.log.read_text())


class ControlHeaders(World):
    def seen(self, made, path, headers, names):
        """The names of `names` that reach the engine; each request sends one of them."""
        answers = {name: self.chat(made, path=path, headers={**headers, name: "7", "x-mine": "kept"}) for name in names}
        for name, answer in answers.items():
            self.assertEqual(answer.status, 200, name)
            self.assertEqual(answer.json["headers"]["x-mine"], "kept")
        return [name for name, answer in answers.items() if name.lower() in answer.json["headers"]]

    def test_what_decides_where_a_request_goes_never_comes_from_outside(self):
        engine = self.engine("llama")
        keys = {"apiKeys": [api_key("plain", "plain"), api_key("trusted", "trusted", trusted=True)]}
        rows = ({}, {}, []), ({"trustedListeners": ["*"]}, {}, TRUSTED), (keys, with_key("plain"), []), \
            (keys, with_key("trusted"), TRUSTED)
        for config, headers, passed in rows:
            made = self.start(config, {"llama": [engine.port]})
            self.until_known(made, "llama", headers=headers)
            for path in ("/v1/chat/completions", "/llama"):
                with self.subTest(config=list(config), headers=headers, path=path):
                    self.assertEqual(self.seen(made, path, headers, NEVER), [])
                    self.assertEqual(self.seen(made, path, headers, TRUSTED), passed)

    def test_a_model_is_rewritten_for_trusted_listeners_only(self):
        llama, qwen = self.engine("llama"), self.engine("qwen")
        for trusted, served_by in (([], "llama"), (["*"], "qwen")):
            made = self.start({"trustedListeners": trusted}, {"llama": [llama.port], "qwen": [qwen.port]})
            self.until_known(made, "llama", "qwen")
            for name in ("x-gateway-model-name-rewrite", "x-llm-d-model-name-rewrite"):
                with self.subTest(name, trusted=trusted):
                    self.assertEqual(self.chat(made, headers={name: "qwen"}).served_by, served_by)


class Deadlines(World):
    """Each has a name, which the error says: docs/reference/gateway-errors.md."""

    def silent(self, stream=False, fault="freezes before bytes"):
        made = Misbehaving(fault, stream)
        self.addCleanup(made.close)
        return made

    def unreachable(self):
        """An address that takes no connection and refuses none: its queue is full."""
        server = socket.create_server(("127.0.0.1", 0), backlog=0)
        self.addCleanup(server.close)
        waiting = []
        while True:
            client = socket.socket()
            self.addCleanup(client.close)
            client.settimeout(1)
            waiting.append(client)
            try:
                client.connect(server.getsockname())
            except TimeoutError:
                return server.getsockname()[1]
            self.assertLess(len(waiting), 100)

    def test_each_ends_its_request_with_its_name(self):
        short, long = "300ms", "60s"
        usual = {"connect": long, "firstByte": long, "idle": long}
        rows = {
            "connect": ({"connect": short}, {}, self.unreachable()),
            "first byte": ({"firstByte": short}, {}, self.silent().port),
            "attempt": ({}, {"backendRequest": short, "request": long}, self.silent().port),
            "total": ({}, {"request": short}, self.silent().port),
        }
        for name, (configured, of_the_rule, port) in rows.items():
            with self.subTest(name):
                made = self.start({"timeouts": usual | configured, "retries": {"attempts": 1},
                                   "unified": {"enabled": False}}, {"s": [port]},
                                  rules=[rule(prefix("/"), backends=to("s"), timeouts=of_the_rule)])
                answer = self.chat(made, path="/x")
                self.assertEqual(answer.status, 504, answer.body)
                error = answer.json["error"]
                self.assertEqual((error["type"], error["code"]), ("GatewayTimeoutError", 504))
                self.assertIn(f"{name} deadline", error["message"])

    def test_the_whole_request_has_a_limit_where_no_route_gives_one(self):
        made = self.start({"timeouts": {"total": "300ms"}}, {"s": [self.silent().port]})
        answer = self.chat(made, path="/s")
        self.assertEqual(answer.status, 504, answer.body)
        self.assertIn("total deadline", answer.json["error"]["message"])

    def test_the_whole_request_has_a_limit_in_the_unified_api(self):
        engine = self.engine("llama")
        self.addCleanup(engine.server.go_on.release)
        made = self.start({"timeouts": {"total": "2s"}}, {"llama": [engine.port]})
        self.until_known(made, "llama")
        answer = self.chat(made, "llama", held=True)
        self.assertEqual(answer.status, 504, answer.body)
        self.assertIn("total deadline", answer.json["error"]["message"])

    def test_a_stream_that_falls_silent_ends_with_the_idle_deadline(self):
        made = self.start({"timeouts": {"idle": "300ms"}, "unified": {"enabled": False}},
                          {"s": [self.silent(True, "freezes mid-stream").port]})
        answer = self.chat(made, path="/s", stream=True)
        events = answer.body.decode().split("\n\n")
        self.assertEqual((answer.status, events[0], events[2]), (200, "data: 1", "data: [DONE]"))
        error = json.loads(events[1].removeprefix("data: "))["error"]
        self.assertEqual((error["type"], error["code"]), ("GatewayTimeoutError", 504))
        self.assertIn("idle deadline", error["message"])

    def test_durations_are_those_of_the_gateway_api(self):
        """GEP-2257: hours to milliseconds, up to four of them; 0s is none."""
        rows = {"1h": 200, "1m1s": 200, "0s": 200, "300ms": 504, "0h0m0s300ms": 504}
        engine = self.engine("llama")
        self.addCleanup(engine.server.go_on.release, len(rows))
        rules = [rule(prefix(f"/{text}"), backends=to("llama"), timeouts={"request": text}) for text in rows]
        made = self.start({}, {"llama": [engine.port]}, rules=rules)
        for text, status in rows.items():
            with self.subTest(text), concurrent.futures.ThreadPoolExecutor(1) as thread:
                answer = thread.submit(self.chat, made, path=f"/{text}", held=True)
                if status == 200:
                    self.assertTrue(engine.server.arrived.acquire(timeout=PATIENCE))
                    engine.server.go_on.release()
                self.assertEqual(answer.result().status, status)


class Limits(World):
    def test_connections_beyond_the_limit_wait(self):
        engine = self.engine("llama")
        made = self.start({"limits": {"maxConnections": 2}}, {"llama": [engine.port]}, "--loops", "1")
        with concurrent.futures.ThreadPoolExecutor(3) as threads:
            running = [threads.submit(self.chat, made, path="/llama", held=True) for _ in range(2)]
            for _ in running:
                self.assertTrue(engine.server.arrived.acquire(timeout=PATIENCE))
            third = threads.submit(self.chat, made, path="/llama")
            self.assertFalse(engine.server.arrived.acquire(timeout=0.2))
            self.assertFalse(third.done())
            for _ in running:
                engine.server.go_on.release()
            self.assertEqual([each.result().status for each in (*running, third)], [200] * 3)

    def test_bodies_have_a_size_and_all_of_them_together(self):
        engine = self.engine("llama")
        made = self.start({"limits": {"maxBodyBytes": 2000, "heldBodyBytes": 3000},
                           "timeouts": {"endpointWait": "100ms"}}, {"llama": [engine.port]})
        self.assertEqual(self.chat(made, path="/llama", padding="x" * 3000).status, 413)
        with concurrent.futures.ThreadPoolExecutor(1) as thread:
            first = thread.submit(self.chat, made, path="/llama", held=True, padding="x" * 1800)
            self.assertTrue(engine.server.arrived.acquire(timeout=PATIENCE))
            second = self.chat(made, path="/llama", padding="x" * 1800)
            self.assertEqual(second.status, 503)
            self.assertIn("memory for request bodies", second.json["error"]["message"])
            engine.server.go_on.release()
            self.assertEqual(first.result().status, 200)
        self.assertEqual(self.chat(made, path="/llama", padding="x" * 1800).status, 200)


class Endpoints(World):
    def test_a_service_without_ready_endpoints_is_503(self):
        made = self.start({"timeouts": {"endpointWait": "50ms"}}, {"empty": []})
        answer = self.chat(made, path="/empty")
        self.assertEqual((answer.status, answer.json["error"]["code"]), (503, 503))
        self.assertIn("retry-after", answer.headers)

    def test_a_session_stays_with_its_engine(self):
        engines = [self.engine("m") for _ in range(4)]
        made = self.start({"unified": {"sessionHeader": "x-session-id"}}, {"m": [each.port for each in engines]})
        self.until_known(made, "m")

        def engine_of(session):
            before = [len(each.requests) for each in engines]
            self.assertEqual(self.chat(made, "m", {"x-session-id": f"session {session}"}).status, 200)
            return next(i for i, each in enumerate(engines) if len(each.requests) > before[i])

        wait_for("all engines are known", lambda: len({engine_of(i) for i in range(20)}) == 4)
        chosen = [engine_of(session) for session in range(10)]
        for _ in range(3):
            self.assertEqual([engine_of(session) for session in range(10)], chosen)

    def test_an_engine_that_fails_is_left_alone_and_comes_back(self):
        good, dead = self.engine("llama"), self.engine("llama")
        port = dead.port
        dead.close()
        made = self.start({"unified": {"enabled": False}}, {"llama": [good.port, port]})
        for _ in range(60):
            self.assertEqual(self.chat(made, path="/llama").status, 200)
        self.assertEqual(self.metric(made, "llmd_gateway_ejected_endpoints"), 1)
        # Five failures in a row; nobody asks it after that, but once a pause is over.
        self.assertIn(self.metric(made, "llmd_gateway_retries_total"), range(5, 10))
        back = Upstream("llama", Engine, port=port)
        self.addCleanup(back.close)
        wait_for("it to serve again", lambda: self.chat(made, path="/llama").status == 200 and back.requests)


if __name__ == "__main__":
    unittest.main()
