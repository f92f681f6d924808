"""Thousands of tasks while their workers are rolled, scaled in and deleted by force: none is lost; what ran twice is counted."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from threading import Event, Thread
from typing import Any
from uuid import uuid4

import pytest
from tests.cluster.console import Console
from tests.cluster.kubectl import Kubectl, wait
from tests.cluster.manifests import pool, queue
from tests.cluster.pods import freeze, mortal

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

WORKERS = "umbel.dev/pool=throng,umbel.dev/component=worker"
TASKS = 8000
#: What a task takes: most of them little, some far longer than the rest.
SHORT, LONG, LONG_EVERY = 0.12, 4.0, 150
SHAPE: dict[str, Any] = {"replicas": 4, "concurrency": {"slots": 3}, "drain": {"timeoutSeconds": 30}}


@pytest.fixture
def throng(shop: Kubectl) -> Iterator[Kubectl]:
    """Start a pool of four workers with three slots each."""
    shop.apply(queue("throng"), mortal(pool("throng", "throng", **SHAPE)))
    shop.running(WORKERS, 4)
    yield shop
    shop("delete", "workerpool/throng", "taskqueue/throng")
    shop.gone(WORKERS, 120)


def test_thousands_of_tasks_survive_a_rollout_a_scale_in_and_a_forced_deletion(
    throng: Kubectl, console: Console, capsys: pytest.CaptureFixture[str]
) -> None:
    run = uuid4().hex
    send(console, run)
    least = available_while(throng, lambda: roll(throng))
    assert least >= 4, f"{least} workers were available during the roll-out, whose maxUnavailable is 0"
    after_roll = done(console, run)
    assert after_roll < TASKS, "all tasks had run before the roll-out ended: it was not under load"

    pods = throng.running(WORKERS, 4)
    forced = pods[0]["metadata"]["name"]
    freeze(throng, forced)
    throng("delete", "pod", forced, "--force", "--grace-period=0")
    throng.running(WORKERS, 4)
    after_force = done(console, run)
    throng("scale", "workerpool/throng", "--replicas=1")
    wait("one worker", lambda: len(throng.list_all("pods", WORKERS)) == 1 or None, 120)
    after_scale = done(console, run)
    assert after_scale < TASKS, "all tasks had run before the scale-in ended: it was not under load"
    throng("scale", "workerpool/throng", "--replicas=4")

    left = f"print(json.dumps(sorted(set(map(str, range({TASKS}))) - marks().hgetall('done:{run}').keys())))"
    wait("all tasks to run", lambda: done(console, run) == TASKS or None, 300, seen=lambda: console.run(left))
    # An end that nobody expected would come as a second mark, later: wait until nothing waits or runs.
    wait("an empty queue", lambda: pending(throng) == 0 or None, 60)
    begun, ended = again(console, f"begun:{run}"), again(console, f"done:{run}")
    with capsys.disabled():
        sys.stdout.write(
            f"\n{TASKS} tasks, 0 lost, {begun} began more than once, {ended} of them ended more than once; done after the "
            f"roll-out {after_roll}, after the forced deletion {after_force}, after the scale-in {after_scale}\n"
        )
    assert begun <= SHAPE["concurrency"]["slots"], "more ran again than the pod that died had slots"


def again(console: Console, key: str) -> int:
    """Count the tasks that are noted more than once."""
    return int(console.run(f"print(json.dumps(sum(int(n) > 1 for n in marks().hvals({key!r}))))"))


def send(console: Console, run: str) -> None:
    """Send all of them."""
    console.run(
        "def seconds(n):\n"
        f"    return {LONG} if n % {LONG_EVERY} == 0 else {SHORT}\n"
        "with app.batch():\n"
        f"    for n in range({TASKS}):\n"
        f"        mark.apply_async(args=[{run!r}, n, seconds(n)], queue='throng')\n"
        "print('1')"
    )


def roll(kubectl: Kubectl) -> None:
    """Roll all workers to another image, and wait until it is done."""
    changed = mortal(pool("throng", "throng", **SHAPE))
    changed["spec"]["image"] = other_name(changed["spec"]["image"])
    changed["spec"]["env"] = [{"name": "RELEASE", "value": "2"}]
    kubectl.apply(changed)
    kubectl.wait_condition("workerpool", "throng", "Progressing", "True", "RolloutComplete", seconds=180)


def other_name(image: str) -> str:
    """Return another name of the same image, which the node has for certain; the same where there is none."""
    hub = "docker.io/"
    if image.startswith(hub):
        return image.removeprefix(hub)
    return image if any(mark in image.split("/")[0] for mark in ".:") else f"{hub}{image}"


def available_while(kubectl: Kubectl, change: Callable[[], None]) -> int:
    """Return the least number of available workers during a change."""
    over, seen = Event(), [99]

    def watch() -> None:
        while not over.is_set():
            found = kubectl.get("deployment", "throng-worker") or {}
            seen.append(int((found.get("status") or {}).get("availableReplicas") or 0))
            time.sleep(0.3)

    thread = Thread(target=watch)
    thread.start()
    try:
        change()
    finally:
        over.set()
        thread.join()
    return min(seen)


def done(console: Console, run: str) -> int:
    """Count the tasks that have run."""
    return int(console.run(f"print(json.dumps(marks().hlen('done:{run}')))"))


def pending(kubectl: Kubectl) -> int:
    """Ask beat how many tasks wait or run."""
    found = kubectl.ask_beat("/v1/status")["queues"]["throng"]
    return int(found["ready"]) + int(found["inFlight"]) + int(found["delayed"])
