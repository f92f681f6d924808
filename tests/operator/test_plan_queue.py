"""The planner of TaskQueues: conditions by a table of states, numbers, and deletion that waits."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from tests.operator.resources import (
    NOW,
    broker,
    condition,
    message,
    pool,
    queue,
    ready_broker,
    reasons,
    rendered,
    sample,
    stamp,
    state,
)

from umbel_operator.api.conditions import CONDITIONS, Condition, Meaning, Reason
from umbel_operator.api.gaps import GAPS, Gap
from umbel_operator.build.entries import queue_entry
from umbel_operator.plan.model import Patch, Ref, State
from umbel_operator.plan.queue import plan_queue
from umbel_operator.plan.sample import Sample

NUMBERS = {"ready": 7, "delayed": 1, "inFlight": 2, "dead": 3, "oldestAgeSeconds": 40}
REFUSAL = [{"kind": "TaskQueue", "name": "mail", "uid": "uid-mail", "reason": "Broken", "message": "no"}]


def loaded(made: Any = None, *others: Any, **more: Any) -> State[Any]:
    """Return the state of a queue whose settings beat works with."""
    made = made or queue()
    changes: dict[str, Any] = {"sample": sample(100), "rendered": rendered(made, serial=100), **more}
    return state(made, ready_broker(), *others, **changes)


OLDER = queue("first", meta={"creationTimestamp": "2025-01-01T00:00:00Z"}, queueName="mail")
TWIN = queue("twin", meta={"uid": "a-lower-uid"}, queueName="mail")

FORWARD = {"policy": "Forward", "queueRef": {"name": "graveyard"}}

CASES: dict[str, tuple[State[Any], dict[str, str]]] = {
    "ready and served": (
        loaded(queue(), pool()),
        {"Ready": "Ready", "Accepted": "Accepted", "Consumed": "ConsumersPresent"},
    ),
    "no broker": (state(queue()), {"Ready": "BrokerNotFound"}),
    "broker never looked at": (state(queue(), broker()), {"Ready": "BrokerNotReady"}),
    "broker not ready": (
        state(queue(), broker(status={"conditions": [condition("Ready", "False", "AuthFailed")]})),
        {"Ready": "BrokerNotReady"},
    ),
    "an older queue has the name": (loaded(queue(), OLDER), {"Ready": "NameConflict"}),
    "a queue as old with a lower uid has the name": (loaded(queue(), TWIN), {"Ready": "NameConflict"}),
    "the older queue keeps the name": (
        loaded(OLDER, queue()),
        {"Ready": "Ready"},
    ),
    "not rendered yet": (loaded(rendered=rendered(serial=100)), {"Ready": "ConfigPending"}),
    "an older generation is rendered": (
        loaded(queue(meta={"generation": 2}), rendered=rendered(queue())),
        {"Ready": "ConfigPending"},
    ),
    "rendered, not loaded": (loaded(sample=sample(99)), {"Ready": "ConfigPending"}),
    "rendered, beat never answered": (loaded(sample=None), {"Ready": "ConfigPending"}),
    "loaded before, and another edit is on its way": (
        loaded(queue(status={"conditions": [condition("Ready", "True", "Ready")]}), sample=sample(99)),
        {"Ready": "Ready"},
    ),
    "loaded before, in an older generation": (
        loaded(
            queue(meta={"generation": 2}, status={"conditions": [condition("Ready", "True", "Ready")]}),
            sample=sample(99),
        ),
        {"Ready": "ConfigPending"},
    ),
    "refused by beat": (loaded(sample=sample(100, loadErrors=REFUSAL)), {"Ready": "ConfigPending"}),
    "no pool": (loaded(), {"Consumed": "NoWorkerPool"}),
    "pool of another queue": (loaded(queue(), pool(queues=[{"name": "other"}])), {"Consumed": "NoWorkerPool"}),
    "pool of another broker": (loaded(queue(), pool(brokerRef={"name": "other"})), {"Consumed": "NoWorkerPool"}),
    "all pools suspended": (loaded(queue(), pool(suspend=True)), {"Consumed": "AllPoolsSuspended"}),
    "one pool of two works": (
        loaded(queue(), pool(suspend=True), pool("other")),
        {"Consumed": "ConsumersPresent"},
    ),
    "held": (loaded(queue(dispatch="Held"), pool()), {"Consumed": "Held", "Ready": "Ready"}),
    "forwards to a queue that is not there": (
        loaded(queue(deadLetter=FORWARD)),
        {"Accepted": "QueueNotFound", "Ready": "Ready"},
    ),
    "forwards to a queue of another broker": (
        loaded(queue(deadLetter=FORWARD), queue("graveyard", brokerRef={"name": "other"})),
        {"Accepted": "QueueOtherBroker", "Ready": "Ready"},
    ),
    "forwards": (loaded(queue(deadLetter=FORWARD), queue("graveyard")), {"Accepted": "Accepted", "Ready": "Ready"}),
    "waits until it is empty": (
        loaded(
            queue(
                meta={
                    "deletionTimestamp": stamp(NOW - timedelta(seconds=60)),
                    "finalizers": ["umbel.dev/queue"],
                },
                deletionPolicy="WaitUntilEmpty",
            ),
            sample=sample(100, queues={"mail": NUMBERS}),
        ),
        {"Draining": "WaitingUntilEmpty"},
    ),
    "waits until it is purged": (
        loaded(
            queue(
                meta={
                    "deletionTimestamp": stamp(NOW - timedelta(seconds=60)),
                    "finalizers": ["umbel.dev/queue"],
                },
                deletionPolicy="Purge",
            ),
            sample=sample(100, queues={"mail": {**NUMBERS, "purged": "uid-of-another"}}),
        ),
        {"Draining": "Purging"},
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_conditions(case: str) -> None:
    given, expected = CASES[case]
    found = reasons(plan_queue(given).status)
    assert {type: found.get(type) for type in expected} == expected


def test_what_is_not_acted_on_is_said_in_a_condition_and_an_event(monkeypatch: pytest.MonkeyPatch) -> None:
    gap = Gap("spec.maxLength", "the queue grows", lambda spec: spec.max_length is not None)
    monkeypatch.setitem(GAPS, "TaskQueue", (gap,))
    monkeypatch.setitem(
        CONDITIONS["TaskQueue"][Condition.ACCEPTED], Reason.NOT_YET_SUPPORTED, Meaning("False", "Something is not.")
    )
    assert reasons(plan_queue(loaded()).status)["Accepted"] == "Accepted"
    plan = plan_queue(loaded(queue(maxLength=9, overflowPolicy="Reject")))
    assert message(plan.status, "Accepted") == "spec.maxLength is not acted on yet: the queue grows"
    assert [(event.type, event.reason) for event in plan.events] == [("Warning", "NotYetSupported")]


@pytest.mark.parametrize("spec", [{"rateLimit": {"tasks": 1}}, {"maxLength": 9, "overflowPolicy": "DropOldest"}])
def test_bounds_and_limits_are_acted_on(spec: dict[str, Any]) -> None:
    assert reasons(plan_queue(loaded(queue(**spec))).status)["Accepted"] == "Accepted"


def test_draining_is_absent_from_a_queue_that_stays() -> None:
    assert "Draining" not in reasons(plan_queue(loaded()).status)


def test_messages_say_what_to_do() -> None:
    assert 'TaskQueue "first" is older and has the queueName "mail"' in message(
        plan_queue(loaded(queue(), OLDER)).status, "Ready"
    )
    assert "kind: Broker" in message(plan_queue(state(queue())).status, "Ready")
    refused = plan_queue(loaded(sample=sample(100, loadErrors=REFUSAL)))
    assert message(refused.status, "Ready") == "beat refuses these settings: Broken: no"


def test_status_of_a_queue() -> None:
    given = loaded(queue(queueName="mail-out"), pool(), sample=sample(queues={"mail-out": NUMBERS}))
    status = dict(plan_queue(given).status or {})
    del status["conditions"]
    assert status == {
        "observedGeneration": 1,
        "queueName": "mail-out",
        "readyTasks": 7,
        "inFlightTasks": 2,
        "deadLetterTasks": 3,
        "oldestTaskAgeSeconds": 40,
        "sampleTime": stamp(NOW - timedelta(seconds=1)),
        "workerPools": 1,
    }


def numbers(ready: int, seconds_ago: float) -> dict[str, Any]:
    return {
        "readyTasks": ready,
        "inFlightTasks": 2,
        "deadLetterTasks": 3,
        "oldestTaskAgeSeconds": 40,
        "sampleTime": stamp(NOW - timedelta(seconds=seconds_ago)),
    }


@pytest.mark.parametrize(
    ("before", "found", "ready"),
    [
        ({}, sample(queues={"mail": NUMBERS}), 7),
        (numbers(5, 20), sample(queues={"mail": NUMBERS}), 5),
        (numbers(5, 40), sample(queues={"mail": NUMBERS}), 7),
        (numbers(5, -3600), sample(queues={"mail": NUMBERS}), 7),
        (numbers(5, 40), Sample(NOW, failed_polls=3, queues={"mail": NUMBERS}), 5),
        (numbers(5, 40), sample(queues={}), 5),
        (numbers(5, 40), None, 5),
        ({}, None, None),
    ],
    ids=["first", "too soon", "due", "from the future", "stale", "queue unknown to beat", "no sample", "nothing known"],
)
def test_numbers_are_written_at_most_each_half_minute(before: dict[str, Any], found: Any, ready: int | None) -> None:
    status = plan_queue(loaded(queue(status=before), sample=found)).status
    assert status is not None
    assert status.get("readyTasks") == ready
    assert ("sampleTime" in status) == (ready is not None)


@pytest.mark.parametrize(("age", "fresh"), [(300, False), (700, True)], ids=["kept", "refreshed"])
def test_numbers_that_stay_the_same_are_seldom_written(age: float, fresh: bool) -> None:
    before = numbers(7, age)
    status = plan_queue(loaded(queue(status=before), sample=sample(queues={"mail": NUMBERS}))).status
    assert status is not None
    assert (status["sampleTime"] != before["sampleTime"]) is fresh


FINALIZER = ["umbel.dev/queue"]
REF = Ref("umbel.dev/v1alpha1", "TaskQueue", "shop", "mail")


@pytest.mark.parametrize("policy", ["WaitUntilEmpty", "Purge"])
def test_the_finalizer_is_set_only_where_deletion_waits(policy: str) -> None:
    plan = plan_queue(loaded(queue(deletionPolicy=policy)))
    assert plan.actions == (Patch(REF, {"metadata": {"finalizers": FINALIZER, "resourceVersion": "7"}}),)
    assert plan_queue(loaded()).actions == ()
    changed = plan_queue(loaded(queue(meta={"finalizers": ["other", *FINALIZER]})))
    assert changed.actions == (Patch(REF, {"metadata": {"finalizers": ["other"], "resourceVersion": "7"}}),)


def going(policy: str = "WaitUntilEmpty", ago: float = 60, **meta: Any) -> Any:
    gone = {"deletionTimestamp": stamp(NOW - timedelta(seconds=ago)), "finalizers": FINALIZER, **meta}
    return queue(meta=gone, deletionPolicy=policy)


EMPTY = {"ready": 0, "delayed": 0, "inFlight": 0, "dead": 9}


def sampled(**changes: Any) -> Sample:
    return sample(100, queues={"mail": {**EMPTY, **changes}})


@pytest.mark.parametrize(
    "given",
    [
        loaded(going(), sample=sampled(ready=1)),
        loaded(going(), sample=sampled(delayed=1)),
        loaded(going(), sample=sampled(inFlight=1)),
        loaded(going(), sample=sample(99, queues={"mail": EMPTY})),
        loaded(going(), sample=sample(100, queues={})),
        loaded(going(), sample=sample(100, seconds_ago=90, queues={"mail": EMPTY})),
        loaded(going(), sample=sampled(), rendered=rendered(serial=100)),
        loaded(going(ago=300), sample=None),
    ],
    ids=[
        "ready tasks",
        "delayed tasks",
        "running tasks",
        "intake not closed yet",
        "numbers unknown",
        "sample from before the deletion",
        "deletion not rendered yet",
        "beat silent for a while",
    ],
)
def test_deletion_waits(given: State[Any]) -> None:
    plan = plan_queue(given)
    assert plan.actions == ()
    assert reasons(plan.status)["Draining"] == "WaitingUntilEmpty"
    assert plan.requeue_after == 5.0


@pytest.mark.parametrize(
    "given",
    [
        loaded(going("Purge"), sample=sampled()),
        loaded(going("Purge"), sample=sampled(purged="uid-of-another")),
        loaded(going("Purge"), sample=sample(100, queues={})),
        loaded(going("Purge", ago=300), sample=None),
    ],
    ids=[
        "empty, but not purged",
        "another of that name was purged",
        "queue unknown to beat",
        "beat silent for a while",
    ],
)
def test_deletion_waits_for_the_purge(given: State[Any]) -> None:
    plan = plan_queue(given)
    assert plan.actions == ()
    assert reasons(plan.status)["Draining"] == "Purging"
    assert "umbel.dev/force-delete=true" in message(plan.status, "Draining")
    assert plan.requeue_after == 5.0


def test_what_is_to_be_purged_is_told_to_beat_with_its_uid() -> None:
    assert queue_entry(going("Purge"), {}).body["purge"] == "uid-mail"
    assert queue_entry(going("Purge"), {}).body["settings"]["intake"] == "Reject"
    for other in (queue(deletionPolicy="Purge"), going("WaitUntilEmpty"), going("Retain")):
        assert "purge" not in queue_entry(other, {}).body


OFF = Patch(REF, {"metadata": {"finalizers": [], "resourceVersion": "7"}})


@pytest.mark.parametrize(
    ("given", "events"),
    [
        (loaded(going(), sample=sampled()), []),
        (loaded(going(annotations={"umbel.dev/force-delete": "true"}), sample=sampled(ready=9)), []),
        (loaded(going(), sample=sampled(ready=9), terminating=True), []),
        (loaded(going("Retain"), sample=sampled(ready=9)), []),
        (loaded(going(), OLDER, sample=sampled(ready=9)), []),
        (state(going()), ["DrainTimeout"]),
        (loaded(going(), sample=sample(100, loadErrors=REFUSAL, queues={"mail": EMPTY})), ["DrainTimeout"]),
        (loaded(going(ago=700), sample=None), ["DrainTimeout"]),
        (loaded(going(ago=700), sample=sample(100, seconds_ago=650, queues={})), ["DrainTimeout"]),
        (loaded(going("Purge"), sample=sampled(ready=9, purged="uid-mail")), []),
        (loaded(going("Purge", annotations={"umbel.dev/force-delete": "true"}), sample=sampled(ready=9)), []),
        (loaded(going("Purge"), sample=sampled(ready=9), terminating=True), []),
        (loaded(going("Purge"), OLDER, sample=sampled(ready=9)), []),
        (state(going("Purge")), ["DrainTimeout"]),
        (loaded(going("Purge", ago=700), sample=None), ["DrainTimeout"]),
    ],
    ids=[
        "empty",
        "forced",
        "namespace goes",
        "policy changed meanwhile",
        "the name is another queue's",
        "broker gone",
        "beat refuses it",
        "beat never answered for ten minutes",
        "beat silent for ten minutes",
        "purged",
        "purge forced",
        "purge, and the namespace goes",
        "purge, and the name is another queue's",
        "purge, and the Broker is gone",
        "purge, and beat never answered for ten minutes",
    ],
)
def test_deletion_goes_on(given: State[Any], events: list[str]) -> None:
    plan = plan_queue(given)
    assert plan.actions == (OFF,)
    assert [event.reason for event in plan.events] == events
    assert plan.status is None
