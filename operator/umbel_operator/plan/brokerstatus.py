"""Say how a Broker is: its conditions and the rest of its status."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from umbel_operator.api import base
from umbel_operator.api.broker import Broker, BrokerStatus
from umbel_operator.api.conditions import Condition, Reason
from umbel_operator.build.connection import key_prefix
from umbel_operator.plan.conditions import Conditions
from umbel_operator.plan.findings import Rollout, failure_of, pod_trouble
from umbel_operator.plan.loading import serial_of
from umbel_operator.plan.model import State
from umbel_operator.plan.unsupported import set_accepted

#: Seconds that beat may lag behind a new configuration before the Broker counts as not ready.
LAG_SECONDS = 300
#: Seconds for which shards and index may not match while the kubelet brings them.
TORN_SECONDS = 120

_REDIS_REASONS = {
    "ConnectionRefused": Reason.CONNECTION_REFUSED,
    "AuthFailed": Reason.AUTH_FAILED,
    "TLSFailed": Reason.TLS_FAILED,
}
_REMEDIES = {
    Reason.CONNECTION_REFUSED: "check spec.connection.addresses and that Redis runs and may be reached from the pods",
    Reason.AUTH_FAILED: "check the Secret that spec.connection.credentialsSecretRef names",
    Reason.TLS_FAILED: "check spec.connection.tls: the authority, the client's certificate and serverName",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerFacts:
    """What the conditions rest on."""

    rollout: Rollout
    #: Serial of the configuration that should be there; None where none could be rendered.
    serial: int | None
    queues: int
    schedules: int
    #: An older Broker with the same keys.
    rival: Broker | None
    #: What refers to the Broker.
    users: tuple[str, ...]
    template_problem: str | None
    config_problem: str | None


def broker_conditions(state: State[Broker], facts: BrokerFacts) -> Conditions:
    """Return all conditions of a Broker."""
    broker = state.resource
    conditions = Conditions("Broker", broker.generation, broker.status.conditions or (), state.now)
    set_accepted(conditions, broker)
    _set_reachable(conditions, state)
    _set_beat_available(conditions, state, facts)
    _set_config_loaded(conditions, state, facts)
    _set_ready(conditions, state, facts)
    return conditions


def broker_status(state: State[Broker], facts: BrokerFacts, conditions: Conditions) -> dict[str, Any]:
    """Return the whole status of a Broker; what beat said last is kept while it is silent."""
    broker, sample = state.resource, state.sample
    known = sample is not None and sample.taken_at is not None
    status = BrokerStatus(
        observed_generation=broker.generation,
        key_prefix=key_prefix(broker),
        server_version=(sample.redis.version if sample and known else None) or broker.status.server_version,
        beat_replicas=facts.rollout.replicas,
        beat_ready_replicas=facts.rollout.ready,
        config_revision=str(facts.serial) if facts.serial is not None else broker.status.config_revision,
        loaded_revision=(sample.loaded_revision if sample and known else None) or broker.status.loaded_revision,
        schedules=facts.schedules,
        queues=facts.queues,
    )
    return {**status.to_json(), "conditions": conditions.to_json()}


def _set_reachable(conditions: Conditions, state: State[Broker]) -> None:
    sample = state.sample
    if sample is None or sample.stale:
        error = f": {sample.poll_error}" if sample is not None and sample.poll_error else ""
        silent = "has not answered yet" if sample is None or sample.taken_at is None else "no longer answers"
        conditions.set(Condition.REACHABLE, Reason.STATUS_STALE, f"beat {silent}{error}")
    elif sample.redis.ok:
        version = f" {sample.redis.version}" if sample.redis.version else ""
        conditions.set(Condition.REACHABLE, Reason.CONNECTED, f"connected to Redis{version}")
    else:
        reason = _REDIS_REASONS.get(sample.redis.reason or "", Reason.CONNECTION_REFUSED)
        where = ", ".join(state.resource.spec.connection.addresses)
        conditions.set(
            Condition.REACHABLE, reason, f"{where}: {sample.redis.error or 'no connection'}; {_REMEDIES[reason]}"
        )


def _set_beat_available(conditions: Conditions, state: State[Broker], facts: BrokerFacts) -> None:
    sample, ready = state.sample, facts.rollout.ready
    if state.resource.spec.beat.replicas == 0:
        text = "spec.beat.replicas is 0: no Schedule fires and no delayed task is promoted without workers"
        conditions.set(Condition.BEAT_AVAILABLE, Reason.BEAT_NOT_READY, text)
    elif ready == 0:
        trouble = pod_trouble(state.pods, state.now)
        text = f"no beat pod is ready; {trouble.message}" if trouble is not None else "no beat pod is ready"
        conditions.set(Condition.BEAT_AVAILABLE, Reason.BEAT_NOT_READY, text)
    elif sample is not None and not sample.stale and not sample.leader and facts.rollout.replicas == 1:
        # Of several pods the one that answered may be the standby, and then says nothing about the lead.
        conditions.set(
            Condition.BEAT_AVAILABLE, Reason.NO_LEADER, f"{ready} beat pods are ready, but none holds the lock in Redis"
        )
    else:
        conditions.set(Condition.BEAT_AVAILABLE, Reason.BEAT_READY, f"{ready} beat pods are ready")


def _set_config_loaded(conditions: Conditions, state: State[Broker], facts: BrokerFacts) -> None:
    sample = state.sample
    if facts.config_problem is not None:
        conditions.set(Condition.CONFIG_LOADED, Reason.LOAD_FAILED, facts.config_problem)
    elif facts.serial is None or sample is None or sample.taken_at is None:
        conditions.set(Condition.CONFIG_LOADED, Reason.PENDING, "beat has not loaded the configuration yet")
    elif serial_of(sample.loaded_revision) >= facts.serial:
        refused = len(sample.load_errors)
        note = f"; beat refuses {refused} entries, see their own conditions" if refused else ""
        conditions.set(Condition.CONFIG_LOADED, Reason.LOADED, f"beat works with the newest configuration{note}")
    elif (broken := next((e for e in sample.load_errors if not e.uid), None)) is not None and _lasts(conditions, state):
        conditions.set(Condition.CONFIG_LOADED, Reason.LOAD_FAILED, f"{broken.reason}: {broken.message}")
    else:
        conditions.set(Condition.CONFIG_LOADED, Reason.PENDING, "beat has not loaded the newest configuration yet")


def _lasts(conditions: Conditions, state: State[Broker]) -> bool:
    """Tell whether the newest configuration is missing for longer than files take that arrive one by one."""
    before = conditions.previous(Condition.CONFIG_LOADED)
    return before is not None and before.status == "False" and _seconds_since(before, state) > TORN_SECONDS


def _seconds_since(condition: base.Condition, state: State[Broker]) -> float:
    return (state.now - condition.last_transition_time).total_seconds()


def _set_ready(conditions: Conditions, state: State[Broker], facts: BrokerFacts) -> None:
    obstacle = _obstacle(conditions, state, facts)
    if obstacle is None:
        conditions.set(Condition.READY, Reason.READY, "Redis answers, and beat works with the configuration")
    else:
        conditions.set(Condition.READY, *obstacle)


def _obstacle(conditions: Conditions, state: State[Broker], facts: BrokerFacts) -> tuple[Reason, str] | None:
    """Return what is in the way, the cause before what follows from it."""
    broker = state.resource
    if broker.deleting:
        users = ", ".join(facts.users[:10]) + (" …" if len(facts.users) > 10 else "")
        return Reason.IN_USE, f"deletion waits, since workers need the connection to drain; delete first: {users}"
    if facts.rival is not None:
        other = f"{facts.rival.namespace}/{facts.rival.name}"
        text = f"Broker {other} is older and uses the same keys; nothing is deployed for this one: give it another"
        return Reason.NAME_CONFLICT, f"{text} spec.keyPrefix or database by creating it anew"
    if (conflict := failure_of(state, "ResourceConflict")) is not None:
        return Reason.RESOURCE_CONFLICT, conflict.message
    if facts.template_problem is not None:
        return Reason.TEMPLATE_INVALID, facts.template_problem
    if (refusal := failure_of(state, "TemplateInvalid", "Forbidden", "QuotaExceeded")) is not None:
        return Reason.TEMPLATE_INVALID, f"the API server refuses it, correct the spec: {refusal.message}"
    return _unhealthy(conditions, state)


def _unhealthy(conditions: Conditions, state: State[Broker]) -> tuple[Reason, str] | None:
    reachable, beat, config = (
        conditions.get(type) for type in (Condition.REACHABLE, Condition.BEAT_AVAILABLE, Condition.CONFIG_LOADED)
    )
    lagging = config.status != "True" and (
        state.sample is None or state.sample.loaded_revision is None or _seconds_since(config, state) > LAG_SECONDS
    )
    if reachable.status == "False":
        return Reason(reachable.reason), reachable.message
    if beat.status != "True":
        return Reason(beat.reason), beat.message
    if reachable.status == "Unknown":
        return Reason(reachable.reason), reachable.message
    return (Reason(config.reason), config.message) if lagging else None
