"""Name the fields that this release does not act on, and what happens in their place."""

from __future__ import annotations

from umbel_operator.api.broker import Broker
from umbel_operator.api.conditions import Condition, Reason
from umbel_operator.api.schedule import Schedule
from umbel_operator.api.taskqueue import TaskQueue
from umbel_operator.api.workerpool import WorkerPool
from umbel_operator.plan.conditions import Conditions


def set_accepted(conditions: Conditions, resource: Broker | TaskQueue | WorkerPool | Schedule) -> None:
    """Write the condition Accepted: every field is acted on, or which are not."""
    notes = unsupported(resource)
    if notes:
        text = "; ".join(f"{field} is not acted on yet: {instead}" for field, instead in notes)
        conditions.set(Condition.ACCEPTED, Reason.NOT_YET_SUPPORTED, text)
    else:
        conditions.set(Condition.ACCEPTED, Reason.ACCEPTED, "every field is acted on")


def unsupported(resource: Broker | TaskQueue | WorkerPool | Schedule) -> list[tuple[str, str]]:
    """Return each field that is set and not acted on, with what happens instead."""
    match resource:
        case Broker():
            return _broker(resource)
        case TaskQueue():
            return _queue(resource)
        case WorkerPool():
            return _pool(resource)
        case _:
            return []


def _broker(broker: Broker) -> list[tuple[str, str]]:
    kind = broker.spec.connection.type
    if kind == "Standalone":
        return []
    return [
        (
            f"spec.connection.type {kind}",
            "nothing is deployed for this Broker and its WorkerPools, and what runs is left as it is; use Standalone",
        )
    ]


def _queue(queue: TaskQueue) -> list[tuple[str, str]]:
    spec = queue.spec
    notes = []
    if spec.rate_limit is not None:
        notes.append(("spec.rateLimit", "tasks leave the queue as fast as workers take them"))
    if spec.max_length is not None:
        notes.append(("spec.maxLength with spec.overflowPolicy", "the queue grows without a bound"))
    if spec.dead_letter.policy == "Forward":
        notes.append(("spec.deadLetter.policy Forward", "dead tasks are kept with this queue, as with Keep"))
    if spec.task_defaults is not None:
        notes.append(("spec.taskDefaults", "tasks use the options of their own code"))
    if spec.deletion_policy == "Purge":
        notes.append(("spec.deletionPolicy Purge", "tasks stay in Redis when this object is deleted, as with Retain"))
    return notes


def _pool(pool: WorkerPool) -> list[tuple[str, str]]:
    spec = pool.spec
    notes = []
    if spec.concurrency.model != "Process":
        notes.append((f"spec.concurrency.model {spec.concurrency.model}", "each slot is a process, as with Process"))
    if spec.concurrency.prefetch is not None:
        notes.append(("spec.concurrency.prefetch", "workers choose how many tasks they hold ahead"))
    if spec.concurrency.max_tasks_per_process is not None:
        notes.append(("spec.concurrency.maxTasksPerProcess", "processes are not replaced by count"))
    if spec.concurrency.max_memory is not None:
        notes.append(("spec.concurrency.maxMemory", "processes are not replaced by memory"))
    if spec.autoscaling.type == "Queue":
        notes.append(("spec.autoscaling.type Queue", f"the number of pods stays spec.replicas ({spec.replicas})"))
    return notes
