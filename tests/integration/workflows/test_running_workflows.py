"""Workflows through a real worker: chains, groups and chords in each other, with the results that they are to have."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.signatures import Shape, chain, chord, group, task
from tests.workers import runs, until

from umbel import Umbel
from umbel.canvas.sending import send

SECONDS = 60.0


def ones(count: int) -> list[Shape]:
    return [task("add", number, 1) for number in range(count)]


#: What is sent, and what it returns.
CASES: dict[str, tuple[Shape, Any]] = {
    "a chain": (chain(task("add", 1, 2), task("add", 3), task("add", 10)), 16),
    "a chain of one": (chain(task("add", 1, 2)), 3),
    "an immutable step": (chain(task("add", 1, 2), task("add", 5, 5, immutable=True), task("add", 1)), 11),
    "a group": (group(ones(3)), [1, 2, 3]),
    "a group of chains": (group([chain(task("add", 1, 1), task("add", 1)), task("add", 1, 0)]), [3, 1]),
    "a chord": (chord(ones(4), task("total")), 10),
    "a chord without header": (chord([], task("total", more=7)), 7),
    "a group that becomes a chord": (chain(group(ones(3)), task("total")), 6),
    "a group in the middle": (chain(task("add", 1, 1), group([task("add", n) for n in (1, 2)]), task("total")), 7),
    "a group at the end": (chain(task("add", 1, 1), group([task("add", n) for n in (1, 2)])), [3, 4]),
    "two groups in a row": (
        chain(group(ones(2)), group([task("total"), task("total", 10)]), task("total")),
        16,
    ),
    "chains in a header": (
        chord([chain(task("add", n, 1), task("add", 1)) for n in range(3)], chain(task("total"), task("add", 5))),
        14,
    ),
    "a chord in a header": (chord([chord(ones(2), task("total")), task("add", 1, 1)], task("listed")), [3, 2]),
    "groups in a header are dissolved": (chord([group(ones(2)), task("add", 9)], task("listed")), [1, 2, 9]),
    "what ends in a group is a list": (
        chord([group(ones(2)), chain(task("add", 1, 1), group([task("add", 1), task("add", 2)])), task("add", 9)], task("listed")),
        [1, 2, [3, 4], 9],
    ),
    "a chord that ends in a group is a list": (
        chord([chord(ones(2), group([task("total"), task("total", 1)])), task("add", 9)], task("listed")),
        [[3, 4], 9],
    ),
    "lists in lists": (
        chord(
            [chain(task("add", 1, 1), group([task("add", 1), chain(task("add", 2), group([task("add", 3), task("add", 4)]))]))],
            task("listed"),
        ),
        [[3, [7, 8]]],
    ),
    "a body that is a group": (chord(ones(2), group([task("total"), task("total", 1)])), [3, 4]),
    "a chord after a step": (chain(task("add", 1, 1), chord([task("add", 1), task("add", 2)], task("total"))), 7),
    "an empty chord after a step": (chain(task("add", 1, 1), chord([], task("total", more=1)), task("add", 1)), 2),
    "a retried member": (chord([task("flaky", 5, 2), *ones(1)], task("total")), 6),
}  # fmt: skip


def test_workflows_return_what_they_are_to(app: Umbel) -> None:
    results = {name: send(app, signature) for name, (signature, _) in CASES.items()}
    assert {name: result.get(timeout=SECONDS) for name, result in results.items()} == {
        name: expected for name, (_, expected) in CASES.items()
    }


def test_what_a_call_adds_goes_to_the_first_tasks(app: Umbel) -> None:
    assert send(app, chain(task("add"), task("add", 1)), (1, 2)).get(timeout=SECONDS) == 4
    assert send(app, chord([task("add"), task("add", 5)], task("total")), (1,)).get(timeout=SECONDS) == 7
    assert send(app, group([task("add"), task("add", 5)]), (1,), {}).get(timeout=SECONDS) == [1, 6]


def test_results_lead_to_those_before_them(app: Umbel) -> None:
    result = send(app, chain(task("add", 1, 1), group([task("add", 1), task("add", 2)]), task("total")))
    assert result.get(timeout=SECONDS) == 7
    header = result.parent
    assert header.get(timeout=SECONDS) == [3, 4]
    assert header.parent.get(timeout=SECONDS) == 2
    assert header.parent.parent is None


def test_a_result_can_have_an_id_of_ones_own(app: Umbel, prefix: str) -> None:
    chosen = f"mine-{prefix}"
    result = send(app, chain(task("add", 1, 1), task("add", 1)), options={"task_id": chosen})
    assert result.id == chosen
    assert result.get(timeout=SECONDS) == 3


def test_an_empty_chain_is_nothing_and_an_empty_group_is_empty(app: Umbel) -> None:
    assert send(app, chain()) is None
    assert send(app, group([])).get(timeout=SECONDS) == []


def test_callbacks_run_after_a_success(app: Umbel, tmp_path: Path) -> None:
    one = send(app, task("add", 1, 1), options={"link": [task("add", 40), task("constant", "x", immutable=True)]})
    assert one.get(timeout=SECONDS) == 2
    until(lambda: {"2 40"} <= set(runs(tmp_path / "ledger", "add")), "the callback has run")
    until(lambda: "x" in runs(tmp_path / "ledger", "constant"), "the other one has run")
