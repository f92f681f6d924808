"""What a waiter leaves in Redis: nothing, where the message names its inbox."""

from __future__ import annotations

from collections.abc import Callable

from tests.redis_server import RedisServer

from umbel import Umbel
from umbel.redis import keys


def test_only_a_waiter_whose_inbox_is_not_named_leaves_a_watch(
    redis_server: RedisServer, prefix: str, producer: Callable[..., Umbel]
) -> None:
    app = producer(redis_server)
    app.results.wait("begin").cancel()
    named = [app.send_task("t"), app.task(name="t")(print).delay()]
    unnamed = app.AsyncResult("unnamed")
    for result in (*named, unnamed):
        app.results.wait(result.id, result._inbox).cancel()
    with redis_server.client() as client:
        assert not client.exists(*(keys.result(prefix, result.id) for result in named))
        assert client.exists(keys.result(prefix, unnamed.id))
        client.delete(*client.keys(f"{prefix}:*"))
