"""Plan a Broker: beat with its configuration, and what to say about them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from umbel_operator.api.broker import Broker
from umbel_operator.api.conditions import Condition
from umbel_operator.api.names import ANNOTATION_CONFIG_SERIAL, ANNOTATION_FORCE_DELETE, FINALIZER_IN_USE
from umbel_operator.build import names
from umbel_operator.build.broker import build_beat_deployment, build_beat_service, build_client_config
from umbel_operator.build.config import (
    ConfigTooLarge,
    Index,
    build_config_maps,
    next_index,
    read_index,
    render_shards,
)
from umbel_operator.build.entries import Entry, broker_entries
from umbel_operator.build.monitors import build_beat_monitor
from umbel_operator.build.networkpolicy import build_beat_network_policy
from umbel_operator.build.podtemplate import TemplateInvalid
from umbel_operator.plan.brokerstatus import BrokerFacts, broker_conditions, broker_status
from umbel_operator.plan.finalizers import finalizer_patch
from umbel_operator.plan.findings import read_rollout, refused_for_good
from umbel_operator.plan.model import Action, Apply, Delete, Event, Manifest, Patch, Plan, Ref, State

_PENDING_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class _Built:
    """What should exist for a Broker."""

    manifests: tuple[Manifest, ...] = ()
    index: Index | None = None
    #: Why beat's Deployment, or the configuration, could not be built.
    template_problem: str | None = None
    config_problem: str | None = None


def plan_broker(state: State[Broker]) -> Plan:
    """Plan a Broker; one that is being deleted is served until nothing refers to it any more."""
    broker = state.resource
    users = _users(state)
    keep = bool(users) and not state.view.terminating and not _forced(broker)
    finalizer = finalizer_patch(broker, FINALIZER_IN_USE, keep)
    if broker.deleting and not keep:
        return Plan(actions=(finalizer,) if finalizer is not None else ())
    entries = broker_entries(broker.name, state.view.queues, state.view.schedules, state.view.pools, state.entries)
    rival = _rival(state)
    built = _build(state, entries) if rival is None else _Built()
    facts = BrokerFacts(
        rollout=read_rollout(state.children.get(_ref(broker, "apps/v1", "Deployment", names.beat(broker.name)))),
        serial=built.index.serial if built.index is not None else None,
        queues=sum(entry.section == "queues" for entry in entries),
        schedules=sum(entry.section == "schedules" for entry in entries),
        rival=rival,
        users=users,
        template_problem=built.template_problem,
        config_problem=built.config_problem,
    )
    conditions = broker_conditions(state, facts)
    # With time both become something else: LoadFailed, and not Ready.
    pending = conditions.get(Condition.CONFIG_LOADED).status != "True" and built.config_problem is None
    return Plan(
        actions=tuple(_actions(state, built, finalizer)),
        status=broker_status(state, facts, conditions),
        events=conditions.events(),
        requeue_after=_PENDING_SECONDS if pending else None,
    )


def _build(state: State[Broker], entries: list[Entry]) -> _Built:
    broker = state.resource
    manifests: list[Manifest] = [build_client_config(broker)]
    live = read_index(state.children.get(_ref(broker, "v1", "ConfigMap", names.config_index(broker.name))))
    index, config_problem, count = None, None, len(live.shards) if live is not None else 1
    try:
        shards = render_shards(entries, count)
    except ConfigTooLarge as problem:
        config_problem = str(problem)
    else:
        index, count = next_index(shards, broker.uid, live, int(state.now.timestamp())), len(shards)
        manifests += build_config_maps(broker, shards, index)
    manifests.append(build_beat_service(broker))
    template_problem = None
    try:
        manifests.append(build_beat_deployment(broker, count, state.settings))
    except TemplateInvalid as problem:
        template_problem = f"spec.beat.template: {problem}"
    besides = (build_beat_network_policy(broker, state.settings), build_beat_monitor(broker, state.settings))
    manifests += [manifest for manifest in besides if manifest is not None]
    return _Built(tuple(manifests), index, template_problem, config_problem)


def _actions(state: State[Broker], built: _Built, finalizer: Patch | None) -> Iterator[Action]:
    if finalizer is not None:
        # Before any child: a TaskQueue that is there already must find its Broker held.
        yield finalizer
    for manifest in built.manifests:
        if not refused_for_good(state, manifest):
            yield Apply(manifest, _applied(manifest))
    if built.index is not None:
        wanted = {Ref.of(manifest) for manifest in built.manifests}
        yield from _leftovers(state, wanted)
        yield from _nudges(state, built.index)


def _applied(manifest: Manifest) -> Event | None:
    if manifest["kind"] != "Deployment":
        return None
    image = next(c["image"] for c in manifest["spec"]["template"]["spec"]["containers"] if c["name"] == "beat")
    return Event("Normal", "DeploymentApplied", f'applied Deployment "{manifest["metadata"]["name"]}" of {image}')


def _leftovers(state: State[Broker], wanted: set[Ref]) -> Iterator[Delete]:
    for ref, child in state.children.items():
        if ref.kind in ("ConfigMap", "NetworkPolicy", "ServiceMonitor") and ref not in wanted:
            yield Delete(ref, str(child["metadata"].get("uid", "")))


def _nudges(state: State[Broker], index: Index) -> Iterator[Patch]:
    """Touch beat's pods once the index is in the cluster, so that the kubelet refreshes their files at once."""
    broker = state.resource
    live = read_index(state.children.get(_ref(broker, "v1", "ConfigMap", names.config_index(broker.name))))
    if live != index:
        return
    for pod in state.pods:
        metadata: Mapping[str, Any] = pod["metadata"]
        serial = (metadata.get("annotations") or {}).get(ANNOTATION_CONFIG_SERIAL)
        if serial != str(index.serial) and not metadata.get("deletionTimestamp"):
            body = {"metadata": {"annotations": {ANNOTATION_CONFIG_SERIAL: str(index.serial)}}}
            yield Patch(Ref("v1", "Pod", broker.namespace, str(metadata["name"])), body)


def _users(state: State[Broker]) -> tuple[str, ...]:
    name = state.resource.name
    queues = (f"TaskQueue {q.name}" for q in state.view.queues.values() if q.spec.broker_ref.name == name)
    pools = (f"WorkerPool {p.name}" for p in state.view.pools.values() if p.spec.broker_ref.name == name)
    return (*sorted(queues), *sorted(pools))


def _forced(broker: Broker) -> bool:
    return broker.metadata.annotations.get(ANNOTATION_FORCE_DELETE) == "true"


def _rival(state: State[Broker]) -> Broker | None:
    """Return an older Broker whose keys would be the same, or None."""
    broker = state.resource
    mine = _place(broker)
    for other in state.all_brokers:
        if other.uid != broker.uid and _place(other) == mine and _age(other) < _age(broker):
            return other
    return None


def _place(broker: Broker) -> tuple[object, ...]:
    connection = broker.spec.connection
    prefix = broker.spec.key_prefix or f"umbel:{broker.namespace}:{broker.name}"
    # A bare name means another host in another namespace.
    scope = tuple(
        address if "." in address.rpartition(":")[0] else f"{broker.namespace}/{address}"
        for address in sorted(connection.addresses)
    )
    master = connection.sentinel.master_name if connection.sentinel is not None else ""
    return scope, master, connection.database, prefix


def _age(broker: Broker) -> tuple[float, str]:
    created = broker.metadata.creation_timestamp
    return (created.timestamp() if created is not None else 0.0, broker.uid)


def _ref(broker: Broker, api_version: str, kind: str, name: str) -> Ref:
    return Ref(api_version, kind, broker.namespace, name)
