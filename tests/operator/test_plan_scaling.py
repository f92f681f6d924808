"""The built-in scaler's decision, by a table of cases and over time."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import Any

import pytest
from tests.operator.resources import NOW

from umbel_operator.api.autoscaling import QueueScaling
from umbel_operator.plan.scaling import Decision, Load, Memory, decide


def settings(**given: Any) -> QueueScaling:
    return QueueScaling.model_validate({"minReplicas": 0, "maxReplicas": 10, "tasksPerReplica": 4, **given})


class Pool:
    """A pool over time, with a scaler that is obeyed at once."""

    def __init__(self, replicas: int = 1, **given: Any) -> None:
        self.settings = settings(**given)
        self.replicas = replicas
        self.now = NOW
        self.memory = Memory()
        self.last: Decision | None = None

    def look(self, tasks: int | None, due_in: float | None = None, age: float = 0.0) -> int:
        """Decide, and obey."""
        due = None if due_in is None else self.now + timedelta(seconds=due_in)
        load = Load(tasks, self.now - timedelta(seconds=age), due)
        self.last = decide(self.settings, 2, self.replicas, load, self.memory, self.now)
        self.memory, self.replicas = self.last.memory, self.last.replicas
        return self.replicas

    def watch(self, tasks: int | None, seconds: float, every: float = 15.0) -> list[int]:
        """Look again and again at the same load; return each number of pods."""
        found = []
        end = self.now + timedelta(seconds=seconds)
        while self.now < end:
            self.now += timedelta(seconds=every)
            found.append(self.look(tasks))
        return found


CASES: dict[str, tuple[dict[str, Any], int, dict[str, Any], int, str]] = {
    "enough": ({}, 2, {"tasks": 8}, 2, "Scaling"),
    "one task more": ({}, 2, {"tasks": 9}, 3, "Scaling"),
    "slots where tasksPerReplica is left out": ({"tasksPerReplica": None}, 1, {"tasks": 5}, 3, "Scaling"),
    "more than the most": ({}, 8, {"tasks": 1000}, 10, "AtMaximum"),
    "less than the least": ({"minReplicas": 2}, 2, {"tasks": 0}, 2, "AtMinimum"),
    "growth is bounded": ({"maxReplicas": 1000}, 3, {"tasks": 4000}, 10, "Scaling"),
    "growth from zero is bounded": ({"maxReplicas": 1000}, 0, {"tasks": 4000}, 4, "Scaling"),
    "one task wakes": ({}, 0, {"tasks": 1}, 1, "Scaling"),
    "nothing to wake for": ({}, 0, {"tasks": 0}, 0, "Scaling"),
    "a Schedule is due soon": ({}, 0, {"tasks": 0, "due_in": 30}, 1, "Scaling"),
    "a Schedule is due later": ({}, 0, {"tasks": 0, "due_in": 31}, 0, "Scaling"),
    "a Schedule is overdue": ({}, 0, {"tasks": 0, "due_in": -5}, 1, "Scaling"),
    "a longer lead": ({"startupLeadSeconds": 120}, 0, {"tasks": 0, "due_in": 100}, 1, "Scaling"),
    "not known": ({}, 3, {"tasks": None}, 3, "SampleStale"),
    "too old": ({}, 3, {"tasks": 100, "age": 46}, 3, "SampleStale"),
    "old, but not too old": ({}, 3, {"tasks": 100, "age": 45}, 10, "AtMaximum"),
    "not known and under the least": ({"minReplicas": 2}, 0, {"tasks": None}, 2, "SampleStale"),
    "bounds moved below": ({"maxReplicas": 4}, 9, {"tasks": 99}, 4, "AtMaximum"),
    "bounds moved above": ({"minReplicas": 5}, 1, {"tasks": 0}, 5, "AtMinimum"),
    "fewer would do, for the first time": ({}, 6, {"tasks": 1}, 6, "Scaling"),
}


@pytest.mark.parametrize("case", CASES)
def test_decisions(case: str) -> None:
    given, replicas, load, expected, reason = CASES[case]
    pool = Pool(replicas, **given)
    pool.look(**load)
    assert pool.last is not None
    assert (pool.replicas, pool.last.reason) == (expected, reason)


def test_growth_goes_on_in_steps() -> None:
    pool = Pool(1, maxReplicas=1000)
    assert pool.watch(4000, 60) == [6, 16, 36, 76]


def test_looks_in_between_do_not_hasten_the_growth() -> None:
    pool = Pool(1, maxReplicas=1000)
    found = pool.watch(4000, 30, every=1.0)
    assert found[:15] == [6] * 15
    assert found[15] == 16
    assert found[-1] <= 36


def test_pods_go_only_when_fewer_were_enough_all_the_while() -> None:
    pool = Pool(1)
    assert pool.look(40) == 6
    assert pool.watch(40, 15) == [10]
    assert set(pool.watch(4, 300)) == {10}
    assert pool.watch(4, 15) == [1]


def test_the_highest_number_of_the_time_stays() -> None:
    pool = Pool(10)
    pool.watch(40, 15)
    pool.watch(4, 150)
    pool.watch(20, 15)  # five pods, for a moment
    assert pool.watch(4, 165)[-1] == 5
    assert pool.watch(4, 150)[-1] == 1


def test_an_operator_that_starts_removes_no_pod_at_once() -> None:
    pool = Pool(8)
    pool.look(4)
    assert set(pool.watch(4, 300)) == {8}
    assert pool.watch(4, 15) == [1]


def test_the_last_pod_goes_after_the_idle_time_and_not_before() -> None:
    pool = Pool(1, idleSecondsToZero=600, scaleDownStabilizationSeconds=60)
    assert set(pool.watch(0, 600)) == {1}
    assert pool.watch(0, 15) == [0]


def test_a_single_task_begins_the_idle_time_anew() -> None:
    pool = Pool(1)
    pool.watch(0, 285)
    pool.watch(1, 15)
    assert set(pool.watch(0, 300)) == {1}
    assert pool.watch(0, 15) == [0]


def test_a_pool_does_not_sleep_while_a_schedule_is_near() -> None:
    pool = Pool(1, idleSecondsToZero=30, scaleDownStabilizationSeconds=0)
    for _ in range(10):
        pool.now += timedelta(seconds=15)
        assert pool.look(0, due_in=20) == 1
    assert pool.watch(0, 45)[-1] == 0


def test_what_is_not_known_changes_nothing_of_what_is_remembered() -> None:
    pool = Pool(1)
    pool.watch(0, 150)
    before = pool.memory
    assert set(pool.watch(None, 60)) == {1}
    assert pool.memory == before
    assert 0 in pool.watch(0, 120)  # the idle time counts from the first look, whatever came between


def test_what_is_remembered_stays_small() -> None:
    pool, draw = Pool(1, scaleDownStabilizationSeconds=3600, maxReplicas=100), random.Random(7)
    for _ in range(5000):
        pool.now += timedelta(seconds=draw.uniform(0, 15))
        pool.look(draw.randrange(400))
        assert len(pool.memory.wanted) <= 101
        assert len(pool.memory.growths) <= 20


@pytest.mark.parametrize("seed", range(20))
def test_never_out_of_bounds_and_never_fewer_than_the_load_needs_for_long(seed: int) -> None:
    draw = random.Random(seed)
    pool = Pool(3, minReplicas=draw.randrange(3), maxReplicas=draw.randrange(3, 30))
    short = 0
    for _ in range(400):
        pool.now += timedelta(seconds=15)
        tasks = draw.choice((0, 0, draw.randrange(12), draw.randrange(200)))
        pods = pool.look(tasks)
        assert pool.settings.min_replicas <= pods <= pool.settings.max_replicas
        needed = min(pool.settings.max_replicas, -(-tasks // 4))
        short = short + 1 if pods < needed else 0
        assert short <= 3  # 0 -> 4 -> 12 -> 28
