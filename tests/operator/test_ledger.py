"""When an apply may be left out."""

from copy import deepcopy
from typing import Any

import pytest

from umbel_operator.plan.model import Ref
from umbel_operator.runtime.ledger import Ledger, stamped

OWNER = {"apiVersion": "umbel.dev/v1alpha1", "kind": "WorkerPool", "name": "mail", "uid": "p1", "controller": True}

WANTED: dict[str, Any] = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {
        "name": "mail-worker",
        "namespace": "shop",
        "labels": {"umbel.dev/pool": "mail"},
        "annotations": {"umbel.dev/template-hash": "abc"},
        "ownerReferences": [OWNER],
    },
    "spec": {"replicas": 1},
}
ANSWER: dict[str, Any] = {
    **WANTED,
    "metadata": {**WANTED["metadata"], "uid": "d1", "resourceVersion": "10", "generation": 1},
    "spec": {"replicas": 1, "paused": False},
}


def live(**changes: Any) -> dict[str, Any]:
    obj = deepcopy(ANSWER)
    for path, value in changes.items():
        part, _, name = path.partition("__")
        if name:
            obj["metadata"][part][name] = value
        elif part == "status":
            obj["status"] = value
        else:
            obj["metadata"][part] = value
    return obj


@pytest.fixture
def ledger() -> Ledger:
    ledger = Ledger()
    ledger.note(WANTED, ANSWER)
    return ledger


@pytest.mark.parametrize(
    ("now", "current"),
    [
        (live(), True),
        (live(resourceVersion="11", status={"replicas": 1}), True),
        (live(labels__foreign="x"), True),
        (live(annotations__foreign="x"), True),
        (live(generation=2), False),
        (live(uid="d2"), False),
        (live(labels={}), False),
        (live(annotations={"umbel.dev/template-hash": "edited"}), False),
        (live(ownerReferences=[]), False),
        (live(ownerReferences=[{**OWNER, "uid": "p0"}]), False),
    ],
)
def test_a_touched_deployment_is_applied_anew(ledger: Ledger, now: dict[str, Any], current: bool) -> None:
    assert ledger.is_current(WANTED, now) is current


def test_another_wish_is_applied(ledger: Ledger) -> None:
    assert not ledger.is_current({**WANTED, "spec": {"replicas": 2}}, live())


def test_what_was_never_applied_or_was_forgotten_is_applied(ledger: Ledger) -> None:
    assert not Ledger().is_current(WANTED, live())
    ledger.forget(Ref.of(WANTED))
    assert not ledger.is_current(WANTED, live())


def test_a_config_map_counts_no_generations_so_its_data_is_compared() -> None:
    wanted: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "default-client", "namespace": "shop"},
        "data": {"UMBEL_KEY_PREFIX": "umbel:shop:default"},
    }
    answer = {**wanted, "metadata": {**wanted["metadata"], "uid": "c1", "resourceVersion": "4"}}
    ledger = Ledger()
    ledger.note(wanted, answer)
    assert ledger.is_current(wanted, answer)
    assert not ledger.is_current(wanted, {**answer, "data": {"UMBEL_KEY_PREFIX": "edited"}})
    assert not ledger.is_current(wanted, {**answer, "data": {**wanted["data"], "EXTRA": "1"}})


def found_by_another(wanted: Any, **changes: Any) -> bool:
    """Tell whether an operator that starts anew takes what an earlier one applied for current."""
    applied = stamped(WANTED)
    there = {**live(**changes), "spec": {"replicas": 1, "paused": False, "template": {"a": [{"b": 1, "default": 2}]}}}
    there["metadata"]["annotations"] |= applied["metadata"]["annotations"]
    return Ledger().is_current(stamped(wanted), there)


def test_an_operator_that_starts_anew_finds_what_an_earlier_one_applied() -> None:
    assert found_by_another(WANTED)
    assert found_by_another(WANTED, labels__team="blue")


@pytest.mark.parametrize(
    ("wanted", "changes"),
    [
        ({**WANTED, "spec": {"replicas": 2}}, {}),
        ({**WANTED, "spec": {}}, {}),
        (WANTED, {"labels": {}}),
        (WANTED, {"ownerReferences": []}),
    ],
    ids=["another wish", "a field that is not wanted any more", "a label was taken off", "the owner was taken off"],
)
def test_an_operator_that_starts_anew_finds_what_differs(wanted: Any, changes: dict[str, Any]) -> None:
    assert not found_by_another(wanted, **changes)


def test_an_operator_that_starts_anew_sees_edits_and_children_without_a_hash() -> None:
    applied = stamped(WANTED)
    edited = {**live(), "spec": {"replicas": 7}}
    edited["metadata"]["annotations"] |= applied["metadata"]["annotations"]
    assert not Ledger().is_current(applied, edited)
    assert not Ledger().is_current(applied, live())


@pytest.mark.parametrize(
    ("there", "same"),
    [
        ({"args": ["a", "b"], "env": [{"name": "x", "value": "1", "added": True}]}, True),
        ({"args": ["a"], "env": [{"name": "x", "value": "1"}]}, False),
        ({"args": ["a", "b"], "env": [{"name": "x", "value": "2"}]}, False),
        ({"args": ["a", "b"], "env": [{"name": "x", "value": "1"}, {"name": "y"}]}, False),
        ({"args": ["a", "b"]}, False),
    ],
    ids=["with defaults", "shorter", "edited", "longer", "missing"],
)
def test_lists_are_compared_as_a_whole(there: dict[str, Any], same: bool) -> None:
    wanted = stamped({**WANTED, "spec": {"args": ["a", "b"], "env": [{"name": "x", "value": "1"}]}})
    found = {**live(), "spec": there}
    found["metadata"]["annotations"] |= wanted["metadata"]["annotations"]
    assert Ledger().is_current(wanted, found) is same
