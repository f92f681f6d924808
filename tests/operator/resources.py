"""Make resources, live objects and states for the tests of api, build and plan."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from umbel_operator.api.base import Resource
from umbel_operator.api.broker import Broker
from umbel_operator.api.parse import Unreadable, parse
from umbel_operator.api.schedule import Schedule
from umbel_operator.api.taskqueue import TaskQueue
from umbel_operator.api.workerpool import WorkerPool
from umbel_operator.build.config import RenderedConfig
from umbel_operator.build.settings import Settings
from umbel_operator.plan.model import Manifest, Ref, State, View
from umbel_operator.plan.sample import Sample, read_sample

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
CREATED = datetime(2026, 1, 1, tzinfo=UTC)
SETTINGS = Settings(beat_image="umbel:1")
NAMESPACE = "shop"


def stamp(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def metadata(name: str, **changes: Any) -> dict[str, Any]:
    return {
        "name": name,
        "namespace": NAMESPACE,
        "uid": f"uid-{name}",
        "generation": 1,
        "resourceVersion": "7",
        "creationTimestamp": stamp(CREATED),
        **changes,
    }


def broker(name: str = "default", meta: Mapping[str, Any] | None = None, status: Any = None, **spec: Any) -> Broker:
    body = {"connection": {"addresses": ["redis:6379"]}, **spec}
    return _parsed(Broker, name, meta, status, body)


def queue(name: str = "mail", meta: Mapping[str, Any] | None = None, status: Any = None, **spec: Any) -> TaskQueue:
    return _parsed(TaskQueue, name, meta, status, spec)


def pool(name: str = "mailers", meta: Mapping[str, Any] | None = None, status: Any = None, **spec: Any) -> WorkerPool:
    body = {"queues": [{"name": "mail"}], "app": "shop.tasks", "image": "shop:1", **spec}
    return _parsed(WorkerPool, name, meta, status, body)


def schedule(name: str = "nightly", meta: Mapping[str, Any] | None = None, status: Any = None, **spec: Any) -> Schedule:
    body = {"queueRef": {"name": "mail"}, "task": {"name": "shop.report"}, "trigger": cron("0 3 * * *"), **spec}
    return _parsed(Schedule, name, meta, status, body)


def cron(expression: str, zone: str = "Etc/UTC") -> dict[str, Any]:
    return {"type": "Cron", "cron": {"expression": expression, "timeZone": zone}}


def _parsed(kind: Any, name: str, meta: Mapping[str, Any] | None, status: Any, spec: Mapping[str, Any]) -> Any:
    parsed = parse(kind, {"metadata": metadata(name, **(meta or {})), "spec": spec, "status": status or {}})
    assert not isinstance(parsed, Unreadable), parsed
    return parsed


def condition(type: str, status: str, reason: str, message: str = "", ago: float = 3600, generation: int = 1) -> Any:
    """Return a condition as it stands in a live status."""
    return {
        "type": type,
        "status": status,
        "reason": reason,
        "message": message,
        "observedGeneration": generation,
        "lastTransitionTime": stamp(NOW - timedelta(seconds=ago)),
    }


READY_STATUS = {"conditions": [condition("Ready", "True", "Ready")]}


def ready_broker(name: str = "default", **spec: Any) -> Broker:
    return broker(name, status=READY_STATUS, **spec)


def view(*resources: Resource, terminating: bool = False) -> View:
    def of(kind: type[Any]) -> dict[str, Any]:
        return {resource.name: resource for resource in resources if isinstance(resource, kind)}

    return View(of(Broker), of(TaskQueue), of(WorkerPool), of(Schedule), terminating)


def state(resource: Any, *others: Resource, terminating: bool = False, **changes: Any) -> State[Any]:
    """Return a state in which the resource and the others are all that the namespace holds."""
    children = changes.pop("children", ())
    return State(
        resource=resource,
        view=view(resource, *others, terminating=terminating),
        now=NOW,
        settings=SETTINGS,
        children=by_ref(children),
        **changes,
    )


def by_ref(manifests: Iterable[Manifest]) -> dict[Ref, Manifest]:
    return {Ref.of(manifest): manifest for manifest in manifests}


def sample(serial: int | None = 100, seconds_ago: float = 1, **body: Any) -> Sample:
    """Return an answer of a healthy beat, with changes."""
    answer = {
        "leader": True,
        "loadedRevision": str(serial) if serial is not None else None,
        "loadErrors": [],
        "redis": {"ok": True, "version": "7.0.15", "error": None, "reason": None},
        **body,
    }
    return read_sample(answer, NOW - timedelta(seconds=seconds_ago))


def rendered(*resources: Resource, serial: int = 100) -> RenderedConfig:
    """Return a configuration that holds the resources in their present generation."""
    return RenderedConfig(serial, {resource.uid: resource.generation for resource in resources})


def live_deployment(
    manifest: Manifest,
    *,
    ready: int | None = None,
    available: int | None = None,
    updated: int | None = None,
    replicas: int | None = None,
    observed: int = 1,
    conditions: Iterable[tuple[str, str, str, str]] | None = None,
) -> dict[str, Any]:
    """Return a built Deployment as the cluster shows it, rolled out unless said otherwise."""
    wanted = manifest["spec"]["replicas"]
    have = wanted if available is None else available
    found = conditions if conditions is not None else [("Available", "True" if have >= wanted else "False", "", "")]
    return {
        **manifest,
        "metadata": {**manifest["metadata"], "uid": "uid-deployment", "generation": 1},
        "status": {
            "observedGeneration": observed,
            "replicas": wanted if replicas is None else replicas,
            "readyReplicas": have if ready is None else ready,
            "updatedReplicas": wanted if updated is None else updated,
            "availableReplicas": have,
            "conditions": [dict(zip(("type", "status", "reason", "message"), entry, strict=True)) for entry in found],
        },
    }


def live_pod(name: str = "p-1", *, waiting: Mapping[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    """Return a pod of a worker or of beat; `waiting` is what its container waits for."""
    container: dict[str, Any] = {"name": "worker", "image": "shop:1", "state": {"running": {}}}
    if waiting is not None:
        container["state"] = {"waiting": dict(waiting)}
    container["lastState"] = changes.pop("last", {})
    status = {"containerStatuses": [container], "conditions": changes.pop("conditions", [])}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": NAMESPACE, **changes},
        "status": status,
    }


def reasons(status: Mapping[str, Any] | None) -> dict[str, str]:
    """Return the reason of each condition of a planned status."""
    assert status is not None
    return {entry["type"]: entry["reason"] for entry in status["conditions"]}


def message(status: Mapping[str, Any] | None, type: str) -> str:
    assert status is not None
    return str(next(entry["message"] for entry in status["conditions"] if entry["type"] == type))
