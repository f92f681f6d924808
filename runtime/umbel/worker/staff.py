"""How many children a worker has, on which queues, under which limits: what can be changed while it runs. Main loop only.

What was changed holds for children that are born later too, and is forgotten when the worker ends.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from typing import Any

from umbel.errors import ImproperlyConfigured
from umbel.ownqueues import own_queue
from umbel.worker.roster import Roster
from umbel.worker.seat import Seat

log = logging.getLogger("umbel.worker")

#: Queues that a worker may ever have consumed; tags tell no more apart.
MOST_QUEUES = 99


class Staff:
    """See the module.

    Args:
        roster: who works here.
        events: whether tasks tell of themselves by events.
        broadcasts: returns the queues whose tasks every worker runs.
    """

    def __init__(
        self, roster: Roster, *, events: bool = False, broadcasts: Callable[[], Collection[str]] = lambda: ()
    ) -> None:
        self._roster = roster
        self._broadcasts = broadcasts
        self.events = events
        self._serial = 0  # of what children are told
        self._limits: dict[str, list[float | None]] = {}
        self._rates: dict[str, str | float] = {}

    # What children are told

    def word(self, seat: Seat) -> dict[str, Any]:
        """Return what the child of a seat has to know, and take it as told."""
        seat.serial = self._serial
        roster = self._roster
        queues = [[name, weight, roster.numbers.index(name)] for name, weight in roster.queues.items()]
        return {
            "what": "standing",
            "queues": queues,
            "limits": self._limits,
            "rates": self._rates,
            "events": self.events,
        }

    def look(self) -> None:
        """Tell children what has changed since they were told; have those go that are too many; take their seats away."""
        for seat in list(self._roster.seats):
            if seat.link is not None:
                if seat.serial != self._serial and not seat.link.send(self.word(seat)):
                    seat.serial = -1  # it does not read: again at the next look
                if seat.leaving and not seat.draining:
                    seat.draining = seat.link.send({"what": "drain"})
            elif seat.leaving and not seat.pid:
                self._roster.seats.remove(seat)

    # Children

    def grow(self, count: int) -> None:
        """Add seats; children are born there."""
        self._check_processes()
        self._add(count)
        log.warning("worker.grows", extra={"by": count, "children": len(self._staying())})

    def replace(self, seat: Seat) -> None:
        """Have a child born in the place of one that finishes what it runs, and goes."""
        if not seat.leaving:
            seat.leaving = True
            self._add(1)
            log.info("child.replaced", extra={"pid": seat.pid})

    def replace_all(self) -> None:
        """Have children born in the places of all."""
        for seat in self._staying():
            if seat.pid or seat.link:
                self.replace(seat)

    def _add(self, count: int) -> None:
        taken = {seat.index for seat in self._roster.seats}
        room = self._roster.slots.count // self._roster.slots.lanes
        if len(taken) + count > room:
            raise ImproperlyConfigured(f"a worker has at most {room} processes, not {len(taken) + count}")
        free = (index for index in range(room) if index not in taken)
        self._roster.seats.extend(Seat(next(free)) for _ in range(count))

    def shrink(self, count: int) -> None:
        """Have children end once they have finished what they run: those who run nothing first."""
        self._check_processes()
        staying = self._staying()
        if count >= len(staying):
            raise ImproperlyConfigured(
                f"the worker has {len(staying)} process{'es' if len(staying) != 1 else ''}, of which one has to stay: it cannot "
                f"lose {count}. To end the worker there is shutdown"
            )
        idle_first = sorted(staying, key=lambda seat: (bool(seat.pid), len(self._roster.slots.running(seat.index))))
        for seat in idle_first[:count]:
            seat.leaving = True
        log.warning("worker.shrinks", extra={"by": count, "children": len(staying) - count})

    def _staying(self) -> list[Seat]:
        return [seat for seat in self._roster.seats if not seat.leaving]

    def _check_processes(self) -> None:
        if self._roster.executor == "solo":
            raise ImproperlyConfigured(
                "a worker with the executor solo has one process: start it with another executor"
            )

    # Queues

    def consume(self, queue: str, weight: int) -> bool:
        """Have the children consume one more queue; False if they do already."""
        roster = self._roster
        if queue in roster.queues:
            return False
        own = own_queue(roster.hostname)
        if own not in roster.queues and queue in self._broadcasts():
            self.consume(own, weight)
        if queue not in roster.numbers:
            if len(roster.numbers) >= MOST_QUEUES:
                raise ImproperlyConfigured(
                    f"the worker has consumed {len(roster.numbers)} queues since its start, and cannot tell more apart: "
                    "start it again, or another one"
                )
            roster.numbers.append(queue)
        # A worker that serves its queues strictly has weights of 0, and serves the new one last.
        strict = not any(roster.queues.values())
        added = {queue: 0 if strict else weight}
        roster.queues = added | roster.queues if queue == own else roster.queues | added
        self._serial += 1
        log.warning("worker.consumes", extra={"queue": queue})
        return True

    def cancel(self, queue: str) -> bool:
        """Have the children let go of a queue; False if they do not consume it."""
        roster = self._roster
        if queue not in roster.queues:
            return False
        if len(roster.queues) == 1:
            raise ImproperlyConfigured(
                f"{queue!r} is the only queue of the worker: shut the worker down, or hold the queue, instead"
            )
        copied = sorted(set(self._broadcasts()) & roster.queues.keys()) if queue == own_queue(roster.hostname) else []
        if copied:
            raise ImproperlyConfigured(
                f"{queue!r} takes this worker's copies of the tasks of {', '.join(map(repr, copied))}: cancel that one first"
            )
        roster.queues = {name: weight for name, weight in roster.queues.items() if name != queue}
        self._serial += 1
        log.warning("worker.cancels", extra={"queue": queue})
        return True

    # Limits

    def limit(self, task: str, soft: float | None, hard: float | None) -> None:
        """Let time limits win over those of the task and of its calls; None and None for these again."""
        if soft is None and hard is None:
            self._limits.pop(task, None)
        else:
            self._limits[task] = [soft, hard]
        self._serial += 1
        log.warning("worker.time_limit", extra={"task": task, "soft": soft, "hard": hard})

    def rate(self, task: str, rate: str | float | None) -> None:
        """Let a rate limit win over that of the task, 0 for no limit; None for its own again."""
        if rate is None:
            self._rates.pop(task, None)
        else:
            self._rates[task] = rate
        self._serial += 1
        log.warning("worker.rate_limit", extra={"task": task, "rate": rate})

    # Events

    def tell_events(self, on: bool) -> bool:
        """Have the tasks tell of themselves by events, or not; False if that is so already."""
        if on == self.events:
            return False
        self.events = on
        self._serial += 1
        log.warning("worker.events", extra={"on": on})
        return True
