"""A task that takes all memory: its child dies of it, or its whole worker does. It ends as a dead letter, and nobody else."""

from __future__ import annotations

import signal
from collections.abc import Callable

import pytest
from tests.chaos.memory_group import MemoryGroup
from tests.redis_server import RedisServer
from tests.workers import Worker, until

from umbel import Umbel
from umbel.errors import WorkerLostError
from umbel.message import decode

H = "tests.hostile_app."
#: A worker of three children takes about 70 MiB.
LIMIT = 250
Start = Callable[..., Worker]
Produce = Callable[..., Umbel]


@pytest.mark.timeout(180)
def test_a_group_that_is_out_of_memory_is_a_pods_death(
    redis_server: RedisServer, prefix: str, start_worker: Start, producer: Produce
) -> None:
    """All processes of the worker are killed at once, whoever took the memory: the container starts again in its pod."""
    app = producer(redis_server)
    pod = {"UMBEL_POD_UID": "5d1c3c62-0000-4000-8000-000000000003"}
    innocent = [app.send_task(H + "rests", (0.3,)) for _ in range(20)]
    greedy = app.send_task(H + "takes_all_memory", priority=6)
    deaths = 0
    while not app.broker.dead("default"):
        worker = start_worker(redis_server, prefix, app="tests.hostile_app:app", environment=pod, concurrency=3)
        group = MemoryGroup(worker, LIMIT, all_at_once=True)

        def ended(worker: Worker = worker) -> bool:
            return worker.process.poll() is not None or bool(app.broker.dead("default"))

        try:
            until(ended, "it dies of the greedy task, or that is dead", 60)
            if worker.process.poll() is not None:
                assert worker.process.returncode == -signal.SIGKILL
                deaths += 1
            else:
                assert [result.get(timeout=60) for result in innocent] == [0.3] * 20
                worker.stop()
        finally:
            worker.remove()
            group.remove()
        assert deaths < 10, "the guilty one is not found"
    with pytest.raises(WorkerLostError, match="died 3 times"):
        greedy.get(timeout=10)
    (letter,) = app.broker.dead("default")
    assert decode(letter.payload).headers["id"] == greedy.id
    assert 3 <= deaths <= 7


def test_a_child_that_is_out_of_memory_dies_alone(
    redis_server: RedisServer, prefix: str, start_worker: Start, producer: Produce
) -> None:
    """The kernel picks the largest process: the child. The worker lives, and the neighbour's task is not even interrupted."""
    worker = start_worker(redis_server, prefix, app="tests.hostile_app:app")
    group = MemoryGroup(worker, LIMIT, all_at_once=False)
    worker.wait_ready()
    app = producer(redis_server)
    resting = app.send_task(H + "rests", (3.0,))
    until(lambda: app.broker.info("default").in_flight == 1, "the neighbour is at it")
    greedy = app.send_task(H + "takes_all_memory")
    with pytest.raises(WorkerLostError, match="running out of memory"):
        greedy.get(timeout=30)
    assert resting.get(timeout=20) == 3.0
    until(lambda: len(worker.events("child.died")) >= 3, "the last death is told, a moment after its task is back")
    deaths = [(death["exit"], death["hint"]) for death in worker.events("child.died")]
    assert deaths == [(-signal.SIGKILL, "killed by SIGKILL: perhaps out of memory")] * 3
    (letter,) = app.broker.dead("default")
    assert decode(letter.payload).headers["id"] == greedy.id
    assert worker.stop() == 0
    group.remove()
