"""The program that sends tasks until it is told to end (SIGTERM): `python -m tests.chaos.storm.producer SEED RATE`."""

from __future__ import annotations

import random
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from tests.chaos.storm import app as storm
from tests.chaos.storm.fleet import FILLED
from tests.chaos.storm.ledger import note

from umbel.cli.ending import Ending
from umbel.errors import OperationalError

THREADS = 4
#: Tasks that may wait; above that the producer waits too.
BACKLOG = 3000

Call = tuple[Any, tuple[Any, ...], dict[str, Any]]


def _at_once(chance: random.Random) -> Call:
    return storm.work, (), {}


def _short(chance: random.Random) -> Call:
    return storm.work, (round(chance.expovariate(200.0), 4),), {}


def _long(chance: random.Random) -> Call:
    return storm.work, (round(chance.uniform(0.3, 2.0), 3),), {}


def _delayed(chance: random.Random) -> Call:
    return storm.work, (), {"countdown": round(chance.uniform(0.05, 5.0), 3)}


def _again(chance: random.Random) -> Call:
    return storm.comes_again, (chance.randint(1, 3), round(chance.uniform(0.0, 1.0), 3)), {}


def _once(chance: random.Random) -> Call:
    return storm.once, (0.001,), {}


def _one_by_one(chance: random.Random) -> Call:
    return storm.one_by_one, (chance.randrange(5), round(chance.uniform(0.0, 0.02), 4)), {}


def _rated(chance: random.Random) -> Call:
    return storm.rated, (), {}


def _unique(chance: random.Random) -> Call:
    return storm.unique, (chance.randrange(10),), {}


def _grouped(chance: random.Random) -> Call:
    return storm.work, (), {"group": f"tenant-{chance.randrange(4)}"}


def _sends(chance: random.Random) -> Call:
    return storm.sends, (chance.randint(1, 3),), {}


def _exits(chance: random.Random) -> Call:
    return storm.exits, (), {}


def _hangs(chance: random.Random) -> Call:
    return storm.hangs, (), {}


def _fills(chance: random.Random) -> Call:
    return storm.fills_memory, (chance.randint(8, 64),), {}


#: What is sent: name (the first part of the task id), maker, weight.
KINDS: tuple[tuple[str, Callable[[random.Random], Call], float], ...] = (
    ("plain", _at_once, 50),
    ("short", _short, 20),
    ("long", _long, 1.5),
    ("delayed", _delayed, 10),
    ("again", _again, 6),
    ("once", _once, 3),
    ("keyed", _one_by_one, 4),
    ("rated", _rated, 2),
    ("unique", _unique, 2),
    ("grouped", _grouped, 5),
    ("sends", _sends, 2),
    ("exits", _exits, 0.03),
    ("hangs", _hangs, 0.1),
    ("fills", _fills, 0.1),
)


def _produce(seed: int, number: int, rate: float, ended: threading.Event) -> None:
    chance = random.Random(f"{seed}/{number}")
    weights = [weight for _, _, weight in KINDS]
    due = time.monotonic()
    count = 0
    while not ended.is_set():
        ((kind, make, _),) = chance.choices(KINDS, weights)
        task, args, options = make(chance)
        options |= {"queue": chance.choice(storm.QUEUES), "priority": chance.randrange(10)}
        if kind == "fills":
            options["queue"] = FILLED
        task_id = f"{kind}-{number}-{count}"
        result = storm.send(task, args, options, task_id)
        # One thread asks for what comes of it now and then.
        if number == 0 and count % 20 == 0 and result is not None and kind == "plain":
            _ask(result, task_id)
        count += 1
        due = max(due + chance.expovariate(rate), time.monotonic() - 1.0)
        ended.wait(max(0.0, due - time.monotonic()))
        if count % 50 == 0:
            _wait_for_room(ended)


def _ask(result: Any, task_id: str) -> None:
    try:
        result.get(timeout=20, propagate=False)
        note("answered", task_id)
    except (TimeoutError, OperationalError):
        note("unanswered", task_id)


def _wait_for_room(ended: threading.Event) -> None:
    while not ended.is_set():
        try:
            if sum(storm.app.broker.info(queue).ready for queue in storm.QUEUES) < BACKLOG:
                return
        except OperationalError:
            return
        ended.wait(0.5)


def main() -> None:
    """Send until SIGTERM."""
    seed, rate = int(sys.argv[1]), float(sys.argv[2])
    ended, ending = threading.Event(), Ending()
    threads = [
        threading.Thread(target=_produce, args=(seed, number, rate / THREADS, ended)) for number in range(THREADS)
    ]
    for thread in threads:
        thread.start()
    ending.wait()
    ended.set()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main()
