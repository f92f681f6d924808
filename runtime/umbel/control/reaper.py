"""Finds owners whose heart has stopped, and buries them. Every worker and beat run one; they need no agreement.

An owner is dead when this reaper has seen its score unchanged for `PATIENCE` seconds of its own monotonic clock, while
the broker answered all the time. Scores are compared for change, never with a clock, and every doubt about the broker
(an outage, a restart, another server) starts the watch again: so neither a wrong clock nor an outage buries anybody.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from umbel.broker.base import Charge, ConnectionLost, Liveness, OwnerInfo
from umbel.clock import SYSTEM_CLOCK, Clock
from umbel.control import obituaries

log = logging.getLogger("umbel.reaper")

#: Seconds without a heartbeat until an owner counts as dead: five heartbeats.
PATIENCE = 10.0
#: The same for a pod that was reported gone: two heartbeats.
HINTED_PATIENCE = 4.0
#: Seconds after which a report is forgotten: who falls silent later needs the full patience.
HINT_COUNTS = 60.0
#: Reports that are kept at the most.
MOST_HINTED = 10_000
#: Seconds between two looks after which the broker may have been away in between: nobody could beat, so nobody is dead.
GAP = 5.0
#: Seconds of one look that burials may take: who reaps must not fall silent itself when many die at once.
BUDGET = 1.0


@dataclass
class _Watch:
    score: float
    since: float


class Reaper:
    """See the module.

    Args:
        liveness: the broker's side of it.
        clock: its monotonic time counts.
    """

    def __init__(self, liveness: Liveness, clock: Clock = SYSTEM_CLOCK) -> None:
        self._liveness = liveness
        self._clock = clock
        self._watched: dict[str, _Watch] = {}
        self._generation = ""
        self._looked = clock.monotonic()
        self._hinted: dict[str, float] = {}

    @property
    def alert(self) -> bool:
        """Whether pods were reported gone of late: whose owners should be looked at more often."""
        return bool(self._hinted)

    def hint(self, pod_uids: Iterable[str]) -> None:
        """Somebody saw these pods vanish: believe it sooner, but still only if their owners do not beat."""
        now = self._clock.monotonic()
        for uid in pod_uids:
            self._hinted.pop(uid, None)  # to the end: the oldest come first
            self._hinted[uid] = now
        for uid in list(self._hinted)[:-MOST_HINTED]:
            del self._hinted[uid]

    def _forget_hints(self) -> None:
        late = self._clock.monotonic() - HINT_COUNTS
        for uid in [uid for uid, at in self._hinted.items() if at < late]:
            del self._hinted[uid]

    def look(self) -> int:
        """Look once, and bury who is dead. Returns how many messages went back.

        Raises:
            ConnectionLost: the broker is away; the watch starts again when it is back.
        """
        try:
            generation = self._liveness.generation()
            began = self._clock.monotonic()
            if generation != self._generation or began - self._looked > GAP:
                self._generation = generation
                self._watched.clear()
            self._looked = began
            self._forget_hints()
            moved = 0
            for owner in self._liveness.dying():
                if self._clock.monotonic() - began < BUDGET:
                    moved += self._liveness.bury(owner, charge=Charge.NONE) or 0
            dead = self._dead(self._liveness.scores())
            return moved + (self._bury(dead, began + BUDGET) if dead else 0)
        except ConnectionLost:
            self._watched.clear()
            raise

    def _dead(self, scores: dict[str, float]) -> dict[str, float]:
        now = self._clock.monotonic()
        for owner in [owner for owner in self._watched if owner not in scores]:
            del self._watched[owner]
        dead = {}
        for owner, score in scores.items():
            watch = self._watched.get(owner)
            if watch is None or watch.score != score:
                self._watched[owner] = _Watch(score, now)
            elif now - watch.since >= (HINTED_PATIENCE if self._hinted else PATIENCE):
                dead[owner] = now - watch.since
        return dead

    def _bury(self, silent: dict[str, float], until: float) -> int:
        infos = {info.id: info for info in self._liveness.owners()}
        moved = 0
        workers: dict[str, list[str]] = {}
        for owner, seconds in silent.items():
            info = infos.get(owner) or OwnerInfo(owner, [])
            if seconds >= PATIENCE or info.pod_uid in self._hinted:
                workers.setdefault(info.worker or owner, []).append(owner)
        # Each reaper begins elsewhere, so that they share a large funeral.
        for worker in random.sample(list(workers), len(workers)):
            if self._clock.monotonic() >= until:
                break
            owners = workers[worker]
            seen = {owner: self._watched[owner].score for owner in owners}
            moved += bury_worker(self._liveness, worker, seen, infos, "its worker fell silent")
            for owner in owners:
                self._watched.pop(owner, None)
        return moved


def bury_worker(
    liveness: Liveness,
    worker: str,
    owners: Mapping[str, float | None],
    infos: Mapping[str, OwnerInfo],
    cause: str,
) -> int:
    """Bury the owners of one worker that died as a whole: who was alone in it is charged, a crowd is suspect.

    Args:
        worker: for the log.
        owners: with the score at which each fell silent, None for one that is dead beyond doubt.
        infos: what the registry tells of them.
        cause: of their death, in a few words, for the story of dead letters.

    Returns: how many messages went back.
    """
    held = {owner: liveness.held(owner) for owner in owners}
    tags = [tag for queues in held.values() for messages in queues.values() for tag in messages]
    charge, guilty = (Charge.LOST, tags[0]) if len(tags) == 1 else (Charge.SUSPECT, None)
    scores = liveness.scores()
    moved = 0
    for owner, seen in owners.items():
        if seen is None or scores.get(owner) in (None, seen):
            # Before the messages go back: whoever takes one may be about to tell its story.
            info = infos.get(owner) or OwnerInfo(owner, [], worker=worker)
            obituaries.note(liveness, info, obituaries.charged(held[owner], charge, guilty), charge, cause)
        back = liveness.bury(owner, seen=seen, charge=charge, guilty=guilty)
        if back is not None:
            log.warning(
                "owner.buried", extra={"owner": owner, "worker": worker, "messages": back, "charge": charge.value}
            )
            moved += back
    return moved
