"""Write charts/umbel/files/dashboard.json, the Grafana dashboard, from the table of panels below: generate_dashboard.py [--check].

It shows only metrics of docs/reference/metrics.md; `pool` and `broker` are labels that the monitors of the operator give.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
TARGET = ROOT / "charts" / "umbel" / "files" / "dashboard.json"
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
#: Grafana's grid is so many units wide.
WIDTH = 24


@dataclass(frozen=True)
class Panel:
    """One panel: its title, what it is for, and (legend, PromQL) of each line."""

    title: str
    description: str
    lines: tuple[tuple[str, str], ...]
    unit: str = "short"
    width: int = 8
    height: int = 7
    #: timeseries or stat.
    kind: str = "timeseries"
    #: (colour, from which value on), for a stat.
    steps: tuple[tuple[str, float | None], ...] = (("green", None),)


ALARM: Any = (("green", None), ("red", 1))
#: Choices of the variables at the top.
N = 'namespace=~"$namespace"'
Q = f'{N}, queue=~"$queue"'
RATE = "$__rate_interval"


def stat(title: str, description: str, query: str, unit: str = "short", steps: Any = (("green", None),)) -> Panel:
    return Panel(title, description, (("", query),), unit, 4, 4, "stat", steps)


ROWS: tuple[tuple[str, tuple[Panel, ...]], ...] = (
    (
        "At a glance",
        (
            stat("Waiting", "Tasks that wait for a worker.", f"sum(umbel_queue_ready_tasks{{{Q}}})"),
            stat("Running", "Tasks that workers hold.", f"sum(umbel_queue_inflight_tasks{{{Q}}})"),
            stat(
                "Oldest task",
                "How long the task that has waited for longest has waited.",
                f"max(umbel_queue_oldest_task_age_seconds{{{Q}}})",
                "s",
                (("green", None), ("orange", 60), ("red", 600)),
            ),
            stat(
                "Dead letters",
                "Tasks that were given up and are kept.",
                f"sum(umbel_queue_dead_letter_tasks{{{Q}}})",
                steps=(("green", None), ("orange", 1)),
            ),
            stat(
                "Slots in use",
                "Running tasks of all that workers can run at once.",
                f"sum(umbel_worker_busy_slots{{{N}}}) / sum(umbel_worker_slots{{{N}}})",
                "percentunit",
                (("green", None), ("orange", 0.9)),
            ),
            stat(
                "Brokers without a leader",
                "Where no beat leads nothing is sent on schedule.",
                f"count(max by (namespace, broker) (umbel_beat_leader{{{N}}}) < 1) or vector(0)",
                steps=ALARM,
            ),
        ),
    ),
    (
        "Queues",
        (
            Panel(
                "Waiting tasks",
                "By queue; those that are not due yet are not among them.",
                (("{{namespace}}/{{queue}}", f"sum by (namespace, queue) (umbel_queue_ready_tasks{{{Q}}})"),),
            ),
            Panel(
                "Age of the oldest task",
                "How long the task that is served next has waited.",
                (
                    (
                        "{{namespace}}/{{queue}}",
                        f"max by (namespace, queue) (umbel_queue_oldest_task_age_seconds{{{Q}}})",
                    ),
                ),
                "s",
            ),
            Panel(
                "Tasks with workers",
                "By queue.",
                (("{{namespace}}/{{queue}}", f"sum by (namespace, queue) (umbel_queue_inflight_tasks{{{Q}}})"),),
            ),
            Panel(
                "Delayed tasks",
                "Not due yet; retries are among them.",
                (("{{namespace}}/{{queue}}", f"sum by (namespace, queue) (umbel_queue_delayed_tasks{{{Q}}})"),),
            ),
            Panel(
                "Dead letters",
                "What grows here was given up: umbel dead list.",
                (("{{namespace}}/{{queue}}", f"sum by (namespace, queue) (umbel_queue_dead_letter_tasks{{{Q}}})"),),
            ),
        ),
    ),
    (
        "Workers",
        (
            Panel(
                "Deliveries that ended",
                "A second, by state. A task that is retried counts each time.",
                (("{{state}}", f"sum by (state) (rate(umbel_tasks_total{{{N}}}[{RATE}]))"),),
                "ops",
            ),
            Panel(
                "Failures",
                "Share of the deliveries of a task that failed.",
                (
                    (
                        "{{task}}",
                        f'sum by (task) (rate(umbel_tasks_total{{{N}, state="FAILURE"}}[{RATE}])) '
                        f"/ sum by (task) (rate(umbel_tasks_total{{{N}}}[{RATE}]))",
                    ),
                ),
                "percentunit",
            ),
            Panel(
                "Run time, 95 of 100",
                "95 of 100 runs of a task are shorter.",
                (
                    (
                        "{{task}}",
                        "histogram_quantile(0.95, sum by (task, le) "
                        f"(rate(umbel_task_runtime_seconds_bucket{{{N}}}[{RATE}])))",
                    ),
                ),
                "s",
            ),
            Panel(
                "Slots",
                "Of each WorkerPool: how many there are, and how many run a task.",
                (
                    ("{{namespace}}/{{pool}} slots", f"sum by (namespace, pool) (umbel_worker_slots{{{N}}})"),
                    ("{{namespace}}/{{pool}} busy", f"sum by (namespace, pool) (umbel_worker_busy_slots{{{N}}})"),
                ),
            ),
            Panel(
                "Workers",
                "Of each WorkerPool: all, those that drain, and those that do not reach Redis.",
                (
                    ("{{namespace}}/{{pool}}", f"count by (namespace, pool) (umbel_worker_slots{{{N}}})"),
                    ("{{namespace}}/{{pool}} draining", f"sum by (namespace, pool) (umbel_worker_draining{{{N}}})"),
                    (
                        "{{namespace}}/{{pool}} cut off",
                        f"count by (namespace, pool) (umbel_worker_connected{{{N}}} == 0)",
                    ),
                ),
            ),
            Panel(
                "Deaths of children",
                "In five minutes, by cause; `killed` is most often memory.",
                (("{{cause}}", f"sum by (cause) (increase(umbel_worker_child_deaths_total{{{N}}}[5m]))"),),
            ),
        ),
    ),
    (
        "Schedules and beat",
        (
            Panel(
                "Slots of Schedules",
                "In five minutes, by what came of them.",
                (("{{result}}", f"sum by (result) (increase(umbel_schedule_runs_total{{{N}}}[5m]))"),),
            ),
            Panel(
                "How late runs are enqueued",
                "Nine of ten are earlier.",
                (
                    (
                        "{{namespace}}",
                        "histogram_quantile(0.9, sum by (namespace, le) "
                        f"(rate(umbel_schedule_lag_seconds_bucket{{{N}}}[5m])))",
                    ),
                ),
                "s",
            ),
            Panel(
                "beats",
                "Those that lead, and those that reach Redis.",
                (
                    ("{{namespace}}/{{broker}} leads", f"sum by (namespace, broker) (umbel_beat_leader{{{N}}})"),
                    ("{{namespace}}/{{broker}} connected", f"sum by (namespace, broker) (umbel_beat_connected{{{N}}})"),
                ),
            ),
        ),
    ),
    (
        "The operator",
        (
            Panel(
                "Reconciles",
                "A second, by kind and result.",
                (("{{kind}} {{result}}", f"sum by (kind, result) (rate(umbel_operator_reconcile_total[{RATE}]))"),),
                "ops",
            ),
            Panel(
                "Time of a reconcile, 95 of 100",
                "95 of 100 are shorter.",
                (
                    (
                        "{{kind}}",
                        "histogram_quantile(0.95, sum by (kind, le) "
                        f"(rate(umbel_operator_reconcile_seconds_bucket[{RATE}])))",
                    ),
                ),
                "s",
            ),
            Panel(
                "Work that waits",
                "Resources in the queue, by kind, and the seconds that the first has waited.",
                (
                    ("{{kind}}", "sum by (kind) (umbel_operator_workqueue_depth)"),
                    ("oldest (s)", "max(umbel_operator_workqueue_oldest_seconds)"),
                ),
            ),
            Panel(
                "Requests to the API server",
                "A second, by verb and code; 0 is no answer.",
                (("{{verb}} {{code}}", f"sum by (verb, code) (rate(umbel_operator_api_requests_total[{RATE}]))"),),
                "ops",
            ),
            Panel(
                "Writes of statuses",
                "A second, by kind.",
                (("{{kind}}", f"sum by (kind) (rate(umbel_operator_status_writes_total[{RATE}]))"),),
                "ops",
            ),
            Panel(
                "Silent beats",
                "1 while a Broker's beat does not answer the operator: nothing is scaled there.",
                (("{{namespace}}/{{broker}}", f"max by (namespace, broker) (umbel_operator_beat_stale{{{N}}})"),),
            ),
        ),
    ),
)


def dashboard() -> dict[str, Any]:
    """Return the dashboard as Grafana imports it."""
    return {
        "title": "Umbel",
        "uid": "umbel-overview",
        "description": "Queues, workers, schedules and the operator of Umbel.",
        "tags": ["umbel"],
        "schemaVersion": 39,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "timezone": "browser",
        "templating": {"list": list(_variables())},
        "annotations": {"list": []},
        "panels": list(_panels()),
    }


def _variables() -> Iterator[dict[str, Any]]:
    yield {"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus", "hide": 0}
    for name, query in (
        ("namespace", "label_values(umbel_beat_leader, namespace)"),
        ("queue", 'label_values(umbel_queue_ready_tasks{namespace=~"$namespace"}, queue)'),
    ):
        yield {
            "name": name,
            "label": name.capitalize(),
            "type": "query",
            "datasource": SOURCE,
            "query": {"query": query, "refId": name},
            "definition": query,
            "refresh": 2,
            "sort": 1,
            "multi": True,
            "includeAll": True,
            "allValue": ".*",
            "current": {"selected": True, "text": ["All"], "value": ["$__all"]},
        }


def _panels() -> Iterator[dict[str, Any]]:
    number, y = 1, 0
    for title, panels in ROWS:
        yield {
            "id": number,
            "type": "row",
            "title": title,
            "collapsed": False,
            "panels": [],
            "gridPos": _place(WIDTH, 1, 0, y),
        }
        number, y, x = number + 1, y + 1, 0
        for panel in panels:
            if x + panel.width > WIDTH:
                x, y = 0, y + panel.height
            yield _panel(panel, number, _place(panel.width, panel.height, x, y))
            number, x = number + 1, x + panel.width
        y += panels[-1].height


def _place(width: int, height: int, x: int, y: int) -> dict[str, int]:
    return {"w": width, "h": height, "x": x, "y": y}


def _panel(panel: Panel, number: int, place: dict[str, int]) -> dict[str, Any]:
    steps = [{"color": color, "value": value} for color, value in panel.steps]
    defaults: dict[str, Any] = {"unit": panel.unit, "min": 0, "thresholds": {"mode": "absolute", "steps": steps}}
    options: dict[str, Any] = {"reduceOptions": {"calcs": ["lastNotNull"]}, "colorMode": "value", "graphMode": "area"}
    if panel.kind == "timeseries":
        defaults["custom"] = {"fillOpacity": 10, "lineWidth": 1, "showPoints": "never"}
        options = {
            "legend": {"displayMode": "list", "placement": "bottom"},
            "tooltip": {"mode": "multi", "sort": "desc"},
        }
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.description,
        "datasource": SOURCE,
        "gridPos": place,
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": options,
        "targets": [
            {"refId": chr(ord("A") + index), "datasource": SOURCE, "expr": query, "legendFormat": legend or "__auto"}
            for index, (legend, query) in enumerate(panel.lines)
        ],
    }


def main(*options: str) -> int:
    text = json.dumps(dashboard(), indent=1) + "\n"
    if TARGET.exists() and TARGET.read_text(encoding="utf-8") == text:
        return 0
    if "--check" in options:
        sys.stderr.write(f"{TARGET.relative_to(ROOT)} differs from scripts/generate_dashboard.py; run: make generate\n")
        return 1
    TARGET.write_text(text, encoding="utf-8")
    sys.stdout.write(f"wrote {TARGET.relative_to(ROOT)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
