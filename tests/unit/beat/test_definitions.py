"""Entries of the directory: what is read, what is refused, and that one does not hurt another."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from umbel import message as messages
from umbel.beat.definitions import Definitions, read_pool, read_queue, read_schedule
from umbel.beat.entry import run_ids, slot_ids
from umbel.rates import RateLimit


def body(**changes: Any) -> dict[str, Any]:
    return {
        "uid": "u1",
        "name": "nightly",
        "namespace": "shop",
        "generation": 2,
        "queue": "mail",
        "task": {"name": "shop.report"},
        "trigger": {"type": "Interval", "interval": {"everySeconds": 60}},
        **changes,
    }


def test_what_is_left_out_has_its_default() -> None:
    entry = read_schedule(body())
    assert entry.rules.catch_up == "Latest"
    assert entry.rules.starting_deadline is None
    assert (entry.policy, entry.suspended, entry.manual) == ("Allow", False, None)
    assert (entry.keep_succeeded, entry.keep_failed) == (3, 3)
    assert (entry.stop.after, entry.stop.max_runs, entry.stop.max_failures) == (None, None, None)


def test_everything_is_read() -> None:
    entry = read_schedule(
        body(
            catchUp={"policy": "All", "maxRuns": 7},
            startingDeadlineSeconds=90,
            jitterSeconds=30,
            concurrencyPolicy="Replace",
            suspend=True,
            stop={"afterTime": "2026-01-01T00:00:00Z", "maxRuns": 4, "maxConsecutiveFailures": 5},
            successfulRunsHistoryLimit=0,
            failedRunsHistoryLimit=9,
            manualTrigger="now",
        )
    )
    assert (entry.rules.catch_up, entry.rules.max_runs) == ("All", 7)
    assert entry.rules.starting_deadline == timedelta(seconds=90)
    assert timedelta(0) <= entry.rules.jitter < timedelta(seconds=30)
    assert (entry.policy, entry.suspended, entry.manual) == ("Replace", True, "now")
    assert entry.stop.after == datetime(2026, 1, 1, tzinfo=UTC)
    assert (entry.stop.max_runs, entry.stop.max_failures) == (4, 5)
    assert (entry.keep_succeeded, entry.keep_failed) == (0, 9)


@pytest.mark.parametrize(
    ("change", "reason", "says"),
    [
        ({"uid": ""}, "InvalidDefinition", "uid must be a text"),
        ({"queue": None}, "InvalidDefinition", "queue must be a text"),
        ({"task": {}}, "InvalidDefinition", "name must be a text"),
        ({"task": {"name": "t", "args": {}}}, None, ""),
        ({"task": {"name": "t", "args": "ab"}}, "InvalidDefinition", "task.args must be a list"),
        ({"task": {"name": "t", "priority": 10}}, "InvalidDefinition", "priority must be a whole number from 0 to 9"),
        ({"task": "t"}, "InvalidDefinition", "task must be an object"),
        ({"trigger": None}, "InvalidSchedule", "trigger.type must be"),
        ({"trigger": {"type": "Cron", "cron": {"expression": "x"}}}, "InvalidSchedule", "fields, not 5"),
        (
            {"trigger": {"type": "Cron", "cron": {"expression": "@daily", "timeZone": "X/Y"}}},
            "UnknownTimeZone",
            "no time zone 'X/Y'",
        ),
        ({"catchUp": {"policy": "all"}}, "InvalidDefinition", "policy must be one of Skip, Latest, All"),
        ({"catchUp": []}, "InvalidDefinition", "catchUp must be an object"),
        ({"jitterSeconds": 1.5}, "InvalidDefinition", "jitterSeconds must be a whole number from 0 to 3600"),
        ({"startingDeadlineSeconds": True}, "InvalidDefinition", "startingDeadlineSeconds"),
        ({"concurrencyPolicy": "Deny"}, "InvalidDefinition", "must be one of Allow, Forbid, Replace"),
        ({"stop": {"afterTime": "soon"}}, "InvalidSchedule", "stop.afterTime must be a time"),
        ({"stop": 5}, "InvalidDefinition", "stop must be an object"),
    ],
)
def test_a_bad_schedule_is_reported_and_the_rest_is_used(change: dict[str, Any], reason: str | None, says: str) -> None:
    definitions = Definitions()
    definitions.add({"schedules": [body(uid="before"), body(**change), body(uid="after")]})
    if reason is None:
        assert definitions.errors == []
        return
    assert set(definitions.schedules) >= {"before", "after"}
    (error,) = definitions.errors
    assert (error.kind, error.reason) == ("Schedule", reason)
    assert says in error.message
    assert error.name == "nightly"


@pytest.mark.parametrize("shard", [None, [], "x", {"schedules": 5}, {"schedules": [None, 5, []]}])
def test_nonsense_never_raises(shard: object) -> None:
    definitions = Definitions()
    definitions.add(shard)
    assert definitions.schedules == {}


def test_only_what_matters_changes_the_fingerprint() -> None:
    plain = read_schedule(body()).fingerprint
    for harmless in ({"generation": 3}, {"suspend": True}, {"manualTrigger": "x"}, {"failedRunsHistoryLimit": 1}):
        assert read_schedule(body(**harmless)).fingerprint == plain
    for edit in ({"queue": "other"}, {"task": {"name": "shop.other"}}, {"jitterSeconds": 5}):
        assert read_schedule(body(**edit)).fingerprint != plain


def test_the_message_of_a_run() -> None:
    entry = read_schedule(body(task={"name": "t", "args": [1], "kwargs": {"a": None}}))
    ids = slot_ids("u1", datetime(2026, 1, 1, tzinfo=UTC))
    call = entry.build(ids, entry.uid)
    message = messages.decode(call.payload)
    assert call.queue == "mail"
    assert message.headers == {"task": "t", "id": ids.task, "schedule": "u1", "run": ids.run}
    assert message.body == b'[[1],{"a":null}]'
    assert message.priority == messages.DEFAULT_PRIORITY


def test_run_ids_are_those_of_the_contract() -> None:
    """sha1 of the uid and the scheduled second; of the uid, "manual" and the token."""
    ids = slot_ids("u1", datetime.fromtimestamp(1_800_000_000, UTC))
    assert ids.run == "c003403e84b2b66f097eff873249a677dd1ccf97"
    assert ids.task == "c003403e-84b2-b66f-097e-ff873249a677"
    assert run_ids("u1", "manual", "x").run == "22187dca7baa7bf86ed26036d8891e517faa1c56"
    half = slot_ids("u1", datetime.fromtimestamp(1_800_000_000.5, UTC))
    assert half.run != ids.run, "intervals below a second have runs of their own"


def test_queue_settings_in_the_words_of_the_broker() -> None:
    given = {
        "name": "mail",
        "settings": {
            "intake": "Reject",
            "dispatch": "Held",
            "maxDeliveries": 5,
            "maxConcurrency": 9,
            "maxLength": 1000,
            "overflowPolicy": "DropOldest",
            "rateLimit": {"tasks": 100, "periodSeconds": 60, "burst": 5},
            "taskDefaults": {"timeLimitSeconds": 30, "maxRetries": 0, "resultTTLSeconds": 60},
            "deadLetter": {"policy": "Forward", "queue": "graveyard", "retentionSeconds": 60},
        },
    }
    assert read_queue(given).settings == {
        "intake": "Reject",
        "dispatch": "Held",
        "max_deliveries": 5,
        "max_concurrency": 9,
        "max_length": 1000,
        "overflow": "DropOldest",
        "rate_limit": RateLimit(100, 60, 5),
        "dead_policy": "Forward",
        "dead_forward": "graveyard",
        "dead_retention": 60,
        "task_defaults": {"time_limit": 30, "max_retries": 0, "result_ttl": 60},
    }
    assert read_queue({"name": "mail"}).settings == {
        "intake": "Accept",
        "dispatch": "Enabled",
        "max_deliveries": None,
        "max_concurrency": None,
        "max_length": None,
        "overflow": None,
        "rate_limit": None,
        "dead_policy": "Keep",
        "dead_forward": None,
        "dead_retention": None,
        "task_defaults": None,
    }


def test_pools() -> None:
    pool = read_pool({"name": "p", "uid": "x", "queues": ["a", "b"], "slots": 4})
    assert (pool.name, pool.queues, pool.slots) == ("p", ("a", "b"), 4)


def test_an_entry_that_nobody_foresaw_hurts_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(uid: str, seconds: int) -> timedelta:
        if uid == "u1":
            raise OverflowError("date value out of range")
        return timedelta(0)

    monkeypatch.setattr("umbel.beat.definitions.jitter_of", broken)
    definitions = Definitions()
    definitions.add({"schedules": [body(), body(uid="u2", name="other")]})
    assert list(definitions.schedules) == ["u2"]
    assert [(error.uid, error.reason) for error in definitions.errors] == [("u1", "InvalidDefinition")]
    assert "OverflowError('date value out of range')" in definitions.errors[0].message
