"""Which slots of a schedule are due, how many were missed, and which comes next. Pure: every moment is handed in.

The *cursor* is the moment up to which a schedule has been dealt with. Slots at or before it are never looked at again,
so a clock that runs backwards, or a second look at the same moment, repeats nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from umbel.schedules.once import Once
from umbel.schedules.trigger import Countable, Trigger

#: What to do about slots that passed while nobody looked.
CatchUpPolicy = Literal["Skip", "Latest", "All"]

#: A trigger that cannot count is counted one by one up to here; more are reported as this many.
COUNT_LIMIT = 10_000

_MILLISECOND = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class Rules:
    """How a schedule treats what is late.

    Args:
        catch_up: Skip = run nothing that is late; Latest = the newest slot only; All = the newest ``max_runs`` of them.
        max_runs: for All.
        starting_deadline: how late a slot may start; None = however late.
        jitter: how long after its slot a run is due.
        tolerance: how late a slot may be and still count as on time, for Skip.
    """

    catch_up: CatchUpPolicy = "Latest"
    max_runs: int = 1
    starting_deadline: timedelta | None = None
    jitter: timedelta = timedelta(0)
    tolerance: timedelta = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class Due:
    """What is to be done now.

    Args:
        run: the slots to enqueue, oldest first.
        missed: how many slots passed without a run.
        cursor: the new cursor.
        next: the next slot; None if there is none. It is due at ``next`` plus the jitter.
    """

    run: tuple[datetime, ...]
    missed: int
    cursor: datetime
    next: datetime | None


def due_slots(trigger: Trigger, cursor: datetime, now: datetime, rules: Rules) -> Due:
    """Return what is due at ``now``, in a time that grows with the days since the cursor and not with the slots.

    Args:
        trigger: when the schedule fires.
        cursor: the last slot that was dealt with, or the moment from which slots count (aware).
        now: the present (aware).
        rules: what to do about late slots.
    """
    horizon = now - rules.jitter
    first = trigger.next_after(cursor)
    if first is None or first > horizon:
        return Due((), 0, cursor, first)
    second = trigger.next_after(first)
    if second is None or second > horizon:
        newest, total, following = first, 1, second
    else:
        newest = _newest(trigger, first, horizon)
        total = 1 + _count(trigger, first, newest)
        following = trigger.next_after(newest)
    run = _chosen(trigger, cursor, newest, horizon, rules)
    return Due(run, total - len(run), newest, following)


def first_cursor(trigger: Trigger, now: datetime) -> datetime:
    """Return the cursor of a schedule that is seen for the first time: it owes nothing from before, except a Once."""
    if isinstance(trigger, Once):
        return min(now, trigger.time - _MILLISECOND)
    return now


def edited_cursor(trigger: Trigger, cursor: datetime, now: datetime) -> datetime:
    """Return the cursor after an edit: what was missed before it is dropped, except a Once that has not run."""
    return cursor if isinstance(trigger, Once) else max(cursor, now)


def resumed_cursor(cursor: datetime, now: datetime, rules: Rules) -> datetime:
    """Return the cursor after a suspension: only what an explicit deadline still allows is made up for."""
    if rules.catch_up == "Skip" or rules.starting_deadline is None:
        return max(cursor, now)
    return max(cursor, now - rules.jitter - rules.starting_deadline - _MILLISECOND)


def period_after(trigger: Trigger, slot: datetime) -> timedelta:
    """Return the longer of the two periods that follow ``slot``; zero if it is the last."""
    following = trigger.next_after(slot)
    if following is None:
        return timedelta(0)
    third = trigger.next_after(following)
    return max(following - slot, third - following) if third is not None else following - slot


def _chosen(
    trigger: Trigger, cursor: datetime, newest: datetime, horizon: datetime, rules: Rules
) -> tuple[datetime, ...]:
    allowed = rules.starting_deadline
    if rules.catch_up == "Skip":
        allowed = rules.tolerance if allowed is None else min(allowed, rules.tolerance)
    wanted = rules.max_runs if rules.catch_up == "All" else 1
    chosen: list[datetime] = []
    slot: datetime | None = newest
    while slot is not None and len(chosen) < wanted and (allowed is None or horizon - slot <= allowed):
        chosen.append(slot)
        before = slot - _MILLISECOND
        first = trigger.next_after(cursor)
        slot = _newest(trigger, first, before) if first is not None and first <= before else None
    return tuple(reversed(chosen))


def _newest(trigger: Trigger, known: datetime, until: datetime) -> datetime:
    """Return the newest slot at or before ``until``, given that ``known`` is a slot and not after it.

    The last moment whose next slot is still in reach is looked for by growing steps from the end, then by halves.
    """
    low, high, back = known, until, timedelta(seconds=1)
    while until - back > low:
        slot = trigger.next_after(until - back)
        if slot is not None and slot <= until:
            low = slot
            break
        high, back = until - back, back * 4
    while high - low > _MILLISECOND:
        middle = low + (high - low) // 2
        slot = trigger.next_after(middle)
        if slot is not None and slot <= until:
            low = slot
        else:
            high = middle
    return low


def _count(trigger: Trigger, after: datetime, until: datetime) -> int:
    if isinstance(trigger, Countable):
        return trigger.count_between(after, until)
    count = 0
    slot = trigger.next_after(after)
    while slot is not None and slot <= until and count < COUNT_LIMIT:
        count += 1
        slot = trigger.next_after(slot)
    return count
