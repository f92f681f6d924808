"""What becomes of tasks whose process ends: asked to, in a hurry, or killed."""

from __future__ import annotations

import signal

import pytest
from tests.integration.executors.conftest import SLOTS, Bench
from tests.workers import until

from umbel.errors import WorkerLostError


@pytest.fixture
def kind(executor: str) -> str:
    """The kind that an executor is there for: what becomes of its process has nothing to do with the other one."""
    return "async" if executor == "asyncio" else "sync"


def test_sigterm_lets_what_runs_end_and_gives_back_what_has_not_begun(bench: Bench) -> None:
    # Given a busy worker
    running = [bench.hold(name) for name in "abc"]
    waiting = bench.send("charges", "waits", str(bench.folder))
    # When it is asked to end
    bench.worker.send(signal.SIGTERM)
    until(lambda: bench.worker.events("worker.draining"), "it drains")
    # Then it does when its tasks have ended, each of them once
    bench.go()
    assert [result.get(timeout=20)["attempt"] for result in running] == [0, 0, 0]
    assert bench.worker.process.wait(30) == 0
    # And what had not begun is there for another worker, without a charge
    assert bench.app.broker.info("default").ready == 1
    bench.another()
    assert waiting.get(timeout=20) == {"attempt": 0, "lost": 0, "suspect": 0, "requeues": 0}


def test_a_second_signal_hands_back_what_runs(bench: Bench) -> None:
    running = [bench.hold(name) for name in "abc"]
    bench.worker.send(signal.SIGTERM)
    until(lambda: bench.worker.events("worker.draining"), "it drains")
    bench.worker.send(signal.SIGTERM)
    assert bench.worker.process.wait(30) == 0
    assert bench.app.broker.info("default").ready == SLOTS
    # Then another worker runs it again: counted, not charged
    bench.go()
    bench.another()
    for result in running:
        assert result.get(timeout=20) == {"attempt": 1, "lost": 0, "suspect": 0, "requeues": 1}


def test_drain_on_timeout_fail_fails_all_that_runs(bench: Bench) -> None:
    worker = bench.worker
    worker.stop()
    bench.worker = bench.another("--drain-timeout", "0.3", UMBEL_DRAIN_ON_TIMEOUT="fail")
    running = [bench.hold(name) for name in "abc"]
    assert bench.worker.stop() == 0
    for result in running:
        with pytest.raises(WorkerLostError, match="told to end"):
            result.get(timeout=20)


def test_a_task_that_was_alone_when_its_process_was_killed_is_charged(bench: Bench) -> None:
    result = bench.hold("alone")
    bench.kill_child_of("alone")
    bench.go()
    assert result.get(timeout=20) == {"attempt": 1, "lost": 1, "suspect": 0, "requeues": 0}


def test_those_that_ran_beside_each_other_when_their_process_was_killed_are_suspect(bench: Bench) -> None:
    running = {name: bench.hold(name) for name in "ab"}
    bench.kill_child_of("a")
    bench.go()
    each = bench.claim("A process that dies charges") == "each as suspect"
    killed = {"attempt": 1, "lost": 0, "suspect": 1} if each else {"attempt": 1, "lost": 1, "suspect": 0}
    spared = killed if bench.shares_child else {"attempt": 0, "lost": 0, "suspect": 0}
    assert running["a"].get(timeout=20) == {**killed, "requeues": 0}
    assert running["b"].get(timeout=20) == {**spared, "requeues": 0}


def test_a_poison_task_ends_as_a_dead_letter_and_its_innocent_neighbours_do_not(bench: Bench) -> None:
    # Given tasks that run beside one that kills the process each time
    poison = bench.send("kills_child")
    innocent = [bench.send("pauses", 0.05) for _ in range(12)]
    # Then it is found out, and charged alone
    with pytest.raises(WorkerLostError, match="died 3 times"):
        poison.get(timeout=40)
    assert [result.get(timeout=40) for result in innocent] == ["paused"] * 12
    (letter,) = until(lambda: bench.app.broker.dead("default"), "the dead letter")
    assert letter.reason["id"] == poison.id
