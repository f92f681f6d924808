"""A small HTTP server for probes: each path is answered by a function, in a thread of its own."""

from __future__ import annotations

import logging
import os
import socket
import sys
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from umbel.control.calls import Call, Handler, Response

log = logging.getLogger("umbel.http")

#: Longest request body that is read.
BODY_LIMIT = 1 << 20


class HealthServer:
    """Answers HTTP on one port until it is stopped.

    Args:
        port: 0 for any free one.
        host: address to listen on; every one of this machine unless given or set as UMBEL_HEALTH_HOST.
        routes: (method, path) -> handler; a path that ends in ``/`` also takes what follows it.
    """

    def __init__(self, port: int, routes: Mapping[tuple[str, str], Handler], host: str | None = None) -> None:
        handler = type("_Handler", (_RequestHandler,), {"routes": dict(routes)})
        address = os.environ.get("UMBEL_HEALTH_HOST", "") if host is None else host
        everywhere = not address and socket.has_dualstack_ipv6()
        server = _DualStackServer if everywhere else _Server
        self._server = server(("::" if everywhere else address, port), handler)
        self._thread = threading.Thread(target=self._server.serve_forever, name="umbel-health", daemon=True)

    @property
    def port(self) -> int:
        """The port that is listened on."""
        return int(self._server.server_address[1])

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def join(self, timeout: float | None = None) -> None:
        self._thread.join(timeout)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Log what went wrong with one request; a prober that hangs up early is not worth more than DEBUG."""
        gone = isinstance(sys.exception(), (ConnectionError, TimeoutError))
        log.log(logging.DEBUG if gone else logging.ERROR, "http.failed", exc_info=not gone)


class _DualStackServer(_Server):
    """Listens on IPv6 and IPv4: probes come by the pod's address, whichever that is."""

    address_family = socket.AF_INET6

    def server_bind(self) -> None:
        self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()


class _RequestHandler(BaseHTTPRequestHandler):
    routes: Mapping[tuple[str, str], Handler]
    protocol_version = "HTTP/1.1"
    timeout = 10

    def do_GET(self) -> None:
        self._answer("GET")

    def do_POST(self) -> None:
        self._answer("POST")

    def _answer(self, method: str) -> None:
        path = self.path.partition("?")[0]
        handler = self.routes.get((method, path)) or self.routes.get((method, path.rpartition("/")[0] + "/"))
        said = self.headers.get("content-length") or "0"
        if not said.isdecimal():
            self.close_connection = True
            self._send(Response(400, b"Content-Length must be a number\n"))
            return
        length = int(said)
        if length > BODY_LIMIT:
            self.close_connection = True
            self._send(Response(413, b"the body is too long\n"))
            return
        body = self.rfile.read(length) if length else b""
        if handler is None:
            self._send(Response(404, b"not found\n"))
            return
        self._send(handler(Call(path, {name.lower(): value for name, value in self.headers.items()}, body)))

    def _send(self, response: Response) -> None:
        self.send_response(response.status)
        for name, value in response.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Type", response.content_type)
        self.send_header("Content-Length", str(0 if response.status == 304 else len(response.body)))
        self.end_headers()
        if response.status != 304:
            self.wfile.write(response.body)

    def log_message(self, format: str, *args: object) -> None:
        """Probes come every few seconds: say nothing."""
