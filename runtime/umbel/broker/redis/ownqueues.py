"""Queues of single workers on Redis."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

import orjson

from umbel.broker import ownqueues
from umbel.broker.data import Delivery, Outcome, Outgoing
from umbel.broker.redis.entering import newer_layout
from umbel.clock import full_milliseconds
from umbel.errors import LayoutError
from umbel.queues import OWN, is_own
from umbel.redis import keys, scripts
from umbel.redis.aside import standing_aside
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
        settle: writes ends in a queue, in the stead of an owner.
    """

    def __init__(self, pool: Pool, prefix: str, settle: Callable[[str, str, Sequence[Outcome]], None]) -> None:
        self._pool = pool
        self._prefix = prefix
        self._settle = settle

    def workers(self, queue: str) -> list[str]:
        owners = self._run(self._owners)
        return sorted(
            {name for queues, name, state in owners if queue in queues and name + OWN in queues and state != "draining"}
        )

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
                answers = scripts.publish_once.run_many(connection, calls)
                # After it: a janitor may have forgotten the name a moment ago.
                connection.call(b"SADD", keys.queue_names(self._prefix), *(queue for queue, _ in part))
                return answers

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

    # The end of a queue

    def abandoned(self, grace: float, every: float) -> list[str]:
        def work(connection: RedisConnection) -> list[str]:
            turn = (keys.own_turn(self._prefix), b"1", b"NX", b"PX", full_milliseconds(every))
            if connection.call(b"SET", *turn) is None:
                return []
            known = connection.call(b"SMEMBERS", keys.queue_names(self._prefix))
            names = sorted(name for raw in known if is_own(name := raw.decode()))
            if not names:
                return []
            consumed = self._consumed(connection)
            has_worker = [name for name in names if name in consumed]
            has_none = [name for name in names if name not in consumed]
            kept = full_milliseconds(ownqueues.MISSED * every + ownqueues.LATE)
            arguments = (full_milliseconds(grace), kept, len(has_worker), *has_worker, *has_none)
            over = scripts.own_watch(connection, (keys.own_watch(self._prefix),), arguments)
            left: list[tuple[Argument, ...]] = [(b"EXISTS", self._ended(name)) for name in has_worker]
            undone = connection.call_many(left) if left else []
            return [raw.decode() for raw in over] + [
                name for name, is_there in zip(has_worker, undone, strict=True) if is_there
            ]

        return self._run(work)

    def begin(self, queue: str, token: str) -> bool:
        own = keys.queue(self._prefix, queue)
        names = (own.meta, own.dead, own.inflight, self._ended(queue), own.eta, own.park, own.fair, *own.ready)

        def work(connection: RedisConnection) -> bool:
            status, detail = scripts.own_begin(connection, names, (keys.LAYOUT, token))
            if status == b"layout":
                raise LayoutError(newer_layout(queue, detail))
            if status == b"gone":
                if detail == b"0":
                    self._forget(connection, queue)
                return False
            # After the token: who enters the queue from here on takes that away, who has done so before is seen.
            if queue in self._consumed(connection):
                connection.call(b"HDEL", own.meta, "ending")
                return False
            return True

        return self._run(work)

    def take(self, queue: str, token: str, most: int) -> list[Delivery]:
        own, ended = keys.queue(self._prefix, queue), self._ended(queue)
        names = (own.meta, ended, own.inflight, own.park, own.eta, own.fair, *own.ready)

        def work(connection: RedisConnection) -> list[Delivery]:
            aside = standing_aside(connection, ended, most)
            if not aside and token:  # nothing is left by who died
                scripts.own_take(connection, names, (token, most))
                aside = standing_aside(connection, ended, most)
            return [Delivery(queue, tag, payload) for tag, payload in aside]

        return self._run(work)

    def settle(self, queue: str, outcomes: Sequence[Outcome]) -> None:
        self._settle(queue, keys.ENDED, outcomes)

    def end(self, queue: str, token: str) -> bool:
        own = keys.queue(self._prefix, queue)
        fixed = (own.meta, own.dead, own.inflight, self._ended(queue), own.eta, own.park, own.fair, *own.ready)
        names = (*fixed, own.clocks, own.bell, own.hold, own.dropped)

        def work(connection: RedisConnection) -> bool:
            answer = scripts.own_end(connection, names, (token,))
            if answer == 1:
                self._forget(connection, queue)
            return bool(answer > 0)

        return self._run(work)

    def _ended(self, queue: str) -> str:
        return keys.owned(self._prefix, queue, keys.ENDED)

    def _consumed(self, connection: RedisConnection) -> set[str]:
        """Return what living owners consume."""
        return {queue for queues, _, _ in self._owners(connection) for queue in queues}

    def _owners(self, connection: RedisConnection) -> list[tuple[set[str], str, str]]:
        """Return of each living owner what it consumes, its worker's name, and its state."""
        owners = connection.call(b"ZRANGE", keys.beats(self._prefix), 0, -1)
        looks: list[tuple[Argument, ...]] = [
            (b"HMGET", keys.registry(self._prefix, owner.decode()), "consumed", "queues", "hostname", "state")
            for owner in owners
        ]
        answers = connection.call_many(looks) if looks else []
        return [
            (set(orjson.loads(consumed or queues or b"[]")), (name or b"").decode(), (state or b"").decode())
            for consumed, queues, name, state in answers
        ]

    def _forget(self, connection: RedisConnection, queue: str) -> None:
        """Forget the name of a queue that has ended. Who sends to it, or enters it, names it again: if that was a moment ago,
        the queue is there again, and its name is put back."""
        names = keys.queue_names(self._prefix)
        connection.call_many([(b"ZREM", keys.own_watch(self._prefix), queue), (b"SREM", names, queue)])
        if queue in self._consumed(connection) or connection.call(b"EXISTS", keys.queue(self._prefix, queue).meta):
            connection.call(b"SADD", names, queue)

    def _run(self, work: Callable[[RedisConnection], T]) -> T:
        return self._pool.run(work, repeat=True)
