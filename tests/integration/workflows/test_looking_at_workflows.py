"""What a workflow shows of itself, while it runs and after its end."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.signatures import chain, chord, task
from tests.workers import until

from umbel import Umbel
from umbel.canvas.sending import send
from umbel.errors import ChordError
from umbel.workflow.view import WorkflowView, view

SECONDS = 60.0


def tasks(seen: WorkflowView) -> dict[str, str]:
    """Return the states of the tasks, by name."""
    return {node.task.rpartition(".")[2]: node.state for node in seen.nodes.values() if node.task}


def test_a_running_workflow_shows_what_has_ended(app: Umbel, tmp_path: Path) -> None:
    result = send(app, chain(task("add", 1, 1), task("wait_for", str(tmp_path)), task("constant")))
    until((tmp_path / "running-2").exists, "the second step runs")
    seen = view(app, result.id)
    assert seen is not None
    assert (seen.state, tasks(seen)) == ("RUNNING", {"add": "SUCCESS", "wait_for": "PENDING", "constant": "PENDING"})
    (first,) = seen.roots()
    assert seen.nodes[first].ended
    assert [edge.target for edge in seen.after(first)] == ["1"]
    (tmp_path / "go").touch()
    assert result.get(timeout=SECONDS) == 2
    after = until(lambda: (now := view(app, result.id)) and now.state == "ENDED" and now, "it has ended")
    assert set(tasks(after).values()) == {"SUCCESS"}


def test_a_failed_chord_shows_what_failed(app: Umbel) -> None:
    body = task("total", options={"link_error": [task("told")]})
    result = send(app, chord([task("add", 1, 1), task("fail")], body))
    with pytest.raises(ChordError):
        result.get(timeout=SECONDS, follow_parents=False)
    seen = until(lambda: (now := view(app, result.id)) and now.state == "ENDED" and now, "it has ended")
    assert tasks(seen)["fail"] == "FAILURE"
    assert tasks(seen)["total"] == "PENDING"
    assert {edge.kind for edge in seen.edges} == {"then", "error"}


def test_there_is_nothing_to_see_of_a_plain_task(app: Umbel) -> None:
    result = send(app, task("add", 1, 1))
    assert result.get(timeout=SECONDS) == 2
    assert view(app, result.id) is None
