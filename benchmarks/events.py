"""What events cost a task: ``python -m benchmarks.events``.

No-op tasks are drained by two children, with ``-E`` and without it, in turns; of each pair of drains the ratio is taken. An event
costs the child that tells of it, and Redis, which keeps it: both are given in microseconds of processor time for each task.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks import drain
from benchmarks.adapter import Peer, Place
from benchmarks.errors import BenchmarkError
from benchmarks.measures import preload
from benchmarks.peers.umbel.adapter import UmbelPeer
from benchmarks.turn import new_turn
from umbel.redis import keys
from umbel.redis.endpoint import Endpoint

_PREFIX = "umbel"
_BIN = Path(sys.executable).parent


class WithEvents(UmbelPeer):
    """Ourselves, with events."""

    title = "Umbel -E"

    def worker(self, place: Place, bin_dir: Path) -> list[str]:
        return [*super().worker(place, bin_dir), "-E"]


@dataclass(frozen=True)
class Round:
    """Two drains: tasks a second, and microseconds of processor time for each task, in the worker and in Redis."""

    rate: float
    rate_with: float
    worker_us: float
    worker_us_with: float
    redis_us: float
    redis_us_with: float
    events: int

    @property
    def ratio(self) -> float:
        """The rate with events, as a part of that without."""
        return self.rate_with / self.rate


def take(peer: Peer, tasks: int) -> tuple[drain.Drain, int]:
    """Drain so many no-op tasks; return what that showed, and how many events were written."""
    with new_turn("umbel", peer, _BIN) as turn:
        preload(turn, "noop", tasks)
        with turn.worker() as worker:
            samples = drain.watch(turn.place.counters, tasks, worker, turn.server.process)
        connection = Endpoint(turn.server.url).connect(5.0)
        try:
            # The stream is capped: the id of an event does not count them, what was ever added does.
            info = connection.call(b"XINFO", b"STREAM", keys.events(_PREFIX)) if peer.title == WithEvents.title else []
        finally:
            connection.close()
        fields = dict(zip(info[::2], info[1::2], strict=True))
        return drain.evaluate(samples, tasks), int(fields.get(b"entries-added", 0))


def compare(tasks: int) -> Round:
    """Take one round."""
    without, _ = take(UmbelPeer(), tasks)
    with_events, events = take(WithEvents(), tasks)
    return Round(
        without.rate,
        with_events.rate,
        without.worker_cpu_us or 0.0,
        with_events.worker_cpu_us or 0.0,
        without.redis_cpu_us or 0.0,
        with_events.redis_cpu_us or 0.0,
        events,
    )


def page(rounds: list[Round], tasks: int) -> str:
    """Return the rounds as text."""
    lines = ["tasks/s   with -E     ratio   worker µs/task   with -E   Redis µs/task   with -E   events/task"]
    for one in rounds:
        lines.append(
            f"{one.rate:7.0f} {one.rate_with:9.0f} {one.ratio:9.2f} {one.worker_us:16.0f} {one.worker_us_with:9.0f} "
            f"{one.redis_us:15.1f} {one.redis_us_with:9.1f} {one.events / tasks:13.2f}"
        )
    ratios = [one.ratio for one in rounds]
    worker = statistics.median(one.worker_us_with - one.worker_us for one in rounds)
    redis = statistics.median(one.redis_us_with - one.redis_us for one in rounds)
    lines.append(
        f"median ratio {statistics.median(ratios):.2f} (from {min(ratios):.2f} to {max(ratios):.2f}); events cost a task "
        f"{worker:.0f} µs in the worker and {redis:.1f} µs in Redis"
    )
    return "\n".join(lines)


def main() -> int:
    """Take the rounds and print them, or JSON with ``--json``."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.events", description=__doc__)
    parser.add_argument("--tasks", type=int, default=100_000, help="of each drain")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    load = os.getloadavg()[0]
    try:
        rounds = [compare(args.tasks) for _ in range(args.rounds)]
    except BenchmarkError as error:
        print(f"it failed: {error}", file=sys.stderr)
        return 1
    if args.json:
        print(json.dumps({"load": load, "rounds": [asdict(one) for one in rounds]}))
    else:
        print(f"{page(rounds, args.tasks)}\nload at the start: {load:.1f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
