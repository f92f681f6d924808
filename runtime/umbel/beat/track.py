"""How far a schedule was dealt with: what beat keeps in memory, and how it takes that up from Redis."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from umbel.beat.entry import Entry, from_ms, run_memory
from umbel.redis.schedules import StoredState
from umbel.schedules.slots import edited_cursor, first_cursor, period_after, resumed_cursor

#: Seconds that the state of a schedule is kept which has ended: longer than anybody forgets to delete it.
KEEP_ENDED = 400 * 86400.0


@dataclass(slots=True)
class Track:
    """One schedule's place in time.

    Args:
        cursor: every slot at or before it was dealt with.
        fingerprint: of the entry that this is about.
        suspended: the entry was suspended.
        stopped: why it ended by itself, None while it goes on.
        handled: the last manual token that was dealt with.
        changes: fields that Redis does not know yet.
    """

    cursor: datetime
    fingerprint: str
    suspended: bool = False
    stopped: str | None = None
    handled: str | None = None
    changes: dict[str, str | int | None] = field(default_factory=dict)

    def next_slot(self, entry: Entry) -> datetime | None:
        """Return the next slot that will fire, None if none will."""
        if entry.suspended or self.stopped is not None:
            return None
        slot = entry.trigger_from(self.cursor).next_after(self.cursor)
        if slot is not None and entry.stop.after is not None and slot > entry.stop.after:
            return None
        return slot

    def memory(self, entry: Entry) -> float:
        """Return for how many seconds what was done is remembered."""
        if entry.suspended or self.next_slot(entry) is None:
            return KEEP_ENDED
        return run_memory(period_after(entry.trigger_from(self.cursor), self.cursor))


def take_up(entry: Entry, stored: StoredState, before: Track | None, now: datetime) -> Track:
    """Return the track of an entry, from what Redis knows and what this beat remembers.

    An edit drops what was missed; a resume makes up only for what an explicit deadline allows. What Redis has lost is
    filled in from memory.

    Args:
        entry: as it is declared now.
        stored: what Redis knows.
        before: what this beat remembers of the schedule, None if nothing.
        now: the present.
    """
    known = _known(stored, before)
    if known is None:
        track = Track(first_cursor(entry.trigger, now), entry.fingerprint, entry.suspended)
    else:
        track = known
        if track.fingerprint != entry.fingerprint:
            # A slot whose jitter is not over is not missed; but those of another trigger never were this one's.
            since = now - entry.rules.jitter if entry.fires_as(track.fingerprint) else now
            track.cursor = edited_cursor(entry.trigger, track.cursor, since)
            track.stopped, track.changes = None, {"failures": 0}
        elif track.suspended and not entry.suspended:
            track.cursor = resumed_cursor(track.cursor, now, entry.rules)
            track.stopped, track.changes = None, {"failures": 0}
        track.fingerprint, track.suspended = entry.fingerprint, entry.suspended
    note_end(entry, track)
    fields: dict[str, str | int | None] = {
        "fingerprint": entry.fingerprint,
        "suspended": "1" if entry.suspended else None,
        "keep_succeeded": entry.keep_succeeded,
        "keep_failed": entry.keep_failed,
        "stopped": track.stopped,
        "handled": track.handled,
    }
    for name, value in fields.items():
        if stored.fields.get(name) != (None if value is None else str(value)):
            track.changes[name] = value
    return track


def _known(stored: StoredState, before: Track | None) -> Track | None:
    cursor = stored.number("cursor")
    if cursor is None:
        return before
    fields = stored.fields
    track = Track(
        from_ms(cursor),
        fields.get("fingerprint", ""),
        fields.get("suspended") == "1",
        fields.get("stopped"),
        fields.get("handled"),
    )
    if before is not None:
        track.cursor = max(track.cursor, before.cursor)
    return track


def note_end(entry: Entry, track: Track) -> bool:
    """Stop a schedule whose next slot lies after its ``afterTime``; return whether that is new."""
    after = entry.stop.after
    if after is None or track.stopped is not None or entry.suspended:
        return False
    slot = entry.trigger_from(track.cursor).next_after(track.cursor)
    if slot is not None and slot <= after:
        return False
    track.stopped = "AfterTime"
    return True


def due_moment(entry: Entry, slot: datetime) -> float:
    """Return when the run for a slot is due, in seconds since the Unix epoch."""
    return (slot + entry.rules.jitter).timestamp()


#: A clock that moved by more than this against the monotonic one was set, by a person or by NTP.
CLOCK_JUMP = timedelta(seconds=5)
