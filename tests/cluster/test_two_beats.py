"""Two beats of one Broker: the leading pod is killed again and again, and no slot of a Schedule is lost or comes twice."""

from __future__ import annotations

import os
import random
import sys
import time
from collections.abc import Iterator

import pytest
from tests.cluster.console import Console
from tests.cluster.kubectl import Kubectl, wait
from tests.cluster.manifests import broker, queue, schedule
from tests.cluster.pods import kill

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]

BEATS = "umbel.dev/broker=paired,umbel.dev/component=beat"
KILLS = int(os.environ.get("BEAT_KILLS", "4"))
LOCK_TTL = 5
#: Seconds that a slot may be late, beyond the lock's: what the design asks for, and what a busy machine may add to it.
LATE = 2.0 if "BEAT_KILLS" in os.environ else 10.0

#: Which slots were enqueued and how late each was, by the messages that nobody consumes. Formatted with prefix and uid.
_SLOTS = """
import time
import redis
from umbel.beat.entry import run_ids
from umbel.message import decode

server = redis.Redis(host="redis")
now = int(server.time()[0])
slots = {{run_ids({uid!r}, second).run: second for second in range(now - 1500, now + 60)}}
raw = [one for p in range(10) for one in server.lrange(f"{prefix}:{{{{paired}}}}:r:{{p}}", 0, -1)]
found = [(slots[m.headers["run"]], m.enqueued_ms / 1000 - slots[m.headers["run"]]) for m in map(decode, raw)]
print(json.dumps(sorted(found)))
"""


@pytest.fixture
def paired(shop: Kubectl) -> Iterator[Kubectl]:
    """Make a Broker with two beats, and a Schedule that is due every second in a queue without workers."""
    pair = broker("paired")
    template = {"spec": {"shareProcessNamespace": True}}
    pair["spec"]["beat"] = {"replicas": 2, "lockTTLSeconds": LOCK_TTL, "template": template}
    shop.apply(pair, queue("paired", brokerRef={"name": "paired"}))
    every = {"type": "Interval", "interval": {"everySeconds": 1}}
    shop.apply(schedule("seconds", "paired", trigger=every, catchUp={"policy": "All", "maxRuns": 100}))
    shop.running(BEATS, 2)
    shop.wait_condition("schedule", "seconds", "Ready", "True")
    yield shop
    shop("delete", "schedule/seconds", "taskqueue/paired", "broker/paired")
    shop.gone(BEATS)


def leader(kubectl: Kubectl) -> str | None:
    """Name the pod that says of itself that it leads."""
    names = [pod["metadata"]["name"] for pod in kubectl.list_all("pods", BEATS)]
    leading = [name for name in names if kubectl.ask_pod(name, "/v1/status").get("leader")]
    return leading[0] if len(leading) == 1 else None


def test_the_leading_beat_killed_again_and_again_loses_and_repeats_no_slot(
    paired: Kubectl, console: Console, capsys: pytest.CaptureFixture[str]
) -> None:
    uid = (paired.get("schedule", "seconds") or {})["metadata"]["uid"]
    prefix = (paired.get("broker", "paired") or {})["status"]["keyPrefix"]
    slots = _SLOTS.format(uid=uid, prefix=prefix)
    wait("the first slots", lambda: len(console.run(slots)) > 2 or None)
    took = []
    for _ in range(KILLS):
        paired.running(BEATS, 2)
        old = wait("a leader", lambda: leader(paired))
        time.sleep(random.random())  # at any moment of the second
        kill(paired, old, "beat")
        killed = time.monotonic()
        wait("another leader", lambda o=old: name if (name := leader(paired)) not in (None, o) else None)  # type: ignore[misc]
        took.append(time.monotonic() - killed)
    last = max(slot for slot, _ in console.run(slots))
    wait("slots by the last leader", lambda: max(slot for slot, _ in console.run(slots)) > last + 2 or None)

    found = console.run(slots)
    numbers = [slot for slot, _ in found]
    latest = max(late for _, late in found)
    with capsys.disabled():
        shown = ", ".join(f"{seconds:.1f}" for seconds in took)
        sys.stdout.write(
            f"\nthe leading beat was killed {KILLS} times: another led after {shown} s; {len(numbers)} slots, "
            f"the latest {latest:.1f} s late\n"
        )
    assert len(set(numbers)) == len(numbers), "a slot was enqueued twice"
    assert numbers == list(range(numbers[0], numbers[-1] + 1)), "a slot was lost"
    assert latest < LOCK_TTL + LATE
