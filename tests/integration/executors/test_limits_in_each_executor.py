"""Limits, and tasks that are told to end: each executor ends the one that is meant, and charges no other."""

from __future__ import annotations

import pytest
from tests.integration.executors.conftest import Bench
from tests.workers import until

from umbel.errors import TaskRevokedError, TimeLimitExceeded

UNCHARGED = {"lost": 0, "suspect": 0, "requeues": 0}


def test_a_soft_limit_is_raised_in_the_task(bench: Bench) -> None:
    assert bench.claim("Soft limit: `SoftTimeLimitExceeded` is raised in the task") == "yes"
    assert (
        bench.send("asked_to_end", str(bench.folder)).get(timeout=20) == "asked: the soft time limit of 0.3 s is over"
    )
    assert bench.send("add", 1, 1).get(timeout=20) == 2


def test_a_hard_limit_ends_the_task_and_leaves_the_one_beside_it_alone(bench: Bench) -> None:
    # Given a task that waits, and beside it one that runs into its limit
    beside = bench.hold("beside")
    doomed = bench.hold("doomed", "hold", time_limit=1.0)
    with pytest.raises(TimeLimitExceeded, match="limit of 1 s"):
        doomed.get(timeout=20)
    assert doomed.state == "FAILURE"
    # Then the other one was not disturbed
    bench.go()
    assert beside.get(timeout=20) == {"attempt": 0, **UNCHARGED}
    # And where the process lives on, the task had the time to tidy up
    tidied_up = bench.claim("Hard limit and `revoke(terminate=True)`: `finally` blocks run") == "yes"
    assert (bench.notes("left") == ["doomed"]) is tidied_up
    assert bench.notes("ran") == []


def test_a_hard_limit_also_ends_what_cannot_be_interrupted(bench: Bench) -> None:
    assert bench.claim("Hard limit and `revoke(terminate=True)`: end what blocks in C code") == "yes"
    beside = bench.hold("beside")
    doomed = bench.hold("doomed", "block", time_limit=1.0)
    with pytest.raises(TimeLimitExceeded, match="limit of 1 s"):
        doomed.get(timeout=20)
    # Then what ran in the same process runs again, without a charge
    bench.go()
    again = bench.claim("What runs beside a task that had to be killed") == "runs again"
    assert beside.get(timeout=20) == {"attempt": int(again), **UNCHARGED}
    assert bench.notes("began") == ["doomed"]


def test_a_running_task_can_be_terminated(bench: Bench) -> None:
    beside = bench.hold("beside")
    doomed = bench.hold("doomed", "hold")
    doomed.revoke(terminate=True)
    with pytest.raises(TaskRevokedError, match="terminated"):
        doomed.get(timeout=20)
    assert doomed.state == "REVOKED"
    bench.go()
    assert beside.get(timeout=20) == {"attempt": 0, **UNCHARGED}
    assert bench.notes("ran") == []


def test_what_cannot_be_interrupted_can_be_terminated(bench: Bench) -> None:
    beside = bench.hold("beside")
    doomed = bench.hold("doomed", "block")
    doomed.revoke(terminate=True)
    with pytest.raises(TaskRevokedError, match="terminated"):
        doomed.get(timeout=20)
    bench.go()
    again = bench.claim("What runs beside a task that had to be killed") == "runs again"
    assert beside.get(timeout=20) == {"attempt": int(again), **UNCHARGED}


def test_a_revoked_task_does_not_start(bench: Bench) -> None:
    # Given a worker that knows a task is revoked before it can be fetched
    result = bench.send("hold", "revoked", str(bench.folder), countdown=2.0)
    result.revoke()
    with pytest.raises(TaskRevokedError, match="revoked"):
        result.get(timeout=20)
    until(lambda: bench.app.broker.info("default").in_flight == 0, "it is acknowledged")
    assert bench.notes("began") == []
