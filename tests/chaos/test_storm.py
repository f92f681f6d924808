"""A minute of `make chaos`; CHAOS_MINUTES asks for more. And what its parts are trusted with."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from tests.chaos.storm import ledger
from tests.chaos.storm.ledger import Story
from tests.chaos.storm.plan import HEAVY, LIGHT, REDIS, make_plan
from tests.chaos.storm.recovery import Recovery
from tests.chaos.storm.verdict import judge
from tests.workers import ROOT

from umbel import states

MINUTES = float(os.environ.get("CHAOS_MINUTES", "1"))
#: Other tests run beside this one: what is lost counts as ever, seconds are for `make chaos`.
PATIENCE = "4"


@pytest.mark.timeout(MINUTES * 60 + 400)
def test_a_storm_loses_nothing() -> None:
    command = [sys.executable, "-m", "tests.chaos.storm", "--minutes", str(MINUTES), "--rate", "100"]
    command += ["--patience", PATIENCE]
    storm = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert storm.returncode == 0, storm.stdout[-6000:] + storm.stderr[-3000:]
    assert "lost ......................... 0" in storm.stdout


def test_the_same_seed_gives_the_same_plan() -> None:
    assert make_plan(7, 600) == make_plan(7, 600)
    assert make_plan(7, 600) != make_plan(8, 600)


def test_ten_minutes_bring_every_kind_of_fault() -> None:
    plan = make_plan(1, 600)
    assert {fault.kind for fault in plan} == {*LIGHT, *HEAVY, *REDIS}
    assert [fault.at for fault in plan] == sorted(fault.at for fault in plan)
    assert all(fault.at < 600 for fault in plan)


def test_a_redis_that_may_forget_a_second_is_not_killed() -> None:
    assert "redis-kill" not in {fault.kind for fault in make_plan(1, 3600, durable=False)}


def _judged(story: Story, dead: dict[str, str] | None = None, records: dict[str, str] | None = None) -> list[str]:
    return judge(story, dead or {}, records or {}, []).wrong


def test_a_task_that_was_sent_and_never_ended_is_lost() -> None:
    story = Story(sent={"plain-1", "plain-2"}, uncertain={"plain-3"})
    story.began["plain-1"] = story.ran["plain-1"] = 1
    verdict = judge(story, {}, {"plain-1": states.SUCCESS}, [])
    assert (verdict.sent, verdict.executed, verdict.lost, verdict.uncertain) == (2, 1, 1, 1)
    assert verdict.wrong == ["1 tasks were sent and never ended: plain-2 ({'plain': 1})"]


def test_a_dead_letter_is_not_lost_and_a_reasonless_one_is_wrong() -> None:
    assert _judged(Story(sent={"exits-1"}), {"exits-1": "MaxDeliveries"}) == []
    (said,) = _judged(Story(sent={"plain-1"}), {"plain-1": "Unreadable"})
    assert "dead letters for no reason" in said


def test_only_those_that_are_to_fail_may_end_with_a_failure_alone() -> None:
    assert _judged(Story(sent={"hangs-1", "fills-1"}), {}, {"hangs-1": "FAILURE", "fills-1": "FAILURE"}) == []
    (said,) = _judged(Story(sent={"plain-1"}), {}, {"plain-1": "FAILURE"})
    assert "never ended" in said


@pytest.mark.parametrize(
    ("story", "said"),
    [
        (Story(refused={"plain-1"}, began=Counter({"plain-1": 1})), "delay() said not sent"),
        (Story(sent={"once-1"}, began=Counter({"once-1": 2}), ran=Counter({"once-1": 2})), "acks_late=False"),
        (Story(began=Counter({"a": 2}), fresh=Counter({"a": 2})), "were sent twice"),
        (Story(slowest_send=9.0), "a send took 9.0 s"),
    ],
)
def test_what_must_not_be_is_said(story: Story, said: str) -> None:
    records = dict.fromkeys(story.began, states.SUCCESS)
    (sentence,) = _judged(story, {}, records)
    assert said in sentence


def test_a_bound_that_is_broken_is_said() -> None:
    recoveries = [
        Recovery("child", "child 7 of a", 0.9, False),
        Recovery("child", "child 8 of a", 4.9, True),
        Recovery("worker", "worker a", 14.9, False),
        Recovery("child", "child 9 of b", 1.1, False),
        Recovery("worker", "worker b", 15.1, True),
    ]
    verdict = judge(Story(), {}, {}, recoveries)
    assert verdict.recoveries == {"child": (3, 4.9), "worker": (2, 15.1)}
    assert [sentence.split(" held")[0] for sentence in verdict.wrong] == ["what child 9 of b", "what worker b"]
    assert judge(Story(), {}, {}, recoveries, patience=1.2).wrong == []


def test_the_ledger_tells_what_was_noted(tmp_path: Path) -> None:
    lines = [
        "sending a 1.0 7",
        "sent a 1.1 7 0.100",
        "sending b 1.2 7",
        "uncertain b 1.3 7 2.000",
        "sending c 1.4 7",
        "refused c 1.5 7 5.000",
        "sending d 1.6 7",
        "began a 1.7 8 0",
        "began a 1.8 9 1",
        "ran a 1.9 9",
        # A task that ran twice sent this one twice.
        "sending e 2.0 8",
        "sending e 2.1 9",
        "sent e 2.2 9 0.000",
        "answered a 2.3 7",
    ]
    (tmp_path / "ledger").write_text("\n".join(lines) + "\n")
    story = ledger.read(tmp_path / "ledger")
    assert (story.sent, story.uncertain, story.refused) == ({"a", "e"}, {"b", "d"}, {"c"})
    assert (story.began["a"], story.fresh["a"], story.ran["a"]) == (2, 1, 1)
    assert (story.answered, story.slowest_send) == (1, 5.0)
