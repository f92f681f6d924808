"""What is wrong is said on the resource, with what to do about it."""

from __future__ import annotations

from typing import Any

import pytest
from tests.cluster.kubectl import Kubectl, wait
from tests.cluster.manifests import broker, pool, queue, redis, resource, schedule

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]


def cron(expression: str, **more: str) -> dict[str, Any]:
    return {"type": "Cron", "cron": {"expression": expression, **more}}


@pytest.mark.parametrize(
    ("trigger", "reason", "said"),
    [
        (cron("0 25 * * *"), "InvalidSchedule", "25"),
        (cron("0 0 31 2 *"), "InvalidSchedule", "31"),
        (cron("0 3 * * *", timeZone="Europe/Atlantis"), "UnknownTimeZone", "Europe/Atlantis"),
    ],
    ids=["hour", "never", "zone"],
)
def test_a_schedule_that_cannot_fire_says_why(shop: Kubectl, trigger: dict[str, Any], reason: str, said: str) -> None:
    shop.apply(queue("times"), schedule("odd", "times", trigger=trigger))
    try:
        found = shop.wait_condition("schedule", "odd", "Ready", "False", reason)
        assert said in found["message"]
        assert reason in events_of(shop, "odd")
    finally:
        shop("delete", "schedule/odd", "taskqueue/times")


def test_one_bad_schedule_does_not_keep_the_others_from_beat(shop: Kubectl) -> None:
    shop.apply(queue("mixed"), schedule("bad", "mixed", trigger=cron("0 25 * * *")), schedule("good", "mixed"))
    try:
        shop.wait_condition("schedule", "good", "Ready", "True", "Scheduled")
        shop.wait_condition("schedule", "bad", "Ready", "False", "InvalidSchedule")
        shop.wait_condition("broker", "default", "ConfigLoaded", "True", "Loaded")
    finally:
        shop("delete", "schedule/good", "schedule/bad", "taskqueue/mixed")


def test_a_schedule_without_its_queue_says_which_and_recovers(shop: Kubectl) -> None:
    shop.apply(schedule("early", "later"))
    found = shop.wait_condition("schedule", "early", "Ready", "False", "QueueNotFound")
    assert '"later"' in found["message"]
    shop.apply(queue("later"))
    shop.wait_condition("schedule", "early", "Ready", "True", "Scheduled")
    shop("delete", "schedule/early", "taskqueue/later")


def test_a_pool_without_its_queue_says_which_and_recovers(shop: Kubectl) -> None:
    shop.apply(pool("eager", "soon"))
    found = shop.wait_condition("workerpool", "eager", "Ready", "False", "QueueNotFound")
    assert 'no TaskQueue "soon"' in found["message"]
    assert "QueueNotFound" in events_of(shop, "eager")
    assert shop.get("deployment", "eager-worker") is None
    shop.apply(queue("soon"))
    shop.wait_condition("workerpool", "eager", "Ready", "True")
    shop("delete", "workerpool/eager", "taskqueue/soon")


def test_an_image_that_cannot_be_pulled_is_named(shop: Kubectl) -> None:
    shop.apply(queue("images"), pool("typo", "images", image="registry.invalid/shop:typo"))
    try:
        found = shop.wait_condition("workerpool", "typo", "Progressing", "False", "ImagePullFailing")
        assert "registry.invalid/shop:typo" in found["message"]
        ready = shop.wait_condition("workerpool", "typo", "Ready", "False")
        assert ready["reason"] == "ImagePullFailing"
    finally:
        shop("delete", "workerpool/typo", "taskqueue/images")


def test_a_bad_template_is_said_so_and_the_workers_before_it_go_on(shop: Kubectl) -> None:
    shop.apply(queue("shapes"), pool("shaped", "shapes"))
    shop.wait_condition("workerpool", "shaped", "Ready", "True")
    bad = pool("shaped", "shapes")
    bad["spec"]["template"]["spec"]["containers"][0]["imagee"] = "typo"
    shop.apply(bad)
    try:
        found = shop.wait_condition("workerpool", "shaped", "Progressing", "False", "TemplateInvalid")
        assert "imagee" in found["message"]
        shop.running("umbel.dev/pool=shaped", 1)
        shop.apply(pool("shaped", "shapes"))
        shop.wait_condition("workerpool", "shaped", "Ready", "True")
    finally:
        shop("delete", "workerpool/shaped", "taskqueue/shapes")


def test_a_missing_broker_is_answered_with_the_yaml_of_one(bare: Kubectl, operator: Kubectl) -> None:
    bare.apply(queue("lonely"), pool("lonely", "lonely"))
    for kind in ("taskqueue", "workerpool"):
        found = bare.wait_condition(kind, "lonely", "Ready", "False", "BrokerNotFound")
        assert "kind: Broker" in found["message"]


def test_an_object_of_somebody_else_is_left_alone_and_named(shop: Kubectl) -> None:
    theirs = {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": "guarded-worker"},
        "spec": {"maxUnavailable": 5, "selector": {"matchLabels": {"app": "theirs"}}},
    }
    shop.apply(theirs, queue("guarded"), pool("guarded", "guarded", disruption={"maxUnavailable": 1}))
    try:
        found = shop.wait_condition("workerpool", "guarded", "Progressing", "False", "ResourceConflict")
        assert "guarded-worker" in found["message"]
        live = shop.get("poddisruptionbudget", "guarded-worker")
        assert live is not None
        assert live["spec"]["maxUnavailable"] == 5
        shop("delete", "poddisruptionbudget/guarded-worker")
        shop.wait_condition("workerpool", "guarded", "Ready", "True")
    finally:
        shop("delete", "workerpool/guarded", "taskqueue/guarded")


def test_a_redis_that_does_not_answer_and_a_wrong_password_are_told_apart(bare: Kubectl, operator: Kubectl) -> None:
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "redis"}, "stringData": {"password": "wrong"}}
    credentials: dict[str, Any] = {"credentialsSecretRef": {"name": "redis"}}
    bare.apply(
        *redis(password="right"),
        secret,
        broker("refused", address="redis:6380"),
        broker("denied", **credentials),
    )
    bare.running("app=redis", 1)
    bare.wait_condition("broker", "refused", "Reachable", "False", "ConnectionRefused")
    bare.wait_condition("broker", "denied", "Reachable", "False", "AuthFailed")
    found = bare.wait_condition("broker", "denied", "Ready", "False")
    assert found["reason"] in ("AuthFailed", "BeatNotReady", "NoLeader", "Pending")
    bare.apply({**secret, "stringData": {"password": "right"}})
    # The kubelet refreshes a mounted Secret within two minutes; beat reads the file again by itself.
    bare.wait_condition("broker", "denied", "Ready", "True", seconds=180)
    for name in ("denied-client", "denied-config-000", "denied-config-index"):
        assert "right" not in str((bare.get("configmap", name) or {}).get("data"))


def test_every_field_is_acted_on_and_said_so(shop: Kubectl) -> None:
    shop.apply(queue("whole", taskDefaults={"maxRetries": 5}, deletionPolicy="Purge"))
    shop.apply(pool("whole", "whole", replicas=0, concurrency={"slots": 2, "prefetch": 1}))
    for kind in ("taskqueue", "workerpool"):
        shop.wait_condition(kind, "whole", "Accepted", "True")
    shop("delete", "workerpool/whole", "taskqueue/whole")


def test_an_invalid_object_is_refused_by_the_api_server_itself(shop: Kubectl) -> None:
    with pytest.raises(AssertionError, match="maxLength"):
        shop.apply(resource("TaskQueue", "endless", {"overflowPolicy": "Reject"}))


def events_of(kubectl: Kubectl, name: str) -> str:
    """Wait for events on an object and return them as text."""
    arguments = ("get", "events.events.k8s.io", "--field-selector", f"regarding.name={name}")
    return wait(f"events on {name}", lambda: text if (text := kubectl(*arguments)).count("\n") > 1 else None, 20)
