"""What somebody edits or deletes by hand is put right."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.cluster.kubectl import Kubectl, wait
from tests.cluster.manifests import pool, queue

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

#: Seconds within which the operator repairs.
SOON = 15.0


@pytest.fixture
def steady(shop: Kubectl) -> Iterator[Kubectl]:
    """A pool at work."""
    shop.apply(queue("steady"), pool("steady", "steady"))
    shop.wait_condition("workerpool", "steady", "Ready", "True")
    yield shop
    shop("delete", "workerpool/steady", "taskqueue/steady", "--ignore-not-found")


def spec(kubectl: Kubectl, name: str) -> dict[str, Any]:
    found = kubectl.get("deployment", name)
    return found["spec"] if found is not None else {}


def test_a_worker_deployment_edited_by_hand_is_undone_but_for_what_was_added(steady: Kubectl) -> None:
    before = spec(steady, "steady-worker")
    edit = (
        '{"metadata": {"annotations": {"team": "blue"}}, "spec": {"replicas": 3, "template": {"spec": {"containers": '
        '[{"name": "worker", "args": ["-A", "other", "worker"], "env": [{"name": "EXTRA", "value": "1"}]}]}}}}'
    )
    steady("patch", "deployment/steady-worker", "--type", "strategic", "-p", edit)

    def undone() -> bool | None:
        now = spec(steady, "steady-worker")
        (container,) = now["template"]["spec"]["containers"]
        (wanted,) = before["template"]["spec"]["containers"]
        return (now["replicas"], container["args"]) == (before["replicas"], wanted["args"]) or None

    wait("the edit to be undone", undone, SOON, seen=lambda: spec(steady, "steady-worker"))
    live = steady.get("deployment", "steady-worker")
    assert live is not None
    assert live["metadata"]["annotations"]["team"] == "blue"
    assert {"name": "EXTRA", "value": "1"} in live["spec"]["template"]["spec"]["containers"][0]["env"]


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("deployment", "steady-worker"),
        ("deployment", "default-beat"),
        ("service", "default-beat"),
        ("configmap", "default-client"),
        ("configmap", "default-config-index"),
        ("configmap", "default-config-000"),
    ],
)
def test_what_is_deleted_comes_back(steady: Kubectl, kind: str, name: str) -> None:
    before = steady.get(kind, name)
    assert before is not None
    steady("delete", kind, name, "--wait=false")

    def back() -> bool | None:
        now = steady.get(kind, name)
        return True if now is not None and now["metadata"]["uid"] != before["metadata"]["uid"] else None

    wait(f"another {kind}/{name}", back, SOON)
    steady.wait_condition("broker", "default", "Ready", "True")
    steady.wait_condition("workerpool", "steady", "Ready", "True")


def test_an_edited_config_map_is_undone(steady: Kubectl) -> None:
    steady("patch", "configmap/default-client", "--type", "merge", "-p", '{"data": {"UMBEL_KEY_PREFIX": "mine"}}')

    def undone() -> bool | None:
        found = steady.get("configmap", "default-client")
        return True if found and found["data"]["UMBEL_KEY_PREFIX"] == f"umbel:{steady.namespace}:default" else None

    wait("the prefix to be put right", undone, SOON)


def test_a_pool_that_is_deleted_takes_its_workers_along(shop: Kubectl) -> None:
    shop.apply(queue("brief"), pool("brief", "brief"))
    shop.running("umbel.dev/pool=brief", 1)
    shop("delete", "workerpool/brief")
    wait("the Deployment to go", lambda: True if shop.get("deployment", "brief-worker") is None else None, SOON)
    gone: Callable[[], bool | None] = lambda: True if not shop.list_all("pods", "umbel.dev/pool=brief") else None  # noqa: E731
    wait("the workers to go", gone, 60)
    shop("delete", "taskqueue/brief")


def test_kubectl_scale_changes_the_number_of_workers(steady: Kubectl) -> None:
    steady("scale", "workerpool/steady", "--replicas=2")
    steady.running("umbel.dev/pool=steady", 2)

    def counted() -> bool | None:
        status = (steady.get("workerpool", "steady") or {}).get("status") or {}
        return (status["replicas"], status["availableReplicas"], status["desiredReplicas"]) == (2, 2, 2) or None

    wait("status to count two workers", counted, SOON, seen=lambda: steady.table("workerpools"))
    steady("scale", "workerpool/steady", "--replicas=0")
    wait("no worker", lambda: True if not steady.list_all("pods", "umbel.dev/pool=steady") else None, 60)
    steady.wait_condition("workerpool", "steady", "Available", "True", "ScaledToZero")
