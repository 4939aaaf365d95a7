"""How long a cancelled client goes unnoticed upstream: from the client closing its connection to the upstream seeing
the end of its own, through a real gateway, in the middle of a stream."""

import contextlib
import http.client
import selectors
import socket
import threading
import time

import gateway_config
import processes
import report

ADDRESS = "127.33.0.9"
TIMES = 200
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n9\r\ndata: 1\n\n\r\n"
LIST = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"


class Endless:
    """Begins a stream for every POST, and notes when its connection ends."""

    def __init__(self, port):
        self.listener = socket.create_server((ADDRESS, port))
        self.ended = None
        self.seen = threading.Event()
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        waiting = selectors.DefaultSelector()
        waiting.register(self.listener, selectors.EVENT_READ)
        while True:
            for key, _ in waiting.select():
                if key.fileobj is self.listener:
                    try:
                        waiting.register(self.listener.accept()[0], selectors.EVENT_READ)
                    except OSError:
                        return
                elif not self.answer(key.fileobj):
                    waiting.unregister(key.fileobj)
                    key.fileobj.close()

    def answer(self, connection):
        now = time.perf_counter()
        try:
            request = connection.recv(65536)
        except ConnectionResetError:
            request = b""
        if request:
            connection.sendall(HEAD if request.startswith(b"POST") else LIST)
        else:
            self.ended = now
            self.seen.set()
        return bool(request)


def once(upstream, port):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("POST", "/v1/completions", body='{"stream": true}')
    first = connection.getresponse().read(9)
    if first != b"data: 1\n\n":
        raise RuntimeError(f"the stream began with {first!r}")
    upstream.seen.clear()
    closed = time.perf_counter()
    connection.sock.shutdown(socket.SHUT_RDWR)
    connection.close()
    if not upstream.seen.wait(10):
        raise RuntimeError("a cancelled request went on for 10 s")
    return (upstream.ended - closed) * 1000


def measure(plan, folder):
    with contextlib.ExitStack() as stack:
        upstream_port, port = processes.free_port(), processes.free_port()
        upstream = Endless(upstream_port)
        stack.callback(upstream.listener.close)
        manifests = gateway_config.write_manifests(folder / "cancel", [ADDRESS], upstream_port)
        command = [plan.llmd, "gateway", "-f", manifests, "--host", "127.0.0.1", "--port", port, "--admin", "none"]
        process = stack.enter_context(processes.running(command, plan.build / "bench" / "cancel.log"))
        processes.wait_ready(f"http://127.0.0.1:{port}/v1/models", process)
        took = sorted(once(upstream, port) for _ in range(TIMES))
    p99 = took[int(len(took) * 0.99)]
    print(f"cancelled clients: p50 {took[len(took) // 2]:.2f}, p99 {p99:.2f}, longest {took[-1]:.2f} ms", flush=True)
    figure = report.Figure("a cancelled client is cancelled upstream, p99", "ms", [p99], at_most=10)
    figure.note = f"{TIMES} times; median {took[len(took) // 2]:.2f} ms, longest {took[-1]:.2f} ms"
    return figure
