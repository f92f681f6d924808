"""A pod that somebody deleted by force while it lives has seconds left: its worker hears of it, and hands back what it runs."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.integration.beat.process import BeatProcess
from tests.redis_server import RedisServer
from tests.workers import Worker, runs, until

from umbel import Umbel

S = "tests.sample_app."
POD = "5d1c3c62-0000-4000-8000-000000000005"
Start = Callable[..., Worker]
Produce = Callable[..., Umbel]


@pytest.fixture
def busy(redis_server: RedisServer, prefix: str, start_worker: Start, produce_one: Callable[[], None]) -> Worker:
    """A worker of the pod, which runs a task that takes as long as the test."""
    worker = start_worker(redis_server, prefix, concurrency=1, environment={"UMBEL_POD_UID": POD}).wait_ready()
    produce_one()
    return worker


@pytest.fixture
def produce_one(redis_server: RedisServer, producer: Produce, tmp_path: Path) -> Callable[[], None]:
    def produce() -> None:
        producer(redis_server).send_task(S + "hold", (1, str(tmp_path)))
        until(lambda: (tmp_path / "running-1").exists(), "the task runs")

    return produce


def gone(beat: BeatProcess, body: str = f'{{"uids": ["{POD}"]}}') -> None:
    assert beat.post("/v1/pods/gone", body.encode())[0] == 202


@pytest.mark.parametrize("first", ["the kubelet", "the operator"])
def test_what_runs_in_a_pod_that_is_deleted_by_force_goes_back_before_it_is_killed(
    first: str, busy: Worker, beat: BeatProcess, redis_server: RedisServer, producer: Produce
) -> None:
    told = time.monotonic()
    if first == "the kubelet":
        busy.send(signal.SIGTERM)
        until(lambda: busy.events("worker.draining"), "it drains")
        gone(beat)
    else:
        gone(beat)
        until(lambda: "beat.pods_gone" in beat.text(), "the workers were told")
        busy.send(signal.SIGTERM)
    assert busy.process.wait(30) == 0
    took = time.monotonic() - told
    assert busy.events("worker.forsaken")
    assert took < 8, "by its missing heartbeats it would have come later"
    info = producer(redis_server).broker.info("default")
    assert (info.ready, info.in_flight, info.dead) == (1, 0, 0)


def test_a_worker_that_nobody_told_to_end_goes_on(busy: Worker, beat: BeatProcess, tmp_path: Path) -> None:
    """The word comes without a secret: it must harm nobody."""
    gone(beat)
    until(lambda: "beat.pods_gone" in beat.text(), "the workers were told")
    (tmp_path / "go").touch()
    until(lambda: runs(busy.ledger) == ["1"], "the task has ended where it began")
    assert busy.process.poll() is None


def test_a_worker_whose_node_is_gone_drains_as_long_as_it_may(busy: Worker, beat: BeatProcess, tmp_path: Path) -> None:
    busy.send(signal.SIGTERM)
    until(lambda: busy.events("worker.draining"), "it drains")
    gone(beat, f'{{"uids": ["{os.urandom(8).hex()}"], "nodeless": ["{POD}"]}}')
    until(lambda: "beat.pods_gone" in beat.text(), "the workers were told")
    (tmp_path / "go").touch()
    assert busy.process.wait(30) == 0
    assert runs(busy.ledger) == ["1"]
