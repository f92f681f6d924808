"""The planner of WorkerPools: every condition and reason by a table of states, and what is done."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
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

from umbel_operator.api.workerpool import WorkerPool
from umbel_operator.build.canonical import short_hash
from umbel_operator.build.deployment import build_worker_deployment
from umbel_operator.build.disruption import build_disruption_budget
from umbel_operator.build.monitors import build_worker_monitor
from umbel_operator.build.networkpolicy import build_worker_network_policy
from umbel_operator.build.settings import Monitors, Settings
from umbel_operator.plan.model import Apply, Delete, Failure, Patch, Ref, State
from umbel_operator.plan.pool import plan_pool

DEPLOYMENT = Ref("apps/v1", "Deployment", "shop", "mailers-worker")
IMAGE = {"reason": "ImagePullBackOff", "message": "Back-off pulling image"}


def built(made: WorkerPool) -> dict[str, Any]:
    return build_worker_deployment(made, broker(), [("mail", 1)])


def working(
    made: WorkerPool | None = None, *others: Any, live: dict[str, Any] | None = None, **more: Any
) -> State[Any]:
    """Return the state of a pool whose Deployment is rolled out, unless `live` changes it."""
    made = made or pool()
    deployment = live_deployment(built(made), **(live or {}))
    return state(made, ready_broker(), queue(), *others, children=[deployment], **more)


def failed(reason: Any, generation: int = 1) -> tuple[Failure, ...]:
    return (Failure(DEPLOYMENT, reason, "the API server said so", generation),)


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


def crashing(state: Mapping[str, Any], *, ready: bool = False, ran: float = 2, restarts: int = 4) -> dict[str, Any]:
    """Return a pod whose last life was `ran` seconds long and ended half a minute ago."""
    ended = {"exitCode": 1, "reason": "Error", "startedAt": ago(30 + ran), "finishedAt": ago(30)}
    made = live_pod(last={"terminated": ended})
    made["status"]["containerStatuses"][0] |= {"state": state, "ready": ready, "restartCount": restarts}
    return made


def ago(seconds: float) -> str:
    return stamp(NOW - timedelta(seconds=seconds))


def test_a_crash_loop_is_told_once_whatever_moment_of_it_one_sees() -> None:
    """Given a worker that falls soon after each start, be it ready for that moment or not, then its pool is not available all the
    time, in the same words."""
    up = {"running": {"startedAt": ago(2)}}
    moments: list[tuple[dict[str, Any], dict[str, Any]]] = [
        ({"available": 0}, crashing({"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 40s"}})),
        ({"available": 0}, crashing(up)),
        ({}, crashing(up, ready=True)),
        ({"available": 0}, crashing({"terminated": {"exitCode": 1, "reason": "Error"}})),
    ]
    told = set()
    for live, pod in moments:
        status = plan_pool(working(live=live, pods=(pod,))).status
        told.add((reasons(status)["Available"], message(status, "Available")))
        assert reasons(status)["Ready"] == "MinimumReplicasUnavailable"
    assert len(told) == 1
    ((reason, text),) = told
    assert reason == "MinimumReplicasUnavailable"
    assert text.startswith(
        "0 of 1 workers are available; pod p-1, container worker: exits with code 1 and is restarted"
    )


@pytest.mark.parametrize(
    ("pod", "available"),
    [
        (crashing({"running": {"startedAt": ago(61)}}, ready=True), True),
        (crashing({"running": {"startedAt": ago(2)}}, ready=True, ran=600), True),
        (crashing({"running": {"startedAt": ago(2)}}, ready=True, restarts=1), True),
        (crashing({"running": {"startedAt": "soon"}}, ready=True), True),
        (crashing({"running": {"startedAt": ago(2)}}, ready=True), False),
        (crashing({"running": {"startedAt": ago(-300)}}, ready=True), False),
    ],
    ids=["runs for a minute", "fell once in ten minutes", "was killed once", "unreadable", "crashes", "clock ahead"],
)
def test_when_a_worker_that_fell_counts_again(pod: dict[str, Any], available: bool) -> None:
    plan = plan_pool(working(pods=(pod,)))
    assert (reasons(plan.status)["Available"] == "MinimumReplicasAvailable") is available
    assert (plan.requeue_after is not None) is not available
    if plan.requeue_after is not None:
        assert 0 < plan.requeue_after <= 60


def test_the_attempts_at_a_pull_and_the_waits_between_are_told_as_one() -> None:
    """Given an image that cannot be pulled, then its message does not change for as long as that lasts."""
    texts = {
        message(plan_pool(working(live={"available": 0}, pods=(live_pod(waiting={"reason": reason}),))).status, "Ready")
        for reason in ("ErrImagePull", "ImagePullBackOff")
    }
    assert len(texts) == 1


def test_pods_that_are_only_starting_are_no_trouble() -> None:
    starting = live_pod(waiting={"reason": "ContainerCreating"})
    given = working(live={"available": 0}, pods=(starting,))
    assert message(plan_pool(given).status, "Available") == "0 of 1 workers are available"


def test_a_pool_is_applied_with_its_budget() -> None:
    made = pool(disruption={"maxUnavailable": 1})
    actions = plan_pool(state(made, ready_broker(), queue())).actions
    assert [type(action).__name__ for action in actions] == ["Apply", "Apply"]
    deployment, budget = actions
    assert isinstance(deployment, Apply)
    assert deployment.manifest == built(made)
    assert deployment.event is not None
    assert deployment.event.message == 'applied Deployment "mailers-worker": 1 replicas of shop:1'
    assert isinstance(budget, Apply)
    assert budget.manifest == build_disruption_budget(made)


def test_a_budget_that_is_no_longer_wanted_is_deleted() -> None:
    old = build_disruption_budget(pool(disruption={"maxUnavailable": 1}))
    assert old is not None
    live = {**old, "metadata": {**old["metadata"], "uid": "uid-budget"}}
    plan = plan_pool(state(pool(), ready_broker(), queue(), children=[live]))
    assert Delete(Ref("policy/v1", "PodDisruptionBudget", "shop", "mailers-worker"), "uid-budget") in plan.actions


def test_the_security_context_of_the_installation_reaches_the_pods() -> None:
    settings = Settings(beat_image="umbel:1", worker_security_context={"readOnlyRootFilesystem": True})
    (applied,) = plan_pool(replace(state(pool(), ready_broker(), queue()), settings=settings)).actions
    assert isinstance(applied, Apply)
    (container,) = applied.manifest["spec"]["template"]["spec"]["containers"]
    assert container["securityContext"]["readOnlyRootFilesystem"] is True


GUARDED = Settings(beat_image="umbel:1", network_policies=True, monitors=Monitors())
MONITOR = Ref("monitoring.coreos.com/v1", "PodMonitor", "shop", "mailers-worker")


def test_a_pool_is_applied_with_its_policy_and_monitor_where_the_installation_asks_for_them() -> None:
    given = replace(state(pool(), ready_broker(), queue()), settings=GUARDED)
    kinds = [action.ref.kind for action in plan_pool(given).actions if isinstance(action, Apply)]
    assert kinds == ["Deployment", "NetworkPolicy", "PodMonitor"]


def test_a_policy_and_a_monitor_that_are_no_longer_wanted_are_deleted() -> None:
    live = []
    for built_ in (build_worker_network_policy(pool(), GUARDED), build_worker_monitor(pool(), GUARDED)):
        assert built_ is not None
        live.append({**built_, "metadata": {**built_["metadata"], "uid": f"uid-{built_['kind']}"}})
    plan = plan_pool(state(pool(), ready_broker(), queue(), children=live))
    policy = Ref("networking.k8s.io/v1", "NetworkPolicy", "shop", "mailers-worker")
    deleted = [action for action in plan.actions if isinstance(action, Delete)]
    assert deleted == [Delete(policy, "uid-NetworkPolicy"), Delete(MONITOR, "uid-PodMonitor")]


@pytest.mark.parametrize("reason", ["ResourceConflict", "TemplateInvalid", "Forbidden", "Unavailable"])
def test_a_monitor_that_cannot_be_made_is_no_trouble_of_the_pool(reason: Any) -> None:
    """Given a pool that works, when its monitor is refused, then its conditions are those of a pool without one."""
    failure = Failure(MONITOR, reason, "the API server said so", 1)
    given = replace(working(failures=(failure,)), settings=GUARDED)
    assert reasons(plan_pool(given).status) == reasons(plan_pool(working()).status)
    sent = [action.ref for action in plan_pool(given).actions if isinstance(action, Apply)]
    assert (MONITOR in sent) == (reason != "TemplateInvalid")


def test_what_was_refused_for_good_is_sent_again_once_the_broker_has_changed_it() -> None:
    refused = next(a.manifest for a in plan_pool(state(pool(), queue(), broker())).actions if isinstance(a, Apply))
    failures = (Failure(DEPLOYMENT, "TemplateInvalid", "the API server said so", 1, short_hash(refused)),)
    assert plan_pool(state(pool(), queue(), broker(), failures=failures)).actions == ()
    moved = broker(connection={"addresses": ["redis-2:6379"]})
    assert [a.ref for a in plan_pool(state(pool(), queue(), moved, failures=failures)).actions] == [DEPLOYMENT]


def test_what_was_refused_for_good_is_not_sent_again() -> None:
    assert plan_pool(working(failures=failed("TemplateInvalid"))).actions == ()
    assert len(plan_pool(working(pool(meta={"generation": 2}), failures=failed("TemplateInvalid", 1))).actions) == 1


@pytest.mark.parametrize("reason", ["ResourceConflict", "QuotaExceeded", "Forbidden", "Unavailable"])
def test_what_may_be_cured_is_tried_again(reason: str) -> None:
    assert len(plan_pool(working(failures=failed(reason))).actions) == 1


def test_without_any_queue_no_worker_runs() -> None:
    live = live_deployment(built(pool()))
    plan = plan_pool(state(pool(), ready_broker(), children=[live]))
    assert plan.actions == (Patch(DEPLOYMENT, {"spec": {"replicas": 0}}),)


def test_no_worker_is_sent_to_the_keys_of_another_broker() -> None:
    loser = broker(status={"conditions": [condition("Ready", "False", "NameConflict", "Broker a/b is older")]})
    plan = plan_pool(state(pool(), queue(), loser))
    assert plan.actions == ()
    assert reasons(plan.status)["Ready"] == "BrokerNotReady"
    assert "NameConflict: Broker a/b is older" in message(plan.status, "Ready")


def test_without_its_broker_what_runs_is_left_alone() -> None:
    live = live_deployment(built(pool()))
    plan = plan_pool(state(pool(), queue(), children=[live]))
    assert plan.actions == ()
    assert reasons(plan.status)["Available"] == "MinimumReplicasAvailable"


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
