"""Plan a WorkerPool: its Deployment and what goes with it, and what to say about them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from umbel_operator.api.conditions import Condition, Reason
from umbel_operator.api.names import ANNOTATION_TEMPLATE_HASH
from umbel_operator.api.workerpool import WorkerPool, WorkerPoolStatus
from umbel_operator.build import labels, names
from umbel_operator.build.deployment import build_worker_deployment
from umbel_operator.build.disruption import build_disruption_budget
from umbel_operator.build.monitors import build_worker_monitor
from umbel_operator.build.networkpolicy import build_worker_network_policy
from umbel_operator.build.podtemplate import TemplateInvalid
from umbel_operator.build.queues import Resolution, resolve
from umbel_operator.plan.conditions import Conditions
from umbel_operator.plan.findings import Rollout, failure_of, pod_trouble, read_rollout, refused_for_good, unsteady
from umbel_operator.plan.missing import broker_not_found
from umbel_operator.plan.model import Action, Apply, Delete, Event, Manifest, Patch, Plan, Ref, State
from umbel_operator.plan.poolscaling import Scaling, scale
from umbel_operator.plan.unsupported import set_accepted

_PROGRESS_SECONDS = 5.0
_MAX_QUEUES_TEXT = 256


@dataclass(frozen=True, slots=True)
class _Blocked:
    """Why no Deployment can be built now."""

    reason: Reason
    message: str


@dataclass(frozen=True, slots=True)
class _Findings:
    """What the conditions rest on."""

    resolution: Resolution
    deployment: Manifest | None
    blocked: _Blocked | None
    rollout: Rollout
    #: Of the pods that are ready only until they crash again, the seconds after which they count.
    unsteady: tuple[float, ...] = ()


def plan_pool(state: State[WorkerPool]) -> Plan:
    """Plan a WorkerPool; one that is being deleted needs nothing, since its children go with it."""
    pool = state.resource
    if pool.deleting:
        return Plan()
    resolution = resolve(pool, state.view.queues)
    deployment, blocked = _build(state, resolution)
    live = state.children.get(_deployment_ref(pool))
    findings = _Findings(resolution, deployment, blocked, read_rollout(live), tuple(unsteady(state.pods, state.now)))
    conditions = Conditions("WorkerPool", pool.generation, pool.status.conditions or (), state.now)
    set_accepted(conditions, pool)
    _set_queues_resolved(conditions, pool, resolution)
    _set_available(conditions, state, findings)
    _set_progressing(conditions, state, findings)
    scaling = scale(state)
    _set_scaling(conditions, pool, scaling)
    _set_ready(conditions, findings)
    moving = conditions.get(Condition.PROGRESSING).reason == Reason.ROLLOUT_IN_PROGRESS
    looks = [_PROGRESS_SECONDS] if moving else []
    looks += findings.unsteady
    if scaling is not None:
        looks.append(scaling.period)
    return Plan(
        actions=(*_actions(state, findings, live), *(scaling.actions if scaling is not None else ())),
        status=_status(state, findings, conditions, scaling),
        events=conditions.events(),
        requeue_after=min(looks, default=None),
        scaling=scaling.decision.memory if scaling is not None else None,
    )


def _build(state: State[WorkerPool], resolution: Resolution) -> tuple[Manifest | None, _Blocked | None]:
    pool = state.resource
    name = pool.spec.broker_ref.name
    broker = state.view.brokers.get(name)
    if broker is None:
        return None, _Blocked(Reason.BROKER_NOT_FOUND, broker_not_found(name, pool.namespace))
    health = broker.status.condition(Condition.READY)
    if health is not None and health.reason == Reason.NAME_CONFLICT:
        # Its workers would take the tasks of the Broker that has the keys.
        return None, _Blocked(Reason.BROKER_NOT_READY, f'Broker "{name}" is not ready (NameConflict: {health.message})')
    if not resolution.shares:
        reason = Reason.QUEUE_NOT_FOUND if resolution.missing else Reason.QUEUE_OTHER_BROKER
        return None, _Blocked(reason, "none of the queues can be served, so no worker runs until one can")
    try:
        security = state.settings.worker_security_context
        return build_worker_deployment(pool, broker, resolution.shares, security), None
    except TemplateInvalid as problem:
        return None, _Blocked(Reason.TEMPLATE_INVALID, f"spec.template: {problem}")


def _actions(state: State[WorkerPool], findings: _Findings, live: Manifest | None) -> Iterator[Action]:
    pool = state.resource
    if findings.deployment is not None:
        if not refused_for_good(state, findings.deployment):
            yield Apply(findings.deployment, _applied(findings.deployment))
    elif live is not None and not findings.resolution.shares and findings.rollout.wanted > 0:
        yield Patch(_deployment_ref(pool), {"spec": {"replicas": 0}})
    besides = (
        build_disruption_budget(pool),
        build_worker_network_policy(pool, state.settings),
        build_worker_monitor(pool, state.settings),
    )
    wanted = [manifest for manifest in besides if manifest is not None]
    yield from (Apply(manifest) for manifest in wanted if not refused_for_good(state, manifest))
    kept = {Ref.of(manifest) for manifest in wanted}
    for ref, child in state.children.items():
        if ref.kind in ("PodDisruptionBudget", "NetworkPolicy", "PodMonitor") and ref not in kept:
            yield Delete(ref, str(child["metadata"].get("uid", "")))


def _applied(deployment: Manifest) -> Event:
    name, replicas = deployment["metadata"]["name"], deployment["spec"]["replicas"]
    image = next(c["image"] for c in deployment["spec"]["template"]["spec"]["containers"] if c["name"] == "worker")
    return Event("Normal", "DeploymentApplied", f'applied Deployment "{name}": {replicas} replicas of {image}')


def _deployment_ref(pool: WorkerPool) -> Ref:
    return Ref("apps/v1", "Deployment", pool.namespace, names.worker_deployment(pool.name))


def _set_queues_resolved(conditions: Conditions, pool: WorkerPool, resolution: Resolution) -> None:
    served = ", ".join(name for name, _ in resolution.shares) or "none"
    if resolution.missing:
        missing = ", ".join(f'"{name}"' for name in resolution.missing)
        conditions.set(
            Condition.QUEUES_RESOLVED,
            Reason.QUEUE_NOT_FOUND,
            f'no TaskQueue {missing} in namespace "{pool.namespace}": create it or correct spec.queues; '
            f"served: {served}",
        )
    elif resolution.foreign:
        foreign = ", ".join(f'"{name}"' for name in resolution.foreign)
        conditions.set(
            Condition.QUEUES_RESOLVED,
            Reason.QUEUE_OTHER_BROKER,
            f'TaskQueue {foreign} does not belong to Broker "{pool.spec.broker_ref.name}": a pool serves the queues '
            f"of one Broker; served: {served}",
        )
    else:
        conditions.set(Condition.QUEUES_RESOLVED, Reason.RESOLVED, f"served: {served}")


def _set_available(conditions: Conditions, state: State[WorkerPool], findings: _Findings) -> None:
    pool, rollout = state.resource, findings.rollout
    wanted = pool.effective_replicas
    if pool.spec.suspend:
        conditions.set(Condition.AVAILABLE, Reason.SUSPENDED, "spec.suspend is true: no worker runs")
    elif wanted == 0:
        conditions.set(Condition.AVAILABLE, Reason.SCALED_TO_ZERO, "spec.replicas is 0: no worker is wanted")
    elif rollout.enough and rollout.available > 0 and not findings.unsteady:
        conditions.set(
            Condition.AVAILABLE,
            Reason.MINIMUM_REPLICAS_AVAILABLE,
            f"{rollout.available} of {wanted} workers are available",
        )
    else:
        trouble = pod_trouble(state.pods, state.now)
        available = max(0, rollout.available - len(findings.unsteady))
        text = f"{available} of {wanted} workers are available"
        if trouble is not None:
            text = f"{text}; {trouble.message}"
        conditions.set(Condition.AVAILABLE, Reason.MINIMUM_REPLICAS_UNAVAILABLE, text)


def _set_progressing(conditions: Conditions, state: State[WorkerPool], findings: _Findings) -> None:
    problem = _obstacle(state, findings)
    if problem is not None:
        conditions.set(Condition.PROGRESSING, problem.reason, problem.message)
    elif _is_rolled_out(findings, state.resource):
        conditions.set(Condition.PROGRESSING, Reason.ROLLOUT_COMPLETE, "all workers have the newest template")
    else:
        rollout = findings.rollout
        conditions.set(
            Condition.PROGRESSING,
            Reason.ROLLOUT_IN_PROGRESS,
            f"{rollout.updated} of {state.resource.effective_replicas} workers have the newest template, "
            f"{rollout.available} are available",
        )


def _obstacle(state: State[WorkerPool], findings: _Findings) -> _Blocked | None:
    if findings.blocked is not None:
        return findings.blocked
    if (conflict := failure_of(state, "ResourceConflict")) is not None:
        return _Blocked(Reason.RESOURCE_CONFLICT, conflict.message)
    if (refusal := failure_of(state, "TemplateInvalid", "Forbidden")) is not None:
        return _Blocked(Reason.TEMPLATE_INVALID, f"the API server refuses it, correct the spec: {refusal.message}")
    if (quota := failure_of(state, "QuotaExceeded")) is not None:
        return _Blocked(Reason.QUOTA_EXCEEDED, quota.message)
    if state.resource.effective_replicas == 0:
        return None
    if (failed := findings.rollout.failed_creation()) is not None:
        over = "exceeded quota" in failed
        return _Blocked(Reason.QUOTA_EXCEEDED if over else Reason.TEMPLATE_INVALID, f"no pod can be created: {failed}")
    trouble = pod_trouble(state.pods, state.now)
    if trouble is not None and trouble.image:
        return _Blocked(Reason.IMAGE_PULL_FAILING, trouble.message)
    if (late := findings.rollout.deadline_exceeded()) is not None:
        text = f"{late} Workers with the former template keep working."
        return _Blocked(Reason.PROGRESS_DEADLINE_EXCEEDED, f"{text} {trouble.message}" if trouble else text)
    return None


def _is_rolled_out(findings: _Findings, pool: WorkerPool) -> bool:
    rollout, wanted = findings.rollout, findings.deployment
    if wanted is None or not rollout.complete or rollout.wanted != pool.effective_replicas:
        return False
    return rollout.template_hash == _template_hash(wanted)


def _template_hash(deployment: Manifest) -> str:
    return str(deployment["metadata"]["annotations"][ANNOTATION_TEMPLATE_HASH])


def _set_scaling(conditions: Conditions, pool: WorkerPool, scaling: Scaling | None) -> None:
    if scaling is not None:
        conditions.set(Condition.SCALING_ACTIVE, scaling.decision.reason, scaling.decision.message)
    elif pool.spec.suspend:
        conditions.set(Condition.SCALING_ACTIVE, Reason.SUSPENDED, "spec.suspend is true")
    elif pool.spec.autoscaling.type == "External":
        conditions.set(Condition.SCALING_ACTIVE, Reason.EXTERNAL, "spec.replicas is set through /scale from outside")
    else:
        conditions.set(Condition.SCALING_ACTIVE, Reason.FIXED, f"spec.replicas is {pool.spec.replicas}")


def _set_ready(conditions: Conditions, findings: _Findings) -> None:
    """Write Ready: available and all queues resolve; the reason is that of what is in the way."""
    resolved, available, progressing = (
        conditions.get(type) for type in (Condition.QUEUES_RESOLVED, Condition.AVAILABLE, Condition.PROGRESSING)
    )
    short = available.reason == Reason.MINIMUM_REPLICAS_UNAVAILABLE
    if findings.blocked is not None and findings.blocked.reason in (Reason.BROKER_NOT_FOUND, Reason.BROKER_NOT_READY):
        conditions.set(Condition.READY, findings.blocked.reason, findings.blocked.message)
    elif resolved.status != "True":
        conditions.set(Condition.READY, Reason(resolved.reason), resolved.message)
    elif progressing.status == "False" and (short or progressing.reason in _REFUSED):
        conditions.set(Condition.READY, Reason(progressing.reason), progressing.message)
    elif available.reason == Reason.MINIMUM_REPLICAS_AVAILABLE:
        conditions.set(Condition.READY, Reason.READY, available.message)
    else:
        conditions.set(Condition.READY, Reason(available.reason), available.message)


#: What keeps the present spec from coming into force, even where workers of the former one go on.
_REFUSED = frozenset({Reason.TEMPLATE_INVALID.value, Reason.RESOURCE_CONFLICT.value})


def _status(
    state: State[WorkerPool], findings: _Findings, conditions: Conditions, scaling: Scaling | None
) -> dict[str, Any]:
    pool, rollout = state.resource, findings.rollout
    built = _template_hash(findings.deployment) if findings.deployment is not None else None
    status = WorkerPoolStatus(
        observed_generation=pool.generation,
        replicas=rollout.replicas,
        ready_replicas=rollout.ready,
        updated_replicas=rollout.updated,
        available_replicas=rollout.available,
        desired_replicas=pool.effective_replicas,
        selector=labels.worker_selector_text(pool.name),
        template_hash=built or pool.status.template_hash,
        busy_slots=_busy(state),
        queues_text=_queues_text(pool),
        last_scale_time=state.now if _resizes(pool, scaling) else pool.status.last_scale_time,
    )
    return {**status.to_json(), "conditions": conditions.to_json()}


def _resizes(pool: WorkerPool, scaling: Scaling | None) -> bool:
    return scaling is not None and scaling.decision.replicas != pool.spec.replicas


def _busy(state: State[WorkerPool]) -> int | None:
    sample = state.sample
    if sample is None or sample.stale:
        return None
    busy = sample.pools.get(state.resource.name, {}).get("busy")
    return busy if isinstance(busy, int) and busy >= 0 else None


def _queues_text(pool: WorkerPool) -> str:
    text = ",".join(share.name if share.weight == 1 else f"{share.name}={share.weight}" for share in pool.spec.queues)
    return text if len(text) <= _MAX_QUEUES_TEXT else text[: _MAX_QUEUES_TEXT - 1] + "…"
