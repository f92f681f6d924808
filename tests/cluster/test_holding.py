"""A queue that is held, and goes on: how soon after `kubectl patch`."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from uuid import uuid4

import pytest
from tests.cluster.console import Console
from tests.cluster.kubectl import Kubectl, wait
from tests.cluster.manifests import pool, queue

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

#: Seconds within which either acts.
PROMISE = 10.0


@pytest.fixture
def gate(shop: Kubectl) -> Iterator[Kubectl]:
    shop.apply(queue("gate"), pool("gate", "gate"))
    shop.running("umbel.dev/pool=gate", 1)
    yield shop
    shop("delete", "workerpool/gate", "taskqueue/gate")


def set_dispatch(kubectl: Kubectl, value: str) -> None:
    kubectl("patch", "taskqueue/gate", "--type=merge", "-p", json.dumps({"spec": {"dispatch": value}}))


def send(console: Console, run: str, word: str) -> None:
    console.run(f"print(json.dumps(stamp.apply_async(args=[{run!r}, {word!r}], queue='gate').id))")


def begun(console: Console, run: str) -> dict[str, float]:
    """Read when the task of each word began, by the clock of Redis."""
    return {word: at for at, _, word in console.run(f"print(json.dumps(starts_of({run!r})))")}


def test_a_queue_is_held_and_goes_on_within_ten_seconds(
    gate: Kubectl, console: Console, capsys: pytest.CaptureFixture[str]
) -> None:
    run = uuid4().hex
    send(console, run, "first")
    wait("a task to run", lambda: "first" in begun(console, run) or None)

    since = console.redis_time()
    set_dispatch(gate, "Held")
    sent = 0
    while console.redis_time() - since < PROMISE:
        send(console, run, f"meanwhile {sent}")
        sent += 1
    send(console, run, "held")
    time.sleep(3)  # that nothing happens has no sign to wait for
    ran = begun(console, run)
    assert "held" not in ran
    held_after = max(ran.values()) - since if len(ran) > 1 else 0.0
    waits = sent + 2 - len(ran)
    assert gate.ask_beat("/v1/status")["queues"]["gate"]["ready"] == waits

    since = console.redis_time()
    set_dispatch(gate, "Enabled")
    wait("what was held to run", lambda: "held" in begun(console, run) or None)
    took = min(at for at in begun(console, run).values() if at > since) - since
    with capsys.disabled():
        sys.stdout.write(
            f"\nthe last task began {held_after:.1f} s after the hold, the first {took:.1f} s after the end of it\n"
        )
    assert took < PROMISE
