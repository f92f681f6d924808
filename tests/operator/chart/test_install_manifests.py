"""manifests/install is the chart's default render, without the traces of Helm."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import yaml
from tests.operator.chart.models import faults
from tests.operator.chart.rendering import NAMESPACE, ROOT, find_helm, is_test, render

INSTALL = ROOT / "manifests" / "install"
SCRIPT = ROOT / "scripts" / "render_install.py"


def load(name: str) -> list[dict[str, Any]]:
    return [document for document in yaml.safe_load_all((INSTALL / name).read_text(encoding="utf-8")) if document]


def without_helm(obj: dict[str, Any]) -> dict[str, Any]:
    for meta in (obj["metadata"], obj.get("spec", {}).get("template", {}).get("metadata", {})):
        for label in ("helm.sh/chart", "app.kubernetes.io/managed-by"):
            meta.get("labels", {}).pop(label, None)
    return obj


def test_it_is_what_the_chart_renders() -> None:
    assert load("umbel.yaml") == [without_helm(obj) for obj in render(None, "crds.keep=false") if not is_test(obj)]


def test_the_file_is_fresh() -> None:
    done = subprocess.run([sys.executable, SCRIPT, find_helm(), "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_kustomization_lists_every_file() -> None:
    (kustomization,) = load("kustomization.yaml")
    files = {path.name for path in INSTALL.iterdir()} - {"kustomization.yaml"}
    assert set(kustomization["resources"]) == files


def test_the_namespace_is_the_one_that_the_objects_name() -> None:
    (namespace,) = load("namespace.yaml")
    assert faults(namespace) == []
    assert namespace["metadata"]["name"] == NAMESPACE
    assert {o["metadata"]["namespace"] for o in load("umbel.yaml") if "namespace" in o["metadata"]} == {NAMESPACE}
