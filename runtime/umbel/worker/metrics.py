"""``/metrics`` of a worker: what its children told, what its slots show, how its supervisor is."""

from __future__ import annotations

import time
from collections.abc import Callable

from umbel import meters
from umbel.control.exposition import Labels, Sheet, Spread
from umbel.worker.roster import Roster
from umbel.worker.stopped import StoppedChildren
from umbel.worker.tally import Tally


def gather(roster: Roster, tally: Tally, stopped: StoppedChildren, connected: Callable[[], bool]) -> Sheet:
    """Return what there is to tell now.

    Args:
        roster: of the children.
        tally: what they told.
        stopped: which of them stand still.
        connected: whether the heartbeats reach the broker.
    """
    seats = roster.present()
    tally.ask(seats)
    busy = {seat.index: len(roster.slots.running(seat.index)) for seat in seats}
    sheet = Sheet()
    totals = tally.totals()
    sheet.counter(
        meters.TASKS,
        {(name, state): count for name, row in totals.items() for state, count in row.states.items()},
    )
    spreads: dict[Labels, Spread] = {
        (name,): (row.buckets, row.seconds) for name, row in totals.items() if any(row.buckets)
    }
    sheet.histogram(meters.TASK_RUNTIME, meters.RUNTIME_BOUNDS, spreads)
    sheet.gauge(meters.SLOTS, sum(not seat.leaving for seat in roster.seats) * roster.slots.lanes)
    sheet.gauge(meters.BUSY_SLOTS, sum(busy.values()))
    sheet.gauge(meters.DRAINING, roster.state == "draining")
    now = time.monotonic()
    ages = [now - cycled for index, cycled in tally.cycled().items() if not busy.get(index)]
    sheet.gauge(meters.CYCLE_AGE, round(max(ages, default=0.0), 3))
    sheet.gauge(meters.CONNECTED, connected())
    sheet.gauge(meters.STOPPED_CHILDREN, stopped.count)
    sheet.counter(meters.CHILD_DEATHS, {(cause,): count for cause, count in tally.deaths.items()})
    sheet.counter(meters.LOST_EVENTS, {(): tally.lost_events()})
    return sheet
