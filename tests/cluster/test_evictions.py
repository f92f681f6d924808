"""Pods that are told to go, in each of the ways that a cluster has: they finish what they can and give back the rest."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from tests.cluster.console import Console
from tests.cluster.kubectl import Kubectl, wait
from tests.cluster.manifests import pool, queue

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

WORKERS = "umbel.dev/pool=movers,umbel.dev/component=worker"


@pytest.fixture
def run() -> str:
    """Name a run of tasks, and the queue that it has for itself."""
    return f"movers-{uuid4().hex[:8]}"


@pytest.fixture
def movers(shop: Kubectl, run: str) -> Iterator[Kubectl]:
    """Start two workers with two slots each that may drain for ten seconds."""
    shop.apply(queue(run), movers_of(run))
    shop.running(WORKERS, 2)
    yield shop
    shop("delete", "workerpool/movers", f"taskqueue/{run}", "--ignore-not-found")
    shop.gone(WORKERS)


def movers_of(run: str, **more: Any) -> dict[str, Any]:
    return pool("movers", run, **{"replicas": 2, "concurrency": {"slots": 2}, "drain": {"timeoutSeconds": 10}, **more})


def test_a_pod_that_is_evicted_finishes_what_it_runs(movers: Kubectl, run: str, console: Console) -> None:
    ids = console.stay(run, 6, count=4)
    console.started(ids)
    for pod in movers.running(WORKERS, 2):
        evict(movers, pod["metadata"]["name"])
    console.results(ids, 60)
    assert len(console.starts(run)) == 4
    movers.running(WORKERS, 2)


def test_a_drained_node_loses_nothing(movers: Kubectl, run: str, console: Console, cluster: Kubectl) -> None:
    ids = console.stay(run, 6, count=8)
    console.started(ids[:1])
    node = movers.running(WORKERS, 2)[0]["spec"]["nodeName"]
    # Only these pods go, so that a cluster of one node keeps Redis and the operator.
    drain = ("drain", node, "--pod-selector", WORKERS, "--delete-emptydir-data", "--ignore-daemonsets")
    try:
        cluster(*drain, "--timeout=60s")
        assert not [pod for pod in movers.list_all("pods", WORKERS) if pod["spec"].get("nodeName") == node]
    finally:
        cluster("uncordon", node)
    console.results(ids, 120)
    assert len(console.starts(run)) == 8


def test_a_task_longer_than_the_drain_time_is_requeued_and_said_so(movers: Kubectl, run: str, console: Console) -> None:
    (task,) = console.stay(run, 25)
    console.started([task])
    ((_, first),) = console.starts(run)
    with movers.following(first) as log:
        evict(movers, first)
        ran_in = console.results([task], 90)
    assert ran_in != [first]
    assert [pod for _, pod in console.starts(run)] == [first, *ran_in]
    assert "worker.hands_back" in log.text
    retries = console.run(f"print(json.dumps(app.AsyncResult({task!r}).retries or 0))")
    assert retries == 0, "what a drain gives back counts as no retry"


def test_a_task_longer_than_the_drain_time_fails_where_that_is_asked_for(
    movers: Kubectl, run: str, console: Console
) -> None:
    movers.apply(movers_of(run, drain={"timeoutSeconds": 5, "onTimeout": "Fail"}))
    movers.wait_condition("workerpool", "movers", "Progressing", "True", "RolloutComplete")
    (task,) = console.stay(run, 40)
    console.started([task])
    ((_, pod),) = console.starts(run)
    evict(movers, pod)
    wait("the task to fail", lambda: console.states([task]) == ["FAILURE"] or None, 60)
    error = console.run(f"print(json.dumps(repr(app.AsyncResult({task!r}).result)))")
    assert "WorkerLost" in error
    assert "drain.onTimeout" in error


def test_a_pool_that_is_deleted_under_load_leaves_the_rest_to_the_next(
    movers: Kubectl, run: str, console: Console
) -> None:
    ids = console.stay(run, 1, count=40)
    wait("some to run", lambda: len(console.starts(run)) > 4 or None, 60)
    movers("delete", "workerpool/movers")
    movers.gone(WORKERS)
    ended = console.states(ids).count("SUCCESS")
    assert ended < len(ids), "all tasks had run before the pool was gone: it was not under load"
    assert len(console.starts(run)) == ended, "what began was finished, since it takes less than the drain time"
    movers.apply(movers_of(run))
    console.results(ids, 120)
    assert len(console.starts(run)) == len(ids)


def evict(kubectl: Kubectl, pod: str) -> None:
    """Evict a pod through the API, as a drain of its node does."""
    body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod, "namespace": kubectl.namespace}}
    path = f"/api/v1/namespaces/{kubectl.namespace}/pods/{pod}/eviction"
    kubectl("create", "--raw", path, "-f", "-", stdin=json.dumps(body))
