"""The chart's CRDs are those of crds/, installed and kept as the values say."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from tests.operator.chart.rendering import CHART, ROOT, one, render, run_helm

from umbel_operator.api.chart import escape
from umbel_operator.api.kinds import KINDS


def crds(*sets: str) -> dict[str, dict[str, Any]]:
    found = [o for o in render(None, *sets) if o["kind"] == "CustomResourceDefinition"]
    return {crd["metadata"]["name"]: crd for crd in found}


@pytest.mark.parametrize("kind", KINDS, ids=[kind.kind_name() for kind in KINDS])
def test_crd_is_the_generated_one(kind: Any) -> None:
    """Given the CRD in crds/, then the chart's differs in labels and the note to keep it, and in nothing else."""
    plain = yaml.safe_load((ROOT / "crds" / f"{kind.plural}.yaml").read_text(encoding="utf-8"))
    ours = crds()[plain["metadata"]["name"]]
    labels, annotations = ours["metadata"].pop("labels"), ours["metadata"].pop("annotations")
    assert ours == plain
    assert labels["app.kubernetes.io/part-of"] == "umbel"
    assert annotations == {"helm.sh/resource-policy": "keep"}


def test_crds_are_deleted_with_the_release_only_if_asked_for() -> None:
    assert all("annotations" not in crd["metadata"] for crd in crds("crds.keep=false").values())


def test_crds_can_be_left_to_others() -> None:
    assert crds("crds.enabled=false") == {}


def alone(*sets: str) -> list[dict[str, Any]]:
    """Render the chart that holds the kinds and nothing else."""
    chosen = [word for pair in sets for word in ("--set", pair)]
    done = run_helm("template", "kinds", CHART.with_name("umbel-crds"), *chosen)
    assert done.returncode == 0, done.stderr
    return [document for document in yaml.safe_load_all(done.stdout) if document]


def test_the_chart_of_the_kinds_alone_has_the_same_ones() -> None:
    """Given both charts, then their CRDs differ in the labels of the release only, and so do the users' roles."""
    ours = {o["metadata"]["name"]: o for o in alone()}
    for name, crd in crds().items():
        assert ours[name]["spec"] == crd["spec"]
        assert ours[name]["metadata"]["annotations"] == crd["metadata"]["annotations"]
    roles = {o["metadata"]["name"].rpartition("-")[2]: o for o in alone() if o["kind"] == "ClusterRole"}
    for name, role in roles.items():
        assert role["rules"] == one(render(None), "ClusterRole", f"umbel-{name}")["rules"]
    assert set(roles) == {"view", "edit", "admin"}
    assert {o["kind"] for o in alone("aggregate=false")} == {"CustomResourceDefinition"}
    assert all("annotations" not in o["metadata"] for o in alone("keep=false", "aggregate=false"))


def test_the_chart_of_the_kinds_alone_is_sound() -> None:
    chart = CHART.with_name("umbel-crds")
    done = run_helm("lint", "--strict", chart)
    assert done.returncode == 0, done.stdout + done.stderr
    refused = run_helm("template", "kinds", chart, "--set", "crds.enabled=true")
    assert "additional properties 'crds' not allowed" in refused.stderr
    versions = [yaml.safe_load((folder / "Chart.yaml").read_text(encoding="utf-8")) for folder in (chart, CHART)]
    same = ("version", "appVersion", "kubeVersion")
    assert [versions[0][key] for key in same] == [versions[1][key] for key in same]


def test_braces_in_a_schema_survive_the_template() -> None:
    assert escape("a: '{{ .x }}'") == "a: '{{ \"{{\" }} .x }}'"
