"""Draw the dashboard from what a Prometheus answers to its queries: draw_dashboard.py URL [--minutes 5] [--out FILE].

Grafana is not needed for it, and not shown by it: the panels, their places, units and queries are those of the dashboard.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, SubElement, indent, tostring

ROOT = Path(__file__).parents[1]
DASHBOARD = ROOT / "charts" / "umbel" / "files" / "dashboard.json"
OUT = ROOT / "docs" / "how-to" / "dashboard.svg"
#: Pixels of one unit of Grafana's grid, and seconds between two points.
CELL, ROW, STEP = 50, 26, 2
COLORS = ("#0969da", "#1a7f37", "#bc4c00", "#8250df", "#cf222e", "#0a7e8c", "#9a6700", "#57606a")
INK, FAINT = "#24292f", "#d8dee4"
#: Lines of one panel that get a legend.
LEGENDS = 5

Series = tuple[str, list[tuple[float, float]]]


def ask(url: str, query: str, start: float, end: float) -> list[dict[str, Any]]:
    """Ask for the values of a query over time."""
    fields = {"query": query, "start": start, "end": end, "step": STEP}
    with urllib.request.urlopen(f"{url}/api/v1/query_range?{urllib.parse.urlencode(fields)}", timeout=30) as answer:
        found: list[dict[str, Any]] = json.load(answer)["data"]["result"]
    return found


def series_of(panel: dict[str, Any], url: str, start: float, end: float) -> list[Series]:
    """Ask all queries of a panel, its variables filled in with all."""
    found: list[Series] = []
    for target in panel["targets"]:
        query = target["expr"].replace("$__rate_interval", "30s").replace("$namespace", ".*").replace("$queue", ".*")
        for result in ask(url, query, start, end):
            legend = target["legendFormat"]
            for name in (
                "namespace",
                "queue",
                "pool",
                "broker",
                "task",
                "state",
                "cause",
                "kind",
                "result",
                "verb",
                "code",
            ):
                legend = legend.replace("{{" + name + "}}", result["metric"].get(name, ""))
            points = [(float(at), float(value)) for at, value in result["values"]]
            found.append((legend, [(at, value) for at, value in points if math.isfinite(value)]))
    return found


def shown(value: float, unit: str) -> str:
    """Write a value with its unit, as short as a scale wants it."""
    if unit == "percentunit":
        return f"{100 * value:.0f} %"
    if unit == "s":
        return f"{1000 * value:.0f} ms" if value < 1 else f"{value:.1f} s" if value < 10 else f"{value:.0f} s"
    text = f"{value:.0f}" if value >= 10 or value == int(value) else f"{value:.1f}"
    return f"{text}/s" if unit == "ops" else text


def draw(dashboard: dict[str, Any], url: str, start: float, end: float) -> str:
    """Return the picture."""
    bottom = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in dashboard["panels"])
    width, height = 24 * CELL, bottom * ROW + 12
    root = Element("svg", xmlns="http://www.w3.org/2000/svg", viewBox=f"0 0 {width} {height}", role="img")
    root.set("font-family", "system-ui, sans-serif")
    SubElement(root, "title").text = f"The dashboard {dashboard['title']}"
    SubElement(root, "rect", width=str(width), height=str(height), fill="#f6f8fa")
    for panel in dashboard["panels"]:
        at = panel["gridPos"]
        box = (at["x"] * CELL + 4, at["y"] * ROW + 4, at["w"] * CELL - 8, at["h"] * ROW - 8)
        if panel["type"] == "row":
            write(root, box[0] + 2, box[1] + 15, panel["title"], size=15, bold=True)
            continue
        SubElement(
            root,
            "rect",
            x=str(box[0]),
            y=str(box[1]),
            width=str(box[2]),
            height=str(box[3]),
            fill="white",
            stroke=FAINT,
            rx="3",
        )
        write(root, box[0] + 8, box[1] + 16, panel["title"], size=12, bold=True)
        series = series_of(panel, url, start, end)
        unit = panel["fieldConfig"]["defaults"]["unit"]
        if panel["type"] == "stat":
            values = [points[-1][1] for _, points in series if points]
            write(root, box[0] + 12, box[1] + 62, shown(values[0], unit) if values else "no data", size=28)
        else:
            plot(root, box, series, unit, start, end)
    indent(root)
    return tostring(root, encoding="unicode") + "\n"


def plot(
    root: Element, box: tuple[int, int, int, int], series: list[Series], unit: str, start: float, end: float
) -> None:
    """Draw lines over time, with a scale and the names of the first few."""
    x0, y0, x1 = box[0] + 52, box[1] + 28, box[0] + box[2] - 10
    legends = series[:LEGENDS]
    y1 = box[1] + box[3] - 22 - 13 * ((len(legends) + 1) // 2)
    most = max((value for _, points in series for _, value in points), default=0) or 1
    for part in (0, 0.5, 1):
        y = y1 - (y1 - y0) * part
        SubElement(root, "line", {"x1": f"{x0}", "x2": f"{x1}", "y1": f"{y:.1f}", "y2": f"{y:.1f}", "stroke": FAINT})
        write(root, x0 - 5, y + 4, shown(most * part, unit), size=9, anchor="end")
    for number, (_, points) in enumerate(series):
        places = [
            f"{x0 + (x1 - x0) * (at - start) / (end - start):.1f},{y1 - (y1 - y0) * value / most:.1f}"
            for at, value in points
        ]
        line = SubElement(root, "polyline", points=" ".join(places), fill="none", stroke=COLORS[number % len(COLORS)])
        line.set("stroke-width", "1.4")
    for number, (legend, _) in enumerate(legends):
        x, y = box[0] + 12 + (number % 2) * (box[2] // 2 - 8), y1 + 20 + 13 * (number // 2)
        SubElement(root, "rect", x=f"{x}", y=f"{y - 6}", width="9", height="3", fill=COLORS[number % len(COLORS)])
        write(root, x + 13, y, legend[:32], size=9)
    if not series:
        write(root, (x0 + x1) / 2, (y0 + y1) / 2, "nothing happened", size=10, anchor="middle")


def write(
    root: Element, x: float, y: float, text: str, *, size: int, anchor: str = "start", bold: bool = False
) -> None:
    """Put text somewhere."""
    element = SubElement(root, "text", x=f"{x:.1f}", y=f"{y:.1f}", fill=INK)
    element.set("font-size", str(size))
    element.set("text-anchor", anchor)
    if bold:
        element.set("font-weight", "600")
    element.text = text


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url", help="address of the Prometheus, e.g. http://127.0.0.1:9090")
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--out", type=Path, default=OUT)
    given = parser.parse_args()
    end = time.time()
    dashboard = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    given.out.write_text(draw(dashboard, given.url.rstrip("/"), end - 60 * given.minutes, end), encoding="utf-8")
    sys.stdout.write(f"wrote {given.out}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
