"""Let the scaler's decision work on a load, second by second: tasks arrive, pods start, run, drain and go.

Nothing here is random, and nothing depends on the machine: the same load gives the same figures everywhere.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from benchmarks.scaling.loads import Case
from umbel_operator.plan.scaling import Load, Memory, decide

START = datetime(2026, 1, 5, tzinfo=UTC)
#: Multiples of it, taken modulo 1, spread evenly without ever repeating: run times differ as those of real tasks do.
_GOLDEN = 0.6180339887498949


@dataclass(frozen=True)
class Look:
    """How things stood at one look of the scaler."""

    second: int
    #: What spec.replicas says from this look on, and pods that take tasks.
    replicas: int
    working: int
    #: Tasks that wait, and the whole seconds that the oldest has waited.
    backlog: int
    age: int


@dataclass
class Outcome:
    """A whole simulation."""

    looks: list[Look] = field(default_factory=list)
    tasks: int = 0
    #: Seconds that all tasks together, and the one that waited for longest, waited for a slot.
    waited: int = 0
    longest: int = 0
    #: Seconds for which pods were there, from their creation to their end.
    pod_seconds: int = 0
    #: How often the number of pods was changed.
    changes: int = 0

    @property
    def most(self) -> int:
        """Return the highest number of pods."""
        return max(look.replicas for look in self.looks)


@dataclass(eq=False)
class _Pod:
    ready_at: float
    busy: int = 0
    draining: bool = False


class _Pool:
    """The pods of a WorkerPool and what waits for them."""

    def __init__(self, case: Case, outcome: Outcome) -> None:
        self.case = case
        self.outcome = outcome
        self.pods = [_Pod(0.0) for _ in range(case.replicas)]
        self.waiting: deque[int] = deque()
        self._running: list[tuple[float, int, _Pod]] = []
        self._begun = 0

    def arrive(self, tasks: int, now: int) -> None:
        self.waiting.extend([now] * tasks)
        self.outcome.tasks += tasks

    def step(self, now: int) -> None:
        """End what is over, begin what can be begun, and let drained pods go."""
        while self._running and self._running[0][0] <= now:
            heapq.heappop(self._running)[2].busy -= 1
        for pod in self.pods if self.waiting else ():
            while self.waiting and not pod.draining and pod.ready_at <= now and pod.busy < self.case.slots:
                self._begin(pod, now)
        self.pods = [pod for pod in self.pods if pod.busy or not pod.draining]
        self.outcome.pod_seconds += len(self.pods)

    def _begin(self, pod: _Pod, now: int) -> None:
        waited = now - self.waiting.popleft()
        self.outcome.waited += waited
        self.outcome.longest = max(self.outcome.longest, waited)
        self._begun += 1
        pod.busy += 1
        # From half to one and a half of the average.
        runtime = self.case.runtime * (0.5 + self._begun * _GOLDEN % 1)
        heapq.heappush(self._running, (now + runtime, self._begun, pod))

    def load(self) -> int:
        return len(self.waiting) + sum(pod.busy for pod in self.pods if not pod.draining)

    def resize(self, wanted: int, now: int) -> None:
        """Create pods, or remove those with the least to do first; these finish what they run."""
        staying = [pod for pod in self.pods if not pod.draining]
        self.pods += [_Pod(now + self.case.startup) for _ in range(wanted - len(staying))]
        idle_first = sorted(staying, key=lambda pod: (pod.busy, -pod.ready_at))
        for pod in idle_first[: max(0, len(staying) - wanted)]:
            pod.draining = True

    def look(self, now: int, replicas: int) -> Look:
        working = sum(pod.ready_at <= now and not pod.draining for pod in self.pods)
        return Look(now, replicas, working, len(self.waiting), now - self.waiting[0] if self.waiting else 0)


def simulate(case: Case, arrivals: Sequence[int]) -> Outcome:
    """Run a case.

    arrivals: tasks of each minute; they come evenly spread over it.
    """
    outcome = Outcome()
    pool, memory, replicas = _Pool(case, outcome), Memory(), case.replicas
    seen = _at(0), 0
    for now in range(60 * len(arrivals)):
        pool.arrive(_arriving(arrivals, now), now)
        if case.schedule is not None and now and now % case.schedule == 0:
            pool.arrive(case.scheduled_tasks, now)
        pool.step(now)
        if now % case.settings.sample_period_seconds:
            continue
        if not any(begin <= now < end for begin, end in case.silences):
            seen = _at(now), pool.load()
        load = Load(seen[1], seen[0], _next_due(case, now))
        decision = decide(case.settings, case.slots, replicas, load, memory, _at(now))
        outcome.changes += decision.replicas != replicas
        memory, replicas = decision.memory, decision.replicas
        pool.resize(replicas, now)
        outcome.looks.append(pool.look(now, replicas))
    return outcome


def _arriving(arrivals: Sequence[int], now: int) -> int:
    tasks, second = arrivals[now // 60], now % 60
    return tasks * (second + 1) // 60 - tasks * second // 60


def _next_due(case: Case, now: int) -> datetime | None:
    return None if case.schedule is None else _at((now // case.schedule + 1) * case.schedule)


def _at(second: int) -> datetime:
    return START + timedelta(seconds=second)
