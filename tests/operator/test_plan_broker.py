"""The planner of Brokers: conditions by a table of states, configuration, nudges, finalizer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from tests.operator.resources import (
    NOW,
    SETTINGS,
    broker,
    condition,
    live_deployment,
    live_pod,
    message,
    pool,
    queue,
    reasons,
    sample,
    schedule,
    stamp,
    state,
    view,
)

from umbel_operator.api.broker import Broker
from umbel_operator.build.broker import build_beat_deployment
from umbel_operator.build.config import build_config_maps, next_index, render_shards
from umbel_operator.build.entries import broker_entries
from umbel_operator.build.monitors import build_beat_monitor
from umbel_operator.build.settings import Monitors, Settings
from umbel_operator.plan.broker import plan_broker
from umbel_operator.plan.model import Action, Apply, Delete, Failure, Patch, Ref, State
from umbel_operator.plan.sample import Sample

SERIAL = 100
REF = Ref("umbel.dev/v1alpha1", "Broker", "shop", "default")
BEAT = Ref("apps/v1", "Deployment", "shop", "default-beat")
SENTINEL = {"type": "Sentinel", "addresses": ["s:26379"], "sentinel": {"masterName": "m"}}


def config_maps(made: Broker, *others: Any, serial: int = SERIAL) -> list[dict[str, Any]]:
    found = view(made, *others)
    shards = render_shards(broker_entries(made.name, found.queues, found.schedules, found.pools))
    maps = build_config_maps(made, shards, next_index(shards, made.uid, None, serial))
    return [{**m, "metadata": {**m["metadata"], "uid": f"uid-{m['metadata']['name']}"}} for m in maps]


def running(made: Broker | None = None, *others: Any, live: Mapping[str, Any] | None = None, **more: Any) -> State[Any]:
    """Return the state of a Broker whose beat runs and has loaded the configuration."""
    made = made or broker()
    deployment = live_deployment(build_beat_deployment(made, 1, SETTINGS), **(live or {}))
    changes: dict[str, Any] = {"sample": sample(SERIAL), **more}
    return state(made, *others, children=[deployment, *config_maps(made, *others)], **changes)


def redis(reason: str | None, error: str = "no") -> Sample:
    return sample(SERIAL, redis={"ok": False, "version": None, "error": error, "reason": reason})


def failed(reason: Any) -> tuple[Failure, ...]:
    return (Failure(BEAT, reason, "the API server said so", 1),)


def test_a_configuration_that_does_not_load_is_looked_at_again() -> None:
    for status, reason in ((LATELY, "Pending"), (LAGGING, "LoadFailed")):
        plan = plan_broker(running(broker(status=status), sample=sample(SERIAL - 1, loadErrors=CONFIG_ERROR)))
        assert (reasons(plan.status)["ConfigLoaded"], plan.requeue_after) == (reason, 5.0)


RIVAL = broker("elder", meta={"creationTimestamp": "2025-01-01T00:00:00Z"}, keyPrefix="shared")
CONFIG_ERROR = [{"kind": "Index", "name": "", "uid": "", "reason": "HashMismatch", "message": "shard-000.json"}]
ENTRY_ERROR = [{"kind": "Schedule", "name": "x", "uid": "u", "reason": "InvalidSchedule", "message": "no"}]
LAGGING = {"conditions": [condition("ConfigLoaded", "False", "Pending", ago=400)]}
LATELY = {"conditions": [condition("ConfigLoaded", "False", "Pending", ago=100)]}

CASES: dict[str, tuple[State[Any], dict[str, str]]] = {
    "all is well": (
        running(),
        {
            "Ready": "Ready",
            "Accepted": "Accepted",
            "Reachable": "Connected",
            "BeatAvailable": "BeatReady",
            "ConfigLoaded": "Loaded",
        },
    ),
    "just created": (
        state(broker()),
        {
            "Ready": "BeatNotReady",
            "Reachable": "StatusStale",
            "BeatAvailable": "BeatNotReady",
            "ConfigLoaded": "Pending",
        },
    ),
    "beat runs and was not asked yet": (
        running(sample=None),
        {"Ready": "StatusStale", "Reachable": "StatusStale", "BeatAvailable": "BeatReady"},
    ),
    "beat no longer answers": (
        running(sample=Sample(NOW, failed_polls=3, poll_error="timeout", loaded_revision="100", leader=True)),
        {"Ready": "StatusStale", "Reachable": "StatusStale"},
    ),
    "two polls failed": (
        running(sample=Sample(NOW, 2, leader=True, loaded_revision="100", redis=sample().redis)),
        {"Ready": "Ready", "Reachable": "Connected"},
    ),
    "redis refuses connections": (
        running(sample=redis("ConnectionRefused")),
        {"Ready": "ConnectionRefused", "Reachable": "ConnectionRefused"},
    ),
    "redis refuses the password": (
        running(sample=redis("AuthFailed")),
        {"Ready": "AuthFailed", "Reachable": "AuthFailed"},
    ),
    "TLS fails": (running(sample=redis("TLSFailed")), {"Ready": "TLSFailed", "Reachable": "TLSFailed"}),
    "redis fails for another reason": (running(sample=redis("Weird")), {"Reachable": "ConnectionRefused"}),
    "redis down and so beat not ready": (
        running(live={"ready": 0}, sample=redis("ConnectionRefused")),
        {"Ready": "ConnectionRefused", "BeatAvailable": "BeatNotReady"},
    ),
    "no beat wanted": (
        running(broker(beat={"replicas": 0})),
        {"Ready": "BeatNotReady", "BeatAvailable": "BeatNotReady"},
    ),
    "no leader": (
        running(sample=sample(SERIAL, leader=False)),
        {"Ready": "NoLeader", "BeatAvailable": "NoLeader"},
    ),
    "the standby answered": (
        running(broker(beat={"replicas": 2}), sample=sample(SERIAL, leader=False)),
        {"Ready": "Ready", "BeatAvailable": "BeatReady"},
    ),
    "nothing loaded yet": (
        running(sample=sample(None)),
        {"Ready": "Pending", "ConfigLoaded": "Pending"},
    ),
    "an edit is on its way": (
        running(broker(status=LATELY), sample=sample(SERIAL - 1)),
        {"Ready": "Ready", "ConfigLoaded": "Pending"},
    ),
    "an edit does not arrive": (
        running(broker(status=LAGGING), sample=sample(SERIAL - 1)),
        {"Ready": "Pending", "ConfigLoaded": "Pending"},
    ),
    "files arrive one by one": (
        running(broker(status=LATELY), sample=sample(SERIAL - 1, loadErrors=CONFIG_ERROR)),
        {"Ready": "Ready", "ConfigLoaded": "Pending"},
    ),
    "beat cannot read the configuration": (
        running(broker(status=LAGGING), sample=sample(SERIAL - 1, loadErrors=CONFIG_ERROR)),
        {"Ready": "LoadFailed", "ConfigLoaded": "LoadFailed"},
    ),
    "one bad Schedule does not spoil the Broker": (
        running(sample=sample(SERIAL, loadErrors=ENTRY_ERROR)),
        {"Ready": "Ready", "ConfigLoaded": "Loaded"},
    ),
    "Sentinel": (running(broker(connection=SENTINEL)), {"Ready": "Ready", "Accepted": "Accepted"}),
    "Cluster": (
        running(broker(connection={"type": "Cluster", "addresses": ["c1:6379", "c2:6379"]})),
        {"Ready": "Ready", "Accepted": "Accepted"},
    ),
    "an older Broker has the keys": (
        running(broker(keyPrefix="shared"), all_brokers=(RIVAL,)),
        {"Ready": "NameConflict"},
    ),
    "a foreign object in the way": (running(failures=failed("ResourceConflict")), {"Ready": "ResourceConflict"}),
    "beat refused": (running(failures=failed("TemplateInvalid")), {"Ready": "TemplateInvalid"}),
    "beat's template cannot be merged": (
        state(broker(beat={"template": {"spec": {"replicas": 1}}})),
        {"Ready": "TemplateInvalid"},
    ),
    "in use while it is deleted": (
        running(broker(meta={"deletionTimestamp": stamp(NOW), "finalizers": ["umbel.dev/in-use"]}), queue()),
        {"Ready": "InUse", "Reachable": "Connected"},
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_conditions(case: str) -> None:
    given, expected = CASES[case]
    found = reasons(plan_broker(given).status)
    assert {type: found.get(type) for type in expected} == expected


@pytest.mark.parametrize(
    ("given", "type", "words"),
    [
        (running(sample=redis("AuthFailed", "WRONGPASS")), "Ready", "redis:6379: WRONGPASS; check the Secret"),
        (running(sample=redis("ConnectionRefused")), "Ready", "check spec.connection.addresses"),
        (running(sample=redis("TLSFailed")), "Ready", "check spec.connection.tls"),
        (
            running(broker(keyPrefix="shared"), all_brokers=(RIVAL,)),
            "Ready",
            "Broker shop/elder is older and uses the same keys",
        ),
        (
            running(live={"ready": 0}, pods=(live_pod(waiting={"reason": "ErrImagePull"}),)),
            "BeatAvailable",
            "no beat pod is ready; pod p-1, container worker: image shop:1 cannot be pulled",
        ),
        (
            running(sample=Sample(None, 4, "connection refused")),
            "Reachable",
            "has not answered yet: connection refused",
        ),
        (running(sample=sample(SERIAL, loadErrors=ENTRY_ERROR)), "ConfigLoaded", "beat refuses 1 entries"),
        (
            running(
                broker(meta={"deletionTimestamp": stamp(NOW), "finalizers": ["umbel.dev/in-use"]}), queue(), pool()
            ),
            "Ready",
            "delete first: TaskQueue mail, WorkerPool mailers",
        ),
    ],
    ids=["auth", "refused", "tls", "rival", "image", "no answer", "entries", "in use"],
)
def test_messages_say_what_to_do(given: State[Any], type: str, words: str) -> None:
    assert words in message(plan_broker(given).status, type)


@pytest.mark.parametrize(
    "other",
    [
        broker("elder", meta={"creationTimestamp": "2026-02-01T00:00:00Z"}, keyPrefix="shared"),
        broker("elder", meta={"creationTimestamp": "2025-01-01T00:00:00Z"}, keyPrefix="own"),
        broker(
            "elder",
            meta={"creationTimestamp": "2025-01-01T00:00:00Z"},
            keyPrefix="shared",
            connection={"addresses": ["redis:6379"], "database": 1},
        ),
        broker("elder", meta={"creationTimestamp": "2025-01-01T00:00:00Z", "namespace": "other"}, keyPrefix="shared"),
    ],
    ids=["younger", "another prefix", "another database", "the bare name means another host in another namespace"],
)
def test_brokers_that_are_no_rivals(other: Broker) -> None:
    given = running(broker(keyPrefix="shared"), all_brokers=(other,))
    assert reasons(plan_broker(given).status)["Ready"] == "Ready"


def test_rivals_in_two_namespaces() -> None:
    far = {"addresses": ["redis.data.svc:6379"]}
    elder = broker(
        "elder", meta={"creationTimestamp": "2025-01-01T00:00:00Z", "namespace": "o"}, keyPrefix="s", connection=far
    )
    given = running(broker(keyPrefix="s", connection=far), all_brokers=(elder,))
    assert reasons(plan_broker(given).status)["Ready"] == "NameConflict"


def names(actions: tuple[Action, ...]) -> list[str]:
    return [f"{type(action).__name__} {action.ref.kind} {action.ref.name}" for action in actions]


def test_everything_is_applied_the_index_behind_its_shards() -> None:
    assert names(plan_broker(state(broker())).actions) == [
        "Apply ConfigMap default-client",
        "Apply ConfigMap default-config-000",
        "Apply ConfigMap default-config-index",
        "Apply Service default-beat",
        "Apply Deployment default-beat",
    ]


def test_nothing_is_deployed_and_nothing_removed() -> None:
    assert plan_broker(running(broker(keyPrefix="shared"), all_brokers=(RIVAL,))).actions == ()


def test_a_refused_child_is_not_sent_again_and_the_others_are() -> None:
    plan = plan_broker(running(failures=failed("TemplateInvalid")))
    assert "Apply Deployment default-beat" not in names(plan.actions)
    assert "Apply ConfigMap default-config-index" in names(plan.actions)


def serial_of(actions: tuple[Action, ...]) -> int:
    for action in actions:
        if isinstance(action, Apply) and action.ref.name == "default-config-index":
            return int(json.loads(action.manifest["data"]["index.json"])["serial"])
    raise AssertionError("no index")


def test_the_serial_stays_until_something_changes() -> None:
    unchanged = running(broker(), queue(), schedule())
    assert serial_of(plan_broker(unchanged).actions) == SERIAL
    changed = running(broker(), queue(), schedule())
    more = view(broker(), queue(dispatch="Held"), schedule())
    assert serial_of(plan_broker(State(**{**fields(changed), "view": more})).actions) == int(NOW.timestamp())


def fields(given: State[Any]) -> dict[str, Any]:
    return {name: getattr(given, name) for name in given.__dataclass_fields__}


def beat_pod(name: str, serial: int | None, **meta: Any) -> dict[str, Any]:
    annotations = {"umbel.dev/config-serial": str(serial)} if serial is not None else {}
    return live_pod(name, annotations=annotations, **meta)


def test_pods_are_nudged_once_the_index_is_there() -> None:
    pods = (
        beat_pod("new", None),
        beat_pod("behind", SERIAL - 1),
        beat_pod("current", SERIAL),
        beat_pod("leaving", None, deletionTimestamp=stamp(NOW)),
    )
    patches = [action for action in plan_broker(running(pods=pods)).actions if isinstance(action, Patch)]
    body = {"metadata": {"annotations": {"umbel.dev/config-serial": str(SERIAL)}}}
    assert patches == [Patch(Ref("v1", "Pod", "shop", name), body) for name in ("new", "behind")]


def test_pods_are_not_nudged_before_the_index_is_there() -> None:
    plan = plan_broker(state(broker(), pods=(beat_pod("p", None),)))
    assert not [action for action in plan.actions if isinstance(action, Patch)]


def test_children_that_are_no_longer_wanted_are_deleted() -> None:
    stray = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "default-config-007", "namespace": "shop", "uid": "u"},
    }
    policy = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "default-beat", "namespace": "shop", "uid": "v"},
    }
    deletes = [
        action
        for action in plan_broker(state(broker(), children=[stray, policy])).actions
        if isinstance(action, Delete)
    ]
    assert deletes == [Delete(Ref.of(stray), "u"), Delete(Ref.of(policy), "v")]


GUARDED = Settings(beat_image="umbel:1", network_policies=True, monitors=Monitors())


def test_policy_and_monitor_of_beat_are_made_where_the_installation_asks_for_them() -> None:
    plan = plan_broker(replace(state(broker()), settings=GUARDED))
    assert names(plan.actions)[-2:] == ["Apply NetworkPolicy default-beat", "Apply ServiceMonitor default-beat"]


def test_a_monitor_that_is_no_longer_wanted_is_deleted_and_one_that_fails_is_no_trouble() -> None:
    monitor = build_beat_monitor(broker(), GUARDED)
    assert monitor is not None
    live = {**monitor, "metadata": {**monitor["metadata"], "uid": "w"}}
    assert Delete(Ref.of(live), "w") in plan_broker(state(broker(), children=[live])).actions
    failure = Failure(Ref.of(live), "ResourceConflict", "somebody else's", 1)
    assert reasons(plan_broker(running(failures=(failure,))).status) == reasons(plan_broker(running()).status)


FINALIZERS = ["umbel.dev/in-use"]


@pytest.mark.parametrize("user", [queue(), pool()], ids=["TaskQueue", "WorkerPool"])
def test_a_broker_in_use_gets_its_finalizer_first(user: Any) -> None:
    first = plan_broker(state(broker(), user)).actions[0]
    assert first == Patch(REF, {"metadata": {"finalizers": FINALIZERS, "resourceVersion": "7"}})


def test_a_broker_out_of_use_loses_it() -> None:
    other = queue(brokerRef={"name": "other"})
    first = plan_broker(state(broker(meta={"finalizers": FINALIZERS}), other)).actions[0]
    assert first == Patch(REF, {"metadata": {"finalizers": [], "resourceVersion": "7"}})


def test_a_broker_in_use_is_served_while_it_waits_to_go() -> None:
    going = broker(meta={"deletionTimestamp": stamp(NOW), "finalizers": FINALIZERS})
    assert "Apply Deployment default-beat" in names(plan_broker(state(going, queue())).actions)


@pytest.mark.parametrize(
    ("others", "terminating", "annotations"),
    [((), False, {}), ((queue(),), True, {}), ((queue(),), False, {"umbel.dev/force-delete": "true"})],
    ids=["nothing refers to it", "namespace goes", "forced"],
)
def test_a_broker_is_released(others: tuple[Any, ...], terminating: bool, annotations: dict[str, str]) -> None:
    going = broker(
        meta={"deletionTimestamp": stamp(NOW), "finalizers": FINALIZERS, "annotations": annotations},
    )
    plan = plan_broker(state(going, *others, terminating=terminating))
    assert plan.actions == (Patch(REF, {"metadata": {"finalizers": [], "resourceVersion": "7"}}),)
    assert plan.status is None


def test_a_finalizer_is_never_added_to_what_is_going() -> None:
    going = broker(meta={"deletionTimestamp": stamp(NOW), "finalizers": ["other"]})
    assert not [a for a in plan_broker(state(going, queue())).actions if isinstance(a, Patch)]


def test_status_of_a_broker() -> None:
    made = broker(keyPrefix="shop")
    status = dict(plan_broker(running(made, queue(), schedule(), pool())).status or {})
    del status["conditions"]
    assert status == {
        "observedGeneration": 1,
        "keyPrefix": "shop",
        "serverVersion": "7.0.15",
        "beatReplicas": 1,
        "beatReadyReplicas": 1,
        "configRevision": str(SERIAL),
        "loadedRevision": str(SERIAL),
        "schedules": 1,
        "queues": 1,
    }


def test_what_was_known_stays_while_beat_is_silent() -> None:
    before = {"serverVersion": "6.2", "loadedRevision": "90"}
    status = plan_broker(running(broker(status=before), sample=None)).status or {}
    assert {key: status[key] for key in before} == before


def test_losing_redis_is_told_once() -> None:
    first = plan_broker(running(sample=redis("ConnectionRefused")))
    assert [(event.type, event.reason) for event in first.events] == [("Warning", "BrokerUnreachable")]
    again = running(broker(status=dict(first.status or {})), sample=redis("ConnectionRefused"))
    assert plan_broker(again).events == ()
