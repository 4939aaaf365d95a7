"""HTTP/2 frames by hand (RFC 9113), for peers that do what libraries would not. Header blocks are literals that
no table remembers. Standard library only."""

import struct

from connections import Connections

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM, ACK, END_HEADERS = 1, 1, 4
ERRORS = ["NO_ERROR", "PROTOCOL_ERROR", "INTERNAL_ERROR", "FLOW_CONTROL_ERROR", "SETTINGS_TIMEOUT", "STREAM_CLOSED",
          "FRAME_SIZE_ERROR", "REFUSED_STREAM", "CANCEL", "COMPRESSION_ERROR", "CONNECT_ERROR", "ENHANCE_YOUR_CALM"]


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def number(value, prefix=7):
    """An integer of HPACK (RFC 7541, 5.1)."""
    most = (1 << prefix) - 1
    if value < most:
        return bytes([value])
    out, value = bytes([most]), value - most
    while value >= 128:
        out, value = out + bytes([value % 128 + 128]), value // 128
    return out + bytes([value])


def block(fields):
    out = b""
    for name, value in fields:
        name, value = (each if isinstance(each, bytes) else each.encode() for each in (name, value))
        out += b"\0" + number(len(name)) + name + number(len(value)) + value
    return out


def request(*more, method="GET", path="/", authority="any.example", scheme="http"):
    return [(":method", method), (":scheme", scheme), (":path", path), (":authority", authority), *more]


class Reader:
    def __init__(self, connection):
        self.stream = connection.makefile("rb")

    def __iter__(self):
        """(kind, flags, stream, payload) until the peer closes."""
        while True:
            try:
                head = self.stream.read(9)
                if len(head) < 9:
                    return
                payload = self.stream.read(int.from_bytes(head[:3], "big"))
            except ConnectionResetError:
                return
            yield head[3], head[4], int.from_bytes(head[5:9], "big") & 0x7FFFFFFF, payload


class Server(Connections):
    """Takes requests of prior-knowledge clients and answers each with head, body and trailers. Remembers which
    frames came."""

    def __init__(self, trailers=()):
        self.trailers = trailers
        self.frames = []
        super().__init__()

    def serve(self, connection):
        with connection:
            reader = Reader(connection)
            if reader.stream.read(len(PREFACE)) != PREFACE:
                return
            connection.sendall(frame(SETTINGS, 0, 0))
            for kind, flags, stream, payload in reader:
                self.frames.append((kind, flags, stream, payload))
                if kind == SETTINGS and not flags & ACK:
                    connection.sendall(frame(SETTINGS, ACK, 0))
                elif kind == PING and not flags & ACK:
                    connection.sendall(frame(PING, ACK, 0, payload))
                elif kind == DATA and payload:
                    more = struct.pack(">I", len(payload))
                    connection.sendall(frame(WINDOW_UPDATE, 0, 0, more) + frame(WINDOW_UPDATE, 0, stream, more))
                if kind in (DATA, HEADERS) and flags & END_STREAM:
                    self.answer(connection, stream)

    def answer(self, connection, stream):
        head = block([(":status", "200"), ("content-type", "text/plain"), ("x-upstream", "h2c")])
        out = frame(HEADERS, END_HEADERS, stream, head)
        out += frame(DATA, 0 if self.trailers else END_STREAM, stream, b"over HTTP/2")
        if self.trailers:
            out += frame(HEADERS, END_HEADERS | END_STREAM, stream, block(self.trailers))
        connection.sendall(out)
