"""Resolve which queues there are: names, owners of a name, and what a pool may serve."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from umbel_operator.api.taskqueue import TaskQueue
from umbel_operator.api.workerpool import WorkerPool

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Resolution:
    """What the queues of a pool come to."""

    #: Effective queue names with their weights, in the order of the spec, each once.
    shares: tuple[tuple[str, int], ...]
    #: Names of TaskQueues that do not exist.
    missing: tuple[str, ...]
    #: Names of TaskQueues that belong to another Broker.
    foreign: tuple[str, ...]


def resolve(pool: WorkerPool, queues: Mapping[str, TaskQueue]) -> Resolution:
    """Look the pool's queues up.

    queues: the TaskQueues of the namespace by name.
    """
    shares: dict[str, int] = {}
    missing, foreign = [], []
    for share in pool.spec.queues:
        queue = queues.get(share.name)
        if queue is None:
            missing.append(share.name)
        elif queue.spec.broker_ref.name != pool.spec.broker_ref.name:
            foreign.append(share.name)
        else:
            shares[queue.effective_name] = max(share.weight, shares.get(queue.effective_name, 0))
    return Resolution(tuple(shares.items()), tuple(missing), tuple(foreign))


def seniority(queue: TaskQueue) -> tuple[datetime, str]:
    """Order TaskQueues that claim one name: the older creationTimestamp wins, then the lower uid."""
    return queue.metadata.creation_timestamp or _EPOCH, queue.uid


def winners(queues: Iterable[TaskQueue], broker: str) -> dict[str, TaskQueue]:
    """Return the TaskQueue that owns each effective name of a Broker."""
    found: dict[str, TaskQueue] = {}
    for queue in queues:
        if queue.spec.broker_ref.name == broker:
            rival = found.get(queue.effective_name)
            if rival is None or seniority(queue) < seniority(rival):
                found[queue.effective_name] = queue
    return found


def forward_target(queue: TaskQueue, queues: Mapping[str, TaskQueue]) -> TaskQueue | None:
    """Return the TaskQueue that receives a queue's dead tasks, None without one of that name in its Broker.

    queues: the TaskQueues of the namespace by name.
    """
    ref = queue.spec.dead_letter.queue_ref
    target = queues.get(ref.name) if queue.spec.dead_letter.policy == "Forward" and ref is not None else None
    return target if target is not None and target.spec.broker_ref.name == queue.spec.broker_ref.name else None
