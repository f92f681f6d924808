"""Traces over real processes: one trace from who sends to what the task sends, by W3C headers in the messages."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.redis_server import RedisServer
from tests.workers import ROOT, Worker, until

#: Sends a task within a span of its own, in another process, and prints its trace.
SENDER = """
import sys
from opentelemetry import trace
from tests.otel_app import app, set_up
set_up()
with trace.get_tracer("sender").start_as_current_span("request") as span:
    if sys.argv[1] == "chain":
        leaf = app.tasks["tests.otel_app.leaf"]
        call = leaf.si(1) | leaf.si(2)
    else:
        call = app.tasks["tests.otel_app." + sys.argv[1]]
    call.delay().get(timeout=30, propagate=False)
    print(format(span.get_span_context().trace_id, "032x"))
"""


def spans_of(path: Path, trace_id: str) -> dict[str, list[dict[str, Any]]]:
    """Return the spans of a trace, by their names."""
    found: dict[str, list[dict[str, Any]]] = {}
    # Another process may be in the middle of a line.
    for line in path.read_text().rpartition("\n")[0].splitlines() if path.exists() else ():
        span = json.loads(line)
        if span["context"]["trace_id"] == f"0x{trace_id}":
            found.setdefault(span["name"], []).append(span)
    return found


@pytest.fixture
def send(
    redis_server: RedisServer, prefix: str, tmp_path: Path, start_worker: Callable[..., Worker]
) -> Callable[..., Callable[[], dict[str, list[dict[str, Any]]]]]:
    spans = tmp_path / "spans"
    environment = {"SPANS": str(spans), "UMBEL_BROKER_URL": redis_server.url, "UMBEL_KEY_PREFIX": prefix}

    def send(task: str, *arguments: str) -> Callable[[], dict[str, list[dict[str, Any]]]]:
        start_worker(
            redis_server, prefix, *arguments, app="tests.otel_app:app", concurrency=1, environment=environment
        ).wait_ready()
        sent = subprocess.run(
            [sys.executable, "-c", SENDER, task],
            env={**os.environ, **environment},
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert sent.returncode == 0, sent.stderr
        return lambda: spans_of(spans, sent.stdout.strip())

    return send


def test_one_trace_from_the_sender_to_what_the_task_sends(send: Callable[..., Any]) -> None:
    spans = send("parent")
    until(lambda: "within" in spans(), "the innermost span was written")
    until(lambda: len(spans().get("process default", ())) == 2, "both runs were written")
    found = spans()
    ids = {span["context"]["span_id"]: span for several in found.values() for span in several}
    chain, span = [], found["within"][0]
    while span is not None:
        chain.append(span["name"])
        span = ids.get(span["parent_id"])
    assert chain == ["within", "process default", "send default", "process default", "send default", "request"]
    sending, running = found["send default"][0], found["process default"][0]
    assert sending["kind"] == "SpanKind.PRODUCER"
    assert running["kind"] == "SpanKind.CONSUMER"
    for span, operation in ((sending, "send"), (running, "process")):
        told = span["attributes"]
        assert told["messaging.system"] == "umbel"
        assert told["messaging.operation.name"] == told["messaging.operation.type"] == operation
        assert told["messaging.destination.name"] == "default"
        assert told["messaging.message.id"]
        assert told["messaging.message.body.size"] > 0
        assert told["umbel.task.name"].startswith("tests.otel_app.")


def test_a_failure_is_an_error_of_its_span(send: Callable[..., Any]) -> None:
    spans = send("breaks")
    until(lambda: "process default" in spans(), "the run was written")
    run = spans()["process default"][0]
    assert run["status"]["status_code"] == "ERROR"
    assert run["attributes"]["error.type"] == "LookupError"
    assert run["events"][0]["attributes"]["exception.message"] == "not there"


def test_a_retry_is_no_error_and_stays_in_the_trace(send: Callable[..., Any]) -> None:
    spans = send("again")
    until(lambda: len(spans().get("process default", ())) == 2, "both runs were written")
    runs = sorted(spans()["process default"], key=lambda run: run["attributes"]["umbel.task.retries"])
    assert [run["attributes"]["umbel.task.retries"] for run in runs] == [0, 1]
    assert [run["status"]["status_code"] for run in runs] == ["UNSET", "UNSET"]
    assert runs[0]["attributes"]["umbel.task.end"] == "retry"
    assert len({run["parent_id"] for run in runs}) == 1


def test_coroutines_are_traced_too(send: Callable[..., Any]) -> None:
    spans = send("waits", "--pool", "asyncio")
    until(lambda: "process default" in spans(), "the run was written")


def test_the_steps_of_a_workflow_are_in_the_trace(send: Callable[..., Any]) -> None:
    spans = send("chain")
    until(lambda: len(spans().get("within", ())) == 2, "both steps were written")
    until(lambda: {"request", "process default"} <= spans().keys(), "all were written")
    request = spans()["request"][0]["context"]["span_id"]
    assert {run["parent_id"] for run in spans()["process default"]} == {request}
