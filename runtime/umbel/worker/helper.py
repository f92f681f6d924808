"""The second thread of a child that runs one task at a time.

It hears what the supervisor says, and takes the connection over only when a task has run for a while: then it reports what is
finished and gives back what waits behind.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from typing import TYPE_CHECKING

from umbel.broker.base import ConnectionLost, OwnerLost
from umbel.errors import LayoutError
from umbel.polling import readable
from umbel.worker.desk import Desk
from umbel.worker.link import Link

if TYPE_CHECKING:
    from umbel.worker.child import Child

log = logging.getLogger("umbel.worker")

#: Seconds that a task runs before the helper takes over.
PATIENCE = 0.002
#: What waits behind a task is given back when it runs this many times longer than tasks did so far. A task that is merely late,
#: because the machine is busy, would otherwise send its neighbours' messages back and forth.
GIVE_BACK_AFTER = 3.0
#: Signals that concern the thread that caused them.
CRASHES = frozenset(
    {signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGABRT, signal.SIGSYS, signal.SIGTRAP}
)
#: Seconds between two tries of the helper to find the way back to the broker.
TRY_AGAIN = 0.5


class Helper:
    """See the module.

    Args:
        child: whose main thread runs the tasks.
        desk: what the child has in hand.
        link: to the supervisor.
        wake: an eventfd by which the main thread wakes this one.
    """

    def __init__(self, child: Child, desk: Desk, link: Link, wake: int) -> None:
        self._child = child
        self._desk = desk
        self._link = link
        self._wake = wake
        self.asleep = False
        self.recovering = False  #: looks up what the owner holds, see `_recover_beside`
        self._try_again = 0.0  # when it may do so again

    def start(self) -> None:
        threading.Thread(target=self._run_or_end, name="umbel-helper", daemon=True).start()

    def _run_or_end(self) -> None:
        """A child whose helper is gone hears nothing any more and reports nothing beside a long task: it has to go too."""
        # A signal for the process is for its main thread, which runs the task: taken here, it would not wake a task that sleeps.
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals() - CRASHES)
        try:
            self._run()
        except BaseException as error:  # MemoryError, where a task takes all there is
            try:
                log.exception("child.helper_died", extra={"error": repr(error)})
            finally:
                os._exit(1)

    def _run(self) -> None:
        child = self._child
        while not child.stopped:
            heard = readable([self._link.fileno(), self._wake], self._pause())
            self.asleep = False
            if heard and not child.is_whole():
                return
            if self._wake in heard:
                os.eventfd_read(self._wake)
            if self._link.fileno() in heard:
                self._hear()
            started = child.started
            elapsed = time.monotonic() - started
            if started and elapsed >= PATIENCE:
                self._take_over(give_back=elapsed >= GIVE_BACK_AFTER * child.usual_runtime())

    def _pause(self) -> float | None:
        """Return how long the helper may sleep; None = until it is woken."""
        child = self._child
        busy, started = child.busy, child.started
        long = started and time.monotonic() - started >= PATIENCE
        if busy and not (long and not self._desk.ready and not self._desk.has_outcomes()):
            return PATIENCE
        self.asleep = True
        # Looked at again after the flag is set: the main thread may have gone on in between.
        if child.busy != busy or child.started != started:
            self.asleep = False
            return PATIENCE
        return None

    def _take_over(self, *, give_back: bool) -> None:
        """The running task is long: report what is finished, and give back what waits behind it if it is longer than most."""
        try:
            with self._desk.lock:
                started = self._child.started
                if not started or not (self._desk.certain or self._recover_beside(started)):
                    return
                if give_back:
                    self._desk.give_back()
                self._desk.flush()
        except OwnerLost as error:
            log.warning("owner.lost", extra={"owner": str(error)})
            with self._desk.lock:
                self._desk.distrust()
        except (ConnectionLost, LayoutError) as error:
            log.debug("broker.away", extra={"error": str(error)})
            self._try_again = time.monotonic() + TRY_AGAIN

    def _recover_beside(self, started: float) -> bool:
        """Find the way back to the broker while a task runs, so that nothing waits for its end; with the lock held.

        The main thread takes nothing off the desk meanwhile: either it has not ended the task when it is looked at here, after
        the flag is set, and then sees the flag before it goes on; or it has, and recovers by itself.
        """
        if time.monotonic() < self._try_again:
            return False
        self.recovering = True
        try:
            if self._child.started != started:
                return False
            self._desk.recover()
            return True
        finally:
            self.recovering = False

    def _hear(self) -> None:
        """Take in what the supervisor says."""
        while True:
            something, message = self._link.receive_waiting()
            if not something:
                return
            if message is None:
                self._child.deserted()
                return
            if self._child.told(message) and self._child.started:
                self._take_over(give_back=True)
