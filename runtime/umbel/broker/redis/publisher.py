"""Publishing to a queue on Redis: in steps that are atomic, within a deadline, with the queue's name told now and then."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any

from umbel.broker.base import Delivery, Outgoing, full
from umbel.broker.redis.entering import newer_layout
from umbel.clock import full_milliseconds
from umbel.errors import LayoutError, NotReplicated, PublishUncertain, QueueClosed, QueueFull, UmbelError
from umbel.message import GROUPED, LOCKED
from umbel.options import Conflict
from umbel.redis import keys, scripts
from umbel.redis.connection import Argument, ConnectionBroken, RedisConnection, ServerRefused, seconds_left
from umbel.redis.endpoint import Endpoint
from umbel.redis.pool import Pool

#: Messages of one publish call, so that no script holds Redis for long.
PUBLISH_CHUNK = 1000
PUBLISH_BYTES = 1_000_000
#: Seconds after which a producer names its queues to Redis again.
NAME_AGAIN = 60.0
#: Milliseconds within which a replica has to have what is sent with ``durability="replicated"``.
REPLICATED_WITHIN = 500
#: Packed heads of publish calls that are kept, one per queue and priority.
MOST_HEADS = 4096
_NO_PAYLOAD = b"$0\r\n\r\n$1\r\n0\r\n"


class RedisPublisher:
    """See the module. Thread-safe.

    Args:
        endpoint: named in errors.
        pool: of the connections, with the deadline.
        prefix: of all keys.
    """

    def __init__(self, endpoint: Endpoint, pool: Pool, prefix: str) -> None:
        self.prefix = prefix
        self._endpoint = endpoint
        self._pool = pool
        self._named: dict[str, float] = {}
        self._heads: dict[tuple[str, int], bytes] = {}
        self._bounded: set[str] = set()  # queues that have, or had, a bound on their length

    def publish(self, queue: str, messages: Sequence[Outgoing]) -> list[Delivery]:
        """See `umbel.broker.base.Broker.publish`."""
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
            first, dropped, refused, new = more
            for number, owner in _pairs(refused):
                messages[number - 1].existing = owner.decode()
            if new and self._named.get(queue, now) < now:
                self._name_anew(queue)
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

    def _name_anew(self, queue: str) -> None:
        """Tell Redis the name of a queue that has ended since it was named last. Its tasks were sent: nothing is raised."""
        try:
            self._pool.run(lambda connection: self._name(connection, queue, self._pool.deadline), repeat=True)
        except (ConnectionBroken, UmbelError):
            self._named.pop(queue, None)  # with the next task

    def name_now_and_then(self, connection: RedisConnection, queue: str) -> None:
        """Tell Redis the queue's name, unless that was done lately."""
        if time.monotonic() - self._named.get(queue, -NAME_AGAIN) >= NAME_AGAIN:
            self._name(connection, queue, self._pool.deadline)


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
