"""The table of a run, for a terminal, and the same as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from rich.table import Table

from benchmarks.adapter import Role
from benchmarks.goals import Verdict
from benchmarks.measures import Measure, Sizes
from benchmarks.rounds import Entrant, Record
from benchmarks.summary import Spread, ratio, spread


def build_table(record: Record, entrants: Sequence[Entrant], measures: Sequence[Measure], rounds: int) -> Table:
    """Return one row for each figure and one column for each peer: median, spread, and ratio to the first column."""
    first = entrants[0]
    table = Table(title=f"median of {rounds} interleaved rounds (lowest to highest), × {first.peer.title}")
    table.add_column("measure")
    for entrant in entrants:
        table.add_column(_heading(entrant), justify="right")
    for measure in measures:
        for figure, (label, unit, _) in measure.figures.items():
            cells = [
                _cell(
                    spread(record.values(measure.name, entrant.name, figure)),
                    ratio(record, measure.name, figure, entrant.name, first.name),
                )
                for entrant in entrants
            ]
            table.add_row(f"{label} [{unit}]".replace("[", r"\["), *cells)
    return table


def build_goal_table(verdicts: Sequence[Verdict], measures: Mapping[str, Measure]) -> Table:
    """Return one row for each goal: what it asks, what the run showed."""
    table = Table(title="our goals, as ratios in this run")
    for heading in ("measure", "against", "goal", "shown", ""):
        table.add_column(heading)
    for verdict in verdicts:
        goal = verdict.goal
        label = measures[goal.measure].figures[goal.figure][0]
        bound = f"{'≥' if goal.at_least else '≤'} {goal.bound:g} ×"
        table.add_row(
            label, verdict.peer.peer.title, bound, f"{verdict.value:.2f} ×", "met" if verdict.met else "MISSED"
        )
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
            e.name: {"title": e.peer.title, "version": e.version, "installed": dict(e.versions)} for e in entrants
        },
        "figures": record.figures,
        "goals": [{**asdict(v.goal), "to": v.peer.name, "value": v.value, "met": v.met} for v in verdicts],
        "failures": record.failures,
    }


def _heading(entrant: Entrant) -> str:
    style = {Role.PEER: "", Role.OURS: "[bold]", Role.YARDSTICK: "[dim]"}[entrant.peer.role]
    return f"{style}{entrant.peer.title}{' ' + entrant.version if entrant.version else ''}"


def _cell(value: Spread | None, times: float | None) -> str:
    if value is None:
        return "–"
    text = _number(value.median)
    if value.lowest != value.highest:
        text += f" [dim]({_number(value.lowest)}–{_number(value.highest)})[/dim]"
    return text if times is None else f"{text} {times:5.2f}×"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"
