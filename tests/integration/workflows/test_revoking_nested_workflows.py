"""A workflow of ten levels is revoked half-way: nothing of it runs afterwards, and no key of it is left after the expiry."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.redis_server import RedisServer
from tests.signatures import Shape, chain, chord, task
from tests.workers import Worker, runs, until

from umbel import Umbel
from umbel.canvas.sending import send
from umbel.errors import TaskRevokedError

LEVELS = 10


def nested(level: int, folder: str) -> Shape:
    """Each level is a chord around the one below; half-way a task waits."""
    if level == 0:
        return task("constant", 0)
    below = nested(level - 1, folder)
    if level == LEVELS // 2:
        below = chain(below, task("wait_for", folder))
    return chord([below, task("constant", level)], task("total", 0, f"level-{level}"))


def test_a_workflow_of_ten_levels_is_revoked_half_way(
    redis_server: RedisServer,
    prefix: str,
    start_worker: Callable[..., Worker],
    producer: Callable[..., Umbel],
    tmp_path: Path,
) -> None:
    app = producer(redis_server, workflow_kept=1, workflow_expires=600)
    start_worker(redis_server, prefix, app="tests.workflow_app:app").wait_ready()
    result = send(app, nested(LEVELS, str(tmp_path)))
    (running,) = until(lambda: list(tmp_path.glob("running-*")), "it has come half-way", 60)
    ledger = tmp_path / "ledger"
    until(lambda: len(runs(ledger, "total")) == LEVELS // 2 - 1, "all below has run", 60)
    until(lambda: len(runs(ledger, "constant")) == LEVELS + 1, "so has what was sent at once with it", 60)
    result.parent.results[1].revoke()
    with pytest.raises(TaskRevokedError):
        result.get(timeout=60)
    before = len(runs(ledger, "total")) + len(runs(ledger, "constant"))
    (tmp_path / "go").touch()
    until(lambda: runs(ledger, "waited"), "what ran already has run to its end")

    def keys() -> list[str]:
        with redis_server.client() as client:
            return [key.decode() for key in client.scan_iter(f"{prefix}:*", count=1000)]

    until(
        lambda: not [key for key in keys() if key.endswith((":graph", ":state", ":value"))], "the workflow is gone", 60
    )
    send(app, task("constant", "last")).get(timeout=60)
    assert len(runs(ledger, "total")) + len(runs(ledger, "constant")) == before + 1
    with redis_server.client() as client:
        assert all(client.pttl(key) != -1 for key in keys() if ":w:" in key or key.endswith(":res"))
    assert running.exists()


def test_size_is_linear(redis_server: RedisServer, prefix: str, producer: Callable[..., Umbel]) -> None:
    app = producer(redis_server)

    def stored(shape: Shape) -> int:
        with redis_server.client() as client:
            before = {key: client.memory_usage(key, samples=0) for key in client.scan_iter(f"{prefix}:*", count=10_000)}
            send(app, shape)
            now = {key: client.memory_usage(key, samples=0) for key in client.scan_iter(f"{prefix}:*", count=10_000)}
        return sum(now.values()) - sum(before.values())

    def a_chain(size: int) -> Shape:
        return chain(*(task("add", 1) for _ in range(size)))

    def a_chord(size: int) -> Shape:
        return chord([task("add", 1) for _ in range(size)], task("total"))

    for made in (a_chain, a_chord):
        once, twice = stored(made(400)), stored(made(800))
        assert twice < 2.3 * once, made
    for queue in app.broker.queues():
        app.broker.purge(queue)


def test_no_message_grows_with_the_workflow(
    redis_server: RedisServer, prefix: str, producer: Callable[..., Umbel]
) -> None:
    app = producer(redis_server)
    sizes = []
    for size in (10, 1000):
        send(app, chain(*(task("add", 1) for _ in range(size))))
        with redis_server.client() as client:
            (message,) = client.lrange(f"{prefix}:{{default}}:r:5", -1, -1)
        sizes.append(len(message))
    assert abs(sizes[0] - sizes[1]) < 20
    app.broker.purge("default")
