"""Whatever happens to a schedule, beat enqueues what a slow reference does: edits, suspensions, jumps of the clock, dead leaders.

``BEAT_EXAMPLES`` says how many stories are told; a few in the tests, thousands by `make schedules-deep`.
"""

from __future__ import annotations

import itertools
import os
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.integration.beat.inprocess import NOON, Bench, schedule
from tests.integration.beat.slow_beat import SlowBeat

from umbel.beat.entry import run_ids
from umbel.schedules.jitter import jitter_of

EXAMPLES = int(os.environ.get("BEAT_EXAMPLES", "25"))
_numbers = itertools.count()

step = st.one_of(
    st.tuples(st.just("pass"), st.integers(1, 400)),
    st.tuples(st.just("jump"), st.integers(-900, 2000)),
    st.tuples(st.just("edit_task"), st.integers(1, 9)),
    st.tuples(st.just("edit_trigger"), st.integers(7, 300)),
    st.tuples(st.just("suspend"), st.just(0)),
    st.tuples(st.just("resume"), st.just(0)),
    st.tuples(st.just("die"), st.integers(0, 700)),
    st.tuples(st.just("forget"), st.just(0)),
)


class Story:
    """One schedule, told to beat and to the reference."""

    def __init__(
        self, bench: Bench, every: int, policy: str, most: int, deadline: int | None, jitter: int, version: int = 0
    ) -> None:
        self.bench = bench
        self.uid = f"story-{next(_numbers)}"
        self.body: dict[str, Any] = schedule(
            self.uid,
            every=every,
            catchUp={"policy": policy, "maxRuns": most} if policy == "All" else {"policy": policy},
            startingDeadlineSeconds=deadline,
            jitterSeconds=jitter,
        )
        self.began = int(bench.clock.time())
        self.lowest = self.highest = self.began
        seconds = jitter_of(self.uid, jitter).total_seconds()
        self.reference = SlowBeat(every, seconds, policy, most, deadline, self.began)
        self.beat = bench.beat(self.body)
        self.look()

    def look(self) -> None:
        now = int(self.bench.clock.time())
        self.lowest, self.highest = min(self.lowest, now), max(self.highest, now)
        self.beat.tick()
        self.reference.look(now)

    def tell(self, what: str, number: int) -> None:
        now = int(self.bench.clock.time())
        match what:
            case "pass":
                self.bench.clock.advance(number)
            case "jump":
                self.bench.clock.jump(number)
            case "edit_task":
                changed = self.body["task"]["args"] != [number]
                self.change(task={**self.body["task"], "args": [number]})
                if changed:
                    self.reference.edit(now)
            case "edit_trigger":
                changed = self.reference.every != number
                self.change(trigger={"type": "Interval", "interval": {"everySeconds": number}})
                if changed:
                    self.reference.edit(now, number)
            case "suspend":
                self.change(suspend=True)
                self.reference.suspended = True
            case "resume":
                self.change(suspend=False)
                if self.reference.suspended:
                    self.reference.resume(now)
            case "die":  # and another takes over later
                self.bench.clock.advance(number)
                self.bench.client.delete(f"{self.bench.prefix}:{{beat:config:test}}:lock")
                self.beat = self.bench.beat(self.body)
            case "forget":  # the mirror is lost with a part of Redis, and this beat has the lead anew
                self.bench.client.delete(f"{self.bench.prefix}:{{{self.uid}}}:sched")
                self.bench.client.delete(f"{self.bench.prefix}:{{beat:config:test}}:lock")
                self.beat.lease._renewed = float("-inf")
                self.reference.missed = 0
        self.look()

    def change(self, **fields: Any) -> None:
        self.body = {**self.body, **fields}
        self.bench.define(self.beat, self.body)

    def ran(self) -> list[int]:
        """Return the slots that were enqueued, in the order of the queue."""
        moments = range(self.lowest - 2000, self.highest + 1)
        by_run = {run_ids(self.uid, moment).run: moment for moment in moments}
        return [by_run[message.headers["run"]] for message in self.bench.mail.of(self.uid)]


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    every=st.integers(5, 300),
    policy=st.sampled_from(["Skip", "Latest", "All"]),
    most=st.integers(1, 20),
    deadline=st.one_of(st.none(), st.integers(1, 900)),
    jitter=st.one_of(st.just(0), st.integers(1, 120)),
    steps=st.lists(step, min_size=1, max_size=12),
)
def test_a_story_ends_as_in_the_reference(
    bench: Bench,
    every: int,
    policy: str,
    most: int,
    deadline: int | None,
    jitter: int,
    steps: list[tuple[str, int]],
) -> None:
    bench.clock.jump(NOON - bench.clock.time())
    story = Story(bench, every, policy, most, deadline, min(jitter, every - 1))
    try:
        for what, number in steps:
            story.tell(what, number)
        assert story.ran() == story.reference.ran
        assert len(set(story.ran())) == len(story.ran())
        assert int(bench.state(story.uid).get("missed", 0)) == story.reference.missed
    finally:
        bench.take()
        bench.client.delete(f"{bench.prefix}:{{beat:config:test}}:lock")
