"""Workflows that fail, in each way in which a task can end: who waits is told, errbacks are called, nothing else runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.redis_server import RedisServer
from tests.signatures import Shape, chain, chord, group, task
from tests.workers import Worker, runs, until

from umbel import Umbel
from umbel.canvas.sending import send
from umbel.errors import ChordError, TaskRevokedError, TimeLimitExceeded, WorkerLostError

SECONDS = 60.0


def failed(task_options: Any = None) -> Shape:
    return task("fail", options=task_options)


def test_a_chain_ends_with_its_first_failure(app: Umbel, tmp_path: Path) -> None:
    result = send(app, chain(task("add", 1, 1), failed(), task("constant", "x"), task("constant", "y")))
    with pytest.raises(ValueError, match="broken"):
        result.get(timeout=SECONDS, follow_parents=False)
    assert result.state == "FAILURE"
    assert runs(tmp_path / "ledger", "constant") == []


def test_the_first_member_that_fails_fails_the_chord_at_once(app: Umbel, tmp_path: Path) -> None:
    slow = task("wait_for", 1, str(tmp_path))
    result = send(app, chord([slow, failed()], task("total")))
    with pytest.raises(ChordError, match=r"Dependency \S+ raised ValueError\('broken'\)"):
        result.get(timeout=SECONDS, follow_parents=False)
    (tmp_path / "go").touch()
    until(lambda: runs(tmp_path / "ledger", "waited"), "the other member runs to its end")
    assert runs(tmp_path / "ledger", "total") == []


def test_errbacks_are_called_in_both_styles(app: Umbel, tmp_path: Path) -> None:
    errbacks = {"link_error": [task("told"), task("told_more")]}
    result = send(app, chain(task("add", 1, 1), failed(errbacks), task("add", 1)))
    with pytest.raises(ValueError, match="broken"):
        result.get(timeout=SECONDS, follow_parents=False)
    ledger = tmp_path / "ledger"
    failing = result.parent.id
    until(lambda: runs(ledger, "told") == [failing], "the errback of the old style is called")
    expected = f"{failing} tests.workflow_app.fail ValueError('broken') True"
    until(lambda: runs(ledger, "told-more") == [expected], "that of the new style is called")


def test_the_errback_of_a_body_hears_of_the_header(app: Umbel, tmp_path: Path) -> None:
    body = task("total", options={"link_error": [task("told"), task("told_more")]})
    result = send(app, chord([task("add", 1, 1), failed()], body))
    with pytest.raises(ChordError):
        result.get(timeout=SECONDS, follow_parents=False)
    ledger = tmp_path / "ledger"
    until(lambda: runs(ledger, "told") == [result.id], "it gets the id of the body")
    (line,) = until(lambda: runs(ledger, "told-more"), "it gets the error of the body")
    assert line.startswith(f"{result.id} ")
    assert "ChordError" in line


@pytest.mark.parametrize(
    ("member", "error"),
    [
        (task("overlong"), "TimeLimitExceeded"),
        (task("kills"), "WorkerLostError"),
        (task("add", 1, 1, options={"expires": 0.0}), "TaskRevokedError"),
        (task("add", "not", [], options={}), "TypeError"),
    ],
    ids=["past its time limit", "kills its process", "expired", "raises"],
)
def test_a_member_that_ends_in_any_way_ends_its_chord(app: Umbel, member: Shape, error: str) -> None:
    with pytest.raises(ChordError, match=error):
        send(app, chord([task("add", 1, 1), member], task("total"))).get(timeout=SECONDS, follow_parents=False)


@pytest.mark.parametrize(
    ("step", "error"),
    [(task("overlong"), TimeLimitExceeded), (task("kills", immutable=True), WorkerLostError)],
    ids=["past its time limit", "kills its process"],
)
def test_a_step_that_its_process_dies_with_ends_its_chain(app: Umbel, step: Shape, error: type[Exception]) -> None:
    with pytest.raises(error):
        send(app, chain({**step, "immutable": True}, task("add", 1))).get(timeout=SECONDS, follow_parents=False)


def test_a_step_whose_queue_is_closed_fails(app: Umbel, prefix: str) -> None:
    app.broker.configure("closed", {"intake": "Reject"}, 1)
    result = send(app, chain(task("add", 1, 1), task("add", 1, options={"queue": "closed"}), task("add", 1)))
    with pytest.raises(Exception, match="intake is Reject"):
        result.get(timeout=SECONDS, follow_parents=False)


def test_a_task_that_a_full_queue_drops_ends_its_workflow(
    redis_server: RedisServer, producer: Callable[..., Umbel]
) -> None:
    app = producer(redis_server)
    app.broker.configure("small", {"max_length": 1, "overflow": "DropOldest"}, 1)
    options = {"queue": "small"}
    result = send(app, chord([task("add", 1, 1, options=options)], task("total", options=options)))
    send(app, task("add", 1, 1, options=options))
    with pytest.raises(ChordError, match="was full and dropped"):
        result.get(timeout=SECONDS, follow_parents=False)
    app.broker.purge("small")


def test_a_revoked_workflow_runs_no_further(app: Umbel, tmp_path: Path) -> None:
    result = send(
        app,
        chain(
            task("wait_for", 7, str(tmp_path)), task("constant", "x"), group([task("constant", "y")]), task("listed")
        ),
    )
    until((tmp_path / "running-7").exists, "the first step runs")
    result.parent.revoke()
    with pytest.raises(TaskRevokedError):
        result.get(timeout=SECONDS, follow_parents=False)
    (tmp_path / "go").touch()
    until(lambda: runs(tmp_path / "ledger", "waited"), "what runs already runs to its end")
    store = app.broker.workflows
    workflow, _ = store.find([result.id])[result.id]
    until(lambda: "closed" in store.look(workflow).states, "the workflow has ended")
    assert runs(tmp_path / "ledger", "constant") == []


def test_a_workflow_can_be_revoked_with_what_runs(app: Umbel, tmp_path: Path) -> None:
    result = send(app, chord([task("wait_for", n, str(tmp_path)) for n in (1, 2)], task("total")))
    until((tmp_path / "running-1").exists, "a member runs")
    result.revoke(terminate=True)
    with pytest.raises(TaskRevokedError):
        result.get(timeout=SECONDS, follow_parents=False)
    store = app.broker.workflows
    workflow, _ = store.find([result.id])[result.id]
    until(lambda: "closed" in store.look(workflow).states, "the workflow has ended")
    assert runs(tmp_path / "ledger", "waited") == []


def test_what_is_queued_of_a_revoked_workflow_does_not_run(
    redis_server: RedisServer,
    prefix: str,
    producer: Callable[..., Umbel],
    start_worker: Callable[..., Worker],
    tmp_path: Path,
) -> None:
    app = producer(redis_server)
    results = [send(app, chord([task("constant", n) for n in range(5)], task("listed"))) for _ in range(2)]
    results[0].parent.results[3].revoke()
    start_worker(redis_server, prefix, app="tests.workflow_app:app").wait_ready()
    assert results[1].get(timeout=SECONDS, follow_parents=False) == list(range(5))
    with pytest.raises(TaskRevokedError):
        results[0].get(timeout=SECONDS, follow_parents=False)
    assert len(runs(tmp_path / "ledger", "constant")) == 5
