"""Children that have done enough: they finish what they run, and others take their places."""

from __future__ import annotations

from collections import Counter

import pytest
from tests.integration.executors.conftest import SLOTS, Bench
from tests.workers import until


@pytest.fixture
def kind(executor: str) -> str:
    """The kind that an executor is there for: what becomes of its process has nothing to do with the other one."""
    return "async" if executor == "asyncio" else "sync"


def _restarted(bench: Bench, *arguments: str) -> Bench:
    bench.worker.stop()
    bench.worker = bench.another(*arguments)
    return bench


def test_after_so_many_tasks_a_child_is_replaced_and_nothing_is_charged(bench: Bench) -> None:
    assert bench.claim("`--max-tasks-per-child`, `--max-memory-per-child`") == "yes"
    _restarted(bench, "--max-tasks-per-child", "10")
    results = [bench.send("pid") for _ in range(60)]
    ran = Counter(result.get(timeout=60) for result in results)
    # Then each process ran as many as it may, and no more
    assert sum(ran.values()) == 60
    assert max(ran.values()) <= 10
    assert bench.app.broker.info("default").in_flight == 0
    assert not bench.worker.events("child.died")


def test_the_next_child_works_while_the_last_one_finishes(bench: Bench) -> None:
    # Given a child that may run as many tasks as it runs now
    _restarted(bench, "--max-tasks-per-child", str(SLOTS) if bench.shares_child else "1")
    held = [bench.hold(name) for name in "abc"]
    if bench.shares_child:
        # When all of its slots are taken, then another one has begun already
        until(lambda: bench.worker.events("child.replaced"), "it is replaced")
        assert bench.send("pid").get(timeout=20) != bench.pid_of("a")
    bench.go()
    assert [result.get(timeout=20)["lost"] for result in held] == [0, 0, 0]
    assert bench.send("pid").get(timeout=20) not in {bench.pid_of(name) for name in "abc"}


def test_a_child_with_too_much_memory_is_replaced(bench: Bench) -> None:
    # Given a bound that every Python process is above
    _restarted(bench, "--max-memory-per-child", "1000")
    pids = {bench.send("pid").get(timeout=20) for _ in range(3)}
    assert len(pids) == 3
    assert not bench.worker.events("child.died")
