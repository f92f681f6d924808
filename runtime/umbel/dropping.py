"""What becomes of the tasks that a full queue drops (``overflow`` DropOldest): they fail, and are kept as dead letters.
And of those in a queue that is deleted: they are revoked.

Their messages stand aside, as if an owner held them, until this is written: by the producer for whom they were dropped, or by
a worker or a beat that looks after it, should the producer end before. So nobody waits for ever for a dropped task.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

from umbel import failure, states
from umbel import message as messages
from umbel.broker.base import Broker, Delivery, Kind, Outcome
from umbel.errors import DecodeError, QueueFull, TaskError, TaskRevokedError, UmbelError
from umbel.message import Message
from umbel.record import Record

log = logging.getLogger("umbel.queues")

#: Seconds between two looks at what producers have left behind.
LOOK_EVERY: Final = 5.0


def end_dropped(broker: Broker, dropped: Iterable[Delivery], ttl: float) -> None:
    """Write the ends of what was just dropped from one queue; where the broker is away, others do it later.

    Args:
        broker: that the queue is in.
        dropped: as `Broker.publish` returned it.
        ttl: seconds to keep the records.
    """
    queue = next(iter(dropped)).queue
    outcomes = [_end(delivery, ttl) for delivery in dropped]
    try:
        for delivery in dropped:
            _advance(broker, delivery, _full(delivery), ttl)
        broker.settle_dropped(queue, outcomes)
    except UmbelError as error:
        log.warning("tasks.drop_unsettled", extra={"queue": queue, "count": len(outcomes), "error": str(error)})


def look_after(broker: Broker, queues: Iterable[str], ttl: float = 86400.0) -> int:
    """Write the ends of what was dropped from these queues and nobody has seen to; return how many there were.

    Also wake what waits for a place that nobody has, see `Broker.wake_parked`.

    Raises:
        OperationalError: the broker is away.
    """
    count = 0
    for queue in queues:
        broker.wake_parked(queue)
        left = broker.dropped(queue)
        if left:
            for delivery in left:
                _advance(broker, delivery, _full(delivery), ttl)
            broker.settle_dropped(queue, [_end(delivery, ttl) for delivery in left])
            count += len(left)
    return count


def end_purged(broker: Broker, deliveries: Sequence[Delivery], ttl: float) -> None:
    """Write the ends of what a queue held that is deleted: its tasks count as revoked.

    Raises:
        OperationalError: the broker is away, or has no memory for the records: `forget_purged` needs none.
    """
    for delivery in deliveries:
        _advance(broker, delivery, _deleted(delivery), ttl)
    broker.settle_dropped(deliveries[0].queue, [_revoked(delivery, ttl) for delivery in deliveries])


def forget_purged(broker: Broker, deliveries: Sequence[Delivery]) -> None:
    """Drop what a queue held that is deleted, and tell nobody."""
    broker.settle_dropped(deliveries[0].queue, [Outcome(delivery.tag, Kind.ACK) for delivery in deliveries])


def _revoked(delivery: Delivery, ttl: float) -> Outcome:
    try:
        message = messages.decode(delivery.payload)
    except DecodeError:
        return Outcome(delivery.tag, Kind.ACK)
    return _told(delivery, Kind.ACK, message, states.REVOKED, _deleted(delivery), ttl)


def _deleted(delivery: Delivery) -> TaskRevokedError:
    return TaskRevokedError(f"the queue {delivery.queue!r} was deleted with all tasks that waited in it")


def _advance(broker: Broker, delivery: Delivery, error: TaskError, ttl: float) -> None:
    """Tell the workflow of a task that nobody will run, if it belongs to one."""
    if b'"w":{' not in delivery.payload:
        return
    from umbel.workflow.reporting import report_unrun

    try:
        message = messages.decode(delivery.payload)
    except DecodeError:
        return
    if "w" in message.headers:
        report_unrun(broker.workflows, message, error, ttl)


def _full(delivery: Delivery) -> QueueFull:
    return QueueFull(
        f"the queue {delivery.queue!r} was full and dropped this task, unrun, for a newer one (its overflow is DropOldest): "
        "start more workers, or raise the queue's max_length"
    )


def _end(delivery: Delivery, ttl: float) -> Outcome:
    error = _full(delivery)
    reason = {"reason": "Dropped", "message": str(error)}
    try:
        message = messages.decode(delivery.payload)
    except DecodeError:
        return Outcome(delivery.tag, Kind.DEAD, reason=reason)
    reason |= {"task": message.headers["task"], "id": message.headers["id"]}
    return replace(_told(delivery, Kind.DEAD, message, states.FAILURE, error, ttl), reason=reason)


def _told(delivery: Delivery, kind: Kind, message: Message, state: str, error: UmbelError, ttl: float) -> Outcome:
    """Return an end of which all are told who wait for it: a caller, a schedule, the next task with the same lock."""
    headers = message.headers
    record = None
    if not headers.get("ignore_result"):
        record = Record(state, failure.encode(error), message.attempt, int(time.time() * 1000), {}).encode()
    run = (headers.get("schedule", ""), headers["run"], state) if "run" in headers else None
    lock = (headers["lock"][0], 0.0) if "lock" in headers else None
    return Outcome(delivery.tag, kind, headers["id"], record, ttl, headers.get("reply_to"), run=run, lock=lock)
