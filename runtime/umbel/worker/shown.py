"""What a supervisor shows of itself: to probes, to Prometheus, to its own parts, and to the broker with each heartbeat."""

from __future__ import annotations

import time

from umbel.broker.base import Listener, OwnerInfo
from umbel.control.exposition import Sheet
from umbel.worker.drain import Drain
from umbel.worker.metrics import gather
from umbel.worker.pulse import Pulse
from umbel.worker.roster import Roster
from umbel.worker.seat import Seat
from umbel.worker.slots import Slots
from umbel.worker.staff import Staff
from umbel.worker.stopped import StoppedChildren
from umbel.worker.tally import Tally


class Shown:
    """See the module. Any thread may ask; `Supervisor` has the parts."""

    tally: Tally
    stopped: StoppedChildren
    _id: str
    _hostname: str
    _ticked: float
    _drain: Drain
    _pulse: Pulse
    _seats: list[Seat]
    _slots: Slots
    _staff: Staff
    _roster: Roster
    _listener: Listener | None = None

    def live(self) -> bool:
        """Whether the main loop turned within the last 30 seconds; nothing else, so neither Redis nor a task can fail it."""
        return time.monotonic() - self._ticked < 30.0

    def ready(self) -> str | None:
        """Return None if the worker takes tasks and hears commands, else why it does not."""
        if self._drain.begun:
            return "draining"
        if not self._pulse.connected:
            return "the broker cannot be reached"
        if not any(seat.entered for seat in self._seats):
            return "no child has started yet"
        if self._listener is None or not self._listener.begun:
            return "commands are not heard yet"
        return None

    def wants_events(self) -> bool:
        """Whether what happens is written as events."""
        return self._staff.events

    def activity(self) -> tuple[int, int]:
        """Return how many tasks run, and how many have ended."""
        busy = sum(len(self._slots.running(seat.index)) for seat in self._roster.present())
        return busy, sum(sum(totals.states.values()) for totals in self.tally.totals().values())

    def connected(self) -> bool:
        """Whether the heartbeats reach the broker."""
        return self._pulse.connected

    def sheet(self) -> Sheet:
        """Return what ``/metrics`` tells."""
        return gather(self._roster, self.tally, self.stopped, self.connected)

    def owners(self) -> list[OwnerInfo]:
        """Return the living owners of this worker and what they do; called by the pulse."""
        names = list(self._roster.queues)
        now, wall = time.monotonic(), time.time()
        found = []
        for seat in list(self._seats):
            if seat.owner and seat.pid:
                running = self._slots.running(seat.index)
                info = OwnerInfo(seat.owner, names, worker=self._id, hostname=self._hostname, pid=seat.pid)
                info.state = self._roster.state
                info.busy_since = min((wall - (now - activity.started) for activity in running), default=0.0)
                info.slots, info.busy = self._slots.lanes, len(running)
                found.append(info)
        return found
