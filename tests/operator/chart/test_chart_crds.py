"""The chart's CRDs are those of crds/, installed and kept as the values say."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from tests.operator.chart.rendering import ROOT, render

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


def test_braces_in_a_schema_survive_the_template() -> None:
    assert escape("a: '{{ .x }}'") == "a: '{{ \"{{\" }} .x }}'"
