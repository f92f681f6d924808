"""Tasks of pods that fall silent or vanish run again within the promised seconds."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from uuid import uuid4

import pytest
from tests.cluster.console import Console
from tests.cluster.kubectl import SPARE_NODE, Kubectl, wait
from tests.cluster.manifests import pool, queue
from tests.cluster.pods import freeze, mortal

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

WORKERS = "umbel.dev/pool=frail,umbel.dev/component=worker"
DOOMED = "umbel.dev/pool=doomed,umbel.dev/component=worker"
#: Seconds within which tasks are back: when the operator sees the pod go, and by heartbeats alone.
SEEN, SILENT = 6.0, 15.0
#: Longer than either, so that no task ends by itself meanwhile.
WORK = 45.0


@pytest.fixture
def run() -> str:
    """Name a run of tasks, and a queue of its own: what a test leaves behind is no other test's load."""
    return f"frail-{uuid4().hex[:8]}"


@pytest.fixture
def frail(shop: Kubectl, run: str) -> Iterator[Kubectl]:
    """Start two workers that can be stopped dead, each with room for all tasks."""
    shop.apply(queue(run), mortal(pool("frail", run, replicas=2, concurrency={"slots": 4})))
    shop.running(WORKERS, 2)
    yield shop
    shop("delete", "workerpool/frail", f"taskqueue/{run}")
    shop.gone(WORKERS)


def test_tasks_of_a_dead_pod_that_is_deleted_by_force_are_back_in_six_seconds(
    frail: Kubectl, run: str, console: Console, capsys: pytest.CaptureFixture[str]
) -> None:
    victim = occupy(console, run)
    freeze(frail, victim)
    since = console.redis_time()
    frail("delete", "pod", victim, "--force", "--grace-period=0")
    took = back(console, run, victim, since)
    with capsys.disabled():
        sys.stdout.write(f"\na dead pod that was deleted by force: its tasks began again {took:.1f} s later\n")
    assert took < SEEN


def test_tasks_of_a_pod_that_falls_silent_are_back_in_fifteen_seconds(
    frail: Kubectl, run: str, console: Console, capsys: pytest.CaptureFixture[str]
) -> None:
    victim = occupy(console, run)
    since = console.redis_time()
    freeze(frail, victim)
    took = back(console, run, victim, since)
    with capsys.disabled():
        sys.stdout.write(f"\na pod that fell silent: its tasks began again {took:.1f} s later\n")
    assert took < SILENT
    frail("delete", "pod", victim, "--force", "--grace-period=0")


def test_tasks_of_a_living_pod_that_is_deleted_by_force_are_back_in_six_seconds(
    frail: Kubectl, run: str, console: Console, capsys: pytest.CaptureFixture[str]
) -> None:
    victim = occupy(console, run)
    since = console.redis_time()
    frail("delete", "pod", victim, "--force", "--grace-period=0")
    # The kubelet of a node that lives gives such a pod two seconds. Its worker hears of it, and hands back at once.
    took = back(console, run, victim, since)
    lived = console.last_alive(run, victim) - since
    with capsys.disabled():
        sys.stdout.write(
            f"\na living pod that was deleted by force: its tasks ended {lived:.1f} s later, and began again {took:.1f} s "
            "after the deletion\n"
        )
    assert took < SEEN


@pytest.fixture
def spare(frail: Kubectl, run: str, cluster: Kubectl) -> Iterator[Kubectl]:
    """Have one worker on the node that may be deleted, and no other anywhere."""
    if not SPARE_NODE:
        pytest.skip("no node to delete: name one that nobody needs in UMBEL_SPARE_NODE")
    name = cluster("get", "node", SPARE_NODE, "-o", r"jsonpath={.metadata.labels.kubernetes\.io/hostname}")
    frail("scale", "workerpool/frail", "--replicas=0")
    frail.gone(WORKERS)
    doomed = mortal(pool("doomed", run, concurrency={"slots": 4}))
    doomed["spec"]["template"]["spec"] |= {
        "nodeSelector": {"kubernetes.io/hostname": name},
        "tolerations": [{"key": "node.kubernetes.io/unschedulable", "operator": "Exists"}],
    }
    frail.apply(doomed)
    frail.running(DOOMED, 1)
    yield frail
    frail("delete", "workerpool/doomed")
    frail.gone(DOOMED, 150)


def test_tasks_of_a_dead_pod_are_back_in_six_seconds_after_its_node_was_deleted(
    spare: Kubectl, run: str, console: Console, cluster: Kubectl, capsys: pytest.CaptureFixture[str]
) -> None:
    victim = occupy(console, run)
    spare("scale", "workerpool/frail", "--replicas=2")
    spare.running(WORKERS, 2)
    freeze(spare, victim)
    since = console.redis_time()
    cluster("delete", "node", SPARE_NODE, "--wait=false")
    took = back(console, run, victim, since)
    with capsys.disabled():
        sys.stdout.write(f"\na dead pod whose Node was deleted: its tasks began again {took:.1f} s later\n")
    assert took < SEEN
    assert spare.get("pod", victim) is not None, "it was the Node, not the Pod, whose end was told"


def occupy(console: Console, run: str) -> str:
    """Give the workers something to do that takes long; return a pod that does some of it."""
    console.started(console.stay(run, WORK, count=2))
    return console.starts(run)[0][1]


def back(console: Console, run: str, victim: str, since: float) -> float:
    """Wait until each task that the victim ran has begun elsewhere; return after how many seconds the last did."""
    lost = sum(pod == victim for _, pod in console.starts(run))
    assert lost > 0

    def again() -> list[float] | None:
        later = [at for at, pod in console.starts(run) if at > since and pod != victim]
        return later if len(later) >= lost else None

    return max(wait(f"{lost} tasks to begin elsewhere", again, 40)) - since
