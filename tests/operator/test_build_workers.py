"""The Deployment and the disruption budget of a WorkerPool."""

from __future__ import annotations

from typing import Any

import pytest
from tests.operator.resources import broker, pool

from umbel_operator.api.workerpool import WorkerPool
from umbel_operator.build.deployment import build_worker_deployment, worker_args
from umbel_operator.build.disruption import build_disruption_budget

SHARES = [("mail", 2), ("reports", 1)]
HASH = "umbel.dev/template-hash"
OWNER = [
    {
        "apiVersion": "umbel.dev/v1alpha1",
        "kind": "WorkerPool",
        "name": "mailers",
        "uid": "uid-mailers",
        "controller": True,
        "blockOwnerDeletion": False,
    }
]
LABELS = {
    "app.kubernetes.io/name": "umbel-worker",
    "app.kubernetes.io/instance": "mailers",
    "app.kubernetes.io/component": "worker",
    "app.kubernetes.io/managed-by": "umbel-operator",
    "app.kubernetes.io/part-of": "umbel",
    "umbel.dev/pool": "mailers",
    "umbel.dev/component": "worker",
    "umbel.dev/broker": "default",
}


def field(name: str, path: str) -> dict[str, Any]:
    return {"name": name, "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": path}}}


def probe(path: str, period: int, failures: int) -> dict[str, Any]:
    return {
        "httpGet": {"path": path, "port": "http"},
        "periodSeconds": period,
        "timeoutSeconds": 5,
        "failureThreshold": failures,
    }


def build(**spec: Any) -> dict[str, Any]:
    return build_worker_deployment(pool(**spec), broker(), SHARES)


def container(deployment: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = deployment["spec"]["template"]["spec"]["containers"][0]
    return found


def test_the_whole_deployment_of_a_minimal_pool() -> None:
    deployment = build()
    assert deployment["metadata"].pop("annotations").keys() == {HASH}
    assert deployment == {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "mailers-worker", "namespace": "shop", "labels": LABELS, "ownerReferences": OWNER},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": {"umbel.dev/pool": "mailers", "umbel.dev/component": "worker"}},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": 0}},
            "minReadySeconds": 0,
            "progressDeadlineSeconds": 600,
            "revisionHistoryLimit": 3,
            "template": {
                "metadata": {"labels": LABELS},
                "spec": {
                    "securityContext": {
                        "runAsNonRoot": True,
                        "runAsUser": 65532,
                        "runAsGroup": 65532,
                        "fsGroup": 65532,
                        "seccompProfile": {"type": "RuntimeDefault"},
                    },
                    "containers": [
                        {
                            "name": "worker",
                            "image": "shop:1",
                            "command": ["umbel"],
                            "args": [
                                *("-A", "shop.tasks", "worker", "--queues", "mail=2,reports"),
                                *("--concurrency", "1", "--health-port", "8080", "--loglevel", "INFO"),
                            ],
                            "env": [
                                field("UMBEL_POD_UID", "metadata.uid"),
                                field("UMBEL_POD_NAME", "metadata.name"),
                                field("UMBEL_NAMESPACE", "metadata.namespace"),
                                {"name": "UMBEL_BROKER_URL", "value": "redis://redis:6379/0"},
                                {"name": "UMBEL_KEY_PREFIX", "value": "umbel:shop:default"},
                                {"name": "UMBEL_POOL", "value": "mailers"},
                                {"name": "UMBEL_DRAIN_TIMEOUT", "value": "300"},
                                {"name": "UMBEL_DRAIN_ON_TIMEOUT", "value": "requeue"},
                                {"name": "UMBEL_HEALTH_PORT", "value": "8080"},
                                {"name": "HOME", "value": "/tmp"},
                            ],
                            "ports": [{"name": "http", "containerPort": 8080, "protocol": "TCP"}],
                            "securityContext": {
                                "allowPrivilegeEscalation": False,
                                "capabilities": {"drop": ["ALL"]},
                            },
                            "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
                            "startupProbe": probe("/livez", 2, 150),
                            "livenessProbe": probe("/livez", 10, 3),
                            "readinessProbe": probe("/readyz", 5, 2),
                        }
                    ],
                    "volumes": [{"name": "tmp", "emptyDir": {}}],
                    "restartPolicy": "Always",
                    "terminationGracePeriodSeconds": 315,
                    "automountServiceAccountToken": False,
                },
            },
        },
    }


@pytest.mark.parametrize(
    ("spec", "name", "expected"),
    [
        ({"imagePullPolicy": "Never"}, "imagePullPolicy", "Never"),
        ({"envFrom": [{"configMapRef": {"name": "c"}}]}, "envFrom", [{"configMapRef": {"name": "c"}}]),
        ({"resources": {"limits": {"cpu": "1"}}}, "resources", {"limits": {"cpu": "1"}}),
        ({}, "imagePullPolicy", None),
        ({}, "envFrom", None),
    ],
    ids=["imagePullPolicy", "envFrom", "resources", "no policy", "no envFrom"],
)
def test_first_class_fields(spec: dict[str, Any], name: str, expected: Any) -> None:
    assert container(build(**spec)).get(name) == expected


def test_a_user_may_choose_home() -> None:
    env = container(build(env=[{"name": "HOME", "value": "/work"}]))["env"]
    assert [variable["value"] for variable in env if variable["name"] == "HOME"] == ["/work"]


@pytest.mark.parametrize(
    ("rollout", "strategy"),
    [
        ({"strategy": "Recreate"}, {"type": "Recreate"}),
        ({"maxSurge": "2"}, {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 2, "maxUnavailable": 0}}),
        (
            {"maxUnavailable": "10%"},
            {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "10%"}},
        ),
        ({"maxSurge": 0}, {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": "25%"}}),
        (
            {"maxSurge": "0%", "maxUnavailable": 1},
            {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "0%", "maxUnavailable": 1}},
        ),
    ],
    ids=["recreate", "number as text", "percentage", "no surge must give way", "both given"],
)
def test_rollout(rollout: dict[str, Any], strategy: dict[str, Any]) -> None:
    assert build(rollout=rollout)["spec"]["strategy"] == strategy


@pytest.mark.parametrize(("suspend", "replicas"), [(False, 7), (True, 0)], ids=["working", "suspended"])
def test_replicas(suspend: bool, replicas: int) -> None:
    assert build(replicas=7, suspend=suspend)["spec"]["replicas"] == replicas


def test_credentials_and_certificates_are_files() -> None:
    connection = {
        "addresses": ["redis.data:6380"],
        "database": 2,
        "credentialsSecretRef": {"name": "redis", "usernameKey": "user", "passwordKey": "pass"},
        "tls": {
            "caSecretRef": {"name": "ca", "key": "root.pem"},
            "clientCertSecretRef": {"name": "cert"},
            "serverName": "redis.example.org",
        },
    }
    deployment = build_worker_deployment(pool(), broker(connection=connection, keyPrefix="shop"), SHARES)
    env = {v["name"]: v.get("value") for v in container(deployment)["env"]}
    assert env["UMBEL_BROKER_URL"] == "rediss://redis.data:6380/2"
    assert env["UMBEL_KEY_PREFIX"] == "shop"
    assert env["UMBEL_BROKER_USERNAME_FILE"] == "/etc/umbel/broker/username"
    assert env["UMBEL_BROKER_PASSWORD_FILE"] == "/etc/umbel/broker/password"
    assert env["UMBEL_BROKER_CA_FILE"] == "/etc/umbel/broker/ca.crt"
    assert env["UMBEL_BROKER_CERT_FILE"] == "/etc/umbel/broker/tls.crt"
    assert env["UMBEL_BROKER_KEY_FILE"] == "/etc/umbel/broker/tls.key"
    assert env["UMBEL_BROKER_TLS_SERVER_NAME"] == "redis.example.org"
    (volume,) = [v for v in deployment["spec"]["template"]["spec"]["volumes"] if v["name"] == "umbel-broker"]
    assert volume["projected"]["sources"] == [
        {
            "secret": {
                "name": "redis",
                "items": [{"key": "user", "path": "username"}, {"key": "pass", "path": "password"}],
            }
        },
        {"secret": {"name": "ca", "items": [{"key": "root.pem", "path": "ca.crt"}]}},
        {
            "secret": {
                "name": "cert",
                "items": [{"key": "tls.crt", "path": "tls.crt"}, {"key": "tls.key", "path": "tls.key"}],
            }
        },
    ]
    assert {"name": "umbel-broker", "mountPath": "/etc/umbel/broker", "readOnly": True} in container(deployment)[
        "volumeMounts"
    ]


def annotated(**annotations: str) -> WorkerPool:
    return pool(
        meta={"annotations": {f"umbel.dev/{name.replace('_', '-')}": value for name, value in annotations.items()}}
    )


def template_hash(made: WorkerPool, address: str = "redis:6379", shares: Any = SHARES, **connection: Any) -> str:
    source = broker(connection={"addresses": [address], **connection})
    return str(build_worker_deployment(made, source, shares)["metadata"]["annotations"][HASH])


@pytest.mark.parametrize(
    "changed",
    [
        lambda: template_hash(pool(image="shop:2")),
        lambda: template_hash(pool(env=[{"name": "A", "value": "1"}])),
        lambda: template_hash(pool(app="shop.other")),
        lambda: template_hash(pool(concurrency={"slots": 4})),
        lambda: template_hash(pool(drain={"timeoutSeconds": 10})),
        lambda: template_hash(pool(template={"spec": {"nodeSelector": {"a": "b"}}})),
        lambda: template_hash(pool(), shares=[("mail", 1)]),
        lambda: template_hash(pool(), address="other:6379"),
        lambda: template_hash(annotated(restarted_at="2026-03-01")),
    ],
    ids=["image", "env", "app", "concurrency", "drain", "template", "queues", "connection", "restarted-at"],
)
def test_what_rolls_the_pods(changed: Any) -> None:
    assert changed() != template_hash(pool())


@pytest.mark.parametrize(
    "changed",
    [
        lambda: template_hash(pool(replicas=5)),
        lambda: template_hash(pool(suspend=True)),
        lambda: template_hash(pool(autoscaling={"type": "External"})),
        lambda: template_hash(pool(rollout={"maxSurge": 3})),
        lambda: template_hash(pool(disruption={"minAvailable": 1})),
    ],
    ids=["replicas", "suspend", "autoscaling", "rollout", "disruption"],
)
def test_what_leaves_the_pods_alone(changed: Any) -> None:
    assert changed() == template_hash(pool())


def test_the_installation_adds_to_the_security_context_and_the_template_wins() -> None:
    added = {"readOnlyRootFilesystem": True, "runAsUser": 1000}

    def context(**spec: Any) -> dict[str, Any]:
        built = build_worker_deployment(pool(**spec), broker(), SHARES, added)
        (container,) = built["spec"]["template"]["spec"]["containers"]
        found: dict[str, Any] = container["securityContext"]
        return found

    own = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    assert context() == {**own, **added}
    writes = {"spec": {"containers": [{"name": "worker", "securityContext": {"readOnlyRootFilesystem": False}}]}}
    assert context(template=writes)["readOnlyRootFilesystem"] is False
    assert context(template=writes)["runAsUser"] == 1000


def test_no_budget_unless_asked_for() -> None:
    assert build_disruption_budget(pool()) is None


@pytest.mark.parametrize(
    ("disruption", "bound"),
    [({"minAvailable": "50%"}, {"minAvailable": "50%"}), ({"maxUnavailable": "1"}, {"maxUnavailable": 1})],
    ids=["minAvailable", "maxUnavailable"],
)
def test_disruption_budget(disruption: dict[str, Any], bound: dict[str, Any]) -> None:
    assert build_disruption_budget(pool(disruption=disruption)) == {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": "mailers-worker", "namespace": "shop", "labels": LABELS, "ownerReferences": OWNER},
        "spec": {
            "selector": {"matchLabels": {"umbel.dev/pool": "mailers", "umbel.dev/component": "worker"}},
            **bound,
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
        },
    }


@pytest.mark.parametrize(
    ("concurrency", "arguments"),
    [
        ({"slots": 4}, "--concurrency 4"),
        ({"model": "Thread", "slots": 20}, "--pool thread --concurrency 20"),
        ({"model": "Async", "slots": 200}, "--pool asyncio --concurrency 200"),
        ({"maxTasksPerProcess": 9}, "--concurrency 1 --max-tasks-per-child 9"),
        ({"prefetch": 0}, "--concurrency 1 --prefetch 0"),
        ({"maxMemory": "1.5Gi"}, "--concurrency 1 --max-memory-per-child 1572864"),
        ({"maxMemory": "600M"}, "--concurrency 1 --max-memory-per-child 585937"),
        ({"maxMemory": 1048576}, "--concurrency 1 --max-memory-per-child 1024"),
    ],
    ids=["Process", "Thread", "Async", "maxTasksPerProcess", "prefetch", "Gi", "M", "bytes"],
)
def test_the_model_of_concurrency_is_the_executor(concurrency: dict[str, Any], arguments: str) -> None:
    built = worker_args(pool(concurrency=concurrency), [("mail", 1)])
    assert f" {arguments} " in f" {' '.join(built)} "
