"""A Redis user who may do no more than Umbel needs, and one who may do less."""

from __future__ import annotations

from collections.abc import Callable

from tests.redis_server import RedisServer
from tests.workers import ROOT, Worker, until

from umbel import Umbel

S = "tests.sample_app."
GUIDE = ROOT / "docs" / "how-to" / "configure.md"
Start = Callable[..., Worker]


class AsUser:
    """A server as one of its users sees it."""

    def __init__(self, server: RedisServer, *rules: str) -> None:
        with server.client() as client:
            client.execute_command("ACL", "SETUSER", "app", "reset", "on", ">secret", *rules)
        self.url = server.url.replace("redis://", "redis://app:secret@")


def test_a_user_of_the_prefix_alone_is_enough(
    own_redis: RedisServer, prefix: str, start_worker: Start, producer: Callable[..., Umbel]
) -> None:
    line = next(line for line in GUIDE.read_text().splitlines() if line.startswith("ACL SETUSER umbel on >PASSWORD "))
    user = AsUser(own_redis, *line.replace("umbel:", f"{prefix}:").split()[5:])
    worker = start_worker(user, prefix).wait_ready()
    app = producer(user)
    assert app.send_task(S + "add", (1, 2)).get(timeout=20) == 3
    assert app.control.ping(timeout=10.0)
    assert app.broker.info("default").ready == 0
    app.control.purge()
    with own_redis.client() as client:
        assert client.acl_log() == []
    assert not worker.events("listener.reconnect")
    assert worker.stop() == 0


def test_without_channels_tasks_are_run_and_it_is_said_what_to_allow(
    own_redis: RedisServer, prefix: str, start_worker: Start, producer: Callable[..., Umbel]
) -> None:
    user = AsUser(own_redis, f"~{prefix}:*", "resetchannels", "+@all")
    worker = start_worker(user, prefix).wait_ready()
    (told,) = until(lambda: worker.events("listener.reconnect"), "it is said")
    assert told["level"] == "WARNING"
    assert "channels" in told["error"]
    assert producer(user).send_task(S + "add", (1, 2)).get(timeout=20) == 3
    assert worker.stop() == 0
