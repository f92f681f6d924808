"""The harness end to end, small, with the barest loop: it needs no environment of its own beside ours."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from benchmarks.adapter import Place
from benchmarks.anatomy import OTHER, STEPS, take_apart
from benchmarks.measures import MEASURES, Sizes
from benchmarks.peers.barest.adapter import BarestPeer
from benchmarks.producer import load_peer
from benchmarks.rounds import Entrant, Record, take_rounds

SMALL = Sizes(tasks=1200, seconds=0.1, trips=20, waiters=200, recovery=30.0)


class Broken(BarestPeer):
    """Its worker does not start."""

    title = "a broken peer"

    def worker(self, place: Place, bin_dir: Path) -> list[str]:
        return [sys.executable, "-c", "raise SystemExit('no such option: --workers')"]


def run(peer: BarestPeer, *measures: str, rounds: int = 1) -> Record:
    entrant = Entrant("barest", peer, Path(sys.executable).parent, {})
    return take_rounds([entrant], [MEASURES[name] for name in measures], SMALL, rounds, lambda _: None)


@pytest.mark.parametrize("measure", ["work", "enqueue", "bulk", "latency", "memory", "waiters"])
def test_a_measure_gives_its_figures(measure: str) -> None:
    record = run(BarestPeer(), measure)

    assert record.failures == []
    (figures,) = record.figures[measure]["barest"]
    assert figures.keys() >= MEASURES[measure].figures.keys()
    # So few waiters may be gone before anybody has looked at them; how quickly they were served is known all the same.
    sure = {"rate"} if measure == "waiters" else set(MEASURES[measure].figures)
    assert all(figures[name] > 0 for name in sure)


def ours() -> Entrant:
    return Entrant("umbel", load_peer("umbel"), Path(sys.executable).parent, {})


def test_many_waiters_of_ours_have_all_their_results() -> None:
    record = take_rounds([ours()], [MEASURES["waiters"]], SMALL, 1, lambda _: None)

    assert record.failures == []
    (figures,) = record.figures["waiters"]["umbel"]
    assert 0 < figures["connections"] < SMALL.waiters


def test_a_task_is_taken_apart() -> None:
    parts = take_apart(ours(), tasks=60_000)

    assert parts["samples"] > 0
    assert sum(step["share"] for step in parts["steps"]) == pytest.approx(1.0)
    assert [step["step"] for step in parts["steps"]] == [*(step for step, _ in STEPS), OTHER]
    # Samples of a child that find no place mean that the list of places is out of date.
    assert parts["steps"][-1]["share"] < 0.2
    assert {"evalsha", "set", "hdel"} <= {cost["what"] for cost in parts["redis"]}
    assert parts["publish"]["in bulk"]["us"] < parts["publish"]["one by one"]["us"]


def test_two_processors_cannot_do_more_than_2000_milliseconds_a_second() -> None:
    (figures,) = run(BarestPeer(), "work").figures["work"]["barest"]

    assert 0 < figures["rate"] <= 2000


def test_a_peer_that_fails_is_a_sentence_and_not_a_number() -> None:
    record = run(Broken(), "enqueue", "latency", rounds=2)

    assert len(record.figures["enqueue"]["barest"]) == 2
    assert not record.figures.get("latency")
    (sentence,) = record.failures
    assert sentence.startswith("a broken peer failed at `latency`: the worker of a broken peer ended with exit code 1")
    assert "no such option: --workers" in sentence
