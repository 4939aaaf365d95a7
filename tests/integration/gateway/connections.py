"""A server of raw connections: a thread for each. Standard library only."""

import contextlib
import socket
import threading


class Connections:
    """serve(connection) is the subclass's; connections that come after close() are refused."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def close(self):
        with contextlib.suppress(OSError):  # closed before
            self.listener.shutdown(socket.SHUT_RDWR)  # wakes who accepts; closing alone would let one more in
        self.listener.close()
