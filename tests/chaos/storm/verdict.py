"""From what was written down and what Redis keeps to the figures, and to what is wrong with them. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tests.chaos.storm.ledger import Story
from tests.chaos.storm.recovery import Recovery

from umbel import states

#: Seconds within which what a killed child, or a killed worker, held is back.
CHILD, WORKER = 1.0, 15.0
#: The same for a child where Redis was away meanwhile, counted from its return.
CHILD_AFTER_REDIS = 5.0
#: Seconds that a send may take in all, and what a busy machine adds.
SEND, LATE = 5.0, 1.0


@dataclass
class Verdict:
    """The figures of a run. ``wrong`` holds one sentence for each thing that must not be."""

    sent: int = 0
    executed: int = 0
    lost: int = 0
    repeated: int = 0
    dead: int = 0
    uncertain: int = 0
    refused: int = 0
    ticks: int = 0
    recoveries: dict[str, tuple[int, float]] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)


def judge(
    story: Story,
    dead: Mapping[str, str],
    records: Mapping[str, str],
    recoveries: Sequence[Recovery],
    patience: float = 1.0,
) -> Verdict:
    """Return the figures.

    Args:
        story: of the ledger.
        dead: task id -> reason, of all dead letters.
        records: task id -> state, of all stored results.
        recoveries: those that were watched to their end.
        patience: what the bounds on time are multiplied with, where the machine does much else.
    """
    known = story.sent | story.uncertain | story.refused
    verdict = Verdict(
        sent=len(story.sent),
        executed=sum(1 for task_id in story.sent if story.ran[task_id]),
        repeated=sum(1 for count in story.ran.values() if count > 1),
        dead=len(dead),
        uncertain=len(story.uncertain),
        refused=len(story.refused),
        ticks=len(set(story.ran) - known),
    )
    _judge_tasks(verdict, story, dead, records)
    _judge_recoveries(verdict, recoveries, patience)
    if story.slowest_send > SEND + patience * LATE:
        verdict.wrong.append(f"a send took {story.slowest_send:.1f} s, its deadline is {SEND:g} s")
    return verdict


def _judge_tasks(verdict: Verdict, story: Story, dead: Mapping[str, str], records: Mapping[str, str]) -> None:
    once = {task_id for task_id in story.began if _kind(task_id) == "once"}
    lost = [task_id for task_id in story.sent if not _ended(task_id, story, dead, records.get(task_id, "nothing"))]
    verdict.lost = len(lost)
    _say(verdict, lost, "were sent and never ended")
    _say(verdict, [task_id for task_id in story.refused if story.began[task_id]], "ran though delay() said not sent")
    _say(verdict, [task_id for task_id in once if story.began[task_id] > 1], "began twice with acks_late=False")
    _say(
        verdict,
        [task_id for task_id, count in story.fresh.items() if count > 1 and "." not in task_id],
        "were sent twice",
    )
    _say(
        verdict,
        [task_id for task_id in story.began if records.get(task_id) not in states.READY_STATES],
        "began and have no result",
    )
    wrong = [
        task_id
        for task_id in story.ran
        if task_id not in once and task_id not in dead and records.get(task_id) != states.SUCCESS
    ]
    _say(verdict, wrong, "ran to their end, and their result says otherwise")
    _say(
        verdict, [task_id for task_id, why in dead.items() if why != "MaxDeliveries"], "are dead letters for no reason"
    )


def _ended(task_id: str, story: Story, dead: Mapping[str, str], record: str) -> bool:
    """Return whether a task came to an end that it may have: it ran, or is a dead letter, or is one that was to fail."""
    if story.ran[task_id] or task_id in dead:
        return True
    return _kind(task_id) in ("hangs", "fills", "once") and record == states.FAILURE


def _judge_recoveries(verdict: Verdict, recoveries: Sequence[Recovery], patience: float) -> None:
    for kind in ("child", "worker"):
        found = [recovery for recovery in recoveries if recovery.kind == kind]
        verdict.recoveries[kind] = (len(found), max((recovery.seconds for recovery in found), default=0.0))
        for recovery in found:
            bound = patience * (WORKER if kind == "worker" else CHILD_AFTER_REDIS if recovery.disturbed else CHILD)
            if recovery.seconds > bound:
                verdict.wrong.append(
                    f"what {recovery.who} held was back after {recovery.seconds:.2f} s, the bound is {bound:g} s"
                )


def _kind(task_id: str) -> str:
    return task_id.partition("-")[0]


def _say(verdict: Verdict, task_ids: Sequence[str], what: str) -> None:
    if task_ids:
        kinds = Counter(map(_kind, task_ids))
        some = ", ".join(sorted(task_ids)[:5])
        verdict.wrong.append(f"{len(task_ids)} tasks {what}: {some} ({dict(kinds)})")
