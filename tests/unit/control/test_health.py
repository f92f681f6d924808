"""The probes' server: routes, bodies, and where it listens."""

from __future__ import annotations

import socket
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest

from umbel.control.calls import Call, Response
from umbel.control.health import BODY_LIMIT, HealthServer


def _echo(call: Call) -> Response:
    return Response(202, call.path.encode() + b" " + call.body, headers={"ETag": '"1"'})


@pytest.fixture
def server() -> Iterator[HealthServer]:
    routes = {
        ("GET", "/livez"): lambda call: Response(200, b"ok\n"),
        ("GET", "/pools/"): _echo,
        ("POST", "/gone"): _echo,
    }
    started = HealthServer(0, routes)
    started.start()
    yield started
    started.stop()
    started.join(20)


def _ask(server: HealthServer, path: str, body: bytes | None = None, host: str = "127.0.0.1") -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(f"http://{host}:{server.port}{path}", data=body, timeout=20) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def test_routes(server: HealthServer) -> None:
    assert _ask(server, "/livez?verbose=1") == (200, b"ok\n")
    assert _ask(server, "/pools/mail") == (202, b"/pools/mail ")
    assert _ask(server, "/gone", b"{}") == (202, b"/gone {}")
    assert _ask(server, "/livez", b"{}")[0] == 404
    assert _ask(server, "/nothing")[0] == 404


def test_a_body_that_is_too_long_is_not_read(server: HealthServer) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as client:
        client.sendall(f"POST /gone HTTP/1.1\r\nHost: x\r\nContent-Length: {BODY_LIMIT + 1}\r\n\r\n".encode())
        assert client.recv(100).startswith(b"HTTP/1.1 413")


@pytest.mark.parametrize("length", ["-1", "many"])
def test_a_length_that_is_none_is_refused_at_once(server: HealthServer, length: str) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as client:
        client.sendall(f"POST /gone HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n".encode())
        assert client.recv(100).startswith(b"HTTP/1.1 400")


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this machine has no IPv6")
def test_it_listens_on_both_families(server: HealthServer) -> None:
    assert _ask(server, "/livez", host="[::1]") == (200, b"ok\n")


def test_a_host_narrows_where_it_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UMBEL_HEALTH_HOST", "127.0.0.1")
    narrowed = HealthServer(0, {("GET", "/livez"): lambda call: Response(200, b"ok\n")})
    narrowed.start()
    try:
        assert _ask(narrowed, "/livez")[0] == 200
        with pytest.raises(ConnectionRefusedError), socket.create_connection(("127.0.0.2", narrowed.port), timeout=20):
            pass
    finally:
        narrowed.stop()
        narrowed.join(20)
