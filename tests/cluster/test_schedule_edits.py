"""How long it takes from `kubectl apply` of an edited Schedule until beat acts on it."""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from tests.cluster.console import Console
from tests.cluster.kubectl import Kubectl, wait
from tests.cluster.manifests import broker, pool, producer, queue, redis, schedule

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

BEATS = "umbel.dev/component=beat"
#: Seconds within which an edit acts: where the operator nudges the kubelet, and where it may not.
PROMISE, UNAIDED = 10.0, 120.0
EDITS = 5


@pytest.fixture
def diary(shop: Kubectl) -> Iterator[Kubectl]:
    shop.apply(queue("diary"), pool("diary", "diary"))
    shop.running("umbel.dev/pool=diary", 1)
    yield shop
    shop("delete", "schedule/diary", "workerpool/diary", "taskqueue/diary", "--ignore-not-found")


def every_second(run: str, word: str) -> dict[str, Any]:
    found = schedule("diary", "diary", trigger={"type": "Interval", "interval": {"everySeconds": 1}})
    found["spec"]["task"] = {"name": "tasks.stamp", "args": [run, word]}
    return found


def first_of(console: Console, run: str, word: str, seconds: float = 60) -> float:
    """Wait for a word and return when it was first stamped."""

    def look() -> float | None:
        found = [at for at, _, seen in console.run(f"print(json.dumps(starts_of({run!r})))") if seen == word]
        return min(found, default=None)

    return wait(f"the run of {word}", look, seconds)


def test_an_edited_schedule_acts_within_ten_seconds(
    diary: Kubectl, console: Console, capsys: pytest.CaptureFixture[str]
) -> None:
    run, took = uuid4().hex, []
    diary.apply(every_second(run, "before"))
    first_of(console, run, "before")
    for number in range(EDITS):
        word = f"edit {number}"
        since = console.redis_time()
        diary.apply(every_second(run, word))
        took.append(first_of(console, run, word) - since)
    with capsys.disabled():
        shown = ", ".join(f"{seconds:.1f}" for seconds in took)
        sys.stdout.write(f"\nseconds from kubectl apply of an edit to the first task by it: {shown} "
                         f"(median {statistics.median(took):.1f})\n")  # fmt: skip
    assert max(took) < PROMISE


@pytest.fixture
def unaided(bare: Kubectl, operator: Kubectl, cluster: Kubectl) -> Iterator[Kubectl]:
    """Make a namespace of its own in which the operator may not touch pods, and a Schedule's queue and pool in it."""
    name = f"{bare.namespace}-pods"
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["UPDATE"], "resources": ["pods"]}
    here = {"matchLabels": {"kubernetes.io/metadata.name": bare.namespace}}
    policy = {
        "matchConstraints": {"resourceRules": [rule], "namespaceSelector": here},
        "validations": [{"expression": "!request.userInfo.username.endsWith('-operator')", "message": "not here"}],
    }
    admission = "admissionregistration.k8s.io/v1"
    cluster.apply(
        {"apiVersion": admission, "kind": "ValidatingAdmissionPolicy", "metadata": {"name": name}, "spec": policy},
        {
            "apiVersion": admission,
            "kind": "ValidatingAdmissionPolicyBinding",
            "metadata": {"name": name},
            "spec": {"policyName": name, "validationActions": ["Deny"]},
        },
    )
    try:
        bare.apply(*redis(), broker(), queue("diary"), pool("diary", "diary"))
        bare.apply(producer("console", "-", script="console.py"))
        bare.wait_condition("workerpool", "diary", "Ready", "True")
        bare.running("app=console", 1)
        yield bare
    finally:
        cluster("delete", f"validatingadmissionpolicybinding/{name}", f"validatingadmissionpolicy/{name}")


def test_an_edited_schedule_acts_without_a_nudge_within_two_minutes(
    unaided: Kubectl, capsys: pytest.CaptureFixture[str]
) -> None:
    console, run = Console(unaided), uuid4().hex
    since = console.redis_time()
    unaided.apply(every_second(run, "unaided"))
    took = first_of(console, run, "unaided", UNAIDED + 30) - since
    with capsys.disabled():
        sys.stdout.write(f"\nseconds from kubectl apply of a Schedule to its first task, without a nudge: {took:.1f}\n")
    assert took < UNAIDED
    index = json.loads((unaided.get("configmap", "default-config-index") or {})["data"]["index.json"])
    told = [
        pod["metadata"].get("annotations", {}).get("umbel.dev/config-serial") for pod in unaided.list_all("pods", BEATS)
    ]
    assert str(index["serial"]) not in told, "it was nudged"
    assert (unaided.condition("broker", "default", "Ready"))["status"] == "True"
