"""One schedule's turn: the slots that are due, and what is to be written down when they were dealt with."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from umbel.beat.entry import Entry, to_ms
from umbel.beat.runs import Outcome
from umbel.beat.track import Track, note_end
from umbel.redis.schedules import Progress
from umbel.schedules.slots import Due


@dataclass(slots=True)
class Turn:
    """See the module.

    Args:
        entry: the schedule.
        track: its place in time.
        due: what is due.
        memory: seconds that its runs are remembered.
    """

    entry: Entry
    track: Track
    due: Due
    memory: float
    #: Those that are still to be enqueued.
    slots: list[datetime] = field(init=False)
    _fields: dict[str, str | int | None] = field(default_factory=dict)
    _missed: int = 0
    _skipped: int = 0
    _before: tuple[datetime, str | None] = field(init=False)

    def __post_init__(self) -> None:
        self._before = self.track.cursor, self.track.stopped
        self.slots = list(self.due.run)
        self._stop_at_end()

    def _stop_at_end(self) -> None:
        after = self.entry.stop.after
        if after is None:
            return
        late = [slot for slot in self.slots if slot > after]
        if late:
            self.slots = self.slots[: -len(late)]
            self.track.stopped = self._fields["stopped"] = "AfterTime"

    def take_in(self, slot: datetime, outcome: Outcome, detail: str, now_ms: int) -> None:
        """Note what came of a slot; ``detail`` is the task's id, or why the schedule stops."""
        if outcome is Outcome.STOPPED:
            self.track.stopped = self._fields["stopped"] = detail
            self.slots = []
        elif outcome in (Outcome.ENQUEUED, Outcome.DEDUPLICATED):
            self._fields.update(last=to_ms(slot), enqueued=now_ms, task=detail)
        elif outcome is Outcome.FORBIDDEN:
            self._skipped += 1
        else:
            self._missed += 1

    def undo(self) -> None:
        """Nothing of it could be written down: it is all to be done again, and no run is enqueued twice."""
        self.track.cursor, self.track.stopped = self._before

    def end(self) -> Progress:
        """Go on to the next slot; return what is to be written down."""
        self.track.cursor = self.due.cursor
        if note_end(self.entry, self.track):
            self._fields["stopped"] = self.track.stopped
        fields = {**self.track.changes, **self._fields}
        cursor, missed = to_ms(self.track.cursor), self.due.missed + self._missed
        return Progress(self.entry.uid, cursor, fields, self.memory, missed, self._skipped)
