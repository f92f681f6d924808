"""What people see: lines of pods, the table, and numbers without a terminal."""

from __future__ import annotations

import io
import json
import logging
import os
from datetime import UTC, datetime, timedelta
from typing import Any

from rich.console import Console

from umbel_operator.local.gauges import Load
from umbel_operator.local.notices import Notice
from umbel_operator.local.output import last_words, read_line, task_end
from umbel_operator.local.pod import Phase
from umbel_operator.local.screen import PlainScreen, format_line
from umbel_operator.local.snapshot import PodRow, QueueRow, ScheduleRow, Snapshot, Tasks
from umbel_operator.local.table import render

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)


def record(event: str, level: str = "INFO", **fields: Any) -> str:
    head = {"time": "2026-03-01T12:00:00.000Z", "level": level, "logger": "umbel", "pid": 1, "event": event}
    return json.dumps({**head, **fields})


def snapshot() -> Snapshot:
    tasks = Tasks()
    for number in range(20):
        text = record("task.success", "DEBUG", task="shop.pay", task_id=f"id-{number:02d}", runtime=0.0123)
        end = task_end(read_line(text, json_logs=True), "mailers-worker-1")
        assert end is not None
        tasks.add(end)
    return Snapshot(
        queues=[QueueRow("mail", 12, 3, 2, 1, 75.0, held=True)],
        pods=[
            PodRow("default-beat-1", Phase.READY, Load(), 0, is_worker=False),
            PodRow("mailers-worker-1", Phase.WAITING, Load(1, 2), 4, is_worker=True),
        ],
        schedules=[
            ScheduleRow("nightly", "shop.report", "0 3 * * * Etc/UTC", NOW - timedelta(hours=9), NOW, suspended=False)
        ],
        tasks=tasks,
        notices=[Notice("WorkerPool", "default", "mailers", "Ready", "QueueNotFound", "no TaskQueue\nmore words")],
        problems=["pool.yaml:3: is not YAML"],
    )


def drawn(width: int, height: int) -> list[str]:
    out = io.StringIO()
    console = Console(file=out, width=width, height=height)
    console.print(render(snapshot(), ["for producers:  export X=1"], timedelta(seconds=75), width, height, NOW))
    return out.getvalue().splitlines()


def test_the_table_shows_queues_pods_schedules_tasks_and_what_is_wrong() -> None:
    text = "\n".join(drawn(140, 40))
    for part in (
        "umbel up 0:01:15   tasks: 20 succeeded",
        "for producers:  export X=1",
        "mail held     12        3          2     1  1:15 min",
        "mailers-worker-1  waiting   1/2         4",
        "nightly   0 3 * * * Etc/UTC  shop.report  9:00 h ago  in 0 s",
        "shop.pay  succeeded  12 ms  id-19  mailers-worker-1",
        "! WorkerPool mailers: QueueNotFound: no TaskQueue …",
        "! pool.yaml:3: is not YAML",
    ):
        assert part in text, text


def test_the_table_keeps_to_the_screen() -> None:
    for width, height in ((140, 40), (100, 24), (80, 20)):
        lines = drawn(width, height)
        assert len(lines) <= height
        assert max(map(len, lines)) <= width
        assert any("QueueNotFound" in line for line in lines)


def test_a_line_of_the_log_is_read_and_another_stays_as_it_is() -> None:
    line = read_line(record("worker.started", queues="a b", tasks=3), json_logs=True)
    assert line.text == 'worker.started queues="a b" tasks=3'
    assert format_line(line).endswith('INFO    worker.started queues="a b" tasks=3')
    for text in ("hello", "{not json", '{"a": 1}', "{}"):
        assert format_line(read_line(text, json_logs=True)) == text
    assert read_line(record("x"), json_logs=False).event == ""


def test_debug_is_shown_only_where_it_tells_of_a_task() -> None:
    assert not read_line(record("connecting", "DEBUG"), json_logs=True).is_shown
    assert read_line(record("task.success", "DEBUG"), json_logs=True).is_shown
    assert read_line(record("anything", "WARNING"), json_logs=True).is_shown
    assert read_line("a print", json_logs=True).is_shown


def test_each_end_of_a_task_has_its_word() -> None:
    words = {}
    for event in ("task.success", "task.failure", "task.killed", "task.dead", "task.retry", "task.revoked"):
        end = task_end(read_line(record(event, task="t", task_id="i", error="E"), json_logs=True), "pod")
        assert end is not None
        words[event] = end.word
    assert list(words.values()) == ["succeeded", "failed", "failed", "dead", "retried", "revoked"]
    assert task_end(read_line(record("worker.started"), json_logs=True), "pod") is None


def test_the_last_words_of_a_process_name_signal_or_code() -> None:
    assert last_words(-9, "whatever") == "was killed by SIGKILL"
    assert last_words(2, "Error: no app") == "ended with exit code 2: Error: no app"
    assert last_words(1, record("zygote.failed", "ERROR", error="boom")) == (
        "ended with exit code 1: zygote.failed error=boom"
    )
    assert last_words(0, "bye") == "ended with exit code 0"


def test_plain_lines_carry_the_pod_and_a_flood_of_successes_is_counted() -> None:
    out = io.StringIO()
    screen = PlainScreen(broken=lambda: None, out=out)
    for number in range(200):
        line = read_line(record("task.success", "DEBUG", task="t", task_id=str(number)), json_logs=True)
        screen.line("mailers-worker-1", line)
    failure = read_line(
        record("task.failure", "ERROR", task="t", task_id="x", traceback="Trace\n  boom"), json_logs=True
    )
    screen.line("mailers-worker-1", failure)
    screen.show(snapshot())
    screen.say("umbel up", "one\ntwo", logging.WARNING)
    lines = out.getvalue().splitlines()

    told = sum("task.success" in line for line in lines)
    (more,) = (line for line in lines if "more tasks succeeded" in line)
    assert told + int(more.split()[2]) == 200
    assert "mailers-worker-1 |     boom" in lines
    assert lines[-2:] == ["umbel up | one", "umbel up | two"]
    status = "umbel up | queues: mail 12 ready, 2 in flight, 1 dead, 3 delayed | workers: 0 of 1 ready, 1 tasks running"
    assert status in lines


def test_when_nobody_reads_any_more_it_is_told_once() -> None:
    """Given a pipe whose other end is closed, when lines come, then `umbel up` hears of it and nothing raises."""
    reading, writing = os.pipe()
    os.close(reading)
    called = []
    with os.fdopen(writing, "w", encoding="utf-8") as out:
        screen = PlainScreen(broken=lambda: called.append(True), out=out)
        screen.say("umbel up", "one")
        screen.say("umbel up", "two")
    assert called == [True]
