"""Which fault comes when: made from a seed, so that a plan can be had again."""

from __future__ import annotations

import random
from dataclasses import dataclass

#: Kinds of faults with their weights, and the seconds between two of one row, from and to. The rows run beside each other.
#: Not closer: a reaper has to live for `PATIENCE` to bury anybody, and any of the three workers and beat may be the one.
LIGHT = {"child-kill": 6, "child-stop": 2, "cut-connections": 1, "forget-scripts": 1}
HEAVY = {
    "worker-kill": 4,
    "worker-kill-all-at-once": 2,
    "worker-freeze": 2,
    "supervisor-freeze": 1,
    "worker-term": 3,
    "zygote-kill": 1,
    "beat-kill": 2,
}
REDIS = {"redis-restart": 2, "redis-kill": 2, "redis-hang": 1}
ROWS = ((LIGHT, 1.0, 4.0), (HEAVY, 6.0, 10.0), (REDIS, 16.0, 30.0))
#: Seconds that a fault lasts, from and to, where it does.
LASTS = {
    "child-stop": (0.2, 4.0),
    "worker-freeze": (1.0, 20.0),
    "supervisor-freeze": (1.0, 15.0),
    "worker-kill": (0.0, 3.0),
    "worker-kill-all-at-once": (0.0, 3.0),
    "beat-kill": (0.0, 3.0),
    "redis-restart": (0.0, 4.0),
    "redis-kill": (0.0, 4.0),
    "redis-hang": (0.5, 6.0),
}


@dataclass(frozen=True)
class Fault:
    """One fault.

    Args:
        at: seconds from the start.
        kind: see `ROWS`.
        pick: between 0 and 1, says whom of those who are there it hits.
        lasts: seconds until it is undone, or until what it ended is started again.
    """

    at: float
    kind: str
    pick: float
    lasts: float


def make_plan(seed: int, seconds: float, *, durable: bool = True) -> list[Fault]:
    """Return the faults of a run, in order.

    Args:
        seed: the same seed gives the same plan.
        seconds: of the run; the last ones are left in peace, so that what began can end.
        durable: Redis keeps all that it has answered, so that it may be killed.
    """
    chance = random.Random(seed)
    faults = []
    for kinds, least, most in ROWS:
        weights = {kind: weight for kind, weight in kinds.items() if durable or kind != "redis-kill"}
        at = chance.uniform(least, most)
        while at < seconds - 2.0:
            (kind,) = chance.choices(list(weights), list(weights.values()))
            lasts = chance.uniform(*LASTS[kind]) if kind in LASTS else 0.0
            faults.append(Fault(round(at, 3), kind, chance.random(), round(lasts, 3)))
            at += chance.uniform(least, most)
    return sorted(faults, key=lambda fault: fault.at)
