"""What an app has sent, read back from its broker as a worker would."""

from __future__ import annotations

from umbel import Umbel
from umbel.broker.base import OwnerInfo
from umbel.ids import new_owner_id
from umbel.message import Message, decode


def take(app: Umbel, queue: str = "default", count: int = 100) -> list[Message]:
    """Fetch and return what waits in a queue."""
    consumer = app.broker.consumer(OwnerInfo(new_owner_id(), [queue]))
    consumer.register()
    return [decode(delivery.payload) for delivery in consumer.cycle(queue, [], count).deliveries]


def take_one(app: Umbel, queue: str = "default") -> Message:
    """Fetch and return the only message of a queue."""
    (message,) = take(app, queue)
    return message
