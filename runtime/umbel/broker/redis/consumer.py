"""The consumer side on Redis: one owner's connection, its cycle, and how it finds its way back after a lost answer."""

from __future__ import annotations

from collections.abc import Sequence

import orjson

from umbel.broker.base import Batch, ConnectionLost, Delivery, Outcome, OwnerInfo, OwnerLost
from umbel.broker.redis import entering, revoking
from umbel.broker.redis.apart import store_apart, store_ends
from umbel.broker.redis.burial import bury_all
from umbel.broker.redis.entering import check_number
from umbel.broker.redis.packing import admit, cycle_keys, pack_outcomes
from umbel.broker.redis.parts import shorten, shorten_ends
from umbel.broker.tickets import Admission, Ticket
from umbel.errors import LayoutError
from umbel.message import BEGUN
from umbel.queues import is_own
from umbel.record import Record
from umbel.redis import keys, scripts
from umbel.redis.connection import AWAY, Argument, RedisConnection
from umbel.redis.endpoint import Endpoint
from umbel.redis.runs import record_runs

#: Seconds within which Redis has to connect, and to answer a cycle.
CONNECT_TIMEOUT = 2.0
ANSWER_TIMEOUT = 10.0
#: The same where others stand by for a server: one that stands still is given up when they are likely to have taken over.
STANDBY_TIMEOUT = 4.0


class RedisConsumer:
    """One owner's view of its queues.

    Args:
        endpoint: where Redis is.
        prefix: of all keys.
        owner: id, queues, and what the registry is to know.
    """

    def __init__(self, endpoint: Endpoint, prefix: str, owner: OwnerInfo) -> None:
        check_number(len(owner.queues))
        self.owner = owner
        self._endpoint = endpoint
        self._prefix = prefix
        self._patience = STANDBY_TIMEOUT if endpoint.redundant else ANSWER_TIMEOUT
        self._connection: RedisConnection | None = None
        self._certain = False
        self._keys = {name: cycle_keys(prefix, name, owner.id) for name in owner.queues}

    def register(self) -> None:
        """See the port. Also the way to begin: it connects."""
        owner, prefix = self.owner, self._prefix
        fields: list[Argument] = []
        for name, value in registry_fields(owner).items():
            fields += (name, value)
        try:
            connection = self._connect()
            scripts.register(
                connection,
                (keys.beats(prefix), keys.registry(prefix, owner.id), keys.queue_names(prefix)),
                (owner.id, len(owner.queues), *owner.queues, *fields),
            )
            for number, queue in enumerate(owner.queues):
                entering.enter(connection, prefix, owner.id, queue, number)
            self._check_registered(connection)
        except LayoutError:
            bury_all(connection, prefix, owner.id, owner.queues)
            self.close()
            raise
        except AWAY as error:
            raise self._lose(error) from error
        self._certain = True

    def consume(self, queue: str) -> None:
        """See the port."""
        entered = [*self._keys, *([] if queue in self._keys else [queue])]
        check_number(len(entered))
        connection = self._connection
        if connection is None or not self._certain:
            raise ConnectionLost("the last cycle's answer is missing: resume first")
        consumed = [*self.owner.queues, *([] if queue in self.owner.queues else [queue])]
        new = "" if queue in self._keys else queue
        try:
            entering.note(connection, self._prefix, self.owner.id, entered, consumed, new)
            if not new and is_own(queue):  # it may have ended meanwhile
                entering.enter(connection, self._prefix, self.owner.id, queue, entered.index(queue))
            if new:
                entering.enter(connection, self._prefix, self.owner.id, queue, len(self._keys))
                self._keys[queue] = cycle_keys(self._prefix, queue, self.owner.id)
                self._check_registered(connection)
        except LayoutError:
            raise
        except AWAY as error:
            raise self._lose(error) from error
        self.owner.queues = consumed

    def cancel(self, queue: str) -> None:
        """See the port."""
        consumed = [name for name in self.owner.queues if name != queue]
        connection = self._connection
        if connection is None or not self._certain:
            raise ConnectionLost("the last cycle's answer is missing: resume first")
        try:
            entering.note(connection, self._prefix, self.owner.id, list(self._keys), consumed)
        except AWAY as error:
            raise self._lose(error) from error
        self.owner.queues = consumed

    def _check_registered(self, connection: RedisConnection) -> None:
        """Bury this owner again if it was buried while it entered queues, since this process stood still: nobody would ever
        look for what it holds of them."""
        if not entering.is_registered(connection, self._prefix, self.owner.id):
            bury_all(connection, self._prefix, self.owner.id, list(self._keys))
            raise OwnerLost(self.owner.id)

    def cycle(self, queue: str, outcomes: Sequence[Outcome], want: int) -> Batch:
        """See the port."""
        connection = self._connection
        if connection is None or not self._certain:
            raise ConnectionLost("the last cycle's answer is missing: resume first")
        runs = [outcome.run for outcome in outcomes if outcome.run is not None]
        try:
            outcomes = shorten_ends(connection, self._prefix, outcomes)
            if connection.clustered:
                outcomes = store_ends(connection, self._prefix, self._keys[queue][0], outcomes, self._patience)
            count, names, arguments = pack_outcomes(self._prefix, queue, self.owner.id, outcomes)
            packed = scripts.cycle.pack((*self._keys[queue], *names), (want, count, *arguments))
            if runs:  # before the acknowledgement: the schedule learns of every end, of some twice
                record_runs(connection, self._prefix, runs)
            answer = scripts.cycle.run(connection, self._keys[queue][0], packed, self._patience)
        except AWAY as error:
            raise self._lose(error) from error
        if answer[0] != b"ok":
            raise OwnerLost(self.owner.id)
        _, now, next_due, more, max_deliveries, tag, messages, lost = answer[:8]
        limited = answer[8] if len(answer) > 8 else None
        return Batch(
            [Delivery(queue, tag + index, message) for index, message in enumerate(messages)],
            now / 1000.0,
            None if next_due < 0 else next_due / 1000.0,
            lost,
            more == 1,
            max_deliveries,
            None if limited is None else limited / 1000.0,
            answer[9] if len(answer) > 9 else None,
        )

    def admit(self, delivery: Delivery, ticket: Ticket) -> Admission:
        """See the port."""
        connection = self._connection
        if connection is None or not self._certain:
            raise ConnectionLost("the last cycle's answer is missing: resume first")
        try:
            answer = admit(connection, self._prefix, self.owner.id, delivery, ticket)
        except AWAY as error:
            raise self._lose(error) from error
        if answer is None:
            raise OwnerLost(self.owner.id)
        return answer

    def begin(self, delivery: Delivery) -> bool:
        """See the port."""
        connection = self._connection
        if connection is None or not self._certain:
            raise ConnectionLost("the last cycle's answer is missing: resume first")
        names = (keys.owned(self._prefix, delivery.queue, self.owner.id),)
        try:
            answer = scripts.begin(connection, names, (delivery.tag, BEGUN))
        except AWAY as error:
            raise self._lose(error) from error
        if answer < 0:
            raise OwnerLost(self.owner.id)
        return bool(answer)

    def resume(self) -> dict[str, dict[int, bytes]]:
        """See the port."""
        held: dict[str, dict[int, bytes]] = {}
        try:
            connection = self._connect()
            for queue, names in self._keys.items():
                fields = connection.call(b"HGETALL", names[0], timeout=self._patience)
                pairs = dict(zip(fields[::2], fields[1::2], strict=True))
                if pairs.pop(b"@", None) is None:
                    raise OwnerLost(self.owner.id)
                held[queue] = {
                    int(tag): message for tag, message in sorted(pairs.items(), key=lambda pair: int(pair[0]))
                }
        except AWAY as error:
            raise self._lose(error) from error
        self._certain = True
        return held

    def store(self, task_id: str, record: Record, ttl: float, reply_to: str | None = None) -> bool:
        """See the port."""
        connection = self._connection
        if connection is None or not self._certain:
            raise ConnectionLost("not connected: resume first")
        try:
            return store(connection, self._prefix, task_id, record, ttl, reply_to)
        except AWAY as error:
            raise self._lose(error) from error

    def revocations(self) -> dict[str, float]:
        """See the port."""
        connection = self._connection
        if connection is None:
            raise ConnectionLost("not connected: resume first")
        try:
            return revoking.read(connection, self._prefix, 0.0)
        except AWAY as error:
            raise self._lose(error) from error

    def leave(self) -> None:
        """See the port."""
        try:
            connection = self._connection if self._certain and self._connection else self._connect()
            bury_all(connection, self._prefix, self.owner.id, list(self._keys))
        except AWAY as error:
            raise self._lose(error) from error

    def close(self) -> None:
        """See the port."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        self._certain = False

    def _connect(self) -> RedisConnection:
        self.close()
        self._connection = self._endpoint.connect(CONNECT_TIMEOUT)
        return self._connection

    def _lose(self, error: Exception) -> ConnectionLost:
        self.close()
        return ConnectionLost(str(error))


def registry_fields(owner: OwnerInfo) -> dict[str, Argument]:
    """Return what the registry stores of an owner."""
    return {
        "queues": orjson.dumps(owner.queues),
        "worker": owner.worker,
        "hostname": owner.hostname,
        "pid": owner.pid,
        "machine": owner.machine,
        "pool": owner.pool,
        "pod_uid": owner.pod_uid,
        "state": owner.state,
        "busy_since": 0,
        "slots": owner.slots,
    }


def store(
    connection: RedisConnection, prefix: str, task_id: str, record: Record, ttl: float, reply_to: str | None = None
) -> bool:
    """Run ``store.lua``, or what stands for it in a cluster; return whether the record was written."""
    raw = shorten(connection, prefix, task_id, record.encode(), ttl)
    if connection.clustered:
        return store_apart(connection, prefix, [(task_id, raw, ttl, reply_to)], ended=False)[0]
    names = [keys.result(prefix, task_id)]
    if reply_to:
        names.append(keys.inbox(prefix, reply_to))
    return bool(scripts.store(connection, names, (raw, int(ttl * 1000), task_id)) == 1)
