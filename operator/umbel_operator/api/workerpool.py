"""WorkerPool: a Deployment of workers that serve some queues with one image."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import Field, StringConstraints, WithJsonSchema

from umbel_operator.api.autoscaling import Autoscaling
from umbel_operator.api.base import (
    AGE_COLUMN,
    INT32,
    READY_COLUMN,
    REASON_COLUMN,
    Column,
    DNSLabel,
    Image,
    Model,
    OpenObject,
    PodTemplate,
    Ref,
    Resource,
    Rule,
    Status,
    Time,
    immutable,
)
from umbel_operator.api.concurrency import Concurrency
from umbel_operator.api.names import DEFAULT_BROKER
from umbel_operator.api.rollout import Disruption, Drain, Rollout

EnvVar = Annotated[
    OpenObject,
    WithJsonSchema(
        {
            "type": "object",
            "required": ["name"],
            "properties": {
                "name": {"type": "string", "minLength": 1, "maxLength": 253, "description": "Name of the variable."}
            },
            "x-kubernetes-preserve-unknown-fields": True,
        }
    ),
]


class QueueShare(Model):
    """A TaskQueue that the pool serves."""

    name: DNSLabel = Field(description="Name of the TaskQueue, in the same namespace.")
    weight: int = Field(
        default=1,
        ge=1,
        le=100,
        json_schema_extra=INT32,
        description="Share of fetches that this queue gets beside the others while all have tasks.",
    )


class WorkerPoolSpec(Model):
    """The wanted state of a WorkerPool."""

    rules: ClassVar[tuple[Rule, ...]] = (
        immutable("brokerRef"),
        Rule(None, "queues names a queue twice", lambda p: len({q.name for q in p.queues}) == len(p.queues)),
        Rule(None, "env has an entry without a name", lambda p: all(isinstance(e.get("name"), str) for e in p.env)),
        Rule(None, "env names a variable twice", lambda p: len({e.get("name") for e in p.env}) == len(p.env)),
    )

    broker_ref: Ref = Field(default=Ref(name=DEFAULT_BROKER), description="Broker of the queues. Cannot change later.")
    queues: list[QueueShare] = Field(
        min_length=1,
        max_length=16,
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
        description="TaskQueues that the workers serve.",
    )
    app: Annotated[
        str,
        StringConstraints(
            min_length=1, max_length=256, pattern=r"^[A-Za-z_][A-Za-z0-9_.]*(:[A-Za-z_][A-Za-z0-9_.]*)?$"
        ),
    ] = Field(description="Where the app is: module.path or module.path:attribute, importable in the image.")
    image: Image = Field(description="Container image with your tasks and the umbel package.")
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] | None = Field(
        default=None, description="When the image is pulled; left out, Kubernetes' rule for the tag."
    )
    env: list[EnvVar] = Field(
        default=[],
        max_length=128,
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
        description="Environment variables of the worker, as in a Kubernetes container.",
    )
    env_from: list[OpenObject] = Field(
        default=[],
        max_length=32,
        description="ConfigMaps and Secrets whose keys become environment variables, as in a Kubernetes container.",
    )
    resources: OpenObject | None = Field(
        default=None, description="Compute resources of the worker container, as in a Kubernetes container."
    )
    service_account_name: Annotated[str | None, StringConstraints(min_length=1, max_length=253)] = Field(
        default=None,
        description="ServiceAccount of the pods; left out, the namespace's default without a mounted token.",
    )
    replicas: int = Field(
        default=1, ge=0, le=10_000, json_schema_extra=INT32, description="Number of pods; also set by kubectl scale."
    )
    suspend: bool = Field(
        default=False, description="Run no pods for now, and keep replicas for later; running tasks are drained."
    )
    concurrency: Concurrency = Field(default=Concurrency(), description="How a worker runs several tasks at once.")
    autoscaling: Autoscaling = Field(default=Autoscaling(), description="Who sets the number of pods.")
    drain: Drain = Field(default=Drain(), description="How a worker leaves.")
    rollout: Rollout = Field(default=Rollout(), description="How pods are replaced when their template changes.")
    disruption: Disruption | None = Field(
        default=None, description="How many pods an eviction may take at once; left out, there is no budget."
    )
    template: PodTemplate | None = Field(
        default=None, description="Additions to the pod template; the container is named worker."
    )


class WorkerPoolStatus(Status):
    """The observed state of a WorkerPool."""

    replicas: int | None = Field(default=None, ge=0, json_schema_extra=INT32, description="Pods that exist.")
    ready_replicas: int | None = Field(
        default=None, ge=0, json_schema_extra=INT32, description="Pods that pass their readiness probe."
    )
    updated_replicas: int | None = Field(
        default=None, ge=0, json_schema_extra=INT32, description="Pods that have the newest template."
    )
    available_replicas: int | None = Field(
        default=None, ge=0, json_schema_extra=INT32, description="Pods that were ready for minReadySeconds."
    )
    desired_replicas: int | None = Field(
        default=None, ge=0, json_schema_extra=INT32, description="Pods that are wanted: 0 while suspended."
    )
    selector: Annotated[str | None, StringConstraints(max_length=1024)] = Field(
        default=None, description="Label selector of the pods, for kubectl scale and autoscalers."
    )
    template_hash: Annotated[str | None, StringConstraints(max_length=64)] = Field(
        default=None, description="Hash of the pod template that the operator built."
    )
    busy_slots: int | None = Field(
        default=None, ge=0, json_schema_extra=INT32, description="Slots that run a task, over all pods."
    )
    queues_text: Annotated[str | None, StringConstraints(max_length=256)] = Field(
        default=None, description="Names of the queues, for the column of kubectl get."
    )
    last_scale_time: Time | None = Field(default=None, description="When the built-in scaler last changed replicas.")


class WorkerPool(Resource):
    """Workers that serve some queues with one image."""

    plural: ClassVar[str] = "workerpools"
    short_name: ClassVar[str] = "wp"
    columns: ClassVar[tuple[Column, ...]] = (
        Column("Queues", "string", ".status.queuesText", meaning="Queues that the workers serve."),
        Column("Desired", "integer", ".status.desiredReplicas", meaning="Pods that are wanted."),
        Column("Current", "integer", ".status.replicas", meaning="Pods that exist."),
        Column("Available", "integer", ".status.availableReplicas", meaning="Pods that can work."),
        Column("Slots", "integer", ".spec.concurrency.slots", wide=True, meaning="Tasks that one pod runs at once."),
        Column("Image", "string", ".spec.image", wide=True, meaning="Container image."),
        READY_COLUMN,
        REASON_COLUMN,
        AGE_COLUMN,
    )
    scale: ClassVar[Mapping[str, str] | None] = {
        "specReplicasPath": ".spec.replicas",
        "statusReplicasPath": ".status.replicas",
        "labelSelectorPath": ".status.selector",
    }
    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "self.metadata.name.size() <= 52",
            "metadata.name must be no more than 52 characters",
            lambda p: len(p.metadata.name) <= 52,
        ),
    )

    spec: WorkerPoolSpec = Field(description="The wanted state.")
    status: WorkerPoolStatus = Field(
        default=WorkerPoolStatus(), description="The observed state; written by the operator."
    )

    @property
    def effective_replicas(self) -> int:
        """Return the number of pods that are wanted now."""
        return 0 if self.spec.suspend else self.spec.replicas
