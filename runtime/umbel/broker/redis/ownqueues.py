"""Queues of single workers on Redis."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

from umbel.broker.data import Outgoing
from umbel.broker.redis.entering import newer_layout
from umbel.clock import full_milliseconds
from umbel.errors import LayoutError
from umbel.redis import keys, scripts
from umbel.redis.connection import Argument, RedisConnection
from umbel.redis.pool import Pool

T = TypeVar("T")

#: Queues to which one step publishes.
CHUNK: Final = 100


class RedisOwnQueues:
    """See `umbel.broker.ownqueues.OwnQueues`.

    Args:
        pool: the broker's connections.
        prefix: of all keys.
    """

    def __init__(self, pool: Pool, prefix: str) -> None:
        self._pool = pool
        self._prefix = prefix

    def agree(self, queue: str, name: str, value: bytes, ttl: float) -> bytes:
        key = keys.agreed(self._prefix, queue, name)
        commands: list[tuple[Argument, ...]] = [
            (b"SET", key, value, b"NX", b"PX", full_milliseconds(ttl)),
            (b"GET", key),
        ]
        _, kept = self._run(lambda connection: connection.call_many(commands))
        return value if kept is None else bytes(kept)

    def publish(self, name: str, messages: Sequence[tuple[str, Outgoing]], ttl: float) -> list[str]:
        refused: list[str] = []
        for start in range(0, len(messages), CHUNK):
            part = messages[start : start + CHUNK]
            calls = [self._call(name, queue, outgoing, ttl) for queue, outgoing in part]

            def work(connection: RedisConnection, part: Any = part, calls: Any = calls) -> list[Any]:
                connection.call(b"SADD", keys.queue_names(self._prefix), *(queue for queue, _ in part))
                return scripts.publish_once.run_many(connection, calls)

            for (queue, _), answer in zip(part, self._run(work), strict=True):
                if answer[0] == b"layout":
                    raise LayoutError(newer_layout(queue, answer[1]))
                if answer[0] == b"closed":
                    refused.append(queue)
        return refused

    def _call(self, name: str, queue: str, outgoing: Outgoing, ttl: float) -> tuple[list[str], list[Argument]]:
        own = keys.queue(self._prefix, queue)
        guard = keys.copied(self._prefix, queue, name)
        names = [guard, own.meta, own.bell, own.eta, *own.ready, own.fair, own.clocks]
        delay = full_milliseconds(outgoing.delay)
        return names, [keys.LAYOUT, full_milliseconds(ttl), 0, outgoing.payload, delay]

    def _run(self, work: Callable[[RedisConnection], T]) -> T:
        return self._pool.run(work, repeat=True)
