"""Render the chart with the real Helm."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[3]
CHART = ROOT / "charts" / "umbel"
VALUES = Path(__file__).parent / "values"
GOLDEN = Path(__file__).parent / "golden"
VALUE_SETS = sorted(path.stem for path in VALUES.glob("*.yaml"))

RELEASE, NAMESPACE = "umbel", "umbel-system"
#: What a cluster has besides, where the Prometheus operator is installed.
MONITORING = "monitoring.coreos.com/v1"


def find_helm() -> str:
    """Find helm beside the Python that runs, where `make tools` puts it, or on PATH."""
    found = shutil.which("helm", path=str(Path(sys.executable).parent)) or shutil.which("helm")
    assert found, "these tests need helm: run `make tools`"
    return found


def run_helm(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run helm apart from the user's own settings and plugins, and without a cluster."""
    home = "/nonexistent"
    environment = {"PATH": os.environ.get("PATH", ""), "HOME": home, "HELM_CACHE_HOME": home, "HELM_CONFIG_HOME": home}
    environment |= {"HELM_DATA_HOME": home, "KUBECONFIG": os.devnull}
    return subprocess.run([find_helm(), *arguments], capture_output=True, text=True, env=environment, timeout=60)


@cache
def render_text(values: str | None = None, *sets: str) -> str:
    """Render the chart to text.

    values: name of one of the files in `values/`. sets: as in `--set`.
    """
    done = _template(values, sets)
    assert done.returncode == 0, done.stderr
    return done.stdout


def render(values: str | None = None, *sets: str) -> list[dict[str, Any]]:
    """Render the chart to objects, hooks included."""
    return [document for document in yaml.safe_load_all(render_text(values, *sets)) if document]


def refusal(*sets: str, values: str | None = None) -> str:
    """Return what Helm says against these values."""
    done = _template(values, sets)
    assert done.returncode != 0, "rendered, but must be refused"
    return done.stderr


def golden_text(values: str) -> str:
    """Render what the golden file of a value set holds: all but the CRDs, which have tests of their own."""
    return render_text(values, "crds.enabled=false")


def without_monitoring(objects: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Leave out what is of the Prometheus operator's kinds, which Kubernetes itself does not know."""
    return [obj for obj in objects if obj["apiVersion"] != MONITORING]


def is_test(obj: dict[str, Any]) -> bool:
    """Tell whether an object is made by `helm test` only."""
    return bool((obj["metadata"].get("annotations") or {}).get("helm.sh/hook") == "test")


def one(objects: list[dict[str, Any]], kind: str, name: str | None = None) -> dict[str, Any]:
    """Pick the only object of a kind (and name) that is not one of `helm test`."""
    found = [o for o in objects if o["kind"] == kind and name in (None, o["metadata"]["name"]) and not is_test(o)]
    assert len(found) == 1, [f"{o['kind']} {o['metadata']['name']}" for o in objects]
    return found[0]


def _template(values: str | None, sets: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
    arguments: list[str | Path] = ["template", RELEASE, CHART, "--namespace", NAMESPACE, "--kube-version", "1.34.0"]
    arguments += ["--api-versions", MONITORING]
    if values is not None:
        arguments += ["--values", VALUES / f"{values}.yaml"]
    for pair in sets:
        arguments += ["--set", pair]
    return run_helm(*arguments)
