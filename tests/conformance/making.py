"""Short ways to make messages and outcomes, and to read what came of them."""

from __future__ import annotations

import select
from collections.abc import Iterable, Sequence
from typing import Any

from umbel import message as messages
from umbel import states
from umbel.broker.base import Bell, Broker, Consumer, DeadLetter, Delivery, Kind, Outcome, Outgoing, OwnerInfo
from umbel.ids import new_owner_id
from umbel.message import Message
from umbel.record import Record


def outgoing(
    task_id: str,
    *,
    delay: float = 0.0,
    body: bytes = b"[]",
    priority: int = 5,
    group: str | None = None,
    **head: Any,
) -> Outgoing:
    """A message to publish, with the id of its task."""
    headers = {"id": task_id, "task": "conformance"} | ({} if group is None else {"group": group})
    message = Message(headers, body, priority, **head)
    return Outgoing(message.encode(), task_id, delay)


def several(ids: Iterable[str], **options: Any) -> list[Outgoing]:
    """Messages to publish in one call."""
    return [outgoing(task_id, **options) for task_id in ids]


def owner(*queues: str, owner_id: str | None = None, **figures: Any) -> OwnerInfo:
    """A new owner."""
    return OwnerInfo(owner_id or new_owner_id(), list(queues), **figures)


def read(item: Delivery | DeadLetter | Outgoing) -> Message:
    """The message of a delivery."""
    return messages.decode(item.payload)


def ids(items: Iterable[Delivery | DeadLetter]) -> list[str]:
    """The ids of the tasks, in order."""
    return [read(item).headers["id"] for item in items]


def take(consumer: Consumer, queue: str, want: int = 256) -> list[Delivery]:
    """Fetch, and report nothing."""
    return consumer.cycle(queue, [], want).deliveries


def end(delivery: Delivery, kind: Kind = Kind.ACK, **more: Any) -> Outcome:
    """The end of a delivery."""
    return Outcome(delivery.tag, kind, read(delivery).headers["id"], **more)


def ends(deliveries: Iterable[Delivery], kind: Kind = Kind.ACK, **more: Any) -> list[Outcome]:
    """The ends of several deliveries, all of one kind."""
    return [end(delivery, kind, **more) for delivery in deliveries]


def die(broker: Broker, queue: str, payload: bytes, reason: dict[str, Any]) -> None:
    """Make a dead letter of a message, in a queue that holds nothing else that is ready."""
    broker.publish(queue, [outgoing("dies")])
    consumer = broker.consumer(owner(queue))
    try:
        consumer.register()
        (delivery,) = take(consumer, queue, 1)
        # As a retry, the bytes come as they are: publishing would write the time into them.
        (delivery,) = consumer.cycle(queue, [Outcome(delivery.tag, Kind.RETRY, payload=payload)], 1).deliveries
        consumer.cycle(queue, [Outcome(delivery.tag, Kind.DEAD, reason=reason)], 0)
        consumer.leave()
    finally:
        consumer.close()


def record(state: str = states.SUCCESS, value: bytes = b"42", *, attempt: int = 0, **meta: Any) -> Record:
    """A record of a task's state."""
    return Record(state, value, attempt, 1_700_000_000_000, meta)


def rung(bell: Bell, queues: Sequence[str], timeout: float = 20.0) -> str | None:
    """Wait on a bell as a worker does; return the queue that rang, None after the time."""
    bell.ask(queues, timeout)
    readable, _, _ = select.select([bell.fileno()], [], [], timeout + 5.0)
    assert readable, "the bell neither rang nor timed out"
    return bell.answer()


#: Seconds to wait for a bell that must not ring.
SILENCE = 0.15
