"""Finds keys that nobody will ever delete: without a TTL, without an owner, and not meant to stay."""

from __future__ import annotations

from typing import Any

from umbel.broker.base import Broker, Kind, Outcome
from umbel.redis import keys


def find_leaks(client: Any, prefix: str, broker: Broker) -> list[str]:
    """Return what is wrong with the keys that a test left.

    What the test did not finish is ended first: owners are buried, queues purged, what was dropped settled. After that only the
    permanent keys, those with a TTL, wake markers and dead letters may be there: markers are one a queue, dead letters are capped.
    """
    leaks = _wrong_counts(client, prefix, broker)
    liveness = broker.liveness()
    for owner in {*liveness.scores(), *liveness.dying()}:
        liveness.bury(owner)
    liveness.close()
    for queue in broker.queues():
        broker.purge(queue)
        while dropped := broker.dropped(queue):
            broker.settle_dropped(queue, [Outcome(delivery.tag, Kind.ACK) for delivery in dropped])
    for raw in client.scan_iter(f"{prefix}:*", count=1000):
        key = raw.decode()
        bounded = key.endswith(":dead") or (key.endswith(":bell") and client.zcard(key) == 1)
        if not keys.is_permanent(key) and not bounded and client.ttl(key) == -1:  # -2: it has ended meanwhile
            leaks.append(f"{key} ({client.type(key).decode()}) has neither owner nor TTL")
    return leaks


def _wrong_counts(client: Any, prefix: str, broker: Broker) -> list[str]:
    """Compare each queue's in-flight count with what the owners hold of it."""
    wrong = []
    for queue in broker.queues():
        held = 0
        for key in client.scan_iter(f"{prefix}:{{{queue}}}:o:*", count=1000):
            held += client.hlen(key) - int(client.hexists(key, "@"))
        counted = broker.info(queue).in_flight
        if counted != held:
            wrong.append(f"queue {queue} counts {counted} in flight, its owners hold {held}")
    return wrong
