"""Plan a Schedule: it owns nothing; beat fires it, and says what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from umbel_operator.api.broker import Broker
from umbel_operator.api.conditions import Condition, Reason
from umbel_operator.api.schedule import Schedule, ScheduleStatus
from umbel_operator.api.taskqueue import TaskQueue
from umbel_operator.build.validity import Problem, schedule_problem
from umbel_operator.plan.conditions import Conditions
from umbel_operator.plan.loading import Load, Loading, loading
from umbel_operator.plan.missing import broker_not_found
from umbel_operator.plan.model import Event, Plan, State
from umbel_operator.plan.unsupported import set_accepted

_PENDING_SECONDS = 5.0
_TIMES = ("last_schedule_time", "last_enqueue_time", "next_schedule_time", "last_successful_time")
_COUNTS = ("active_runs", "missed_runs", "skipped_runs", "consecutive_failures")
_TEXTS = {"last_task_id": 64, "last_handled_trigger": 128}
#: Reasons that beat may give for refusing an entry and that a Schedule's Ready has too.
_BEAT_REASONS = frozenset({Reason.INVALID_SCHEDULE, Reason.UNKNOWN_TIME_ZONE, Reason.PAYLOAD_TOO_LARGE})


def plan_schedule(state: State[Schedule]) -> Plan:
    """Plan a Schedule; one that is being deleted needs nothing."""
    schedule = state.resource
    if schedule.deleting:
        return Plan()
    queue = state.view.queues.get(schedule.spec.queue_ref.name)
    broker = state.view.brokers.get(queue.spec.broker_ref.name) if queue is not None else None
    problem = schedule_problem(schedule, state.view.queues)
    progress = _progress(state, problem)
    conditions = Conditions("Schedule", schedule.generation, schedule.status.conditions or (), state.now)
    set_accepted(conditions, schedule)
    run = _run(state)
    _set_loaded(conditions, schedule, progress, problem)
    _set_stopped(conditions, schedule, run)
    _set_ready(conditions, schedule, _obstacle(schedule, queue, broker, problem, progress), run)
    healthy = broker is not None and _broker_obstacle(broker) is None
    # Of thousands that wait for their Broker none needs to look by itself: its condition Ready wakes them all.
    pending = healthy and problem is None and progress.state is Load.PENDING
    return Plan(
        status=_status(state, run, conditions),
        events=(*conditions.events(), *_missed(schedule, run), *_skipped(schedule, run)),
        requeue_after=_PENDING_SECONDS if pending else None,
    )


def schedule_text(schedule: Schedule) -> str:
    """Say in a few words when a Schedule fires."""
    trigger = schedule.spec.trigger
    if trigger.cron is not None:
        return f"{trigger.cron.expression} {trigger.cron.time_zone}"
    if trigger.interval is not None:
        return f"every {_duration(trigger.interval.every_seconds)}"
    return f"once at {_stamp(trigger.once.time)}" if trigger.once is not None else ""


def _progress(state: State[Schedule], problem: Problem | None) -> Loading:
    if problem is not None:
        return Loading(Load.PENDING)
    loaded = state.resource.status.condition(Condition.LOADED)
    before = loaded is not None and loaded.status == "True" and loaded.observed_generation == state.resource.generation
    return loading(state, before)


def _run(state: State[Schedule]) -> Mapping[str, Any] | None:
    """Return what beat says of this Schedule, or None where it says nothing."""
    sample = state.sample
    return None if sample is None or sample.stale else sample.schedules.get(state.resource.uid)


def _set_loaded(conditions: Conditions, schedule: Schedule, progress: Loading, problem: Problem | None) -> None:
    if problem is not None:
        conditions.set(Condition.LOADED, Reason.PENDING, f"not given to beat: {problem.reason}")
    elif progress.state is Load.LOADED:
        conditions.set(Condition.LOADED, Reason.LOADED, f"beat works with generation {schedule.generation}")
    elif progress.error is not None:
        conditions.set(Condition.LOADED, Reason.LOAD_FAILED, f"{progress.error.reason}: {progress.error.message}")
    else:
        text = f"beat does not work with generation {schedule.generation} yet"
        conditions.set(Condition.LOADED, Reason.PENDING, text)


def _set_stopped(conditions: Conditions, schedule: Schedule, run: Mapping[str, Any] | None) -> None:
    before = conditions.previous(Condition.STOPPED)
    stopped = run.get("stopped") if run is not None else None
    if stopped:
        conditions.set(Condition.STOPPED, Reason.STOP_REACHED, f"nothing more is sent: {stopped}")
    elif run is None and before is not None and before.observed_generation == schedule.generation:
        conditions.set(Condition.STOPPED, Reason(before.reason), before.message)
    elif schedule.spec.stop is not None:
        conditions.set(Condition.STOPPED, Reason.NOT_REACHED, "spec.stop is not reached")


def _obstacle(
    schedule: Schedule, queue: TaskQueue | None, broker: Broker | None, problem: Problem | None, progress: Loading
) -> Problem | None:
    """Return what keeps a Schedule from firing, as reason and message; None where nothing does."""
    if problem is not None or queue is None:
        return problem
    if progress.error is not None:
        known = progress.error.reason in _BEAT_REASONS
        reason = Reason(progress.error.reason) if known else Reason.INVALID_SCHEDULE
        return Problem(reason, f"beat refuses it: {progress.error.message}")
    if schedule.spec.suspend:
        return Problem(Reason.SUSPENDED, "spec.suspend is true: nothing is sent")
    if queue.spec.intake == "Reject" or queue.deleting:
        why = "is being deleted" if queue.deleting else "has spec.intake Reject"
        return Problem(Reason.QUEUE_CLOSED, f'TaskQueue "{queue.name}" {why} and takes no tasks')
    name = queue.spec.broker_ref.name
    if broker is None:
        return Problem(Reason.BEAT_NOT_READY, broker_not_found(name, schedule.namespace))
    if (trouble := _broker_obstacle(broker)) is not None:
        return Problem(Reason.BEAT_NOT_READY, f'Broker "{name}" is not ready ({trouble})')
    if progress.state is not Load.LOADED:
        return Problem(Reason.BEAT_NOT_READY, f"beat has not loaded generation {schedule.generation} yet")
    return None


def _broker_obstacle(broker: Broker) -> str | None:
    """Say why a Broker is not ready, or nothing."""
    health = broker.status.condition(Condition.READY)
    if health is None:
        return "it was not looked at yet"
    return None if health.status == "True" else f"{health.reason}: {health.message}"


def _set_ready(
    conditions: Conditions, schedule: Schedule, obstacle: Problem | None, run: Mapping[str, Any] | None
) -> None:
    if obstacle is not None:
        conditions.set(Condition.READY, obstacle.reason, obstacle.message)
    elif run is not None and run.get("stopped"):
        conditions.set(Condition.READY, Reason.SCHEDULED, "has ended by itself, see Stopped")
    else:
        text = f"{schedule.spec.task.name} is sent to {schedule.spec.queue_ref.name}: {schedule_text(schedule)}"
        conditions.set(Condition.READY, Reason.SCHEDULED, text)


def _status(state: State[Schedule], run: Mapping[str, Any] | None, conditions: Conditions) -> dict[str, Any]:
    schedule = state.resource
    fields: dict[str, Any] = {name: getattr(schedule.status, name) for name in (*_TIMES, *_COUNTS, *_TEXTS)}
    if run is not None:
        fields.update({name: _time(run.get(_key(name))) for name in _TIMES})
        fields.update({name: _count(run.get(_key(name))) for name in _COUNTS})
        fields.update({name: _text(run.get(_key(name)), longest) for name, longest in _TEXTS.items()})
    if schedule.spec.suspend or conditions.get(Condition.READY).status != "True":
        fields["next_schedule_time"] = None
    status = ScheduleStatus(
        observed_generation=schedule.generation, schedule_text=schedule_text(schedule)[:256], **fields
    )
    return {**status.to_json(), "conditions": conditions.to_json()}


def _missed(schedule: Schedule, run: Mapping[str, Any] | None) -> tuple[Event, ...]:
    now, before = _count((run or {}).get("missedRuns")), schedule.status.missed_runs
    if now is None or before is None or now <= before:
        return ()
    return (Event("Warning", "ScheduleMissed", f"{now - before} runs were missed, {now} in all"),)


def _skipped(schedule: Schedule, run: Mapping[str, Any] | None) -> tuple[Event, ...]:
    now, before = _count((run or {}).get("skippedRuns")), schedule.status.skipped_runs
    if now is None or before is None or now <= before:
        return ()
    text = f"{now - before} runs were left out since another one was queued or running, {now} in all"
    return (Event("Normal", "ScheduleSkippedForbid", text),)


def _key(name: str) -> str:
    alias = ScheduleStatus.model_fields[name].alias
    assert alias is not None
    return alias


def _time(value: Any) -> datetime | None:
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    if moment is None or moment.tzinfo is None:
        return None
    return moment.astimezone(UTC).replace(microsecond=0)


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _text(value: Any, longest: int) -> str | None:
    return str(value)[:longest] if value else None


def _stamp(moment: datetime) -> str:
    try:
        return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except OverflowError:
        # At the end of the calendar; the trigger is refused, and the text says why nothing happens then.
        return moment.isoformat()


def _duration(seconds: int) -> str:
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds % size == 0:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"
