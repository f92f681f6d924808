"""Plan a TaskQueue: it owns nothing; its settings go with the Broker's configuration, and its numbers come back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from umbel_operator.api.conditions import Condition, Reason
from umbel_operator.api.names import ANNOTATION_FORCE_DELETE, FINALIZER_QUEUE
from umbel_operator.api.taskqueue import TaskQueue, TaskQueueStatus
from umbel_operator.api.workerpool import WorkerPool
from umbel_operator.build.queues import forward_target
from umbel_operator.plan.conditions import Conditions
from umbel_operator.plan.finalizers import finalizer_patch
from umbel_operator.plan.loading import Load, Loading, loading, serial_of
from umbel_operator.plan.missing import broker_not_found
from umbel_operator.plan.model import Event, Plan, State
from umbel_operator.plan.unsupported import set_accepted

#: Seconds between two writes of the numbers, and after which numbers that stay the same are written again.
SAMPLE_SECONDS = 30
REFRESH_SECONDS = 600
#: Seconds without an answer of beat after which a deletion no longer waits.
GIVE_UP_SECONDS = 600
_PENDING_SECONDS = 5.0

_NUMBERS = {
    "ready_tasks": "ready",
    "in_flight_tasks": "inFlight",
    "dead_letter_tasks": "dead",
    "oldest_task_age_seconds": "oldestAgeSeconds",
}
_PURGING = (
    "waits until beat has removed the tasks from Redis; to give up and leave them there, annotate it with "
    f"{ANNOTATION_FORCE_DELETE}=true"
)
#: What must be zero before a queue counts as empty.
_WAITING = ("ready", "delayed", "inFlight", "parked")


def plan_queue(state: State[TaskQueue]) -> Plan:
    """Plan a TaskQueue; its deletion waits, by a finalizer, for its last task (WaitUntilEmpty) or for beat's purge (Purge)."""
    queue = state.resource
    waits = queue.spec.deletion_policy != "Retain" and not state.view.terminating
    progress = _progress(state)
    if queue.deleting:
        released = _release(state, waits, progress)
        if released is not None:
            patch = finalizer_patch(queue, FINALIZER_QUEUE, wanted=False)
            return Plan(actions=(patch,), events=released) if patch is not None else Plan()
    finalizer = finalizer_patch(queue, FINALIZER_QUEUE, wanted=waits)
    pools = state.view.pools_of(queue)
    conditions = Conditions("TaskQueue", queue.generation, queue.status.conditions or (), state.now)
    set_accepted(conditions, queue)
    _look_for_receiver(conditions, queue, state.view.queues)
    _set_ready(conditions, state, progress)
    _set_consumed(conditions, queue, pools)
    if queue.deleting:
        purging = queue.spec.deletion_policy == "Purge"
        reason = Reason.PURGING if purging else Reason.WAITING_UNTIL_EMPTY
        conditions.set(Condition.DRAINING, reason, _PURGING if purging else _left(state))
    pending = queue.deleting or conditions.get(Condition.READY).reason == Reason.CONFIG_PENDING
    return Plan(
        actions=(finalizer,) if finalizer is not None else (),
        status=_status(state, pools, conditions),
        events=conditions.events(),
        requeue_after=_PENDING_SECONDS if pending else None,
    )


def _progress(state: State[TaskQueue]) -> Loading:
    ready = state.resource.status.condition(Condition.READY)
    before = ready is not None and ready.status == "True" and ready.observed_generation == state.resource.generation
    return loading(state, before)


def _look_for_receiver(conditions: Conditions, queue: TaskQueue, queues: Mapping[str, TaskQueue]) -> None:
    """Say that the queue which is to receive dead tasks is not there."""
    ref = queue.spec.dead_letter.queue_ref
    if queue.spec.dead_letter.policy != "Forward" or ref is None or forward_target(queue, queues) is not None:
        return
    instead = "dead tasks are kept with this queue, as with policy Keep"
    if ref.name in queues:
        other = queues[ref.name].spec.broker_ref.name
        text = f'spec.deadLetter.queueRef: TaskQueue "{ref.name}" belongs to Broker "{other}"; {instead}'
        conditions.set(Condition.ACCEPTED, Reason.QUEUE_OTHER_BROKER, text)
    else:
        text = f'spec.deadLetter.queueRef: there is no TaskQueue "{ref.name}" in this namespace; {instead}'
        conditions.set(Condition.ACCEPTED, Reason.QUEUE_NOT_FOUND, text)


def _set_ready(conditions: Conditions, state: State[TaskQueue], progress: Loading) -> None:
    queue = state.resource
    name = queue.spec.broker_ref.name
    broker = state.view.brokers.get(name)
    owner = state.view.owner_of(name, queue.effective_name) or queue
    if broker is None:
        conditions.set(Condition.READY, Reason.BROKER_NOT_FOUND, broker_not_found(name, queue.namespace))
    elif owner.uid != queue.uid:
        conditions.set(
            Condition.READY,
            Reason.NAME_CONFLICT,
            f'TaskQueue "{owner.name}" is older and has the queueName "{queue.effective_name}" in Broker "{name}"; its '
            "settings count and these do not: delete one of the two",
        )
    elif (health := broker.status.condition(Condition.READY)) is None or health.status != "True":
        why = f"{health.reason}: {health.message}" if health is not None else "it was not looked at yet"
        conditions.set(Condition.READY, Reason.BROKER_NOT_READY, f'Broker "{name}" is not ready ({why})')
    elif progress.state is Load.REFUSED and progress.error is not None:
        text = f"beat refuses these settings: {progress.error.reason}: {progress.error.message}"
        conditions.set(Condition.READY, Reason.CONFIG_PENDING, text)
    elif progress.state is not Load.LOADED:
        conditions.set(Condition.READY, Reason.CONFIG_PENDING, "beat has not loaded these settings yet")
    else:
        conditions.set(Condition.READY, Reason.READY, f'tasks may be sent to "{queue.effective_name}"')


def _set_consumed(conditions: Conditions, queue: TaskQueue, pools: list[WorkerPool]) -> None:
    working = sorted(pool.name for pool in pools if not pool.spec.suspend)
    if queue.spec.dispatch == "Held":
        conditions.set(Condition.CONSUMED, Reason.HELD, "spec.dispatch is Held: workers take nothing from this queue")
    elif working:
        conditions.set(Condition.CONSUMED, Reason.CONSUMERS_PRESENT, f"served by {', '.join(working)}")
    elif pools:
        names = ", ".join(sorted(pool.name for pool in pools))
        conditions.set(Condition.CONSUMED, Reason.ALL_POOLS_SUSPENDED, f"suspended: {names}")
    else:
        conditions.set(
            Condition.CONSUMED,
            Reason.NO_WORKER_POOL,
            f"no WorkerPool of this Broker has {queue.name} in spec.queues: tasks wait",
        )


def _release(state: State[TaskQueue], waits: bool, progress: Loading) -> tuple[Event, ...] | None:
    """Return the events of a deletion that may go on now, or None while it waits."""
    queue, sample = state.resource, state.sample
    owner = state.view.owner_of(queue.spec.broker_ref.name, queue.effective_name) or queue
    mine = owner.uid == queue.uid
    if not waits or not mine or queue.metadata.annotations.get(ANNOTATION_FORCE_DELETE) == "true":
        return ()
    if queue.spec.broker_ref.name not in state.view.brokers:
        return (_gave_up(queue, "its Broker is gone"),)
    asked = queue.metadata.deletion_timestamp or state.now
    heard = max(asked, sample.taken_at) if sample is not None and sample.taken_at is not None else asked
    if (state.now - heard).total_seconds() > GIVE_UP_SECONDS:
        return (_gave_up(queue, f"beat has not answered for {GIVE_UP_SECONDS} s"),)
    if progress.state is Load.REFUSED:
        return (_gave_up(queue, "beat refuses its settings, so that it cannot be closed"),)
    if queue.spec.deletion_policy == "Purge":
        return () if _is_purged(state) else None
    if sample is None or sample.stale or sample.taken_at is None or sample.taken_at <= asked:
        return None
    closed = state.rendered is not None and serial_of(sample.loaded_revision) >= state.rendered.serial
    numbers = sample.queues.get(queue.effective_name)
    if progress.state is not Load.LOADED or not closed or numbers is None:
        return None
    return None if any(numbers.get(key) for key in _WAITING) else ()


def _is_purged(state: State[TaskQueue]) -> bool:
    """Tell whether beat says that it has removed what this very object left, not one of the same name before."""
    numbers = state.sample.queues.get(state.resource.effective_name) if state.sample is not None else None
    return numbers is not None and numbers.get("purged") == state.resource.uid


def _gave_up(queue: TaskQueue, why: str) -> Event:
    purge = queue.spec.deletion_policy == "Purge"
    what = "its tasks stay in Redis" if purge else "deleted without waiting for the queue to be empty"
    return Event("Warning", "DrainTimeout", f"{what}: {why}")


def _left(state: State[TaskQueue]) -> str:
    numbers = state.sample.queues.get(state.resource.effective_name) if state.sample is not None else None
    if numbers is None:
        return "new tasks are refused until none is left; how many there are is not known yet"
    counts = (
        f"{numbers.get('ready', 0)} ready, {numbers.get('delayed', 0)} delayed, {numbers.get('inFlight', 0)} in flight"
    )
    return f"new tasks are refused until none is left: {counts}"


def _status(state: State[TaskQueue], pools: list[WorkerPool], conditions: Conditions) -> dict[str, Any]:
    queue = state.resource
    status = TaskQueueStatus(
        observed_generation=queue.generation,
        queue_name=queue.effective_name,
        worker_pools=len(pools),
        **_numbers(state),
    )
    return {**status.to_json(), "conditions": conditions.to_json()}


def _numbers(state: State[TaskQueue]) -> dict[str, Any]:
    """Return the numbers of the sample, or those of the status where these are recent enough or the same."""
    old = state.resource.status
    kept: dict[str, Any] = {name: getattr(old, name) for name in (*_NUMBERS, "sample_time")}
    sample = state.sample
    if sample is None or sample.stale or sample.taken_at is None:
        return kept
    raw = sample.queues.get(state.resource.effective_name)
    if raw is None:
        return kept
    fresh = {name: _count(raw.get(key)) for name, key in _NUMBERS.items()}
    if old.sample_time is not None:
        age = (sample.taken_at - old.sample_time).total_seconds()
        same = all(kept[name] == value for name, value in fresh.items())
        # Numbers from the future were written before a clock was set back.
        if 0 <= age < (REFRESH_SECONDS if same else SAMPLE_SECONDS):
            return kept
    return {**fresh, "sample_time": sample.taken_at.replace(microsecond=0)}


def _count(value: Any) -> int | None:
    return int(value) if isinstance(value, int | float) and not isinstance(value, bool) and value >= 0 else None
