"""The life of a release of the chart: install, upgrade from the previous chart, rollback, uninstall; resources outlive it.

An API server is enough: what is looked at are objects. With UMBEL_IMAGE the operator runs too, and must get ready.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import yaml
from tests.cluster.kubectl import IMAGE, OURS, Kubectl, wait, why_not
from tests.cluster.manifests import broker, namespace, of_class, pool, queue, schedule
from tests.cluster.operators import CHART, SELECTOR, helm, image_values, uninstall

MISSING = why_not()
pytestmark = [
    pytest.mark.cluster,
    pytest.mark.timeout(600),
    pytest.mark.skipif(MISSING is not None, reason=MISSING or ""),
]

(PREVIOUS,) = (Path(__file__).parent / "previous").glob("umbel-*.tgz")
CRDS = CHART.parents[1] / "crds"
#: CRDs may belong to another release, or to whoever applied them with kubectl.
ADOPT = ("--take-ownership", "--force-conflicts")


@pytest.fixture
def place() -> Iterator[Kubectl]:
    """Make a namespace for a release, and leave the CRDs of the repository behind."""
    kubectl = Kubectl(f"umbel-helm-{uuid4().hex[:6]}")
    kubectl.apply(namespace(kubectl.namespace))
    try:
        yield kubectl
    finally:
        uninstall(kubectl)
        kubectl("apply", "--server-side", "--force-conflicts", "-f", str(CRDS))
        kubectl("patch", "broker", "default", "--type=merge", "-p", '{"metadata":{"finalizers":null}}', check=False)
        kubectl("delete", "namespace", kubectl.namespace, "--wait=false")


def release(kubectl: Kubectl, verb: str, chart: Path, **values: Any) -> None:
    """Install or upgrade the release that bears the name of its namespace."""
    given = {"watchNamespaces": [kubectl.namespace], "operatorClass": kubectl.namespace, "rbac": {"aggregate": False}}
    image = image_values() if IMAGE else {"replicas": 0}
    text = json.dumps({**given, **image, **values})
    helm(kubectl, verb, kubectl.namespace, str(chart), "--values", "-", *ADOPT, stdin=text)
    for kind in ("brokers", "taskqueues", "workerpools", "schedules"):
        kubectl("wait", "--for=condition=Established", f"crd/{kind}.umbel.dev", "--timeout=30s")
    if IMAGE:
        kubectl.running(SELECTOR, 1)


def resources(kubectl: Kubectl) -> list[dict[str, Any]]:
    """Make one of each kind, of the release's own class, so that no other operator looks after them."""
    plain = (broker(), queue("mail"), pool("mailers", "mail", image=IMAGE or "shop:1"), schedule("heartbeat", "mail"))
    return list(of_class(kubectl.namespace, *plain))


def uids(kubectl: Kubectl) -> dict[str, str]:
    """Tell the incarnation of each resource."""
    return {f"{o['kind']} {o['metadata']['name']}": o["metadata"]["uid"] for o in kubectl.list_all(OURS)}


def newest_crds(kubectl: Kubectl) -> bool:
    """Tell whether the CRDs are those of the repository, to the last description; the previous chart's differ."""
    found = []
    for file in sorted(CRDS.glob("*.yaml")):
        wanted = yaml.safe_load(file.read_text(encoding="utf-8"))
        live = kubectl.get("crd", wanted["metadata"]["name"]) or {}
        wanted_schema, live_schema = (crd["spec"]["versions"][0]["schema"] for crd in (wanted, live))
        found.append(wanted_schema == live_schema)
    return all(found)


def version(kubectl: Kubectl) -> str:
    """Tell which version of the chart the operator's Deployment is of."""
    (deployment,) = kubectl.list_all("deployments", SELECTOR)
    return str(deployment["metadata"]["labels"]["app.kubernetes.io/version"])


def made_by_the_release(kubectl: Kubectl) -> list[str]:
    """List the objects of the release, in its namespace and cluster-wide."""
    kinds = "deployments,services,serviceaccounts,roles,rolebindings,configmaps,clusterroles,clusterrolebindings"
    label = f"app.kubernetes.io/instance={kubectl.namespace},app.kubernetes.io/managed-by=Helm"
    return kubectl("get", kinds, "-l", label, "-o", "name").split()


def test_resources_outlive_upgrade_rollback_and_uninstall(place: Kubectl) -> None:
    """Given a release of the previous chart with one resource of each kind.

    When it is upgraded, rolled back, upgraded again and uninstalled, then the resources are the same ones all the while.
    """
    release(place, "install", PREVIOUS)
    assert version(place) == "0.0.1"
    assert not newest_crds(place)
    place.apply(*resources(place))
    before = uids(place)
    assert len(before) == 4

    release(place, "upgrade", CHART)
    assert version(place) != "0.0.1"
    assert newest_crds(place)
    assert uids(place) == before
    # What was written by the previous kinds passes the new ones when it is written again.
    place.apply(*resources(place))

    helm(place, "rollback", place.namespace, "1", "--force-conflicts")
    assert version(place) == "0.0.1"
    assert uids(place) == before

    release(place, "upgrade", CHART)
    assert newest_crds(place)
    uninstall(place)
    assert uids(place) == before
    assert made_by_the_release(place) == []
    if IMAGE:
        wait("the operator to go", lambda: True if not place.list_all("pods", SELECTOR) else None)


def test_an_older_operator_can_come_back_and_leave_the_newer_kinds(place: Kubectl) -> None:
    """Given the newest chart, when the previous one takes its place without CRDs, then the newer ones stay."""
    release(place, "install", CHART)
    place.apply(*resources(place))
    before = uids(place)
    release(place, "upgrade", PREVIOUS, crds={"enabled": False})
    assert version(place) == "0.0.1"
    assert newest_crds(place)
    assert uids(place) == before


def test_another_release_takes_over_what_was_left_behind(place: Kubectl) -> None:
    """Given resources whose release was uninstalled, when the chart is installed again, then it finds them."""
    release(place, "install", CHART)
    place.apply(*resources(place))
    before = uids(place)
    uninstall(place)
    release(place, "install", CHART)
    assert uids(place) == before
    assert newest_crds(place)


def test_the_previous_chart_is_older() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))
    numbers = [tuple(map(int, text.split("."))) for text in (PREVIOUS.stem.removeprefix("umbel-"), chart["version"])]
    assert numbers[0] < numbers[1]
