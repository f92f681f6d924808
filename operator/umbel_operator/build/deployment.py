"""Build the Deployment of a WorkerPool."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from umbel_operator.api.broker import Broker
from umbel_operator.api.concurrency import Concurrency
from umbel_operator.api.names import ANNOTATION_RESTARTED_AT, ANNOTATION_TEMPLATE_HASH
from umbel_operator.api.rollout import Rollout
from umbel_operator.api.workerpool import WorkerPool
from umbel_operator.build import labels, names
from umbel_operator.build.canonical import short_hash
from umbel_operator.build.connection import broker_mounts, broker_volumes, client_env
from umbel_operator.build.identity import identity_env
from umbel_operator.build.metadata import child_metadata
from umbel_operator.build.podtemplate import Enforced, assemble
from umbel_operator.build.probes import probes
from umbel_operator.build.quantities import bytes_of
from umbel_operator.build.security import container_security_context, pod_security_context

#: Seconds that a pod gets beyond its drain time, to hand back what it holds and to leave.
GRACE_MARGIN_SECONDS = 15
CONTAINER = "worker"
#: What the command line calls the models.
EXECUTORS = {"Process": "process", "Thread": "thread", "Async": "asyncio"}


def build_worker_deployment(
    pool: WorkerPool,
    broker: Broker,
    shares: Sequence[tuple[str, int]],
    security: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the Deployment of a pool.

    shares: effective queue names with their weights, at least one.
    security: what the installation adds to the container's security context.
    Raises `TemplateInvalid` where the pool's template cannot be merged.
    """
    template = _pod_template(pool, broker, shares, security or {})
    metadata = child_metadata(
        pool,
        names.worker_deployment(pool.name),
        labels.worker_labels(pool.name, broker.name),
        {ANNOTATION_TEMPLATE_HASH: short_hash(template)},
    )
    rollout = pool.spec.rollout
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata,
        "spec": {
            "replicas": pool.effective_replicas,
            "selector": {"matchLabels": labels.worker_selector(pool.name)},
            "strategy": _strategy(rollout),
            "minReadySeconds": rollout.min_ready_seconds,
            "progressDeadlineSeconds": rollout.progress_deadline_seconds,
            "revisionHistoryLimit": 3,
            "template": template,
        },
    }


def worker_args(pool: WorkerPool, shares: Sequence[tuple[str, int]]) -> list[str]:
    """Return the arguments of the command `umbel` that a pool's workers run with."""
    queues = ",".join(name if weight == 1 else f"{name}={weight}" for name, weight in shares)
    return [
        "-A",
        pool.spec.app,
        "worker",
        "--queues",
        queues,
        *executor_args(pool.spec.concurrency),
        "--health-port",
        str(names.HTTP_PORT),
        "--loglevel",
        "INFO",
    ]


def executor_args(concurrency: Concurrency) -> list[str]:
    """Return the arguments that say how a worker runs several tasks at once."""
    pool = [] if concurrency.model == "Process" else ["--pool", EXECUTORS[concurrency.model]]
    bounds = []
    if concurrency.prefetch is not None:
        bounds += ["--prefetch", str(concurrency.prefetch)]
    if concurrency.max_tasks_per_process is not None:
        bounds += ["--max-tasks-per-child", str(concurrency.max_tasks_per_process)]
    if concurrency.max_memory is not None:
        bounds += ["--max-memory-per-child", str(max(1, bytes_of(concurrency.max_memory) // 1024))]
    return [*pool, "--concurrency", str(concurrency.slots), *bounds]


def worker_env(pool: WorkerPool, broker: Broker) -> dict[str, str]:
    """Return the variables of a pool's workers that do not depend on the pod."""
    return {
        **client_env(broker),
        "UMBEL_POOL": pool.name,
        "UMBEL_DRAIN_TIMEOUT": str(pool.spec.drain.timeout_seconds),
        "UMBEL_DRAIN_ON_TIMEOUT": pool.spec.drain.on_timeout.lower(),
        "UMBEL_HEALTH_PORT": str(names.HTTP_PORT),
    }


def _pod_template(
    pool: WorkerPool, broker: Broker, shares: Sequence[tuple[str, int]], security: Mapping[str, Any]
) -> dict[str, Any]:
    spec: dict[str, Any] = {
        "securityContext": pod_security_context(),
        "containers": [_container(pool, broker, shares, security)],
        "volumes": [{"name": "tmp", "emptyDir": {}}, *broker_volumes(broker)],
    }
    if pool.spec.service_account_name is not None:
        spec["serviceAccountName"] = pool.spec.service_account_name
    fixed = tuple({"name": name, "value": value} for name, value in worker_env(pool, broker).items())
    restarted = pool.metadata.annotations.get(ANNOTATION_RESTARTED_AT)
    enforced = Enforced(
        container=CONTAINER,
        labels=labels.worker_labels(pool.name, broker.name),
        annotations={ANNOTATION_RESTARTED_AT: restarted} if restarted else {},
        env=(*identity_env(), *fixed),
        grace_seconds=pool.spec.drain.timeout_seconds + GRACE_MARGIN_SECONDS,
    )
    return assemble(spec, pool.spec.template, enforced)


def _container(
    pool: WorkerPool, broker: Broker, shares: Sequence[tuple[str, int]], security: Mapping[str, Any]
) -> dict[str, Any]:
    spec = pool.spec
    given = {variable["name"] for variable in spec.env}
    home = [] if "HOME" in given else [{"name": "HOME", "value": "/tmp"}]
    container: dict[str, Any] = {
        "name": CONTAINER,
        "image": spec.image,
        "command": ["umbel"],
        "args": worker_args(pool, shares),
        "env": [*home, *(dict(variable) for variable in spec.env)],
        "ports": [{"name": "http", "containerPort": names.HTTP_PORT, "protocol": "TCP"}],
        "securityContext": {**container_security_context(read_only_root=False), **security},
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}, *broker_mounts(broker)],
        **probes(),
    }
    if spec.image_pull_policy is not None:
        container["imagePullPolicy"] = spec.image_pull_policy
    if spec.env_from:
        container["envFrom"] = [dict(source) for source in spec.env_from]
    if spec.resources is not None:
        container["resources"] = spec.resources
    return container


def _strategy(rollout: Rollout) -> dict[str, Any]:
    if rollout.strategy == "Recreate":
        return {"type": "Recreate"}
    surge = rollout.max_surge if rollout.max_surge is not None else "25%"
    # A surge of nothing with nothing unavailable could never make progress.
    default = "25%" if number_or_percent(surge) in (0, "0%") else 0
    unavailable = rollout.max_unavailable if rollout.max_unavailable is not None else default
    return {
        "type": "RollingUpdate",
        "rollingUpdate": {"maxSurge": number_or_percent(surge), "maxUnavailable": number_or_percent(unavailable)},
    }


def number_or_percent(value: int | str) -> int | str:
    """Return a count as a number even where it was written as text; Kubernetes takes text for percentages only."""
    return int(value) if isinstance(value, str) and value.isdigit() else value
