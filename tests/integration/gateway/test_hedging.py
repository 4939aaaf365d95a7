"""A real `llmd gateway` with `retries.hedgeAfter`: an answer that is late is asked of a second engine as well."""

import concurrent.futures
import json
import re
import threading
import unittest

from harness import PATIENCE, Echo, Gateway, Upstream, prefix, route, rule, service, to, wait_for

CHAT = {"model": "llama", "messages": [{"role": "user", "content": "hello"}]}


class Engine(Echo):
    """Begins to answer when it may; a stream's head goes out before."""

    def do_GET(self):
        card = {"id": "llama", "object": "model", "created": 1, "owned_by": "vllm"}
        self.send_bytes("application/json", json.dumps({"object": "list", "data": [card]}).encode())

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.requests.append(body)
        events = f"data: {self.server.name}\n\ndata: [DONE]\n\n".encode()
        if body.get("stream"):
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.send_header("Content-Length", str(len(events)))
            self.end_headers()
            self.wfile.flush()
        self.server.arrived.set()
        if not self.server.may_answer.wait(PATIENCE):
            return
        try:
            if body.get("stream"):
                self.wfile.write(events)
            else:
                self.send_bytes("application/json", b"{}")
        except OSError:
            self.server.ended.set()
            return
        # An answer to nobody may still be written; whether somebody is there is known by what it says next.
        self.connection.settimeout(PATIENCE)
        if self.connection.recv(1) == b"":
            self.server.ended.set()
        self.close_connection = True

    def send_bytes(self, kind, payload):
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(payload)))
        self.send_header("X-Upstream", self.server.name)
        self.end_headers()
        self.wfile.write(payload)


class Hedging(unittest.TestCase):
    def engine(self, name, answers=False):
        made = Upstream(name, Engine)
        for flag in ("arrived", "may_answer", "ended"):
            setattr(made.server, flag, threading.Event())
        if answers:
            made.server.may_answer.set()
        self.addCleanup(made.close)
        self.addCleanup(made.server.may_answer.set)
        return made

    def start(self, *ports, retries={"hedgeAfter": "50ms"}, unified=False):
        objects = [route("chat", rule(prefix("/v1"), backends=to("llama"))), *service("llama", *ports)]
        if unified:
            objects = service("llama", *ports)
            objects[0]["metadata"]["labels"] = {"llmd.dev/unified": "true"}
        made = Gateway(objects, config={"retries": retries, "unified": {"enabled": unified, "probeInterval": "1s"}})
        self.addCleanup(made.close)
        if unified:
            wait_for("the model", lambda: made.ask("/v1/models/llama").status == 200)
        return made

    def chat(self, made, **more):
        return made.ask("/v1/chat/completions", method="POST", body=json.dumps({**CHAT, **more}),
                        headers={"Content-Type": "application/json"})

    def metrics(self, made):
        return made.ask("/metrics", host="metrics.example").body.decode()

    def hedges(self, made):
        page = self.metrics(made)
        return {who: int(count) for who, count in
                re.findall(r'^llmd_gateway_hedges_total{served_by="(\w+)"} (\d+)', page, re.MULTILINE)}

    def check_late_engine(self, made, late, **more):
        def quick_answers_although_late_was_asked():
            answer = self.chat(made, **more)
            served_by = answer.body.decode() if more else answer.served_by
            self.assertEqual(answer.status, 200)
            self.assertIn("quick", served_by)
            return late.requests

        wait_for("a request to the late engine", quick_answers_although_late_was_asked)
        self.assertEqual(self.hedges(made), {"second": 1})
        late.server.may_answer.set()
        self.assertTrue(late.server.ended.wait(PATIENCE), "the late engine is told to stop")

    def test_the_answer_of_a_late_engine_comes_from_another(self):
        late, quick = self.engine("late"), self.engine("quick", answers=True)
        self.check_late_engine(self.start(late.port, quick.port), late)

    def test_a_stream_without_its_first_token_is_late_whatever_its_head_says(self):
        late, quick = self.engine("late"), self.engine("quick", answers=True)
        self.check_late_engine(self.start(late.port, quick.port), late, stream=True)

    def test_the_unified_api_hedges_as_well(self):
        late, quick = self.engine("late"), self.engine("quick", answers=True)
        self.check_late_engine(self.start(late.port, quick.port, unified=True), late)

    def test_whoever_begins_first_serves(self):
        for winner in ("first", "second"):
            with self.subTest(winner=winner):
                engines = [self.engine("a"), self.engine("b")]
                made = self.start(*(each.port for each in engines))
                with concurrent.futures.ThreadPoolExecutor(1) as thread:
                    asked = thread.submit(self.chat, made)
                    wait_for("the first engine", lambda: any(each.requests for each in engines))
                    order = sorted(engines, key=lambda each: not each.requests)
                    self.assertTrue(order[1].server.arrived.wait(PATIENCE))
                    serving = order[0] if winner == "first" else order[1]
                    serving.server.may_answer.set()
                    answer = asked.result()
                self.assertEqual((answer.status, answer.served_by), (200, serving.name))
                self.assertEqual([len(each.requests) for each in engines], [1, 1])
                self.assertEqual(self.hedges(made), {winner: 1})

    def test_a_rival_that_is_dead_leaves_the_first_its_time(self):
        late, dead = self.engine("late"), self.engine("dead")
        dead.close()
        made = self.start(late.port, dead.port)
        with concurrent.futures.ThreadPoolExecutor(1) as thread:
            asked = thread.submit(self.chat, made)
            self.assertTrue(late.server.arrived.wait(PATIENCE))
            threading.Timer(0.2, late.server.may_answer.set).start()
            answer = asked.result()
        self.assertEqual((answer.status, answer.served_by), (200, "late"))

    def test_nobody_hedges_who_was_not_told_to(self):
        engines = [self.engine("a"), self.engine("b")]
        made = self.start(*(each.port for each in engines), retries={})
        with concurrent.futures.ThreadPoolExecutor(1) as thread:
            asked = thread.submit(self.chat, made)
            wait_for("an engine", lambda: any(each.requests for each in engines))
            other = next(each for each in engines if not each.requests)
            self.assertFalse(other.server.arrived.wait(0.3))
            for each in engines:
                each.server.may_answer.set()
            self.assertEqual(asked.result().status, 200)
        self.assertEqual(self.hedges(made), {})

    def test_a_client_that_leaves_ends_both(self):
        engines = [self.engine("a"), self.engine("b")]
        made = self.start(*(each.port for each in engines))
        connection = made.connect()
        connection.request("POST", "/v1/chat/completions", body=json.dumps(CHAT),
                           headers={"Content-Type": "application/json"})
        for each in engines:
            self.assertTrue(each.server.arrived.wait(PATIENCE))
        connection.close()
        wait_for("the gateway to notice", lambda: re.search(
            r"^llmd_gateway_running_requests{.*} 1$", self.metrics(made), re.MULTILINE) is None)
        for each in engines:
            each.server.may_answer.set()
            self.assertTrue(each.server.ended.wait(PATIENCE))


if __name__ == "__main__":
    unittest.main()
