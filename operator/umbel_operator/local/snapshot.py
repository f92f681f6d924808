"""What a screen shows at one moment, put together from resources, pods, numbers and the last tasks."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from umbel_operator.api.base import Resource
from umbel_operator.api.broker import Broker
from umbel_operator.api.names import LABEL_BROKER, LABEL_COMPONENT
from umbel_operator.api.schedule import Schedule
from umbel_operator.api.taskqueue import TaskQueue
from umbel_operator.build.connection import key_prefix
from umbel_operator.local.gauges import Load, Numbers
from umbel_operator.local.naming import shown_name
from umbel_operator.local.notices import Notice
from umbel_operator.local.output import TaskEnd
from umbel_operator.local.pod import Phase, Pod

#: Ends of tasks that are remembered.
REMEMBERED: Final = 200


@dataclass(frozen=True, slots=True)
class QueueRow:
    """One TaskQueue. oldest: age in seconds of the task that is next."""

    name: str
    ready: int
    delayed: int
    in_flight: int
    dead: int
    oldest: float
    held: bool


@dataclass(frozen=True, slots=True)
class PodRow:
    """One pod of workers or of beat."""

    name: str
    phase: Phase
    load: Load
    restarts: int
    is_worker: bool


@dataclass(frozen=True, slots=True)
class ScheduleRow:
    """One Schedule."""

    name: str
    task: str
    text: str
    last: datetime | None
    next: datetime | None
    suspended: bool


@dataclass(slots=True)
class Tasks:
    """The ends of tasks that workers told."""

    counts: Counter[str] = field(default_factory=Counter)
    last: deque[TaskEnd] = field(default_factory=lambda: deque(maxlen=REMEMBERED))

    def add(self, end: TaskEnd) -> None:
        """Note one."""
        self.counts[end.word] += 1
        self.last.append(end)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """See the module."""

    queues: Sequence[QueueRow] = ()
    pods: Sequence[PodRow] = ()
    schedules: Sequence[ScheduleRow] = ()
    tasks: Tasks = field(default_factory=Tasks)
    notices: Sequence[Notice] = ()
    problems: Sequence[str] = ()
    #: Why the numbers are old; empty where they are not.
    redis_error: str = ""


def take(
    resources: Iterable[Resource],
    pods: Iterable[Pod],
    numbers: Callable[[str], Numbers],
    tasks: Tasks,
    notices: Sequence[Notice],
    problems: Sequence[str],
) -> Snapshot:
    """Return the present state.

    numbers: by key prefix.
    """
    known = list(resources)
    prefixes = {(r.namespace, r.name): key_prefix(r) for r in known if isinstance(r, Broker)}
    found = {prefix: numbers(prefix) for prefix in prefixes.values()}
    return Snapshot(
        queues=[_queue(r, prefixes, found) for r in known if isinstance(r, TaskQueue)],
        pods=[_pod(pod, prefixes, found) for pod in pods if pod.phase is not Phase.GONE],
        schedules=[_schedule(r) for r in known if isinstance(r, Schedule)],
        tasks=tasks,
        notices=notices,
        problems=problems,
        redis_error=next((n.error for n in found.values() if n.error), ""),
    )


def queues_by_prefix(resources: Iterable[Resource]) -> dict[str, list[str]]:
    """Return the effective names of all queues by their Broker's key prefix."""
    known = list(resources)
    prefixes = {(r.namespace, r.name): key_prefix(r) for r in known if isinstance(r, Broker)}
    found: dict[str, list[str]] = {prefix: [] for prefix in prefixes.values()}
    for resource in known:
        if isinstance(resource, TaskQueue):
            prefix = prefixes.get((resource.namespace, resource.spec.broker_ref.name))
            if prefix is not None and resource.effective_name not in found[prefix]:
                found[prefix].append(resource.effective_name)
    return found


def _queue(queue: TaskQueue, prefixes: dict[tuple[str, str], str], found: dict[str, Numbers]) -> QueueRow:
    prefix = prefixes.get((queue.namespace, queue.spec.broker_ref.name), "")
    info = found.get(prefix, Numbers()).queues.get(queue.effective_name)
    name, held = shown_name(queue.namespace, queue.name), queue.spec.dispatch == "Held"
    if info is None:
        return QueueRow(name, 0, 0, 0, 0, 0.0, held)
    return QueueRow(name, info.ready, info.delayed, info.in_flight, info.dead, info.oldest_age, held)


def _pod(pod: Pod, prefixes: dict[tuple[str, str], str], found: dict[str, Numbers]) -> PodRow:
    metadata = pod.manifest["metadata"]
    prefix = prefixes.get((metadata["namespace"], metadata["labels"].get(LABEL_BROKER, "")), "")
    load = found.get(prefix, Numbers()).loads.get(pod.uid, Load())
    is_worker = metadata["labels"][LABEL_COMPONENT] == "worker"
    return PodRow(pod.title, pod.phase, load, pod.restarts, is_worker)


def _schedule(schedule: Schedule) -> ScheduleRow:
    status = schedule.status
    return ScheduleRow(
        name=shown_name(schedule.namespace, schedule.name),
        task=schedule.spec.task.name,
        text=status.schedule_text or "",
        last=status.last_schedule_time,
        next=status.next_schedule_time,
        suspended=schedule.spec.suspend,
    )
