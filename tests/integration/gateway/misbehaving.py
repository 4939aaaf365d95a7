"""Upstreams that fail in a chosen way. Standard library only."""

import socket
import struct

from connections import Connections

HEAD = {
    True: b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n",
    False: b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n",
}
FIRST = {True: b"9\r\ndata: 1\n\n\r\n", False: b'{"half": '}
FAULTS = ("refuses", "resets before bytes", "resets mid-stream", "freezes before bytes", "freezes mid-stream",
          "sends garbage", "closes early")


def reset(connection):
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


class Misbehaving(Connections):
    """Reads a request, then fails by `fault(body)`: a name of FAULTS. Frozen connections stay until the peer
    closes them."""

    def __init__(self, fault, stream):
        self.fault = fault if callable(fault) else lambda _: fault
        self.stream = stream if callable(stream) else lambda _: stream
        super().__init__()
        if fault == "refuses":
            self.close()

    def serve(self, connection):
        try:
            self.misbehave(connection)
        except (OSError, ValueError):  # ValueError: the gateway asked for models, which names no fault
            pass
        finally:
            connection.close()

    def misbehave(self, connection):
        received = b""
        while b"\r\n\r\n" not in received:
            piece = connection.recv(65536)
            if not piece:
                return
            received += piece
        head, body = received.split(b"\r\n\r\n", 1)
        length = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
        length = int(length[0].split(b":")[1]) if length else 0
        while len(body) < length:
            body += connection.recv(65536)
        fault, stream = self.fault(body), self.stream(body)
        if fault.endswith("mid-stream"):
            connection.sendall(HEAD[stream] + FIRST[stream])
        if fault == "sends garbage":
            connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")
        elif fault == "closes early":
            connection.shutdown(socket.SHUT_WR)
        elif fault.startswith("freezes"):
            while connection.recv(65536):
                pass
        elif fault.startswith("resets"):
            reset(connection)
        elif fault == "refuses":  # chosen per request: too late to refuse the connection
            reset(connection)
