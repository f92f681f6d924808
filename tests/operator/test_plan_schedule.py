"""The planner of Schedules: conditions by a table of states, and what beat tells."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.operator.resources import (
    NOW,
    broker,
    condition,
    cron,
    message,
    queue,
    ready_broker,
    reasons,
    rendered,
    sample,
    schedule,
    stamp,
    state,
)

from umbel_operator.plan.broker import plan_broker
from umbel_operator.plan.model import Apply, State
from umbel_operator.plan.sample import Sample
from umbel_operator.plan.schedule import plan_schedule, schedule_text

RUN = {
    "lastScheduleTime": "2026-03-01T03:00:00Z",
    "lastEnqueueTime": "2026-03-01T03:00:00.250Z",
    "lastTaskID": "t-1",
    "nextScheduleTime": "2026-03-02T03:00:00+00:00",
    "lastSuccessfulTime": None,
    "activeRuns": 1,
    "missedRuns": 2,
    "consecutiveFailures": 0,
    "lastHandledTrigger": "now-1",
    "stopped": None,
}


def refusal(reason: str) -> list[dict[str, str]]:
    return [{"kind": "Schedule", "name": "nightly", "uid": "uid-nightly", "reason": reason, "message": "no"}]


def loaded(made: Any = None, mail: Any = None, **more: Any) -> State[Any]:
    """Return the state of a Schedule that beat works with."""
    made = made or schedule()
    changes: dict[str, Any] = {"sample": sample(100), "rendered": rendered(made, serial=100), **more}
    return state(made, mail or queue(), ready_broker(), **changes)


def ran(**changes: Any) -> Sample:
    return sample(100, schedules={"uid-nightly": {**RUN, **changes}})


def wearing(*conditions: dict[str, Any], **spec: Any) -> Any:
    return schedule(status={"conditions": list(conditions)}, **spec)


CASES: dict[str, tuple[State[Any], dict[str, str | None]]] = {
    "scheduled": (
        loaded(),
        {"Ready": "Scheduled", "Accepted": "Accepted", "Loaded": "Loaded", "Stopped": None},
    ),
    "suspended": (loaded(schedule(suspend=True)), {"Ready": "Suspended", "Loaded": "Loaded"}),
    "never fires": (loaded(schedule(trigger=cron("0 0 31 2 *"))), {"Ready": "InvalidSchedule", "Loaded": "Pending"}),
    "does not parse": (loaded(schedule(trigger=cron("61 * * * *"))), {"Ready": "InvalidSchedule"}),
    "no such zone": (loaded(schedule(trigger=cron("0 3 * * *", "Mars/Olympus"))), {"Ready": "UnknownTimeZone"}),
    "payload too large": (
        loaded(schedule(task={"name": "t", "kwargs": {"text": "ä" * 33_000}})),
        {"Ready": "PayloadTooLarge"},
    ),
    "no queue": (state(schedule(), ready_broker()), {"Ready": "QueueNotFound", "Loaded": "Pending"}),
    "queue refuses": (loaded(mail=queue(intake="Reject")), {"Ready": "QueueClosed"}),
    "queue goes": (
        loaded(mail=queue(meta={"deletionTimestamp": stamp(NOW)})),
        {"Ready": "QueueClosed"},
    ),
    "no broker": (state(schedule(), queue()), {"Ready": "BeatNotReady"}),
    "broker not looked at": (state(schedule(), queue(), broker()), {"Ready": "BeatNotReady"}),
    "broker not ready": (
        state(schedule(), queue(), broker(status={"conditions": [condition("Ready", "False", "BeatNotReady")]})),
        {"Ready": "BeatNotReady"},
    ),
    "not loaded yet": (loaded(sample=sample(99)), {"Ready": "BeatNotReady", "Loaded": "Pending"}),
    "loaded before, and another edit is on its way": (
        loaded(wearing(condition("Loaded", "True", "Loaded")), sample=sample(99)),
        {"Ready": "Scheduled", "Loaded": "Loaded"},
    ),
    "loaded before, beat silent": (
        loaded(wearing(condition("Loaded", "True", "Loaded")), sample=Sample(NOW, failed_polls=3)),
        {"Ready": "Scheduled", "Loaded": "Loaded"},
    ),
    "beat knows no such zone": (
        loaded(sample=sample(100, loadErrors=refusal("UnknownTimeZone"))),
        {"Ready": "UnknownTimeZone", "Loaded": "LoadFailed"},
    ),
    "beat refuses for a reason of its own": (
        loaded(sample=sample(100, loadErrors=refusal("Strange"))),
        {"Ready": "InvalidSchedule", "Loaded": "LoadFailed"},
    ),
    "has ended": (
        loaded(schedule(stop={"maxRuns": 3}), sample=ran(stopped="maxRuns 3 reached")),
        {"Stopped": "StopReached", "Ready": "Scheduled"},
    ),
    "will end": (loaded(schedule(stop={"maxRuns": 3}), sample=ran()), {"Stopped": "NotReached"}),
    "had ended, beat silent": (
        loaded(
            wearing(condition("Stopped", "True", "StopReached", "nothing more is sent"), stop={"maxRuns": 3}),
            sample=None,
        ),
        {"Stopped": "StopReached"},
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_conditions(case: str) -> None:
    given, expected = CASES[case]
    found = reasons(plan_schedule(given).status)
    assert {type: found.get(type) for type in expected} == expected


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (loaded(schedule(trigger=cron("0 0 31 2 *"))), "'0 0 31 2 *' can never fire"),
        (loaded(schedule(trigger=cron("0 3 * * *", "Europe/Berlim"))), "did you mean Europe/Berlin"),
        (loaded(schedule(task={"name": "t", "args": ["x" * 66_000]})), "at most 65536 are allowed: store the data"),
        (state(schedule(), ready_broker()), 'there is no TaskQueue "mail" in namespace "shop": create it or correct'),
        (state(schedule(), queue()), "kind: Broker"),
        (loaded(mail=queue(intake="Reject")), 'TaskQueue "mail" has spec.intake Reject'),
    ],
    ids=["never", "zone", "payload", "queue", "broker", "closed"],
)
def test_messages_say_what_to_do(given: State[Any], words: str) -> None:
    assert words in message(plan_schedule(given).status, "Ready")


def test_status_is_what_beat_tells() -> None:
    status = dict(
        plan_schedule(loaded(schedule(trigger=cron("0 3 * * *", "Europe/Berlin")), sample=ran())).status or {}
    )
    del status["conditions"]
    assert status == {
        "observedGeneration": 1,
        "scheduleText": "0 3 * * * Europe/Berlin",
        "lastScheduleTime": "2026-03-01T03:00:00Z",
        "lastEnqueueTime": "2026-03-01T03:00:00Z",
        "lastTaskID": "t-1",
        "nextScheduleTime": "2026-03-02T03:00:00Z",
        "activeRuns": 1,
        "missedRuns": 2,
        "consecutiveFailures": 0,
        "lastHandledTrigger": "now-1",
    }


@pytest.mark.parametrize(
    "answer",
    [None, Sample(NOW, failed_polls=3), sample(100, schedules={})],
    ids=["none", "stale", "without this Schedule"],
)
def test_what_was_known_stays_while_beat_is_silent(answer: Sample | None) -> None:
    before = {"lastScheduleTime": "2026-02-01T03:00:00Z", "missedRuns": 4, "lastTaskID": "t-0"}
    status = plan_schedule(loaded(schedule(status=before), sample=answer)).status or {}
    assert {key: status.get(key) for key in before} == before


def test_nonsense_from_beat_is_left_out() -> None:
    nonsense = ran(nextScheduleTime="soon", lastEnqueueTime=5, activeRuns="many", missedRuns=-1, lastTaskID="x" * 100)
    status = plan_schedule(loaded(sample=nonsense)).status or {}
    assert status["lastTaskID"] == "x" * 64
    assert not {"nextScheduleTime", "lastEnqueueTime", "activeRuns", "missedRuns"} & status.keys()


def test_a_suspended_schedule_has_no_next_time() -> None:
    status = plan_schedule(loaded(schedule(suspend=True), sample=ran())).status or {}
    assert "nextScheduleTime" not in status


@pytest.mark.parametrize(
    ("trigger", "text"),
    [
        (cron("@daily"), "@daily Etc/UTC"),
        ({"type": "Interval", "interval": {"everySeconds": 30}}, "every 30 s"),
        ({"type": "Interval", "interval": {"everySeconds": 5400}}, "every 90 min"),
        ({"type": "Interval", "interval": {"everySeconds": 7200}}, "every 2 h"),
        ({"type": "Interval", "interval": {"everySeconds": 86_400}}, "every 1 d"),
        ({"type": "Once", "once": {"time": "2030-01-01T01:00:00+01:00"}}, "once at 2030-01-01T00:00:00Z"),
    ],
    ids=["cron", "seconds", "minutes", "hours", "days", "once"],
)
def test_the_trigger_in_words(trigger: dict[str, Any], text: str) -> None:
    assert schedule_text(schedule(trigger=trigger)) == text


@pytest.mark.parametrize(
    ("before", "told"),
    [({"missedRuns": 2}, []), ({"missedRuns": 1}, ["1 runs were missed, 2 in all"]), ({}, [])],
    ids=["as before", "one more", "nothing known before"],
)
def test_missed_runs_are_told_once(before: dict[str, Any], told: list[str]) -> None:
    plan = plan_schedule(loaded(schedule(status=before), sample=ran()))
    assert [event.message for event in plan.events if event.reason == "ScheduleMissed"] == told


@pytest.mark.parametrize(
    ("before", "told"),
    [
        ({"skippedRuns": 5}, []),
        ({"skippedRuns": 3}, ["2 runs were left out since another one was queued or running, 5 in all"]),
        ({}, []),
    ],
    ids=["as before", "two more", "nothing known before"],
)
def test_skipped_runs_are_told_once(before: dict[str, Any], told: list[str]) -> None:
    plan = plan_schedule(loaded(schedule(status=before), sample=ran(skippedRuns=5)))
    assert plan.status is not None
    assert plan.status["skippedRuns"] == 5
    events = [event for event in plan.events if event.reason == "ScheduleSkippedForbid"]
    assert [event.message for event in events] == told


def test_the_end_is_told_once() -> None:
    given = loaded(schedule(stop={"maxRuns": 3}), sample=ran(stopped="maxRuns 3 reached"))
    first = plan_schedule(given)
    assert [(e.type, e.reason, e.message) for e in first.events] == [
        ("Normal", "ScheduleStopped", "nothing more is sent: maxRuns 3 reached")
    ]
    made = schedule(stop={"maxRuns": 3}, status=dict(first.status or {}))
    assert plan_schedule(loaded(made, sample=ran(stopped="maxRuns 3 reached"))).events == ()


def test_a_schedule_owns_nothing() -> None:
    assert plan_schedule(loaded()).actions == ()
    going = plan_schedule(loaded(schedule(meta={"deletionTimestamp": stamp(NOW)})))
    assert (going.actions, going.status) == ((), None)


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        (loaded(), None),
        (loaded(sample=sample(99)), 5.0),
        (loaded(schedule(trigger=cron("0 0 31 2 *"))), None),
        (state(schedule(), queue(), broker()), None),
        (state(schedule(), queue()), None),
    ],
    ids=["loaded", "pending", "hopeless", "broker not ready", "no broker"],
)
def test_when_to_look_again(given: State[Any], seconds: float | None) -> None:
    assert plan_schedule(given).requeue_after == seconds


def nested(levels: int) -> Any:
    value: Any = "x"
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize("where", ["args", "kwargs"])
def test_arguments_that_are_nested_without_end_hurt_no_other_schedule(where: str) -> None:
    def made(levels: int) -> Any:
        inner = nested(levels)
        return schedule("odd", task={"name": "t", where: [inner] if where == "args" else {"x": inner}})

    assert reasons(plan_schedule(state(made(63), queue(), ready_broker())).status)["Ready"] == "BeatNotReady"
    assert reasons(plan_schedule(state(made(64), queue(), ready_broker())).status)["Ready"] == "PayloadTooLarge"
    actions = plan_broker(state(broker(), made(400), schedule("good"), queue())).actions
    shard = next(a.manifest for a in actions if isinstance(a, Apply) and a.ref.name.endswith("config-000"))
    assert [entry["name"] for entry in json.loads(shard["data"]["shard-000.json"])["schedules"]] == ["good"]


@pytest.mark.parametrize(
    "trigger",
    [
        {"type": "Once", "once": {"time": "9999-12-31T23:59:59-05:00"}},
        {"type": "Once", "once": {"time": "0001-01-01T00:00:00+14:00"}},
        {"type": "Interval", "interval": {"everySeconds": 60, "anchorTime": "0001-01-01T00:00:00+14:00"}},
    ],
)
def test_a_moment_outside_of_the_calendar_hurts_no_other_schedule(trigger: dict[str, Any]) -> None:
    odd, good = schedule("odd", trigger=trigger), schedule("good")
    plan = plan_schedule(state(odd, good, queue(), ready_broker()))
    assert reasons(plan.status)["Ready"] == "InvalidSchedule"
    actions = plan_broker(state(broker(), odd, good, queue())).actions
    shard = next(a.manifest for a in actions if isinstance(a, Apply) and a.ref.name.endswith("config-000"))
    assert [entry["name"] for entry in json.loads(shard["data"]["shard-000.json"])["schedules"]] == ["good"]
