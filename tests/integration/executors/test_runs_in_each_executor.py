"""What a task sees and does is the same in each executor."""

from __future__ import annotations

import pytest
from tests.integration.executors.conftest import SLOTS, Bench
from tests.workers import until


def test_many_results_come_back(bench: Bench) -> None:
    results = [bench.send("add", number, 1) for number in range(300)]
    assert [result.get(timeout=30) for result in results] == list(range(1, 301))


def test_each_of_those_that_run_together_sees_its_own_request(bench: Bench) -> None:
    assert bench.claim("A task sees its own `self.request`") == "yes"
    # Given as many tasks as there are slots, each of which goes on only when all run
    results = {name: bench.send("who", name, str(bench.folder), SLOTS) for name in "abc"}
    # Then each has seen its own id, its own arguments, and its own context variable, also in what it began itself
    for name, result in results.items():
        assert result.get(timeout=20) == {"before": result.id, "after": result.id, "args": name, "var": name}


def test_a_failure_arrives_with_its_traceback(bench: Bench) -> None:
    result = bench.send("fails")
    with pytest.raises(LookupError, match="on purpose"):
        result.get(timeout=20)
    assert "executor_app" in (result.traceback or "")


def test_a_retry_keeps_the_id_and_counts(bench: Bench) -> None:
    assert bench.send("fails_twice").get(timeout=20) == 2


def test_at_most_once_is_marked_before_it_runs(bench: Bench) -> None:
    result = bench.send("once", str(bench.folder))
    until((bench.folder / "running-early").exists, "it runs")
    (active,) = bench.app.control.inspect(timeout=20.0).active().values()
    assert [(info["id"], info["acknowledged"]) for info in active] == [(result.id, True)]
    until(lambda: result.state == "STARTED", "STARTED is stored")
    bench.go()
    assert result.get(timeout=20) == "done"


def test_no_more_is_held_than_runs_where_tasks_are_long(bench: Bench) -> None:
    # Given short tasks, which are fetched ahead, and after them more long ones than there are slots
    for result in [bench.send("add", number, 1) for number in range(100)]:
        result.get(timeout=30)
    for number in range(3 * SLOTS):
        bench.send("charges", f"n{number}", str(bench.folder))
    until(lambda: len(list(bench.folder.glob("running-*"))) == SLOTS, "all slots are busy")

    # Then what waits for a slot waits in the queue, for any worker
    def all_but_the_running_wait() -> bool:
        info = bench.app.broker.info("default")
        return (info.in_flight, info.ready) == (SLOTS, 2 * SLOTS)

    until(all_but_the_running_wait, "the others were given back")
    bench.go()


def test_a_worker_says_how_many_slots_it_has_and_how_many_are_busy(bench: Bench) -> None:
    bench.hold("a")
    bench.hold("b")
    (stats,) = until(
        lambda: [found for found in bench.app.control.inspect(timeout=20.0).stats().values() if found["busy"] == 2],
        "the heartbeat tells of both",
    )
    assert stats["slots"] == SLOTS
    ((active),) = bench.app.control.inspect(timeout=20.0).active().values()
    assert sorted(info["args"][0] for info in active) == ["a", "b"]
    bench.go()


def test_a_process_is_told_of_before_its_first_task_and_after_its_last(bench: Bench) -> None:
    pid = bench.send("pid").get(timeout=20)
    assert str(pid) in bench.notes("begins")
    assert bench.worker.stop() == 0
    assert f"{pid} 0" in bench.notes("ends")


def test_what_a_task_sets_for_itself_may_be_seen_by_later_ones(bench: Bench) -> None:
    # One after the other, and many at once: then each begins where another one has just ended.
    before = {bench.send("sets_variable", f"task {number}").get(timeout=20) for number in range(3 * SLOTS)}
    many = [bench.send("sets_variable", f"task {number}") for number in range(50)]
    before |= {result.get(timeout=20) for result in many}
    seen = bench.claim("Context variables that a `def` task sets are seen by later tasks") == "yes"
    assert (before != {"nobody's"}) is (seen and bench.kind == "sync")
