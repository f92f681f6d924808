"""Who sets the number of pods of a WorkerPool."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from umbel_operator.api.base import INT32, Model, Rule


class QueueScaling(Model):
    """Settings of the built-in scaler."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "self.minReplicas <= self.maxReplicas",
            "minReplicas must not be greater than maxReplicas",
            lambda s: s.min_replicas <= s.max_replicas,
        ),
    )

    min_replicas: int = Field(
        default=1, ge=0, le=10_000, json_schema_extra=INT32, description="Least number of pods; 0 lets the pool sleep."
    )
    max_replicas: int = Field(ge=1, le=10_000, json_schema_extra=INT32, description="Greatest number of pods.")
    tasks_per_replica: int | None = Field(
        default=None,
        ge=1,
        le=100_000,
        json_schema_extra=INT32,
        description="Waiting and running tasks that one pod is meant for; left out, concurrency.slots.",
    )
    startup_lead_seconds: int = Field(
        default=30,
        ge=0,
        le=3600,
        json_schema_extra=INT32,
        description="Seconds ahead for which delayed tasks and due Schedules count as load.",
    )
    sample_period_seconds: int = Field(
        default=15, ge=5, le=300, json_schema_extra=INT32, description="Seconds between two looks at the load."
    )
    scale_down_stabilization_seconds: int = Field(
        default=300,
        ge=0,
        le=3600,
        json_schema_extra=INT32,
        description="Seconds for which fewer pods must have been enough before some are removed.",
    )
    idle_seconds_to_zero: int = Field(
        default=300,
        ge=30,
        le=86_400,
        json_schema_extra=INT32,
        description="Seconds without any load after which the last pod goes, where minReplicas is 0.",
    )


class Autoscaling(Model):
    """Who sets the number of pods."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "self.type == 'Queue' ? has(self.queue) : !has(self.queue)",
            "queue is required when type is Queue and forbidden otherwise",
            lambda a: (a.type == "Queue") == (a.queue is not None),
        ),
    )

    type: Literal["None", "Queue", "External"] = Field(
        default="None",
        description=(
            "Who sets spec.replicas: None, you; Queue, the built-in scaler by the load of the queues; External, an HPA "
            "or KEDA object that targets this WorkerPool."
        ),
    )
    queue: QueueScaling | None = Field(
        default=None, description="Settings of the built-in scaler, for type Queue and only for that."
    )
