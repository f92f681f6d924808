"""A pool without pods that wakes for a Schedule, and a scaler that does not know the load."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from tests.cluster.console import Console
from tests.cluster.kubectl import Kubectl, wait
from tests.cluster.manifests import broker, pool, queue, schedule

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

WORKERS = "umbel.dev/pool=sleeper,umbel.dev/component=worker"
LEAD = 15
SCALING = {
    "minReplicas": 0,
    "maxReplicas": 3,
    "tasksPerReplica": 1,
    "samplePeriodSeconds": 5,
    "startupLeadSeconds": LEAD,
    "scaleDownStabilizationSeconds": 0,
    "idleSecondsToZero": 30,
}


def sleeper(**more: Any) -> dict[str, Any]:
    return pool("sleeper", "sleeper", autoscaling={"type": "Queue", "queue": SCALING}, **more)


def replicas(kubectl: Kubectl) -> int:
    return int((kubectl.get("workerpool", "sleeper") or {})["spec"]["replicas"])


@pytest.fixture
def asleep(shop: Kubectl) -> Iterator[Kubectl]:
    """Make a pool that the built-in scaler keeps, without a pod."""
    shop.apply(queue("sleeper"), sleeper(replicas=0))
    shop.wait_condition("workerpool", "sleeper", "Available", "True", "ScaledToZero")
    shop.wait_condition("workerpool", "sleeper", "ScalingActive", "True", "Scaling")
    yield shop
    shop("delete", "workerpool/sleeper", "schedule/once", "taskqueue/sleeper", "--ignore-not-found")
    shop.gone(WORKERS)


def test_a_pool_wakes_ahead_of_a_due_schedule(
    asleep: Kubectl, console: Console, capsys: pytest.CaptureFixture[str]
) -> None:
    run = uuid4().hex
    due = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=2 * LEAD)
    once = {"type": "Once", "once": {"time": due.isoformat().replace("+00:00", "Z")}}
    task = {"name": "tasks.stamp", "args": [run, "woken"]}
    asleep.apply({**(s := schedule("once", "sleeper", trigger=once)), "spec": {**s["spec"], "task": task}})
    wait("the pool to wake", lambda: replicas(asleep) == 1 or None, 60)
    woke = datetime.now(UTC)
    (first,) = wait("the task", lambda: console.run(f"print(json.dumps(starts_of({run!r})))") or None, 60)
    late = first[0] - due.timestamp()
    with capsys.disabled():
        ahead = (due - woke).total_seconds()
        sys.stdout.write(f"\nwoken {ahead:.0f} s ahead of a Schedule; its task began {late:.1f} s after it was due\n")
    assert woke < due, "it woke only when the task was there"
    assert late >= 0


def test_a_pool_sleeps_again_after_the_schedule_and_not_before(asleep: Kubectl, console: Console) -> None:
    run = uuid4().hex
    (task,) = console.run(f"print(json.dumps([stamp.apply_async(args=[{run!r}, 'now'], queue='sleeper').id]))")
    console.results([task], 90)
    began = datetime.now(UTC)
    wait("the pool to sleep", lambda: replicas(asleep) == 0 or None, 120)
    assert (datetime.now(UTC) - began).total_seconds() > SCALING["idleSecondsToZero"] - SCALING["samplePeriodSeconds"]


def test_idle_pods_go_first(asleep: Kubectl, console: Console) -> None:
    run = uuid4().hex
    seconds = [60, 10, 10]  # one slot and one task for each pod
    ids = console.run(
        f"print(json.dumps([stay.apply_async(args=[{run!r}, s], queue='sleeper').id for s in {seconds}]))"
    )
    wait("all to run", lambda: len(console.starts(run)) == 3 or None)
    assert len({pod for _, pod in console.starts(run)}) == 3
    console.results(ids[1:], 60)
    wait("fewer pods", lambda: replicas(asleep) == 1 or None, 60)
    (kept,) = asleep.running(WORKERS, 1)
    assert console.results(ids[:1], 90) == [kept["metadata"]["name"]]
    assert len(console.starts(run)) == 3, "the pod that worked was removed, and its task ran again elsewhere"


@pytest.fixture
def apart(shop: Kubectl) -> Iterator[Kubectl]:
    """Make a Broker of its own, whose beat may be away, and a pool of two pods with nothing to do."""
    own = {"brokerRef": {"name": "apart"}}
    shop.apply(broker("apart"), queue("sleeper", **own), sleeper(replicas=2, **own))
    shop.wait_condition("broker", "apart", "Ready", "True")
    yield shop
    shop("delete", "workerpool/sleeper", "taskqueue/sleeper", "broker/apart", "--ignore-not-found")
    shop.gone(WORKERS)


def test_the_number_of_pods_is_held_while_the_load_is_not_known(apart: Kubectl) -> None:
    apart("patch", "broker/apart", "--type", "merge", "-p", '{"spec": {"beat": {"replicas": 0}}}')
    apart.gone("umbel.dev/component=beat,umbel.dev/broker=apart")
    found = apart.wait_condition("workerpool", "sleeper", "ScalingActive", "False", "SampleStale")
    assert "held" in found["message"]
    held = replicas(apart)
    assert held > 0
    # Longer than the idle time, after which a scaler that took silence for idleness would have removed the last pod.
    with pytest.raises(AssertionError, match="not within"):
        wait("a change", lambda: replicas(apart) != held or None, SCALING["idleSecondsToZero"] + 10)
    apart("patch", "broker/apart", "--type", "merge", "-p", '{"spec": {"beat": {"replicas": 1}}}')
    apart.wait_condition("workerpool", "sleeper", "ScalingActive", "True", "Scaling")
    wait("the pool to sleep", lambda: replicas(apart) == 0 or None, 120)
