"""A worker inside the process of a test: the code that a worker's child runs, without its processes.

What needs processes is missing: time limits are not enforced, a task that ends the process ends the test, and there are no
heartbeats, so other workers on the same broker take a task over that runs for more than ten seconds.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable
from types import TracebackType
from typing import TYPE_CHECKING

from umbel import ids, signals
from umbel.broker.base import Bell, Consumer, Delivery, OwnerInfo, OwnerLost
from umbel.broker.tickets import Admission, Ticket
from umbel.leaving import Leaving
from umbel.ownqueues import broadcasts, with_own
from umbel.record import Record
from umbel.taskdefaults import TaskDefaults
from umbel.worker.making import make_runner
from umbel.worker.reporter import Reporter
from umbel.worker.softlimit import SoftLimit

if TYPE_CHECKING:
    from umbel.app import Umbel

#: Seconds between two looks of the background thread, where no bell rings.
LOOK = 0.5


class InMemoryWorker:
    """Runs an app's tasks in this process, on any broker: by hand with `run`, or in a thread as a context manager.

    Args:
        app: whose tasks run.
        queues: to take from, the first before the others; all that the app names unless given.
        hostname: shown to the tasks. Workers that are to run a broadcast each need names of their own.

    Example::

        app = Umbel("shop", broker="memory://test")

        def test_adding():
            result = add.delay(2, 3)
            InMemoryWorker(app).run()
            assert result.get(timeout=0) == 5

        def test_waiting():
            with InMemoryWorker(app):
                assert add.delay(2, 3).get(timeout=5) == 5
    """

    def __init__(self, app: Umbel, queues: Iterable[str] | None = None, *, hostname: str = "in-memory") -> None:
        self._app = app
        wanted = list(queues) if queues is not None else sorted(app.consumed_queues())
        given = tuple((name, 1) for name in wanted)
        own = with_own(given, hostname, broadcasts(app.conf), direct=app.conf.worker_direct) if given else ()
        self._queues = [name for name, _ in own]
        self._hostname = hostname
        self.limit = _NoLimit()
        self._runner = make_runner(app, hostname)
        self._consumer: Consumer | None = None
        self._bell: Bell | None = None
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()
        self._offset = time.time() - time.monotonic()
        self._bounds: dict[str, int] = {}
        self._defaults: dict[str, TaskDefaults] = {}
        self._runner.defaults = self._defaults
        if app.conf.worker_send_task_events:
            app.events.told = app.events.pen
            self._runner.reporter = Reporter(app, app.events.pen)

    def run(self, *, wait: float = 0.0) -> int:
        """Run what is ready until nothing is left, in this thread.

        Args:
            wait: seconds to wait for delayed tasks, retries among them, and for rate limits of queues, before giving up on them.

        Returns: how many deliveries were run.
        """
        deadline = time.monotonic() + wait
        count = 0
        self._stopping.clear()
        try:
            while True:
                found, next_due = self._turn()
                count += found
                if self._stopping.is_set():  # a task has asked for it
                    return count
                if not found:
                    if next_due is None or time.monotonic() + next_due > deadline:
                        return count
                    time.sleep(next_due + 0.001)
        finally:
            self._leave()

    def start(self) -> None:
        """Run tasks in a thread until `stop`."""
        if self._thread is not None:
            raise RuntimeError("this worker runs already")
        signals.test_worker_starting.send(self)
        self._stopping.clear()
        self._entered()  # what is sent from here on to a Broadcast queue is for this worker too
        self._thread = threading.Thread(target=self._run, name="umbel-in-memory-worker", daemon=True)
        self._thread.start()
        signals.test_worker_started.send(self, worker=self)

    def stop(self) -> None:
        """Take nothing more; the task that runs is finished."""
        self._stopping.set()

    def join(self, timeout: float | None = None) -> None:
        """Wait until the thread has ended.

        Raises:
            TimeoutError: a task runs on after ``timeout`` seconds.
        """
        if self._thread is None:
            return
        self._thread.join(timeout)
        if self._thread.is_alive():
            raise TimeoutError(f"a task still runs after {timeout:g} s: let it end, or wait longer")
        self._thread = None
        signals.test_worker_stopped.send(self, worker=self)

    def __enter__(self) -> InMemoryWorker:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()
        self.join(30.0)

    # What the runner asks for

    def mark(self, delivery: Delivery, time_limit: float | None, exclusive: bool = False) -> None:
        """Nobody watches the time here."""

    def isolate(self) -> bool:
        """A delivery is alone here at all times."""
        return True

    def admit(self, delivery: Delivery, ticket: Ticket) -> Admission:
        """Ask whether a delivery may run now."""
        return self._entered().admit(delivery, ticket)

    def begin(self, delivery: Delivery) -> bool:
        """Mark a message that runs at most once, before it runs; False if it is no longer this owner's."""
        return self._entered().begin(delivery)

    def store(self, task_id: str, record: Record, ttl: float, reply_to: str | None = None) -> bool:
        """Write a record outside of a cycle."""
        return self._entered().store(task_id, record, ttl, reply_to)

    def now(self) -> float:
        """Return the broker's time in seconds since the epoch."""
        return time.monotonic() + self._offset

    def max_deliveries(self, queue: str) -> int:
        """Return the queue's bound on lost deliveries."""
        return self._bounds[queue]

    def leave(self, asked: Leaving) -> None:
        """End, as a task has asked."""
        self._stopping.set()

    # Working

    def _run(self) -> None:
        self._bell = self._app.broker.bell()
        try:
            while not self._stopping.is_set():
                found, next_due = self._turn()
                if not found and not self._stopping.is_set():
                    self._bell.ask(self._queues, min(LOOK, LOOK if next_due is None else next_due + 0.001))
                    self._bell.answer()
        finally:
            self._bell.close()
            self._leave()

    def _turn(self) -> tuple[bool, float | None]:
        """Run one delivery of the first queue that has one; else return the seconds until one is due."""
        due: list[float] = []
        for queue in self._queues:
            try:
                batch = self._entered().cycle(queue, (), 1)
            except OwnerLost:
                self._forget()
                return self._turn()
            self._offset = batch.now - time.monotonic()
            self._bounds[queue] = batch.max_deliveries
            self._defaults.pop(queue, None)
            if batch.task_defaults is not None:
                self._defaults[queue] = TaskDefaults.decode(batch.task_defaults)
            for delivery in batch.deliveries:
                self._run_one(delivery)
                return True, None
            due += [pause for pause in (batch.next_due, batch.limited) if pause is not None]
        return False, min(due, default=None)

    def _run_one(self, delivery: Delivery) -> None:
        self._runner.revoked = self._app.broker.revoked()
        try:
            outcome = self._runner.run(delivery, self)
            if outcome is not None:
                self._entered().cycle(delivery.queue, [outcome], 0)
        except OwnerLost:
            self._forget()

    def _entered(self) -> Consumer:
        """Return the consumer; become an owner if there is none."""
        if self._consumer is None:
            owner = OwnerInfo(
                ids.new_owner_id(),
                self._queues,
                worker=self._hostname,
                hostname=self._hostname,
                pid=os.getpid(),
                machine=ids.machine_id(),
            )
            self._consumer = self._app.broker.consumer(owner)
            self._consumer.register()
        return self._consumer

    def _forget(self) -> None:
        """The owner was buried: whatever it held, others have it."""
        if self._consumer is not None:
            self._consumer.close()
            self._consumer = None

    def _leave(self) -> None:
        if self._consumer is not None:
            self._consumer.leave()
            self._forget()


class _NoLimit(SoftLimit):
    """No alarm: a test owns its signals, and a thread gets none."""

    def arm(self, seconds: float | None) -> None:
        """Limits are not enforced here."""

    def disarm(self) -> None:
        """Limits are not enforced here."""
