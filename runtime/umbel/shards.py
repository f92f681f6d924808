"""Queues that are split: one name for who sends and who works, several queues in Redis, so that several masters carry it.

The first shard bears the queue's own name, so that what was sent before a queue was split, or by who does not know of it, is run.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from itertools import count
from zlib import crc32

#: Whose turn it is, by queue; not the same in each process that sends a single task.
_turns: dict[str, count[int]] = {}


def shard_names(queue: str, shards: Mapping[str, int]) -> list[str]:
    """Return the queues in Redis behind a queue."""
    return [_name(queue, number) for number in range(shards.get(queue, 1))]


def pick(queue: str, shards: Mapping[str, int], key: str | None = None) -> str:
    """Return the queue in Redis that a task goes to.

    Args:
        queue: its name.
        shards: how many there are of each queue that is split.
        key: what is to meet in one shard, such as equal tasks; None to take turns.
    """
    size = shards.get(queue, 1)
    if size == 1:
        return queue
    if key is not None:
        return _name(queue, crc32(key.encode()) % size)
    turn = _turns.get(queue) or _turns.setdefault(queue, count(random.randrange(size)))
    return _name(queue, next(turn) % size)


def spread(queues: Iterable[tuple[str, int]], shards: Mapping[str, int]) -> tuple[tuple[str, int], ...]:
    """Return the queues of a worker with all their shards, each with the weight of its queue."""
    found: dict[str, int] = {}
    for queue, weight in queues:
        for name in shard_names(queue, shards):
            found.setdefault(name, weight)
    return tuple(found.items())


def _name(queue: str, number: int) -> str:
    return f"{queue}.{number}" if number else queue
