"""The planner of WorkerPools: which objects it applies and deletes, and what it does about those that were refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.operator.pools import DEPLOYMENT, built, failed, working
from tests.operator.resources import (
    broker,
    condition,
    live_deployment,
    message,
    pool,
    queue,
    ready_broker,
    reasons,
    state,
)

from umbel_operator.build.canonical import short_hash
from umbel_operator.build.disruption import build_disruption_budget
from umbel_operator.build.monitors import build_worker_monitor
from umbel_operator.build.networkpolicy import build_worker_network_policy
from umbel_operator.build.settings import Monitors, Settings
from umbel_operator.plan.model import Apply, Delete, Failure, Patch, Ref
from umbel_operator.plan.pool import plan_pool


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
