"""Schedule: a task that is sent to a queue at certain times."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, StringConstraints

from umbel_operator.api.base import (
    AGE_COLUMN,
    INT32,
    INT64,
    READY_COLUMN,
    REASON_COLUMN,
    AnyValue,
    Column,
    Model,
    OpenObject,
    Ref,
    Resource,
    Rule,
    Status,
    Time,
)

YEAR_SECONDS = 31_536_000


class ScheduledTask(Model):
    """What is sent."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=256, pattern=r"^[A-Za-z_][A-Za-z0-9_.:-]*$")] = (
        Field(description="Name of the task, e.g. shop.tasks.report.")
    )
    args: list[AnyValue] = Field(
        default=[], max_length=64, description="Positional arguments, any JSON; with kwargs at most 64 KiB."
    )
    kwargs: OpenObject | None = Field(
        default=None, description="Keyword arguments, any JSON; with args at most 64 KiB."
    )
    priority: int | None = Field(
        default=None,
        ge=0,
        le=9,
        json_schema_extra=INT32,
        description="Priority in the queue; 9 is served first. Left out, the task's own.",
    )
    time_limit_seconds: int | None = Field(
        default=None,
        ge=1,
        le=604_800,
        json_schema_extra=INT32,
        description="Seconds after which the running task is ended; left out, the task's own.",
    )
    expires_seconds: int | None = Field(
        default=None,
        ge=1,
        le=YEAR_SECONDS,
        json_schema_extra=INT32,
        description="Seconds after its scheduled time at which a run that has not started is dropped.",
    )
    max_retries: int | None = Field(
        default=None,
        ge=0,
        le=1000,
        json_schema_extra=INT32,
        description="Number of retries after the first failure; left out, the task's own.",
    )


class Cron(Model):
    """A cron expression in a time zone."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule("self.timeZone != 'Local'", "timeZone must be an IANA name, not Local", lambda c: c.time_zone != "Local"),
    )

    expression: Annotated[
        str,
        StringConstraints(
            min_length=2,
            max_length=128,
            pattern=(
                r"^(@(yearly|annually|monthly|weekly|daily|midnight|hourly)"
                r"|([0-9A-Za-z*/,?#LWH()-]+ +){4}[0-9A-Za-z*/,?#LWH()-]+)$"
            ),
        ),
    ] = Field(
        description=(
            "Five fields (minute, hour, day of month, month, day of week), or @daily and the like; H stands for a "
            "value that differs from Schedule to Schedule."
        )
    )
    time_zone: Annotated[
        str,
        StringConstraints(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+){0,2}$"),
    ] = Field(default="Etc/UTC", description="IANA name of the time zone in which the fields are read.")


class Interval(Model):
    """A fixed distance between two runs."""

    every_seconds: int = Field(
        ge=1, le=YEAR_SECONDS, json_schema_extra=INT32, description="Seconds from one run to the next."
    )
    anchor_time: Time | None = Field(
        default=None,
        description="A moment to which all runs are aligned; left out, 1970-01-01T00:00:00Z.",
    )


class Once(Model):
    """A single run."""

    time: Time = Field(description="When the task is sent, RFC 3339.")


class Trigger(Model):
    """When the task is sent."""

    rules: ClassVar[tuple[Rule, ...]] = tuple(
        Rule(
            f"self.type == '{member}' ? has(self.{field}) : !has(self.{field})",
            f"{field} is required when type is {member} and forbidden otherwise",
            lambda t, member=member, field=field: (t.type == member) == (getattr(t, field) is not None),  # type: ignore[misc]
        )
        for member, field in (("Cron", "cron"), ("Interval", "interval"), ("Once", "once"))
    )

    type: Literal["Cron", "Interval", "Once"] = Field(
        description="Kind of the trigger; the member of that name is set."
    )
    cron: Cron | None = Field(default=None, description="A cron expression, for type Cron and only for that.")
    interval: Interval | None = Field(
        default=None, description="A fixed distance between two runs, for type Interval and only for that."
    )
    once: Once | None = Field(default=None, description="A single run, for type Once and only for that.")


class CatchUp(Model):
    """What happens to runs that were missed."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "self.policy == 'All' ? has(self.maxRuns) : !has(self.maxRuns)",
            "maxRuns is required when policy is All and forbidden otherwise",
            lambda c: (c.policy == "All") == (c.max_runs is not None),
        ),
    )

    policy: Literal["Skip", "Latest", "All"] = Field(
        default="Latest",
        description="Skip drops missed runs, Latest sends the newest of them, All sends the newest maxRuns of them.",
    )
    max_runs: int | None = Field(
        default=None,
        ge=1,
        le=100,
        json_schema_extra=INT32,
        description="Number of missed runs that are sent at most, for policy All and only for that.",
    )


class Stop(Model):
    """When the Schedule ends by itself; at least one member is set."""

    schema_extra: ClassVar[Mapping[str, Any]] = {"minProperties": 1}
    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            None,
            "stop needs at least one of afterTime, maxRuns, maxConsecutiveFailures",
            lambda s: any(v is not None for v in (s.after_time, s.max_runs, s.max_consecutive_failures)),
        ),
    )

    after_time: Time | None = Field(default=None, description="No run is sent after this moment.")
    max_runs: int | None = Field(
        default=None, ge=1, json_schema_extra=INT64, description="Number of runs after which nothing more is sent."
    )
    max_consecutive_failures: int | None = Field(
        default=None,
        ge=1,
        json_schema_extra=INT32,
        description="Number of failed runs in a row after which nothing more is sent.",
    )


class ScheduleSpec(Model):
    """The wanted state of a Schedule."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "self.trigger.type != 'Once' || self.concurrencyPolicy == 'Allow'",
            "concurrencyPolicy must be Allow for a Once trigger",
            lambda s: s.trigger.type != "Once" or s.concurrency_policy == "Allow",
        ),
        Rule(
            "self.trigger.type != 'Interval' || self.jitterSeconds < self.trigger.interval.everySeconds",
            "jitterSeconds must be less than interval.everySeconds",
            lambda s: (
                s.trigger.type != "Interval"
                or s.trigger.interval is None
                or s.jitter_seconds < s.trigger.interval.every_seconds
            ),
        ),
    )

    queue_ref: Ref = Field(description="TaskQueue that the task is sent to.")
    task: ScheduledTask = Field(description="What is sent.")
    trigger: Trigger = Field(description="When the task is sent.")
    jitter_seconds: int = Field(
        default=0,
        ge=0,
        le=3600,
        json_schema_extra=INT32,
        description="Greatest delay in seconds that is added to each run; the same for all runs of this Schedule.",
    )
    starting_deadline_seconds: int | None = Field(
        default=None,
        ge=1,
        le=YEAR_SECONDS,
        json_schema_extra=INT32,
        description="Seconds after its scheduled time within which a missed run may still be sent; left out, no bound.",
    )
    catch_up: CatchUp = Field(default=CatchUp(), description="What happens to runs that were missed.")
    concurrency_policy: Literal["Allow", "Forbid", "Replace"] = Field(
        default="Allow",
        description=(
            "What happens when the last run is still queued or running: Allow sends another, Forbid skips this one, "
            "Replace revokes the old one first."
        ),
    )
    suspend: bool = Field(
        default=False, description="Send nothing for now; what falls due meanwhile is not made up for."
    )
    stop: Stop | None = Field(default=None, description="When the Schedule ends by itself; left out, never.")
    successful_runs_history_limit: int = Field(
        default=3, ge=0, le=1000, json_schema_extra=INT32, description="Number of successful runs that are remembered."
    )
    failed_runs_history_limit: int = Field(
        default=3, ge=0, le=1000, json_schema_extra=INT32, description="Number of failed runs that are remembered."
    )


class ScheduleStatus(Status):
    """The observed state of a Schedule."""

    schedule_text: Annotated[str | None, StringConstraints(max_length=256)] = Field(
        default=None, description="The trigger in words."
    )
    last_schedule_time: Time | None = Field(default=None, description="Scheduled time of the last run that was sent.")
    last_enqueue_time: Time | None = Field(default=None, description="When a task was last sent.")
    last_task_id: Annotated[str | None, StringConstraints(max_length=64)] = Field(
        default=None, description="Id of the task that was last sent."
    )
    next_schedule_time: Time | None = Field(default=None, description="When the next run is due.")
    last_successful_time: Time | None = Field(default=None, description="When a run last succeeded.")
    active_runs: int | None = Field(
        default=None, ge=0, json_schema_extra=INT32, description="Number of runs that are queued or running."
    )
    missed_runs: int | None = Field(
        default=None, ge=0, json_schema_extra=INT64, description="Number of runs that were never sent."
    )
    skipped_runs: int | None = Field(
        default=None,
        ge=0,
        json_schema_extra=INT64,
        description="Number of runs that were left out because another one was queued or running (Forbid).",
    )
    consecutive_failures: int | None = Field(
        default=None, ge=0, json_schema_extra=INT32, description="Number of failed runs since the last success."
    )
    last_handled_trigger: Annotated[str | None, StringConstraints(max_length=128)] = Field(
        default=None, description="Last value of the annotation umbel.dev/trigger that was acted on."
    )


class Schedule(Resource):
    """A task that is sent to a queue at certain times."""

    plural: ClassVar[str] = "schedules"
    short_name: ClassVar[str] = "sched"
    columns: ClassVar[tuple[Column, ...]] = (
        Column("Queue", "string", ".spec.queueRef.name", meaning="TaskQueue that the task is sent to."),
        Column("Task", "string", ".spec.task.name", meaning="Name of the task."),
        Column("Schedule", "string", ".status.scheduleText", meaning="The trigger in words."),
        Column("Suspend", "boolean", ".spec.suspend", meaning="Whether sending is switched off."),
        Column("Active", "integer", ".status.activeRuns", meaning="Runs that are queued or running."),
        Column("Last", "date", ".status.lastScheduleTime", meaning="Time since the last run was due."),
        Column("Next", "string", ".status.nextScheduleTime", wide=True, meaning="When the next run is due."),
        READY_COLUMN,
        REASON_COLUMN,
        AGE_COLUMN,
    )
    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "self.metadata.name.size() <= 63",
            "metadata.name must be no more than 63 characters",
            lambda s: len(s.metadata.name) <= 63,
        ),
    )

    spec: ScheduleSpec = Field(description="The wanted state.")
    status: ScheduleStatus = Field(default=ScheduleStatus(), description="The observed state; written by the operator.")
