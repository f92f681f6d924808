"""What holds for all planners: the tables reach every documented reason, and the API would take every status."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import jsonschema
import pytest
from tests.operator import (
    test_plan_broker,
    test_plan_pool,
    test_plan_pool_scaling,
    test_plan_queue,
    test_plan_schedule,
)
from tests.operator.resources import NOW, condition, metadata, reasons, state

from umbel_operator.api.conditions import CONDITIONS, Condition, Reason
from umbel_operator.api.crd import root_schema
from umbel_operator.api.gaps import GAPS
from umbel_operator.api.kinds import BY_NAME
from umbel_operator.api.parse import Unreadable, parse
from umbel_operator.plan.model import State
from umbel_operator.plan.planner import make_plan
from umbel_operator.plan.sample import read_sample
from umbel_operator.plan.status import merge_patch, urgent
from umbel_operator.plan.unreadable import plan_unreadable

TABLES: dict[str, Mapping[str, tuple[State[Any], Any]]] = {
    "Broker": test_plan_broker.CASES,
    "TaskQueue": test_plan_queue.CASES,
    "WorkerPool": {**test_plan_pool.CASES, **test_plan_pool_scaling.CASES},
    "Schedule": test_plan_schedule.CASES,
}


def statuses(kind: str) -> Iterator[Mapping[str, Any]]:
    for given, _ in TABLES[kind].values():
        status = make_plan(given).status
        assert status is not None
        yield status


def unreadable(kind: str) -> Unreadable:
    old = {"replicas": 3, "conditions": [condition("Ready", "False", "Suspended"), {"type": "broken"}]}
    found = parse(BY_NAME[kind], {"metadata": metadata("x"), "spec": 1, "status": old})
    assert isinstance(found, Unreadable)
    return found


@pytest.mark.parametrize("kind", TABLES)
def test_every_documented_reason_is_reached(kind: str) -> None:
    documented = {(kind, type, reason) for type, found in CONDITIONS[kind].items() for reason in found}
    plans = [*statuses(kind), plan_unreadable(unreadable(kind), NOW).status or {}]
    reached = {(kind, entry["type"], entry["reason"]) for status in plans for entry in status["conditions"]}
    assert reached == documented


def test_no_reason_or_condition_is_declared_that_no_kind_has() -> None:
    tables = [found for table in CONDITIONS.values() for found in table.items()]
    assert {type for type, _ in tables} == set(Condition)
    # Every field of this release is acted on; the next one that is not needs its reason again.
    unused = set() if any(GAPS.values()) else {Reason.NOT_YET_SUPPORTED}
    assert {reason for _, reasons_ in tables for reason in reasons_} == set(Reason) - unused


@pytest.mark.parametrize("kind", TABLES)
def test_every_condition_and_status_tells_the_generation_that_it_is_about(kind: str) -> None:
    """Given each case with a resource that was just edited, then all that is said is about the newest generation."""
    for name, (given, _) in TABLES[kind].items():
        metadata = given.resource.metadata.model_copy(update={"generation": 12})
        edited = given.resource.model_copy(update={"metadata": metadata})
        fields = {field: getattr(given, field) for field in given.__dataclass_fields__}
        status = make_plan(State(**{**fields, "resource": edited})).status
        assert status is not None
        assert status["observedGeneration"] == 12, name
        assert {entry["observedGeneration"] for entry in status["conditions"]} == {12}, name


@pytest.mark.parametrize("kind", TABLES)
def test_every_condition_has_the_status_of_its_reason_and_a_message(kind: str) -> None:
    for status in statuses(kind):
        for entry in status["conditions"]:
            meaning = CONDITIONS[kind][Condition(entry["type"])][Reason(entry["reason"])]
            assert entry["status"] == meaning.status
            assert entry["message"]


@pytest.mark.parametrize("kind", TABLES)
def test_every_status_fits_the_schema(kind: str) -> None:
    schema = root_schema(BY_NAME[kind])["properties"]["status"]
    for status in statuses(kind):
        jsonschema.validate(dict(status), schema)
        assert not set(status) - set(schema["properties"])


@pytest.mark.parametrize("kind", TABLES)
def test_planning_again_changes_nothing(kind: str) -> None:
    """Given a status that was just written, when nothing else changes, then there is nothing to write or to tell."""
    for name, (given, _) in TABLES[kind].items():
        first = make_plan(given)
        resource = given.resource.model_copy(
            update={"status": type(given.resource.status).model_validate(first.status)}
        )
        fields = {name: getattr(given, name) for name in given.__dataclass_fields__}
        second = make_plan(State(**{**fields, "resource": resource}))
        assert merge_patch(first.status or {}, second.status or {}) == {}, name
        assert second.events == (), name


@pytest.mark.parametrize("kind", TABLES)
def test_an_object_that_cannot_be_read_keeps_its_numbers(kind: str) -> None:
    plan = plan_unreadable(unreadable(kind), NOW)
    assert plan.actions == ()
    assert plan.status is not None
    assert plan.status["replicas"] == 3
    assert reasons(plan.status) == {"Ready": "Unreadable", "Accepted": "Unreadable"}
    assert [event.reason for event in plan.events] == ["Unreadable"]


@pytest.mark.parametrize(
    ("live", "wanted", "patch"),
    [
        ({}, {"a": 1}, {"a": 1}),
        ({"a": 1, "b": 2}, {"a": 1, "b": 3}, {"b": 3}),
        ({"a": 1, "b": 2}, {"a": 1}, {"b": None}),
        ({"c": [1, 2]}, {"c": [1, 3]}, {"c": [1, 3]}),
        ({"a": 1}, {"a": 1}, {}),
    ],
    ids=["new", "changed", "gone", "list", "same"],
)
def test_the_patch_of_a_status(live: dict[str, Any], wanted: dict[str, Any], patch: dict[str, Any]) -> None:
    assert merge_patch(live, wanted) == patch


@pytest.mark.parametrize(
    ("patch", "now"),
    [({"readyTasks": 1}, False), ({"conditions": []}, True), ({"selector": "x", "replicas": 1}, True), ({}, False)],
    ids=["numbers", "conditions", "selector", "nothing"],
)
def test_numbers_may_wait(patch: dict[str, Any], now: bool) -> None:
    assert urgent(patch) is now


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"leader": "yes", "loadErrors": [1, None], "redis": 3, "schedules": [], "queues": {"q": 1}, "pools": None},
        {"loadErrors": None, "redis": {"ok": 1, "version": 7}, "loadedRevision": 12},
    ],
    ids=["empty", "wrong types", "numbers for texts"],
)
def test_whatever_beat_answers_can_be_read(body: dict[str, Any]) -> None:
    found = read_sample(body, NOW)
    assert found.leader is False
    assert found.redis.ok is False
    assert found.load_errors == ()
    assert found.queues == {}


def test_other_objects_have_no_planner() -> None:
    with pytest.raises(TypeError, match="no planner for str"):
        make_plan(state("text"))
