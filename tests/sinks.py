"""Small real servers on loopback that take what the service sends to people: HTTP and SMTP."""

from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Sink:
    """What arrived, oldest first. Answers wait while `is_open` is cleared; `status` is what HTTP answers."""

    port: int = 0
    got: list[Any] = field(default_factory=list)
    asked: threading.Event = field(default_factory=threading.Event)
    is_open: threading.Event = field(default_factory=threading.Event)
    status: int = 200

    def __post_init__(self) -> None:
        self.is_open.set()


@contextmanager
def webhook(port: int = 0) -> Iterator[Sink]:
    """Takes JSON by POST; `got` holds {"path", "body"} of what was answered with 200."""
    sink = Sink()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            sink.asked.set()
            sink.is_open.wait(60)
            if sink.status == 200:
                sink.got.append({"path": self.path, "body": body})
            self.send_response(sink.status)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, *_: Any) -> None:
            """Nothing."""

    with _running(ThreadingHTTPServer(("127.0.0.1", port), Handler), sink):
        yield sink


@contextmanager
def smtp() -> Iterator[Sink]:
    """The least of RFC 5321 that a client without TLS and login needs; `got` holds the messages as text."""
    sink = Sink()

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.wfile.write(b"220 sink\r\n")
            while line := self.rfile.readline():
                word = line[:4].upper().strip()
                if word == b"DATA":
                    self.wfile.write(b"354 go on\r\n")
                    sink.got.append(b"".join(iter(self.rfile.readline, b".\r\n")).decode())
                self.wfile.write(b"221 bye\r\n" if word == b"QUIT" else b"250 ok\r\n")

    with _running(socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler), sink):
        yield sink


@contextmanager
def _running(server: socketserver.TCPServer, sink: Sink) -> Iterator[None]:
    sink.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield
    finally:
        sink.is_open.set()
        server.shutdown()
        server.server_close()
        thread.join()
