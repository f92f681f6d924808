"""The way through Sentinel: who is asked, who is believed, and with which credentials."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.conformance.making import outgoing
from tests.ports import free_port
from tests.redis_sentinels import SentinelTrio
from tests.redis_server import RedisServer
from tests.workers import until

from umbel.broker.redis import RedisBroker
from umbel.errors import ImproperlyConfigured, OperationalError
from umbel.redis.connection import ConnectionBroken
from umbel.redis.endpoint import Endpoint


@pytest.fixture(scope="module")
def trio() -> Iterator[SentinelTrio]:
    """Servers that want a password, and Sentinels that want another."""
    trio = SentinelTrio(password="dat%a", sentinel_password="wat/ch")
    trio.start()
    yield trio
    trio.remove()


def _url(trio: SentinelTrio, user: str = ":dat%25a@", query: str = "?sentinel_password=wat%2Fch") -> str:
    return trio.url.replace("//", f"//{user}") + query


def _port(endpoint: Endpoint) -> int:
    connection = endpoint.connect(20.0)
    try:
        return int(connection.call(b"CONFIG", b"GET", b"port")[1])
    finally:
        connection.close()


def test_the_master_is_found(trio: SentinelTrio) -> None:
    master = trio.master()
    assert master is not None
    assert _port(Endpoint(_url(trio))) == master.port


def test_credentials_may_stand_in_files(trio: SentinelTrio, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("credentials")
    data, watch = folder / "data", folder / "watch"
    data.write_text("dat%a\n")
    watch.write_text("wat/ch\n")
    endpoint = Endpoint(trio.url, password_file=str(data), sentinel_password_file=str(watch))
    assert _port(endpoint) in [server.port for server in trio.servers]


def test_a_sentinel_that_is_gone_is_passed_over(trio: SentinelTrio) -> None:
    url = _url(trio).replace("@", f"@127.0.0.1:{free_port()},", 1)
    assert _port(Endpoint(url)) in [server.port for server in trio.servers]


def test_wrong_credentials_are_said_to_be_so(trio: SentinelTrio) -> None:
    with pytest.raises(OperationalError, match=r"Redis at 127.0.0.1:\d+/0 refuses the credentials"):
        Endpoint(_url(trio, ":wrong@")).connect(20.0)
    with pytest.raises(OperationalError, match="refuses the credentials"):
        Endpoint(_url(trio, query="?sentinel_password=wrong")).connect(20.0)
    with pytest.raises(OperationalError, match="NOAUTH"):
        Endpoint(_url(trio, user="", query="")).connect(20.0)


def test_a_name_that_no_sentinel_knows_is_told(trio: SentinelTrio) -> None:
    with pytest.raises(ConnectionBroken, match="knows no master 'secondary'"):
        Endpoint(_url(trio).replace("/primary/", "/secondary/")).connect(20.0)


def test_nobody_there_names_all_that_were_asked() -> None:
    ports = (free_port(), free_port())
    broker = RedisBroker(f"redis+sentinel://:secret@127.0.0.1:{ports[0]},127.0.0.1:{ports[1]}/m", publish_timeout=0.3)
    with pytest.raises(OperationalError) as raised:
        broker.publish("q", [outgoing("a")])
    for port in ports:
        assert f"127.0.0.1:{port}" in str(raised.value)
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("redis+sentinel://h:1,h:2", "the name of the master is missing"),
        ("redis+sentinel://h:1/m/x", "'x' is no database number"),
        ("redis+sentinel://h:x/m", "'x' is no port"),
        ("redis+sentinel:///m", "it names no server"),
        ("redis+sentinel://h/m?master=x", "there is no parameter 'master'"),
    ],
)
def test_a_url_that_cannot_be_meant_is_refused(url: str, said: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=said):
        Endpoint(url).connect(1.0)


def test_sentinels_may_share_the_password_of_the_servers() -> None:
    """As charts set it up: one password, which both want."""
    trio = SentinelTrio(password="one", sentinel_password="one")
    trio.start()
    try:
        assert _port(Endpoint(_url(trio, ":one@", ""))) in [server.port for server in trio.servers]
    finally:
        trio.remove()


def test_a_replica_that_takes_no_writes_is_left(redis_server: RedisServer, prefix: str) -> None:
    """Without Sentinel, where an address moves on to the new master: the next try connects anew."""
    own = RedisServer()
    own.start()
    broker = RedisBroker(own.url, prefix=prefix)
    try:
        broker.publish("q", [outgoing("a")])
        with own.client() as client:
            client.config_set("replica-priority", 0)
            client.replicaof("127.0.0.1", str(redis_server.port))
            until(lambda: _is_replica(own), "it is a replica")
            broker._pool.deadline = 1.5
            before = client.info("stats")["total_connections_received"]
            with pytest.raises(OperationalError, match="READONLY"):
                broker.publish("q", [outgoing("b")])
            assert client.info("stats")["total_connections_received"] > before + 1
    finally:
        broker.close()
        own.remove()


def _is_replica(server: RedisServer) -> bool:
    with server.client() as client:
        return bool(client.role()[0] == b"slave")
