"""``umbel schedules export``: what it writes is a Schedule, and fires when the code's entry does."""

from __future__ import annotations

import itertools
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st

from umbel.beat.export import NotExpressible, expression_of, resource_name
from umbel.cli.main import umbel
from umbel.schedules import Cron, build_trigger, crontab
from umbel_operator.api.schedule import Schedule, ScheduleSpec

APP = """
from datetime import timedelta
from umbel import Umbel, crontab

app = Umbel("shop", broker="memory://export", timezone="Europe/Berlin")

@app.task
def report(day="today", *more, **named): ...

class Noons:
    def next_after(self, t): return None

ENTRIES = {
    "Nightly report!": {
        "task": "shop.report", "schedule": crontab(minute=30, hour=2), "args": ("a: b", 1.5),
        "kwargs": {"named": {"deep": [True, None]}},
        "options": {"queue": "Mail_1", "priority": 7, "expires": 600, "time_limit": 60},
    },
    "often": {"task": report, "schedule": 90.0},
    "hourly": {"task": "shop.report", "schedule": timedelta(hours=1), "relative": True},
    "text": {"task": "shop.report", "schedule": "H 3 * * MON-FRI"},
    "both-days": {"task": "shop.report", "schedule": crontab(day_of_month=13, day_of_week="fri")},
    "split": {"task": "shop.report", "schedule": 0.5},
    "own": {"task": "shop.report", "schedule": Noons()},
    "grouped": {"task": "shop.report", "schedule": 60, "options": {"group": "acme"}},
}
"""


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run the command on an app with some of the entries."""
    numbers = itertools.count()

    def runs(*names: str, arguments: tuple[str, ...] = ()) -> Result:
        module = f"exported_{tmp_path.name.replace('-', '_')}_{next(numbers)}"
        chosen = f"{{name: ENTRIES[name] for name in {names!r}}}"
        (tmp_path / f"{module}.py").write_text(f"{APP}\napp.conf.beat_schedule = {chosen}\n")
        monkeypatch.syspath_prepend(str(tmp_path))
        return CliRunner().invoke(umbel, ["-A", module, "schedules", "export", *arguments])

    return runs


def read(result: Result) -> list[dict[str, Any]]:
    assert result.exit_code == 0, result.output
    return list(yaml.safe_load_all(result.stdout))


def test_an_entry_becomes_a_schedule(run: Any) -> None:
    (found,) = read(run("Nightly report!", arguments=("-n", "shop")))
    assert found["metadata"] == {"name": "nightly-report", "namespace": "shop"}
    assert found["spec"] == {
        "queueRef": {"name": "mail-1"},
        "task": {
            "name": "shop.report",
            "args": ["a: b", 1.5],
            "kwargs": {"named": {"deep": [True, None]}},
            "priority": 7,
            "timeLimitSeconds": 60,
            "expiresSeconds": 600,
        },
        "trigger": {"type": "Cron", "cron": {"expression": "30 2 * * *", "timeZone": "Europe/Berlin"}},
    }
    ScheduleSpec.model_validate(found["spec"])


def test_the_deadline_of_crontabs_goes_along(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UMBEL_BEAT_CRON_STARTING_DEADLINE", "90")
    cron, often = read(run("Nightly report!", "often"))
    assert cron["spec"]["startingDeadlineSeconds"] == 90
    assert "startingDeadlineSeconds" not in often["spec"]
    ScheduleSpec.model_validate(cron["spec"])


def test_what_is_different_is_said_in_front_of_it(run: Any) -> None:
    text = run("Nightly report!", "often", "text", "grouped").stdout
    for note in (
        "TaskQueue mail-1 with queueName Mail_1",
        "from the Unix epoch",
        "from the Schedule's uid",
        "no field for group",
    ):
        assert note in text
    found = {entry["metadata"]["name"]: entry["spec"]["trigger"] for entry in yaml.safe_load_all(text)}
    assert found["often"] == {"type": "Interval", "interval": {"everySeconds": 90}}
    assert found["text"]["cron"] == {"expression": "H 3 * * MON-FRI", "timeZone": "Europe/Berlin"}


@pytest.mark.parametrize(
    ("name", "why"),
    [("both-days", "both must match"), ("split", "whole seconds"), ("own", "Noons, a class of your own")],
)
def test_what_no_schedule_can_say_is_named_and_the_rest_written(run: Any, name: str, why: str) -> None:
    result = run(name, "hourly")
    assert result.exit_code == 1
    assert f"Not written: {name!r}" in result.stderr
    assert why in result.stderr
    assert [entry["metadata"]["name"] for entry in yaml.safe_load_all(result.stdout)] == ["hourly"]


def test_json_is_a_list_that_kubectl_takes(run: Any) -> None:
    result = run("often", "hourly", arguments=("--json",))
    listed = json.loads(result.stdout)
    assert (listed["kind"], [item["metadata"]["name"] for item in listed["items"]]) == ("List", ["often", "hourly"])


def test_an_app_without_a_schedule_is_told(run: Any) -> None:
    result = run()
    assert result.exit_code == 2
    assert "has no schedule" in result.stderr


def test_names_are_made_fit_and_kept_apart() -> None:
    taken: set[str] = set()
    assert [resource_name(name, taken) for name in ("A b", "a-b", "!", "x" * 99)] == [
        "a-b",
        "a-b-2",
        "schedule",
        "x" * 63,
    ]
    assert resource_name("x" * 70, taken) == "x" * 61 + "-2"


fields = st.lists(st.integers(0, 59), min_size=1, max_size=60).map(sorted).map(tuple)


@settings(max_examples=60, deadline=None)
@given(
    fields, st.sets(st.integers(0, 23), min_size=1), st.sets(st.integers(1, 12), min_size=1), st.booleans(), st.data()
)
def test_the_expression_fires_when_the_crontab_does(
    minutes: tuple[int, ...], hours: set[int], months: set[int], by_week: bool, data: st.DataObject
) -> None:
    days = data.draw(st.sets(st.integers(0, 6) if by_week else st.integers(1, 28), min_size=1))
    given_days = {"day_of_week": days} if by_week else {"day_of_month": days}
    schedule = crontab(minute=minutes, hour=hours, month_of_year=months, **given_days, zone="Europe/Berlin")
    try:
        cron = Cron(expression_of(schedule), "Europe/Berlin")
    except NotExpressible:
        with pytest.raises(NotExpressible, match="at most 128"):
            expression_of(schedule)
        return
    t = datetime(2026, 3, 20, tzinfo=UTC)
    for _ in range(40):
        following = schedule.next_after(t)
        assert cron.next_after(t) == following
        assert following is not None
        t = max(following, t + timedelta(hours=7))


def test_a_whole_resource_is_one_that_the_operator_reads(run: Any) -> None:
    (found,) = read(run("hourly"))
    found["metadata"] |= {"namespace": "shop", "uid": "u", "generation": 1}
    spec = Schedule.model_validate(found).spec
    assert build_trigger(spec.trigger.to_json(), "u").next_after(datetime(2026, 6, 1, 12, 30, tzinfo=UTC)) == datetime(
        2026, 6, 1, 13, tzinfo=UTC
    )
