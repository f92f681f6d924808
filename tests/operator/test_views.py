"""Who serves whom: found by an index, which follows every edit and survives what says nothing new about it."""

from __future__ import annotations

from typing import Any

import pytest

from umbel_operator.kube.errors import Json
from umbel_operator.runtime.cache import Change
from umbel_operator.runtime.views import Views

NAMESPACE = "shop"


def made(kind: str, name: str, created: str = "2026-01-01T00:00:00Z", generation: int = 1, **spec: Any) -> Json:
    meta = {"name": name, "namespace": NAMESPACE, "uid": f"uid-{name}", "generation": generation}
    meta["creationTimestamp"] = created
    return {"apiVersion": "umbel.dev/v1alpha1", "kind": kind, "metadata": meta, "spec": spec}


def queue(name: str, **changes: Any) -> Json:
    return made("TaskQueue", name, **changes)


def pool(*queues: str, generation: int = 1) -> Json:
    spec: dict[str, Any] = {"queues": [{"name": name} for name in queues], "app": "shop.tasks", "image": "shop:1"}
    return made("WorkerPool", "workers", generation=generation, **spec)


def schedule(queue_name: str, generation: int = 1) -> Json:
    trigger = {"type": "Interval", "interval": {"everySeconds": 60}}
    spec: dict[str, Any] = {"queueRef": {"name": queue_name}, "task": {"name": "t"}, "trigger": trigger}
    return made("Schedule", "nightly", generation=generation, **spec)


class Cluster:
    """Resources that come, change and go."""

    def __init__(self) -> None:
        self.views = Views()
        self._known: dict[tuple[str, str], Json] = {}

    def put(self, obj: Json) -> None:
        key = (obj["kind"], obj["metadata"]["name"])
        self.views.take(Change(self._known.get(key), obj))
        self._known[key] = obj

    def drop(self, kind: str, name: str) -> None:
        self.views.take(Change(self._known.pop((kind, name)), None))

    def found(self, name: str) -> tuple[list[str], list[str], str | None]:
        """Name the pools and Schedules of a TaskQueue, and the owner of its effective name."""
        view = self.views.view(NAMESPACE)
        queue = view.queues[name]
        owner = view.owner_of("default", queue.effective_name)
        pools = [pool.name for pool in view.pools_of(queue)]
        return pools, [schedule.name for schedule in view.schedules_of(name)], owner.name if owner else None


@pytest.fixture
def cluster() -> Cluster:
    found = Cluster()
    for obj in (queue("mail"), queue("other"), pool("mail"), schedule("mail")):
        found.put(obj)
    return found


def test_what_comes_is_edited_and_goes_is_followed(cluster: Cluster) -> None:
    assert cluster.found("mail") == (["workers"], ["nightly"], "mail")
    assert cluster.found("other") == ([], [], "other")
    cluster.put(pool("mail", "other", "other", generation=2))
    cluster.put(schedule("other", generation=2))
    assert cluster.found("mail") == (["workers"], [], "mail")
    assert cluster.found("other") == (["workers"], ["nightly"], "other")
    cluster.put(queue("elder", created="2025-01-01T00:00:00Z", queueName="mail"))
    assert cluster.found("mail")[2] == "elder"
    cluster.drop("TaskQueue", "elder")
    cluster.drop("WorkerPool", "workers")
    assert cluster.found("mail") == ([], [], "mail")


def test_a_status_makes_nobody_look_through_all_again_and_is_seen(cluster: Cluster) -> None:
    cluster.found("mail")
    index = cluster.views.view(NAMESPACE).index
    assert set(index) == {"owners", "pools", "schedules"}
    cluster.put({**pool("mail"), "status": {"replicas": 7}})
    view = cluster.views.view(NAMESPACE)
    assert view.index is index
    assert set(index) == {"owners", "pools", "schedules"}
    (found,) = view.pools_of(view.queues["mail"])
    assert found.status.replicas == 7
    cluster.put({**queue("mail"), "metadata": {**queue("mail")["metadata"], "uid": "another"}})
    assert not index, "another one of the same name"
