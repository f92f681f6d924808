"""The operator's plans carried out in memory: what exists, what follows edits, what waits."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from umbel_operator.api.conditions import Condition
from umbel_operator.local.controller import Controller, conditions_of
from umbel_operator.local.notices import PATIENCE, Notices
from umbel_operator.local.redirect import Address, BadURL
from umbel_operator.local.store import Store
from umbel_operator.plan.model import Ref
from umbel_operator.plan.sample import Sample, read_sample

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
ADDRESS = Address.local(6400)


class Memory:
    """A controller with its store, and what beat is to have said."""

    def __init__(self) -> None:
        self.said: Sample | None = None
        self.store = Store(lambda: NOW)
        self.controller = Controller(self.store, lambda namespace, broker: self.said, lambda: NOW)

    def adopt(self, *wanted: dict[str, Any]) -> None:
        """Take resources over, and work until nothing changes."""
        self.controller.adopt(wanted)
        self.controller.reconcile()
        self.controller.adopt(wanted)
        self.controller.reconcile()

    def reason(self, name: str, type_: str = Condition.READY) -> str:
        """Return the reason of a resource's condition."""
        (found,) = (r for r in self.controller.resources() if r.name == name)
        return conditions_of(found)[type_].reason

    def names(self, kind: str) -> list[str]:
        """Return the names of the objects of a kind."""
        return sorted(body["metadata"]["name"] for body in self.store.all(kind))


def ours(kind: str, name: str, **spec: Any) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "default", "labels": {}, "annotations": {}}
    return {"apiVersion": "umbel.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec}


def broker() -> dict[str, Any]:
    return ours("Broker", "default", connection=ADDRESS.connection())


def pool(**spec: Any) -> dict[str, Any]:
    return ours("WorkerPool", "mailers", **{"queues": [{"name": "mail"}], "app": "tasks", "image": "x", **spec})


def deployment(memory: Memory, name: str) -> Any:
    return memory.store.get(Ref("apps/v1", "Deployment", "default", name))


def test_the_operator_s_objects_come_and_go_with_the_resources() -> None:
    memory = Memory()
    memory.adopt(broker(), ours("TaskQueue", "mail"), pool(replicas=2))
    assert memory.names("Deployment") == ["default-beat", "mailers-worker"]
    assert memory.names("ConfigMap") == ["default-client", "default-config-000", "default-config-index"]
    assert deployment(memory, "mailers-worker")["spec"]["replicas"] == 2

    memory.adopt(broker(), ours("TaskQueue", "mail"), pool(replicas=3))
    assert deployment(memory, "mailers-worker")["spec"]["replicas"] == 3
    assert deployment(memory, "mailers-worker")["metadata"]["generation"] == 2

    memory.adopt(broker(), ours("TaskQueue", "mail"))
    assert memory.names("Deployment") == ["default-beat"]
    memory.adopt()
    assert not list(memory.store.all("Broker"))
    assert not memory.names("ConfigMap")


def test_a_pass_over_what_is_as_it_should_be_writes_nothing() -> None:
    memory = Memory()
    memory.adopt(broker(), ours("TaskQueue", "mail"), pool())
    version = memory.store.version
    memory.adopt(broker(), ours("TaskQueue", "mail"), pool())
    assert memory.store.version == version


def test_a_missing_queue_and_a_missing_broker_have_their_reasons() -> None:
    memory = Memory()
    memory.adopt(broker(), pool())
    assert memory.reason("mailers") == "QueueNotFound"
    memory = Memory()
    memory.adopt(ours("TaskQueue", "mail"), pool())
    assert memory.reason("mailers") == "BrokerNotFound"
    assert memory.reason("mail") == "BrokerNotFound"


def test_a_queue_that_waits_until_it_is_empty_is_created_anew_after_it_is_gone() -> None:
    """Given WaitUntilEmpty, when its file goes and comes back, then the first goes once beat says it is empty."""
    memory = Memory()
    waiting = ours("TaskQueue", "mail", deletionPolicy="WaitUntilEmpty")
    memory.adopt(broker(), waiting)
    first = memory.store.get(Ref.of(waiting))
    assert first is not None
    uid = first["metadata"]["uid"]

    memory.adopt(broker())
    memory.adopt(broker(), waiting)
    kept = memory.store.get(Ref.of(waiting))
    assert kept is not None
    assert kept["metadata"]["uid"] == uid
    assert memory.reason("mail", Condition.DRAINING) == "WaitingUntilEmpty"

    memory.controller.adopt([broker(), ours("TaskQueue", "mail", deletionPolicy="Retain")])
    empty = {"ready": 0, "delayed": 0, "inFlight": 0, "parked": 0}
    later = NOW.replace(second=9)
    memory.said = read_sample(
        {"leader": True, "loadedRevision": "9999999999", "redis": {"ok": True}, "queues": {"mail": empty}}, later
    )
    memory.controller.reconcile()
    memory.adopt(broker(), waiting)
    anew = memory.store.get(Ref.of(waiting))
    assert anew is not None
    assert anew["metadata"]["uid"] != uid


def test_uids_are_the_same_in_the_next_run_and_others_after_a_deletion() -> None:
    one, other = Memory(), Memory()
    for memory in (one, other):
        memory.adopt(broker())
    ref = Ref.of(broker())
    first, same = one.store.get(ref), other.store.get(ref)
    assert first is not None
    assert same is not None
    assert first["metadata"]["uid"] == same["metadata"]["uid"]
    one.adopt()
    one.adopt(broker())
    again = one.store.get(ref)
    assert again is not None
    assert again["metadata"]["uid"] != same["metadata"]["uid"]


def test_an_annotation_that_an_edit_takes_away_is_gone() -> None:
    memory = Memory()
    marked = ours("TaskQueue", "mail")
    marked["metadata"]["annotations"] = {"note": "x"}
    memory.adopt(broker(), marked)
    memory.adopt(broker(), ours("TaskQueue", "mail"))
    live = memory.store.get(Ref.of(marked))
    assert live is not None
    assert live["metadata"]["annotations"] == {}
    assert live["metadata"]["generation"] == 1


def test_what_every_start_passes_through_is_told_only_if_it_lasts() -> None:
    """Given a broker whose beat starts and a pool without its queue, then the second is told at once, the first later."""
    memory, now = Memory(), [100.0]
    memory.adopt(broker(), pool())
    notices = Notices(lambda: now[0])

    held, lines = notices.look(memory.controller.resources())
    assert [notice.name for notice in held] == ["mailers"]
    assert lines[0].startswith("not ready: WorkerPool mailers: QueueNotFound: no TaskQueue")

    now[0] += PATIENCE
    held, lines = notices.look(memory.controller.resources())
    assert [notice.name for notice in held] == ["default", "mailers"]
    assert lines == ["not ready: Broker default: BeatNotReady: no beat pod is ready"]
    assert notices.look(memory.controller.resources())[1] == []


@pytest.mark.parametrize(
    ("url", "address", "shown"),
    [
        ("redis://cache", "cache:6379", "redis://cache"),
        ("redis://u:secret@cache:7/3", "cache:7", "redis://u:***@cache:7/3"),
        ("redis://:secret@[::1]:7", "[::1]:7", "redis://:***@[::1]:7"),
        ("rediss://cache/1", "cache:6379", "rediss://cache/1"),
    ],
)
def test_a_url_becomes_a_connection_without_its_password(url: str, address: str, shown: str) -> None:
    found = Address.parse(url)
    assert found.connection()["addresses"] == [address]
    assert ("tls" in found.connection()) == url.startswith("rediss")
    assert found.shown == shown
    assert "secret" not in str(found.connection())


@pytest.mark.parametrize("url", ["cache:6379", "http://cache", "redis://", "redis://cache:0", "redis://cache/one"])
def test_a_url_that_is_none_says_what_to_write(url: str) -> None:
    with pytest.raises(BadURL, match="redis://host:6379/0"):
        Address.parse(url)
