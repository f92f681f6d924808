"""The figures of a run as Markdown. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from typing import Any

from benchmarks.adapter import Role
from benchmarks.measures import MEASURES
from benchmarks.report import show_number
from benchmarks.summary import median_ratio

Run = dict[str, Any]


def machine(run: Run) -> Iterable[str]:
    """Say when and on what the figures were taken."""
    about = run["machine"]
    yield (
        f"Taken on {run['when'][:10]} on a {about['processor']} with {about['cores']} cores, Linux {about['kernel']}, "
        f"{about['python']}, {about['redis']}; load {about['load_before']} before and {about['load_after']} after the run, "
        "medians of all rounds."
    )


def peers(run: Run, *measures: str) -> Iterable[str]:
    """Return a table with a row for each peer: its figure, and ours divided by it."""
    columns = [(measure, figure) for measure in measures for figure in MEASURES[measure].figures]
    heads = [_head(measure, figure) for measure, figure in columns]
    ours = next(name for name, peer in run["peers"].items() if peer["role"] == Role.OURS)
    rows = []
    for name, peer in run["peers"].items():
        title = f"**{peer['title']}**" if name == ours else peer["title"]
        cells = [_figure(run, measure, figure, name, ours) for measure, figure in columns]
        rows.append([f"{title} {peer['version'] or ''}".strip(), *cells])
    return _table(["", *heads], rows)


def notes(run: Run) -> Iterable[str]:
    """Return how each peer gets back what a killed worker held, and who failed or could not take part."""
    for peer in run["peers"].values():
        if peer["recovery"]:
            yield f"* {peer['title']}: {peer['recovery']}."
    for sentence in (*run["notes"], *run["failures"]):
        yield f"* {sentence.splitlines()[0].rstrip(':')}."


def goals(run: Run) -> Iterable[str]:
    """Return a table of what we want of ourselves."""
    rows = [
        [g["label"], g["against"], g["asked"], g["shown"], "met" if g["met"] else "**missed**"] for g in run["goals"]
    ]
    return _table(["measure", "against", "goal", "shown", ""], rows, left=2)


def anatomy(run: Run, what: str) -> Iterable[str]:
    """Return a table of what a task costs in a child, in Redis, or when it is sent."""
    found = run["anatomy"]
    if what == "steps":
        rows = [[step["step"], f"{step['us']:.1f}", f"{step['share']:.0%}"] for step in found["steps"]]
        whole = [f"all ({found['samples']} samples)", f"{found['worker_cpu_us']:.1f}", "100%"]
        return _table(["step, of a no-op that is drained", "µs of processor time a task", "share"], [*rows, whole])
    if what == "redis":
        rows = [[f"`{cost['what'].upper()}`", f"{cost['us']:.2f}", f"{cost['calls']:.3g}"] for cost in found["redis"]]
        return _table(["command", "µs a task", "calls a task"], rows)
    rows = [[how, f"{cost['us']:.1f}", f"{cost['calls']:.3g}"] for how, cost in found["publish"].items()]
    return _table(["sent", "µs of processor time of Redis a task", "scripts a task"], rows)


def growth(run: Run, by: str) -> Iterable[str]:
    """Return a table of how the rate grows with one thing."""
    head = {"children": "children", "payload": "bytes of arguments", "length": "tasks in the queue"}[by]
    rows = [
        [
            f"{point[by]:,}",
            f"{point['rate']:,.0f}",
            f"{point['sent_rate']:,.0f}",
            *(f"{point[key]:.1f}" if point[key] is not None else "–" for key in ("worker_cpu_us", "redis_cpu_us")),
            f"{point['redis_bytes']:,.0f}",
        ]
        for point in run["growth"][by]
    ]
    heads = ["drained/s", "sent in bulk/s", "µs of the worker a task", "µs of Redis a task", "bytes in Redis a task"]
    return _table([head, *heads], rows, left=0)


def mixed(run: Run) -> Iterable[str]:
    """Return a table of long and short tasks mixed."""
    rows = [
        [
            f"{point['children']}",
            f"{point['tasks']:,}",
            f"{1e3 * point['worst_hold']:.0f}",
            f"{point['took']:.2f}",
            f"{point['ideal']:.2f}",
            f"{point['took'] / point['ideal']:.2f}×",
        ]
        for point in run["mixed"]
    ]
    return _table(
        ["children", "tasks", "longest holding [ms]", "took [s]", "ideal [s]", "took, beside the ideal"], rows, left=0
    )


def _head(measure: str, figure: str) -> str:
    label, unit, _ = MEASURES[measure].figures[figure]
    return f"{label} [{unit}]"


def _figure(run: Run, measure: str, figure: str, name: str, ours: str) -> str:
    rounds = run["figures"].get(measure, {})
    values = [one[figure] for one in rounds.get(name, ())]
    if not values:
        return "–"
    shown = show_number(statistics.median(values))
    times = median_ratio([one[figure] for one in rounds.get(ours, ())], values)
    return shown if name == ours or not times else f"{shown} ({times:.2f}×)"


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]], left: int = 1) -> Iterable[str]:
    yield f"| {' | '.join(heads)} |"
    yield f"|{'|'.join('---' if at < left else '--:' for at in range(len(heads)))}|"
    for row in rows:
        yield f"| {' | '.join(row)} |"
