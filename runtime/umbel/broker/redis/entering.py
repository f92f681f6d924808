"""How an owner enters its queues, at its beginning and later: the registry first, so that a burial finds all that it may hold."""

from __future__ import annotations

from collections.abc import Sequence

import orjson

from umbel.broker.base import OwnerLost
from umbel.errors import ImproperlyConfigured, LayoutError
from umbel.redis import keys, scripts
from umbel.redis.connection import RedisConnection

#: Distance between the first tags of an owner's queues. Lua prints integers exactly up to 14 digits.
TAGS_PER_QUEUE = 10**12
MOST_QUEUES = 99


def check_number(count: int) -> None:
    """Refuse more queues than an owner's tags can tell apart.

    Raises:
        ImproperlyConfigured: with the bound.
    """
    if count > MOST_QUEUES:
        raise ImproperlyConfigured(
            f"one worker serves at most {MOST_QUEUES} queues, not {count}: start more workers, or start this one again if "
            "it had others before"
        )


def enter(connection: RedisConnection, prefix: str, owner: str, queue: str, number: int) -> None:
    """Enter one queue, so that cycles on it pass the fence. May be repeated.

    Args:
        connection: to Redis.
        prefix: of all keys.
        owner: id, which stands in the registry with this queue.
        queue: its name.
        number: how many the owner has entered before: tells its tags apart.

    Raises:
        LayoutError: a newer Umbel works on this queue.
    """
    status, detail = scripts.enter(
        connection,
        (keys.owned(prefix, queue, owner), keys.queue(prefix, queue).meta),
        (keys.LAYOUT, number * TAGS_PER_QUEUE),
    )
    if status == b"layout":
        raise LayoutError(newer_layout(queue, detail))


def note(
    connection: RedisConnection,
    prefix: str,
    owner: str,
    entered: Sequence[str],
    consumed: Sequence[str],
    new: str = "",
) -> None:
    """Write into the registry which queues an owner has entered, and which it consumes.

    Args:
        new: the one that it is about to enter.

    Raises:
        OwnerLost: it was buried.
    """
    names = (keys.beats(prefix), keys.registry(prefix, owner), keys.queue_names(prefix))
    arguments = (owner, orjson.dumps(list(entered)), orjson.dumps(list(consumed)), new)
    if not scripts.consume(connection, names, arguments):
        raise OwnerLost(owner)


def is_registered(connection: RedisConnection, prefix: str, owner: str) -> bool:
    """Return whether nobody has buried the owner."""
    return connection.call(b"ZSCORE", keys.beats(prefix), owner) is not None


def newer_layout(queue: str, version: bytes) -> str:
    """Return the text of the error for a layout that this library does not know."""
    return (
        f"the keys of queue {queue!r} have layout version {int(version)}, this Umbel knows version {keys.LAYOUT}: "
        "a newer Umbel works on this Redis, upgrade this one"
    )
