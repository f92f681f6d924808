"""Medians and ratios of a run. A ratio is the median of the ratios of each round, so that drift cancels out."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.rounds import Record


@dataclass(frozen=True)
class Spread:
    """The median of some rounds and how far they lie apart."""

    median: float
    lowest: float
    highest: float


def spread(values: Sequence[float]) -> Spread | None:
    """Return the spread of the rounds, or None where nothing was measured."""
    return Spread(statistics.median(values), min(values), max(values)) if values else None


def ratio(record: Record, measure: str, figure: str, peer: str, to: str) -> float | None:
    """Return how many times the figure of `to` the figure of `peer` is, or None if either was not measured or is no quantity."""
    return median_ratio(record.values(measure, peer, figure), record.values(measure, to, figure))


def median_ratio(ours: Sequence[float], theirs: Sequence[float]) -> float | None:
    """Return the median of the ratios of each round, or None if they do not fit or are no quantities."""
    if not ours or len(ours) != len(theirs) or min(ours) < 0 or min(theirs) <= 0:
        return None
    return statistics.median(one / other for one, other in zip(ours, theirs, strict=True))
