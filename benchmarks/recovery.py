"""A worker killed outright in the middle of its tasks: how long until another runs them, what is lost, what runs twice."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from benchmarks.body import LEDGER
from benchmarks.errors import BenchmarkError
from benchmarks.processes import Process
from benchmarks.turn import Turn

_POLL_SECONDS = 0.05
_START_SECONDS = 30.0
#: Seconds that all other tasks get to end, once what the killed worker held has begun again.
_REST_SECONDS = 30.0


@dataclass(frozen=True)
class Ledger:
    """What the tasks wrote: who began each, in order, and how often each has ended."""

    begun: dict[int, list[int]]
    ended: Counter[int]

    @classmethod
    def read(cls, directory: Path) -> Ledger:
        """Read the file, which may not be there yet."""
        begun: dict[int, list[int]] = {}
        ended: Counter[int] = Counter()
        path = directory / LEDGER
        for line in path.read_text().splitlines() if path.exists() else ():
            event, number, pid = line.split()
            if event == "begin":
                begun.setdefault(int(number), []).append(int(pid))
            else:
                ended[int(number)] += 1
        return cls(begun, ended)

    def running_in(self, pids: set[int]) -> set[int]:
        """Return the tasks that some of these processes began and nobody ended."""
        return {number for number, by in self.begun.items() if not self.ended[number] and pids.intersection(by)}


def recover(turn: Turn, seconds: float) -> dict[str, float]:
    """Kill one of two workers while it runs tasks.

    Returns: seconds until all that it ran had begun again elsewhere (-1: not within `seconds`), how many it ran, how many
    of all tasks have not ended by then, and how many ended more than once.
    """
    stop = turn.directory / "stop"
    with (
        turn.worker() as doomed,
        turn.worker("another worker"),
        turn.job("feed", stop=str(stop), seconds=_START_SECONDS) as feed,
    ):
        pids = _wait_until_at_work(turn, doomed)
        doomed.kill()
        killed = time.monotonic()
        held = Ledger.read(turn.place.counters).running_in(pids)
        stop.touch()
        sent = int(feed.figures()["sent"])
        took = _until_begun_again(turn, held, pids, killed, seconds)
        ledger = _until_ended(turn, sent, _REST_SECONDS if took >= 0 else 0.0)
    missing = sum(not ledger.ended[number] for number in range(sent))
    repeated = sum(times > 1 for times in ledger.ended.values())
    return {"seconds": took, "held": len(held), "missing": missing, "repeated": repeated, "sent": sent}


def _wait_until_at_work(turn: Turn, worker: Process) -> set[int]:
    """Return the worker's processes as soon as one of them runs a task."""
    end = time.monotonic() + _START_SECONDS
    while True:
        worker.require_alive()
        ledger = Ledger.read(turn.place.counters)
        if ledger.begun and ledger.running_in(pids := worker.members()):
            return pids
        if time.monotonic() > end:
            raise BenchmarkError(
                f"{worker.title} ran nothing for {_START_SECONDS:.0f} s; its last words:\n{worker.last_words()}"
            )
        time.sleep(_POLL_SECONDS)


def _until_begun_again(turn: Turn, held: set[int], pids: set[int], since: float, seconds: float) -> float:
    while (passed := time.monotonic() - since) < seconds:
        begun = Ledger.read(turn.place.counters).begun
        if all(set(begun[number]) - pids for number in held):
            return passed
        time.sleep(_POLL_SECONDS)
    return -1.0


def _until_ended(turn: Turn, sent: int, seconds: float) -> Ledger:
    end = time.monotonic() + seconds
    while True:
        ledger = Ledger.read(turn.place.counters)
        if len(ledger.ended) >= sent or time.monotonic() > end:
            return ledger
        time.sleep(_POLL_SECONDS)
