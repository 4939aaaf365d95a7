"""GRPCRoutes to InferencePools that are picked for elsewhere, what a picker sees of an answer's trailers, and copies
of calls (RequestMirror). The picker is written here: it says what it was shown.

Where the package index cannot be reached, the test is skipped loudly (exit 77).
"""

import concurrent.futures
import sys
import tempfile
import threading
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "picker"))

from clients import generate_stubs, run_inside  # noqa: E402

if __name__ == "__main__":
    run_inside(__file__)

import grpc  # noqa: E402

STUBS = tempfile.TemporaryDirectory()
generate_stubs(Path(STUBS.name))
import ext_proc_pb2 as pb  # noqa: E402
import ext_proc_pb2_grpc  # noqa: E402

import http2_frames  # noqa: E402
from harness import PATIENCE, Gateway, gateway, prefix, route, rule, service, to, wait_for  # noqa: E402
from test_external_picker import POOL_REF, pod, pool  # noqa: E402
from test_grpc import Server, grpc_route  # noqa: E402

NONE, SEND = 0, 1


def headers_of(message):
    return {each.key: (each.raw_value or each.value.encode()).decode() for each in message.headers}


class Picker(ext_proc_pb2_grpc.ExternalProcessorServicer):
    """Names one endpoint, gives everything back as it came, and adds a field to trailers."""

    def __init__(self, port, mode=None, refuse=None):
        self.port, self.mode, self.refuse = port, mode, refuse
        self.seen = []  # (part, what was in it)
        self.server = grpc.server(concurrent.futures.ThreadPoolExecutor(16))
        ext_proc_pb2_grpc.add_ExternalProcessorServicer_to_server(self, self.server)
        self.own_port = self.server.add_insecure_port("127.0.0.1:0")
        self.server.start()

    def close(self):
        self.server.stop(0).wait(PATIENCE)

    def parts(self):
        return [part for part, _ in self.seen]

    def said(self, part):
        return [what for each, what in self.seen if each == part]

    def Process(self, requests, context):
        for request in requests:
            part = request.WhichOneof("request")
            message = getattr(request, part)
            answer = pb.ProcessingResponse()
            if part in ("request_body", "response_body"):
                self.seen.append((part, message.body))
                streamed = getattr(answer, part).response.body_mutation.streamed_response
                streamed.body, streamed.end_of_stream = message.body, message.end_of_stream
            elif part == "response_trailers":
                self.seen.append((part, headers_of(message.trailers)))
                added = answer.response_trailers.header_mutation.set_headers.add().header
                added.key, added.raw_value = "x-picked", b"seen"
            else:
                self.seen.append((part, headers_of(message.headers)))
                if part == "request_headers" and self.refuse:
                    answer.immediate_response.status.code = self.refuse
                    answer.immediate_response.body = b"go away"
                elif part == "request_headers":
                    added = answer.request_headers.response.header_mutation.set_headers.add().header
                    added.key, added.raw_value = "x-gateway-destination-endpoint", b"127.0.0.1:%d" % self.port
                else:
                    answer.response_headers.SetInParent()
                    if self.mode:
                        answer.mode_override.CopyFrom(self.mode)
            yield answer


class Fixture(unittest.TestCase):
    """The pool knows the server `a`, its picker names `b`."""

    def setUp(self):
        self.servers = {name: self.closing(Server(name)) for name in "ab"}

    def closing(self, made):
        self.addCleanup(made.close)
        return made

    def start(self, picker_port, *routes, failure_mode="FailClose", **more):
        objects = [gateway(), *service("picker", picker_port, appProtocol="kubernetes.io/h2c"),
                   pod("m-0", self.servers["a"].port), pool(self.servers["a"].port, failure_mode), *routes]
        for each in self.servers.values():
            objects += service(each.name, each.port)
        self.gateway = self.closing(Gateway(objects, **more))
        return self.closing(grpc.insecure_channel("%s:%d" % self.gateway.address))

    def call(self, channel, message=b"x", timeout=PATIENCE):
        return channel.unary_unary("/test.Echo/Unary").with_call(message, timeout=timeout)

    def served_by(self, channel):
        return dict(self.call(channel)[1].initial_metadata())["x-server"]

    def status_of(self, call):
        with self.assertRaises(grpc.RpcError) as raised:
            call()
        return raised.exception.code(), raised.exception.details()


class PickedElsewhere(Fixture):
    def start_picked(self, picker, **more):
        return self.start(picker.own_port, grpc_route({"backendRefs": [POOL_REF]}), **more)

    def picker(self, **more):
        return self.closing(Picker(self.servers["b"].port, **more))

    def test_the_picker_sees_the_call_and_names_its_server(self):
        picker = self.picker()
        channel = self.start_picked(picker)
        answer, call = self.call(channel, b"hello")
        self.assertEqual((answer, dict(call.initial_metadata())["x-server"]), (b"hello|", "b"))
        self.assertEqual(picker.said("request_headers")[0][":path"], "/test.Echo/Unary")
        self.assertEqual(b"".join(picker.said("request_body")), b"\0\0\0\0\5hello")
        self.assertEqual(b"".join(picker.said("response_body")), b"\0\0\0\0\6hello|")

    def test_streams_and_large_messages(self):
        channel = self.start_picked(self.picker())
        many = channel.unary_stream("/test.Echo/Many")(b"500", timeout=PATIENCE)
        self.assertEqual([int(each) for each in many], list(range(500)))
        total = channel.stream_unary("/test.Echo/Sum")((str(each).encode() for each in range(500)), timeout=PATIENCE)
        self.assertEqual(int(total), sum(range(500)))
        message = b"x" * 3_000_000
        self.assertEqual(self.call(channel, message)[0], message + b"|")

    def test_the_picker_sees_trailers_and_may_change_them(self):
        picker = self.picker()
        _, call = self.call(self.start_picked(picker))
        behind = dict(call.trailing_metadata())
        self.assertEqual((behind["x-behind"], behind["x-picked"]), ("trailer", "seen"))
        self.assertEqual(picker.parts()[-1], "response_trailers")
        self.assertEqual(picker.said("response_trailers")[0]["grpc-status"], "0")

    def test_trailers_as_the_pickers_mode_says(self):
        for body, trailers in ((NONE, NONE), (NONE, SEND), (4, NONE)):
            with self.subTest(body=body, trailers=trailers):
                picker = self.picker(mode=pb.ProcessingMode(response_body_mode=body, response_trailer_mode=trailers))
                answer, call = self.call(self.start_picked(picker))
                self.assertEqual(answer, b"x|")
                behind = dict(call.trailing_metadata())
                self.assertEqual(behind["x-behind"], "trailer")
                self.assertEqual("x-picked" in behind, trailers == SEND)
                self.assertEqual("response_trailers" in picker.parts(), trailers == SEND)
                self.assertEqual("response_body" in picker.parts(), body != NONE)

    def test_errors_of_the_server_arrive_as_they_are(self):
        channel = self.start_picked(self.picker())
        for count in (b"0", b"3"):
            with self.subTest(count):
                call = channel.unary_stream("/test.Echo/Fail")
                self.assertEqual(self.status_of(lambda: list(call(count, timeout=PATIENCE))),
                                 (grpc.StatusCode.DATA_LOSS, "lost: 100 % ü"))

    def test_a_refusal_is_the_calls_status(self):
        for status, code in ((429, grpc.StatusCode.UNAVAILABLE), (403, grpc.StatusCode.PERMISSION_DENIED)):
            with self.subTest(status):
                channel = self.start_picked(self.picker(refuse=status))
                self.assertEqual(self.status_of(lambda: self.call(channel)), (code, "go away"))

    def test_without_the_picker_the_pool_decides_what_happens(self):
        picker = self.picker()
        self.assertEqual(self.served_by(self.start_picked(picker, failure_mode="FailOpen")), "b")
        closed = self.start_picked(picker)
        picker.close()
        self.assertEqual(self.status_of(lambda: self.call(closed))[0], grpc.StatusCode.UNAVAILABLE)
        self.assertEqual(self.served_by(self.start_picked(picker, failure_mode="FailOpen")), "a")

    def test_a_call_that_does_not_end_cannot_be_picked_for(self):
        channel = self.start_picked(self.picker(), config={"timeouts": {"picker": "1s"}})
        go_on = threading.Event()
        self.addCleanup(go_on.set)

        def say():
            yield b"1"
            go_on.wait(PATIENCE)

        code, details = self.status_of(
            lambda: channel.stream_unary("/test.Echo/Sum")(say(), timeout=PATIENCE))
        self.assertEqual(code, grpc.StatusCode.DEADLINE_EXCEEDED)
        self.assertIn("last message", details)

    def test_trailers_of_http_answers(self):
        upstream = self.closing(http2_frames.Server(trailers=[("x-behind", "the end")]))
        picker = self.closing(Picker(upstream.port))
        engines = pool(upstream.port)
        engines["spec"]["appProtocol"] = "kubernetes.io/h2c"
        made = self.closing(Gateway([gateway(), *service("picker", picker.own_port, appProtocol="kubernetes.io/h2c"),
                                     engines, route("r", rule(prefix("/"), backends=[POOL_REF]))]))
        received = made.raw("GET / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nConnection: TE, close\r\n\r\n")
        self.assertRegex(received, rb"(?is)over HTTP/2\r\n0\r\nx-behind: the end\r\nx-picked: seen\r\n\r\n$")
        self.assertEqual(picker.said("response_trailers"), [{"x-behind": "the end"}])


class Copies(Fixture):
    """Calls are served by `a`; `b` gets copies."""

    def start_copied(self, **more):
        mirror = {"type": "RequestMirror", "requestMirror": {"backendRef": {"name": "b", "port": 8000}, **more}}
        return self.start(1, grpc_route({"backendRefs": to("a"), "filters": [mirror]}))

    def remember(self, name):
        """What the server `name` is told, message by message."""
        server = self.servers[name]
        server.heard = []
        unary, total = server.unary, server.sum

        def remembering(messages):
            for each in messages:
                server.heard.append(each)
                yield each

        handlers = {
            "Unary": grpc.unary_unary_rpc_method_handler(
                lambda message, context: (server.heard.append(message), unary(message, context))[1]),
            "Sum": grpc.stream_unary_rpc_method_handler(
                lambda messages, context: total(remembering(messages), context)),
        }
        server.server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("test.Copied", handlers)])
        return server.heard

    def test_the_same_messages_reach_both(self):
        heard = {name: self.remember(name) for name in "ab"}
        channel = self.start_copied()
        message = b"x" * 300_000
        answer, call = channel.unary_unary("/test.Copied/Unary").with_call(message, timeout=PATIENCE)
        self.assertEqual((answer, dict(call.initial_metadata())["x-server"]), (message + b"|", "a"))
        wait_for("the copy", lambda: heard["b"] == [message])
        numbers = [str(each).encode() for each in range(300)]
        total = channel.stream_unary("/test.Copied/Sum")(iter(numbers), timeout=PATIENCE)
        self.assertEqual(int(total), sum(range(300)))
        wait_for("the copies", lambda: heard["b"] == [message, *numbers])
        self.assertEqual(heard["a"], heard["b"])

    def test_a_part_of_the_calls(self):
        heard = self.remember("b")
        self.remember("a")
        channel = self.start_copied(percent=25)
        for number in range(40):
            channel.unary_unary("/test.Copied/Unary")(str(number).encode(), timeout=PATIENCE)
        wait_for("about a quarter", lambda: len(heard) >= 8)
        self.assertLessEqual(len(heard), 12)

    def test_a_copy_that_nobody_takes_changes_nothing(self):
        self.servers["b"].close()
        channel = self.start_copied()
        self.assertEqual({self.served_by(channel) for _ in range(10)}, {"a"})
        heard = []
        for answer in channel.stream_stream("/test.Echo/Talk")((b"y" * 400_000 for _ in range(20)), timeout=PATIENCE):
            heard.append(len(answer))
        self.assertEqual(heard, [400_000] * 20)


if __name__ == "__main__":
    unittest.main()
