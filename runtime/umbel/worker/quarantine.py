"""One suspect at a time, alone in its worker: so that the next death says who is guilty. Used by the supervisor's main thread.

A message is suspect after a worker died as a whole while it held several. A child that takes one for which that happened
more than once asks for isolation: its neighbours give back what they have not started, finish what runs, and fetch nothing
until the suspect has ended. What runs for longer than `PATIENCE` is not waited for; then the next death may stay unclear,
and the one after it decides.
"""

from __future__ import annotations

from umbel.worker.seat import Seat
from umbel.worker.slots import Slots

#: Seconds to wait for what neighbours run.
PATIENCE = 10.0
#: Seconds that neighbours get to hear of it and to give back, at the least.
HEARING = 0.15


class Quarantine:
    """See the module.

    Args:
        seats: of all children.
        slots: what they do.
    """

    def __init__(self, seats: list[Seat], slots: Slots) -> None:
        self._seats = seats
        self._slots = slots
        self._asker: Seat | None = None
        self._granted = False
        self._since = 0.0

    def ask(self, seat: Seat, now: float) -> None:
        """A child has taken a suspect."""
        if self._asker is not None and self._asker is not seat:
            self._answer(seat, False)
            return
        self._asker, self._granted, self._since = seat, False, now
        self._tell_others(True)

    def over(self, seat: Seat) -> None:
        """The suspect has ended, or its child is gone."""
        if seat is self._asker:
            self._asker = None
            self._tell_others(False)

    def look(self, now: float) -> None:
        """Grant the isolation once the neighbours are idle."""
        if self._asker is None or self._granted:
            return
        others = [seat for seat in self._seats if seat is not self._asker and seat.pid]
        idle = not others or (
            now - self._since >= HEARING and not any(self._slots.running(seat.index) for seat in others)
        )
        if idle or now - self._since >= PATIENCE:
            self._granted = True
            self._answer(self._asker, True)

    def greet(self, seat: Seat) -> None:
        """A child was born: it stands by too while a suspect runs."""
        if self._asker is not None and seat is not self._asker:
            _send(seat, {"what": "pause", "on": True})

    def _tell_others(self, pause: bool) -> None:
        for seat in self._seats:
            if seat is not self._asker or not pause:
                _send(seat, {"what": "pause", "on": pause})

    def _answer(self, seat: Seat, granted: bool) -> None:
        _send(seat, {"what": "alone", "granted": granted})


def _send(seat: Seat, message: dict[str, object]) -> None:
    if seat.link is not None:
        seat.link.send(message)
