"""``/metrics`` of beat: queues, schedules, and how this beat is. Only the leader tells of queues: they would be counted twice."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final, Protocol

from umbel import meters
from umbel.beat.entry import Entry
from umbel.beat.lag import Lag
from umbel.beat.runs import Outcome
from umbel.control.exposition import Labels, Sheet

#: What a slot came to, as it is counted.
RESULTS: Final = {
    Outcome.ENQUEUED: "enqueued",
    Outcome.DEDUPLICATED: "deduplicated",
    Outcome.FORBIDDEN: "skipped_forbid",
    Outcome.CLOSED: "closed",
    Outcome.UNSENDABLE: "unsendable",
    "missed": "missed",
}
_GAUGES: Final = {
    meters.QUEUE_READY: "ready",
    meters.QUEUE_DELAYED: "delayed",
    meters.QUEUE_INFLIGHT: "inFlight",
    meters.QUEUE_AGE: "oldestAgeSeconds",
    meters.QUEUE_DEAD: "dead",
}


class Source(Protocol):
    """What is asked of a dispatcher."""

    lag: Lag
    counts: dict[Outcome | str, int]

    @property
    def entries(self) -> Mapping[str, Entry]: ...


def gather(status: Mapping[str, Any], sources: Iterable[Source], namespace: str) -> Sheet:
    """Return what there is to tell now.

    Args:
        status: the body of ``/v1/status``.
        sources: of schedules, that this beat leads or would lead.
        namespace: of the pod, "" outside of a cluster.
    """
    sheet = Sheet()
    leads = bool(status["leader"])
    queues = status["queues"] if leads else {}
    for meter, field in _GAUGES.items():
        sheet.gauge(meter, {(namespace, name): state[field] for name, state in queues.items()})
    pools = status["pools"] if leads else {}
    sheet.gauge(meters.POOL_LOAD, {(namespace, name): state["load"] for name, state in pools.items()})
    names = {uid: entry.name for source in sources for uid, entry in source.entries.items()}
    last: dict[Labels, float] = {}
    for uid, state in (status["schedules"] if leads else {}).items():
        if uid in names and state["lastScheduleTime"] is not None:
            last[namespace, names[uid]] = datetime.fromisoformat(state["lastScheduleTime"]).timestamp()
    sheet.gauge(meters.SCHEDULE_LAST_RUN, last)
    counts = [0] * (len(meters.LAG_BOUNDS) + 1)
    total = 0.0
    runs: dict[Labels, float] = {(result,): 0 for result in RESULTS.values()}
    for source in sources:
        own, seconds = source.lag.spread()
        counts = [mine + theirs for mine, theirs in zip(counts, own, strict=True)]
        total += seconds
        for outcome, count in list(source.counts.items()):
            if outcome in RESULTS:
                runs[RESULTS[outcome],] += count
    sheet.histogram(meters.SCHEDULE_LAG, meters.LAG_BOUNDS, {(): (counts, total)})
    sheet.counter(meters.SCHEDULE_RUNS, runs)
    sheet.gauge(meters.BEAT_LEADER, leads)
    revision = str(status["loadedRevision"])
    sheet.gauge(meters.BEAT_REVISION, {(revision,): 1} if revision else {})
    sheet.gauge(meters.BEAT_CONNECTED, bool(status["redis"]["ok"]))
    return sheet
