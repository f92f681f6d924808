"""Results in a cluster: the record, the replies and the message are in different slots, and are written one after another.

The order makes each step safe to lose and to repeat: the record first, guarded by the attempt; then the replies, whose loss only
delays who waits; then the acknowledgement. Who dies in between leaves the message with its owner, so it runs again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from umbel import states
from umbel.broker.base import Outcome
from umbel.redis import keys, scripts
from umbel.redis.connection import Argument, RedisConnection

#: Replies that one inbox holds at most, and milliseconds that it outlives the last.
REPLY_CAP = 100_000
REPLY_TTL = 3_600_000


def store_record(connection: RedisConnection, prefix: str, outcome: Outcome) -> bool:
    """Store and tell the record of one outcome, unless its delivery has another end already; return whether it was written."""
    record = (outcome.task_id, outcome.record or b"", outcome.ttl, outcome.reply_to)
    return store_apart(connection, prefix, [record], ended=False)[0]


def store_ends(
    connection: RedisConnection, prefix: str, owned: str, outcomes: Sequence[Outcome], timeout: float
) -> list[Outcome]:
    """Store and tell the records of outcomes before these are reported; return the outcomes without them.

    Of deliveries that the owner has lost nothing is stored. It may lose one right after the look: then the guard of the store
    keeps what a later attempt has written, and the message runs again in any case.
    """
    ends = [outcome for outcome in outcomes if outcome.record is not None]
    if ends:
        looks: list[tuple[Argument, ...]] = [(b"HEXISTS", owned, b"@")]
        looks += [(b"HEXISTS", owned, end.tag) for end in ends]
        alive, *held = connection.call_many(looks, timeout)
        ends = [end for end, is_held in zip(ends, held, strict=True) if alive and is_held]
    if ends:
        store_apart(
            connection,
            prefix,
            [(end.task_id, end.record or b"", end.ttl, end.reply_to) for end in ends],
            ended=True,
            timeout=timeout,
        )
    return [outcome if outcome.record is None else replace(outcome, record=None) for outcome in outcomes]


def store_apart(
    connection: RedisConnection,
    prefix: str,
    records: Sequence[tuple[str, bytes, float, str | None]],
    *,
    ended: bool,
    timeout: float = 5.0,
) -> list[bool]:
    """Store records, then tell those who wait for them.

    Args:
        connection: to the cluster.
        prefix: of all keys.
        records: of each the task's id, the encoded record, seconds to keep it, the client that is named in the message.
        ended: they are the ends of deliveries; see ``store_apart.lua``.
        timeout: seconds for each of the two steps.

    Returns: which were written.
    """
    calls: list[tuple[Sequence[str], Sequence[Argument]]] = [
        ((keys.result(prefix, task_id),), (record, int(ttl * 1000), "end" if ended else ""))
        for task_id, record, ttl, _ in records
    ]
    answers = scripts.store_apart.run_many(connection, calls, timeout)
    replies: dict[str, list[bytes]] = {}
    for (task_id, record, _, reply_to), (written, watchers) in zip(records, answers, strict=True):
        if written:
            inboxes = watching(watchers, record)
            if reply_to:
                inboxes.add(keys.inbox(prefix, reply_to))
            for inbox in inboxes:
                replies.setdefault(inbox, []).append(task_id.encode() + b"\n" + record)
    commands: list[tuple[Argument, ...]] = []
    for inbox, items in replies.items():
        commands += (
            (b"RPUSH", inbox, *items),
            (b"LTRIM", inbox, -REPLY_CAP, -1),
            (b"PEXPIRE", inbox, REPLY_TTL),
        )
    if commands:
        connection.call_many(commands, timeout)
    return [written == 1 for written, _ in answers]


def watching(names: bytes, record: bytes) -> set[str]:
    """Return the inboxes that a watch names and that are to hear of a record; see ``parts/watchers.lua``."""
    final = record[1] >= states.FINAL_CODE
    lines = [line.decode() for line in names.split(b"\n") if line]
    return {line.removeprefix("+") for line in lines if final or line.startswith("+")}


def forget_ends(connection: RedisConnection, prefix: str, dead: str, letters: Sequence[tuple[bytes, str]]) -> None:
    """Forget the records of dead letters that are about to be sent again; what may be repeated is no harm.

    Args:
        connection: to the cluster.
        prefix: of all keys.
        dead: key of the queue's dead letters.
        letters: of each the member that names it, and its task's id.
    """
    names = [keys.result(prefix, task_id) for _, task_id in letters]
    # The records before the letters: where a letter is still there, its task has not run again, so the record seen is the old one.
    heads = connection.call_many([(b"GETRANGE", name, 0, 15) for name in names])
    there = connection.call_many([(b"ZSCORE", dead, member) for member, _ in letters])
    scripts.forget_apart.run_many(
        connection,
        [((name,), (head,)) for name, head, score in zip(names, heads, there, strict=True) if score is not None],
    )
