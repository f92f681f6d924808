"""The samples are what the API server would take, and every field in them is acted on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.operator.chart.models import faults
from tests.operator.chart.rendering import ROOT

from umbel_operator.api.broker import Broker
from umbel_operator.api.gaps import GAPS
from umbel_operator.api.kinds import BY_NAME
from umbel_operator.api.names import API_VERSION
from umbel_operator.api.parse import parse_strict
from umbel_operator.build.connection import broker_volumes, client_env

SAMPLES = ROOT / "manifests" / "samples"
FILES = sorted(SAMPLES.rglob("*.yaml"))
#: Kinds of others, without a model at hand; tests/integration/beat reads what concerns us.
FOREIGN = {("keda.sh/v1alpha1", "ScaledObject")}


def documents(file: Path) -> list[dict[str, Any]]:
    return [document for document in yaml.safe_load_all(file.read_text(encoding="utf-8")) if document]


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(SAMPLES)))
def test_sample_is_valid_and_acted_on(file: Path) -> None:
    assert documents(file)
    for document in documents(file):
        assert "namespace" not in document["metadata"], "the reader chooses the namespace"
        if document["apiVersion"] == API_VERSION:
            resource: Any = parse_strict(BY_NAME[document["kind"]], document)
            assert [str(gap) for gap in GAPS[document["kind"]] if gap.used(resource.spec)] == []
        elif (document["apiVersion"], document["kind"]) not in FOREIGN:
            assert faults(document) == []


def test_the_page_lists_every_sample() -> None:
    page = (SAMPLES / "README.md").read_text(encoding="utf-8")
    listed = {line.split("`")[1] for line in page.splitlines() if line.startswith("| `")}
    assert listed == {path.name for path in SAMPLES.glob("*.yaml")} | {"quickstart/"}


def test_the_producer_mounts_what_the_client_config_names() -> None:
    """Given the Broker with a password, then the sample producer has its files where its variables say."""
    body = next(d for d in documents(SAMPLES / "broker-with-password.yaml") if d["kind"] == "Broker")
    broker = parse_strict(Broker, body)
    (producer,) = documents(SAMPLES / "producer.yaml")
    spec = producer["spec"]["template"]["spec"]
    (mount,), (volume,) = spec["containers"][0]["volumeMounts"], spec["volumes"]
    (source,) = volume["projected"]["sources"]
    files = {f"{mount['mountPath']}/{item['path']}" for item in source["secret"]["items"]}
    assert {value for name, value in client_env(broker).items() if name.endswith("_FILE")} == files
    (built,) = broker_volumes(broker)
    assert source["secret"]["items"] == built["projected"]["sources"][0]["secret"]["items"]
