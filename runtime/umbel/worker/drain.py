"""When a worker ends, and how long it may take: by signals, by code of its app, and by the word that its pod is gone."""

from __future__ import annotations

import logging
import signal
import time
from collections import deque
from collections.abc import Iterator

from umbel.leaving import Leaving

log = logging.getLogger("umbel.worker")

#: Seconds for which the word that the pod is gone counts. The kubelet, which tells the worker to end, hears the same.
FORSAKEN = 30.0


class Drain:
    """See the module. The signals and `forsake` may come in any order.

    Args:
        timeout: seconds for what runs when the end is asked for.
    """

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        self._until = 0.0
        self._forsaken = float("-inf")
        self.begun = False
        #: What runs goes back, also where it is to fail when its time is over.
        self.cold = False
        #: The worker's exit code.
        self.code = 0
        self._asked: deque[Leaving] = deque()

    def ask(self, number: int) -> None:
        """Take a signal: the first lets what runs end, the second, or SIGQUIT, does not."""
        if number == signal.SIGQUIT or self.begun:
            self.cold = True
        if not self.begun:
            self.begun = True
            self._until = time.monotonic() + self._timeout
            log.warning("worker.draining", extra={"seconds": 0 if self.cold else self._timeout})
        else:
            log.warning("worker.cold_shutdown")

    def hear(self, asked: Leaving | None) -> None:
        """Hear what code of the app asks for; any thread may say so."""
        if asked is not None:
            self._asked.append(asked)

    def asked(self) -> Iterator[int]:
        """Yield the signal that stands for each of these, to be asked for by. A second mild one changes nothing: it is no second
        signal."""
        while self._asked:
            asked = self._asked.popleft()
            if asked.cold or not self.begun:
                log.warning("worker.leaving", extra={"why": asked.why, "exitcode": asked.code})
                self.code = asked.code
                yield signal.SIGQUIT if asked.cold else signal.SIGTERM

    def forsake(self) -> None:
        """Hear that the pod was deleted from the cluster although it lives; called by the listener's thread.

        Somebody forced it: there is no grace period, but the two seconds that a kubelet gives to all. That is enough to hand back
        what runs, but only who was told to end does so: this word comes without a secret.
        """
        self._forsaken = time.monotonic()

    def over(self, now: float) -> bool:
        """Tell whether the time of what runs is over."""
        if self.begun and not self.cold and now - self._forsaken < FORSAKEN:
            log.warning("worker.forsaken")
            self.cold = True
        return self.begun and (self.cold or now >= self._until)
