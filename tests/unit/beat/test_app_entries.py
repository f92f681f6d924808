"""Entries of ``beat_schedule``."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from umbel import message as messages
from umbel.beat.appsource import entries_of, trigger_of
from umbel.beat.entry import slot_ids
from umbel.errors import ImproperlyConfigured
from umbel.message import Message
from umbel.schedules import Every, crontab

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)


def make(name: str, args: Any, kwargs: Any, options: Mapping[str, Any]) -> tuple[str, Message, float]:
    headers = {"id": options.get("task_id", "none"), "task": name, "reply_to": "inbox"}
    return options.get("queue", "default"), Message(headers, b"[]"), options.get("countdown", 0.0)


def test_numbers_timedeltas_crontabs_and_expressions() -> None:
    assert trigger_of(30.0, "UTC") == Every(30)
    assert trigger_of(timedelta(minutes=5), "UTC", relative=True) == Every(300, relative=True, zone="UTC")
    assert trigger_of(crontab(hour=3, minute=0), "Europe/Berlin") == crontab(0, 3, zone="Europe/Berlin")
    assert str(trigger_of("H 3 * * *", "UTC")) == "H 3 * * * (UTC)"


@pytest.mark.parametrize("schedule", [True, None, object(), [5]])
def test_anything_else_is_refused(schedule: object) -> None:
    with pytest.raises(ValueError, match="a number of seconds, a timedelta or a crontab"):
        trigger_of(schedule, "UTC")


def test_a_schedule_of_ones_own_needs_next_after_only() -> None:
    class Noons:
        def next_after(self, t: datetime) -> datetime:
            return NOON

    own = Noons()
    assert trigger_of(own, "UTC") is own


def test_an_entry_keeps_its_uid_and_each_run_its_ids() -> None:
    schedule = {"a": {"task": "t", "schedule": 30, "options": {"queue": "fast", "countdown": 5.0}}}
    (first,) = entries_of("shop", schedule, "UTC", make).values()
    (second,) = entries_of("shop", schedule, "UTC", make).values()
    assert first.uid == second.uid
    ids = slot_ids(first.uid, NOON)
    call = first.build(ids, first.uid)
    message = messages.decode(call.payload)
    assert (call.queue, call.delay) == ("fast", 5.0)
    assert (message.headers["id"], message.headers["run"], message.headers["schedule"]) == (
        ids.task,
        ids.run,
        first.uid,
    )
    assert "reply_to" not in message.headers, "nobody waits for it"


def test_two_apps_do_not_share_entries() -> None:
    schedule = {"a": {"task": "t", "schedule": 30}}
    assert not set(entries_of("one", schedule, "UTC", make)) & set(entries_of("two", schedule, "UTC", make))


def test_an_edit_of_the_time_is_an_edit_and_one_of_the_arguments_is_none() -> None:
    def fingerprint(**entry: Any) -> str:
        (found,) = entries_of("shop", {"a": {"task": "t", **entry}}, "UTC", make).values()
        return found.fingerprint

    assert fingerprint(schedule=30) == fingerprint(schedule=30.0, args=(1,))
    assert fingerprint(schedule=30) != fingerprint(schedule=31)
    assert fingerprint(schedule=crontab(minute=1)) != fingerprint(schedule=crontab(minute=2))


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        (5, "must be a dict with task and schedule"),
        ({"schedule": 5}, "task must be the name"),
        ({"task": "t"}, "schedule is missing"),
        ({"task": "t", "schedule": -1}, "positive number"),
        ({"task": "t", "schedule": 5, "arguments": []}, "has no field arguments"),
    ],
)
def test_a_wrong_entry_is_named(entry: Any, says: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=r"beat_schedule\['bad'\]") as caught:
        entries_of("shop", {"good": {"task": "t", "schedule": 5}, "bad": entry}, "UTC", make)
    assert says in str(caught.value)


def test_the_deadline_is_for_crontabs_only() -> None:
    schedule = {
        "cron": {"task": "t", "schedule": crontab(minute=0)},
        "text": {"task": "t", "schedule": "0 * * * *"},
        "often": {"task": "t", "schedule": 60},
    }
    found = {entry.name: entry.rules for entry in entries_of("shop", schedule, "UTC", make, 90.0).values()}
    assert {name: rules.starting_deadline for name, rules in found.items()} == {
        "cron": timedelta(seconds=90),
        "text": timedelta(seconds=90),
        "often": None,
    }
    assert {rules.catch_up for rules in found.values()} == {"Latest"}
    assert all(e.rules.starting_deadline is None for e in entries_of("shop", schedule, "UTC", make).values())
