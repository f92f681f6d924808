"""Queues that belong to one worker, and those whose tasks every worker runs: their names, and who consumes what."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Final

from umbel.queues import OWN, Broadcast, Queue
from umbel.shards import shard_names

if TYPE_CHECKING:
    from umbel.config import Settings

#: The header of a copy: the id of the task that each worker runs, and the workflows of that one. Who revokes these means the copy.
COPY_OF: Final = "copy_of"

#: Names and weights.
Queues = tuple[tuple[str, int], ...]


def own_queue(hostname: str) -> str:
    """Return the name of the queue that only the worker of this name consumes."""
    return hostname + OWN


def worker_direct(hostname: str | Queue) -> Queue:
    """Return the queue of one worker, as ``queue=`` of a call takes it.

    The worker consumes it where the setting ``worker_direct`` is true, or where it consumes a `umbel.Broadcast` queue.

    Args:
        hostname: the worker's name, as ``umbel status`` shows it; a queue is returned as it is.
    """
    return hostname if isinstance(hostname, Queue) else Queue(own_queue(hostname))


def broadcasts(conf: Settings) -> frozenset[str]:
    """Return the queues in Redis behind the `umbel.Broadcast` queues of an app."""
    named = [queue.name for queue in conf.task_queues or () if isinstance(queue, Broadcast)]
    return frozenset(shard for name in named for shard in shard_names(name, conf.queue_shards))


def with_own(queues: Queues, hostname: str, broadcast: Collection[str], *, direct: bool) -> Queues:
    """Return what a worker consumes, with its own queue in front where it has one: copies do not wait behind all other tasks.

    Args:
        queues: that it was told to consume.
        hostname: of the worker.
        broadcast: queues whose tasks every worker runs.
        direct: whether it has a queue of its own in any case.
    """
    own = own_queue(hostname)
    if own in dict(queues) or not (direct or any(name in broadcast for name, _ in queues)):
        return queues
    return ((own, max(weight for _, weight in queues)), *queues)
