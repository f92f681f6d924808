"""What the charts bring besides the operator: the job that makes Brokers, `helm test`, a Redis to try things out, CRDs alone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import yaml
from tests.cluster.kubectl import REDIS_IMAGE, Kubectl
from tests.cluster.manifests import code, namespace, of_class, pool, queue
from tests.cluster.operators import CHART, SELECTOR, helm, image_values, uninstall

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

CRDS = CHART.parents[1] / "crds"
CRDS_CHART = CHART.parent / "umbel-crds"
#: CRDs may belong to another release, or to whoever applied them with kubectl.
ADOPT = ("--take-ownership", "--force-conflicts")


@pytest.fixture
def place(cluster: Kubectl) -> Iterator[Kubectl]:
    """Make a namespace for a release of its own, and put the CRDs back as they were."""
    kubectl = Kubectl(f"umbel-chart-{uuid4().hex[:6]}")
    kubectl.apply(namespace(kubectl.namespace))
    try:
        yield kubectl
    finally:
        # Before the operator, which takes off the finalizers of what is in its namespace.
        kubectl("delete", "namespace", kubectl.namespace, "--timeout=120s", check=False)
        uninstall(kubectl)
        cluster("apply", "--server-side", "--force-conflicts", "-f", str(CRDS))


def split(image: str) -> dict[str, str]:
    """Return the chart's values for an image."""
    repository, _, tag = image.rpartition(":")
    return {"repository": repository, "tag": tag}


def test_a_release_brings_a_redis_and_a_broker_and_passes_its_own_test(place: Kubectl) -> None:
    values: dict[str, Any] = {
        **image_values(),
        "operatorClass": place.namespace,
        "watchNamespaces": [place.namespace],
        "rbac": {"aggregate": False},
        "brokers": [{"namespace": place.namespace}],
        "redis": {"enabled": True, "image": split(REDIS_IMAGE)},
    }
    helm(place, "install", place.namespace, str(CHART), "--values", "-", *ADOPT, stdin=json.dumps(values))
    place.running(SELECTOR, 1)
    place.wait_condition("broker", "default", "Ready", "True")
    place.apply(code(), *of_class(place.namespace, queue("mail"), pool("mailers", "mail")))
    place.wait_condition("workerpool", "mailers", "Ready", "True")
    assert place.list_all("jobs") == [], "the job has done its work and is gone"
    assert "Succeeded" in helm(place, "test", place.namespace, "--timeout", "150s")
    # The hooks come again with each upgrade.
    helm(place, "upgrade", place.namespace, str(CHART), "--values", "-", *ADOPT, stdin=json.dumps(values))
    assert place.condition("broker", "default", "Ready")["status"] == "True"


def test_the_chart_of_the_crds_installs_them_and_leaves_them(place: Kubectl, cluster: Kubectl) -> None:
    helm(place, "install", place.namespace, str(CRDS_CHART), *ADOPT)
    try:
        for kind, wanted in wanted_crds().items():
            cluster("wait", "--for=condition=Established", f"crd/{kind}", "--timeout=30s")
            live = cluster.get("crd", kind) or {}
            assert live["metadata"]["annotations"]["meta.helm.sh/release-name"] == place.namespace
            assert live["spec"]["versions"][0]["schema"] == wanted["spec"]["versions"][0]["schema"]
    finally:
        uninstall(place)
    for kind in wanted_crds():
        assert cluster.get("crd", kind) is not None, "they are kept, and with them all resources"


def wanted_crds() -> dict[str, dict[str, Any]]:
    """Read the CRDs of the repository, by name."""
    found = (yaml.safe_load(Path(file).read_text(encoding="utf-8")) for file in sorted(CRDS.glob("*.yaml")))
    return {crd["metadata"]["name"]: crd for crd in found}
