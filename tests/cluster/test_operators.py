"""The operator outside of the cluster, its restart, and a namespace that goes with everything in it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from tests.cluster.kubectl import Kubectl, wait
from tests.cluster.manifests import broker, of_class, pool, queue, redis, schedule
from tests.cluster.operators import SELECTOR, deployment_of, install, outside, uninstall

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]


def everything() -> list[dict[str, Any]]:
    """Make one of each kind, and a Redis."""
    return [*redis(), broker(), queue("mail"), pool("mailers", "mail"), schedule("heartbeat", "mail")]


def succeeded(kubectl: Kubectl) -> str | None:
    """Tell when the schedule last succeeded."""
    status = (kubectl.get("schedule", "heartbeat") or {}).get("status") or {}
    found: str | None = status.get("lastSuccessfulTime")
    return found


def test_an_operator_outside_of_the_cluster_reaches_beat_through_the_api_server(bare: Kubectl, tmp_path: Path) -> None:
    bare.apply(*of_class("outside", *everything()))
    log = tmp_path / "operator.log"
    try:
        with outside(bare.namespace, "outside", log):
            for kind, name in (("broker", "default"), ("taskqueue", "mail"), ("workerpool", "mailers")):
                bare.wait_condition(kind, name, "Ready", "True")
            wait("a scheduled success", lambda: succeeded(bare), 120)
            bare("delete", "namespace", bare.namespace, "--timeout=90s")
    except AssertionError as error:
        raise AssertionError(f"{error}\n\noperator:\n{log.read_text()}") from None
    assert "Traceback" not in log.read_text()


def test_an_operator_with_roles_in_one_namespace_needs_nothing_else(
    bare: Kubectl, another: Kubectl, cluster: Kubectl
) -> None:
    bare.apply(*of_class("roles", *everything()))
    install(another, "roles", [bare.namespace])
    try:
        roles = cluster("get", "clusterroles,clusterrolebindings", "-o", "name")
        assert another.namespace not in roles
        for kind, name in (("broker", "default"), ("taskqueue", "mail"), ("workerpool", "mailers")):
            bare.wait_condition(kind, name, "Ready", "True")
        wait("a scheduled success", lambda: succeeded(bare), 120)
        account = f"system:serviceaccount:{another.namespace}:{another.namespace}-operator"
        assert cluster("auth", "can-i", "list", "secrets", "-n", bare.namespace, "--as", account, check=False) == "no\n"
        bare("delete", "namespace", bare.namespace, "--timeout=120s")
    finally:
        uninstall(another)


def test_resources_of_another_class_are_left_alone(shop: Kubectl) -> None:
    shop.apply(*of_class("nobody", queue("foreign")), queue("ours"))
    shop.wait_condition("taskqueue", "ours", "Ready", "True")
    assert "status" not in (shop.get("taskqueue", "foreign") or {})
    shop.apply(queue("foreign"))
    shop.wait_condition("taskqueue", "foreign", "Ready", "True")
    shop("delete", "taskqueue/foreign", "taskqueue/ours")


def test_a_restarted_operator_finds_what_changed_meanwhile_and_touches_nothing_else(
    shop: Kubectl, operator: Kubectl
) -> None:
    shop.apply(queue("kept"), pool("kept", "kept"), queue("dropped"), pool("dropped", "dropped"))
    for name in ("kept", "dropped"):
        shop.wait_condition("workerpool", name, "Ready", "True")
    (before,) = shop.running("umbel.dev/pool=kept", 1)
    operator("scale", deployment_of(operator), "--replicas=0")
    wait("the operator to stop", lambda: True if not operator.list_all("pods", SELECTOR) else None, 60)
    shop("delete", "workerpool/dropped", "taskqueue/dropped")
    shop("patch", "deployment/kept-worker", "-p", '{"spec": {"replicas": 2}}')
    shop.apply(queue("fresh"))
    operator("scale", deployment_of(operator), "--replicas=1")
    operator.running(SELECTOR, 1)
    shop.wait_condition("taskqueue", "fresh", "Ready", "True")
    (after,) = shop.running("umbel.dev/pool=kept", 1)
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    shop("delete", "workerpool/kept", "taskqueue/kept", "taskqueue/fresh")


def test_a_namespace_goes_with_everything_in_it(bare: Kubectl, operator: Kubectl) -> None:
    bare.apply(*everything())
    for kind, name in (("broker", "default"), ("workerpool", "mailers")):
        bare.wait_condition(kind, name, "Ready", "True")
    began = time.monotonic()
    bare("delete", "namespace", bare.namespace, "--wait=false")
    wait("the namespace to go", lambda: True if bare.get("namespace", bare.namespace) is None else None, 60)
    assert time.monotonic() - began < 60


def test_the_operator_logs_no_error_in_all_of_this(shop: Kubectl, operator: Kubectl) -> None:
    logs = operator("logs", deployment_of(operator)).splitlines()
    assert [line for line in logs if "Traceback" in line or '"level": "error"' in line] == []
