"""Monitors, alerts and the dashboard: they show metrics that exist, and find what they are about."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.operator.chart.rendering import CHART, MONITORING, ROOT, one, render, run_helm
from tests.operator.monitoringkinds import monitoring_faults
from tests.operator.resources import broker, pool

from umbel_operator.build.monitors import build_beat_monitor, build_worker_monitor
from umbel_operator.build.settings import Monitors, Settings

RULES = CHART / "files" / "rules.yaml"
DASHBOARD = json.loads((CHART / "files" / "dashboard.json").read_text(encoding="utf-8"))
#: What Prometheus adds to the name of a histogram.
SUFFIX = re.compile("_(bucket|sum|count)$")


def alerts() -> list[dict[str, Any]]:
    (group,) = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    return list(group["rules"])


def panels() -> list[dict[str, Any]]:
    return [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]


def queries() -> Iterator[tuple[str, str]]:
    """Go through all PromQL: (where, text)."""
    for alert in alerts():
        yield alert["alert"], alert["expr"]
    for panel in panels():
        for target in panel["targets"]:
            yield panel["title"], target["expr"]
    for variable in DASHBOARD["templating"]["list"]:
        if variable["type"] == "query":
            yield variable["name"], variable["query"]["query"]


def documented() -> dict[str, set[str]]:
    """Return the metrics of the reference with their labels."""
    page = (ROOT / "docs" / "reference" / "metrics.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(umbel_\w+)` \| \w+ \| (.*?) \|", page, re.M)
    return {name: set(re.findall(r"`(\w+)`", labels)) for name, labels in rows}


def test_every_metric_that_is_shown_exists() -> None:
    known = documented()
    assert len(known) > 30
    for where, query in queries():
        found = re.findall(r"\bumbel_\w+", query)
        assert found, where
        assert not {SUFFIX.sub("", name) for name in found} - known.keys(), where


def test_every_label_that_is_asked_for_exists() -> None:
    """Given a query, then it groups and chooses by labels of its metrics, or by those that the monitors give."""
    known = documented()
    given = {"namespace", "pod", "pool", "broker", "le"}
    for where, query in queries():
        labels = {label for name in re.findall(r"\bumbel_\w+", query) for label in known[SUFFIX.sub("", name)]}
        asked = {name.strip() for group in re.findall(r"by \((.*?)\)", query) for name in group.split(",")}
        asked |= set(re.findall(r"[{,]\s*(\w+)\s*(?:=~|=|!=)", query))
        assert asked <= labels | given, where


def test_alerts_say_how_bad_it_is_and_what_to_do() -> None:
    for alert in alerts():
        assert alert["labels"]["severity"] in ("warning", "critical"), alert["alert"]
        assert set(alert["annotations"]) == {"summary", "description"}
        used = set(re.findall(r"\$labels\.(\w+)", " ".join(alert["annotations"].values())))
        grouped = {name.strip() for group in re.findall(r"by \((.*?)\)", alert["expr"]) for name in group.split(",")}
        # Without an aggregation the series keep all their labels, the pod's among them.
        assert used <= (grouped or {"pod", "namespace"}), alert["alert"]


def test_the_howto_lists_every_alert() -> None:
    page = (ROOT / "docs" / "how-to" / "monitor.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| `(Umbel\w+)` \|", page, re.M) == [alert["alert"] for alert in alerts()]


def test_the_rule_holds_all_alerts_but_those_that_are_switched_off() -> None:
    rule = one(render("alerts"), "PrometheusRule")
    own, additional = rule["spec"]["groups"]
    assert own["rules"] == [alert for alert in alerts() if alert["alert"] != "UmbelTasksWait"]
    assert [r["alert"] for r in additional["rules"]] == ["MailWaits"]
    assert rule["metadata"]["labels"]["release"] == "prometheus"


def test_a_rule_without_alerts_of_ours_holds_the_others() -> None:
    names = ",".join(alert["alert"] for alert in alerts())
    rule = one(render("alerts", f"metrics.prometheusRule.disabled={{{names}}}"), "PrometheusRule")
    assert [group["name"] for group in rule["spec"]["groups"]] == ["umbel-additional"]


@pytest.mark.parametrize("values", ["serviceMonitor", "prometheusRule"])
def test_kinds_that_the_cluster_does_not_have_are_left_out(values: str) -> None:
    set_ = f"metrics.{values}.enabled=true"
    done = run_helm("template", "umbel", CHART, "--namespace", "umbel-system", "--set", set_)
    assert done.returncode == 0, done.stderr
    assert MONITORING not in done.stdout
    assert MONITORING in {obj["apiVersion"] for obj in render(None, set_)}


@pytest.mark.parametrize("values", ["monitoring", "alerts", "guarded"])
def test_fields_and_types_are_known_to_the_prometheus_operator(values: str) -> None:
    found = [obj for obj in render(values) if obj["apiVersion"] == MONITORING]
    assert found
    assert [monitoring_faults(obj) for obj in found] == [[]] * len(found)


def test_what_the_operator_builds_is_known_to_the_prometheus_operator() -> None:
    settings = Settings(beat_image="x", monitors=Monitors(labels=(("release", "prometheus"),)))
    built = (build_beat_monitor(broker(), settings), build_worker_monitor(pool(), settings))
    assert [monitoring_faults(obj) for obj in built if obj is not None] == [[], []]


def test_the_check_of_monitors_finds_faults() -> None:
    monitor = one(render("monitoring"), "ServiceMonitor")
    (endpoint,) = monitor["spec"]["endpoints"]
    endpoint["intervall"] = "5s"
    (fault,) = monitoring_faults(monitor)
    assert "'intervall' was unexpected" in fault
    del endpoint["intervall"]
    endpoint["honorLabels"] = {"a": 1}
    assert len(monitoring_faults(monitor)) == 1


def test_the_monitor_finds_the_operators_service() -> None:
    objects = render("monitoring")
    monitor, service = one(objects, "ServiceMonitor"), one(objects, "Service")
    assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    (endpoint,), (port,) = monitor["spec"]["endpoints"], service["spec"]["ports"]
    assert endpoint == {"port": port["name"], "path": "/metrics", "interval": "15s", "honorLabels": True}


def test_grafanas_sidecar_gets_the_dashboard() -> None:
    objects = render(None, "metrics.dashboards.enabled=true", "metrics.dashboards.annotations.folder=Umbel")
    found = one(objects, "ConfigMap")
    assert found["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert found["metadata"]["annotations"] == {"folder": "Umbel"}
    assert json.loads(found["data"]["umbel.json"]) == DASHBOARD


def test_the_dashboard_is_fresh_and_its_panels_do_not_overlap() -> None:
    script = ROOT / "scripts" / "generate_dashboard.py"
    done = subprocess.run([sys.executable, script, "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert at["x"] + at["w"] <= 24
        assert not cells & taken, panel["title"]
        taken |= cells
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])


def test_every_panel_says_what_it_shows() -> None:
    assert all(panel["description"] for panel in panels())


@pytest.fixture
def promtool() -> str:
    found = shutil.which("promtool")
    if found is None:
        pytest.skip("needs promtool on PATH: Debian's package prometheus has it")
    return found


def test_prometheus_takes_the_rules(promtool: str) -> None:
    done = subprocess.run([promtool, "check", "rules", RULES], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_alerts_fire_when_they_should_and_only_then(promtool: str) -> None:
    done = subprocess.run([promtool, "test", "rules", Path(__file__).parent / "alerts.test.yaml"], capture_output=True)
    assert done.returncode == 0, (done.stdout + done.stderr).decode()


def test_prometheus_takes_the_queries_of_the_dashboard(promtool: str, tmp_path: Path) -> None:
    """Given each query with its variables filled in, then Prometheus can read it."""
    filled = [t["expr"].replace("$__rate_interval", "5m") for panel in panels() for t in panel["targets"]]
    rules = [{"record": f"panel:{number}", "expr": query} for number, query in enumerate(filled)]
    file = tmp_path / "rules.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    done = subprocess.run([promtool, "check", "rules", file], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
