"""From spec.trigger to a trigger, and what the errors say."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from umbel.schedules import Cron, Interval, InvalidSchedule, Once, UnknownTimeZone, build_trigger


def test_cron_in_its_zone() -> None:
    spec = {"type": "Cron", "cron": {"expression": "0 3 * * *", "timeZone": "Europe/Berlin"}}
    trigger = build_trigger(spec, "uid")
    assert isinstance(trigger, Cron)
    assert trigger.next_after(datetime(2026, 1, 1, tzinfo=UTC)) == datetime(2026, 1, 1, 2, tzinfo=UTC)


def test_the_default_zone_is_utc() -> None:
    trigger = build_trigger({"type": "Cron", "cron": {"expression": "@daily"}}, "uid")
    assert str(trigger) == "@daily (Etc/UTC)"


def test_h_is_hashed_from_the_uid() -> None:
    spec = {"type": "Cron", "cron": {"expression": "H H * * *"}}
    start = datetime(2026, 1, 1, tzinfo=UTC)
    first = {build_trigger(spec, f"uid-{n}").next_after(start) for n in range(20)}
    assert len(first) > 15


def test_interval_with_anchor() -> None:
    spec = {"type": "Interval", "interval": {"everySeconds": 60, "anchorTime": "2026-01-01T00:00:30Z"}}
    trigger = build_trigger(spec, "uid")
    assert isinstance(trigger, Interval)
    assert trigger.next_after(datetime(2026, 5, 5, tzinfo=UTC)) == datetime(2026, 5, 5, 0, 0, 30, tzinfo=UTC)


def test_once() -> None:
    trigger = build_trigger({"type": "Once", "once": {"time": "2026-01-01T01:00:00+01:00"}}, "uid")
    assert isinstance(trigger, Once)
    assert trigger.time == datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        (None, "must be an object"),
        ({}, "must be Cron, Interval or Once, not None"),
        ({"type": "cron"}, "must be Cron, Interval or Once, not 'cron'"),
        ({"type": "Cron"}, "needs the object trigger.cron"),
        ({"type": "Cron", "cron": {}}, "trigger.cron.expression must be"),
        ({"type": "Cron", "cron": {"expression": "0 0 31 2 *"}}, "can never fire"),
        ({"type": "Interval", "interval": {}}, "whole number from 1 to 31536000, not None"),
        ({"type": "Interval", "interval": {"everySeconds": 0}}, "not 0"),
        ({"type": "Interval", "interval": {"everySeconds": 1.5}}, "not 1.5"),
        ({"type": "Interval", "interval": {"everySeconds": True}}, "not True"),
        ({"type": "Interval", "interval": {"everySeconds": 5, "anchorTime": "noon"}}, "anchorTime must be a time"),
        ({"type": "Once", "once": {}}, "trigger.once.time must be a time such as 2026-01-01T00:00:00Z, not None"),
        ({"type": "Once", "once": {"time": "2026-01-01T00:00:00"}}, "must be a time such as"),
    ],
)
def test_an_unusable_trigger_is_refused_with_what_to_do(spec: Any, says: str) -> None:
    with pytest.raises(InvalidSchedule) as caught:
        build_trigger(spec, "uid")
    assert says in str(caught.value)


@pytest.mark.parametrize("zone", ["Mars/Olympus", 5, ["Europe/Berlin"]])
def test_an_unknown_zone_is_told_apart(zone: Any) -> None:
    with pytest.raises(UnknownTimeZone):
        build_trigger({"type": "Cron", "cron": {"expression": "@daily", "timeZone": zone}}, "uid")


@pytest.mark.parametrize(
    "spec",
    [
        {"type": "Once", "once": {"time": "9999-12-31T23:59:59Z"}},
        {"type": "Once", "once": {"time": "9999-12-31T23:59:59-05:00"}},
        {"type": "Once", "once": {"time": "0001-01-01T00:00:00Z"}},
        {"type": "Interval", "interval": {"everySeconds": 60, "anchorTime": "0001-01-01T00:00:00+14:00"}},
    ],
)
def test_a_moment_at_the_end_of_the_calendar_is_refused(spec: dict[str, Any]) -> None:
    with pytest.raises(InvalidSchedule, match="must lie in the years 2 to 9998, not '"):
        build_trigger(spec, "uid")
