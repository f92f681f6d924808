"""Workflows that change while they run: tasks that are replaced, and headers that grow."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.signatures import Shape, chain, chord, group, task
from tests.workers import runs, until

from umbel import Umbel
from umbel.canvas.sending import send
from umbel.errors import ChordError, TaskRevokedError

SECONDS = 60.0


def replaced(by: Shape) -> Shape:
    return task("replaced", 1, by, immutable=True)


TEN = chain(task("add", 1, 2), task("add", 3), task("add", 4))
CASES = {
    "by a task": (task("add", 5, 5), 10),
    "by a chain": (TEN, 10),
    "by a group": (group([task("add", 1, n) for n in range(3)]), [1, 2, 3]),
    "by a chord": (chord([task("add", 1, n) for n in range(3)], task("total", 4)), 10),
    "by a chain that ends in a group": (chain(task("add", 1, 1), group([task("add", 1), task("add", 2)])), [3, 4]),
    "again and again": (replaced(chain(task("add", 1, 1), replaced(TEN))), 10),
}


@pytest.mark.parametrize("name", CASES)
def test_the_end_of_what_replaces_a_task_is_its_own(app: Umbel, name: str) -> None:
    by, expected = CASES[name]
    assert send(app, replaced(by)).get(timeout=SECONDS, follow_parents=False) == expected


def test_a_workflow_goes_on_behind_a_replaced_task(app: Umbel) -> None:
    assert send(app, chain(replaced(TEN), task("add", 5))).get(timeout=SECONDS, follow_parents=False) == 15
    assert send(app, chord([replaced(TEN), task("add", 1, 1), replaced(task("add", 2, 2))], task("listed"))).get(
        timeout=SECONDS
    ) == [10, 2, 4]


def test_callbacks_of_a_replaced_task_get_the_end(app: Umbel, tmp_path: Path) -> None:
    result = send(app, replaced(TEN), options={"link": [task("constant")]})
    assert result.get(timeout=SECONDS, follow_parents=False) == 10
    until(lambda: runs(tmp_path / "ledger", "constant") == ["10"], "the callback has run once")


def test_the_failure_of_what_replaces_a_task_is_its_own(app: Umbel) -> None:
    by = chain(task("add", 1, 1), task("fail"), task("add", 1))
    with pytest.raises(ValueError, match="broken"):
        send(app, replaced(by)).get(timeout=SECONDS, follow_parents=False)
    with pytest.raises(ValueError, match="broken"):
        send(app, chain(replaced(by), task("add", 1))).get(timeout=SECONDS, follow_parents=False)
    with pytest.raises(ChordError, match="broken"):
        send(app, chord([replaced(by), task("add", 1, 1)], task("total"))).get(timeout=SECONDS, follow_parents=False)


def test_a_header_grows_by_what_a_member_adds(app: Umbel) -> None:
    more = [task("add", 10, 0), chain(task("add", 10, 0), task("add", 10)), replaced(task("add", 30, 0))]
    result = send(app, chord([task("adds", 1, more), task("add", 2, 0)], task("listed")))
    assert result.get(timeout=SECONDS, follow_parents=False) == [1, 2, 10, 20, 30]


def test_revoking_reaches_what_replaces_a_task(app: Umbel, tmp_path: Path) -> None:
    by = chain(task("wait_for", 7, str(tmp_path)), task("constant", "x"))
    result = send(app, chain(replaced(by), task("constant", "y")))
    until((tmp_path / "running-7").exists, "what stands for the first step runs")
    result.revoke()
    with pytest.raises(TaskRevokedError):
        result.get(timeout=SECONDS, follow_parents=False)
    (tmp_path / "go").touch()
    until(lambda: runs(tmp_path / "ledger", "waited"), "what runs already runs to its end")
    send(app, task("constant", "last")).get(timeout=SECONDS, follow_parents=False)
    assert runs(tmp_path / "ledger", "constant") == ["last"]
