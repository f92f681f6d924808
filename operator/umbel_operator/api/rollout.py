"""How the pods of a WorkerPool leave, are replaced, and are evicted."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from umbel_operator.api.base import INT32, IntOrPercent, Model, Rule


class Drain(Model):
    """How a worker leaves."""

    timeout_seconds: int = Field(
        default=300,
        ge=0,
        le=86_400,
        json_schema_extra=INT32,
        description="Seconds that running tasks get after the pod is asked to stop; its grace period is 15 s longer.",
    )
    on_timeout: Literal["Requeue", "Fail"] = Field(
        default="Requeue",
        description="What happens to a task that runs longer: back to the queue without charge, or a failure.",
    )


class Rollout(Model):
    """How pods are replaced when their template changes."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "self.strategy != 'Recreate' || (!has(self.maxSurge) && !has(self.maxUnavailable))",
            "maxSurge and maxUnavailable are only for RollingUpdate",
            lambda r: r.strategy != "Recreate" or (r.max_surge is None and r.max_unavailable is None),
        ),
        Rule(
            "self.progressDeadlineSeconds > self.minReadySeconds",
            "progressDeadlineSeconds must be greater than minReadySeconds",
            lambda r: r.progress_deadline_seconds > r.min_ready_seconds,
        ),
    )

    strategy: Literal["RollingUpdate", "Recreate"] = Field(
        default="RollingUpdate",
        description="RollingUpdate starts new pods before old ones stop; Recreate stops all old pods first.",
    )
    max_surge: IntOrPercent | None = Field(
        default=None,
        description="Pods above the wanted number during a rollout, as number or percentage; built as 25%.",
    )
    max_unavailable: IntOrPercent | None = Field(
        default=None, description="Pods below the wanted number during a rollout, as number or percentage; built as 0."
    )
    min_ready_seconds: int = Field(
        default=0,
        ge=0,
        le=3600,
        json_schema_extra=INT32,
        description="Seconds for which a new pod must be ready before it counts as available.",
    )
    progress_deadline_seconds: int = Field(
        default=600,
        ge=30,
        le=86_400,
        json_schema_extra=INT32,
        description="Seconds without progress after which a rollout is reported as failed.",
    )


class Disruption(Model):
    """How many pods an eviction may take at once."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "has(self.minAvailable) != has(self.maxUnavailable)",
            "set exactly one of minAvailable and maxUnavailable",
            lambda d: (d.min_available is None) != (d.max_unavailable is None),
        ),
    )

    min_available: IntOrPercent | None = Field(
        default=None, description="Pods that must stay during an eviction, as number or percentage."
    )
    max_unavailable: IntOrPercent | None = Field(
        default=None, description="Pods that an eviction may take at once, as number or percentage."
    )
