"""The heart of beat: one source of schedules, and what of it is due now."""

from __future__ import annotations

import heapq
import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from umbel.beat.entry import Entry, to_ms
from umbel.beat.lag import Lag
from umbel.beat.lease import Lease
from umbel.beat.runs import LeadLost, Outcome, QueueSide, Runs
from umbel.beat.track import CLOCK_JUMP, Track, due_moment, take_up
from umbel.beat.turn import Turn
from umbel.clock import Clock
from umbel.redis.schedules import Progress, ScheduleStore
from umbel.schedules.slots import due_slots

log = logging.getLogger("umbel.beat")

#: Seconds between two looks at the clock, at the most.
MAX_SLEEP = 1.0
#: Schedules that are dealt with in one go.
AT_ONCE = 100
#: Seconds after which the time to live of every schedule's state is renewed.
REFRESH_EVERY = 86400.0
#: Seconds between two looks for runs that were lost with their queue.
LOST_EVERY = 60.0


class Dispatcher:
    """Runs one source of schedules while this beat leads it. `tick` belongs to one thread, `replace` to any.

    Args:
        source: names the lock.
        store: Redis.
        broker: the queues.
        clock: wall clock and monotonic time.
        lock_ttl: seconds after which another beat may take over from a dead one.
        max_sleep: seconds between two looks at the clock, at the most.
    """

    def __init__(
        self,
        source: str,
        store: ScheduleStore,
        broker: QueueSide,
        clock: Clock,
        lock_ttl: float = 15.0,
        max_sleep: float = MAX_SLEEP,
    ) -> None:
        self.lease = Lease(store, source, lock_ttl, clock)
        #: How many slots came to what, since the start.
        self.counts: dict[Outcome | str, int] = {}
        #: How late they were enqueued.
        self.lag = Lag()
        self._store = store
        self._clock = clock
        self._runs = Runs(store, broker, self.lease)
        self._max_sleep = max_sleep
        self._incoming: Mapping[str, Entry] = {}
        self._entries: Mapping[str, Entry] = {}
        self._tracks: dict[str, Track] = {}
        self._heap: list[tuple[float, str]] = []
        self._epoch = 0
        self._last_look = (clock.time(), clock.monotonic())
        self._to_refresh: list[str] = []
        self._manual: list[str] = []
        self._refreshed = self._searched = clock.monotonic()

    @property
    def entries(self) -> Mapping[str, Entry]:
        """The newest definitions, by uid."""
        return self._incoming

    @property
    def leading(self) -> bool:
        """Whether this beat leads the source."""
        return self.lease.valid

    @property
    def in_step(self) -> bool:
        """Whether it has taken up the newest definitions: it sends no run of older ones any more."""
        return self._entries is self._incoming

    def replace(self, entries: Mapping[str, Entry]) -> None:
        """Hand in new definitions, by uid; the next tick takes them up."""
        self._incoming = entries

    def tick(self) -> float:
        """Do what is due; return how many seconds to sleep.

        Raises:
            OperationalError: Redis cannot be reached; nothing is lost, call again.
        """
        if not self.lease.hold():
            self._forget()
            return min(self._max_sleep, self.lease.ttl / 3)
        try:
            if self._epoch != self.lease.epoch or self._entries is not self._incoming:
                self._take_up()
            self._look_at_clock()
            self._run_manual_ones()
            self._search_lost()  # before new runs fill the queues
            self._run_due()
            self._refresh()
        except LeadLost:
            self._forget()
            return 0.0
        until = self._heap[0][0] - self._clock.time() if self._heap else self._max_sleep
        return max(0.0, min(self._max_sleep, until, self.lease.ttl / 3))

    def stop(self) -> None:
        """Give up the lead, so that another beat takes over at once.

        Raises:
            OperationalError: Redis cannot be reached; the lock ends by itself.
        """
        self.lease.release()

    def _forget(self) -> None:
        """Another beat leads: what this one remembers grows old."""
        self._epoch = 0
        self._tracks = {}

    def _take_up(self) -> None:
        entries = self._incoming
        now = self._now()
        states = self._store.load(entries)
        tracks, changed = {}, []
        for uid, entry in entries.items():
            tracks[uid] = track = take_up(entry, states[uid], self._tracks.get(uid), now)
            if track.changes or states[uid].number("cursor") != to_ms(track.cursor):
                changed.append((entry, track))
        for start in range(0, len(changed), AT_ONCE):
            if not self.lease.hold():
                raise LeadLost
            self._write(changed[start : start + AT_ONCE])
        self._tracks, self._entries, self._epoch = tracks, entries, self.lease.epoch
        self._rebuild()
        log.info("beat.schedules", extra={"source": self.lease.source, "schedules": len(entries)})
        wanted = (uid for uid, entry in entries.items() if entry.manual not in (None, tracks[uid].handled))
        self._manual = list(wanted)

    def _rebuild(self) -> None:
        self._heap = []
        for uid, entry in self._entries.items():
            self._push(entry, self._tracks[uid])

    def _push(self, entry: Entry, track: Track) -> None:
        slot = track.next_slot(entry)
        if slot is not None:
            heapq.heappush(self._heap, (due_moment(entry, slot), entry.uid))

    def _look_at_clock(self) -> None:
        wall, monotonic = self._clock.time(), self._clock.monotonic()
        drift = (wall - self._last_look[0]) - (monotonic - self._last_look[1])
        self._last_look = (wall, monotonic)
        if abs(drift) > CLOCK_JUMP.total_seconds():
            log.warning("beat.clock_jumped", extra={"seconds": round(drift, 3)})
            self._rebuild()

    def _run_due(self) -> None:
        while self._heap and self._heap[0][0] <= self._clock.time():
            due: list[tuple[float, str]] = []
            while self._heap and self._heap[0][0] <= self._clock.time() and len(due) < AT_ONCE:
                due.append(heapq.heappop(self._heap))
            try:
                self._run([uid for _, uid in due])
            except BaseException:
                for item in due:  # where Redis is away, they stay due
                    heapq.heappush(self._heap, item)
                raise
            for _, uid in due:
                self._push(self._entries[uid], self._tracks[uid])
            if not self.lease.hold():
                raise LeadLost

    def _run(self, uids: Sequence[str]) -> None:
        """Deal with some schedules: the first slot of each, then the second, and so on, for all of them at once."""
        turns = []
        for uid in uids:
            entry, track = self._entries[uid], self._tracks[uid]
            due = due_slots(entry.trigger_from(track.cursor), track.cursor, self._now(), entry.rules)
            turns.append(Turn(entry, track, due, track.memory(entry)))
        try:
            self._take_turns(turns)
        except BaseException:
            for turn in turns:
                turn.undo()
            raise
        for turn in turns:
            turn.track.changes = {}

    def _take_turns(self, turns: Sequence[Turn]) -> None:
        while waiting := [turn for turn in turns if turn.slots]:
            slots = [(turn.entry, turn.slots[0], turn.memory) for turn in waiting]
            for turn, (outcome, detail) in zip(waiting, self._runs.enqueue_slots(slots), strict=True):
                self._end_slot(turn, turn.slots.pop(0), outcome, detail)
        progress = []
        for turn in turns:
            if turn.due.missed:
                self._count("missed", turn.entry, turn.due.cursor, turn.due.missed)
            progress.append(turn.end())
        self._store.advance_many(progress)

    def _end_slot(self, turn: Turn, slot: datetime, outcome: Outcome, detail: str) -> None:
        self._count(outcome, turn.entry, slot)
        if outcome is Outcome.ENQUEUED:
            self.lag.note(self._clock.time() - due_moment(turn.entry, slot))
        turn.take_in(slot, outcome, detail, to_ms(self._now()))

    def _run_manual_ones(self) -> None:
        while self._manual:
            entry, track = self._entries[self._manual[-1]], self._tracks[self._manual[-1]]
            self._run_manual(entry, track, str(entry.manual))  # where Redis is away, it stays wanted
            self._manual.pop()

    def _run_manual(self, entry: Entry, track: Track, token: str) -> None:
        outcome, detail = self._runs.enqueue_manual(entry, token, track.memory(entry))
        self._count(outcome, entry, self._now())
        fields: dict[str, str | int | None] = {"handled": token}
        if outcome in (Outcome.ENQUEUED, Outcome.DEDUPLICATED):
            fields.update(enqueued=to_ms(self._now()), task=detail)
        track.handled = token
        track.changes.update(fields)
        self._write([(entry, track)])

    def _write(self, pairs: Sequence[tuple[Entry, Track]]) -> None:
        """Write the mirror. It comes after what it mirrors: lost with a crash, it makes a run be asked for twice, no more."""
        self._store.advance_many(
            [Progress(entry.uid, to_ms(track.cursor), track.changes, track.memory(entry)) for entry, track in pairs]
        )
        for _, track in pairs:
            track.changes = {}

    def _refresh(self) -> None:
        """Renew the time to live of what Redis keeps of each schedule, a few at a time."""
        if not self._to_refresh:
            if self._clock.monotonic() - self._refreshed < REFRESH_EVERY:
                return
            self._refreshed = self._clock.monotonic()
            self._to_refresh = list(self._entries)
        uids = self._to_refresh[-AT_ONCE:]
        self._write([(self._entries[uid], self._tracks[uid]) for uid in uids if uid in self._entries])
        del self._to_refresh[-AT_ONCE:]

    def _search_lost(self) -> None:
        if self._clock.monotonic() - self._searched >= LOST_EVERY:
            self._searched = self._clock.monotonic()
            self._runs.forget_lost(self._entries)

    def _count(self, outcome: Outcome | str, entry: Entry, slot: datetime, number: int = 1) -> None:
        self.counts[outcome] = self.counts.get(outcome, 0) + number
        level = logging.INFO if outcome == Outcome.ENQUEUED else logging.WARNING
        level = logging.DEBUG if outcome == Outcome.DEDUPLICATED else level
        extra = {"schedule": entry.name, "slot": slot.isoformat(), "number": number}
        log.log(level, f"schedule.{outcome}", extra=extra)

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock.time(), UTC)
