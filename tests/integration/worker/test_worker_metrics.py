"""``/metrics`` of real workers: what was run, what is running, and what has died."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.redis_server import RedisServer
from tests.workers import Worker, until

from umbel import Umbel, meters

S = "tests.sample_app."
Start = Callable[..., Worker]
Produce = Callable[..., Umbel]
Samples = dict[tuple[str, ...], float]


def scrape(worker: Worker) -> Samples:
    """Return all samples by name and label values."""
    status, text = worker.probe("metrics")
    assert status == 200, text
    return {
        (sample.name, *(sample.labels[label] for label in sorted(sample.labels))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_what_was_run_is_counted(
    redis_server: RedisServer, prefix: str, start_worker: Start, producer: Produce
) -> None:
    worker = start_worker(redis_server, prefix, environment={"UMBEL_UNKNOWN_TASK_GRACE": "0"}).wait_ready()
    app = producer(redis_server)
    for result in [app.send_task(S + "work", (number, 0.03)) for number in range(20)]:
        result.get(timeout=20)
    app.send_task(S + "fails_twice").get(timeout=20)
    for number in range(30):
        app.send_task(f"made.up.{number}")
    with redis_server.client() as client:
        client.rpush(f"{prefix}:{{default}}:r:5", b"what is this?")
    until(lambda: len(app.broker.dead("default")) == 31, "the unknown and the unreadable are dead")
    counts = {
        ("umbel_tasks_total", "DEAD", "(unknown)"): 31,
        ("umbel_tasks_total", "SUCCESS", S + "work"): 20,
        ("umbel_tasks_total", "RETRY", S + "fails_twice"): 2,
        ("umbel_tasks_total", "SUCCESS", S + "fails_twice"): 1,
    }
    until(lambda: counts.items() <= scrape(worker).items(), "all are counted")
    found = scrape(worker)
    assert counts.items() <= found.items()
    assert not [key for key in found if any("made.up" in part for part in key)]
    assert found["umbel_task_runtime_seconds_count", S + "work"] == 20
    assert found["umbel_task_runtime_seconds_bucket", "0.02", S + "work"] == 0
    assert found["umbel_task_runtime_seconds_sum", S + "work"] >= 0.6
    # Every name that is promised is there, and no other
    names = {meter.name for meter in meters.WORKER} - {meters.CHILD_DEATHS.name}
    suffixes = ("_bucket", "_count", "_sum")
    assert {next((key[0].removesuffix(s) for s in suffixes if key[0].endswith(s)), key[0]) for key in found} == names


def test_counts_survive_a_killed_child_and_never_go_back(
    redis_server: RedisServer, prefix: str, start_worker: Start, producer: Produce
) -> None:
    worker = start_worker(redis_server, prefix, concurrency=1).wait_ready()
    app = producer(redis_server)
    before = 0.0
    for round_ in range(1, 4):
        for result in [app.send_task(S + "who") for _ in range(10)]:
            pid = result.get(timeout=20)["pid"]
        before += 10
        until(lambda: scrape(worker).get(("umbel_tasks_total", "SUCCESS", S + "who")) == before, "all are counted")  # noqa: B023
        os.kill(pid, signal.SIGKILL)
        until(lambda: len(worker.events("child.died")) == round_, "its death was noticed")  # noqa: B023 - called at once
        found = scrape(worker)
        assert found["umbel_tasks_total", "SUCCESS", S + "who"] == before
        assert found["umbel_worker_child_deaths_total", "killed"] == round_


def test_slots_draining_and_time_limits(
    redis_server: RedisServer, prefix: str, start_worker: Start, producer: Produce, tmp_path: Path
) -> None:
    worker = start_worker(redis_server, prefix, concurrency=3).wait_ready()
    app = producer(redis_server)
    found = scrape(worker)
    assert (found["umbel_worker_slots",], found["umbel_worker_busy_slots",], found["umbel_worker_draining",]) == (
        3,
        0,
        0,
    )
    assert found["umbel_worker_connected",] == 1
    running = [app.send_task(S + "hold", (number, str(tmp_path))) for number in range(2)]
    until(lambda: scrape(worker)["umbel_worker_busy_slots",] == 2, "two slots are busy")
    limited = app.send_task(S + "too_long")
    # The idle child is heard of often, however long the others run
    until(lambda: scrape(worker)["umbel_worker_cycle_age_seconds",] < 10, "the idle child is heard")
    until(lambda: scrape(worker).get(("umbel_worker_child_deaths_total", "time_limit")) == 1, "the limit was enforced")
    # A death is counted when it is seen, its end stored just after
    until(lambda: limited.state == "FAILURE", "its end is told")
    worker.send(signal.SIGTERM)
    until(lambda: scrape(worker)["umbel_worker_draining",] == 1, "it drains")
    (tmp_path / "go").touch()
    assert [result.get(timeout=20) for result in running] == [0, 1]
    assert worker.process.wait(30) == 0


def test_a_child_that_is_stopped_is_told_and_ended_where_that_is_wanted(
    redis_server: RedisServer, prefix: str, start_worker: Start, producer: Produce, tmp_path: Path
) -> None:
    worker = start_worker(redis_server, prefix, "--kill-stopped-after", "4", concurrency=1).wait_ready()
    app = producer(redis_server)
    result = app.send_task(S + "hold", (1, str(tmp_path)))
    running = tmp_path / "running-1"
    pid = int(until(lambda: running.exists() and running.read_text(), "it runs"))
    running.unlink()
    assert scrape(worker)["umbel_worker_stopped_children",] == 0
    os.kill(pid, signal.SIGSTOP)
    began = time.monotonic()
    until(lambda: scrape(worker)["umbel_worker_stopped_children",] == 1, "it is told in the metrics")
    (told, *_) = until(lambda: worker.events("child.stopped"), "and in the log, a moment later")
    assert told["child"] == pid
    assert time.monotonic() - began < 4.0 or worker.events("child.killed")
    # Killed, its task is back, and runs again
    assert int(until(lambda: running.exists() and running.read_text(), "it runs again")) != pid
    assert scrape(worker)["umbel_worker_child_deaths_total", "killed"] == 1
    until(lambda: scrape(worker)["umbel_worker_stopped_children",] == 0, "nobody stands still any more")
    (tmp_path / "go").touch()
    assert result.get(timeout=20) == 1


@pytest.mark.parametrize("executor", ["thread", "asyncio"])
def test_slots_of_children_that_run_several_tasks_at_once(
    executor: str, redis_server: RedisServer, prefix: str, start_worker: Start, producer: Produce, tmp_path: Path
) -> None:
    worker = start_worker(redis_server, prefix, "--pool", executor, concurrency=4).wait_ready()
    app = producer(redis_server)
    running = [app.send_task(S + "hold", (number, str(tmp_path))) for number in range(3)]
    until(lambda: scrape(worker)["umbel_worker_busy_slots",] == 3, "three slots are busy")
    assert scrape(worker)["umbel_worker_slots",] == 4
    (tmp_path / "go").touch()
    assert [result.get(timeout=20) for result in running] == [0, 1, 2]
    until(lambda: scrape(worker).get(("umbel_tasks_total", "SUCCESS", S + "hold")) == 3, "all are counted")
