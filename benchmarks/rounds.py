"""Take the measures in interleaved rounds: A B C, A B C, so that a slow minute of the machine meets every peer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.adapter import Peer
from benchmarks.errors import BenchmarkError
from benchmarks.measures import Figures, Measure, Sizes
from benchmarks.turn import new_turn


@dataclass(frozen=True)
class Entrant:
    """A peer that takes part: the name of its folder, its adapter, its environment and what is installed there."""

    name: str
    peer: Peer
    bin_dir: Path
    versions: Mapping[str, str]

    @property
    def version(self) -> str | None:
        """The installed version of the peer itself."""
        return self.versions.get(self.peer.distribution) if self.peer.distribution else None


@dataclass
class Record:
    """All figures of a run: measure -> peer -> one set of figures for each round. And what failed, as sentences."""

    figures: dict[str, dict[str, list[Figures]]] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)

    def values(self, measure: str, peer: str, figure: str) -> list[float]:
        """Return one figure of one peer, a value for each round."""
        return [figures[figure] for figures in self.figures.get(measure, {}).get(peer, [])]


def take_rounds(
    entrants: Sequence[Entrant],
    measures: Sequence[Measure],
    sizes: Sizes,
    rounds: int,
    tell: Callable[[str], None],
) -> Record:
    """Measure every entrant `rounds` times. One that fails is left out from then on, and its figures are dropped."""
    record = Record()
    failed: set[str] = set()
    for number in range(1, rounds + 1):
        for measure in measures:
            for entrant in entrants:
                if entrant.name in failed or (measure.needs_bulk and not entrant.peer.bulk):
                    continue
                tell(f"round {number} of {rounds}: {measure.name}, {entrant.peer.title}")
                try:
                    figures = _take(entrant, measure, sizes)
                except BenchmarkError as error:
                    failed.add(entrant.name)
                    record.failures.append(f"{entrant.peer.title} failed at `{measure.name}`: {error}")
                    continue
                record.figures.setdefault(measure.name, {}).setdefault(entrant.name, []).append(figures)
    for of_measure in record.figures.values():
        for name in failed:
            of_measure.pop(name, None)
    return record


def _take(entrant: Entrant, measure: Measure, sizes: Sizes) -> Figures:
    with new_turn(entrant.name, entrant.peer, entrant.bin_dir, waits_for_results=measure.waits_for_results) as turn:
        return measure.take(turn, sizes)
