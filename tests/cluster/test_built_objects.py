"""What the operator builds, before a real API server: every field is known, and every pod passes `restricted`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any
from uuid import uuid4

import pytest
from tests.cluster.kubectl import Kubectl, why_not
from tests.operator.resources import broker, pool, queue, schedule, view

from umbel_operator.build.broker import build_beat_deployment, build_beat_service, build_client_config
from umbel_operator.build.config import build_config_maps, next_index, render_shards
from umbel_operator.build.deployment import build_worker_deployment
from umbel_operator.build.disruption import build_disruption_budget
from umbel_operator.build.entries import broker_entries
from umbel_operator.build.networkpolicy import build_beat_network_policy, build_worker_network_policy
from umbel_operator.build.settings import Settings

MISSING = why_not()
pytestmark = [pytest.mark.cluster, pytest.mark.skipif(MISSING is not None, reason=MISSING or "")]

SETTINGS = Settings(beat_image="umbel:1", network_policies=True, network_policy_namespaces=("umbel-system",))
SECURE = {
    "addresses": ["redis.data:6380"],
    "credentialsSecretRef": {"name": "redis", "usernameKey": "user"},
    "tls": {"caSecretRef": {"name": "ca", "key": "ca.crt"}, "clientCertSecretRef": {"name": "cert"}},
}
PLAIN, GUARDED = broker(), broker(connection=SECURE, beat={"replicas": 2})
SHARES = [("mail", 2), ("reports", 1)]
RICH = pool(
    imagePullPolicy="IfNotPresent",
    env=[{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
    envFrom=[{"configMapRef": {"name": "settings", "optional": True}}],
    resources={"requests": {"cpu": "100m"}, "limits": {"memory": "256Mi"}},
    serviceAccountName="s3-reader",
    rollout={"strategy": "RollingUpdate", "maxSurge": "2", "maxUnavailable": "10%", "minReadySeconds": 5},
    disruption={"maxUnavailable": "50%"},
    template={
        "metadata": {"labels": {"team": "shop"}, "annotations": {"note": "x"}},
        "spec": {
            "nodeSelector": {"disk": "ssd"},
            "initContainers": [
                {
                    "name": "warm-up",
                    "image": "shop:1",
                    "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
                }
            ],
            "containers": [{"name": "worker", "volumeMounts": [{"name": "cache", "mountPath": "/cache"}]}],
            "volumes": [{"name": "cache", "emptyDir": {"sizeLimit": "1Gi"}}],
        },
    },
)


def configuration() -> list[Mapping[str, Any]]:
    found = view(PLAIN, queue(), schedule(), pool())
    shards = render_shards(broker_entries("default", found.queues, found.schedules, found.pools), 2)
    return list(build_config_maps(PLAIN, shards, next_index(shards, PLAIN.uid, None, 1)))


OBJECTS: dict[str, Any] = {
    "workers": build_worker_deployment(pool(), PLAIN, SHARES),
    "workers with credentials": build_worker_deployment(pool(), GUARDED, SHARES),
    "workers with all fields": build_worker_deployment(RICH, PLAIN, SHARES),
    "workers that are recreated": build_worker_deployment(pool(rollout={"strategy": "Recreate"}), PLAIN, SHARES),
    "disruption budget": build_disruption_budget(RICH),
    "beat": build_beat_deployment(PLAIN, 1, SETTINGS),
    "beat with credentials": build_beat_deployment(GUARDED, 8, SETTINGS),
    "service": build_beat_service(PLAIN),
    "network policy of beat": build_beat_network_policy(PLAIN, SETTINGS),
    "network policy of workers": build_worker_network_policy(pool(), SETTINGS),
    "client config": build_client_config(GUARDED),
    "shard": configuration()[0],
    "index": configuration()[-1],
}
DEPLOYMENTS = [name for name, built in OBJECTS.items() if built["kind"] == "Deployment"]


@pytest.fixture(scope="module")
def restricted() -> Iterator[Kubectl]:
    """Make a namespace that admits only pods which pass `restricted`."""
    name = f"umbel-built-{uuid4().hex[:6]}"
    labels = {"pod-security.kubernetes.io/enforce": "restricted", "pod-security.kubernetes.io/warn": "restricted"}
    kubectl = Kubectl(name)
    kubectl.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})
    yield kubectl
    kubectl("delete", "namespace", name, "--wait=false")


def place(built: Mapping[str, Any], kubectl: Kubectl) -> dict[str, Any]:
    """Return the object in the test's namespace; its owner is none that the API server could look up."""
    metadata = {**built["metadata"], "namespace": kubectl.namespace}
    return {**built, "metadata": metadata}


@pytest.mark.parametrize("name", OBJECTS)
def test_the_api_server_knows_every_field(name: str, restricted: Kubectl) -> None:
    """Given a built object, when it is applied strictly, then it is taken without a warning."""
    apply = ("apply", "--server-side", "--dry-run=server", "--validate=strict", "--field-manager=umbel-operator")
    said = restricted(*apply, "-f", "-", stdin=json.dumps(place(OBJECTS[name], restricted)), check=False)
    assert "serverside-applied" in said, said
    assert "Warning" not in said, said


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_every_pod_passes_restricted(name: str, restricted: Kubectl) -> None:
    template = OBJECTS[name]["spec"]["template"]
    spec = {key: value for key, value in template["spec"].items() if key != "serviceAccountName"}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {**template["metadata"], "name": "p"}, "spec": spec}
    said = restricted("create", "--dry-run=server", "-f", "-", stdin=json.dumps(pod), check=False)
    assert "created" in said, said
    assert "Warning" not in said, said


def test_restricted_is_in_force_here(restricted: Kubectl) -> None:
    """Given the same namespace, when a pod without any security context is created, then it is refused."""
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "p"},
        "spec": {"containers": [{"name": "c", "image": "x"}]},
    }
    said = restricted("create", "--dry-run=server", "-f", "-", stdin=json.dumps(pod), check=False)
    assert "violates PodSecurity" in said
