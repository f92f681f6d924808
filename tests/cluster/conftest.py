"""A cluster with an operator, and a namespace with a Redis and a Broker in it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from tests.cluster.console import Console
from tests.cluster.kubectl import IMAGE, SPARE_NODE, Kubectl, diagnosis, why_not
from tests.cluster.manifests import broker, code, namespace, producer, redis
from tests.cluster.operators import install, uninstall

CRDS = Path(__file__).parents[2] / "crds"

_NAMESPACES: set[str] = set()
#: Namespaces whose deletion has begun; it needs an operator, which takes its finalizers off.
_GOING: list[str] = []


@pytest.fixture(scope="session")
def cluster() -> Kubectl:
    """Prepare the cluster: the CRDs as they are in the repository."""
    missing = why_not()
    if missing is None and not IMAGE:
        missing = "no image: set UMBEL_IMAGE to one with the wheel and its operator extra installed"
    if missing is not None:
        pytest.skip(missing)
    kubectl = Kubectl()
    if SPARE_NODE:
        kubectl("cordon", SPARE_NODE)
    kubectl("apply", "--server-side", "--force-conflicts", "-f", str(CRDS))
    for plural in ("brokers", "taskqueues", "workerpools", "schedules"):
        kubectl("wait", "--for=condition=Established", f"crd/{plural}.umbel.dev", "--timeout=30s")
    return kubectl


@contextmanager
def _own_namespace(kubectl: Kubectl, purpose: str) -> Iterator[Kubectl]:
    name = f"umbel-{purpose}-{uuid4().hex[:6]}"
    kubectl.apply(namespace(name))
    _NAMESPACES.add(name)
    try:
        yield Kubectl(name)
    finally:
        _NAMESPACES.discard(name)
        _GOING.append(name)
        kubectl("delete", "namespace", name, "--wait=false", "--ignore-not-found")


@pytest.fixture(scope="session")
def system(cluster: Kubectl) -> Iterator[Kubectl]:
    """Make the operator's namespace."""
    with _own_namespace(cluster, "system") as kubectl:
        yield kubectl


@pytest.fixture(scope="session")
def operator(system: Kubectl) -> Iterator[Kubectl]:
    """Install the operator by the chart, for all namespaces."""
    try:
        install(system)
        yield system
        for name in _GOING:
            system("wait", "--for=delete", f"namespace/{name}", "--timeout=90s")
    finally:
        uninstall(system)


@pytest.fixture
def bare(cluster: Kubectl) -> Iterator[Kubectl]:
    """Make a namespace with the tasks in it and nothing else."""
    with _own_namespace(cluster, "bare") as kubectl:
        kubectl.apply(code())
        yield kubectl


@pytest.fixture
def another(cluster: Kubectl) -> Iterator[Kubectl]:
    """Make one more namespace, with nothing in it."""
    with _own_namespace(cluster, "another") as kubectl:
        yield kubectl


@pytest.fixture(scope="session")
def shop_namespace(cluster: Kubectl, operator: Kubectl) -> Iterator[Kubectl]:
    """Make the namespace that most tests share."""
    with _own_namespace(cluster, "shop") as kubectl:
        yield kubectl


@pytest.fixture(scope="session")
def shop(shop_namespace: Kubectl) -> Kubectl:
    """Put Redis, the Broker `default` that works, and the tasks into the shared namespace."""
    kubectl = shop_namespace
    kubectl.apply(code(), *redis(), broker())
    kubectl.running("app=redis", 1)
    kubectl.wait_condition("broker", "default", "Ready", "True")
    return kubectl


@pytest.fixture(scope="session")
def console(shop: Kubectl) -> Console:
    """Start a pod to send tasks from."""
    shop.apply(producer("console", "-", script="console.py"))
    shop.running("app=console", 1)
    return Console(shop)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[Any]) -> Any:
    """Add what the cluster looked like to the report of a test that failed."""
    report = yield
    if report.failed and _NAMESPACES:
        report.sections.append(("cluster", diagnosis(sorted(_NAMESPACES))))
    return report
