"""What can be read from ``/metrics``: names, labels, meanings. The reference is generated from these tables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Kind = Literal["counter", "gauge", "histogram"]


@dataclass(frozen=True, slots=True)
class Meter:
    """One metric, as Prometheus names it: a counter's name ends in ``_total``."""

    name: str
    kind: Kind
    labels: tuple[str, ...]
    meaning: str


#: Upper bounds of run times, in seconds.
RUNTIME_BOUNDS: Final = (0.005, 0.02, 0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0)
#: Upper bounds of how late a run was enqueued, in seconds.
LAG_BOUNDS: Final = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0, 3600.0)

TASK_RUNTIME: Final = Meter(
    "umbel_task_runtime_seconds", "histogram", ("task",), "How long runs took, whatever came of them."
)
TASKS: Final = Meter(
    "umbel_tasks_total",
    "counter",
    ("task", "state"),
    "Deliveries that ended, by state: SUCCESS, FAILURE, RETRY, REVOKED, IGNORED, REJECTED (put back), DEAD (became a dead "
    "letter). A task that this worker does not know is counted as `(unknown)`.",
)
SLOTS: Final = Meter(
    "umbel_worker_slots",
    "gauge",
    (),
    "How many tasks this worker can run at once; children that finish what they run and leave do not count.",
)
BUSY_SLOTS: Final = Meter("umbel_worker_busy_slots", "gauge", (), "How many it runs now.")
DRAINING: Final = Meter(
    "umbel_worker_draining", "gauge", (), "1 while it finishes what it runs and takes nothing more."
)
CYCLE_AGE: Final = Meter(
    "umbel_worker_cycle_age_seconds",
    "gauge",
    (),
    "How long ago the idle child that has been silent for longest had an answer from Redis; 0 where all are busy.",
)
CONNECTED: Final = Meter("umbel_worker_connected", "gauge", (), "1 while the supervisor's heartbeats reach Redis.")
STOPPED_CHILDREN: Final = Meter(
    "umbel_worker_stopped_children",
    "gauge",
    (),
    "Children that have stood still (SIGSTOP) for more than a minute: nobody runs what they hold.",
)
CHILD_DEATHS: Final = Meter(
    "umbel_worker_child_deaths_total",
    "counter",
    ("cause",),
    "Children that ended: `killed` (SIGKILL from outside, perhaps out of memory), `signal` (a crash), `exit`, "
    "`time_limit`, `revoked`, `drained`.",
)
LOST_EVENTS: Final = Meter(
    "umbel_worker_lost_events_total",
    "counter",
    (),
    "Events that could not be written, since Redis was away for too long.",
)

WORKER: Final = (
    TASK_RUNTIME,
    TASKS,
    SLOTS,
    BUSY_SLOTS,
    DRAINING,
    CYCLE_AGE,
    CONNECTED,
    STOPPED_CHILDREN,
    CHILD_DEATHS,
    LOST_EVENTS,
)

_QUEUE: Final = ("namespace", "queue")
QUEUE_READY: Final = Meter("umbel_queue_ready_tasks", "gauge", _QUEUE, "Tasks that wait for a worker.")
QUEUE_DELAYED: Final = Meter(
    "umbel_queue_delayed_tasks", "gauge", _QUEUE, "Tasks that are not due yet, retries among them."
)
QUEUE_INFLIGHT: Final = Meter("umbel_queue_inflight_tasks", "gauge", _QUEUE, "Tasks that workers hold.")
QUEUE_AGE: Final = Meter(
    "umbel_queue_oldest_task_age_seconds", "gauge", _QUEUE, "How long the task that is served next has waited."
)
QUEUE_DEAD: Final = Meter("umbel_queue_dead_letter_tasks", "gauge", _QUEUE, "Dead letters.")
SCHEDULE_LAST_RUN: Final = Meter(
    "umbel_schedule_last_run_timestamp_seconds",
    "gauge",
    ("namespace", "schedule"),
    "When the slot was due that was enqueued last.",
)
SCHEDULE_LAG: Final = Meter(
    "umbel_schedule_lag_seconds", "histogram", (), "How long after its due time a run was enqueued by this beat."
)
SCHEDULE_RUNS: Final = Meter(
    "umbel_schedule_runs_total",
    "counter",
    ("result",),
    "Slots that this beat dealt with: `enqueued`, `skipped_forbid` (another run was active), `missed`, `deduplicated` (it had been "
    "enqueued before), `closed` (the queue takes no tasks), `unsendable` (its message could not be made).",
)
POOL_LOAD: Final = Meter(
    "umbel_pool_load",
    "gauge",
    ("namespace", "pool"),
    "Tasks for which a pool needs workers: those that wait, or fall due while a pod starts, and those that run on pods that stay.",
)
BEAT_LEADER: Final = Meter("umbel_beat_leader", "gauge", (), "1 where this beat leads.")
BEAT_REVISION: Final = Meter(
    "umbel_beat_config_revision_info", "gauge", ("revision",), "Always 1: the configuration that this beat works with."
)
BEAT_CONNECTED: Final = Meter("umbel_beat_connected", "gauge", (), "1 while Redis answers this beat.")

BEAT: Final = (
    QUEUE_READY,
    QUEUE_DELAYED,
    QUEUE_INFLIGHT,
    QUEUE_AGE,
    QUEUE_DEAD,
    SCHEDULE_LAST_RUN,
    SCHEDULE_LAG,
    SCHEDULE_RUNS,
    POOL_LOAD,
    BEAT_LEADER,
    BEAT_REVISION,
    BEAT_CONNECTED,
)
