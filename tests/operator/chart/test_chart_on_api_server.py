"""A real API server takes every object of the chart, and Helm installs, upgrades and uninstalls with it."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from tests.operator.chart.rendering import CHART, VALUE_SETS, VALUES, find_helm, render, without_monitoring

from umbel_operator.kube.client import Api
from umbel_operator.kube.errors import ApiError
from umbel_operator.kube.transport import Request

VARIABLE = "UMBEL_TEST_KUBECONFIG"
API_SERVER = os.environ.get(VARIABLE)

PATHS = {
    "ServiceAccount": "/api/v1/namespaces/{}/serviceaccounts",
    "Service": "/api/v1/namespaces/{}/services",
    "ConfigMap": "/api/v1/namespaces/{}/configmaps",
    "Pod": "/api/v1/namespaces/{}/pods",
    "Deployment": "/apis/apps/v1/namespaces/{}/deployments",
    "PodDisruptionBudget": "/apis/policy/v1/namespaces/{}/poddisruptionbudgets",
    "Job": "/apis/batch/v1/namespaces/{}/jobs",
    "Role": "/apis/rbac.authorization.k8s.io/v1/namespaces/{}/roles",
    "RoleBinding": "/apis/rbac.authorization.k8s.io/v1/namespaces/{}/rolebindings",
    "ClusterRole": "/apis/rbac.authorization.k8s.io/v1/clusterroles",
    "ClusterRoleBinding": "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
    "CustomResourceDefinition": "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
}


@pytest.mark.parametrize("values", VALUE_SETS)
def test_every_object_is_taken(values: str, with_api_server: Callable[..., None]) -> None:
    """Given a value set, when its objects are applied for trial with strict fields, then none is refused."""

    async def use(api: Api, namespace: str) -> None:
        for obj in without_monitoring(render(values)):
            if "namespace" in obj["metadata"]:
                obj["metadata"]["namespace"] = namespace
            await api.transport.send(
                Request(
                    "PATCH",
                    f"{PATHS[obj['kind']].format(namespace)}/{obj['metadata']['name']}",
                    what=f"try {obj['kind']} {obj['metadata']['name']}",
                    query={"dryRun": "All", "fieldManager": "trial", "fieldValidation": "Strict", "force": "true"},
                    body=obj,
                    content_type="application/apply-patch+yaml",
                )
            )

    with_api_server(use)


def test_the_trial_refuses_an_unknown_field(with_api_server: Callable[..., None]) -> None:
    async def use(api: Api, namespace: str) -> None:
        body = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "x", "namespace": namespace},
            "dta": {},
        }
        request = Request(
            "PATCH",
            f"{PATHS['ConfigMap'].format(namespace)}/x",
            what="try",
            query={"dryRun": "All", "fieldManager": "trial", "fieldValidation": "Strict"},
            body=body,
            content_type="application/apply-patch+yaml",
        )
        with pytest.raises(ApiError, match="dta"):
            await api.transport.send(request)

    with_api_server(use)


class Release:
    """One release of the chart in a namespace of its own, apart from all others of the cluster."""

    def __init__(self, home: Path) -> None:
        self.name = f"chart-{uuid4().hex[:8]}"
        self._environment = {"PATH": os.environ["PATH"], "HOME": str(home), "KUBECONFIG": str(API_SERVER)}

    def helm(self, *arguments: str | Path, fails: bool = False) -> str:
        command = [find_helm(), *arguments, "--namespace", self.name]
        done = subprocess.run(command, capture_output=True, text=True, env=self._environment, timeout=120)
        assert (done.returncode != 0) == fails, done.stdout + done.stderr
        return done.stdout + done.stderr

    def get(self, *arguments: str) -> str:
        command = ["kubectl", "get", *arguments, "--ignore-not-found", "--output", "name"]
        done = subprocess.run(command, capture_output=True, text=True, env=self._environment, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def kubectl(self, *arguments: str, stdin: str | None = None) -> None:
        command = ["kubectl", *arguments]
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, env=self._environment, timeout=60)
        assert done.returncode == 0, done.stderr


@pytest.fixture
def release(tmp_path: Path) -> Iterator[Release]:
    if not API_SERVER:
        pytest.skip(f"needs a Kubernetes API server: set {VARIABLE} to a kubeconfig")
    if not shutil.which("kubectl"):
        pytest.skip("needs kubectl on PATH")
    mine = Release(tmp_path)
    try:
        yield mine
    finally:
        subprocess.run(
            [find_helm(), "uninstall", mine.name, "--namespace", mine.name, "--ignore-not-found"],
            env=mine._environment,
            capture_output=True,
            timeout=120,
        )
        mine.kubectl("delete", "namespace", mine.name, "--wait=false", "--ignore-not-found")


BROKER = """
apiVersion: umbel.dev/v1alpha1
kind: Broker
metadata: {name: default}
spec: {connection: {addresses: ["redis:6379"]}}
"""


def test_install_upgrade_rollback_uninstall_keeps_the_kinds_and_their_objects(release: Release) -> None:
    """Given an installed chart and a Broker, when the release goes, then the CRDs and the Broker stay."""
    # Another test, or another release, may have brought the CRDs before.
    adopt = ["--take-ownership", "--force-conflicts"]
    release.helm("install", release.name, CHART, "--create-namespace", *adopt)
    release.kubectl("wait", "--for=condition=Established", "crd/brokers.umbel.dev", "--timeout=60s")
    release.kubectl("apply", "--namespace", release.name, "--filename", "-", stdin=BROKER)
    release.helm("upgrade", release.name, CHART, "--values", VALUES / "pod.yaml", *adopt)
    release.helm("rollback", release.name, "1", "--force-conflicts")
    said = release.helm("uninstall", release.name)
    assert "[CustomResourceDefinition] brokers.umbel.dev" in said
    assert release.get("crd", "brokers.umbel.dev", "schedules.umbel.dev").count("umbel.dev") == 2
    assert release.get("broker", "default", "--namespace", release.name) == "broker.umbel.dev/default\n"
    left = release.get("deployment,serviceaccount,role,rolebinding,service", "--namespace", release.name)
    assert [line for line in left.split() if release.name in line] == []
    assert release.name not in release.get("clusterrole,clusterrolebinding")


def test_a_namespaced_release_makes_nothing_cluster_wide(release: Release) -> None:
    sets = f"watchNamespaces={{{release.name}}},crds.enabled=false,rbac.aggregate=false"
    release.helm("install", release.name, CHART, "--create-namespace", "--set", sets)
    assert release.name not in release.get("clusterrole,clusterrolebinding")
    assert "umbel-operator" in release.get("role", "--namespace", release.name)


def test_a_missing_namespace_of_a_broker_is_named(release: Release) -> None:
    sets = "crds.enabled=false,rbac.aggregate=false,redis.enabled=true,brokers[0].namespace=no-such-namespace"
    said = release.helm("install", release.name, CHART, "--create-namespace", "--set", sets, fails=True)
    assert 'namespaces "no-such-namespace" not found' in said
