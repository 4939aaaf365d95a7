"""GRPCRoutes with stock gRPC (PyPI grpcio): methods of every kind, metadata, deadlines, matches, faults.

Where the package index cannot be reached, the test is skipped loudly (exit 77).
"""

import concurrent.futures
import hashlib
import sys
import tempfile
import threading
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "picker"))

from clients import run_inside  # noqa: E402

if __name__ == "__main__":
    run_inside(__file__)

import grpc  # noqa: E402

from harness import (GATEWAY_API, PATIENCE, Gateway, backend_tls, certificate, gateway, meta, service, to,  # noqa: E402
                     wait_for)


class Server:
    """The service test.Echo; messages are bytes. Each method says how it likes to be called."""

    def __init__(self, name, pair=None):
        self.name = name
        self.ended = threading.Event()
        self.remaining = []
        self.server = grpc.server(concurrent.futures.ThreadPoolExecutor(16))
        methods = {
            "Unary": grpc.unary_unary_rpc_method_handler(self.unary),
            "Many": grpc.unary_stream_rpc_method_handler(self.many),
            "Sum": grpc.stream_unary_rpc_method_handler(self.sum),
            "Talk": grpc.stream_stream_rpc_method_handler(self.talk),
            "Fail": grpc.unary_stream_rpc_method_handler(self.fail),
            "Hang": grpc.unary_unary_rpc_method_handler(self.hang),
        }
        handlers = [grpc.method_handlers_generic_handler(each, methods) for each in ("test.Echo", "test.Other")]
        self.server.add_generic_rpc_handlers(handlers)
        if pair:
            crt, key = pair
            self.port = self.server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([(key, crt)]))
        else:
            self.port = self.server.add_insecure_port("127.0.0.1:0")
        self.server.start()

    def close(self):
        self.server.stop(0).wait(PATIENCE)

    def unary(self, message, context):
        context.send_initial_metadata((("x-server", self.name),))
        context.set_trailing_metadata((("x-behind", "trailer"), ("x-binary-bin", b"\0\1")))
        seen = dict(context.invocation_metadata())
        return message + b"|" + seen.get("x-added", "").encode()

    def many(self, message, context):
        for number in range(int(message)):
            yield str(number).encode()

    def sum(self, messages, context):
        return str(sum(int(each) for each in messages)).encode()

    def talk(self, messages, context):
        for each in messages:
            yield each.upper()

    def fail(self, message, context):
        for number in range(int(message)):
            yield str(number).encode()
        context.abort(grpc.StatusCode.DATA_LOSS, "lost: 100 % ü")

    def hang(self, message, context):
        self.remaining.append(context.time_remaining())
        context.add_callback(self.ended.set)
        self.ended.wait(PATIENCE)
        return b""


def grpc_route(*rules, name="g", hosts=()):
    return {"apiVersion": GATEWAY_API, "kind": "GRPCRoute", "metadata": meta(name),
            "spec": {"parentRefs": [{"name": "gateway"}], "rules": list(rules), "hostnames": list(hosts)}}


def method(service_name=None, method_name=None, kind="Exact"):
    named = {"type": kind}
    if service_name:
        named["service"] = service_name
    if method_name:
        named["method"] = method_name
    return {"method": named}


class Grpc(unittest.TestCase):
    def server(self, name):
        made = Server(name)
        self.addCleanup(made.close)
        return made

    def start(self, *rules, servers=None, config=None):
        servers = servers or [self.server("a"), self.server("b")]
        objects = [gateway(), grpc_route(*(rules or [{"backendRefs": to("a")}]))]
        for each in servers:
            objects += service(each.name, each.port)
        made = Gateway(objects, config=config)
        self.addCleanup(made.close)
        channel = grpc.insecure_channel("%s:%d" % made.address)
        self.addCleanup(channel.close)
        self.servers = {each.name: each for each in servers}
        self.gateway = made
        return channel

    def call(self, channel, message=b"x", path="/test.Echo/Unary", **more):
        return channel.unary_unary(path).with_call(message, timeout=PATIENCE, **more)

    def served_by(self, channel, **more):
        return dict(self.call(channel, **more)[1].initial_metadata())["x-server"]

    def status_of(self, call):
        with self.assertRaises(grpc.RpcError) as raised:
            call()
        return raised.exception.code(), raised.exception.details()

    def test_one_message_each_way_with_metadata_and_trailers(self):
        answer, call = self.call(self.start(), b"\0hello")
        self.assertEqual(answer, b"\0hello|")
        self.assertEqual(call.code(), grpc.StatusCode.OK)
        behind = dict(call.trailing_metadata())
        self.assertEqual((behind["x-behind"], behind["x-binary-bin"]), ("trailer", b"\0\1"))

    def test_streams_of_every_kind(self):
        channel = self.start()
        many = channel.unary_stream("/test.Echo/Many")(b"1000", timeout=PATIENCE)
        self.assertEqual([int(each) for each in many], list(range(1000)))
        total = channel.stream_unary("/test.Echo/Sum")((str(each).encode() for each in range(1000)), timeout=PATIENCE)
        self.assertEqual(int(total), sum(range(1000)))

    def test_a_conversation(self):
        """The next message is sent only when the answer to the one before is there."""
        heard = threading.Semaphore(1)

        def say():
            for word in (b"one", b"two", b"three"):
                heard.acquire(timeout=PATIENCE)
                yield word

        answers = []
        for answer in self.start().stream_stream("/test.Echo/Talk")(say(), timeout=PATIENCE):
            answers.append(answer)
            heard.release()
        self.assertEqual(answers, [b"ONE", b"TWO", b"THREE"])

    def test_large_messages(self):
        message = b"x" * 3_000_000
        self.assertEqual(self.call(self.start(), message)[0], message + b"|")

    def test_errors_of_the_server_arrive_as_they_are(self):
        channel = self.start()
        for count in (b"0", b"3"):
            with self.subTest(count):
                call = channel.unary_stream("/test.Echo/Fail")
                self.assertEqual(self.status_of(lambda: list(call(count, timeout=PATIENCE))),
                                 (grpc.StatusCode.DATA_LOSS, "lost: 100 % ü"))
        self.assertEqual(self.status_of(lambda: self.call(channel, path="/test.Echo/No"))[0],
                         grpc.StatusCode.UNIMPLEMENTED)

    def test_a_deadline_travels_and_ends_the_call_everywhere(self):
        channel = self.start()
        code, _ = self.status_of(lambda: channel.unary_unary("/test.Echo/Hang")(b"", timeout=5))
        self.assertEqual(code, grpc.StatusCode.DEADLINE_EXCEEDED)
        server = self.servers["a"]
        self.assertTrue(server.ended.wait(PATIENCE))
        self.assertTrue(0 < server.remaining[0] <= 5, server.remaining)

    def test_a_call_that_is_cancelled_ends_at_the_server(self):
        channel = self.start()
        call = channel.unary_unary("/test.Echo/Hang").future(b"", timeout=PATIENCE)
        server = self.servers["a"]
        wait_for("the call arrived", lambda: server.remaining)
        call.cancel()
        self.assertTrue(server.ended.wait(PATIENCE))

    def test_matches(self):
        table = [
            ([method("test.Echo", "Unary")], "/test.Echo/Unary", {}, True),
            ([method("test.Echo", "Unary")], "/test.Other/Unary", {}, False),
            ([method("test.Echo")], "/test.Echo/Unary", {}, True),
            ([method("test.Echo")], "/test.Other/Unary", {}, False),
            ([method(None, "Unary")], "/test.Other/Unary", {}, True),
            ([method(None, "Unar")], "/test.Other/Unary", {}, False),
            ([method("test[.].*", "Un.*", "RegularExpression")], "/test.Other/Unary", {}, True),
            ([method("test", "Unary", "RegularExpression")], "/test.Other/Unary", {}, False),
            ([{"headers": [{"name": "X-Kind", "value": "new"}]}], "/test.Echo/Unary", {"x-kind": "new"}, True),
            ([{"headers": [{"name": "X-Kind", "value": "new"}]}], "/test.Echo/Unary", {"x-kind": "old"}, False),
        ]
        for matches, path, metadata, hit in table:
            with self.subTest(matches=matches, path=path, metadata=metadata):
                channel = self.start({"matches": matches, "backendRefs": to("a")}, {"backendRefs": to("b")})
                self.assertEqual(self.served_by(channel, path=path, metadata=tuple(metadata.items())),
                                 "a" if hit else "b")

    def test_weights_and_filters(self):
        added = {"type": "RequestHeaderModifier", "requestHeaderModifier": {"set": [{"name": "x-added", "value": "1"}]}}
        channel = self.start({"backendRefs": to(("a", 3), ("b", 1)), "filters": [added]})
        self.assertEqual(self.call(channel)[0], b"x|1")
        served = [self.served_by(channel) for _ in range(80)]
        self.assertTrue(55 <= served.count("a") <= 65, served.count("a"))

    def test_servers_with_tls(self):
        with tempfile.TemporaryDirectory() as name:
            pair = certificate(Path(name), "up.example")
        server = Server("a", pair)
        self.addCleanup(server.close)
        made = Gateway([gateway(), grpc_route({"backendRefs": to("a")}), *service("a", server.port),
                        *backend_tls("a", "up.example", pair[0])])
        self.addCleanup(made.close)
        channel = grpc.insecure_channel("%s:%d" % made.address)
        self.addCleanup(channel.close)
        self.assertEqual(self.served_by(channel), "a")
        answers = channel.stream_stream("/test.Echo/Talk")(iter([b"one", b"two"]), timeout=PATIENCE)
        self.assertEqual(list(answers), [b"ONE", b"TWO"])

    def test_keys_that_may_use_some_models_only_may_not_call(self):
        keys = [{"name": name, "hash": "sha256:" + hashlib.sha256(name.encode()).hexdigest(), **more}
                for name, more in (("all", {}), ("some", {"models": ["m"]}))]
        channel = self.start(config={"apiKeys": keys})
        self.assertEqual(self.served_by(channel, metadata=(("authorization", "Bearer all"),)), "a")
        code, _ = self.status_of(lambda: self.call(channel, metadata=(("authorization", "Bearer some"),)))
        self.assertEqual(code, grpc.StatusCode.PERMISSION_DENIED)
        self.assertEqual(self.status_of(lambda: self.call(channel))[0], grpc.StatusCode.UNAUTHENTICATED)

    def test_what_nobody_serves(self):
        channel = self.start({"matches": [method("test.Echo")], "backendRefs": to("none")})
        self.assertEqual(self.status_of(lambda: self.call(channel))[0], grpc.StatusCode.UNAVAILABLE)
        self.assertEqual(self.status_of(lambda: self.call(channel, path="/other.Service/Method"))[0],
                         grpc.StatusCode.UNIMPLEMENTED)

    def test_a_server_that_is_gone_is_replaced_before_and_told_of_after(self):
        first, second = self.server("a"), self.server("b")
        objects = [gateway(), grpc_route({"backendRefs": to("both")}), *service("both", first.port, second.port)]
        made = Gateway(objects)
        self.addCleanup(made.close)
        channel = grpc.insecure_channel("%s:%d" % made.address)
        self.addCleanup(channel.close)
        self.assertEqual({self.served_by(channel) for _ in range(10)}, {"a", "b"})
        first.close()
        self.assertEqual({self.served_by(channel) for _ in range(10)}, {"b"})
        call = channel.unary_unary("/test.Echo/Hang").future(b"", timeout=PATIENCE)
        wait_for("the call arrived", lambda: second.remaining)
        second.close()
        self.assertIn(self.status_of(call.result)[0], (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED))


if __name__ == "__main__":
    unittest.main()
