"""The broker on Redis, as the app and the surfaces see it: publishing, looking, and commands."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import orjson

from umbel import message as messages
from umbel.broker.base import (
    DeadLetter,
    DelayedMessage,
    Delivery,
    Outcome,
    Outgoing,
    OwnerInfo,
    PostMortem,
    QueueInfo,
    check_count,
)
from umbel.broker.redis import revoking
from umbel.broker.redis.answers import RedisAnswers
from umbel.broker.redis.apart import store_ends
from umbel.broker.redis.bell import RedisBell
from umbel.broker.redis.clusterbell import ClusterBell
from umbel.broker.redis.consumer import RedisConsumer
from umbel.broker.redis.dead import DeadLetters
from umbel.broker.redis.fields import from_fields, to_fields
from umbel.broker.redis.listener import RedisListener
from umbel.broker.redis.liveness import RedisLiveness
from umbel.broker.redis.packing import cycle_keys, pack_outcomes
from umbel.broker.redis.publisher import RedisPublisher
from umbel.errors import DecodeError
from umbel.message import PURGED
from umbel.redis import keys, scripts
from umbel.redis.aside import standing_aside
from umbel.redis.connection import Argument, RedisConnection
from umbel.redis.endpoint import Endpoint
from umbel.redis.pool import Pool
from umbel.redis.runs import record_runs

if TYPE_CHECKING:
    from umbel.broker.ownqueues import OwnQueues
    from umbel.workflow.base import Workflows

#: Dropped messages that are looked at in one go.
MOST_DROPPED = 256
#: Keys of concurrency limits that are looked at in one go, for messages that nobody wakes.
WAKE_KEYS = 100


class RedisBroker:
    """See `umbel.broker.base.Broker`.

    Args:
        url: ``redis://``, ``rediss://`` or ``unix://``.
        prefix: of all keys.
        publish_timeout: seconds for one publish in all, tries included.
    """

    def __init__(self, url: str, *, prefix: str = "umbel", publish_timeout: float = 5.0) -> None:
        self.url = url
        self.prefix = prefix
        self._endpoint = Endpoint.from_environment(url)
        self._pool = Pool(self._endpoint, publish_timeout)
        self._publisher = RedisPublisher(self._endpoint, self._pool, prefix)
        self._letters = DeadLetters(self._pool, prefix)
        self._workflows: Workflows | None = None
        self._own_queues: OwnQueues | None = None

    # Producing

    def publish(self, queue: str, messages: Sequence[Outgoing]) -> list[Delivery]:
        return self._publisher.publish(queue, messages)

    def dropped(self, queue: str) -> list[Delivery]:
        own = keys.queue(self.prefix, queue)
        commands = [(b"HGET", own.meta, b"purge"), (b"HSCAN", own.dropped, 0, b"COUNT", MOST_DROPPED)]
        purge, (cursor, flat) = self._pool.run(lambda connection: connection.call_many(commands), repeat=True)
        if purge:
            return []  # the queue is being deleted, and beat tells of what was in it
        aside = [(int(tag), payload) for tag, payload in zip(flat[::2], flat[1::2], strict=True) if tag != b"@"]
        if not aside and cursor != b"0":
            name = own.dropped
            aside = self._pool.run(lambda connection: standing_aside(connection, name, MOST_DROPPED), repeat=True)
        return [Delivery(queue, tag, payload) for tag, payload in aside]

    def settle_dropped(self, queue: str, outcomes: Sequence[Outcome]) -> None:
        self._settle(queue, keys.DROPPED, outcomes)

    def _settle(self, queue: str, owner: str, outcomes: Sequence[Outcome]) -> None:
        """Write ends in the stead of what stands in the place of an owner."""
        fixed = cycle_keys(self.prefix, queue, owner)
        runs = [outcome.run for outcome in outcomes if outcome.run is not None]

        def work(connection: RedisConnection) -> None:
            if runs:
                record_runs(connection, self.prefix, runs)
            told = outcomes
            if connection.clustered:
                told = store_ends(connection, self.prefix, fixed[0], outcomes, self._pool.deadline)
            count, names, arguments = pack_outcomes(self.prefix, queue, owner, told)
            scripts.cycle(connection, (*fixed, *names), (0, count, *arguments))

        self._pool.run(work, repeat=True)

    # The other sides

    @property
    def workflows(self) -> Workflows:
        if self._workflows is None:
            from umbel.workflow.redis import RedisWorkflows

            self._workflows = RedisWorkflows(self._pool, self.prefix, self._publisher.name_now_and_then)
        return self._workflows

    @property
    def own_queues(self) -> OwnQueues:
        if self._own_queues is None:
            from umbel.broker.redis.ownqueues import RedisOwnQueues

            self._own_queues = RedisOwnQueues(self._pool, self.prefix, self._settle)
        return self._own_queues

    def consumer(self, owner: OwnerInfo) -> RedisConsumer:
        return RedisConsumer(self._endpoint, self.prefix, owner)

    def bell(self) -> RedisBell | ClusterBell:
        return (ClusterBell if self._endpoint.clustered else RedisBell)(self._endpoint, self.prefix)

    def liveness(self) -> RedisLiveness:
        return RedisLiveness(self._endpoint, self.prefix)

    def listen(self, handle: Callable[[dict[str, Any]], None]) -> RedisListener:
        return RedisListener(self._endpoint, keys.control_channel(self.prefix), handle)

    def answers(self) -> RedisAnswers:
        return RedisAnswers(self._endpoint, self.prefix)

    # Looking

    def queues(self) -> list[str]:
        names = self._call(b"SMEMBERS", keys.queue_names(self.prefix))
        return sorted(name.decode() for name in names)

    def info(self, queue: str) -> QueueInfo:
        own = keys.queue(self.prefix, queue)
        commands: list[tuple[Argument, ...]] = [
            (b"TIME",),
            (b"ZCARD", own.eta),
            (b"GET", own.inflight),
            (b"ZCARD", own.dead),
            (b"HMGET", own.meta, "dispatch", "intake"),
            *((b"LLEN", name) for name in own.ready),
            *((b"LRANGE", name, 0, 0) for name in own.ready),
            (b"ZCARD", own.park),
            (b"ZCARD", own.fair),
            (b"ZRANGE", own.fair, 0, 0),
        ]
        answers = self._pool.run(lambda connection: connection.call_many(commands), repeat=True)
        seconds = clock_of(answers[0])
        heads = [first[0] for first in (*reversed(answers[15:25]), answers[27]) if first]
        age = 0.0
        due = _due(max(heads, key=lambda head: head[2:3])) if heads else None
        if due is not None:
            age = max(0.0, seconds - due)
        dispatch, intake = answers[4]
        return QueueInfo(
            queue,
            sum(answers[5:15]) + answers[26],
            answers[1],
            int(answers[2] or 0),
            answers[3],
            age,
            dispatch == b"Held",
            intake != b"Reject",
            answers[25],
        )

    def dead(
        self,
        queue: str,
        limit: int = 100,
        offset: int = 0,
        *,
        since: float | None = None,
        before: float | None = None,
    ) -> list[DeadLetter]:
        return self._letters.read(queue, limit, offset, since, before)

    def delayed(self, queue: str, limit: int = 100) -> list[DelayedMessage]:
        commands: list[tuple[Argument, ...]] = [
            (b"TIME",),
            (b"ZRANGE", keys.queue(self.prefix, queue).eta, 0, limit - 1, b"WITHSCORES"),
        ]
        time_, flat = self._pool.run(lambda connection: connection.call_many(commands), repeat=True)
        now = clock_of(time_)
        return [DelayedMessage(float(due) / 1000.0 - now, raw) for raw, due in zip(flat[::2], flat[1::2], strict=True)]

    def revoked(self) -> set[str]:
        return set(self.revocations())

    def revocations(self, since: float = 0.0) -> dict[str, float]:
        return self._pool.run(lambda connection: revoking.read(connection, self.prefix, since), repeat=True)

    def time(self) -> float:
        return clock_of(self._call(b"TIME"))

    def ping(self) -> dict[str, Any]:
        def look(connection: RedisConnection) -> list[Any]:
            server = connection.at(keys.beats(self.prefix))
            return server.call_many([(b"INFO", b"server"), (b"INFO", b"memory")])

        text = b"\n".join(self._pool.run(look, repeat=True)).decode()
        fields = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
        return {
            "version": fields.get("valkey_version") or fields.get("redis_version", "?"),
            "server": fields.get("server_name", "redis"),
            "maxmemory_policy": fields.get("maxmemory_policy", "?"),
            "maxmemory": int(fields.get("maxmemory", 0)),
            "run_id": fields.get("run_id", "?"),
            "address": self._endpoint.address,
        }

    # Changing

    def configure(self, queue: str, settings: dict[str, Any], serial: int) -> bool:
        own = keys.queue(self.prefix, queue)
        drop, fields = to_fields(settings)
        arguments = (serial, len(drop), *drop, "layout", keys.LAYOUT, *fields)

        def work(connection: RedisConnection) -> bool:
            connection.call(b"SADD", keys.queue_names(self.prefix), queue)
            return bool(scripts.configure(connection, (own.meta, own.bell), arguments) == 1)

        return self._pool.run(work, repeat=True)

    def settings(self, queue: str) -> dict[str, Any]:
        flat = self._call(b"HGETALL", keys.queue(self.prefix, queue).meta)
        return from_fields({name.decode(): value for name, value in zip(flat[::2], flat[1::2], strict=True)})

    def promote(self, queue: str) -> float | None:
        own = keys.queue(self.prefix, queue)
        names = (own.eta, own.bell, own.meta, *own.ready, own.fair, own.clocks)
        while True:
            moved, due = self._pool.run(lambda connection: scripts.promote(connection, names, (256,)), repeat=True)
            if moved < 256:
                return None if due < 0 else due / 1000.0

    def wake_parked(self, queue: str) -> int:
        own = keys.queue(self.prefix, queue)
        names = (own.meta, own.bell, own.hold, own.park, *own.ready, own.fair, own.clocks)
        return int(self._pool.run(lambda connection: scripts.wake(connection, names, (WAKE_KEYS,)), repeat=True))

    def purge(self, queue: str) -> int:
        own = keys.queue(self.prefix, queue)
        names = (own.eta, own.park, own.fair, own.clocks, *own.ready, own.meta)
        return int(self._pool.run(lambda connection: scripts.purge(connection, names), repeat=True))

    def set_aside(self, queue: str, most: int) -> list[Delivery]:
        own = keys.queue(self.prefix, queue)
        names = (own.eta, own.park, own.fair, own.inflight, own.dropped, *own.ready)
        # Where an answer is lost, more is put aside: the rest is found by who looks at `dropped`.
        first, found = self._pool.run(
            lambda connection: scripts.purge_aside(connection, names, (most, PURGED)), repeat=True
        )
        return [Delivery(queue, first + index, payload) for index, payload in enumerate(found)]

    def retry_dead(self, queue: str, letters: Sequence[DeadLetter]) -> int:
        return self._letters.retry(queue, letters)

    def drop_dead(self, queue: str, letters: Sequence[DeadLetter]) -> int:
        return self._letters.drop(queue, letters)

    def trim_dead(self, queue: str) -> int:
        return self._letters.trim(queue)

    def post_mortem(self, queue: str, payload: bytes) -> PostMortem:
        return self._letters.post_mortem(queue, payload)

    def forward(self, queue: str, payload: bytes, original: bytes) -> bool:
        return self._letters.forward(queue, payload, original)

    def revoke(self, task_ids: Sequence[str], *, terminate: bool = False) -> int:
        check_count(task_ids)
        self._pool.run(lambda connection: revoking.remember(connection, self.prefix, task_ids), repeat=True)
        return max(
            self.control({"command": "revoke", "arguments": {"task_id": ids, "terminate": terminate}})
            for ids in revoking.chunks(task_ids)
        )

    def control(self, command: dict[str, Any]) -> int:
        return int(self._call(b"PUBLISH", keys.control_channel(self.prefix), orjson.dumps(command)))

    def answer(self, address: str, answer: dict[str, Any]) -> bool:
        return int(self._call(b"PUBLISH", address, orjson.dumps(answer))) > 0

    def close(self) -> None:
        self._pool.close()

    def _call(self, *command: Argument) -> Any:
        return self._pool.run(lambda connection: connection.call(*command), repeat=True)


def clock_of(answer: Sequence[bytes]) -> float:
    """Return the server's clock in seconds, from its answer to TIME."""
    return int(answer[0]) + int(answer[1]) / 1e6


def _due(payload: bytes) -> float | None:
    """Return when a message was to run at the earliest, in seconds of the broker's clock; None if it cannot be read."""
    try:
        message = messages.decode(payload)
    except DecodeError:
        return None
    return message.enqueued_ms / 1000.0 + float(message.headers.get("delay", 0.0))
