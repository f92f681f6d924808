"""What a child was told for as long as it lives: the queues that it consumes, and time limits that win over those of tasks.

The supervisor tells all of it at each change, so that what was not heard is made up for by the next word. The child's own thread
takes the changes of queues up between two cycles.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

from umbel.broker.base import ConnectionLost, OwnerLost
from umbel.errors import ImproperlyConfigured, LayoutError
from umbel.worker.desk import Desk
from umbel.worker.turns import Turns

log = logging.getLogger("umbel.worker")

#: (soft, hard) in seconds; None for no limit.
Limits = tuple[float | None, float | None]


class Standing:
    """See the module.

    Args:
        told: the supervisor's first word, see `read`.
    """

    def __init__(self, told: dict[str, Any]) -> None:
        self.queues: dict[str, int] = {}  #: consumed now: names and weights
        self.numbers: dict[str, int] = {}  #: by which the supervisor knows queues, also those that are consumed no more
        self.limits: dict[str, Limits] = {}  #: by task
        self.rates: dict[str, str | float] = {}  #: by task
        self.events = False  #: whether the tasks tell of themselves by events
        self.heard: Callable[[], None] = lambda: None  #: called after each word
        self._wanted: dict[str, int] = {}
        self.told(told)
        self.queues = self._wanted
        self.changed = False  #: whether the queues may have to be others

    def told(self, message: dict[str, Any]) -> None:
        """Take in the supervisor's word; any thread may."""
        for name, _, number in message["queues"]:
            self.numbers[str(name)] = int(number)
        self.limits = {task: (soft, hard) for task, (soft, hard) in message["limits"].items()}
        self.rates = dict(message.get("rates", {}))
        self.events = bool(message.get("events"))
        self._wanted = {str(name): int(weight) for name, weight, _ in message["queues"]}
        self.changed = self._wanted != self.queues
        self.heard()

    def names(self) -> list[str]:
        """Return the names of the queues that are consumed."""
        return list(self.queues)

    def turns(self, clock: Callable[[], float] = time.monotonic) -> Turns:
        """Return the order in which they are asked."""
        return Turns(tuple(self.queues.items()), clock)

    def take_up(self, desk: Desk) -> None:
        """Enter the queues that are new, and let go of those that are not wanted any more; with the desk's lock held.

        Raises:
            ConnectionLost, OwnerLost: find the way back, then call again.
        """
        self.changed = False  # first: what is told from here on is another change
        wanted = self._wanted
        try:
            refused = {name for name in wanted.keys() - self.queues.keys() if not _consume(desk, name)}
            for name in self.queues.keys() - wanted.keys():
                desk.cancel(name)
        except (ConnectionLost, OwnerLost):
            self.changed = True
            raise
        self.queues = {name: weight for name, weight in wanted.items() if name not in refused}
        log.info("queues.changed", extra={"queues": ",".join(self.queues)})


def _consume(desk: Desk, queue: str) -> bool:
    """Enter a queue; False if that is refused for good."""
    try:
        desk.consume(queue)
    except (LayoutError, ImproperlyConfigured) as error:
        log.error("queue.refused", extra={"queue": queue, "error": str(error)})
        return False
    return True
