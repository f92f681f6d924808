"""What happens to tasks when the pods that run them go: nothing is lost."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from tests.cluster.console import Console
from tests.cluster.kubectl import Kubectl, wait
from tests.cluster.manifests import pool, queue

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

WORKERS = "umbel.dev/pool=crew,umbel.dev/component=worker"


@pytest.fixture
def crew(shop: Kubectl) -> Iterator[Kubectl]:
    """A pool of one worker with two slots that may drain for a minute."""
    shop.apply(queue("crew"), pool("crew", "crew", concurrency={"slots": 2}, drain={"timeoutSeconds": 60}))
    shop.wait_condition("workerpool", "crew", "Ready", "True")
    shop.running(WORKERS, 1)
    yield shop
    shop("delete", "workerpool/crew", "taskqueue/crew")
    shop.gone(WORKERS)


def test_tasks_of_a_pod_that_was_killed_run_again_within_seconds(crew: Kubectl, console: Console) -> None:
    # Long enough that the kubelet, which takes its time over a pod that was deleted by force, kills them half-way.
    work = 20
    ids = console.send(work, count=2)
    console.started(ids)
    (pod,) = crew.running(WORKERS, 1)
    killed = time.monotonic()
    crew("delete", "pod", pod["metadata"]["name"], "--force", "--grace-period=0")
    ran_in = console.results(ids, 90)
    took = time.monotonic() - killed
    assert pod["metadata"]["name"] not in ran_in
    assert took < work + 15, f"the tasks ended {took - work:.1f} s after the kill and their own {work} s"


def test_a_pod_that_is_stopped_finishes_what_it_runs(crew: Kubectl, console: Console) -> None:
    ids = console.send(8, count=2)
    console.started(ids)
    (pod,) = crew.running(WORKERS, 1)
    crew("scale", "workerpool/crew", "--replicas=0")
    assert set(console.results(ids, 30)) == {pod["metadata"]["name"]}
    crew.gone(WORKERS, 30)
    crew.wait_condition("workerpool", "crew", "Available", "True", "ScaledToZero")


def test_a_rollout_under_load_loses_nothing_and_runs_nothing_twice(crew: Kubectl, console: Console) -> None:
    ids = console.send(0.3, count=60)
    changed = pool("crew", "crew", concurrency={"slots": 2}, drain={"timeoutSeconds": 60})
    changed["spec"]["env"] = [{"name": "GENERATION", "value": "2"}]
    crew.apply(changed)
    ran_in = console.results(ids, 90)
    assert len(ran_in) == 60
    assert len(set(ran_in)) == 2
    crew.wait_condition("workerpool", "crew", "Progressing", "True", "RolloutComplete")
    counts = console.run(f"print(json.dumps([app.AsyncResult(i).retries or 0 for i in {ids!r}]))")
    assert set(counts) == {0}


def test_a_restart_by_annotation_replaces_the_pods(crew: Kubectl) -> None:
    (before,) = crew.running(WORKERS, 1)
    crew("annotate", "workerpool/crew", "umbel.dev/restarted-at=now")

    def another() -> bool | None:
        pods = crew.list_all("pods", WORKERS)
        return (len(pods) == 1 and pods[0]["metadata"]["uid"] != before["metadata"]["uid"]) or None

    wait("another worker", another, 60)
    crew.wait_condition("workerpool", "crew", "Ready", "True")


def test_a_redis_that_restarts_is_survived_and_told(shop: Kubectl, crew: Kubectl, console: Console) -> None:
    shop("rollout", "restart", "deployment/redis")
    shop("rollout", "status", "deployment/redis", "--timeout=60s")
    shop.wait_condition("broker", "default", "Ready", "True")
    ids = wait_sent(console)
    assert len(console.results(ids, 60)) == 2
    for pod in crew.running(WORKERS, 1):
        assert all(status["restartCount"] == 0 for status in pod["status"]["containerStatuses"])


def wait_sent(console: Console) -> list[str]:
    """Send as soon as Redis takes it."""

    def send() -> list[str] | None:
        try:
            return console.send(0.1, count=2)
        except AssertionError:
            return None

    return wait("Redis to take tasks", send, 60)
