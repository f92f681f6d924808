"""The number of pods follows the load, down to none and back for one task."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest
from tests.cluster.kubectl import Kubectl, wait
from tests.cluster.manifests import pool, producer, queue

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

WORKERS = "umbel.dev/pool=elastic,umbel.dev/component=worker"
SCALING = {
    "minReplicas": 0,
    "maxReplicas": 3,
    "tasksPerReplica": 2,
    "samplePeriodSeconds": 5,
    "scaleDownStabilizationSeconds": 20,
    "idleSecondsToZero": 30,
}


@pytest.fixture
def elastic(shop: Kubectl) -> Iterator[Kubectl]:
    """A pool that the built-in scaler keeps, from none to three pods, and a pod to send from."""
    elastic = pool("elastic", "elastic", autoscaling={"type": "Queue", "queue": SCALING}, concurrency={"slots": 1})
    shop.apply(queue("elastic"), elastic, producer("sender", "-", script="console.py"))
    yield shop
    shop("delete", "workerpool/elastic", "taskqueue/elastic", "deployment/sender")
    wait("the workers to go", lambda: True if not shop.list_all("pods", WORKERS) else None, 90)


def send(shop: Kubectl, seconds: float, count: int) -> float:
    """Send tasks that take so long, wait for all of them, and return how long that took."""
    (pod,) = shop.running("app=sender", 1)
    code = (
        "import json, time\nfrom tasks import *\nbegan = time.time()\n"
        f"sent = [doze.apply_async(args=[{seconds}], queue='elastic') for _ in range({count})]\n"
        "[result.get(timeout=150) for result in sent]\nprint(json.dumps(time.time() - began))"
    )
    text = shop("exec", pod["metadata"]["name"], "--", "python3", "-c", code)
    return float(json.loads(text.splitlines()[-1]))


def replicas(shop: Kubectl) -> int:
    found: dict[str, Any] = shop.get("workerpool", "elastic") or {}
    return int(found["spec"]["replicas"])


def asleep(shop: Kubectl) -> bool | None:
    return (replicas(shop) == 0 and not shop.list_all("pods", WORKERS)) or None


def test_a_pool_sleeps_wakes_for_one_task_and_grows_with_the_load(
    elastic: Kubectl, capsys: pytest.CaptureFixture[str]
) -> None:
    elastic.wait_condition("workerpool", "elastic", "ScalingActive", "True", "Scaling")
    wait("the pool to sleep", lambda: asleep(elastic), 120)
    elastic.wait_condition("workerpool", "elastic", "Available", "True", "ScaledToZero")

    woke = send(elastic, 0.1, 1)
    with capsys.disabled():
        sys.stdout.write(f"\nfrom no pod to the result of one task: {woke:.1f} s\n")
    assert woke < 60

    began = time.monotonic()
    took = send(elastic, 5, 12)
    assert took < 12 * 5, f"{took:.0f} s for a minute of work: it did not grow"
    events = [event["reason"] for event in elastic.list_all("events") if event["involvedObject"]["name"] == "elastic"]
    assert "ScaledUp" in events
    wait("the pool to sleep again", lambda: asleep(elastic), 180)
    assert time.monotonic() - began > SCALING["idleSecondsToZero"]
    events = [event["reason"] for event in elastic.list_all("events") if event["involvedObject"]["name"] == "elastic"]
    assert "ScaledDown" in events
