"""The planner of WorkerPools: every condition and reason by a table of states, and what is told."""

from __future__ import annotations

from typing import Any

import pytest
from tests.operator.pools import IMAGE, failed, working
from tests.operator.resources import (
    NOW,
    broker,
    condition,
    live_deployment,
    live_pod,
    message,
    pool,
    queue,
    ready_broker,
    reasons,
    sample,
    stamp,
    state,
)

from umbel_operator.build.deployment import build_worker_deployment
from umbel_operator.plan.model import State
from umbel_operator.plan.pool import plan_pool

OTHERS = queue("foreign", brokerRef={"name": "other"})
NO_BUDGET = {"conditions": [("ReplicaFailure", "True", "FailedCreate", "pods is forbidden: exceeded quota: small")]}
REFUSED = {"conditions": [("ReplicaFailure", "True", "FailedCreate", "violates PodSecurity restricted")]}
LATE = {
    "available": 0,
    "conditions": [("Progressing", "False", "ProgressDeadlineExceeded", "has timed out progressing.")],
}

CASES: dict[str, tuple[State[Any], dict[str, str]]] = {
    "rolled out": (
        working(),
        {
            "Ready": "Ready",
            "Accepted": "Accepted",
            "Available": "MinimumReplicasAvailable",
            "Progressing": "RolloutComplete",
            "QueuesResolved": "Resolved",
            "ScalingActive": "Fixed",
        },
    ),
    "just created": (
        state(pool(), ready_broker(), queue()),
        {"Ready": "MinimumReplicasUnavailable", "Progressing": "RolloutInProgress"},
    ),
    "pods are starting": (
        working(live={"available": 0, "ready": 0}),
        {"Ready": "MinimumReplicasUnavailable", "Available": "MinimumReplicasUnavailable"},
    ),
    "new pods are not all there, old ones suffice": (
        working(live={"updated": 0}),
        {"Ready": "Ready", "Progressing": "RolloutInProgress"},
    ),
    "the deployment controller has not looked yet": (
        working(live={"observed": 0}),
        {"Progressing": "RolloutInProgress", "Available": "MinimumReplicasUnavailable"},
    ),
    "suspended": (
        working(pool(suspend=True)),
        {"Ready": "Suspended", "Available": "Suspended", "ScalingActive": "Suspended"},
    ),
    "no replicas": (working(pool(replicas=0)), {"Ready": "ScaledToZero", "Available": "ScaledToZero"}),
    "external scaler": (working(pool(autoscaling={"type": "External"})), {"ScalingActive": "External"}),
    "no broker": (
        state(pool(), queue()),
        {"Ready": "BrokerNotFound", "Progressing": "BrokerNotFound", "QueuesResolved": "Resolved"},
    ),
    "broker with the keys of another": (
        state(pool(), queue(), broker(status={"conditions": [condition("Ready", "False", "NameConflict")]})),
        {"Ready": "BrokerNotReady", "Progressing": "BrokerNotReady"},
    ),
    "one queue missing": (
        state(pool(queues=[{"name": "mail"}, {"name": "gone"}]), ready_broker(), queue()),
        {"Ready": "QueueNotFound", "QueuesResolved": "QueueNotFound", "Progressing": "RolloutInProgress"},
    ),
    "all queues missing": (
        state(pool(), ready_broker()),
        {"Ready": "QueueNotFound", "QueuesResolved": "QueueNotFound", "Progressing": "QueueNotFound"},
    ),
    "one queue of another broker": (
        state(pool(queues=[{"name": "mail"}, {"name": "foreign"}]), ready_broker(), queue(), OTHERS),
        {"Ready": "QueueOtherBroker", "QueuesResolved": "QueueOtherBroker"},
    ),
    "all queues of another broker": (
        state(pool(queues=[{"name": "foreign"}]), ready_broker(), OTHERS),
        {"Ready": "QueueOtherBroker", "Progressing": "QueueOtherBroker"},
    ),
    "template that cannot be merged": (
        state(pool(template={"spec": {"restartPolicy": "Never"}}), ready_broker(), queue()),
        {"Ready": "TemplateInvalid", "Progressing": "TemplateInvalid"},
    ),
    "refused by the API server while old workers run": (
        working(failures=failed("TemplateInvalid")),
        {"Ready": "TemplateInvalid", "Progressing": "TemplateInvalid", "Available": "MinimumReplicasAvailable"},
    ),
    "refused in an earlier generation": (
        working(pool(meta={"generation": 2}), failures=failed("TemplateInvalid", generation=1)),
        {"Ready": "Ready", "Progressing": "RolloutComplete"},
    ),
    "denied by an admission webhook": (working(failures=failed("Forbidden")), {"Ready": "TemplateInvalid"}),
    "pods refused": (working(live=REFUSED), {"Ready": "TemplateInvalid", "Progressing": "TemplateInvalid"}),
    "foreign object in the way": (
        state(pool(), ready_broker(), queue(), failures=failed("ResourceConflict")),
        {"Ready": "ResourceConflict", "Progressing": "ResourceConflict"},
    ),
    "deployment over quota": (
        state(pool(), ready_broker(), queue(), failures=failed("QuotaExceeded")),
        {"Ready": "QuotaExceeded", "Progressing": "QuotaExceeded"},
    ),
    "pods over quota": (
        working(live={"available": 0, **NO_BUDGET}),
        {"Ready": "QuotaExceeded", "Progressing": "QuotaExceeded"},
    ),
    "API server away for a moment": (working(failures=failed("Unavailable")), {"Ready": "Ready"}),
    "image cannot be pulled": (
        working(live={"available": 0}, pods=(live_pod(waiting=IMAGE),)),
        {"Ready": "ImagePullFailing", "Progressing": "ImagePullFailing", "Available": "MinimumReplicasUnavailable"},
    ),
    "new image cannot be pulled, old workers suffice": (
        working(live={"updated": 0}, pods=(live_pod(waiting=IMAGE),)),
        {"Ready": "Ready", "Progressing": "ImagePullFailing"},
    ),
    "a leaving pod's image does not matter": (
        working(pods=(live_pod(waiting=IMAGE, deletionTimestamp=stamp(NOW)),)),
        {"Progressing": "RolloutComplete"},
    ),
    "rollout without progress": (
        working(live=LATE),
        {"Ready": "ProgressDeadlineExceeded", "Progressing": "ProgressDeadlineExceeded"},
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_conditions(case: str) -> None:
    given, expected = CASES[case]
    found = reasons(plan_pool(given).status)
    assert {type: found.get(type) for type in expected} == expected


@pytest.mark.parametrize(
    ("given", "type", "words"),
    [
        (
            state(pool(), queue()),
            "Ready",
            'kind: Broker\nmetadata: {name: default, namespace: shop}\nspec: {connection: {addresses: ["redis:6379"]}}',
        ),
        (
            state(pool(queues=[{"name": "mail"}, {"name": "gone"}]), ready_broker(), queue()),
            "QueuesResolved",
            'no TaskQueue "gone" in namespace "shop": create it or correct spec.queues; served: mail',
        ),
        (
            working(live={"available": 0}, pods=(live_pod(waiting=IMAGE),)),
            "Ready",
            "pod p-1, container worker: image shop:1 cannot be pulled (ImagePullBackOff); correct the image",
        ),
        (
            working(
                live={"available": 0},
                pods=(
                    live_pod(
                        waiting={"reason": "CrashLoopBackOff", "message": "back-off 40s"},
                        last={"terminated": {"exitCode": 1, "reason": "Error"}},
                    ),
                ),
            ),
            "Available",
            "0 of 1 workers are available; pod p-1, container worker: exits with code 1 and is restarted; "
            "look at kubectl logs --previous",
        ),
        (
            working(
                live={"available": 0},
                pods=(live_pod(waiting={"reason": "CreateContainerConfigError", "message": 'secret "x" not found'}),),
            ),
            "Available",
            'CreateContainerConfigError: secret "x" not found',
        ),
        (
            working(
                live={"available": 0},
                pods=(
                    live_pod(
                        conditions=[
                            {"type": "PodScheduled", "reason": "Unschedulable", "message": "0/1 nodes are available"}
                        ]
                    ),
                ),
            ),
            "Available",
            "pod p-1 fits on no node: 0/1 nodes are available",
        ),
    ],
    ids=["no broker", "no queue", "image", "crash", "missing secret", "unschedulable"],
)
def test_messages_say_what_to_do(given: State[Any], type: str, words: str) -> None:
    assert words in message(plan_pool(given).status, type)


def test_a_pool_that_is_being_deleted_needs_nothing() -> None:
    plan = plan_pool(state(pool(meta={"deletionTimestamp": stamp(NOW)}), ready_broker(), queue()))
    assert (plan.actions, plan.status) == ((), None)


def test_status_of_a_pool_that_works() -> None:
    made = pool(queues=[{"name": "mail", "weight": 2}, {"name": "reports"}], replicas=2, meta={"generation": 4})
    deployment = build_worker_deployment(made, broker(), [("mail", 2), ("reports", 1)])
    given = state(
        made,
        ready_broker(),
        queue(),
        queue("reports"),
        children=[live_deployment(deployment)],
        sample=sample(pools={"mailers": {"busy": 3}}),
    )
    status = dict(plan_pool(given).status or {})
    del status["conditions"]
    assert status == {
        "observedGeneration": 4,
        "replicas": 2,
        "readyReplicas": 2,
        "updatedReplicas": 2,
        "availableReplicas": 2,
        "desiredReplicas": 2,
        "selector": "umbel.dev/pool=mailers,umbel.dev/component=worker",
        "templateHash": deployment["metadata"]["annotations"]["umbel.dev/template-hash"],
        "busySlots": 3,
        "queuesText": "mail=2,reports",
    }


def test_the_selector_is_there_from_the_first_look_on() -> None:
    status = plan_pool(state(pool(replicas=0))).status
    assert status is not None
    assert status["selector"] == "umbel.dev/pool=mailers,umbel.dev/component=worker"


@pytest.mark.parametrize(
    ("given", "seconds"),
    [(working(), None), (working(live={"updated": 0}), 5.0)],
    ids=["complete", "in progress"],
)
def test_when_to_look_again(given: State[Any], seconds: float | None) -> None:
    assert plan_pool(given).requeue_after == seconds


@pytest.mark.parametrize(
    ("before", "since"),
    [
        (condition("Ready", "True", "Ready", ago=500), 500),
        (condition("Ready", "True", "ScaledToZero", ago=500), 500),
        (condition("Ready", "False", "Suspended", ago=500), 0),
    ],
    ids=["the same", "another reason", "another status"],
)
def test_transition_times_move_with_the_status_only(before: dict[str, Any], since: int) -> None:
    made = pool(status={"conditions": [before]}, meta={"generation": 3})
    status = plan_pool(working(made)).status
    assert status is not None
    (ready,) = [entry for entry in status["conditions"] if entry["type"] == "Ready"]
    assert ready["observedGeneration"] == 3
    assert ready["lastTransitionTime"] == (before["lastTransitionTime"] if since else stamp(NOW))


def test_an_event_is_not_repeated_while_nothing_changes() -> None:
    first = plan_pool(working(failures=failed("TemplateInvalid")))
    assert "TemplateInvalid" in [event.reason for event in first.events]
    again = working(pool(status=dict(first.status or {})), failures=failed("TemplateInvalid"))
    second = plan_pool(again)
    assert second.events == ()
    assert second.status == first.status
