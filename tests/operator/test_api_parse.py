"""Reading objects: never an exception for what the API gives, and one clear line for what a file holds."""

from __future__ import annotations

from typing import Any

import pytest
from tests.operator.resources import condition, metadata

from umbel_operator.api.broker import Broker
from umbel_operator.api.parse import Unreadable, parse, parse_strict
from umbel_operator.api.taskqueue import TaskQueue
from umbel_operator.api.workerpool import WorkerPool


def test_fields_of_a_newer_release_are_ignored() -> None:
    found = parse(TaskQueue, {"metadata": metadata("mail"), "spec": {"intake": "Reject", "colour": "red"}, "more": 1})
    assert isinstance(found, TaskQueue)
    assert found.spec.intake == "Reject"


def test_a_value_of_a_newer_release_makes_the_object_unreadable() -> None:
    body = {"metadata": metadata("mail"), "spec": {"intake": "Sometimes"}, "status": {"queueName": "mail"}}
    found = parse(TaskQueue, body)
    assert isinstance(found, Unreadable)
    assert (found.kind, found.metadata.name, found.metadata.uid) == ("TaskQueue", "mail", "uid-mail")
    assert found.problem == "spec.intake: Input should be 'Accept' or 'Reject' (got 'Sometimes')"
    assert found.status == {"queueName": "mail"}


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"metadata": None, "spec": None},
        {"metadata": {"name": 3, "creationTimestamp": "yesterday"}, "spec": []},
        {"metadata": metadata("x")},
        {"metadata": metadata("x"), "spec": {"connection": 1}, "status": "none"},
    ],
    ids=["empty", "nulls", "wrong types", "no spec", "spec and status broken"],
)
def test_nothing_that_the_api_gives_raises(body: dict[str, Any]) -> None:
    assert isinstance(parse(Broker, body), Unreadable)


def test_a_status_that_cannot_be_read_counts_as_empty() -> None:
    status = {"conditions": [{"type": "Ready", "status": "Maybe"}], "queueName": "mail"}
    found = parse(TaskQueue, {"metadata": metadata("mail"), "spec": {}, "status": status})
    assert isinstance(found, TaskQueue)
    assert found.status.conditions is None


def test_conditions_are_found_by_type() -> None:
    status = {"conditions": [condition("Ready", "True", "Ready")]}
    found = parse(TaskQueue, {"metadata": metadata("mail"), "spec": {}, "status": status})
    assert isinstance(found, TaskQueue)
    ready = found.status.condition("Ready")
    assert ready is not None
    assert ready.status == "True"
    assert found.status.condition("Draining") is None


@pytest.mark.parametrize(
    ("spec", "line"),
    [
        (
            {"inteke": "Accept"},
            "spec: unknown field inteke; known here: brokerRef, deadLetter, deletionPolicy, dispatch, intake, "
            "maxConcurrency, maxDeliveries, maxLength, overflowPolicy, queueName, rateLimit, taskDefaults",
        ),
        ({"maxDeliveries": 0}, "spec.maxDeliveries: Input should be greater than or equal to 1 (got 0)"),
        ({"maxLength": 5}, "spec: maxLength and overflowPolicy go together"),
    ],
    ids=["unknown field", "bound", "rule"],
)
def test_a_file_is_read_strictly(spec: dict[str, Any], line: str) -> None:
    with pytest.raises(ValueError) as problem:
        parse_strict(TaskQueue, {"kind": "TaskQueue", "metadata": {"name": "mail"}, "spec": spec})
    assert str(problem.value) == line


def test_defaults_need_no_spec_of_their_parents() -> None:
    found = parse_strict(
        WorkerPool,
        {"metadata": {"name": "p"}, "spec": {"queues": [{"name": "mail"}], "app": "shop", "image": "shop:1"}},
    )
    assert found.namespace == "default"
    assert found.spec.rollout.progress_deadline_seconds == 600
    assert found.spec.concurrency.to_json() == {"model": "Process", "slots": 1}
