"""The built-in scaler's decision: from the load of a pool and what is remembered of it to a number of pods.

The rules are those of Kubernetes' own autoscaler where it has some: up at once but not without measure, down only to the
highest number that was wanted for a while. To and from zero it has none; there an idle time and the next due Schedule decide.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from umbel_operator.api.autoscaling import QueueScaling
from umbel_operator.api.conditions import Reason

#: A load that is older than this many sample periods says nothing about the present.
STALE_PERIODS = 3
#: Seconds within which the number of pods grows to twice the former number plus GROWTH at most.
GROWTH_SECONDS = 15
GROWTH = 4


@dataclass(frozen=True, slots=True)
class Load:
    """What is known of the work of a pool.

    Args:
        tasks: waiting and running tasks, as beat counts them; None where it does not know.
        taken_at: when beat said so.
        next_due: when the first Schedule of the pool's queues is due, None without one.
    """

    tasks: int | None = None
    taken_at: datetime | None = None
    next_due: datetime | None = None


@dataclass(frozen=True, slots=True)
class Memory:
    """What the scaler remembers of a pool from one decision to the next. An operator that starts remembers nothing."""

    #: (when, pods that were wanted), within the stabilization time.
    wanted: tuple[tuple[datetime, int], ...] = ()
    #: (when, pods before), for each growth of the last GROWTH_SECONDS.
    growths: tuple[tuple[datetime, int], ...] = ()
    #: Since when there has been no load, None while there is some.
    idle_since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """How many pods there should be, and why."""

    replicas: int
    #: Of the condition ScalingActive. Its message has no figures that change with each look.
    reason: Reason
    message: str
    #: What the load asks for, in figures, for the event.
    why: str
    memory: Memory


def decide(scaling: QueueScaling, slots: int, replicas: int, load: Load, memory: Memory, now: datetime) -> Decision:
    """Decide how many pods a pool should have.

    Args:
        scaling: its settings.
        slots: tasks that one pod runs at once.
        replicas: pods that are wanted now.
        load: what is known of its work.
        memory: of the last decision.
        now: the time.
    """
    if _is_stale(scaling, load, now):
        held = _clamp(scaling, replicas)
        return Decision(held, Reason.SAMPLE_STALE, "the load is not known; the number of pods is held", "", memory)
    per_pod = scaling.tasks_per_replica or slots
    tasks = load.tasks or 0
    is_due = load.next_due is not None and load.next_due <= now + timedelta(seconds=scaling.startup_lead_seconds)
    raw = max(math.ceil(tasks / per_pod), 1 if is_due else 0)
    wanted = _clamp(scaling, raw)
    memory = _remember(scaling, replicas, raw, wanted, memory, now)
    if replicas > scaling.max_replicas or replicas < scaling.min_replicas:
        target = _clamp(scaling, replicas)  # the bounds were moved: nothing is awaited
    elif wanted > replicas:
        target, memory = _grow(replicas, wanted, memory, now)
    else:
        target = _shrink(scaling, replicas, memory, now)
    why = f"{tasks} tasks at {per_pod} a pod ask for {raw}{'; a Schedule is due soon' if is_due else ''}"
    return Decision(target, *_state(scaling, raw), why, memory)


def _is_stale(scaling: QueueScaling, load: Load, now: datetime) -> bool:
    limit = timedelta(seconds=STALE_PERIODS * scaling.sample_period_seconds)
    return load.tasks is None or load.taken_at is None or now - load.taken_at > limit


def _clamp(scaling: QueueScaling, pods: int) -> int:
    return max(scaling.min_replicas, min(scaling.max_replicas, pods))


def _remember(scaling: QueueScaling, replicas: int, raw: int, wanted: int, memory: Memory, now: datetime) -> Memory:
    start = now - timedelta(seconds=scaling.scale_down_stabilization_seconds)
    # Who remembers nothing takes the present number for what was wanted, so that a restart of the operator removes no pod.
    before = memory.wanted or ((now, replicas),)
    return replace(
        memory,
        # Only the highest counts, so one that is not higher than a later one never will again.
        wanted=(*(entry for entry in before if entry[0] >= start and entry[1] > wanted), (now, wanted)),
        growths=tuple(entry for entry in memory.growths if now - entry[0] < timedelta(seconds=GROWTH_SECONDS)),
        idle_since=(memory.idle_since or now) if raw == 0 else None,
    )


def _grow(replicas: int, wanted: int, memory: Memory, now: datetime) -> tuple[int, Memory]:
    base = memory.growths[0][1] if memory.growths else replicas
    target = max(replicas, min(wanted, 2 * base + GROWTH))
    if target > replicas:
        memory = replace(memory, growths=(*memory.growths, (now, replicas)))
    return target, memory


def _shrink(scaling: QueueScaling, replicas: int, memory: Memory, now: datetime) -> int:
    target = min(replicas, max(pods for _, pods in memory.wanted))
    if target == 0 and replicas > 0:
        idle = memory.idle_since is not None and now - memory.idle_since >= timedelta(
            seconds=scaling.idle_seconds_to_zero
        )
        return 0 if idle else 1
    return target


def _state(scaling: QueueScaling, raw: int) -> tuple[Reason, str]:
    if raw < scaling.min_replicas:
        return Reason.AT_MINIMUM, f"the load asks for fewer pods than minReplicas ({scaling.min_replicas})"
    if raw > scaling.max_replicas:
        return Reason.AT_MAXIMUM, f"the load asks for more pods than maxReplicas ({scaling.max_replicas})"
    return (
        Reason.SCALING,
        f"the number of pods follows the load, from {scaling.min_replicas} to {scaling.max_replicas}",
    )
