"""The proxy does what the other tests believe: it passes on, cuts where it is told, delays and refuses."""

from __future__ import annotations

import gc
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import hiredis
import pytest
from tests.chaos.proxy import Act, ChaosProxy, each, first
from tests.ports import free_port
from tests.redis_server import RedisServer


class Client:
    """A client that never connects again by itself."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), 5.0)
        self._parser = hiredis.Reader()

    def send(self, *command: Any) -> None:
        self._socket.sendall(hiredis.pack_command(command))

    def receive(self) -> Any:
        """Return the next answer; ConnectionError when there is none."""
        while (answer := self._parser.gets()) is False:
            data = self._socket.recv(65536)
            if not data:
                raise ConnectionResetError("closed")
            self._parser.feed(data)
        return answer

    def call(self, *command: Any) -> Any:
        self.send(*command)
        return self.receive()

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def proxy(redis_server: RedisServer) -> Iterator[ChaosProxy]:
    proxy = ChaosProxy(redis_server.port)
    proxy.start()
    yield proxy
    proxy.stop()


@pytest.fixture
def connect(proxy: ChaosProxy) -> Iterator[Any]:
    """Makes clients of the proxy."""
    clients: list[Client] = []

    def make() -> Client:
        clients.append(Client(proxy.port))
        return clients[-1]

    yield make
    for client in clients:
        client.close()


@pytest.fixture
def direct(redis_server: RedisServer, prefix: str) -> Iterator[Client]:
    """A client of the server itself; deletes the key of the test."""
    client = Client(redis_server.port)
    yield client
    client.call("DEL", prefix)
    client.close()


def test_commands_and_answers_pass(connect: Any, proxy: ChaosProxy, direct: Client, prefix: str) -> None:
    client = connect()
    value = bytes(range(256)) * 5000
    assert client.call("SET", prefix, value) == b"OK"
    assert client.call("GET", prefix) == value
    assert "WRONGTYPE" in str(client.call("LPUSH", prefix, "x"))
    assert direct.call("GET", prefix) == value
    assert proxy.passed[b"GET"] == 1
    assert proxy.cut.total() == 0


def test_pipelines_keep_their_order(connect: Any, direct: Client, prefix: str) -> None:
    client = connect()
    for number in range(500):
        client.send("RPUSH", prefix, number)
    client.send("LRANGE", prefix, 0, -1)
    assert [client.receive() for _ in range(500)] == list(range(1, 501))
    assert client.receive() == [str(number).encode() for number in range(500)]


def test_a_cut_in_place_of_the_answer_lets_the_server_work(
    connect: Any, proxy: ChaosProxy, direct: Client, prefix: str
) -> None:
    proxy.rule = first(1, b"INCR")
    with pytest.raises(ConnectionError):
        connect().call("INCR", prefix)
    assert direct.call("GET", prefix) == b"1"
    assert connect().call("INCR", prefix) == 2
    assert (proxy.cut[b"INCR"], proxy.passed[b"INCR"]) == (1, 1)


def test_a_cut_before_the_command_keeps_it_from_the_server(
    connect: Any, proxy: ChaosProxy, direct: Client, prefix: str
) -> None:
    proxy.rule = first(1, b"INCR", Act.CUT_BEFORE)
    with pytest.raises(ConnectionError):
        connect().call("INCR", prefix)
    assert direct.call("GET", prefix) is None
    assert connect().call("INCR", prefix) == 1


def test_every_nth_is_cut_over_all_connections(connect: Any, proxy: ChaosProxy, direct: Client, prefix: str) -> None:
    proxy.rule = each(3, b"INCR")
    failed = []
    client = connect()
    for number in range(1, 10):
        try:
            assert client.call("incr", prefix) == number
        except ConnectionError:
            failed.append(number)
            client = connect()
    assert failed == [3, 6, 9]
    assert direct.call("GET", prefix) == b"9"


def test_a_cut_takes_the_answers_behind_it_with_it(
    connect: Any, proxy: ChaosProxy, direct: Client, prefix: str
) -> None:
    proxy.rule = first(1, b"INCR")
    client = connect()
    client.send("INCR", prefix)
    client.send("GET", prefix)
    with pytest.raises(ConnectionError):
        client.receive()


def test_answers_come_late(connect: Any, proxy: ChaosProxy) -> None:
    client = connect()
    client.call("PING")
    proxy.delay = 0.1
    began = time.monotonic()
    client.call("PING")
    assert time.monotonic() - began >= 0.1


def test_who_is_refused_gets_nothing_until_all_is_well(connect: Any, proxy: ChaosProxy) -> None:
    client = connect()
    client.call("PING")
    proxy.refuse()
    with pytest.raises(ConnectionError):
        client.call("PING")
    for _ in range(3):
        with pytest.raises(ConnectionError):
            connect().call("PING")
    proxy.accept()
    assert connect().call("PING") == b"PONG"


def test_a_blocking_command_is_cut_while_it_waits(connect: Any, proxy: ChaosProxy, prefix: str) -> None:
    client = connect()
    cut = threading.Timer(0.1, proxy.cut_all)
    cut.start()
    with pytest.raises(ConnectionError):
        client.call("BLPOP", prefix, 4)
    cut.join()


def test_a_client_that_goes_leaves_no_connection_to_the_server(
    connect: Any, direct: Client, proxy: ChaosProxy, prefix: str
) -> None:
    client = connect()
    client.call("CLIENT", "SETNAME", prefix)
    client.close()
    deadline = time.monotonic() + 5.0
    while prefix.encode() in direct.call("CLIENT", "LIST"):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_who_connects_in_the_moment_of_its_end_is_let_go(redis_server: RedisServer) -> None:
    proxy = ChaosProxy(redis_server.port)
    proxy.start()
    # Given a connection that is accepted in the turn of the loop that ends all
    proxy._loop.call_soon_threadsafe(time.sleep, 0.3)
    client = Client(proxy.port)
    ending = threading.Thread(target=proxy.stop)
    ending.start()
    ending.join()
    with pytest.raises(ConnectionError):
        client.call("PING")
    client.close()
    gc.collect()  # a socket that was forgotten is a warning, and so an error, now and not in a later test


def test_a_server_that_is_not_there_is_told_as_a_broken_connection() -> None:
    proxy = ChaosProxy(free_port())
    proxy.start()
    client = Client(proxy.port)
    with pytest.raises(ConnectionError):
        client.call("PING")
    client.close()
    proxy.stop()
