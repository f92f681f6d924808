"""The way with TLS, which redis-py opens: certificates, credentials, and timeouts that hold."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.conformance.making import outgoing
from tests.ports import free_port
from tests.redis_server import RedisServer, server_binary

from umbel.broker.redis import RedisBroker
from umbel.errors import OperationalError, PublishUncertain
from umbel.redis.connection import ConnectionBroken
from umbel.redis.endpoint import Endpoint

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl to make a certificate")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 and redis.example, signed by itself, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    cert, key = folder / "cert.pem", folder / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=redis"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1,DNS:redis.example", "-keyout", str(key), "-out", str(cert)]
    subprocess.run(command, check=True, capture_output=True)
    return cert, key


@pytest.fixture(scope="module")
def tls_port(certificate: tuple[Path, Path]) -> Iterator[tuple[int, RedisServer]]:
    """The port with TLS of a server, and the server."""
    cert, key = certificate
    port = free_port()
    probe = subprocess.run(
        [server_binary(), "--port", "0", "--tls-port", str(port), "--tls-cert-file", "/nowhere"],
        capture_output=True,
        text=True,
        timeout=10,
        check=False,
    )
    if "tls-port" in probe.stderr:
        pytest.skip("this Redis was built without TLS")
    arguments = ("--tls-port", str(port), "--tls-cert-file", str(cert), "--tls-key-file", str(key))
    server = RedisServer(arguments=(*arguments, "--tls-ca-cert-file", str(cert), "--tls-auth-clients", "no"))
    server.start()
    yield port, server
    server.remove()


@pytest.fixture
def broker(
    tls_port: tuple[int, RedisServer],
    certificate: tuple[Path, Path],
    prefix: str,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[RedisBroker]:
    monkeypatch.setenv("UMBEL_BROKER_CA_FILE", str(certificate[0]))
    broker = RedisBroker(f"rediss://127.0.0.1:{tls_port[0]}/1", prefix=prefix, publish_timeout=1.0)
    yield broker
    broker.close()


def test_messages_go_through(broker: RedisBroker) -> None:
    for size in (10, 1_000_000):
        broker.publish("q", [outgoing(str(size), body=b"x" * size)])
    assert broker.info("q").ready == 2


def test_a_silent_server_is_given_up_in_time(broker: RedisBroker, tls_port: tuple[int, RedisServer]) -> None:
    broker.publish("q", [outgoing("a")])
    tls_port[1].pause()
    try:
        began = time.monotonic()
        with pytest.raises(PublishUncertain):
            broker.publish("q", [outgoing("b")])
        assert 0.5 < time.monotonic() - began < 15.0
    finally:
        tls_port[1].go_on()


def test_an_authority_that_is_not_known_is_refused(tls_port: tuple[int, RedisServer]) -> None:
    with pytest.raises(ConnectionBroken, match="certificate"):
        Endpoint(f"rediss://127.0.0.1:{tls_port[0]}").connect(20.0)


def test_refused_credentials(tls_port: tuple[int, RedisServer], certificate: tuple[Path, Path]) -> None:
    endpoint = Endpoint(f"rediss://u:wrong@127.0.0.1:{tls_port[0]}", ca_file=str(certificate[0]))
    with pytest.raises(OperationalError, match="refuses the credentials"):
        endpoint.connect(20.0)


def test_the_certificate_has_to_bear_the_servers_name(
    tls_port: tuple[int, RedisServer], certificate: tuple[Path, Path]
) -> None:
    url, ca = f"rediss://127.0.0.1:{tls_port[0]}", str(certificate[0])
    connection = Endpoint(url, ca_file=ca, server_name="redis.example").connect(20.0)
    assert connection.call(b"PING") == b"PONG"
    connection.close()
    with pytest.raises(ConnectionBroken, match=r"other\.example"):
        Endpoint(url, ca_file=ca, server_name="other.example").connect(20.0)
    # By another name than the certificate's it is reached only where the right one is said.
    with pytest.raises(ConnectionBroken, match="localhost"):
        Endpoint(f"rediss://localhost:{tls_port[0]}", ca_file=ca).connect(20.0)
