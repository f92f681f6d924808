"""Build beat's Deployment and Service, and the ConfigMap for producers."""

from __future__ import annotations

from typing import Any

from umbel_operator.api.broker import Broker
from umbel_operator.api.names import ANNOTATION_RESTARTED_AT, ANNOTATION_TEMPLATE_HASH
from umbel_operator.build import labels, names
from umbel_operator.build.canonical import short_hash
from umbel_operator.build.connection import broker_mounts, broker_volumes, client_env
from umbel_operator.build.identity import identity_env
from umbel_operator.build.metadata import child_metadata
from umbel_operator.build.podtemplate import Enforced, assemble
from umbel_operator.build.probes import probes
from umbel_operator.build.security import container_security_context, pod_security_context
from umbel_operator.build.settings import Settings

CONTAINER = "beat"
#: Seconds that beat gets to finish a call and give up its lock.
GRACE_SECONDS = 30
#: Shards that are mounted from the start, absent ones too, so that growth seldom replaces the pod.
MOUNTED_SHARDS = 4


def build_beat_deployment(broker: Broker, shards: int, settings: Settings) -> dict[str, Any]:
    """Return beat's Deployment.

    shards: how many shards the configuration has.
    Raises `TemplateInvalid` where the Broker's beat template cannot be merged.
    """
    template = _pod_template(broker, shards, settings)
    metadata = child_metadata(
        broker,
        names.beat(broker.name),
        labels.beat_labels(broker.name),
        {ANNOTATION_TEMPLATE_HASH: short_hash(template)},
    )
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata,
        "spec": {
            "replicas": broker.spec.beat.replicas,
            "selector": {"matchLabels": labels.beat_selector(broker.name)},
            # Two beats at once are harmless: one lock in Redis decides.
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
            "revisionHistoryLimit": 3,
            "template": template,
        },
    }


def beat_args(broker: Broker, config_dir: str = names.CONFIG_DIR, port: int = names.HTTP_PORT) -> list[str]:
    """Return the arguments of the command `umbel` that beat runs with."""
    ttl = str(broker.spec.beat.lock_ttl_seconds)
    return ["beat", "--config-dir", config_dir, "--port", str(port), "--lock-ttl", ttl]


def build_beat_service(broker: Broker) -> dict[str, Any]:
    """Return the Service by which the operator asks beat; beat answers also while it is not ready, and says why."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": child_metadata(broker, names.beat(broker.name), labels.beat_labels(broker.name)),
        "spec": {
            "type": "ClusterIP",
            "selector": labels.beat_selector(broker.name),
            "ports": [{"name": "http", "port": names.HTTP_PORT, "targetPort": "http", "protocol": "TCP"}],
            "publishNotReadyAddresses": True,
        },
    }


def build_client_config(broker: Broker) -> dict[str, Any]:
    """Return the ConfigMap that producers of the namespace take by `envFrom`; it holds no secret."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": child_metadata(broker, names.client_config(broker.name), labels.config_labels(broker.name)),
        "data": client_env(broker),
    }


def _pod_template(broker: Broker, shards: int, settings: Settings) -> dict[str, Any]:
    selector = labels.beat_selector(broker.name)
    spec: dict[str, Any] = {
        "securityContext": pod_security_context(),
        "containers": [_container(broker, settings)],
        "volumes": [
            {"name": "tmp", "emptyDir": {}},
            {"name": "umbel-config", "projected": {"defaultMode": 0o444, "sources": _config_sources(broker, shards)}},
            *broker_volumes(broker),
        ],
        "topologySpreadConstraints": [
            {
                "maxSkew": 1,
                "topologyKey": "kubernetes.io/hostname",
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": {"matchLabels": selector},
            }
        ],
    }
    restarted = broker.metadata.annotations.get(ANNOTATION_RESTARTED_AT)
    fixed = tuple({"name": name, "value": value} for name, value in client_env(broker).items())
    enforced = Enforced(
        container=CONTAINER,
        labels=labels.beat_labels(broker.name),
        annotations={ANNOTATION_RESTARTED_AT: restarted} if restarted else {},
        env=(*identity_env(), *fixed),
        grace_seconds=GRACE_SECONDS,
    )
    return assemble(spec, broker.spec.beat.template, enforced)


def _container(broker: Broker, settings: Settings) -> dict[str, Any]:
    beat = broker.spec.beat
    container: dict[str, Any] = {
        "name": CONTAINER,
        "image": beat.image or settings.beat_image,
        "command": ["umbel"],
        "args": beat_args(broker),
        "env": [{"name": "HOME", "value": "/tmp"}],
        "ports": [{"name": "http", "containerPort": names.HTTP_PORT, "protocol": "TCP"}],
        "securityContext": container_security_context(read_only_root=True),
        "volumeMounts": [
            {"name": "tmp", "mountPath": "/tmp"},
            {"name": "umbel-config", "mountPath": names.CONFIG_DIR, "readOnly": True},
            *broker_mounts(broker),
        ],
        **probes(),
    }
    if beat.image is None and settings.beat_image_pull_policy is not None:
        container["imagePullPolicy"] = settings.beat_image_pull_policy
    if beat.resources is not None:
        container["resources"] = beat.resources
    return container


def _config_sources(broker: Broker, shards: int) -> list[dict[str, Any]]:
    count = max(shards, MOUNTED_SHARDS)
    sources = [names.config_index(broker.name), *(names.config_shard(broker.name, n) for n in range(count))]
    return [{"configMap": {"name": name, "optional": True}} for name in sources]
