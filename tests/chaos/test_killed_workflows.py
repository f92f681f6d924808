"""Workers die while they run workflows: each ends with the right result or the right error, and nothing is published twice."""

from __future__ import annotations

import os
import random
import signal
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.chaos.nested import failing, nested
from tests.chaos.proxy import ChaosProxy, each
from tests.redis_server import RedisServer
from tests.signatures import Shape, chain, chord, group, task
from tests.workers import Worker, runs, until

from umbel import Umbel
from umbel.canvas.sending import send
from umbel.errors import ChordError

SECONDS = 60.0
#: Workflows and kills; ``UMBEL_WORKFLOWS`` runs more of them.
WORKFLOWS = int(os.environ.get("UMBEL_WORKFLOWS", "120"))
KILLS = max(8, WORKFLOWS // 20)


def left(server: RedisServer, prefix: str) -> list[str]:
    """Return the keys that workflows have left, but for guards, which have a TTL."""
    with server.client() as client:
        names = [key.decode() for key in client.scan_iter(f"{prefix}:*", count=1000)]
        guards = [name for name in names if ":w:" in name]
        assert all(client.ttl(name) != -1 for name in guards)
    return [name for name in names if name.endswith((":graph", ":state", ":value"))]


def publishes(ledger: Path) -> dict[str, set[str]]:
    """Return the times at which each task was published, by its id: those of all its deliveries are the same."""
    found: dict[str, set[str]] = defaultdict(set)
    for line in runs(ledger, "message"):
        task_id, enqueued = line.split()
        found[task_id].add(enqueued)
    return found


def kill_children(workers: list[Worker], ledger: Path, tasks: int, kills: int, draw: random.Random) -> None:
    """Kill a child of some worker, again and again, spread over the work."""
    for kill in range(kills):
        goal = (kill + 1) * tasks // (kills + 2)
        until(lambda goal=goal: len(runs(ledger, "message")) >= goal, f"{goal} have run", SECONDS)  # type: ignore[misc]
        children = draw.choice(workers).children()
        try:
            os.kill(draw.choice(children), signal.SIGKILL)
        except (ProcessLookupError, IndexError):
            continue


@pytest.mark.timeout(600 if WORKFLOWS > 200 else 180)
def test_workflows_survive_the_death_of_those_who_run_them(
    redis_server: RedisServer, prefix: str, start_worker: Callable[..., Worker], producer: Callable[..., Umbel]
) -> None:
    draw = random.Random(20)
    app = producer(redis_server, workflow_kept=0)
    workers = [start_worker(redis_server, prefix, app="tests.workflow_app:app").wait_ready() for _ in range(2)]
    ledger = workers[0].ledger
    right = [nested(draw, draw.randint(1, 3)) for _ in range(WORKFLOWS)]
    wrong = [failing(draw, draw.randint(0, 2)) for _ in range(WORKFLOWS // 10)]
    results = [send(app, signature) for signature, _ in right]
    failures = [send(app, signature) for signature in wrong]
    kill_children(workers, ledger, 5 * WORKFLOWS, KILLS, draw)
    assert [result.get(timeout=SECONDS, follow_parents=False) for result in results] == [value for _, value in right]
    for failure in failures:
        with pytest.raises((ValueError, ChordError), match="broken"):
            failure.get(timeout=SECONDS, follow_parents=False)
    twice = {task_id: times for task_id, times in publishes(ledger).items() if len(times) > 1}
    assert not twice, "published more than once"
    until(lambda: not left(redis_server, prefix), f"no workflow is left: {left(redis_server, prefix)}", SECONDS)


STEPS = [
    "end:before",
    "end:after",
    "publish:before",
    "publish:after",
    "values:after",
    "tell:before",
    "tell:after",
    "close:after",
]


@pytest.mark.parametrize("step", STEPS)
def test_a_step_that_dies_is_gone_on_with(
    redis_server: RedisServer,
    prefix: str,
    start_worker: Callable[..., Worker],
    producer: Callable[..., Umbel],
    tmp_path: Path,
    step: str,
) -> None:
    app = producer(redis_server, workflow_kept=0)
    faults = {"FAULT_AT": step, "FAULT_FOLDER": str(tmp_path), "FAULT_TIMES": "2"}
    worker = start_worker(redis_server, prefix, app="tests.chaos.workflow_faults:app", environment=faults).wait_ready()
    header = [chain(task("logged_add", n), task("logged_add", 1)) for n in range(3)]
    result = send(app, chain(task("logged_add", 0, 0), chord(header, task("logged_total")), task("logged_add", 1)))
    broken = send(app, chord([task("fail"), task("logged_add", 1, 1)], task("logged_total")))
    assert result.get(timeout=SECONDS) == 7
    with pytest.raises(ChordError, match="broken"):
        broken.get(timeout=SECONDS, follow_parents=False)
    until(lambda: not left(redis_server, prefix), f"no workflow is left: {left(redis_server, prefix)}")
    assert list(tmp_path.glob("fault-*")), "the fault happened"
    assert all(len(times) == 1 for times in publishes(worker.ledger).values())
    assert not runs(worker.ledger, "total broken")


def test_a_process_that_wakes_up_late_publishes_nothing_twice(
    redis_server: RedisServer,
    prefix: str,
    start_worker: Callable[..., Worker],
    producer: Callable[..., Umbel],
    tmp_path: Path,
) -> None:
    app = producer(redis_server)
    faults = {"FAULT_AT": "end:after", "FAULT_FOLDER": str(tmp_path), "FAULT_SIGNAL": "SIGSTOP"}
    frozen = start_worker(
        redis_server, prefix, app="tests.chaos.workflow_faults:app", concurrency=1, environment=faults
    ).wait_ready()
    result = send(
        app, chain(task("logged_add", 1, 1), group([task("logged_add", n) for n in range(3)]), task("logged_total"))
    )
    until((tmp_path / "fault-0").exists, "a child is frozen between two steps")
    os.killpg(frozen.pid, signal.SIGSTOP)
    start_worker(redis_server, prefix, app="tests.workflow_app:app").wait_ready()
    assert result.get(timeout=SECONDS) == 9
    os.killpg(frozen.pid, signal.SIGCONT)
    until(lambda: frozen.probe("readyz")[0] == 200, "the frozen one works on", 40)
    time.sleep(0.5)  # it has repeated its steps by then, or has had its chance
    assert all(len(times) == 1 for times in publishes(frozen.ledger).values())


@pytest.mark.parametrize("nth", [5, 8])
def test_answers_are_lost_while_a_workflow_runs(
    redis_server: RedisServer,
    prefix: str,
    start_worker: Callable[..., Worker],
    producer: Callable[..., Umbel],
    nth: int,
) -> None:
    app = producer(redis_server, workflow_kept=0)
    proxy = ChaosProxy(redis_server.port)
    proxy.start()
    try:
        proxied: Any = Proxied(proxy.url)
        worker = start_worker(proxied, prefix, app="tests.workflow_app:app").wait_ready()
        proxy.rule = each(nth, b"EVALSHA")
        draw = random.Random(nth)
        sent: list[tuple[Shape, int]] = [nested(draw, 2) for _ in range(10)]
        results = [send(app, signature) for signature, _ in sent]
        broken = send(app, chord([task("fail"), task("logged_add", 1, 1)], task("logged_total")))
        assert [result.get(timeout=SECONDS) for result in results] == [value for _, value in sent]
        with pytest.raises(ChordError, match="broken"):
            broken.get(timeout=SECONDS, follow_parents=False)
        until(lambda: not left(redis_server, prefix), "no workflow is left", SECONDS)
        assert proxy.cut[b"EVALSHA"] > 10
        assert all(len(times) == 1 for times in publishes(worker.ledger).values())
    finally:
        proxy.stop()


class Proxied:
    """What a worker is pointed at in the place of a server."""

    def __init__(self, url: str) -> None:
        self.url = url
