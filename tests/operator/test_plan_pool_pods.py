"""The planner of WorkerPools: what it makes of pods that fall, wait, or start."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from tests.operator.pools import working
from tests.operator.resources import (
    NOW,
    live_pod,
    message,
    reasons,
    stamp,
)

from umbel_operator.plan.pool import plan_pool


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
