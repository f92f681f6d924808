"""What we promise of our own speed, as ratios to the peers in the same run where there is something to compare with."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.adapter import Role
from benchmarks.measures import Measure
from benchmarks.rounds import Entrant, Record
from benchmarks.summary import ratio

#: In the place of a peer's name: the best of all peers, and nobody (the bound is the figure itself).
BEST, NOBODY = "best", "nobody"


@dataclass(frozen=True)
class Goal:
    """A bound on our figure divided by that of `to`: the folder of a peer, or `BEST`, or `NOBODY`."""

    measure: str
    figure: str
    to: str
    bound: float
    at_least: bool

    def holds(self, value: float) -> bool:
        """Return whether a ratio meets the goal."""
        return value >= self.bound if self.at_least else 0 <= value <= self.bound


GOALS = (
    Goal("drain", "rate", BEST, 8.0, at_least=True),
    Goal("drain", "rate", "celery", 40.0, at_least=True),
    Goal("drain", "rate", "barest", 0.25, at_least=True),
    Goal("enqueue", "rate", BEST, 2.0, at_least=True),
    Goal("bulk", "rate", NOBODY, 100_000.0, at_least=True),
    Goal("latency", "p50", BEST, 0.6, at_least=False),
    Goal("memory", "pss", BEST, 1.0, at_least=False),
    Goal("recovery", "seconds", NOBODY, 15.0, at_least=False),
    Goal("recovery", "missing", NOBODY, 0.0, at_least=False),
)


@dataclass(frozen=True)
class Verdict:
    """A goal, the peer that it was measured against (None: nobody), and what the run showed."""

    goal: Goal
    peer: Entrant | None
    value: float

    @property
    def met(self) -> bool:
        """Whether the run met the goal."""
        return self.goal.holds(self.value)

    def words(self, measures: Mapping[str, Measure]) -> tuple[str, str, str, str]:
        """Return the measure, against whom, what is asked and what was shown, for a table."""
        label, unit, _ = measures[self.goal.measure].figures[self.goal.figure]
        sign = "≥" if self.goal.at_least else "≤"
        if self.peer is None:
            return label, "", f"{sign} {self.goal.bound:,.0f} {unit}", f"{self.value:,.1f} {unit}"
        best = ", the best peer" if self.goal.to == BEST else ""
        return label, self.peer.peer.title + best, f"{sign} {self.goal.bound:g} ×", f"{self.value:.2f} ×"


def judge(record: Record, entrants: Sequence[Entrant]) -> list[Verdict]:
    """Return a verdict for each goal of which all figures were measured."""
    ours = next((entrant for entrant in entrants if entrant.peer.role is Role.OURS), None)
    found = [_judge(goal, ours, record, entrants) for goal in GOALS] if ours is not None else []
    return [verdict for verdict in found if verdict is not None]


def _judge(goal: Goal, ours: Entrant, record: Record, entrants: Sequence[Entrant]) -> Verdict | None:
    if goal.to == NOBODY:
        values = record.values(goal.measure, ours.name, goal.figure)
        return Verdict(goal, None, statistics.median(values)) if values else None
    verdicts = []
    for entrant in entrants:
        if entrant.name == goal.to or (goal.to == BEST and entrant.peer.role is Role.PEER):
            value = ratio(record, goal.measure, goal.figure, ours.name, entrant.name)
            if value is not None:
                verdicts.append(Verdict(goal, entrant, value))
    # The best peer is the one against which we look worst.
    return (min if goal.at_least else max)(verdicts, key=lambda verdict: verdict.value, default=None)
