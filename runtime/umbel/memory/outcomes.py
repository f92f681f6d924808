"""What one outcome does: the delivery leaves its owner, and what belongs to its end is written in the same step."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import orjson

from umbel.broker.base import Kind, Outcome
from umbel.clock import full_milliseconds
from umbel.memory import head
from umbel.memory.queue import Holding, MemoryQueue
from umbel.memory.store import Store


def apply(store: Store, queue: MemoryQueue, holding: Holding, outcomes: Iterable[Outcome], now: float) -> list[int]:
    """Write outcomes, under the lock of the store.

    Messages given back go to the front together, in the order of the outcomes. A run of a schedule
    (``Outcome.run``) is not noted: schedules belong to beat, which keeps its state in Redis.

    Returns: the tags that the owner did not hold any more; nothing was written for them.
    """
    lost: list[int] = []
    front: list[bytes] = []
    freed: list[bytes] = []
    for outcome in outcomes:
        woken = queue.free(holding, outcome.tag) if outcome.place else None
        if woken is not None:
            freed.append(woken)
        payload = queue.release(holding, outcome.tag)
        if payload is None:
            lost.append(outcome.tag)
            continue
        _unlock(queue, outcome, now)
        if outcome.record is not None:
            store.records.store(outcome.task_id, outcome.record, outcome.ttl, now, guarded=False)
        if outcome.kind is Kind.GIVE_BACK:
            queue.rate.unspend(queue.settings.rate)
        back = _dispose(queue, payload, outcome, now)
        if back is not None:
            front.append(back)
    queue.put_front(front + freed)
    return lost


def _unlock(queue: MemoryQueue, outcome: Outcome, now: float) -> None:
    if outcome.lock is not None:
        name, seconds = outcome.lock
        queue.places.unlock(name, outcome.task_id, now + seconds, now)


def _dispose(queue: MemoryQueue, payload: bytes, outcome: Outcome, now: float) -> bytes | None:
    """Put the message where its outcome says; return it if that is the front of the queue."""
    due_ms = full_milliseconds(now + outcome.delay)
    match outcome.kind:
        case Kind.RETRY if outcome.delay > 0:
            queue.delay(outcome.payload, due_ms)
        case Kind.RETRY:
            queue.put_back(outcome.payload)
        case Kind.GIVE_BACK if outcome.delay > 0:
            queue.delay(payload, due_ms)
        case Kind.GIVE_BACK:
            return payload
        case Kind.REQUEUE:
            return head.raise_counts(payload, attempt=1, requeues=1)
        case Kind.DEAD:
            reason: dict[str, Any] = orjson.loads(orjson.dumps(outcome.reason or {}))
            queue.bury(payload, reason, now)
        case Kind.ACK:
            pass
    return None
