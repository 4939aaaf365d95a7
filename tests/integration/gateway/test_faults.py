"""Every way an upstream can fail, with and without streaming, through a real `llmd gateway`: each cell ends within
its bound with the documented error (docs/reference/gateway-errors.md). Then many at random, and nothing is left:
LLMD_RANDOM_FAULTS=10000 asks for more of them."""

import concurrent.futures
import http.client
import json
import os
import random
import unittest

from harness import Gateway, Upstream, gateway, prefix, route, rule, service, to, wait_for
from misbehaving import FAULTS, Misbehaving

# What the client sees: a status with a part of the error's message; "cut" is an answer that ends too early, "event"
# a stream that ends with an error event and [DONE].
CELLS = {
    ("refuses", False): (503, "connect to 127.0.0.1"), ("refuses", True): (503, "connect to 127.0.0.1"),
    ("resets before bytes", False): (503, "127.0.0.1"), ("resets before bytes", True): (503, "127.0.0.1"),
    ("resets mid-stream", False): ("cut", ""), ("resets mid-stream", True): ("event", "127.0.0.1"),
    ("freezes before bytes", False): (504, "response from 127.0.0.1"),
    ("freezes before bytes", True): (504, "response from 127.0.0.1"),
    ("freezes mid-stream", False): ("cut", ""), ("freezes mid-stream", True): ("event", "response body from 127.0.0.1"),
    ("sends garbage", False): (502, "status line"), ("sends garbage", True): (502, "status line"),
    ("closes early", False): (503, "without an answer"), ("closes early", True): (503, "without an answer"),
}
COUNT = int(os.environ.get("LLMD_RANDOM_FAULTS", "300"))
WARM_UP = 100  # random faults before memory is looked at the first time
BOUND = 30  # seconds; the deadlines below are 2 s, three attempts
MEMORY_BOUND = 8  # MiB that may be held more than before: the allocator keeps some of what it once had


CONFIGURATION = {"timeouts": {"connect": "2s", "firstByte": "2s", "idle": "2s"}, "unified": {"enabled": False}}


class Faults(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.upstreams = {}
        objects = [gateway()]
        rules = []
        for number, (fault, stream) in enumerate(CELLS):
            upstream = cls.upstreams[fault, stream] = Misbehaving(fault, stream)
            objects += service(f"s{number}", upstream.port)
            rules.append(rule(prefix(f"/{number}"), backends=to(f"s{number}")))
        # An upstream that fails as the request's body says.
        cls.anything = Misbehaving(lambda body: json.loads(body)["fault"], lambda body: json.loads(body)["stream"])
        cls.good = Upstream("good")
        objects += service("anything", cls.anything.port) + service("good", cls.good.port)
        rules += [rule(prefix("/anything"), backends=to("anything")),
                  rule(prefix("/good"), backends=to("good"))]
        cls.gateway = Gateway([*objects, route("faults", *rules[:8]), route("more", *rules[8:])],
                              config=CONFIGURATION)

    @classmethod
    def tearDownClass(cls):
        assert cls.gateway.close() == 0
        for upstream in (*cls.upstreams.values(), cls.anything, cls.good):
            upstream.close()

    def outcome(self, path, body):
        """(what, text) as CELLS describes it."""
        connection = http.client.HTTPConnection(*self.gateway.address, timeout=BOUND)
        try:
            connection.request("POST", path, body=body, headers={"Content-Type": "application/json"})
            response = connection.getresponse()
            text = response.read().decode()
        except http.client.IncompleteRead as error:
            return "cut", error.partial.decode()
        finally:
            connection.close()
        if response.status == 200:
            self.assertTrue(text.startswith("data: 1\n\ndata: {"), text)
            self.assertTrue(text.endswith("\n\ndata: [DONE]\n\n"), text)
            return "event", json.loads(text.split("\n\n")[1].removeprefix("data: "))["error"]["message"]
        error = json.loads(text)["error"]
        self.assertEqual(error["code"], response.status)
        return response.status, error["message"]

    def test_every_cell_ends_with_its_error(self):
        for number, ((fault, stream), (expected, words)) in enumerate(CELLS.items()):
            with self.subTest(fault, stream=stream):
                what, text = self.outcome(f"/{number}", json.dumps({"model": "m", "stream": stream}))
                self.assertEqual(what, expected, text)
                self.assertIn(words, text)

    def fail_at_random(self, count, seed):
        """How many ended otherwise than documented, each printed, and how many did not end."""
        chance = random.Random(seed)
        cells = [(chance.choice(FAULTS), chance.random() < 0.5) for _ in range(count)]

        def one(cell):
            fault, stream = cell
            try:
                return self.outcome("/anything", json.dumps({"model": "m", "stream": stream, "fault": fault}))
            except TimeoutError:
                return "hang", ""

        with concurrent.futures.ThreadPoolExecutor(32) as clients:
            outcomes = list(clients.map(one, cells))
        wrong = 0
        for (fault, stream), (what, text) in zip(cells, outcomes):
            expected = CELLS["resets before bytes" if fault == "refuses" else fault, stream][0]
            if what not in (expected, "hang"):
                wrong += 1
                print(f"{fault}, stream {stream}: {what} instead of {expected}: {text}")
        return wrong, sum(what == "hang" for what, _ in outcomes)

    def test_random_faults_leave_nothing_behind(self):
        self.assertEqual(self.fail_at_random(WARM_UP, seed=1), (0, 0))
        self.assertEqual(self.gateway.ask("/good/warm").served_by, "good")
        descriptors, memory = self.gateway.descriptors(), self.gateway.memory_mib()
        wrong, hangs = self.fail_at_random(COUNT, seed=7)
        self.assertEqual(self.gateway.ask("/good").served_by, "good")
        wait_for("descriptors as before", lambda: self.gateway.descriptors() <= descriptors + 2)
        after = self.gateway.memory_mib()
        print(f"{COUNT} random faults: {wrong} with another end than documented, hangs = {hangs}; descriptors "
              f"{descriptors} → {self.gateway.descriptors()}, memory of its own {memory:.1f} → {after:.1f} MiB")
        self.assertEqual((wrong, hangs), (0, 0))
        if self.gateway.is_sanitized():
            print("SKIPPED: memory as before, because a sanitizer keeps what was freed")
        else:
            self.assertLessEqual(after, memory + MEMORY_BOUND)


if __name__ == "__main__":
    unittest.main()
