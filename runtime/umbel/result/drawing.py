"""A graph of results as a tree of lines, as Mermaid, as DOT, and as SVG."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from typing import Final

from umbel import states
from umbel.result.graph import NOT_RUN, ResultGraph

_COLOURS: Final = {
    states.SUCCESS: "#c8e6c9",
    states.FAILURE: "#ffcdd2",
    states.REVOKED: "#ffe0b2",
    states.STARTED: "#bbdefb",
    states.RETRY: "#fff9c4",
    NOT_RUN: "#ffffff",
}
_GREY: Final = "#eceff1"
#: Measures of a box in SVG, and the space between two.
_WIDTH, _HEIGHT, _GAP = 220, 36, 28


def tree(graph: ResultGraph) -> str:
    """Return lines with what follows upon a task below it, further in."""
    lines: list[str] = []
    shown: set[str] = set()
    to_show = [(root, 0) for root in reversed(graph.roots())]
    while to_show:
        task_id, depth = to_show.pop()
        again = task_id in shown
        lines.append(f"{'  ' * depth}{graph.spots[task_id].label}  {task_id}{'  (see above)' if again else ''}")
        if not again:
            shown.add(task_id)
            to_show += [(later, depth + 1) for later in reversed(graph.after(task_id))]
    return "\n".join(lines)


def mermaid(graph: ResultGraph) -> str:
    """Return a flowchart for Mermaid."""
    numbers = {task_id: f"n{number}" for number, task_id in enumerate(graph)}
    lines = ["flowchart TD"]
    for task_id, spot in graph.spots.items():
        text = spot.label.replace('"', "#quot;")
        lines.append(f'  {numbers[task_id]}["{text}"]')
        lines.append(f"  style {numbers[task_id]} fill:{_COLOURS.get(spot.state, _GREY)}")
    lines += [f"  {numbers[earlier]} --> {numbers[later]}" for earlier, later in graph.edges]
    return "\n".join(lines)


def dot(graph: ResultGraph) -> str:
    """Return a graph for Graphviz."""
    lines = ["digraph results {", "  node [shape=box, style=filled];"]
    for task_id, spot in graph.spots.items():
        text = spot.label.replace("\\", "\\\\").replace('"', '\\"')
        lines.append(f'  "{task_id}" [label="{text}", fillcolor="{_COLOURS.get(spot.state, _GREY)}"];')
    lines += [f'  "{earlier}" -> "{later}";' for earlier, later in graph.edges]
    return "\n".join([*lines, "}"])


def svg(graph: ResultGraph) -> str:
    """Return a picture: each task below all that it follows upon."""
    ranks = dict.fromkeys(graph, 0)
    for task_id in graph.topsort():
        for later in graph.after(task_id):
            ranks[later] = max(ranks[later], ranks[task_id] + 1)
    rows: dict[int, list[str]] = {}
    for task_id, rank in ranks.items():
        rows.setdefault(rank, []).append(task_id)
    spots = {
        task_id: (_GAP + column * (_WIDTH + _GAP), _GAP + rank * (_HEIGHT + 2 * _GAP))
        for rank, row in rows.items()
        for column, task_id in enumerate(row)
    }
    wide = max((len(row) for row in rows.values()), default=0) * (_WIDTH + _GAP) + _GAP
    high = len(rows) * (_HEIGHT + 2 * _GAP) + _GAP
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide} {high}" width="{wide}" height="{high}" '
    parts = [head + 'font-family="sans-serif" font-size="12">']
    for earlier, later in graph.edges:
        (x1, y1), (x2, y2) = spots[earlier], spots[later]
        half = _WIDTH // 2
        line = f'x1="{x1 + half}" y1="{y1 + _HEIGHT}" x2="{x2 + half}" y2="{y2}"'
        parts.append(f'<line {line} stroke="#607d8b"/>')
    for task_id, (x, y) in spots.items():
        spot = graph.spots[task_id]
        fill = _COLOURS.get(spot.state, _GREY)
        box = f'<rect x="{x}" y="{y}" width="{_WIDTH}" height="{_HEIGHT}" rx="6" fill="{fill}" stroke="#607d8b"/>'
        text = f'<text x="{x + 8}" y="{y + 22}">{escape(spot.label)}</text>'
        parts.append(f"<g><title>{escape(task_id)}</title>{box}{text}</g>")
    return "\n".join([*parts, "</svg>"])


#: By the names that the command line knows.
DRAWINGS: Final[dict[str, Callable[[ResultGraph], str]]] = {"tree": tree, "mermaid": mermaid, "dot": dot, "svg": svg}
