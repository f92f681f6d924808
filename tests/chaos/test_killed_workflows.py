"""Workers die while they run workflows: each ends with the right result or the right error, and nothing is published twice."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.chaos.nested import failing, nested
from tests.chaos.proxy import ChaosProxy, each
from tests.chaos.workflow_fleet import SECONDS, Fleet
from tests.redis_server import RedisServer
from tests.signatures import Shape, chain, chord, group, task
from tests.workers import Worker, until

from umbel import Umbel
from umbel.canvas.sending import send
from umbel.errors import ChordError

#: Workflows and kills; ``UMBEL_WORKFLOWS`` runs more of them.
WORKFLOWS = int(os.environ.get("UMBEL_WORKFLOWS", "80"))
KILLS = max(8, WORKFLOWS // 20)


def kill_children(fleet: Fleet, tasks: int, kills: int, draw: random.Random) -> None:
    """Kill a child of some worker, again and again, spread over the work."""
    for kill in range(kills):
        goal = (kill + 1) * tasks // (kills + 2)
        until(lambda goal=goal: len(fleet.noted("message")) >= goal, f"{goal} have run", SECONDS)  # type: ignore[misc]
        children = draw.choice(fleet.workers).children()
        try:
            os.kill(draw.choice(children), signal.SIGKILL)
        except (ProcessLookupError, IndexError):
            continue


@pytest.mark.timeout(600 if WORKFLOWS > 200 else 180)
def test_workflows_survive_the_death_of_those_who_run_them(any_fleet: Fleet) -> None:
    fleet, draw = any_fleet, random.Random(20)
    for _ in range(2):
        fleet.start()
    right = [nested(draw, draw.randint(1, 3)) for _ in range(WORKFLOWS)]
    wrong = [failing(draw, draw.randint(0, 2)) for _ in range(WORKFLOWS // 10)]
    results = [send(fleet.app, signature) for signature, _ in right]
    failures = [send(fleet.app, signature) for signature in wrong]
    kill_children(fleet, 5 * WORKFLOWS, KILLS, draw)
    assert [result.get(timeout=SECONDS, follow_parents=False) for result in results] == [value for _, value in right]
    for failure in failures:
        with pytest.raises((ValueError, ChordError), match="broken"):
            failure.get(timeout=SECONDS, follow_parents=False)
    assert not fleet.published_twice()
    fleet.wait_for_the_end()


@pytest.mark.timeout(180)
def test_workflows_survive_the_death_of_redis(
    own_redis: RedisServer, prefix: str, start_worker: Callable[..., Worker], producer: Callable[..., Umbel]
) -> None:
    fleet, draw = Fleet(own_redis, prefix, start_worker, producer(own_redis, workflow_kept=0)), random.Random(7)
    for _ in range(2):
        fleet.start()
    right = [nested(draw, draw.randint(1, 3)) for _ in range(WORKFLOWS)]
    results = [send(fleet.app, signature) for signature, _ in right]
    broken = [send(fleet.app, failing(draw, 1)) for _ in range(5)]
    for kill in range(2):
        goal = (kill + 1) * WORKFLOWS
        until(lambda goal=goal: len(fleet.noted("message")) >= goal, f"{goal} have run", SECONDS)  # type: ignore[misc]
        own_redis.kill()
        own_redis.start()
    assert [result.get(timeout=SECONDS, follow_parents=False) for result in results] == [value for _, value in right]
    for failure in broken:
        with pytest.raises((ValueError, ChordError), match="broken"):
            failure.get(timeout=SECONDS, follow_parents=False)
    assert not fleet.published_twice()
    fleet.wait_for_the_end()


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
def test_a_step_that_dies_is_gone_on_with(fleet: Fleet, tmp_path: Path, step: str) -> None:
    faults = {"FAULT_AT": step, "FAULT_FOLDER": str(tmp_path), "FAULT_TIMES": "2"}
    fleet.start("tests.chaos.workflow_faults:app", environment=faults)
    header = [chain(task("logged_add", n), task("logged_add", 1)) for n in range(3)]
    result = send(
        fleet.app, chain(task("logged_add", 0, 0), chord(header, task("logged_total")), task("logged_add", 1))
    )
    broken = send(fleet.app, chord([task("fail"), task("logged_add", 1, 1)], task("logged_total")))
    assert result.get(timeout=SECONDS) == 7
    with pytest.raises(ChordError, match="broken"):
        broken.get(timeout=SECONDS, follow_parents=False)
    fleet.wait_for_the_end()
    assert list(tmp_path.glob("fault-*")), "the fault happened"
    assert not fleet.published_twice()
    assert not fleet.noted("total broken")


def dies_after_the_last_step(fleet: Fleet, folder: Path, concurrency: int = 1) -> None:
    """Start a worker of which a child dies once it has ended a workflow, before it acknowledges the task that did so."""
    faults = {"FAULT_AT": "end:over", "FAULT_FOLDER": str(folder)}
    fleet.start("tests.chaos.workflow_faults:app", concurrency=concurrency, environment=faults)


def wait_for_all(fleet: Fleet, folder: Path) -> None:
    """Wait until the fault has happened, and nothing waits or runs any more."""
    until((folder / "fault-0").exists, "the worker died after the last step", SECONDS)

    def idle() -> bool:
        info = fleet.app.broker.info("default")
        return info.ready + info.in_flight == 0

    until(idle, "what it held was delivered again, and ended", SECONDS)
    fleet.wait_for_the_end()


def test_a_body_that_comes_again_after_the_last_step_has_its_result(fleet: Fleet, tmp_path: Path) -> None:
    dies_after_the_last_step(fleet, tmp_path)
    result = send(fleet.app, chord([task("logged_add", n, 1) for n in range(3)], task("logged_total")))
    wait_for_all(fleet, tmp_path)
    assert result.get(timeout=SECONDS) == 6
    assert result.state == "SUCCESS"
    assert [line.split()[0] for line in fleet.noted("message")].count(result.id) == 1, (
        "its values are gone: it cannot run"
    )
    assert fleet.app.broker.info("default").dead == 0


def test_a_last_step_that_comes_again_runs_again(fleet: Fleet, tmp_path: Path) -> None:
    dies_after_the_last_step(fleet, tmp_path)
    result = send(fleet.app, chain(task("logged_add", 1, 1), task("logged_add", 5)))
    wait_for_all(fleet, tmp_path)
    assert result.get(timeout=SECONDS) == 7
    assert [line.split()[0] for line in fleet.noted("message")].count(result.id) == 2
    assert not fleet.published_twice()


def test_a_member_that_comes_again_after_the_end_changes_nothing(fleet: Fleet, tmp_path: Path) -> None:
    dies_after_the_last_step(fleet, tmp_path, concurrency=2)
    member = fleet.app.AsyncResult(f"member-{tmp_path.name}-{os.getpid()}")
    last = task("wait_for", 1, str(tmp_path), options={"task_id": member.id})
    body = task("logged_total", options={"link_error": [task("told_more")]})
    result = send(fleet.app, chord([task("fail"), last], body))
    until((tmp_path / "running-1").exists, "the last member runs", SECONDS)
    until(
        lambda: fleet.noted("told-more") and fleet.app.broker.info("default").in_flight == 1, "all else ended", SECONDS
    )
    (tmp_path / "go").touch()
    wait_for_all(fleet, tmp_path)
    with pytest.raises(ChordError, match="broken"):
        result.get(timeout=SECONDS, follow_parents=False)
    assert fleet.noted("waited") == ["1", "1"], "it came again"
    assert member.get(timeout=SECONDS) == 1
    assert len(fleet.noted("told-more")) == 1
    assert fleet.app.broker.info("default").dead == 0


def test_an_errback_that_comes_again_after_the_end_hears_of_the_failure_again(fleet: Fleet, tmp_path: Path) -> None:
    dies_after_the_last_step(fleet, tmp_path)
    result = send(fleet.app, chain(task("fail", options={"link_error": [task("told_more")]}), task("logged_add", 1)))
    wait_for_all(fleet, tmp_path)
    first, again = (line.split() for line in fleet.noted("told-more"))
    assert first[0] == again[0] == result.parent.id
    assert first[2:] == again[2:] == ["ValueError('broken')", "True"]
    with pytest.raises(ValueError, match="broken"):
        result.get(timeout=SECONDS)


def test_a_process_that_wakes_up_late_publishes_nothing_twice(fleet: Fleet, tmp_path: Path) -> None:
    faults = {"FAULT_AT": "end:after", "FAULT_FOLDER": str(tmp_path), "FAULT_SIGNAL": "SIGSTOP"}
    frozen = fleet.start("tests.chaos.workflow_faults:app", concurrency=1, environment=faults)
    steps = group([task("logged_add", n) for n in range(3)])
    result = send(fleet.app, chain(task("logged_add", 1, 1), steps, task("logged_total")))
    until((tmp_path / "fault-0").exists, "a child is frozen between two steps")
    os.killpg(frozen.pid, signal.SIGSTOP)
    fleet.start()
    assert result.get(timeout=SECONDS) == 9
    os.killpg(frozen.pid, signal.SIGCONT)
    until(lambda: frozen.probe("readyz")[0] == 200, "the frozen one works on", 40)
    time.sleep(0.5)  # it has repeated its steps by then, or has had its chance
    assert not fleet.published_twice()


@pytest.mark.parametrize("nth", [5, 8])
def test_answers_are_lost_while_a_workflow_runs(fleet: Fleet, nth: int) -> None:
    proxy = ChaosProxy(fleet.server.port)
    proxy.start()
    try:
        fleet.start(at=Proxied(proxy.url))
        proxy.rule = each(nth, b"EVALSHA")
        draw = random.Random(nth)
        sent: list[tuple[Shape, int]] = [nested(draw, 2) for _ in range(10)]
        results = [send(fleet.app, signature) for signature, _ in sent]
        broken = send(fleet.app, chord([task("fail"), task("logged_add", 1, 1)], task("logged_total")))
        assert [result.get(timeout=SECONDS) for result in results] == [value for _, value in sent]
        with pytest.raises(ChordError, match="broken"):
            broken.get(timeout=SECONDS, follow_parents=False)
        fleet.wait_for_the_end()
        assert proxy.cut[b"EVALSHA"] > 10
        assert not fleet.published_twice()
    finally:
        proxy.stop()


class Proxied:
    """What a worker is pointed at in the place of a server."""

    def __init__(self, url: str) -> None:
        self.url = url
