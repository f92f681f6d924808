"""Take the measures in interleaved rounds: A B C, A B C, so that a slow minute of the machine meets every peer."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
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
    """All figures of a run: measure -> peer -> one set of figures for each round. And what failed or cannot be, as sentences."""

    figures: dict[str, dict[str, list[Figures]]] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    failed: set[tuple[str, str]] = field(default_factory=set)

    def fail(self, measure: str, entrant: Entrant, error: BenchmarkError) -> None:
        """Take the peer out of one measure, with what it showed until then."""
        self.failed.add((measure, entrant.name))
        self.failures.append(f"{entrant.peer.title} failed at `{measure}`: {error}")
        self.figures.get(measure, {}).pop(entrant.name, None)

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
    """Measure every entrant `rounds` times. One that fails at a measure is left out of that measure from then on."""
    record = Record()
    for number in range(1, rounds + 1):
        for measure in measures:
            if measure.once and number > 1:
                continue
            able = [
                e for e in entrants if measure.why_not(e.peer) is None and (measure.name, e.name) not in record.failed
            ]
            for entrant in entrants:
                why = measure.why_not(entrant.peer)
                if why is not None and number == 1:
                    record.notes.append(f"{entrant.peer.title} takes no part in `{measure.name}`: {why}")
            tell(f"round {number} of {rounds}: {measure.name}")
            takes = _take_together(able, measure, sizes) if measure.together else _take_in_turn(able, measure, sizes)
            for entrant, outcome in takes:
                if isinstance(outcome, BenchmarkError):
                    record.fail(measure.name, entrant, outcome)
                else:
                    record.figures.setdefault(measure.name, {}).setdefault(entrant.name, []).append(outcome)
    return record


Outcome = tuple[Entrant, "Figures | BenchmarkError"]


def _take_in_turn(entrants: Sequence[Entrant], measure: Measure, sizes: Sizes) -> Iterator[Outcome]:
    for entrant in entrants:
        yield entrant, _take(entrant, measure, sizes)


def _take_together(entrants: Sequence[Entrant], measure: Measure, sizes: Sizes) -> Iterator[Outcome]:
    """Give each a thread, which starts and stops all processes of its turn: the kernel ends them with their thread."""
    found: dict[str, Figures | BenchmarkError] = {}

    def take(entrant: Entrant) -> None:
        found[entrant.name] = BenchmarkError("the harness was interrupted")
        found[entrant.name] = _take(entrant, measure, sizes)

    threads = [threading.Thread(target=take, args=(entrant,), daemon=True) for entrant in entrants]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for entrant in entrants:
        yield entrant, found[entrant.name]


def _take(entrant: Entrant, measure: Measure, sizes: Sizes) -> Figures | BenchmarkError:
    wants = {"waits_for_results": measure.waits_for_results, "must_recover": measure.must_recover}
    try:
        with new_turn(entrant.name, entrant.peer, entrant.bin_dir, **wants) as turn:
            return measure.take(turn, sizes)
    except BenchmarkError as error:
        return error
