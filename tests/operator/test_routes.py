"""Which resources are looked at again when something changes."""

from typing import Any

import pytest

from umbel_operator.kube.resources import BROKERS, DEPLOYMENTS, PODS, SCHEDULES, TASKQUEUES, WORKERPOOLS
from umbel_operator.runtime.cache import Cache, Change
from umbel_operator.runtime.keys import Key
from umbel_operator.runtime.routes import When, index_terms, routes_of

NOW, LATER = When.NOW, When.DEBOUNCED


def obj(kind: str, name: str, generation: int = 1, status: Any = None, namespace: str = "shop", **spec: Any) -> Any:
    return {
        "apiVersion": "umbel.dev/v1alpha1",
        "kind": kind,
        "metadata": {
            "name": name,
            "namespace": namespace,
            "uid": f"{kind}-{namespace}-{name}",
            "generation": generation,
            "resourceVersion": "1",
        },
        "spec": spec,
        "status": status or {},
    }


def queue(name: str, **more: Any) -> Any:
    return obj("TaskQueue", name, **more)


def pool(name: str, *queues: str, **more: Any) -> Any:
    return obj("WorkerPool", name, queues=[{"name": queue} for queue in queues], **more)


def schedule(name: str, queue_name: str, **more: Any) -> Any:
    return obj("Schedule", name, queueRef={"name": queue_name}, **more)


def condition(status: str, reason: str, message: str = "") -> dict[str, Any]:
    return {"conditions": [{"type": "Ready", "status": status, "reason": reason, "message": message}]}


@pytest.fixture
def cache() -> Cache:
    cache = Cache([BROKERS, TASKQUEUES, WORKERPOOLS, SCHEDULES, DEPLOYMENTS, PODS], index=index_terms)
    for known in (
        obj("Broker", "default"),
        obj("Broker", "default", namespace="other"),
        queue("mail"),
        queue("reports", brokerRef={"name": "second"}),
        pool("mailers", "mail", "gone"),
        pool("reporters", "reports", brokerRef={"name": "second"}),
        schedule("nightly", "mail"),
        schedule("weekly", "reports"),
        schedule("lost", "gone"),
    ):
        cache.apply("ADDED", known)
    return cache


def routed(cache: Cache, old: Any, new: Any) -> set[tuple[str, str, When]]:
    return {(key.kind, key.name, when) for key, when in routes_of(Change(old, new), cache)}


def test_a_new_schedule_is_rendered_with_others_and_looked_at_itself(cache: Cache) -> None:
    assert routed(cache, None, schedule("new", "mail")) == {("Schedule", "new", NOW), ("Broker", "default", LATER)}


def test_a_schedule_that_moves_to_another_queue_concerns_both_brokers(cache: Cache) -> None:
    seen = routed(cache, schedule("nightly", "mail"), schedule("nightly", "reports", generation=2))
    assert seen == {("Schedule", "nightly", NOW), ("Broker", "default", LATER), ("Broker", "second", LATER)}


def test_a_schedule_without_its_queue_concerns_no_broker(cache: Cache) -> None:
    assert routed(cache, None, schedule("lost", "gone")) == {("Schedule", "lost", NOW)}


def test_numbers_in_a_status_concern_nobody_else(cache: Cache) -> None:
    before, after = schedule("nightly", "mail"), schedule("nightly", "mail", status={"activeRuns": 3})
    assert routed(cache, before, after) == {("Schedule", "nightly", NOW)}
    before, after = queue("mail"), queue("mail", status={"readyTasks": 3})
    assert routed(cache, before, after) == {("TaskQueue", "mail", NOW)}


def test_a_trigger_annotation_is_rendered(cache: Cache) -> None:
    after = schedule("nightly", "mail")
    after["metadata"]["annotations"] = {"umbel.dev/trigger": "now"}
    assert ("Broker", "default", LATER) in routed(cache, schedule("nightly", "mail"), after)


def test_a_queue_that_comes_or_goes_concerns_its_pools_schedules_and_rivals(cache: Cache) -> None:
    rival, sender, stranger = queue("rival"), queue("sender"), queue("stranger")
    rival["spec"] = {**rival["spec"], "queueName": "mail"}
    sender["spec"] = {**sender["spec"], "deadLetter": {"policy": "Forward", "queueRef": {"name": "mail"}}}
    for known in (rival, sender, stranger):
        cache.apply("ADDED", known)
    expected = {
        ("TaskQueue", "mail", NOW),
        ("TaskQueue", "rival", NOW),
        ("TaskQueue", "sender", NOW),
        ("Broker", "default", LATER),
        ("WorkerPool", "mailers", NOW),
        ("Schedule", "nightly", NOW),
    }
    assert routed(cache, None, queue("mail")) == expected
    assert routed(cache, queue("mail"), None) == expected


@pytest.mark.parametrize(
    "made", [queue("mail"), pool("mailers", "mail"), schedule("nightly", "mail")], ids=lambda m: m["kind"]
)
def test_what_the_status_of_one_resource_says_concerns_no_other(cache: Cache, made: Any) -> None:
    """Given thousands of resources, when each gets its first conditions, then each is looked at once more, and not all for each."""
    after = {**made, "status": condition("True", "Ready")}
    assert routed(cache, made, after) == {(made["kind"], made["metadata"]["name"], NOW)}


def test_a_pool_concerns_the_queues_that_it_serves_or_served(cache: Cache) -> None:
    assert routed(cache, pool("mailers", "mail"), pool("mailers", "bulk", generation=2)) == {
        ("WorkerPool", "mailers", NOW),
        ("TaskQueue", "mail", NOW),
        ("TaskQueue", "bulk", NOW),
        ("Broker", "default", LATER),
    }


def test_a_broker_that_turns_ready_concerns_all_that_refer_to_it_in_its_namespace(cache: Cache) -> None:
    old = obj("Broker", "default", status=condition("False", "Pending"))
    new = obj("Broker", "default", status=condition("True", "Ready"))
    assert routed(cache, old, new) == {
        ("Broker", "default", NOW),
        ("TaskQueue", "mail", NOW),
        ("WorkerPool", "mailers", NOW),
        ("Schedule", "nightly", NOW),
    }


def test_another_message_of_the_same_reason_concerns_nobody_else(cache: Cache) -> None:
    old = obj("Broker", "default", status=condition("False", "Pending", "1 s"))
    new = obj("Broker", "default", status=condition("False", "Pending", "2 s"))
    assert routed(cache, old, new) == {("Broker", "default", NOW)}


def test_a_broker_that_goes_may_end_a_conflict_with_another_one(cache: Cache) -> None:
    keys = [key for key, _ in routes_of(Change(obj("Broker", "default"), None), cache)]
    assert Key("Broker", "other", "default") in keys


@pytest.mark.parametrize(
    ("owner", "expected"),
    [
        ({"apiVersion": "umbel.dev/v1alpha1", "kind": "WorkerPool", "name": "mailers", "uid": "x"}, "mailers"),
        ({"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "foreign", "uid": "x"}, None),
    ],
)
def test_a_child_concerns_its_owner(cache: Cache, owner: Any, expected: str | None) -> None:
    child = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "d", "namespace": "shop", "ownerReferences": [owner]},
    }
    keys = [key.name for key, _ in routes_of(Change(None, child), cache)]
    assert keys == ([expected] if expected else [])


def test_a_child_whose_owner_was_cut_off_concerns_the_former_owner(cache: Cache) -> None:
    owner = {"apiVersion": "umbel.dev/v1alpha1", "kind": "WorkerPool", "name": "mailers", "uid": "x"}
    meta = {"name": "d", "namespace": "shop"}
    old = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {**meta, "ownerReferences": [owner]}}
    new = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta}
    assert routed(cache, old, new) == {("WorkerPool", "mailers", NOW)}


def test_what_a_render_itself_writes_is_gathered_with_the_next_edits(cache: Cache) -> None:
    owner = {"apiVersion": "umbel.dev/v1alpha1", "kind": "Broker", "name": "default", "uid": "x"}
    meta = {"name": "default-config-000", "namespace": "shop", "ownerReferences": [owner]}
    assert routed(cache, None, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta}) == {
        ("Broker", "default", LATER)
    }


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ({"umbel.dev/pool": "mailers", "umbel.dev/broker": "default", "umbel.dev/component": "worker"}, "WorkerPool"),
        ({"umbel.dev/broker": "default", "umbel.dev/component": "beat"}, "Broker"),
        ({"app": "foreign"}, None),
    ],
)
def test_a_pod_concerns_whom_it_runs_for(cache: Cache, labels: dict[str, str], expected: str | None) -> None:
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "p", "namespace": "shop", "uid": "p1", "labels": labels, "resourceVersion": "1"},
    }
    assert [key.kind for key, _ in routes_of(Change(None, pod), cache)] == ([expected] if expected else [])
    cache.apply("ADDED", pod)
    if expected:
        name = "mailers" if expected == "WorkerPool" else "default"
        assert cache.indexed(str(Key(expected, "shop", name))) == [pod]
