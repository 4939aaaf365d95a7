"""What peers may not do on a listener of `llmd gateway`, over HTTP/1.1 and HTTP/2: each is refused as the
standards say, nothing reaches an upstream by it, and the next client is served."""

import re
import socket
import struct
import unittest

from harness import PATIENCE, Echo, Gateway, Upstream, gateway, prefix, route, rule, service, to
from http2_frames import (ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, ERRORS, GOAWAY, HEADERS, PING, PREFACE,
                          PRIORITY, PUSH_PROMISE, RST_STREAM, SETTINGS, WINDOW_UPDATE, Reader, Server, block, frame,
                          request)

HELLO = PREFACE + frame(SETTINGS, 0, 0)
POST = "POST /x HTTP/1.1\r\nHost: a\r\n"


def get(stream=1, end=True, fields=None):
    return frame(HEADERS, END_HEADERS | (END_STREAM if end else 0), stream, block(fields or request()))


def setting(identifier, value):
    return struct.pack(">HI", identifier, value)


# Name: what is sent after the hello, the error of GOAWAY. None: the connection may end in any way.
CONNECTION_ERRORS = {
    "data on an idle stream": (frame(DATA, 0, 1, b"x"), "PROTOCOL_ERROR"),
    "data on stream 0": (frame(DATA, 0, 0, b"x"), "PROTOCOL_ERROR"),
    "headers on stream 0": (frame(HEADERS, END_HEADERS, 0, block(request())), "PROTOCOL_ERROR"),
    "an even stream": (get(2), "PROTOCOL_ERROR"),
    "a push": (frame(PUSH_PROMISE, END_HEADERS, 1, b"\0\0\0\2" + block(request())), "PROTOCOL_ERROR"),
    "settings on a stream": (frame(SETTINGS, 0, 1), "PROTOCOL_ERROR"),
    "settings of five bytes": (frame(SETTINGS, 0, 0, b"12345"), "FRAME_SIZE_ERROR"),
    "settings acknowledged with settings": (frame(SETTINGS, ACK, 0, setting(1, 1)), "FRAME_SIZE_ERROR"),
    "a window of 2^31 in settings": (frame(SETTINGS, 0, 0, setting(4, 1 << 31)), "FLOW_CONTROL_ERROR"),
    "frames of 100 bytes in settings": (frame(SETTINGS, 0, 0, setting(5, 100)), "PROTOCOL_ERROR"),
    "a push that is 2 in settings": (frame(SETTINGS, 0, 0, setting(2, 2)), "PROTOCOL_ERROR"),
    "a ping of seven bytes": (frame(PING, 0, 0, b"1234567"), "FRAME_SIZE_ERROR"),
    "a ping on a stream": (frame(PING, 0, 1, b"12345678"), "PROTOCOL_ERROR"),
    "a goodbye on a stream": (frame(GOAWAY, 0, 1, b"\0" * 8), "PROTOCOL_ERROR"),
    "a window that grows by nothing": (frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", 0)), "PROTOCOL_ERROR"),
    "a window past 2^31": (frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", 0x7FFFFFFF)), "FLOW_CONTROL_ERROR"),
    "a window of an idle stream": (frame(WINDOW_UPDATE, 0, 7, struct.pack(">I", 1)), "PROTOCOL_ERROR"),
    "a window of three bytes": (frame(WINDOW_UPDATE, 0, 0, b"123"), "FRAME_SIZE_ERROR"),
    "a reset of an idle stream": (frame(RST_STREAM, 0, 1, b"\0\0\0\0"), "PROTOCOL_ERROR"),
    "a reset of three bytes": (get(1, end=False) + frame(RST_STREAM, 0, 1, b"123"), "FRAME_SIZE_ERROR"),
    "a frame larger than allowed": (get(1, end=False) + frame(DATA, 0, 1, b"x" * 20_000), "FRAME_SIZE_ERROR"),
    "headers that do not go on": (frame(HEADERS, 0, 1, block(request())) + frame(PING, 0, 0, b"12345678"),
                                  "PROTOCOL_ERROR"),
    "a continuation of nothing": (frame(CONTINUATION, END_HEADERS, 1, block(request())), "PROTOCOL_ERROR"),
    "headers that are no HPACK": (frame(HEADERS, END_HEADERS | END_STREAM, 1, b"\xff\xff\xff\xff\xff\xff"),
                                  "COMPRESSION_ERROR"),
    "an index outside of the tables": (frame(HEADERS, END_HEADERS | END_STREAM, 1, b"\xfe"), "COMPRESSION_ERROR"),
    "padding longer than the frame": (frame(HEADERS, END_HEADERS | 8, 1, b"\xff" + block(request())),
                                      "PROTOCOL_ERROR"),
    "a flood of continuations": (frame(HEADERS, 0, 1, block(request())) +
                                 b"".join(frame(CONTINUATION, 0, 1, block([(f"x-{i}", "y" * 100)]))
                                          for i in range(2000)), None),
    "a flood of empty continuations": (frame(HEADERS, 0, 1, block(request())) + frame(CONTINUATION, 0, 1) * 20_000,
                                       None),
    "a flood of settings": (frame(SETTINGS, 0, 0) * 20_000, None),
    "streams that are reset at once": (b"".join(get(2 * i + 1, end=False) + frame(RST_STREAM, 0, 2 * i + 1, b"\0\0\0\x08")
                                                for i in range(10_000)), None),
}

# Name: the fields of a request. The stream is reset, or answered 400; the connection goes on.
STREAM_ERRORS = {
    "no method": [field for field in request() if field[0] != ":method"],
    "no path": [field for field in request() if field[0] != ":path"],
    "no scheme": [field for field in request() if field[0] != ":scheme"],
    "an empty path": request(path=""),
    "two paths": [*request(), (":path", "/y")],
    "a pseudo header behind others": [("x", "y"), *request()],
    "an unknown pseudo header": [*request(), (":unknown", "x")],
    "an answer's pseudo header": [*request(), (":status", "200")],
    "capitals in a name": request(("X-Upper", "x")),
    "a connection header": request(("connection", "close")),
    "chunks": request(("transfer-encoding", "chunked")),
    "an upgrade": request(("upgrade", "websocket")),
    "te that is not trailers": request(("te", "gzip")),
    "a line feed in a value": request(("x", "a\r\nHost: b")),
    "a null byte in a value": request(("x", b"a\0b")),
    "a space in a name": request(("x y", "z")),
    "a line feed in the path": request(path="/x HTTP/1.1\r\nHost: b\r\n\r\nGET /y"),
    "a space in the path": request(path="/x y"),
    "a length and no body": request(("content-length", "5"), method="POST"),
    "two lengths": request(("content-length", "0"), ("content-length", "1"), method="POST"),
    "an authority with a path": request(authority="a/b"),
    "an authority with credentials": request(authority="u@a"),
}

# Name: what is sent in HTTP/1.1, beside what test_data_plane.py has.
SMUGGLING = {
    "chunks spelled with a tab": POST + "Transfer-Encoding:\tchunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\nGET /y HTTP/1.1\r\n\r\n",
    "chunks behind another coding": POST + "Transfer-Encoding: gzip, chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
    "chunks with a vertical tab": POST + "Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    "chunks in quotes": POST + "Transfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n",
    "chunks in a folded line": POST + "Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
    "a name with a null byte": POST + "Transfer-Encoding\0: chunked\r\n\r\n0\r\n\r\n",
    "a line without a colon": POST + "Transfer-Encoding chunked\r\n\r\n0\r\n\r\n",
    "an empty name": POST + ": chunked\r\n\r\n",
    "a length in hexadecimal": POST + "Content-Length: 0x3\r\n\r\nabc",
    "a negative length": POST + "Content-Length: -1\r\n\r\n",
    "a length with a space inside": POST + "Content-Length: 1 0\r\n\r\n0123456789",
    "a length of 30 digits": POST + "Content-Length: 999999999999999999999999999999\r\n\r\nabc",
    "an empty length": POST + "Content-Length:\r\n\r\n",
    "a chunk size that overflows": POST + "Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\nabc\r\n0\r\n\r\n",
    "a negative chunk size": POST + "Transfer-Encoding: chunked\r\n\r\n-1\r\nabc\r\n0\r\n\r\n",
    "a chunk that ends in a line feed": POST + "Transfer-Encoding: chunked\r\n\r\n3\nabc\n0\n\n",
    "a chunk extension with a line feed": POST + "Transfer-Encoding: chunked\r\n\r\n3;a=\nb\r\nabc\r\n0\r\n\r\n",
    "a carriage return alone": POST + "X: a\rTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a space before the first field": "POST /x HTTP/1.1\r\n Host: a\r\n\r\n",
    "two spaces in the first line": "GET  /x HTTP/1.1\r\nHost: a\r\n\r\n",
    "a tab in the first line": "GET\t/x HTTP/1.1\r\nHost: a\r\n\r\n",
    "a version that does not exist": "GET /x HTTP/1.9999\r\nHost: a\r\n\r\n",
    "HTTP/2 without its preface": "GET /x HTTP/2.0\r\nHost: a\r\n\r\n",
    "chunks in HTTP/1.0": "POST /x HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a host with a path": "GET /x HTTP/1.1\r\nHost: a/b\r\n\r\n",
    "a host with credentials": "GET /x HTTP/1.1\r\nHost: u@a\r\n\r\n",
}


class Protocol(unittest.TestCase):
    def setUp(self):
        self.upstream = Upstream("a", Echo)
        self.addCleanup(self.upstream.close)
        self.gateway = Gateway([gateway(), *service("a", self.upstream.port),
                                route("r", rule(prefix("/"), backends=to("a")))])
        self.addCleanup(self.gateway.close)

    def frames_for(self, sent):
        """What the gateway says until it closes, or has answered a ping behind what is sent."""
        with socket.create_connection(self.gateway.address, timeout=PATIENCE) as connection:
            received = []
            try:
                connection.sendall(HELLO + sent + frame(PING, 0, 0, b"the end."))
            except (BrokenPipeError, ConnectionResetError):
                pass  # it has closed before it read everything
            for kind, flags, stream, payload in Reader(connection):
                received.append((kind, flags, stream, payload))
                if kind == GOAWAY or (kind == PING and payload == b"the end."):
                    break
            return received

    def arrived(self):
        """What reached the upstream, without our own requests and the gateway's questions for models."""
        return [each for each in self.upstream.requests if each["target"] not in ("/after", "/v1/models", "/host")]

    def assert_next_is_served(self):
        self.assertEqual(self.gateway.ask("/after").served_by, "a")

    def test_http2_connection_errors(self):
        for row, (sent, error) in CONNECTION_ERRORS.items():
            with self.subTest(row):
                received = self.frames_for(sent)
                goodbyes = [struct.unpack(">II", payload[:8])[1] for kind, _, _, payload in received if kind == GOAWAY]
                self.assertEqual([kind for kind, *_ in received if kind == PING], [], "it went on")
                if error:
                    self.assertEqual([ERRORS[each] for each in goodbyes], [error])
                self.assert_next_is_served()

    def test_http2_stream_errors(self):
        for row, fields in STREAM_ERRORS.items():
            with self.subTest(row):
                with socket.create_connection(self.gateway.address, timeout=PATIENCE) as connection:
                    connection.sendall(HELLO + get(1, fields=fields))
                    frames = iter(Reader(connection))
                    answered = next((kind, payload) for kind, _, stream, payload in frames
                                    if kind == GOAWAY or (kind in (HEADERS, RST_STREAM) and stream == 1))
                    refused = answered[0] == HEADERS and answered[1][:1] == b"\x8c"  # :status 400
                    self.assertTrue(refused or answered[0] == RST_STREAM, answered)
                    connection.sendall(frame(PING, 0, 0, b"the end."))
                    self.assertTrue(any(kind == PING for kind, *_ in frames), "the connection ended, too")
        self.assertEqual(self.arrived(), [])
        self.assert_next_is_served()

    def test_http2_that_is_unusual_and_allowed(self):
        """Unknown frames, priorities, empty data, many settings, headers in pieces: all served."""
        head = block(request())
        rows = {
            "an unknown frame": frame(0xBB, 0xFF, 0, b"?") + get(),
            "an unknown setting": frame(SETTINGS, 0, 0, setting(0xBEEF, 1)) + get(),
            "a priority of an idle stream": frame(PRIORITY, 0, 3, b"\0\0\0\0\x10") + get(),
            "headers in pieces": frame(HEADERS, END_STREAM, 1, head[:5]) + frame(CONTINUATION, 0, 1, head[5:9]) +
                                 frame(CONTINUATION, END_HEADERS, 1, head[9:]),
            "an empty body": get(end=False) + frame(DATA, 0, 1) + frame(DATA, END_STREAM, 1),
            "trailers": get(end=False) + frame(DATA, 0, 1, b"x") +
                        frame(HEADERS, END_HEADERS | END_STREAM, 1, block([("x-behind", "y")])),
            "a reserved bit": frame(HEADERS, END_HEADERS | END_STREAM, 0x80000001, head),
        }
        for row, sent in rows.items():
            with self.subTest(row), socket.create_connection(self.gateway.address, timeout=PATIENCE) as connection:
                connection.sendall(HELLO + sent)
                answered = next((payload for kind, _, stream, payload in Reader(connection)
                                 if kind in (HEADERS, RST_STREAM, GOAWAY) and stream in (0, 1)), b"")
                self.assertEqual(answered[:1], b"\x88", row)  # :status 200 of the static table

    def test_the_authority_counts_not_another_host_beside_it(self):
        with socket.create_connection(self.gateway.address, timeout=PATIENCE) as connection:
            connection.sendall(HELLO + get(1, fields=request(("host", "other.example"), path="/host")))
            self.assertTrue(any(kind == DATA and stream == 1 for kind, _, stream, _ in Reader(connection)))
        arrived = [each["headers"]["host"] for each in self.upstream.requests if each["target"] == "/host"]
        self.assertEqual(arrived, ["any.example"])

    def test_heads_that_are_too_large_are_431(self):
        fields = request(*((f"x-{i}", "y" * 1000) for i in range(100)))
        with socket.create_connection(self.gateway.address, timeout=PATIENCE) as connection:
            text = block(fields)
            sent = frame(HEADERS, END_STREAM, 1, text[:16000])
            pieces = [text[i:i + 16000] for i in range(16000, len(text), 16000)]
            for i, piece in enumerate(pieces):
                sent += frame(CONTINUATION, END_HEADERS if i + 1 == len(pieces) else 0, 1, piece)
            connection.sendall(HELLO + sent)
            answered = next((kind, payload) for kind, _, stream, payload in Reader(connection)
                            if stream == 1 and kind in (HEADERS, RST_STREAM) or kind == GOAWAY)
        self.assertTrue(answered[0] != HEADERS or b"431" in answered[1], answered)
        self.assert_next_is_served()

    def test_nothing_is_smuggled_in_http1(self):
        for row, text in SMUGGLING.items():
            with self.subTest(row):
                received = self.gateway.raw(text.encode("latin-1"))
                self.assertRegex(received, rb"^HTTP/1.1 (400|413|501|505) ")
                self.assertEqual(len(re.findall(rb"HTTP/1.1 \d\d\d ", received)), 1)
        self.assertEqual(self.arrived(), [])
        self.assert_next_is_served()


class Trailers(unittest.TestCase):
    def start(self, upstream, **port):
        made = Gateway([gateway(), *service("u", upstream.port, **port),
                        route("r", rule(prefix("/"), backends=to("u")))])
        self.addCleanup(made.close)
        return made

    def test_of_an_http2_upstream_reach_clients_that_read_them(self):
        upstream = Server(trailers=[("x-behind", "the end"), ("set-cookie", "a=b")])
        self.addCleanup(upstream.close)
        made = self.start(upstream, appProtocol="kubernetes.io/h2c")
        received = made.raw("GET / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nConnection: TE, close\r\n\r\n")
        self.assertRegex(received, rb"(?i)^HTTP/1.1 200 [^\0]*over HTTP/2\r\n0\r\nx-behind: the end\r\n\r\n$")
        received = made.raw("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        self.assertTrue(received.endswith(b"over HTTP/2\r\n0\r\n\r\n"), received)

    def test_of_a_request_reach_an_http2_upstream(self):
        upstream = Server()
        self.addCleanup(upstream.close)
        made = self.start(upstream, appProtocol="kubernetes.io/h2c")
        received = made.raw("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
                            "3\r\nabc\r\n0\r\nX-Sum: 7\r\nX-Prefiller-Host-Port: 6.6.6.6:1\r\n\r\n")
        self.assertIn(b"over HTTP/2", received)
        kinds = [(kind, bool(flags & END_STREAM)) for kind, flags, stream, _ in upstream.frames if stream]
        self.assertEqual(kinds[-1], (HEADERS, True))
        self.assertIn((DATA, False), kinds)

    def test_of_http1_pass_both_ways(self):
        class Behind(Echo):
            def do_POST(self):
                body = b""
                while size := int(self.rfile.readline(), 16):
                    body += self.rfile.read(size + 2)[:-2]
                trailers = b""
                while (line := self.rfile.readline()) not in (b"\r\n", b""):
                    trailers += line
                self.server.requests.append((body, trailers))
                self.wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n"
                                 b"2\r\nok\r\n0\r\nX-Sum: 9\r\nSet-Cookie: a=b\r\n\r\n")

        upstream = Upstream("behind", Behind)
        self.addCleanup(upstream.close)
        received = self.start(upstream).raw(
            "POST / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nTransfer-Encoding: chunked\r\nConnection: TE, close\r\n\r\n"
            "3\r\nabc\r\n0\r\nX-Sum: 7\r\nHost: b\r\n\r\n")
        posted = [each for each in upstream.requests if isinstance(each, tuple)]
        self.assertEqual(posted, [(b"abc", b"X-Sum: 7\r\n")])
        self.assertTrue(received.endswith(b"2\r\nok\r\n0\r\nX-Sum: 9\r\n\r\n"), received)

    def test_one_connection_carries_many_requests_to_an_http2_upstream(self):
        upstream = Server()
        self.addCleanup(upstream.close)
        made = self.start(upstream, appProtocol="kubernetes.io/h2c")
        for _ in range(10):
            answer = made.ask("/", method="POST", body="x" * 100_000)
            self.assertEqual((answer.status, answer.body), (200, b"over HTTP/2"))
        streams = {stream for kind, _, stream, _ in upstream.frames if kind == HEADERS}
        self.assertEqual(len(streams), 10, "all on one connection")


if __name__ == "__main__":
    unittest.main()
