"""What schedules learn of their runs: Forbid, Replace, stop, history, failures in a row."""

from __future__ import annotations

import time

import pytest
from tests.integration.beat.inprocess import Bench, schedule

from umbel.beat import runs as runs_module
from umbel.broker.base import Outgoing
from umbel.message import Message


def test_forbid_waits_for_the_end_of_the_run(bench: Bench) -> None:
    beat = bench.beat(schedule("s1", every=10, concurrencyPolicy="Forbid"))
    beat.tick()
    bench.run(beat, 30)
    assert bench.slots() == [10], "queued counts as active"
    assert bench.end(bench.mail.messages()[0])
    bench.run(beat, 20)
    assert bench.slots() == [10, 40]
    assert bench.state().get("missed") is None
    assert beat.counts["skipped_forbid"] == 3
    assert bench.state()["skipped"] == "3"


def test_forbid_goes_on_after_its_queue_was_purged(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs_module, "LOST_AFTER_MS", 3_600_000)
    beat = bench.beat(schedule("s1", every=10, concurrencyPolicy="Forbid"))
    beat.tick()
    bench.run(beat, 10)
    bench.take()
    bench.run(beat, 10)
    assert bench.slots() == [], "it may be on its way"
    monkeypatch.setattr(runs_module, "LOST_AFTER_MS", -1)
    bench.run(beat, 10)
    assert bench.slots() == [30]


def test_forbid_goes_on_after_a_beat_died_before_it_enqueued_a_run(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run is noted and was never sent. Its queue is busy with others, so that it cannot be told from their number."""
    monkeypatch.setattr(runs_module, "LOST_AFTER_MS", 3_600_000)
    beat = bench.beat(schedule("s1", every=10, concurrencyPolicy="Forbid"))
    beat.tick()
    bench.broker.publish("mail", [Outgoing(Message({"id": "other", "task": "t"}, b"[[],{}]").encode(), "other")])
    note = {"task": "t", "queue": "mail", "scheduled": 0, "begun": int(time.time() * 1000)}
    bench.store.begin("s1", "died-here", note, ttl=3600, policy="Forbid", counted=True)
    bench.run(beat, 10)
    assert beat.counts["skipped_forbid"] == 1, "the beat that noted it may be about to send it"
    monkeypatch.setattr(runs_module, "LOST_AFTER_MS", -1)
    bench.run(beat, 10)
    assert [message.headers["schedule"] for message in bench.mail.messages()[1:]] == ["s1"]
    assert bench.state().get("failures") is None


def test_runs_that_were_purged_end_as_revoked(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    beat = bench.beat(schedule("s1", every=30))
    beat.tick()
    bench.run(beat, 30)
    bench.take()
    monkeypatch.setattr(runs_module, "LOST_AFTER_MS", -1)
    bench.run(beat, 29)
    assert bench.store.load(["s1"])["s1"].active == 1
    bench.run(beat, 31)
    succeeded, failed = bench.store.history("s1")
    assert succeeded == []
    assert [run["state"] for run in failed][-1] == "REVOKED"
    assert bench.state().get("failures") is None


def test_replace_revokes_what_is_active(bench: Bench) -> None:
    beat = bench.beat(schedule("s1", every=10, concurrencyPolicy="Replace"))
    beat.tick()
    bench.run(beat, 10)
    first = bench.mail.messages()[0].headers["id"]
    assert bench.broker.revoked() == set()
    bench.run(beat, 10)
    assert bench.slots() == [10, 20]
    assert bench.broker.revoked() == {first}


def test_an_end_counts_once_and_is_kept_in_the_history(bench: Bench) -> None:
    beat = bench.beat(schedule("s1", every=10, successfulRunsHistoryLimit=2, failedRunsHistoryLimit=1))
    beat.tick()
    bench.run(beat, 60)
    found = bench.take()
    assert bench.store.load(["s1"])["s1"].active == 6
    for message, state in zip(found, ["SUCCESS", "SUCCESS", "SUCCESS", "FAILURE", "FAILURE", "REVOKED"], strict=True):
        assert bench.end(message, state)
        assert not bench.end(message, "SUCCESS"), "the first end counts"
    succeeded, failed = bench.store.history("s1")
    assert [run["run"] for run in succeeded] == [found[2].headers["run"], found[1].headers["run"]]
    assert [(run["run"], run["state"]) for run in failed] == [(found[5].headers["run"], "REVOKED")]
    assert failed[0]["task"] == found[5].headers["id"]
    assert failed[0]["ended"] >= failed[0]["begun"]
    assert bench.store.load(["s1"])["s1"].active == 0
    assert bench.state()["failures"] == "2"
    assert "succeeded" in bench.state()


def test_no_history_is_kept_where_the_limit_is_zero(bench: Bench) -> None:
    beat = bench.beat(schedule("s1", every=10, successfulRunsHistoryLimit=0))
    beat.tick()
    bench.run(beat, 10)
    bench.end(bench.take()[0])
    assert bench.store.history("s1") == ([], [])


def test_a_success_ends_failures_in_a_row(bench: Bench) -> None:
    beat = bench.beat(schedule("s1", every=10))
    beat.tick()
    bench.run(beat, 30)
    first, second, third = bench.take()
    bench.end(first, "FAILURE")
    bench.end(second, "FAILURE")
    assert bench.state()["failures"] == "2"
    bench.end(third, "SUCCESS")
    assert bench.state()["failures"] == "0"


def test_stop_after_so_many_runs(bench: Bench) -> None:
    body = schedule("s1", every=10, stop={"maxRuns": 2})
    beat = bench.beat(body)
    beat.tick()
    bench.run(beat, 50)
    assert bench.slots() == [10, 20]
    assert bench.state()["stopped"] == "MaxRuns"
    bench.define(beat, {**body, "stop": {"maxRuns": 3}})
    bench.run(beat, 30)
    assert bench.slots() == [10, 20, 60]


def test_stop_after_failures_in_a_row_until_the_schedule_is_edited(bench: Bench) -> None:
    body = schedule("s1", every=10, stop={"maxConsecutiveFailures": 2})
    beat = bench.beat(body)
    beat.tick()
    bench.run(beat, 20)
    for message in bench.take():
        bench.end(message, "FAILURE")
    bench.run(beat, 30)
    assert bench.slots() == []
    assert bench.state()["stopped"] == "MaxConsecutiveFailures"
    bench.define(beat, {**body, "task": {"name": "mended"}})
    bench.run(beat, 10)
    assert bench.slots() == [60]
    assert "stopped" not in bench.state()


def test_stop_after_a_time(bench: Bench) -> None:
    beat = bench.beat(schedule("s1", every=10, stop={"afterTime": "2026-06-01T12:00:25Z"}))
    beat.tick()
    bench.run(beat, 60)
    assert bench.slots() == [10, 20]
    assert bench.state()["stopped"] == "AfterTime"


def test_a_stopped_schedule_stays_stopped_for_another_beat(bench: Bench) -> None:
    body = schedule("s1", every=10, stop={"maxRuns": 1})
    beat = bench.beat(body)
    beat.tick()
    bench.run(beat, 30)
    bench.client.delete(f"{bench.prefix}:{{beat:config:test}}:lock")
    other = bench.beat(body)
    other.tick()
    bench.run(other, 30)
    assert bench.slots() == [10]


def test_a_manual_run_counts_neither_for_the_bound_nor_for_forbid(bench: Bench) -> None:
    body = schedule("s1", every=10, concurrencyPolicy="Forbid", stop={"maxRuns": 1})
    beat = bench.beat(body)
    beat.tick()
    bench.run(beat, 10)
    bench.define(beat, {**body, "manualTrigger": "a"})
    beat.tick()
    assert len(bench.mail.of("s1")) == 2
    assert bench.state()["started"] == "1"
    assert bench.state()["handled"] == "a"
    beat.tick()
    assert len(bench.mail.of("s1")) == 2


def test_a_message_carries_what_the_schedule_says(bench: Bench) -> None:
    task = {"name": "t", "args": [1, None], "kwargs": {"k": [2]}, "priority": 9, "timeLimitSeconds": 60}
    task |= {"expiresSeconds": 600, "maxRetries": 0}
    beat = bench.beat(schedule("s1", every=10, task=task))
    beat.tick()
    bench.run(beat, 10)
    message = bench.mail.messages()[0]
    assert message.priority == 9
    assert message.body == b'[[1,null],{"k":[2]}]'
    assert message.headers["timelimit"] == [60, None]
    assert message.headers["expires"] == 600
    assert message.headers["max_retries"] == 0


@pytest.mark.parametrize("policy", ["Allow", "Forbid", "Replace"])
def test_a_backlog_of_thousands_of_runs_keeps_no_schedule_from_firing(bench: Bench, policy: str) -> None:
    beat = bench.beat(schedule("s1", every=10, concurrencyPolicy=policy))
    beat.tick()
    note = '"task":"t","queue":"mail","scheduled":0,"begun":4102444800000'
    runs = f"{bench.prefix}:{{s1}}:runs"
    bench.client.hset(runs, mapping={f"{number:032x}{0:08x}": note for number in range(9_000)})
    bench.run(beat, 10)
    assert bench.slots() == ([] if policy == "Forbid" else [10])
    assert len(bench.broker.revoked()) == (9_000 if policy == "Replace" else 0)
