"""Commands from afar: each is carried out once, and answered as often as it is asked for.

The listener's thread comes in here, so the answers do not wait for the supervisor's main loop, let alone for a child.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

from umbel.broker.base import Broker, ConnectionLost
from umbel.errors import UmbelError

log = logging.getLogger("umbel.control")

Arguments = dict[str, Any]
Handler = Callable[[Arguments], Any]
#: Starts a command that takes time; what it is given last is to be called with the answer.
Starter = Callable[[str, Arguments, float | None, Callable[[Any], None]], bool]

#: Commands whose answers are kept, in case they are asked for again.
KEPT = 128
#: What stands in the place of an answer that is still worked on.
_UNDER_WAY = object()


class Remote:
    """See the module.

    Args:
        broker: carries the answers.
        worker: id of this supervisor.
        hostname: of this worker.
        handlers: what to do, by the command's name.
        other: takes the commands that are not there.
    """

    def __init__(
        self, broker: Broker, worker: str, hostname: str, handlers: Mapping[str, Handler], other: Starter
    ) -> None:
        self._broker = broker
        self._worker = worker
        self._hostname = hostname
        self._handlers = handlers
        self._other = other
        self._answered: OrderedDict[str, Any] = OrderedDict()

    def take(self, message: dict[str, Any]) -> None:
        """Take a command from the broker's channel."""
        target = message.get("destination")
        if target is not None and self._hostname not in target and self._worker not in target:
            return
        number, address = str(message.get("id") or ""), message.get("reply_to")
        if number in self._answered:
            if self._answered[number] is not _UNDER_WAY:
                self._answer(number, address, self._answered[number])
            return
        if number:
            self._answered[number] = _UNDER_WAY
            if len(self._answered) > KEPT:
                self._answered.popitem(last=False)
        self._carry_out(
            str(message.get("command")),
            message.get("arguments") or {},
            float(message["timeout"]) if message.get("timeout") else None,
            lambda answer: self._done(number, address, answer),
        )

    def _carry_out(
        self, command: str, arguments: Arguments, timeout: float | None, done: Callable[[Any], None]
    ) -> None:
        handler = self._handlers.get(command)
        try:
            if handler is not None:
                done(handler(arguments))
            elif not self._other(command, arguments, timeout, done):
                known = ", ".join(sorted(self._handlers))
                done({"error": f"this worker knows no command {command!r}: it knows {known}, and those of its app"})
        except (UmbelError, ConnectionLost, TypeError, ValueError, KeyError) as error:
            log.warning("control.refused", extra={"command": command, "error": str(error)})
            text = str(error) if isinstance(error, (UmbelError, ConnectionLost)) else f"{type(error).__name__}: {error}"
            done({"error": text})

    def _done(self, number: str, address: str | None, answer: Any) -> None:
        if number:
            self._answered[number] = answer
        self._answer(number, address, answer)

    def _answer(self, number: str, address: str | None, answer: Any) -> None:
        if address is None:
            if isinstance(answer, dict) and "error" in answer:
                log.warning("control.refused", extra={"error": answer["error"]})
            return
        message = {"id": number, "worker": self._worker, "name": self._hostname, "answer": answer}
        try:
            self._broker.answer(address, message)
        except (UmbelError, ConnectionLost) as error:
            log.warning("control.unanswered", extra={"error": str(error)})
