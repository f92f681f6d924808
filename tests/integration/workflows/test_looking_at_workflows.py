"""What a workflow shows of itself, while it runs and after its end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.signatures import chain, chord, task
from tests.workers import until

from umbel import Umbel
from umbel.canvas.sending import send
from umbel.errors import ChordError, TaskRevokedError

SECONDS = 60.0


def tasks(result: Any) -> dict[str, str]:
    """Return the states of the tasks, by name."""
    return {spot.name.rpartition(".")[2]: spot.state for spot in result.graph.spots.values()}


def test_a_running_workflow_shows_what_has_ended(app: Umbel, tmp_path: Path) -> None:
    result = send(app, chain(task("add", 1, 1), task("wait_for", str(tmp_path)), task("constant")))
    until((tmp_path / "running-2").exists, "the second step runs")
    graph = result.graph
    assert tasks(result) == {"add": "SUCCESS", "wait_for": "PENDING", "constant": "PENDING"}
    (first,) = graph.roots()
    assert graph.spots[first].runtime is not None
    assert [graph.spots[later].name for later in graph.after(first)] == ["tests.workflow_app.wait_for"]
    (tmp_path / "go").touch()
    assert result.get(timeout=SECONDS) == 2
    until(lambda: set(tasks(result).values()) == {"SUCCESS"}, f"all have ended: {tasks(result)}")


def test_a_failed_chord_shows_what_failed_and_its_errbacks(app: Umbel) -> None:
    body = task("total", options={"link_error": [task("told")]})
    result = send(app, chord([task("add", 1, 1), task("fail")], chain(body, task("constant"), task("listed"))))
    with pytest.raises(ChordError):
        result.get(timeout=SECONDS, follow_parents=False)
    expected = {
        "add": "SUCCESS",
        "fail": "FAILURE",
        "total": "NOT RUN",
        "told": "SUCCESS",
        "constant": "NOT RUN",
        "listed": "FAILURE",
    }
    until(lambda: tasks(result) == expected, f"all has ended: {tasks(result)}")
    graph = result.graph
    assert {graph.spots[later].name.rpartition(".")[2] for later in graph.after(graph_id(graph, "total"))} == {
        "constant",
        "told",
    }


def graph_id(graph: Any, name: str) -> str:
    """Return the id of the task of a name."""
    (found,) = [task_id for task_id, spot in graph.spots.items() if spot.name.endswith(f".{name}")]
    return str(found)


def test_what_follows_a_failure_is_not_run_while_others_run(app: Umbel, tmp_path: Path) -> None:
    after = chain(task("total"), task("constant"))
    result = send(app, chord([task("fail"), task("wait_for", 1, str(tmp_path))], after))
    until((tmp_path / "running-1").exists, "a member runs")
    with pytest.raises(ChordError):
        result.get(timeout=SECONDS, follow_parents=False)
    assert tasks(result) == {"fail": "FAILURE", "wait_for": "PENDING", "total": "NOT RUN", "constant": "FAILURE"}
    (tmp_path / "go").touch()
    until(lambda: tasks(result)["wait_for"] == "SUCCESS", "the other member has ended, and its end is known")


def test_what_follows_a_revoked_task_is_not_run(app: Umbel, tmp_path: Path) -> None:
    steps = [task("wait_for", 1, str(tmp_path)), task("constant"), task("listed"), task("add", 1)]
    result = send(app, chain(*steps))
    until((tmp_path / "running-1").exists, "the first step runs")
    result.revoke()
    with pytest.raises(TaskRevokedError):
        result.get(timeout=SECONDS, follow_parents=False)
    assert tasks(result) == {"wait_for": "PENDING", "constant": "NOT RUN", "listed": "NOT RUN", "add": "REVOKED"}
    (tmp_path / "go").touch()
    until(lambda: tasks(result)["wait_for"] == "SUCCESS", "the first step has ended")


def test_a_plain_task_shows_itself(app: Umbel) -> None:
    result = send(app, task("add", 1, 1))
    assert result.get(timeout=SECONDS) == 2
    assert [spot.state for spot in result.graph.spots.values()] == ["SUCCESS"]
