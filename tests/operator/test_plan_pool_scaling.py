"""What the built-in scaler does with a WorkerPool: its replicas, the marks on idle pods, the condition, the event."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from tests.operator.resources import (
    NOW,
    cron,
    live_pod,
    message,
    pool,
    queue,
    ready_broker,
    reasons,
    sample,
    schedule,
    stamp,
    state,
)

from umbel_operator.plan.model import Patch, Plan, State
from umbel_operator.plan.pool import plan_pool
from umbel_operator.plan.sample import Sample
from umbel_operator.plan.scaling import Memory

COST = "controller.kubernetes.io/pod-deletion-cost"


def scaled(replicas: int = 1, **queue_scaling: Any) -> Any:
    settings = {"minReplicas": 0, "maxReplicas": 10, "tasksPerReplica": 4, **queue_scaling}
    return pool(replicas=replicas, autoscaling={"type": "Queue", "queue": settings})


def load(tasks: int, *idle: str, **more: Any) -> Sample:
    return sample(pools={"mailers": {"load": tasks, "idlePods": list(idle)}}, **more)


def planned(made: Any, *others: Any, **changes: Any) -> Plan:
    return plan_pool(state(made, ready_broker(), queue(), *others, **changes))


def patches(plan: Plan) -> list[tuple[str, str, Any]]:
    return [(action.ref.kind, action.ref.name, action.body) for action in plan.actions if isinstance(action, Patch)]


def enough_for_long(pods: int) -> Memory:
    return Memory(wanted=((NOW - timedelta(seconds=100), pods),), idle_since=NOW - timedelta(seconds=3600))


CASES: dict[str, tuple[State[Any], dict[str, str]]] = {
    name: (state(made, ready_broker(), queue(), sample=found), {"ScalingActive": reason})
    for name, made, found, reason in (
        ("the load is followed", scaled(2), load(8), "Scaling"),
        ("the load asks for less than the least", scaled(2, minReplicas=2), load(0), "AtMinimum"),
        ("the load asks for more than the most", scaled(10), load(90), "AtMaximum"),
        ("the load is not known", scaled(3), None, "SampleStale"),
    )
}


@pytest.mark.parametrize("case", CASES)
def test_the_condition(case: str) -> None:
    given, expected = CASES[case]
    assert reasons(plan_pool(given).status)["ScalingActive"] == expected["ScalingActive"]


def test_more_load_asks_for_more_pods_through_the_scale_subresource() -> None:
    plan = planned(scaled(2), sample=load(20))
    (patch,) = [action for action in plan.actions if isinstance(action, Patch)]
    assert (patch.ref.kind, patch.subresource, patch.body) == ("WorkerPool", "scale", {"spec": {"replicas": 5}})
    assert patch.event is not None
    assert (patch.event.reason, patch.event.message) == (
        "ScaledUp",
        "spec.replicas 2 -> 5: 20 tasks at 4 a pod ask for 5",
    )
    assert dict(plan.status or {})["lastScaleTime"] == stamp(NOW)
    assert reasons(plan.status)["ScalingActive"] == "Scaling"


def test_nothing_is_written_while_the_number_is_right() -> None:
    plan = planned(scaled(2), sample=load(8))
    assert patches(plan) == []
    assert "lastScaleTime" not in dict(plan.status or {})
    assert plan.requeue_after is not None
    assert plan.requeue_after <= 15.0
    assert plan.scaling is not None


def test_the_message_does_not_change_with_each_look() -> None:
    texts = {message(planned(scaled(2), sample=load(tasks)).status, "ScalingActive") for tasks in range(1, 30)}
    assert texts == {"the number of pods follows the load, from 0 to 10"}


def test_idle_pods_are_marked_before_some_go_and_busy_ones_lose_the_mark() -> None:
    pods = (
        live_pod("idle", uid="1"),
        live_pod("busy", uid="2", annotations={COST: "-100"}),
        live_pod("marked", uid="3", annotations={COST: "-100"}),
        live_pod("leaving", uid="4", deletionTimestamp=stamp(NOW)),
    )
    plan = planned(scaled(3), sample=load(4, "1", "3", "4"), pods=pods, scaling=enough_for_long(1))
    assert patches(plan) == [
        ("Pod", "idle", {"metadata": {"annotations": {COST: "-100"}}}),
        ("Pod", "busy", {"metadata": {"annotations": {COST: None}}}),
        ("WorkerPool", "mailers", {"spec": {"replicas": 1}}),
    ]


def test_a_pod_that_has_just_ended_its_task_goes_before_one_that_works() -> None:
    pods = (live_pod("works", uid="1"), live_pod("done", uid="2"), live_pod("idle", uid="3"))
    seen = sample(pools={"mailers": {"load": 4, "idlePods": ["3"], "freePods": ["2", "3"]}})
    assert patches(planned(scaled(3), sample=seen, pods=pods, scaling=enough_for_long(1)))[:-1] == [
        ("Pod", "done", {"metadata": {"annotations": {COST: "-50"}}}),
        ("Pod", "idle", {"metadata": {"annotations": {COST: "-100"}}}),
    ]


def test_the_last_pod_goes_when_nothing_is_left() -> None:
    plan = planned(scaled(1), sample=load(0), scaling=enough_for_long(0))
    assert patches(plan) == [("WorkerPool", "mailers", {"spec": {"replicas": 0}})]
    (patch,) = plan.actions[-1:]
    assert isinstance(patch, Patch)
    assert patch.event is not None
    assert patch.event.reason == "ScaledDown"


@pytest.mark.parametrize(
    ("spec", "due_in", "wakes"),
    [({}, 20, True), ({}, 300, False), ({"suspend": True}, 20, False), ({"queueRef": {"name": "other"}}, 20, False)],
    ids=["due soon", "due later", "suspended", "of another queue"],
)
def test_a_schedule_that_is_due_soon_wakes_the_pool(spec: dict[str, Any], due_in: float, wakes: bool) -> None:
    due = schedule("nightly", trigger=cron("0 3 * * *"), **spec)
    known = {due.uid: {"nextScheduleTime": stamp(NOW + timedelta(seconds=due_in))}}
    plan = planned(scaled(0), due, sample=load(0, schedules=known))
    assert patches(plan) == ([("WorkerPool", "mailers", {"spec": {"replicas": 1}})] if wakes else [])


@pytest.mark.parametrize(
    "given",
    [
        None,
        load(90, seconds_ago=46),
        sample(pools={"mailers": {"load": 90}}, redis={"ok": False}),
        sample(pools={}),
    ],
    ids=["never heard of", "too old", "without Redis", "another pool's"],
)
def test_a_load_that_is_not_known_holds_the_number(given: Sample | None) -> None:
    plan = planned(scaled(3), sample=given)
    assert patches(plan) == []
    assert reasons(plan.status)["ScalingActive"] == "SampleStale"


@pytest.mark.parametrize("other", [{"type": "External"}, {"type": "None"}])
def test_who_scales_by_other_means_is_left_alone(other: dict[str, Any]) -> None:
    plan = planned(pool(replicas=1, autoscaling=other), sample=load(90))
    assert patches(plan) == []
    assert plan.scaling is None


def test_a_suspended_pool_is_not_scaled() -> None:
    made = pool(replicas=1, suspend=True, autoscaling={"type": "Queue", "queue": {"minReplicas": 0, "maxReplicas": 10}})
    plan = planned(made, sample=load(90))
    assert patches(plan) == []
    assert reasons(plan.status)["ScalingActive"] == "Suspended"
