"""The table of a run, for a terminal, and the same as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from rich.table import Table

from benchmarks.adapter import Role
from benchmarks.goals import Verdict
from benchmarks.measures import MEASURES, Measure, Sizes
from benchmarks.rounds import Entrant, Record
from benchmarks.summary import Spread, ratio, spread


def build_table(record: Record, entrants: Sequence[Entrant], measures: Sequence[Measure], rounds: int) -> Table:
    """Return one row for each peer and one column for each figure: median, spread, and ratio to the first peer."""
    first = entrants[0]
    table = Table(
        title=f"median of {rounds} interleaved rounds (lowest–highest), × {first.peer.title}", show_lines=True
    )
    table.add_column("peer")
    columns = [(measure, figure) for measure in measures for figure in measure.figures]
    for measure, figure in columns:
        label, unit, _ = measure.figures[figure]
        table.add_column(f"{label} [{unit}]".replace("[", r"\["), justify="right")
    for entrant in entrants:
        cells = [
            _cell(
                spread(record.values(measure.name, entrant.name, figure)),
                ratio(record, measure.name, figure, entrant.name, first.name),
            )
            for measure, figure in columns
        ]
        table.add_row(_heading(entrant), *cells)
    return table


def build_goal_table(verdicts: Sequence[Verdict], measures: Mapping[str, Measure]) -> Table:
    """Return one row for each goal: what it asks, what the run showed."""
    table = Table(title="our goals, as ratios in this run")
    for heading in ("measure", "against", "goal", "shown", ""):
        table.add_column(heading)
    for verdict in verdicts:
        table.add_row(*verdict.words(measures), "met" if verdict.met else "MISSED")
    return table


def build_document(
    record: Record,
    entrants: Sequence[Entrant],
    verdicts: Sequence[Verdict],
    sizes: Sizes,
    machine: Mapping[str, object],
    when: str,
) -> dict[str, Any]:
    """Return the whole run as plain data: every round's figures, not only the medians."""
    return {
        "when": when,
        "machine": dict(machine),
        "sizes": asdict(sizes),
        "peers": {
            e.name: {
                "title": e.peer.title,
                "role": e.peer.role,
                "version": e.version,
                "recovery": e.peer.recovery,
                "installed": dict(e.versions),
            }
            for e in entrants
        },
        "figures": record.figures,
        "goals": [_goal(verdict) for verdict in verdicts],
        "failures": record.failures,
        "notes": record.notes,
    }


def _goal(verdict: Verdict) -> dict[str, Any]:
    to = None if verdict.peer is None else verdict.peer.name
    measure, against, bound, shown = verdict.words(MEASURES)
    words = {"label": measure, "against": against, "asked": bound, "shown": shown}
    return {**asdict(verdict.goal), "to": to, "value": verdict.value, "met": verdict.met, **words}


def _heading(entrant: Entrant) -> str:
    style = {Role.PEER: "", Role.OURS: "[bold]", Role.YARDSTICK: "[dim]"}[entrant.peer.role]
    return "\n".join([f"{style}{entrant.peer.title}", *([entrant.version] if entrant.version else [])])


def _cell(value: Spread | None, times: float | None) -> str:
    if value is None:
        return "–"
    text = show_number(value.median)
    if value.lowest != value.highest:
        text += f"\n[dim]({show_number(value.lowest)}–{show_number(value.highest)})[/dim]"
    return text if times is None else f"{text}\n{times:.2f}×"


def show_number(value: float) -> str:
    """Return a figure with the digits that mean something."""
    if value < 0:
        return "never"
    whole = value >= 100 or value == int(value)
    return f"{value:,.0f}" if whole else f"{value:.1f}" if value >= 10 else f"{value:.2f}"
