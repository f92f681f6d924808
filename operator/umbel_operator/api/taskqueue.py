"""TaskQueue: a named queue of a Broker and the rules for what goes in and out."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, StringConstraints

from umbel_operator.api.base import (
    AGE_COLUMN,
    INT32,
    INT64,
    READY_COLUMN,
    REASON_COLUMN,
    Column,
    Model,
    Ref,
    Resource,
    Rule,
    Status,
    Time,
    immutable,
    immutable_optional,
)
from umbel_operator.api.names import DEFAULT_BROKER


class RateLimit(Model):
    """How fast tasks may leave the queue."""

    tasks: int = Field(
        ge=1, le=1_000_000, json_schema_extra=INT32, description="Number of tasks that may start in one period."
    )
    period_seconds: int = Field(
        default=1, ge=1, le=86_400, json_schema_extra=INT32, description="Length of the period in seconds."
    )
    burst: int | None = Field(
        default=None,
        ge=1,
        le=1_000_000,
        json_schema_extra=INT32,
        description=(
            "Number of tasks that may start at once after a quiet time; left out, as many as start in a tenth of a "
            "second, at least one."
        ),
    )


class DeadLetter(Model):
    """What happens to tasks that cannot be finished."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "self.policy == 'Forward' ? has(self.queueRef) : !has(self.queueRef)",
            "queueRef is required when policy is Forward and forbidden otherwise",
            lambda d: (d.policy == "Forward") == (d.queue_ref is not None),
        ),
        Rule(
            "self.policy == 'Keep' || !has(self.retentionSeconds)",
            "retentionSeconds is only for policy Keep",
            lambda d: d.policy == "Keep" or d.retention_seconds is None,
        ),
    )

    policy: Literal["Discard", "Keep", "Forward"] = Field(
        default="Keep",
        description=(
            "Keep stores dead tasks with the reason beside the queue, Discard drops them, Forward sends them to "
            "another queue."
        ),
    )
    queue_ref: Ref | None = Field(
        default=None, description="TaskQueue that receives dead tasks, for policy Forward and only for that."
    )
    retention_seconds: int | None = Field(
        default=None,
        ge=60,
        le=31_536_000,
        json_schema_extra=INT32,
        description="Seconds for which dead tasks are kept, for policy Keep; left out, the library's default.",
    )


class TaskDefaults(Model):
    """Options for tasks of this queue where neither the call, nor the task, nor the app's settings say anything."""

    time_limit_seconds: int | None = Field(
        default=None,
        ge=1,
        le=604_800,
        json_schema_extra=INT32,
        description="Seconds after which the process of a running task is killed, or its coroutine cancelled.",
    )
    max_retries: int | None = Field(
        default=None, ge=0, le=1000, json_schema_extra=INT32, description="Number of times that a task may be retried."
    )
    result_ttl_seconds: int | None = Field(
        default=None, ge=1, le=31_536_000, json_schema_extra=INT32, description="Seconds for which results are kept."
    )


class TaskQueueSpec(Model):
    """The wanted state of a TaskQueue."""

    rules: ClassVar[tuple[Rule, ...]] = (
        immutable("brokerRef"),
        immutable_optional("queueName"),
        Rule(
            "has(self.overflowPolicy) == has(self.maxLength)",
            "maxLength and overflowPolicy go together",
            lambda q: (q.overflow_policy is None) == (q.max_length is None),
        ),
    )

    broker_ref: Ref = Field(
        default=Ref(name=DEFAULT_BROKER), description="Broker that the queue lives in. Cannot change later."
    )
    queue_name: Annotated[
        str | None, StringConstraints(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    ] = Field(
        default=None,
        description="Name that tasks are sent to; left out, the name of this object. Cannot change later.",
    )
    intake: Literal["Accept", "Reject"] = Field(
        default="Accept", description="Whether new tasks are taken; with Reject, senders get the error QueueClosed."
    )
    dispatch: Literal["Enabled", "Held"] = Field(
        default="Enabled",
        description="Whether workers take tasks out; with Held they stop fetching and finish what they run.",
    )
    max_concurrency: int | None = Field(
        default=None,
        ge=1,
        le=100_000,
        json_schema_extra=INT32,
        description="Number of tasks of this queue that may run at once over all pools; left out, no bound.",
    )
    rate_limit: RateLimit | None = Field(
        default=None, description="How fast tasks may leave the queue; left out, no bound."
    )
    max_length: int | None = Field(
        default=None,
        ge=1,
        json_schema_extra=INT64,
        description="Number of tasks, ready or delayed, at which overflowPolicy sets in; left out, no bound.",
    )
    overflow_policy: Literal["Reject", "DropOldest"] | None = Field(
        default=None,
        description=(
            "What a full queue does: refuse new tasks (senders get the error QueueFull), or drop the oldest, which then "
            "fail and are dead letters. Goes with maxLength."
        ),
    )
    max_deliveries: int = Field(
        default=3,
        ge=1,
        le=1000,
        json_schema_extra=INT32,
        description="Number of times that a task may be lost with the worker that ran it before it is a dead letter.",
    )
    dead_letter: DeadLetter = Field(default=DeadLetter(), description="What happens to tasks that cannot be finished.")
    task_defaults: TaskDefaults | None = Field(
        default=None,
        description="Options for tasks where neither the call, nor the task, nor the app's settings say anything.",
    )
    deletion_policy: Literal["Retain", "Purge", "WaitUntilEmpty"] = Field(
        default="Retain",
        description=(
            "What deleting this object does to waiting tasks: Retain leaves them in Redis, Purge removes them, "
            "WaitUntilEmpty takes no new ones and waits until the queue is empty."
        ),
    )


class TaskQueueStatus(Status):
    """The observed state of a TaskQueue."""

    queue_name: Annotated[str | None, StringConstraints(max_length=128)] = Field(
        default=None, description="Name that tasks are sent to."
    )
    ready_tasks: int | None = Field(
        default=None, ge=0, json_schema_extra=INT64, description="Tasks that a worker could take now."
    )
    in_flight_tasks: int | None = Field(
        default=None, ge=0, json_schema_extra=INT64, description="Tasks that workers hold."
    )
    dead_letter_tasks: int | None = Field(
        default=None, ge=0, json_schema_extra=INT64, description="Dead tasks that are kept."
    )
    oldest_task_age_seconds: int | None = Field(
        default=None, ge=0, json_schema_extra=INT64, description="Seconds for which the oldest ready task has waited."
    )
    sample_time: Time | None = Field(default=None, description="When the numbers were taken.")
    worker_pools: int | None = Field(
        default=None, ge=0, json_schema_extra=INT32, description="Number of WorkerPools that name this queue."
    )


class TaskQueue(Resource):
    """A queue of tasks: what it takes, what it hands out, and what becomes of dead tasks."""

    plural: ClassVar[str] = "taskqueues"
    short_name: ClassVar[str] = "tq"
    columns: ClassVar[tuple[Column, ...]] = (
        Column("Broker", "string", ".spec.brokerRef.name", meaning="Broker that the queue lives in."),
        Column("Intake", "string", ".spec.intake", wide=True, meaning="Whether new tasks are taken."),
        Column("Dispatch", "string", ".spec.dispatch", meaning="Whether workers take tasks out."),
        Column("Ready-Tasks", "integer", ".status.readyTasks", meaning="Tasks that a worker could take now."),
        Column("In-Flight", "integer", ".status.inFlightTasks", meaning="Tasks that workers hold."),
        Column("Dead", "integer", ".status.deadLetterTasks", meaning="Dead tasks that are kept."),
        READY_COLUMN,
        REASON_COLUMN,
        AGE_COLUMN,
    )
    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "self.metadata.name.size() <= 63",
            "metadata.name must be no more than 63 characters",
            lambda q: len(q.metadata.name) <= 63,
        ),
        Rule(
            "!has(self.spec.deadLetter.queueRef) || self.spec.deadLetter.queueRef.name != self.metadata.name",
            "a queue cannot be its own dead-letter queue",
            lambda q: q.spec.dead_letter.queue_ref is None or q.spec.dead_letter.queue_ref.name != q.metadata.name,
        ),
    )

    spec: TaskQueueSpec = Field(description="The wanted state.")
    status: TaskQueueStatus = Field(
        default=TaskQueueStatus(), description="The observed state; written by the operator."
    )

    @property
    def effective_name(self) -> str:
        """Return the name that tasks are sent to."""
        return self.spec.queue_name or self.metadata.name
