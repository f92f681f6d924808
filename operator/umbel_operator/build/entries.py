"""Turn TaskQueues, Schedules and WorkerPools into the entries of beat's configuration."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from umbel_operator.api.names import ANNOTATION_TRIGGER
from umbel_operator.api.schedule import Schedule
from umbel_operator.api.taskqueue import DeadLetter, TaskQueue
from umbel_operator.api.workerpool import WorkerPool
from umbel_operator.build.canonical import canonical_json
from umbel_operator.build.queues import forward_target, resolve, winners
from umbel_operator.build.validity import schedule_problem

Section = Literal["queues", "schedules", "pools"]


@dataclass(frozen=True)
class Entry:
    """One entry: where it goes, and what it says."""

    section: Section
    kind: str
    name: str
    #: JSON in its one spelling: thousands of entries are kept, and text is the smallest form.
    text: str

    @classmethod
    def of(cls, section: Section, kind: str, name: str, body: Mapping[str, Any]) -> Entry:
        """Make an entry that says `body`."""
        return cls(section, kind, name, canonical_json(body))

    @property
    def body(self) -> dict[str, Any]:
        """Return what it says."""
        found: dict[str, Any] = json.loads(self.text)
        return found

    @cached_property
    def slot(self) -> int:
        """Return the number whose remainder chooses the shard; the same for ever for a kind and name."""
        return int.from_bytes(hashlib.sha256(f"{self.kind}/{self.name}".encode()).digest()[:4])


class Rendered:
    """Keep the entries of Schedules from one rendering to the next: of thousands one changes at a time.

    A model never changes: as long as the cache holds the same one, its entry holds too.
    """

    def __init__(self) -> None:
        self._known: dict[str, tuple[Schedule, str, Entry | None]] = {}

    def schedules(
        self, broker: str, queues: Mapping[str, TaskQueue], schedules: Mapping[str, Schedule]
    ) -> Iterator[Entry]:
        """Return the entries of the Schedules that send to a Broker's queues; those that cannot work have none."""
        before, self._known = self._known, {}
        for name, schedule in schedules.items():
            queue = queues.get(schedule.spec.queue_ref.name)
            if queue is None or queue.spec.broker_ref.name != broker:
                continue
            known = before.get(name)
            if known is None or known[0] is not schedule or known[1] != queue.effective_name:
                works = schedule_problem(schedule, queues) is None
                known = (schedule, queue.effective_name, schedule_entry(schedule, queue) if works else None)
            self._known[name] = known
            if known[2] is not None:
                yield known[2]


def broker_entries(
    broker: str,
    queues: Mapping[str, TaskQueue],
    schedules: Mapping[str, Schedule],
    pools: Mapping[str, WorkerPool],
    rendered: Rendered | None = None,
) -> list[Entry]:
    """Return the entries of a Broker.

    broker: its name.
    rendered: what the last rendering left.
    queues, schedules, pools: what its namespace holds, by name. TaskQueues that lost their queueName to an older one
        and Schedules that cannot work are left out; their own conditions say why.
    """
    entries = [queue_entry(queue, queues) for queue in winners(queues.values(), broker).values()]
    entries.extend((rendered or Rendered()).schedules(broker, queues, schedules))
    for pool in pools.values():
        if pool.spec.broker_ref.name == broker:
            entries.append(pool_entry(pool, queues))
    return entries


def queue_entry(queue: TaskQueue, queues: Mapping[str, TaskQueue]) -> Entry:
    """Return the entry of a TaskQueue."""
    body = {
        "name": queue.effective_name,
        "resource": queue.name,
        "uid": queue.uid,
        "generation": queue.generation,
        "settings": queue_settings(queue, queues),
        # beat removes the keys and says so by this uid: another TaskQueue may have the name by then.
        **({"purge": queue.uid} if queue.deleting and queue.spec.deletion_policy == "Purge" else {}),
    }
    return Entry.of("queues", "TaskQueue", queue.name, body)


def queue_settings(queue: TaskQueue, queues: Mapping[str, TaskQueue]) -> dict[str, Any]:
    """Return the settings of a queue as the library reads them; what is unset is absent.

    queues: the TaskQueues of the namespace by name: one may receive the dead tasks of another.
    """
    spec = queue.spec
    settings: dict[str, Any] = {
        # A queue that is being deleted and still exists waits until it is empty, or purged.
        "intake": "Reject" if queue.deleting else spec.intake,
        "dispatch": spec.dispatch,
        "maxDeliveries": spec.max_deliveries,
        "maxConcurrency": spec.max_concurrency,
        "deadLetter": _dead_letter(spec.dead_letter, forward_target(queue, queues)),
        "maxLength": spec.max_length,
        "overflowPolicy": spec.overflow_policy,
        "rateLimit": spec.rate_limit.to_json() if spec.rate_limit is not None else None,
        "taskDefaults": spec.task_defaults.to_json() if spec.task_defaults is not None else None,
    }
    return {key: value for key, value in settings.items() if value is not None}


def schedule_entry(schedule: Schedule, queue: TaskQueue) -> Entry:
    """Return the entry of a Schedule that sends to `queue`."""
    spec = schedule.spec
    body = {
        "uid": schedule.uid,
        "name": schedule.name,
        "namespace": schedule.namespace,
        "generation": schedule.generation,
        "queue": queue.effective_name,
        "task": {"args": [], "kwargs": {}, **spec.task.to_json()},
        "trigger": spec.trigger.to_json(),
        "jitterSeconds": spec.jitter_seconds,
        "startingDeadlineSeconds": spec.starting_deadline_seconds,
        "catchUp": spec.catch_up.to_json(),
        "concurrencyPolicy": spec.concurrency_policy,
        "suspend": spec.suspend,
        "stop": spec.stop.to_json() if spec.stop is not None else None,
        "successfulRunsHistoryLimit": spec.successful_runs_history_limit,
        "failedRunsHistoryLimit": spec.failed_runs_history_limit,
        "manualTrigger": schedule.metadata.annotations.get(ANNOTATION_TRIGGER) or None,
    }
    return Entry.of("schedules", "Schedule", schedule.name, body)


def pool_entry(pool: WorkerPool, queues: Mapping[str, TaskQueue]) -> Entry:
    """Return the entry of a WorkerPool."""
    scaling = pool.spec.autoscaling.queue
    body = {
        "name": pool.name,
        "uid": pool.uid,
        "queues": [name for name, _ in resolve(pool, queues).shares],
        "slots": pool.spec.concurrency.slots,
        **({"startupLeadSeconds": scaling.startup_lead_seconds} if scaling is not None else {}),
    }
    return Entry.of("pools", "WorkerPool", pool.name, body)


def _dead_letter(dead_letter: DeadLetter, target: TaskQueue | None) -> dict[str, Any]:
    if dead_letter.policy == "Forward":
        # Without the queue that is to receive them they are kept, as the condition Accepted says.
        return {"policy": "Keep"} if target is None else {"policy": "Forward", "queue": target.effective_name}
    return dead_letter.to_json()
