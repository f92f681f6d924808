"""Draw a simulation as SVG: arriving tasks, pods, waiting tasks and the age of the oldest over time."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from benchmarks.scaling.loads import Case
from benchmarks.scaling.simulation import Outcome

WIDTH, LEFT, RIGHT, TOP = 860, 64, 16, 34
#: Of one chart, and from it to the next one.
HEIGHT, GAP = 92, 34
#: Points of a line at most; of those that fall together the highest is drawn.
POINTS = 360
INK, FAINT = "#57606a", "#d8dee4"
#: Steps between two lines of a scale, in minutes.
TICKS = (5, 10, 15, 30, 60, 120, 240)


@dataclass(frozen=True)
class _Line:
    color: str
    values: Sequence[float]
    #: Filled down to zero, or a line only.
    filled: bool = True


def digest(outcome: Outcome) -> str:
    """Return a hash of the figures, by which a picture tells what it was drawn from."""
    figures = [(k.second, k.replicas, k.working, k.backlog, k.age) for k in outcome.looks]
    return hashlib.sha256(repr(figures).encode()).hexdigest()[:16]


def draw(case: Case, arrivals: Sequence[int], outcome: Outcome) -> str:
    """Return the picture of a case."""
    looks = outcome.looks
    working, wanted = [k.working for k in looks], [k.replicas for k in looks]
    charts = (
        ("tasks that arrive in a minute", [_Line("#8250df", arrivals)]),
        ("pods: wanted (line), working (area)", [_Line("#9ecbff", working), _Line("#0550ae", wanted, filled=False)]),
        ("waiting tasks", [_Line("#bc4c00", [k.backlog for k in looks])]),
        ("age of the oldest waiting task, seconds", [_Line("#cf222e", [k.age for k in looks])]),
    )
    height = TOP + len(charts) * (HEIGHT + GAP) + 8
    root = Element("svg", xmlns="http://www.w3.org/2000/svg", viewBox=f"0 0 {WIDTH} {height}", role="img")
    root.set("font-family", "system-ui, sans-serif")
    SubElement(root, "title").text = case.title
    SubElement(root, "desc").text = f"Figures {digest(outcome)}, drawn by make simulate-scaling."
    SubElement(root, "rect", width=str(WIDTH), height=str(height), fill="white")
    _text(root, LEFT, 20, case.title, size=15)
    for number, (title, lines) in enumerate(charts):
        _chart(root, title, lines, TOP + number * (HEIGHT + GAP) + 18, len(arrivals))
    indent(root)
    return tostring(root, encoding="unicode") + "\n"


def _chart(root: Element, title: str, lines: Sequence[_Line], top: int, minutes: int) -> None:
    most = _round_up(max(max(line.values) for line in lines))
    _text(root, LEFT, top - 6, title)
    for part in (0, 0.5, 1):
        y = top + HEIGHT * (1 - part)
        _line(root, LEFT, y, WIDTH - RIGHT, y)
        _text(root, LEFT - 6, y + 4, f"{most * part:g}", anchor="end")
    step = next((ticks for ticks in TICKS if minutes / ticks <= 12), TICKS[-1])
    for minute in range(0, minutes + 1, step):
        x = LEFT + (WIDTH - LEFT - RIGHT) * minute / minutes
        _line(root, x, top, x, top + HEIGHT)
        _text(root, x, top + HEIGHT + 12, _clock(minute, minutes), size=9, anchor="middle")
    for line in lines:
        _plot(root, line, most, top)


def _plot(root: Element, line: _Line, most: float, top: int) -> None:
    values = _thin(line.values)
    width = (WIDTH - LEFT - RIGHT) / len(values)
    points = []
    for number, value in enumerate(values):
        y = top + HEIGHT * (1 - value / most)
        points += [(LEFT + number * width, y), (LEFT + (number + 1) * width, y)]
    if line.filled:
        points = [(LEFT, top + HEIGHT), *points, (WIDTH - RIGHT, top + HEIGHT)]
    shape = SubElement(root, "polygon" if line.filled else "polyline")
    shape.set("points", " ".join(f"{x:.1f},{y:.1f}" for x, y in points))
    shape.set("fill", line.color if line.filled else "none")
    if not line.filled:
        shape.set("stroke", line.color)
        shape.set("stroke-width", "1.5")


def _thin(values: Sequence[float]) -> list[float]:
    size = max(1, math.ceil(len(values) / POINTS))
    return [max(values[start : start + size]) for start in range(0, len(values), size)]


def _round_up(value: float) -> float:
    """Return the next number that a scale can well end with."""
    scale: float = 10 ** math.floor(math.log10(max(value, 1)))
    return next(scale * step for step in (1, 2, 4, 6, 8, 10) if scale * step >= value) if value > 1 else 2


def _clock(minute: int, minutes: int) -> str:
    return f"{minute // 60}:{minute % 60:02}" if minutes > 120 else f"{minute} min"


def _line(root: Element, x1: float, y1: float, x2: float, y2: float) -> None:
    ends = {"x1": x1, "y1": y1, "x2": x2, "y2": y2}
    SubElement(root, "line", {name: f"{value:.1f}" for name, value in ends.items()}, stroke=FAINT)


def _text(root: Element, x: float, y: float, text: str, *, size: int = 11, anchor: str = "start") -> None:
    element = SubElement(root, "text", x=f"{x:.1f}", y=f"{y:.1f}", fill=INK)
    element.set("font-size", str(size))
    element.set("text-anchor", anchor)
    element.text = text
