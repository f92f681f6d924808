"""What becomes of the tasks that a full queue drops (``overflow`` DropOldest): they fail, and are kept as dead letters.
And of those in a queue that is purged or deleted: they are revoked. And of those in the own queue of a worker that is gone: copies
are revoked, what was sent to this worker alone fails, and is kept as a dead letter.

Their messages stand aside, as if an owner held them, until this is written: by the process that dropped them, or by
a worker or a beat that looks after it, should that end before. So nobody waits for ever for a dropped task.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Final

from umbel import failure, states
from umbel import message as messages
from umbel.broker.base import Broker, Delivery, Kind, Outcome
from umbel.errors import DecodeError, QueueFull, TaskError, TaskRevokedError, UmbelError, WorkerLostError
from umbel.message import HEAD_SIZE, PURGED, Message
from umbel.ownqueues import COPY_OF
from umbel.queues import OWN
from umbel.record import Record

log = logging.getLogger("umbel.queues")

#: Seconds between two looks at what producers have left behind.
LOOK_EVERY: Final = 5.0
#: Messages that a purge puts aside at a time.
ASIDE_COUNT: Final = 500
#: Seconds for which it is kept that a task was purged.
PURGED_TTL: Final = 3600.0


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
        found = broker.dropped(queue)
        count += len(found)
        if purged := [delivery for delivery in found if _is_purged(delivery)]:
            _revoke(broker, purged, _purged, ttl)
        if left := [delivery for delivery in found if not _is_purged(delivery)]:
            for delivery in left:
                _advance(broker, delivery, _full(delivery), ttl)
            broker.settle_dropped(queue, [_end(delivery, ttl) for delivery in left])
    return count


def purge(broker: Broker, queue: str, ttl: float = PURGED_TTL) -> int:
    """Drop what waits in a queue, and tell those who wait for it: it counts as revoked; return how many tasks there were.

    What comes in meanwhile may stay.

    Raises:
        OperationalError: the broker is away; what was put aside already is told of by a worker or a beat.
    """
    info = broker.info(queue)
    left, count = info.ready + info.delayed + info.parked, 0
    while left > count and (aside := broker.set_aside(queue, min(left - count, ASIDE_COUNT))):
        count += len(aside)
        _revoke(broker, aside, _purged, ttl)
    return count


def end_deleted(broker: Broker, deliveries: Sequence[Delivery], ttl: float = PURGED_TTL) -> None:
    """Write the ends of what a queue held that is deleted: its tasks count as revoked.

    Raises:
        OperationalError: the broker is away.
    """
    _revoke(broker, deliveries, _deleted, ttl)


def _revoke(
    broker: Broker, deliveries: Sequence[Delivery], why: Callable[[Delivery], TaskRevokedError], ttl: float
) -> None:
    """End tasks as revoked; where Redis has no memory left for that, drop them."""
    queue = deliveries[0].queue
    try:
        for delivery in deliveries:
            _advance(broker, delivery, why(delivery), ttl)
        broker.settle_dropped(queue, [_revoked(delivery, why(delivery), ttl) for delivery in deliveries])
    except UmbelError as error:
        if getattr(error, "code", "") != "OOM":
            raise
        # Somebody may purge the queue just because Redis is full: what frees memory must not need any.
        log.warning("queue.purged_untold", extra={"queue": queue, "count": len(deliveries)})
        broker.settle_dropped(queue, [Outcome(delivery.tag, Kind.ACK) for delivery in deliveries])


def end_abandoned(broker: Broker, deliveries: Sequence[Delivery], ttl: float) -> None:
    """Write the ends of what an own queue held whose worker is gone: no other worker can run it.

    Raises:
        OperationalError: the broker is away.
    """
    queue = deliveries[0].queue
    outcomes = []
    for delivery in deliveries:
        error = _gone(queue)
        _advance(broker, delivery, error, ttl)
        outcomes.append(_abandoned(delivery, error, ttl))
    broker.own_queues.settle(queue, outcomes)


def _abandoned(delivery: Delivery, error: TaskError, ttl: float) -> Outcome:
    reason = {"reason": "WorkerGone", "message": str(error)}
    try:
        message = messages.decode(delivery.payload)
    except DecodeError:
        return Outcome(delivery.tag, Kind.DEAD, reason=reason)
    if COPY_OF in message.headers:
        copy = TaskRevokedError(f"{error}; the others have copies of this task of their own")
        return _told(delivery, Kind.ACK, message, states.REVOKED, copy, ttl)
    reason |= {"task": message.headers["task"], "id": message.headers["id"]}
    return replace(_told(delivery, Kind.DEAD, message, states.FAILURE, error, ttl), reason=reason)


def _gone(queue: str) -> WorkerLostError:
    return WorkerLostError(
        f"the worker {queue.removesuffix(OWN)!r} is gone, and has not come back within the setting own_queue_grace: "
        "what waited in its own queue did not run"
    )


def _revoked(delivery: Delivery, error: TaskRevokedError, ttl: float) -> Outcome:
    try:
        message = messages.decode(delivery.payload)
    except DecodeError:
        return Outcome(delivery.tag, Kind.ACK)
    return _told(delivery, Kind.ACK, message, states.REVOKED, error, ttl)


def _deleted(delivery: Delivery) -> TaskRevokedError:
    return TaskRevokedError(f"the queue {delivery.queue!r} was deleted with all tasks that waited in it")


def _purged(delivery: Delivery) -> TaskRevokedError:
    return TaskRevokedError(f"the queue {delivery.queue!r} was purged while this task waited in it")


def _is_purged(delivery: Delivery) -> bool:
    return len(delivery.payload) >= HEAD_SIZE and delivery.payload[1] & PURGED == PURGED


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
