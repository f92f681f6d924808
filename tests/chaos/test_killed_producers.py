"""Producers that are killed while their sends make a full queue drop tasks: every task that was sent waits, or has an end."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.redis_server import RedisServer
from tests.workers import until

from umbel import Umbel
from umbel.dropping import look_after

PRODUCER = """
import sys
from umbel import Umbel
app = Umbel("producer", broker=sys.argv[1], key_prefix=sys.argv[2])
for number in range(1_000_000):
    print(app.send_task("some.task", (number,)).id, flush=True)
"""


def test_what_a_killed_producer_made_a_queue_drop_has_an_end(
    redis_server: RedisServer, prefix: str, tmp_path: Path
) -> None:
    app = Umbel("looks", broker=redis_server.url, key_prefix=prefix, set_as_current=False)
    broker = app.broker
    broker.configure("default", {"max_length": 5, "overflow": "DropOldest", "dead_policy": "Discard"}, 1)
    sent: list[str] = []
    draw = random.Random(5)
    for turn in range(6):
        log = tmp_path / f"sent-{turn}"
        with log.open("wb") as out:
            producer = subprocess.Popen([sys.executable, "-c", PRODUCER, redis_server.url, prefix], stdout=out)
            until(lambda log=log: log.read_bytes().count(b"\n") > 20, "it sends")  # type: ignore[misc]
            time.sleep(draw.uniform(0.0, 0.05))
            producer.send_signal(signal.SIGKILL)
            producer.wait(10)
        sent += log.read_text().rpartition("\n")[0].split()
    while look_after(broker, ["default"]):
        pass
    assert broker.dropped("default") == []
    info = broker.info("default")
    assert (info.ready, info.in_flight) == (5, 0)
    without_end = [task_id for task_id in sent if not app.AsyncResult(task_id).failed()]
    assert len(without_end) <= 5, f"{len(without_end)} tasks of {len(sent)} have neither a place nor an end"
    app.close()
