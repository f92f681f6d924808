"""What the built-in scaler does with a WorkerPool: read its load, decide, and say which pods may go first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from umbel_operator.api.names import ANNOTATION_DELETION_COST, API_VERSION
from umbel_operator.api.workerpool import WorkerPool
from umbel_operator.plan.model import Event, Patch, Ref, State
from umbel_operator.plan.scaling import Decision, Load, Memory, decide

#: Cost of a pod that runs nothing: lower than the 0 of all others, so it goes first.
IDLE_COST = "-100"
#: Cost of a pod that holds no task though its last heartbeat, up to two seconds old, tells of one: it goes before those that do.
FREE_COST = "-50"


@dataclass(frozen=True, slots=True)
class Scaling:
    """The decision and what it takes to carry it out."""

    decision: Decision
    actions: tuple[Patch, ...]
    #: Seconds until the next look.
    period: float


def scale(state: State[WorkerPool]) -> Scaling | None:
    """Return what the built-in scaler wants; None where the pool has another one, or is suspended."""
    pool = state.resource
    settings = pool.spec.autoscaling.queue
    if settings is None or pool.spec.suspend:
        return None
    replicas = pool.spec.replicas
    decision = decide(
        settings, pool.spec.concurrency.slots, replicas, load_of(state), state.scaling or Memory(), state.now
    )
    actions: list[Patch] = []
    if decision.replicas < replicas:
        actions += _costs(state)
    if decision.replicas != replicas:
        actions.append(_resize(pool, decision))
    return Scaling(decision, tuple(actions), float(settings.sample_period_seconds))


def load_of(state: State[WorkerPool]) -> Load:
    """Return what beat says of the pool's work, and when the next Schedule of its queues is due."""
    sample = state.sample
    if sample is None or sample.stale or not sample.redis.ok:
        return Load()
    tasks = sample.pools.get(state.resource.name, {}).get("load")
    return Load(
        tasks if isinstance(tasks, int) and tasks >= 0 else None,
        sample.taken_at,
        min(_due_times(state), default=None),
    )


def _due_times(state: State[WorkerPool]) -> Iterator[datetime]:
    assert state.sample is not None
    queues = {share.name for share in state.resource.spec.queues}
    for schedule in (found for queue in queues for found in state.view.schedules_of(queue)):
        if not schedule.spec.suspend:
            due = state.sample.schedules.get(schedule.uid, {}).get("nextScheduleTime")
            if isinstance(due, str):
                yield datetime.fromisoformat(due)


def _costs(state: State[WorkerPool]) -> Iterator[Patch]:
    """Mark the idle pods just before some are removed, and take the mark from those that are busy by now."""
    assert state.sample is not None
    sample = state.sample.pools.get(state.resource.name, {})
    costs = {
        **dict.fromkeys(sample.get("freePods") or (), FREE_COST),
        **dict.fromkeys(sample.get("idlePods") or (), IDLE_COST),
    }
    for pod in state.pods:
        metadata = pod["metadata"]
        if metadata.get("deletionTimestamp"):
            continue
        wanted = costs.get(metadata.get("uid"))
        if (metadata.get("annotations") or {}).get(ANNOTATION_DELETION_COST) != wanted:
            body = {"metadata": {"annotations": {ANNOTATION_DELETION_COST: wanted}}}
            yield Patch(Ref("v1", "Pod", state.resource.namespace, str(metadata["name"])), body)


def _resize(pool: WorkerPool, decision: Decision) -> Patch:
    before, after = pool.spec.replicas, decision.replicas
    word = "ScaledUp" if after > before else "ScaledDown"
    why = decision.why or "the bounds of spec.autoscaling.queue ask for it"
    return Patch(
        Ref(API_VERSION, "WorkerPool", pool.namespace, pool.name),
        {"spec": {"replicas": after}},
        "scale",
        Event("Normal", word, f"spec.replicas {before} -> {after}: {why}"),
    )
