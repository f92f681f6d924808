"""What a consumer tells Redis, as keys and arguments of the scripts."""

from __future__ import annotations

from collections.abc import Sequence

import orjson

from umbel.broker.base import Delivery, Kind, Outcome
from umbel.broker.tickets import Admission, Ticket
from umbel.clock import full_milliseconds
from umbel.redis import keys, scripts
from umbel.redis.connection import Argument, RedisConnection

Packed = tuple[list[str], list[Argument]]


def cycle_keys(prefix: str, queue: str, owner: str) -> tuple[str, ...]:
    """Return the keys that every call of ``cycle.lua`` takes."""
    own = keys.queue(prefix, queue)
    held = keys.owned(prefix, queue, owner)
    return (held, own.meta, own.bell, own.eta, own.inflight, own.dead, *own.ready, own.fair, own.clocks)


def pack_outcomes(
    prefix: str, queue: str, owner: str, outcomes: Sequence[Outcome], *, any_place: bool = False
) -> tuple[int, list[str], list[Argument]]:
    """Return how many outcomes ``cycle.lua`` is told of, its keys for them, and its arguments.

    Args:
        any_place: free the places of all of them, for who does not know which of them have one.
    """
    names: list[str] = []
    arguments: list[Argument] = []
    count = 0
    frees = any_place
    for outcome in outcomes:
        kind, record = outcome.kind, outcome.record
        if outcome.place or outcome.lock is not None:
            frees = True
        count += 1
        if record is None:
            arguments += (kind, outcome.tag, b"0")
        else:
            names.append(keys.result(prefix, outcome.task_id))
            if outcome.reply_to:
                names.append(keys.inbox(prefix, outcome.reply_to))
                arguments += (kind, outcome.tag, b"2", record, int(outcome.ttl * 1000), outcome.task_id)
            else:
                arguments += (kind, outcome.tag, b"1", record, int(outcome.ttl * 1000))
        if kind is Kind.RETRY:
            arguments += (outcome.payload, full_milliseconds(outcome.delay))
        elif kind is Kind.GIVE_BACK:
            arguments.append(full_milliseconds(outcome.delay))
        elif kind is Kind.DEAD:
            arguments.append(orjson.dumps(outcome.reason or {}))
    if frees:
        more_names, more_arguments = _pack_freed(prefix, queue, owner, outcomes, any_place)
        names += more_names
        arguments += more_arguments
    return count, names, arguments


def _pack_freed(prefix: str, queue: str, owner: str, outcomes: Sequence[Outcome], any_place: bool) -> Packed:
    """Return what ``parts/places.lua`` takes: the places and the locks that the outcomes free."""
    own = keys.queue(prefix, queue)
    places = [outcome.tag for outcome in outcomes if outcome.place or any_place]
    names: list[str] = [own.hold, own.park] if places else []
    arguments: list[Argument] = [owner, len(places), *places]
    locks: list[Argument] = []
    count = 0
    for outcome in outcomes:
        if outcome.lock is not None:
            name, seconds = outcome.lock
            names.append(keys.lock(prefix, queue, name))
            locks += (outcome.tag, outcome.task_id, full_milliseconds(seconds))
            count += 1
    return names, [*arguments, count, *locks]


def admit(connection: RedisConnection, prefix: str, owner: str, delivery: Delivery, ticket: Ticket) -> Admission | None:
    """Run ``admit.lua``; return its answer, None if the owner is lost."""
    queue = delivery.queue
    own = keys.queue(prefix, queue)
    names: list[str] = [
        keys.owned(prefix, queue, owner),
        own.meta,
        own.bell,
        own.eta,
        own.inflight,
        own.hold,
        own.park,
    ]
    if ticket.rate is not None:
        names.append(keys.rate(prefix, queue, ticket.rate))
    if ticket.lock is not None:
        names.append(keys.lock(prefix, queue, ticket.lock))
    answer = scripts.admit(
        connection,
        names,
        (
            owner,
            delivery.tag,
            ticket.place or b"",
            ticket.places,
            int(ticket.interval * 1e6) if ticket.rate is not None else 0,
            int(ticket.tolerance * 1e6),
            ticket.task_id if ticket.lock is not None else b"",
        ),
    )
    return None if answer == b"lost" else Admission(answer.decode())
