"""The dead letters of one queue on Redis: reading, sending again, dropping.

A letter is a member of a sorted set, by the time at which it was buried: the length of its reason, the reason, the message.
The whole member is what names a letter, so that nobody sends again or drops another one than the one that was looked at.
"""

from __future__ import annotations

import logging
import struct
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import orjson

from umbel import message as messages
from umbel.broker.base import DeadLetter, PostMortem
from umbel.broker.redis import deaths
from umbel.broker.redis.apart import forget_ends
from umbel.broker.redis.entering import newer_layout
from umbel.errors import DecodeError, LayoutError, QueueClosed
from umbel.ids import new_nonce
from umbel.redis import keys, scripts
from umbel.redis.connection import Argument, RedisConnection, ServerRefused
from umbel.redis.pool import Pool

log = logging.getLogger("umbel.broker")

#: Letters of one call that sends again or drops, so that no script holds Redis for long.
CHUNK: Final = 200
#: Seconds for which it is remembered that a letter was forwarded.
REMEMBER: Final = 86400.0
_LENGTH: Final = struct.Struct(">I")


class DeadLetters:
    """The dead letters of all queues under one prefix.

    Args:
        pool: connections.
        prefix: of all keys.
    """

    def __init__(self, pool: Pool, prefix: str) -> None:
        self._pool = pool
        self._prefix = prefix

    def read(self, queue: str, limit: int, offset: int, since: float | None, before: float | None) -> list[DeadLetter]:
        """Return letters, the newest first; see `umbel.broker.base.Broker.dead`."""
        name = keys.queue(self._prefix, queue).dead
        latest: Argument = b"+inf" if before is None else f"({before * 1000:.0f}"
        earliest: Argument = b"-inf" if since is None else f"{since * 1000:.0f}"
        command = (b"ZREVRANGEBYSCORE", name, latest, earliest, b"WITHSCORES", b"LIMIT", offset, limit)
        flat = self._pool.run(lambda connection: connection.call(*command), repeat=True)
        return [_letter(raw, float(score)) for raw, score in zip(flat[::2], flat[1::2], strict=True)]

    def retry(self, queue: str, letters: Sequence[DeadLetter]) -> int:
        """Send letters again; see `umbel.broker.base.Broker.retry_dead`."""
        own = keys.queue(self._prefix, queue)
        sent = 0
        for chunk in _chunks(letters):
            names = [own.dead, own.meta, own.bell, *own.ready, own.fair, own.clocks]
            arguments: list[Argument] = [keys.LAYOUT]
            ids = [_task_id(letter.payload) for letter in chunk]
            if self._pool.endpoint.clustered:
                self._forget(own.dead, [(one.token, name) for one, name in zip(chunk, ids, strict=True) if name])
                ids = [None] * len(chunk)
            for letter, task_id in zip(chunk, ids, strict=True):
                if task_id is not None:
                    names.append(keys.result(self._prefix, task_id))
                arguments += (letter.token, new_nonce(), 0 if task_id is None else 1)
            # Repeated where the answer was lost: what was sent the first time is no letter any more the second time.
            status, detail = self._pool.run(_calling(scripts.dead_retry, names, arguments), repeat=True)
            if status == b"closed":
                raise QueueClosed(
                    f"queue {queue!r} takes no tasks: its intake is Reject, so its dead letters stay where they are "
                    "(set the TaskQueue's intake to Accept)"
                )
            if status == b"layout":
                raise LayoutError(newer_layout(queue, detail))
            sent += int(detail)
        return sent

    def _forget(self, dead: str, letters: Sequence[tuple[bytes, str]]) -> None:
        """Forget the records of letters, where the script that sends these cannot: they are in other slots."""
        if letters:
            self._pool.run(lambda connection: forget_ends(connection, self._prefix, dead, letters), repeat=True)

    def drop(self, queue: str, letters: Sequence[DeadLetter]) -> int:
        """Drop letters; return how many were there."""
        name = keys.queue(self._prefix, queue).dead
        dropped = 0
        for chunk in _chunks(letters):
            command: list[Argument] = [b"ZREM", name, *(letter.token for letter in chunk)]
            dropped += int(self._pool.run(_command(command), repeat=True))
        return dropped

    def trim(self, queue: str) -> int:
        """Drop what is older than the queue keeps it; return how many there were."""
        own = keys.queue(self._prefix, queue)
        return int(self._pool.run(_calling(scripts.dead_trim, (own.dead, own.meta), ()), repeat=True))

    def post_mortem(self, queue: str, payload: bytes) -> PostMortem:
        """Return who died with a message, and where it is to be forwarded."""
        meta = keys.queue(self._prefix, queue).meta

        def look(connection: RedisConnection) -> PostMortem:
            policy, target = connection.call(b"HMGET", meta, "dead_policy", "dead_forward")
            forward = target.decode() if policy == b"Forward" and target else None
            return PostMortem(deaths.of(connection, self._prefix, queue, payload), forward)

        return self._pool.run(look, repeat=True)

    def forward(self, queue: str, payload: bytes, original: bytes) -> bool:
        """Send a letter to another queue, once; see `umbel.broker.base.Broker.forward`."""
        own = keys.queue(self._prefix, queue)
        mark = keys.forwarded(self._prefix, queue, (messages.nonce_of(original) or b"").hex())
        names = (own.meta, own.bell, mark, *own.ready, own.fair, own.clocks)
        arguments = (keys.LAYOUT, payload, int(REMEMBER * 1000))

        def send(connection: RedisConnection) -> Any:
            answer = scripts.forward(connection, names, arguments)
            try:
                connection.call(b"SADD", keys.queue_names(self._prefix), queue)
            except ServerRefused:
                log.debug("queue.unnamed")  # Redis is full; the workers of that queue name it too
            return answer

        status, *detail = self._pool.run(send, repeat=True)
        if status == b"layout":
            raise LayoutError(newer_layout(queue, detail[0]))
        return bool(status != b"closed")


def _calling(script: scripts.Script, names: Sequence[str], arguments: Sequence[Argument]) -> Callable[[Any], Any]:
    return lambda connection: script(connection, names, arguments)


def _command(command: Sequence[Argument]) -> Callable[[Any], Any]:
    return lambda connection: connection.call(*command)


def _chunks(letters: Sequence[DeadLetter]) -> Iterator[Sequence[DeadLetter]]:
    for start in range(0, len(letters), CHUNK):
        yield letters[start : start + CHUNK]


def _letter(raw: bytes, score: float) -> DeadLetter:
    (length,) = _LENGTH.unpack_from(raw)
    reason = orjson.loads(raw[_LENGTH.size : _LENGTH.size + length])
    return DeadLetter(score / 1000.0, reason, raw[_LENGTH.size + length :], raw)


def _task_id(payload: bytes) -> str | None:
    try:
        return str(messages.decode(payload).headers["id"])
    except DecodeError:
        return None
