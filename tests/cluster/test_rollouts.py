"""What replaces a pool's pods and what does not, and what is said when a roll-out makes no progress."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.cluster.console import Console
from tests.cluster.kubectl import Kubectl, wait
from tests.cluster.manifests import broker, code, pool, producer, queue, redis

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

WORKERS = "umbel.dev/pool=rolling,umbel.dev/component=worker"


@pytest.fixture
def rolling(shop: Kubectl) -> Iterator[Kubectl]:
    """Start a pool of one worker."""
    shop.apply(queue("rolling"), pool("rolling", "rolling"))
    shop.wait_condition("workerpool", "rolling", "Ready", "True")
    shop.running(WORKERS, 1)
    yield shop
    shop("delete", "workerpool/rolling", "taskqueue/rolling")
    shop.gone(WORKERS)


def uids(kubectl: Kubectl) -> set[str]:
    return {pod["metadata"]["uid"] for pod in kubectl.list_all("pods", WORKERS)}


def edited(change: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    changed = pool("rolling", "rolling")
    change(changed)
    return changed


def _slots(changed: dict[str, Any]) -> None:
    changed["spec"]["concurrency"] = {"slots": 2}


def _drain(changed: dict[str, Any]) -> None:
    changed["spec"]["drain"] = {"timeoutSeconds": 12}


def _restart(changed: dict[str, Any]) -> None:
    changed["metadata"]["annotations"] = {"umbel.dev/restarted-at": "2026-01-01T00:00:00Z"}


def _label(changed: dict[str, Any]) -> None:
    changed["spec"]["template"]["metadata"] = {"labels": {"team": "blue"}}


@pytest.mark.parametrize("change", [_slots, _drain, _restart, _label], ids=lambda change: change.__name__.strip("_"))
def test_a_change_of_the_pods_replaces_them(rolling: Kubectl, change: Callable[[dict[str, Any]], None]) -> None:
    before = uids(rolling)
    rolling.apply(edited(change))
    rolling.wait_condition("workerpool", "rolling", "Progressing", "True", "RolloutComplete")
    wait(
        "other pods", lambda: (len(now := uids(rolling)) == 1 and not now & before) or None, seen=lambda: uids(rolling)
    )


def test_a_change_of_anything_else_leaves_the_pods_alone(rolling: Kubectl) -> None:
    before = uids(rolling)
    template = rolling.get("deployment", "rolling-worker")["spec"]["template"]
    rolling.apply(queue("rolling", maxDeliveries=5, dispatch="Held"))
    changed = edited(lambda changed: None)
    changed["spec"] |= {
        "rollout": {"strategy": "RollingUpdate", "maxSurge": 2, "progressDeadlineSeconds": 90},
        "disruption": {"maxUnavailable": 1},
        "autoscaling": {"type": "Queue", "queue": {"minReplicas": 1, "maxReplicas": 2}},
    }
    rolling.apply(changed)
    rolling.wait_condition("workerpool", "rolling", "ScalingActive", "True")
    rolling.wait_condition("taskqueue", "rolling", "Consumed", "False", "Held")
    budget = wait("the budget", lambda: rolling.get("poddisruptionbudget", "rolling-worker"))
    assert budget["spec"]["maxUnavailable"] == 1
    assert rolling.get("deployment", "rolling-worker")["spec"]["template"] == template
    assert uids(rolling) == before


def test_an_image_that_cannot_be_pulled_keeps_the_old_pods_working(rolling: Kubectl, console: Console) -> None:
    before = uids(rolling)
    rolling.apply(pool("rolling", "rolling", image="registry.invalid/shop:typo"))
    found = rolling.wait_condition("workerpool", "rolling", "Progressing", "False", "ImagePullFailing")
    assert "registry.invalid/shop:typo" in found["message"]
    # The workers that are there go on, so the pool is ready; what is in the way stands beside it.
    rolling.wait_condition("workerpool", "rolling", "Ready", "True")
    assert before <= uids(rolling)
    assert len(console.results(console.send(0.1, 4, "rolling"), 30)) == 4
    rolling.apply(pool("rolling", "rolling"))
    rolling.wait_condition("workerpool", "rolling", "Progressing", "True", "RolloutComplete")
    wait("the pods of before alone", lambda: uids(rolling) == before or None, seen=lambda: uids(rolling))


def test_a_release_that_does_not_start_keeps_the_old_pods_working_and_says_why(
    rolling: Kubectl, console: Console
) -> None:
    before = uids(rolling)
    rollout = {"strategy": "RollingUpdate", "progressDeadlineSeconds": 30}
    rolling.apply(pool("rolling", "rolling", app="tasks:no_such_app", rollout=rollout))
    found = rolling.wait_condition("workerpool", "rolling", "Progressing", "False", "ProgressDeadlineExceeded")
    assert "keep working" in found["message"]
    assert "kubectl logs" in found["message"], "it says where to look"
    rolling.wait_condition("workerpool", "rolling", "Ready", "True")
    assert before <= uids(rolling)
    assert len(console.results(console.send(0.1, 4, "rolling"), 30)) == 4
    assert "ProgressDeadlineExceeded" in rolling.reasons_of("WorkerPool", "rolling")


def test_a_password_that_is_changed_restarts_nothing(bare: Kubectl, operator: Kubectl) -> None:
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "redis"}}
    bare.apply(
        {**secret, "stringData": {"password": "first"}},
        code(),
        *redis(password="first"),
        broker(credentialsSecretRef={"name": "redis"}),
        queue("safe"),
        pool("rolling", "safe"),
    )
    bare.wait_condition("broker", "default", "Ready", "True")
    bare.wait_condition("workerpool", "rolling", "Ready", "True")
    watched = f"{WORKERS}", "umbel.dev/component=beat"
    before = {selector: bare.running(selector, 1)[0]["metadata"]["uid"] for selector in watched}

    # The new password first, beside the old one, then the old one goes: nobody is locked out while files are refreshed.
    redis_cli(bare, "first", "ACL", "SETUSER", "default", ">second")
    bare.apply({**secret, "stringData": {"password": "second"}})
    wait("the file in the worker", lambda: file_says(bare, "second"), 180)
    redis_cli(bare, "second", "ACL", "SETUSER", "default", "<first")
    redis_cli(bare, "second", "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    bare.apply(producer_with_password())
    bare.running("app=sender", 1)
    code_ = "from tasks import *; print(count_words.apply_async(args=['a b'], queue='safe').get(timeout=60))"
    assert bare("exec", "deployment/sender", "--", "python3", "-c", code_).strip() == "2"
    bare.wait_condition("broker", "default", "Ready", "True")
    for selector, uid in before.items():
        (pod,) = bare.running(selector, 1)
        assert pod["metadata"]["uid"] == uid
        assert all(status["restartCount"] == 0 for status in pod["status"]["containerStatuses"])


def redis_cli(kubectl: Kubectl, password: str, *command: str) -> None:
    kubectl("exec", "deployment/redis", "--", "redis-cli", "--no-auth-warning", "-a", password, *command)


def file_says(kubectl: Kubectl, password: str) -> bool | None:
    text = kubectl("exec", "deployment/rolling-worker", "--", "cat", "/etc/umbel/broker/password", check=False)
    return (text.strip() == password) or None


def producer_with_password() -> dict[str, Any]:
    """Make a producer that finds the password where the ConfigMap says."""
    sender = producer("sender", "-", script="console.py")
    pod = sender["spec"]["template"]["spec"]
    pod["volumes"].append({"name": "secret", "secret": {"secretName": "redis"}})
    pod["containers"][0]["volumeMounts"].append({"name": "secret", "mountPath": "/etc/umbel/broker", "readOnly": True})
    return sender
