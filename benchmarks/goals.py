"""What we promise of our own speed, as ratios to the peers in the same run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.adapter import Role
from benchmarks.rounds import Entrant, Record
from benchmarks.summary import ratio


@dataclass(frozen=True)
class Goal:
    """A bound on our figure divided by that of a peer (`to`; None: of every peer)."""

    measure: str
    figure: str
    to: str | None
    bound: float
    at_least: bool

    def holds(self, value: float) -> bool:
        """Return whether a ratio meets the goal."""
        return value >= self.bound if self.at_least else value <= self.bound


GOALS = (
    Goal("drain", "rate", "celery", 8.0, at_least=True),
    Goal("drain", "rate", None, 1.0, at_least=True),
    Goal("enqueue", "rate", None, 2.0, at_least=True),
    Goal("latency", "p50", None, 0.6, at_least=False),
    Goal("memory", "pss", None, 1.0, at_least=False),
)


@dataclass(frozen=True)
class Verdict:
    """A goal against one peer, and what the run showed."""

    goal: Goal
    peer: Entrant
    value: float

    @property
    def met(self) -> bool:
        """Whether the run met the goal."""
        return self.goal.holds(self.value)


def judge(record: Record, entrants: Sequence[Entrant]) -> list[Verdict]:
    """Return a verdict for each goal and peer of which both figures were measured."""
    peers = [entrant for entrant in entrants if entrant.peer.role is Role.PEER]
    verdicts = []
    for ours in (entrant for entrant in entrants if entrant.peer.role is Role.OURS):
        for goal in GOALS:
            for peer in peers:
                if goal.to in (None, peer.name):
                    value = ratio(record, goal.measure, goal.figure, ours.name, peer.name)
                    if value is not None:
                        verdicts.append(Verdict(goal, peer, value))
    return verdicts
