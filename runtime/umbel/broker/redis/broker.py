"""The broker on Redis, as the app and the surfaces see it: publishing, looking, and commands."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
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
    full,
)
from umbel.broker.redis import revoking
from umbel.broker.redis.answers import RedisAnswers
from umbel.broker.redis.apart import store_ends
from umbel.broker.redis.bell import RedisBell
from umbel.broker.redis.clusterbell import ClusterBell
from umbel.broker.redis.consumer import RedisConsumer
from umbel.broker.redis.dead import DeadLetters
from umbel.broker.redis.entering import newer_layout
from umbel.broker.redis.fields import from_fields, to_fields
from umbel.broker.redis.listener import RedisListener
from umbel.broker.redis.liveness import RedisLiveness
from umbel.broker.redis.packing import cycle_keys, pack_outcomes
from umbel.clock import full_milliseconds
from umbel.errors import DecodeError, LayoutError, NotReplicated, PublishUncertain, QueueClosed, QueueFull
from umbel.message import GROUPED, LOCKED
from umbel.options import Conflict
from umbel.redis import keys, scripts
from umbel.redis.connection import Argument, ConnectionBroken, RedisConnection, ServerRefused, seconds_left
from umbel.redis.endpoint import Endpoint
from umbel.redis.pool import Pool
from umbel.redis.runs import record_runs

if TYPE_CHECKING:
    from umbel.workflow.base import Workflows

#: Messages of one publish call, so that no script holds Redis for long.
PUBLISH_CHUNK = 1000
PUBLISH_BYTES = 1_000_000
#: Dropped messages that are looked at in one go.
MOST_DROPPED = 256
#: Keys of concurrency limits that are looked at in one go, for messages that nobody wakes.
WAKE_KEYS = 100
#: Seconds after which a producer names its queues to Redis again.
NAME_AGAIN = 60.0
#: Milliseconds within which a replica has to have what is sent with ``durability="replicated"``.
REPLICATED_WITHIN = 500
#: Packed heads of publish calls that are kept, one per queue and priority.
MOST_HEADS = 4096
_NO_PAYLOAD = b"$0\r\n\r\n$1\r\n0\r\n"


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
        self._letters = DeadLetters(self._pool, prefix)
        self._named: dict[str, float] = {}
        self._heads: dict[tuple[str, int], bytes] = {}
        self._bounded: set[str] = set()  # queues that have, or had, a bound on their length
        self._workflows: Workflows | None = None

    # Producing

    def publish(self, queue: str, messages: Sequence[Outgoing]) -> list[Delivery]:
        if len(messages) == 1:
            only = messages[0]
            if not (only.delay or only.payload[1] & (GROUPED | LOCKED) or queue in self._bounded):
                return self._send(queue, self._packed_one(queue, only.payload), messages)
            return self._send(queue, self._packed(queue, messages), messages)
        dropped: list[Delivery] = []
        for start, end in _steps(messages):
            chunk = messages[start:end]
            try:
                dropped += self._send(queue, self._packed(queue, chunk), chunk)
            except QueueFull as error:
                raise QueueFull(str(error), tuple(outgoing.task_id for outgoing in messages[start:])) from None
        return dropped

    def dropped(self, queue: str) -> list[Delivery]:
        own = keys.queue(self.prefix, queue)
        commands = [(b"HGET", own.meta, b"purge"), (b"HSCAN", own.dropped, 0, b"COUNT", MOST_DROPPED)]
        purge, (_, flat) = self._pool.run(lambda connection: connection.call_many(commands), repeat=True)
        if purge:
            return []  # the queue is being deleted, and beat tells of what was in it
        return [
            Delivery(queue, int(tag), payload)
            for tag, payload in zip(flat[::2], flat[1::2], strict=True)
            if tag != b"@"
        ]

    def settle_dropped(self, queue: str, outcomes: Sequence[Outcome]) -> None:
        fixed = cycle_keys(self.prefix, queue, keys.DROPPED)
        runs = [outcome.run for outcome in outcomes if outcome.run is not None]

        def work(connection: RedisConnection) -> None:
            if runs:
                record_runs(connection, self.prefix, runs)
            told = outcomes
            if connection.clustered:
                told = store_ends(connection, self.prefix, fixed[0], outcomes, self._pool.deadline)
            count, names, arguments = pack_outcomes(self.prefix, queue, keys.DROPPED, told)
            scripts.cycle(connection, (*fixed, *names), (0, count, *arguments))

        self._pool.run(work, repeat=True)

    def _packed(self, queue: str, messages: Sequence[Outgoing]) -> bytes:
        own = keys.queue(self.prefix, queue)
        arguments: list[Argument] = [keys.LAYOUT]
        for outgoing in messages:
            arguments += (outgoing.payload, full_milliseconds(outgoing.delay))
        names = [own.meta, own.bell, own.eta, *own.ready, own.fair, own.clocks, own.inflight, own.dropped, own.park]
        for number, outgoing in enumerate(messages, 1):
            lock = outgoing.lock
            if lock is not None:
                names.append(keys.lock(self.prefix, queue, lock.name))
                lives = full_milliseconds(lock.seconds + outgoing.delay)
                arguments += (number, outgoing.task_id, lives, int(lock.conflict is Conflict.REPLACE))
        return scripts.publish.pack(names, arguments)

    def _packed_one(self, queue: str, payload: bytes) -> bytes:
        """Return what `_packed` would for one message without delay, but with its own ready list only; all but the payload is
        packed once per queue and priority."""
        priority = payload[2]
        head = self._heads.get((queue, priority))
        if head is None:
            own = keys.queue(self.prefix, queue)
            names = (own.meta, own.bell, own.eta, own.ready[priority])
            whole = scripts.publish.pack(names, (keys.LAYOUT, b"", 0))
            if len(self._heads) >= MOST_HEADS:
                self._heads.clear()
            head = self._heads[queue, priority] = whole.removesuffix(_NO_PAYLOAD)
        return b"%b$%d\r\n%b\r\n$1\r\n0\r\n" % (head, len(payload), payload)

    def _send(self, queue: str, packed: bytes, messages: Sequence[Outgoing]) -> list[Delivery]:
        deadline = self._pool.deadline
        now = time.monotonic()
        until = now + deadline
        replicated = messages[0].replicated if len(messages) == 1 else any(one.replicated for one in messages)

        def send(connection: RedisConnection) -> Any:
            if now - self._named.get(queue, -NAME_AGAIN) >= NAME_AGAIN:
                self._name(connection, queue, seconds_left(until, deadline))
            answer = scripts.publish.run(
                connection, keys.queue(self.prefix, queue).meta, packed, seconds_left(until, deadline)
            )
            if replicated and answer[0] == b"ok":
                _wait_for_replica(connection.answered(), queue, messages, deadline)
            return answer

        try:
            status, detail, *more = self._pool.run(send)
        except ConnectionBroken as error:
            ids = tuple(outgoing.task_id for outgoing in messages)
            raise PublishUncertain(
                f"the connection to Redis at {self._endpoint.address} broke while publishing to {queue!r} ({error}): "
                f"task {ids[0]}{f' and {len(ids) - 1} more' if len(ids) > 1 else ''} may have been sent. "
                "Look for the result, or send again if the task may run twice",
                ids,
            ) from error
        if status == b"ok":
            if not more:
                return []
            first, dropped, *refused = more
            for number, owner in _pairs(*refused):
                messages[number - 1].existing = owner.decode()
            return [Delivery(queue, first + index, payload) for index, payload in enumerate(dropped)]
        if status == b"whole":
            self._bounded.add(queue)
            return self._send(queue, self._packed(queue, messages), messages)
        if status == b"full":
            raise QueueFull(full(queue, len(messages), *detail), tuple(outgoing.task_id for outgoing in messages))
        if status == b"closed":
            raise QueueClosed(
                f"queue {queue!r} takes no new tasks: its intake is Reject (set the TaskQueue's intake to Accept)"
            )
        raise LayoutError(newer_layout(queue, detail))

    def _name(self, connection: RedisConnection, queue: str, timeout: float) -> None:
        """Tell Redis the queue's name. If the connection breaks over that, nothing was published yet."""
        try:
            connection.call(b"SADD", keys.queue_names(self.prefix), queue, timeout=timeout)
        except ConnectionBroken as error:
            raise ConnectionBroken(error, sent=False) from error
        self._named[queue] = time.monotonic()

    def _name_now_and_then(self, connection: RedisConnection, queue: str) -> None:
        if time.monotonic() - self._named.get(queue, -NAME_AGAIN) >= NAME_AGAIN:
            self._name(connection, queue, self._pool.deadline)

    # The other sides

    @property
    def workflows(self) -> Workflows:
        if self._workflows is None:
            from umbel.workflow.redis import RedisWorkflows

            self._workflows = RedisWorkflows(self._pool, self.prefix, self._name_now_and_then)
        return self._workflows

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


def _steps(messages: Sequence[Outgoing]) -> Iterator[tuple[int, int]]:
    """Divide messages into steps: of so many messages and so many bytes at most, and one message at least."""
    start, size = 0, 0
    for index, outgoing in enumerate(messages):
        if index > start and (index - start >= PUBLISH_CHUNK or size + len(outgoing.payload) > PUBLISH_BYTES):
            yield start, index
            start, size = index, 0
        size += len(outgoing.payload)
    if start < len(messages):
        yield start, len(messages)


def _wait_for_replica(connection: RedisConnection, queue: str, messages: Sequence[Outgoing], timeout: float) -> None:
    """Wait until a replica has what this connection has sent.

    Raises:
        NotReplicated: none has it in time, or the server may not be asked.
        ConnectionBroken: the server is gone; nobody knows whether a replica has it.
    """
    try:
        if connection.call(b"WAIT", 1, REPLICATED_WITHIN, timeout=timeout) >= 1:
            return
        why = f"after {REPLICATED_WITHIN} ms"
    except ServerRefused as error:
        why = f"as far as is known ({error})"
    ids = tuple(outgoing.task_id for outgoing in messages)
    raise NotReplicated(
        f"task {ids[0]}{f' and {len(ids) - 1} more' if len(ids) > 1 else ''} was sent to {queue!r}, and no replica has it "
        f"{why}: it is lost if this Redis dies before one has it. See that a replica is connected (INFO replication); send "
        "again if the task may run twice",
        ids,
    )


def _pairs(flat: Sequence[Any] = ()) -> list[tuple[Any, Any]]:
    return list(zip(flat[::2], flat[1::2], strict=True))


def _due(payload: bytes) -> float | None:
    """Return when a message was to run at the earliest, in seconds of the broker's clock; None if it cannot be read."""
    try:
        message = messages.decode(payload)
    except DecodeError:
        return None
    return message.enqueued_ms / 1000.0 + float(message.headers.get("delay", 0.0))
