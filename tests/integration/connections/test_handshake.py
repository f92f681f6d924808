"""Opening a connection: credentials, databases, sockets of each kind, and what is said where it fails."""

from __future__ import annotations

import gc
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.ports import free_port
from tests.redis_server import RedisServer
from tests.workers import until

from umbel.broker.redis import RedisBroker
from umbel.errors import ImproperlyConfigured, OperationalError
from umbel.redis.connection import ConnectionBroken
from umbel.redis.endpoint import Endpoint
from umbel.redis.place import Place

PLACES = {
    "redis://": ("localhost", 6379, None, 0, None, None, None),
    "redis://h:1/3": ("h", 1, None, 3, None, None, None),
    "redis://h/?db=4": ("h", 6379, None, 4, None, None, None),
    "redis://h/3?db=4&client_name=me": ("h", 6379, None, 4, None, None, "me"),
    "redis://:p%40ss%2Fw%25@h": ("h", 6379, None, 0, None, "p@ss/w%", None),
    "redis://us%3Aer:pw@h:2": ("h", 2, None, 0, "us:er", "pw", None),
    "redis://h?username=u&password=p%20w": ("h", 6379, None, 0, "u", "p w", None),
    "redis://[::1]:7/1": ("::1", 7, None, 1, None, None, None),
    "redis://h?max_connections=3&socket_timeout=1": ("h", 6379, None, 0, None, None, None),
    "unix:///run/re%20dis.sock?db=2&password=x": ("localhost", 6379, "/run/re dis.sock", 2, None, "x", None),
}


@pytest.mark.parametrize(("url", "place"), PLACES.items())
def test_a_url_is_read(url: str, place: tuple[object, ...]) -> None:
    assert Place.read(url) == Place(*place)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("http://h", "http"),
        ("redis://h:port/0", "port"),
        ("redis://h/zero", "zero"),
        ("redis://h?passwort=x", "passwort"),
    ],
)
def test_a_url_that_cannot_be_read_says_why_without_its_password(url: str, says: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=says) as caught:
        Endpoint(url.replace("//", "//u:secret@")).connect(20.0)
    assert "redis://HOST:PORT/DATABASE" in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A server with a password, a user with few permissions, a Unix socket, and IPv6 if the machine has it."""
    path = tmp_path_factory.mktemp("redis") / "s.sock"
    server = RedisServer(arguments=("--unixsocket", str(path)))
    server.start()
    with server.client() as client:
        client.acl_setuser("guest", enabled=True, passwords=["++gu/e st%"], commands=["+ping"], keys=["*"])
        client.config_set("requirepass", "p@ss:w/rd%")
    yield server
    server.remove()


PASSWORD = "p%40ss%3Aw%2Frd%25"


def _url(server: RedisServer, credentials: str, rest: str = "/0") -> str:
    return f"redis://{credentials}@127.0.0.1:{server.port}{rest}"


def _ask(url: str, *command: str) -> object:
    connection = Endpoint(url).connect(20.0)
    try:
        return connection.call(*command)
    finally:
        connection.close()


def test_passwords_users_names_and_databases(guarded: RedisServer) -> None:
    info = _ask(_url(guarded, f":{PASSWORD}", "/5?client_name=me"), "CLIENT", "INFO")
    assert isinstance(info, bytes)
    assert b" name=me " in info
    assert b" db=5 " in info
    assert _ask(_url(guarded, f"default:{PASSWORD}"), "PING") == b"PONG"
    # This user may not even SELECT; database 0 needs none.
    assert _ask(_url(guarded, "guest:%2Bgu%2Fe%20st%25"), "PING") == b"PONG"


def test_a_unix_socket(guarded: RedisServer) -> None:
    path = guarded._arguments[1]
    assert _ask(f"unix://:{PASSWORD}@{path}?db=1", "PING") == b"PONG"
    with pytest.raises(ConnectionBroken, match="No such file"):
        Endpoint(f"unix://{path}.not").connect(20.0)


@pytest.mark.parametrize(
    ("credentials", "says"),
    [
        (":wrong", "invalid username-password pair"),
        ("nobody:wrong", "invalid username-password pair"),
        ("", "Authentication required"),
    ],
)
def test_refused_credentials_are_an_error_that_is_not_tried_again(
    guarded: RedisServer, prefix: str, credentials: str, says: str
) -> None:
    broker = RedisBroker(_url(guarded, credentials), prefix=prefix, publish_timeout=30.0)
    began = time.monotonic()
    with pytest.raises(
        OperationalError, match=f"refuses the credentials .{says}.*check the user name and the password"
    ):
        broker.ping()
    assert time.monotonic() - began < 20


def test_credentials_where_none_are_wanted(redis_server: RedisServer) -> None:
    with pytest.raises(OperationalError, match=r"credentials .*called without any password"):
        Endpoint(_url(redis_server, ":x")).connect(20.0)


def test_a_database_that_does_not_exist(redis_server: RedisServer) -> None:
    with pytest.raises(ConnectionBroken, match="DB index is out of range"):
        Endpoint(f"redis://127.0.0.1:{redis_server.port}/999").connect(20.0)


def test_a_user_that_may_not_select_its_database(guarded: RedisServer) -> None:
    with pytest.raises(ConnectionBroken, match="NOPERM"):
        Endpoint(_url(guarded, "guest:%2Bgu%2Fe%20st%25", "/1")).connect(20.0)


def test_files_are_read_at_each_connect(guarded: RedisServer, tmp_path: Path) -> None:
    user, password = tmp_path / "username", tmp_path / "password"
    user.write_text("default\n")
    password.write_text("old\n")
    endpoint = Endpoint(f"redis://127.0.0.1:{guarded.port}", str(user), str(password))
    with pytest.raises(OperationalError, match="refuses the credentials"):
        endpoint.connect(20.0)
    password.write_text("p@ss:w/rd%\n")
    endpoint.connect(20.0).close()
    password.unlink()
    with pytest.raises(ImproperlyConfigured, match="credentials file"):
        endpoint.connect(20.0)


def test_nobody_there() -> None:
    port = free_port()
    with pytest.raises(ConnectionBroken, match=rf"Error 111 connecting to 127\.0\.0\.1:{port}\. Connection refused\."):
        Endpoint(f"redis://127.0.0.1:{port}").connect(20.0)


@pytest.mark.skipif(not socket.has_ipv6, reason="this machine has no IPv6")
def test_an_ipv6_address() -> None:
    with socket.socket(socket.AF_INET6) as listening:
        try:
            listening.bind(("::1", 0))
        except OSError:
            pytest.skip("this machine has no ::1")
        listening.listen()
        _answering(listening, b"+OK\r\n")
        Endpoint(f"redis://[::1]:{listening.getsockname()[1]}").connect(20.0).close()


def _answering(listening: socket.socket, *answers: bytes) -> None:
    """Take one client, and say these bytes with pauses between, whatever it says."""

    def serve() -> None:
        client, _ = listening.accept()
        with client:
            client.recv(1000)
            for answer in answers:
                client.sendall(answer)
                time.sleep(0.02)

    threading.Thread(target=serve, daemon=True).start()


@pytest.mark.parametrize(
    ("answers", "says"),
    [
        ((b"-ERR max number of clients reached\r\n",), "max number of clients reached"),
        ((b"-LOADING Redis is loading the dataset in memory\r\n",), "LOADING"),
        ((b"HTTP/1.1 400 Bad Request\r\n",), "no Redis"),
        ((b"+O",), "closed the connection"),
        ((b".",) * 0, "closed the connection"),
        ((b"+O", b"K", b"\r", b"\n"), None),
    ],
)
def test_what_a_server_may_say_first(answers: tuple[bytes, ...], says: str | None) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        _answering(listening, *answers)
        endpoint = Endpoint(f"redis://127.0.0.1:{listening.getsockname()[1]}")
        if says is None:
            endpoint.connect(20.0).close()
            return
        with pytest.raises(ConnectionBroken, match=says) as caught:
            endpoint.connect(20.0)
        assert not caught.value.sent


def test_a_server_that_says_nothing_is_given_up_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        began = time.monotonic()
        with pytest.raises(ConnectionBroken, match="Timeout reading from"):
            Endpoint(f"redis://127.0.0.1:{listening.getsockname()[1]}").connect(0.3)
        assert 0.2 < time.monotonic() - began < 15.0


def test_closing_wakes_who_reads(redis_server: RedisServer) -> None:
    connection = Endpoint(redis_server.url).connect(20.0)
    woken: list[BaseException] = []

    def read() -> None:
        try:
            connection.receive(30.0)
        except ConnectionBroken as error:
            woken.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    time.sleep(0.1)
    connection.close()
    reader.join(20.0)
    assert woken


def test_redis_py_is_not_imported_without_tls(redis_server: RedisServer, prefix: str) -> None:
    program = f"""
import sys
from umbel.broker.redis import RedisBroker
from umbel.results.redis import RedisResults
RedisBroker({redis_server.url!r}, prefix={prefix!r}).ping()
RedisResults({redis_server.url!r}, prefix={prefix!r}).get("x")
import umbel.worker.start
print("redis" in sys.modules)
"""
    assert subprocess.check_output([sys.executable, "-c", program], text=True).strip() == "False"


@pytest.mark.filterwarnings("error")
def test_a_connection_that_is_dropped_closes_itself(redis_server: RedisServer) -> None:
    connection = Endpoint(redis_server.url).connect(20.0)
    number = connection.call("CLIENT", "ID")
    del connection
    gc.collect()
    with redis_server.client() as client:
        until(lambda: number not in {int(each["id"]) for each in client.client_list()}, "it is gone")


def test_a_descriptor_that_somebody_else_closed_is_a_broken_connection(redis_server: RedisServer) -> None:
    connection = Endpoint(redis_server.url).connect(20.0)
    os.close(connection.fileno())
    with pytest.raises(ConnectionBroken):
        connection.call("PING")
    connection.close()
