"""The solo executor: the worker is one process, and tasks run in its main thread, where a debugger finds them.

The supervisor's loop, the heartbeats and the probes run in threads of the same process: a task that waits holds up none of them,
one that keeps the interpreter to itself in C code for long holds up all. Nobody can kill a task without the worker; so limits
and revocations are raised in it, and what does not end then goes on.
"""

from __future__ import annotations

import logging
import os
import queue
import socket
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Any

from umbel.errors import ImproperlyConfigured
from umbel.executors import Shape
from umbel.worker.about import About
from umbel.worker.endings import Endings, Finder
from umbel.worker.instance import Instance
from umbel.worker.link import Link
from umbel.worker.loading import describe, load
from umbel.worker.options import WorkerOptions
from umbel.worker.seat import Condemned, Seat, Sentence
from umbel.worker.slots import Slots
from umbel.worker.supervisor import Supervisor
from umbel.worker.zygotes import ZygoteHandle

log = logging.getLogger("umbel.worker")


class SoloZygote(ZygoteHandle):
    """In the place of a zygote: the app is imported here, and a child is born when the main thread takes the order."""

    def __init__(self, about: About) -> None:
        super().__init__(about)
        self._app: Any = None
        self._options: Any = None
        self._orders: queue.SimpleQueue[tuple[dict[str, Any], int] | None] = queue.SimpleQueue()

    def begin(self, options: WorkerOptions, slots: Slots) -> dict[str, Any]:
        """Import the app.

        Raises:
            ImproperlyConfigured: it cannot be imported, with the reason.
        """
        ours, theirs = Link.pair()
        self._options = options
        self._app = load(options, theirs)
        if self._app is None:
            message, _ = ours.receive()
            assert message is not None
            sys.stderr.write(message.get("trace") or "")
            raise ImproperlyConfigured(message["error"])
        ours.close()
        theirs.close()
        self._about.write(self._app)
        return describe(self._app)

    def spawn(self, order: dict[str, Any], end: Link) -> bool:
        """Have the main thread be a child; False for anything else, which would take a process of its own."""
        if order.get("what") == "command":
            return False
        if order.get("what") == "steward":
            self._begin_steward(Link(socket.socket(fileno=os.dup(end.fileno()))))
            return True
        self._orders.put((order, os.dup(end.fileno())))
        return True

    def _begin_steward(self, link: Link) -> None:
        """Have the receivers of the worker's signals called in a thread."""
        from umbel.worker.steward import listen

        def work() -> None:
            listen(Instance.of(self._app, self._options), link)
            link.close()

        threading.Thread(target=work, name="umbel-steward", daemon=True).start()

    def end(self) -> None:
        """Have `serve` return."""
        self._orders.put(None)

    def serve(self, options: WorkerOptions, slots: Slots) -> None:
        """Be one child after the other, in the main thread."""
        from umbel.worker.start import start_child

        while (ordered := self._orders.get()) is not None:
            order, fd = ordered
            end = socket.socket(fileno=fd)
            start_child(self._app, options, order, fd, slots)
            try:
                # The process lives on, so nothing else tells the supervisor that this child is gone.
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                log.debug("link.gone")
            end.close()

    @property
    def lost(self) -> bool:
        """Never: it is this process."""
        return False

    def filenos(self) -> list[int]:
        """What to select on: nothing."""
        return []


class SoloSupervisor(Supervisor):
    """The supervisor of the only process, in a thread of that."""

    def run(self) -> int:
        """Work until told to end; return the exit code. The main thread runs the tasks meanwhile."""
        assert isinstance(self._zygote, SoloZygote)
        self._take_signals()
        thread = threading.Thread(target=self._supervise, name="umbel-supervisor", daemon=True)
        thread.start()
        self._zygote.serve(self._options, self._slots)
        thread.join()
        return self._drain.code

    def _supervise(self) -> None:
        assert isinstance(self._zygote, SoloZygote)
        try:
            super().run()
        except BaseException:
            log.exception("supervisor.died")
            os._exit(1)
        if self._cut_short:
            # A task runs on in the main thread, which cannot be stopped; what it did belongs to nobody any more.
            logging.shutdown()
            os._exit(self._drain.code)
        self._zygote.end()

    _cut_short = False

    def _prepare(self) -> None:
        """The main thread has taken the signals, and there are no processes to look after."""

    def _deaths(self) -> None:
        for seat in list(self._seats):
            if seat.pid and seat.link is None:
                self._vacate(seat, 0)

    def _make_endings(self, shape: Shape, cancel_timeout: float) -> Endings:
        return SoloEndings(self._seats, self._slots, self._pulse.running, self._cut, cancel_timeout)

    def _cut(self, seat: Seat, sentences: tuple[Sentence, ...]) -> bool:
        """Let go of what runs, if the time to drain is over: it cannot be stopped. Return whether that is so."""
        if not self._drain.begun:
            return False
        self._cut_short = True
        seat.sentences = sentences
        self._vacate(seat, None)
        return True


class SoloEndings(Endings):
    """Tells the main thread to end what it runs: there is no process to kill.

    Args:
        seats, slots, find, cancel_timeout: see `Endings`.
        cut: lets go of a seat whose time is over; False while there is time.
    """

    def __init__(
        self,
        seats: Sequence[Seat],
        slots: Slots,
        find: Finder,
        cut: Callable[[Seat, tuple[Sentence, ...]], bool],
        cancel_timeout: float,
    ) -> None:
        super().__init__(seats, slots, find, cancels=True, cancel_timeout=cancel_timeout)
        self._cut = cut

    def _terminate_one(self, seat: Seat, sentence: Sentence, number: int | None, now: float) -> None:
        self.kill(seat, sentence)

    def kill(self, seat: Seat, *sentences: Sentence, number: int | None = None) -> None:
        """Have the tasks end that are meant; at the end of patience let go of them."""
        if any(sentence.why in ("cold", "drain-fail") for sentence in sentences) and self._cut(seat, sentences):
            return
        if sentences[0].why == "cold":  # exclusive tasks, which may run elsewhere by now
            running = self._slots.running(seat.index)
            sentences = tuple(Sentence("cold", one.tag, one.queue) for one in running if one.exclusive)
        for sentence in sentences:
            if sentence.tag not in seat.condemned and seat.link is not None:
                seat.condemned[sentence.tag] = Condemned(sentence, float("inf"))
                seat.link.send(
                    {"what": "terminate", "tag": sentence.tag, "why": sentence.why, "seconds": sentence.seconds}
                )
