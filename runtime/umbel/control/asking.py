"""Ask workers and gather their answers: those of all that are registered, as soon as they are there.

A command and its answers travel by channels that keep nothing. So a command has an id, and is sent again to those who have
not answered in time: their subscription, or that of the asker, may just have been made anew. Workers know the ids of the
last commands; they carry out each of them once, and answer each time.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from umbel.broker.base import Answers, Broker
from umbel.control.workers import matching, registered

#: Seconds after which a command is sent again to those who have not answered; each further wait is three times as long.
AGAIN: Final = 0.15
#: Longest pause between two looks for answers, in seconds.
LOOK: Final = 0.5


@dataclass(frozen=True, slots=True)
class Addressees:
    """Who is to answer.

    Args:
        destination: their names; None for all.
        pattern: of their names, in place of ``destination``.
        matcher: how to read the pattern: ``glob`` or ``pcre``.
    """

    destination: Sequence[str] | None = None
    pattern: str | None = None
    matcher: str = "glob"


@dataclass(frozen=True, slots=True)
class Reply:
    """What one worker answered."""

    worker: str  #: id of its supervisor
    name: str
    value: Any


def tell(broker: Broker, command: str, arguments: dict[str, Any], to: Addressees) -> int:
    """Send a command that nobody answers; return how many workers heard it, addressed or not.

    Raises:
        OperationalError: the broker cannot be reached.
    """
    names = to.destination
    if to.pattern is not None:
        names = matching([worker.name for worker in registered(broker)], to.pattern, to.matcher)
        if not names:
            return 0
    return broker.control(_message(command, arguments, names))


def ask(
    broker: Broker,
    command: str,
    arguments: dict[str, Any],
    to: Addressees,
    *,
    timeout: float,
    limit: int | None = None,
    callback: Callable[[dict[str, Any]], object] | None = None,
) -> list[Reply]:
    """Send a command, and return the answers in the order in which they came.

    Args:
        broker: of the workers.
        command: its name.
        arguments: of the command.
        to: who is to answer.
        timeout: seconds to wait for those who do not answer; it ends earlier once all have.
        limit: end after so many answers.
        callback: called with ``{name: answer}`` as they come.

    Raises:
        OperationalError: the broker cannot be reached.
    """
    known = {worker.id: worker.name for worker in registered(broker)}
    names = to.destination
    if to.pattern is not None:
        names = matching(known.values(), to.pattern, to.matcher)
        if not names:
            return []
    place = broker.answers()
    try:
        message = _message(command, arguments, names) | {
            "id": os.urandom(8).hex(),
            "reply_to": place.address,
            "timeout": timeout,
        }
        return _Gathering(broker, place, message, known, names, limit, callback).run(timeout)
    finally:
        place.close()


def _message(command: str, arguments: dict[str, Any], names: Sequence[str] | None) -> dict[str, Any]:
    return {"command": command, "arguments": arguments, "destination": None if names is None else list(names)}


class _Gathering:
    """The answers to one command as they come."""

    def __init__(
        self,
        broker: Broker,
        place: Answers,
        message: dict[str, Any],
        known: dict[str, str],
        names: Sequence[str] | None,
        limit: int | None,
        callback: Callable[[dict[str, Any]], object] | None,
    ) -> None:
        self._broker = broker
        self._place = place
        self._message = message
        self._known = {i: name for i, name in known.items() if names is None or name in names or i in names}
        self._names = names
        self._limit = limit
        self._callback = callback
        self._replies: dict[str, Reply] = {}

    def run(self, timeout: float) -> list[Reply]:
        """Send, and gather for at most ``timeout`` seconds."""
        now = time.monotonic()
        until = now + timeout
        pause = AGAIN
        again = now + pause
        heard = self._broker.control(self._message)
        while not self._complete(heard):
            now = time.monotonic()
            if now >= until:
                break
            missing = self._missing()
            if missing and now >= again:
                self._broker.control({**self._message, "destination": missing})
                pause *= 3
                again = now + pause
            answer = self._place.next(min(LOOK, until - now, max(0.001, again - now) if missing else LOOK))
            if answer is not None and answer.get("id") == self._message["id"]:
                self._take(answer)
        return list(self._replies.values())

    def _take(self, answer: dict[str, Any]) -> None:
        worker, name = str(answer.get("worker")), str(answer.get("name"))
        if worker in self._replies:
            return
        if any(reply.name == name for reply in self._replies.values()):
            name = f"{name} ({worker})"
        self._replies[worker] = Reply(worker, name, answer.get("answer"))
        if self._callback is not None:
            self._callback({name: answer.get("answer")})

    def _complete(self, heard: int) -> bool:
        count = len(self._replies)
        if self._limit is not None and count >= self._limit:
            return True
        if not self._known.keys() <= self._replies.keys():
            return False
        if self._names is None:
            return count >= heard
        answered = {*self._replies, *(reply.name for reply in self._replies.values()), *self._known.values()}
        return answered.issuperset(self._names)

    def _missing(self) -> list[str]:
        return [worker for worker in self._known if worker not in self._replies]
