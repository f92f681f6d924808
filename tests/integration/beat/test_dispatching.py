"""What is enqueued when: catching up, clock jumps, edits, two leaders, lost mirrors. On a clock that the test moves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from tests.integration.beat.inprocess import Bench, schedule

from umbel.beat.dispatcher import Dispatcher
from umbel.errors import OperationalError

LATEST = {"policy": "Latest"}


def cron(expression: str) -> dict[str, object]:
    return {"type": "Cron", "cron": {"expression": expression}}


def test_a_new_schedule_begins_with_the_next_slot(bench: Bench) -> None:
    beat = bench.beat(schedule("s1", every=10))
    beat.tick()
    bench.run(beat, 35)
    assert bench.slots() == [10, 20, 30]


def test_it_sleeps_until_the_next_slot_and_a_second_at_the_most(bench: Bench) -> None:
    beat = bench.beat(schedule("s1", every=10))
    assert beat.tick() == 1.0
    bench.clock.advance(9.75)
    assert beat.tick() == pytest.approx(0.25)


@pytest.mark.parametrize(
    ("catch_up", "expected"),
    [
        ({"policy": "Skip"}, []),
        ({"policy": "Latest"}, [3600]),
        ({"policy": "All", "maxRuns": 3}, [2400, 3000, 3600]),
    ],
)
def test_slots_that_passed_without_beat(bench: Bench, catch_up: dict[str, object], expected: list[int]) -> None:
    body = schedule("s1", every=600, catchUp=catch_up)
    bench.beat(body).tick()
    bench.clock.advance(3600 + 100)
    bench.beat(body, ttl=5.0).lease  # noqa: B018 - a beat that never ticks changes nothing
    bench.client.delete(f"{bench.prefix}:{{beat:config:test}}:lock")
    bench.beat(body).tick()
    assert bench.slots() == expected
    assert bench.state().get("missed", "0") == str(6 - len(expected))


def test_a_deadline_drops_what_is_too_late(bench: Bench) -> None:
    body = schedule("s1", every=600, catchUp={"policy": "All", "maxRuns": 100}, startingDeadlineSeconds=700)
    beat = bench.beat(body)
    beat.tick()
    bench.clock.advance(3600 + 10)
    beat.tick()
    assert bench.slots() == [3000, 3600]


def test_a_clock_set_back_repeats_nothing_and_goes_on_later(bench: Bench) -> None:
    beat = bench.beat(schedule("s1", every=10))
    beat.tick()
    bench.run(beat, 30)
    bench.clock.jump(-25)
    bench.run(beat, 25)
    assert bench.slots() == [10, 20, 30]
    bench.run(beat, 20)
    assert bench.slots() == [10, 20, 30, 40, 50]


def test_a_clock_set_forward_is_caught_up_by_the_policy(bench: Bench) -> None:
    beat = bench.beat(schedule("s1", every=10, catchUp=LATEST))
    beat.tick()
    bench.run(beat, 10)
    bench.clock.jump(1000)
    beat.tick()
    bench.run(beat, 10)
    assert bench.slots() == [10, 1010, 1020]


def test_two_beats_that_both_believe_to_lead_enqueue_each_slot_once(bench: Bench) -> None:
    first, second = bench.beat(schedule("s1", every=10)), bench.beat(schedule("s1", every=10))
    first.tick()
    bench.run(first, 20)
    bench.client.delete(f"{bench.prefix}:{{beat:config:test}}:lock")  # Redis has lost the lock, the first does not know
    second.tick()
    for _ in range(30):
        bench.clock.advance(1)
        first.lease._renewed = bench.clock.monotonic()  # it does not even look
        first.tick()
        second.tick()
    assert bench.slots() == [10, 20, 30, 40, 50]
    assert first.lease.epoch == 0
    assert second.leading


def test_a_leader_that_was_replaced_cannot_enqueue_what_its_successor_skipped(bench: Bench) -> None:
    old = bench.beat(schedule("s1", every=10, catchUp=LATEST))
    old.tick()
    bench.clock.advance(25)
    bench.client.delete(f"{bench.prefix}:{{beat:config:test}}:lock")
    new = bench.beat(schedule("s1", every=10, catchUp=LATEST))
    new.tick()
    assert bench.slots() == [20]
    entry = new.entries["s1"]
    old.lease._renewed = bench.clock.monotonic()
    from datetime import UTC, datetime

    from tests.integration.beat.inprocess import NOON

    from umbel.beat.runs import LeadLost

    with pytest.raises(LeadLost):
        old._runs.enqueue_slots([(entry, datetime.fromtimestamp(NOON + 10, UTC), 86400)])
    assert bench.slots() == [20]
    assert bench.store.active("s1").keys() == {bench.mail.runs()[0]}, "the run that was refused is not noted"


def test_a_leader_whose_epochs_were_lost_gets_ahead_of_the_queues(bench: Bench) -> None:
    beat = bench.beat(schedule("s1", every=10))
    beat.tick()
    bench.run(beat, 10)
    bench.client.hset(f"{bench.prefix}:{{mail}}:meta", "epoch:config:test", 57)
    bench.run(beat, 12)
    assert bench.slots() == [10, 20]
    assert beat.lease.epoch == 58


def test_a_death_between_enqueueing_and_the_mirror_repeats_nothing(bench: Bench) -> None:
    first = bench.beat(schedule("s1", every=10))
    first.tick()
    before = bench.client.dump(f"{bench.prefix}:{{s1}}:sched")
    assert before is not None
    bench.run(first, 10)
    assert bench.slots() == [10]
    bench.client.restore(f"{bench.prefix}:{{s1}}:sched", 60_000, before, replace=True)  # the mirror was not written
    bench.client.delete(f"{bench.prefix}:{{beat:config:test}}:lock")
    second = bench.beat(schedule("s1", every=10))
    second.tick()
    bench.run(second, 10)
    assert bench.slots() == [10, 20]
    assert bench.state()["last"] == str(1000 * int(bench.clock.time()))


def test_a_death_between_noting_and_enqueueing_loses_nothing(bench: Bench) -> None:
    first = bench.beat(schedule("s1", every=10, concurrencyPolicy="Forbid"))
    first.tick()
    from tests.integration.beat.inprocess import NOON

    from umbel.beat.entry import run_ids

    bench.store.begin("s1", run_ids("s1", int(NOON) + 10).run, {"task": "t"}, ttl=100, policy="Forbid")
    bench.run(first, 10)
    assert bench.slots() == [10]


def test_an_edit_drops_what_was_missed(bench: Bench) -> None:
    bench.beat(schedule("s1", every=600)).tick()
    bench.clock.advance(3000)
    beat = bench.beat(schedule("s1", every=600, jitterSeconds=0, task={"name": "other"}))
    bench.client.delete(f"{bench.prefix}:{{beat:config:test}}:lock")
    beat.tick()
    bench.run(beat, 600, step=60)
    assert bench.slots() == [3600]


def test_a_new_history_limit_is_no_edit(bench: Bench) -> None:
    bench.beat(schedule("s1", every=600)).tick()
    bench.clock.advance(1200)
    bench.client.delete(f"{bench.prefix}:{{beat:config:test}}:lock")
    bench.beat(schedule("s1", every=600, generation=9, failedRunsHistoryLimit=7)).tick()
    assert bench.slots() == [600, 1200]
    assert bench.state()["keep_failed"] == "7"


def test_a_resume_makes_up_inside_an_explicit_deadline_only(bench: Bench) -> None:
    plain, bounded = schedule("s1", every=60), schedule("s2", every=60, startingDeadlineSeconds=150)
    beat = bench.beat(plain, bounded)
    beat.tick()
    bench.define(beat, {**plain, "suspend": True}, {**bounded, "suspend": True})
    bench.run(beat, 600, step=30)
    assert bench.slots("s1") == bench.slots("s2") == []
    bench.define(beat, plain, bounded)
    beat.tick()
    assert bench.slots("s1") == []
    assert bench.slots("s2") == [480, 540, 600]


def test_once_runs_once_also_when_it_comes_late(bench: Bench) -> None:
    body = schedule("s1", trigger={"type": "Once", "once": {"time": "2026-06-01T11:58:20Z"}}, catchUp=LATEST)
    beat = bench.beat(body)
    beat.tick()
    bench.run(beat, 5)
    assert bench.slots() == [-100]
    bench.client.delete(f"{bench.prefix}:{{beat:config:test}}:lock")
    again = bench.beat({**body, "task": {"name": "edited"}})
    again.tick()
    assert bench.slots() == [-100]


def test_jitter_delays_the_message_and_not_the_slot(bench: Bench) -> None:
    beat = bench.beat(schedule("s1", every=600, jitterSeconds=500))
    beat.tick()
    bench.run(beat, 600)
    assert bench.slots() == []
    bench.run(beat, 500)
    assert bench.slots() == [600]
    assert bench.state()["last"] == str(int((bench.clock.time() - 500) * 1000))


def test_cron_in_its_zone(bench: Bench) -> None:
    trigger = {"type": "Cron", "cron": {"expression": "1 14 * * *", "timeZone": "Europe/Berlin"}}
    beat = bench.beat(schedule("s1", trigger=trigger), schedule("s2", trigger=cron("1 12 * * *")))
    beat.tick()
    bench.run(beat, 61)
    assert bench.slots("s1") == bench.slots("s2") == [60]


def test_every_key_has_a_ttl_or_stays_for_a_reason(bench: Bench) -> None:
    from umbel.redis.keys import is_permanent

    beat = bench.beat(schedule("s1", every=10), schedule("s2", every=10, suspend=True))
    beat.tick()
    bench.run(beat, 20)
    for message in bench.take():
        bench.end(message)
    names = [name.decode() for name in bench.client.scan_iter(f"{bench.prefix}:*")]
    assert len(names) > 5
    for name in names:
        assert is_permanent(name) or name.endswith(":bell") or bench.client.pttl(name) > 0, name


@pytest.mark.parametrize(("every", "days"), [(10, 1), (43_200, 1), (5 * 86_400, 10)])
def test_a_run_is_remembered_for_two_periods_and_a_day_at_the_least(bench: Bench, every: int, days: int) -> None:
    trigger = {"type": "Interval", "interval": {"everySeconds": every, "anchorTime": "2026-06-01T12:00:05Z"}}
    beat = bench.beat(schedule("s1", trigger=trigger))
    beat.tick()
    bench.run(beat, 5)
    (run,) = bench.mail.runs()
    left = bench.client.ttl(f"{bench.prefix}:{{mail}}:run:{run}")
    assert days * 86_400 - 60 < left <= days * 86_400


def test_an_edit_of_the_arguments_keeps_a_slot_whose_jitter_is_not_over(bench: Bench) -> None:
    body = schedule("s1", every=600, jitterSeconds=500)
    beat = bench.beat(body)
    beat.tick()
    bench.run(beat, 601)
    assert bench.slots() == []
    bench.define(beat, {**body, "task": {**body["task"], "args": [2]}})
    bench.run(beat, 500)
    assert bench.slots() == [600]
    bench.run(beat, 600)
    bench.define(beat, {**body, "trigger": {"type": "Interval", "interval": {"everySeconds": 599}}})
    bench.run(beat, 90)
    assert bench.slots() == [600, 1200], "what another trigger would have given before the edit is no slot"


def test_five_thousand_schedules_take_few_trips_to_redis_and_then_none(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bodies = [schedule(f"u{n}", every=3600, queue="mail") for n in range(5000)]
    beat = bench.beat(*bodies)
    trips = []
    run = bench.store._run
    monkeypatch.setattr(bench.store, "_run", lambda work: (trips.append(work), run(work))[1])
    beat.tick()
    assert 0 < len(trips) <= 100
    trips.clear()
    beat.tick()
    assert trips == []


def test_the_apps_interval_keeps_its_phase_over_a_restart(bench: Bench) -> None:
    from umbel.beat.appsource import entries_of
    from umbel.message import Message

    def make(name: str, args: object, kwargs: object, options: Mapping[str, Any]) -> tuple[str, Message, float]:
        return "mail", Message({"id": options.get("task_id", ""), "task": name}, b"[[],{}]"), 0.0

    def start() -> Dispatcher:
        bench.client.delete(f"{bench.prefix}:{{beat:app}}:lock")
        dispatcher = Dispatcher("app", bench.store, bench.broker, bench.clock, 5.0)
        dispatcher.replace(entries_of("shop", {"a": {"task": "t", "schedule": 100}}, "UTC", make))
        dispatcher.tick()
        return dispatcher

    (uid,) = entries_of("shop", {"a": {"task": "t", "schedule": 100}}, "UTC", make)
    bench.run(start(), 150)
    assert bench.slots(uid) == [100]
    bench.run(start(), 60)
    assert bench.slots(uid) == [100, 200]
    bench.clock.advance(1000)
    bench.run(start(), 100)
    assert bench.slots(uid) == [100, 200, 1200, 1300], "one run for all that were missed, then on in the same phase"


def test_a_crontab_of_the_app_that_is_too_late_is_left_out(bench: Bench) -> None:
    from umbel.beat.appsource import entries_of
    from umbel.message import Message
    from umbel.schedules import crontab

    def make(name: str, args: object, kwargs: object, options: Mapping[str, Any]) -> tuple[str, Message, float]:
        return "mail", Message({"id": options.get("task_id", ""), "task": name}, b"[[],{}]"), 0.0

    entries = entries_of("shop", {"a": {"task": "t", "schedule": crontab(minute="*/10")}}, "UTC", make, 120.0)
    (uid,) = entries
    beat = Dispatcher("app", bench.store, bench.broker, bench.clock, 5.0)
    beat.replace(entries)
    bench.run(beat, 1300)
    before = len(bench.slots(uid))
    assert before == 2
    seconds_into = bench.clock.time() % 600
    bench.clock.advance(1200 - seconds_into + 100)  # 100 s after a slot: it may still begin
    beat.tick()
    assert len(bench.slots(uid)) == before + 1
    bench.clock.advance(1200 + 200)  # 300 s after the next but one
    beat.tick()
    assert len(bench.slots(uid)) == before + 1, "later than the deadline"
    bench.run(beat, 400)
    assert len(bench.slots(uid)) == before + 2, "the next one is sent"


def test_what_redis_lost_is_written_again_from_memory(bench: Bench) -> None:
    beat = bench.beat(schedule("s1", every=600, successfulRunsHistoryLimit=7, manualTrigger="now"))
    beat.tick()
    assert len(bench.mail.messages()) == 1
    before = bench.state()
    for key in bench.client.scan_iter(f"{bench.prefix}:*"):
        bench.client.delete(key)
    bench.run(beat, 10)
    lost = {name: before.get(name) for name in ("cursor", "fingerprint", "handled", "keep_succeeded")}
    assert {name: bench.state().get(name) for name in lost} == lost
    assert bench.mail.messages() == [], "the manual run was sent already"


def test_manual_runs_wait_for_redis(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    beat = bench.beat(*(schedule(f"s{n}", every=600, manualTrigger="now") for n in range(3)))
    enqueue = bench.store.enqueue_many
    calls = iter([None, OperationalError("Redis is away")])

    def fails_once(*arguments: Any, **options: Any) -> Any:
        if (error := next(calls, None)) is not None:
            raise error
        return enqueue(*arguments, **options)

    monkeypatch.setattr(bench.store, "enqueue_many", fails_once)
    with pytest.raises(OperationalError):
        beat.tick()
    beat.tick()
    assert len(bench.mail.messages()) == 3
