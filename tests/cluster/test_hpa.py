"""An HPA scales a WorkerPool through its `/scale`, by bounds alone and by the load that beat tells."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from tests.cluster.console import Console
from tests.cluster.kubectl import IMAGE, Kubectl, wait
from tests.cluster.manifests import API, config_map, deployment, pool, queue

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

WORKERS = "umbel.dev/pool=guided,umbel.dev/component=worker"
SERVICE = "v1beta1.external.metrics.k8s.io"
ADAPTER = Path(__file__).with_name("metrics_adapter.py")


@pytest.fixture
def guided(shop: Kubectl) -> Iterator[Kubectl]:
    """Start a pool whose number of pods somebody else sets."""
    guided = pool("guided", "guided", autoscaling={"type": "External"}, concurrency={"slots": 1})
    shop.apply(queue("guided"), guided)
    shop.wait_condition("workerpool", "guided", "ScalingActive", "True", "External")
    yield shop
    shop("delete", "hpa/guided", "workerpool/guided", "taskqueue/guided", "--ignore-not-found")
    shop.gone(WORKERS)


def hpa(least: int, most: int) -> dict[str, Any]:
    """Make an HPA that wants two tasks for each pod."""
    metric = {"name": "umbel_pool_load", "selector": {"matchLabels": {"pool": "guided"}}}
    external = {"metric": metric, "target": {"type": "AverageValue", "averageValue": "2"}}
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "guided"},
        "spec": {
            "scaleTargetRef": {"apiVersion": API, "kind": "WorkerPool", "name": "guided"},
            "minReplicas": least,
            "maxReplicas": most,
            "metrics": [{"type": "External", "external": external}],
            "behavior": {"scaleDown": {"stabilizationWindowSeconds": 0}},
        },
    }


def replicas(kubectl: Kubectl) -> int:
    return int((kubectl.get("workerpool", "guided") or {})["spec"]["replicas"])


def status(kubectl: Kubectl) -> dict[str, Any]:
    return (kubectl.get("hpa", "guided") or {}).get("status") or {}


def test_scale_tells_and_takes_what_an_autoscaler_needs(guided: Kubectl) -> None:
    guided.running(WORKERS, 1)
    path = f"/apis/{API}/namespaces/{guided.namespace}/workerpools/guided/scale"
    wait("one pod in the status", lambda: json.loads(guided("get", "--raw", path))["status"]["replicas"] == 1 or None)
    scale = json.loads(guided("get", "--raw", path))
    assert scale["kind"] == "Scale"
    assert scale["spec"]["replicas"] == 1
    selected = guided.list_all("pods", scale["status"]["selector"])
    assert [pod["metadata"]["labels"]["umbel.dev/pool"] for pod in selected] == ["guided"]


def test_an_hpa_keeps_a_pool_within_its_bounds_without_any_metric(guided: Kubectl) -> None:
    guided.apply(hpa(2, 3))
    wait("the least number", lambda: replicas(guided) == 2 or None, seen=lambda: status(guided))
    guided.running(WORKERS, 2)
    wait("its count", lambda: status(guided).get("currentReplicas") == 2 or None, seen=lambda: status(guided))
    guided("scale", "workerpool/guided", "--replicas=5")
    wait("the greatest number", lambda: replicas(guided) == 3 or None, seen=lambda: status(guided))
    able = {c["type"]: c["status"] for c in status(guided)["conditions"]}
    assert able["AbleToScale"] == "True"
    guided.wait_condition("workerpool", "guided", "ScalingActive", "True", "External")


@pytest.fixture
def adapter(shop: Kubectl, cluster: Kubectl, tmp_path: Path) -> Iterator[None]:
    """Serve the load of pools as an external metric."""
    if cluster.get("apiservice", SERVICE) is not None:
        pytest.skip(f"the cluster has an adapter for external metrics already ({SERVICE})")
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("no openssl to make a certificate with")
    key, cert = tmp_path / "tls.key", tmp_path / "tls.crt"
    request = [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=adapter"]
    subprocess.run([*request, "-keyout", str(key), "-out", str(cert)], check=True, capture_output=True)
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "adapter"},
        "stringData": {"tls.key": key.read_text(), "tls.crt": cert.read_text()},
    }
    container = {
        "name": "adapter",
        "image": IMAGE,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python3", "/code/metrics_adapter.py", "/certificate"],
        "readinessProbe": {"tcpSocket": {"port": 6443}, "periodSeconds": 1},
        "volumeMounts": [{"name": "code", "mountPath": "/code"}, {"name": "tls", "mountPath": "/certificate"}],
    }
    volumes = [
        {"name": "code", "configMap": {"name": "adapter"}},
        {"name": "tls", "secret": {"secretName": "adapter"}},
    ]
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "adapter"},
        "spec": {"selector": {"app": "adapter"}, "ports": [{"port": 443, "targetPort": 6443}]},
    }
    shop.apply(
        secret,
        config_map("adapter", **{ADAPTER.name: ADAPTER.read_text()}),
        service,
        deployment("adapter", container, volumes=volumes),
    )
    shop.running("app=adapter", 1)
    cluster.apply(api_service(shop.namespace))
    try:
        cluster("wait", "--for=condition=Available", f"apiservice/{SERVICE}", "--timeout=60s")
        yield
    finally:
        cluster("delete", "apiservice", SERVICE)
        shop("delete", "deployment/adapter", "service/adapter", "secret/adapter", "configmap/adapter")


def api_service(namespace: str) -> dict[str, Any]:
    """Have the API server ask the adapter for external metrics."""
    return {
        "apiVersion": "apiregistration.k8s.io/v1",
        "kind": "APIService",
        "metadata": {"name": SERVICE},
        "spec": {
            "group": "external.metrics.k8s.io",
            "version": "v1beta1",
            "groupPriorityMinimum": 100,
            "versionPriority": 100,
            "insecureSkipTLSVerify": True,
            "service": {"namespace": namespace, "name": "adapter", "port": 443},
        },
    }


def test_an_hpa_follows_the_load_that_beat_tells(guided: Kubectl, console: Console, adapter: None) -> None:
    run = uuid4().hex
    guided.apply(hpa(1, 3))
    code = f"print(json.dumps([stay.apply_async(args=[{run!r}, 15], queue='guided').id for _ in range(9)]))"
    ids = console.run(code)
    wait("three pods", lambda: replicas(guided) == 3 or None, seen=lambda: status(guided))
    console.results(ids, 150)
    assert len({pod for _, pod in console.starts(run)}) == 3
    wait("one pod", lambda: replicas(guided) == 1 or None, 150, seen=lambda: status(guided))
    guided.running(WORKERS, 1)
    assert len(console.starts(run)) == 9, "a pod that the HPA took away ran something that ran again"
