"""The supervisor: it starts and ends children, enforces hard limits, and keeps the worker's owners alive. No user code.

Its main thread only waits and decides; what talks to the broker is done by `Pulse`, in a thread. Order at the start: the
zygote is forked before there is any thread; the queues are known before the first child.
"""

from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import Callable, Iterable
from dataclasses import astuple
from typing import TypeVar

from umbel.broker.base import Broker
from umbel.executors import Shape
from umbel.ids import machine_id
from umbel.leaving import Leaving
from umbel.polling import readable
from umbel.worker import linux
from umbel.worker.about import About, open_events
from umbel.worker.aside import Aside
from umbel.worker.drain import Drain
from umbel.worker.endings import Endings
from umbel.worker.herald import Herald
from umbel.worker.inspection import Inspection
from umbel.worker.link import Link
from umbel.worker.options import WorkerOptions
from umbel.worker.orders import Orders
from umbel.worker.pulse import Pulse
from umbel.worker.quarantine import Quarantine
from umbel.worker.reloading import Reloader
from umbel.worker.remote import Handler, Remote
from umbel.worker.retirement import Bounds
from umbel.worker.revoking import tell_revoked
from umbel.worker.roster import Roster
from umbel.worker.seat import Burial, Seat, burial_of, cause_of, hint_of
from umbel.worker.shown import Shown
from umbel.worker.slots import Slots
from umbel.worker.staff import Staff
from umbel.worker.steps import Steps
from umbel.worker.steward import Steward
from umbel.worker.stopped import StoppedChildren
from umbel.worker.tally import Tally
from umbel.worker.zygotes import ZygoteHandle

log = logging.getLogger("umbel.worker")
T = TypeVar("T")

#: Seconds between two looks at the children's slots.
LOOK = 0.1


class Supervisor(Shown):
    """See the module.

    Args:
        options: of the command line.
        broker: of the app.
        zygote: imports the app and forks the children.
        slots: shared with the children.
        queues: names and weights.
        hostname: of the worker.
        result_ttl: seconds to keep records.
        about: what the zygote tells of the app.
        shape: how many children, and what they run tasks with.
        bounds: of what a child does before it is replaced.
        cancel_timeout: seconds for tasks that were told to end, where their children can tell them.
    """

    def __init__(
        self,
        options: WorkerOptions,
        broker: Broker,
        zygote: ZygoteHandle,
        slots: Slots,
        queues: tuple[tuple[str, int], ...],
        hostname: str,
        result_ttl: float,
        about: About,
        shape: Shape,
        cancel_timeout: float,
        bounds: Bounds,
    ) -> None:
        self._bounds = bounds
        self._shape = shape
        self._options = options
        self._broker = broker
        self._zygote = zygote
        self._slots = slots
        self._hostname = hostname
        self._id = f"{machine_id()}:{os.getpid()}:{int(time.time() * 1000):x}"
        self._seats = [Seat(index) for index in range(shape.children)]
        self._quarantine = Quarantine(self._seats, slots)
        self.tally = Tally()
        self.stopped = StoppedChildren(self._seats, options.kill_stopped_after)
        self._herald = Herald(self, Steward(about, zygote), hostname, lambda: open_events(broker.url, about))
        numbers = [name for name, _ in queues]
        self._pulse = self._make_pulse(numbers, result_ttl, about)
        self._endings = self._make_endings(shape, cancel_timeout)
        self._roster = Roster(
            self._id, hostname, self._seats, slots, dict(queues), lambda: self._drain.begun, shape.executor, numbers
        )
        self._staff = Staff(
            self._roster,
            events=bool(options.task_events),
            broadcasts=lambda: about.read().get("broadcasts", ()),
        )
        self._steps = Steps(self._wake)
        handlers = self._handlers(about)
        self._remote = Remote(
            broker, self._id, hostname, handlers, Aside(self._roster, about, zygote, self.leave).start
        )
        self._disowned: set[int] = set()  # seats whose child has taken another owner
        self._renewing = False  # the app is imported anew
        self._drain = Drain(options.drain_timeout)
        self._wake_read, self._wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._ticked = time.monotonic()

    def _make_pulse(self, numbers: list[str], result_ttl: float, about: About) -> Pulse:
        return Pulse(
            self._broker,
            self.owners,
            self._hold,
            self.revoke,
            result_ttl=result_ttl,
            queues=numbers,
            hostname=self._hostname,
            worker=self._id,
            posthumous=lambda task: task in about.read().get("posthumous", ()),
            sets_ttl=lambda: bool(about.read().get("sets_result_ttl", True)),
            own_queue_grace=lambda: float(about.read().get("settings", {}).get("own_queue_grace", 300.0)),
            herald=self._herald,
        )

    def _handlers(self, about: About) -> dict[str, Handler]:
        """Return what carries out each command from afar."""
        asked = Inspection(self._roster, self._broker, about, self.tally).handlers()
        return {**asked, **Orders(self, self._staff, about).handlers()}

    def _make_endings(self, shape: Shape, cancel_timeout: float) -> Endings:
        cancels = shape.executor in ("thread", "asyncio")
        return Endings(self._seats, self._slots, self._pulse.running, cancels=cancels, cancel_timeout=cancel_timeout)

    # What others have it do

    def revoke(self, ids: Iterable[str]) -> None:
        """Tell the children of revoked tasks; called by the listener's thread and by the pulse."""
        self._roster.revoked.update(ids)
        for seat in self._seats:
            tell_revoked(seat, self._roster.revoked)

    def terminate(self, ids: Iterable[str], number: int | None = None) -> None:
        """Have those of these tasks ended that run here; called by the listener's thread.

        Args:
            ids: of the tasks.
            number: the signal that their processes get before they are killed; None for none.
        """
        self._endings.terminate(ids, number)
        self._wake()

    def renew(self) -> None:
        """Import the app anew, and then have all children replaced; main loop only."""
        self._renewing = True
        self._zygote.died()
        self._zygote.pid, self._zygote.imported = 0, False  # its end is expected
        self._zygote.begin_anew(self._options, self._slots)

    def leave(self, asked: Leaving) -> None:
        """Have the worker end, as code of the app has asked; called by any thread."""
        self._drain.hear(asked)
        self._wake()

    def forsake(self) -> None:
        """Hear that the pod is gone from the cluster; called by the listener's thread."""
        self._drain.forsake()
        self._wake()

    def do(self, step: Callable[[], T]) -> T:
        """Run a step in the main loop, and return what it returns; called by other threads.

        Raises:
            OperationalError: the main loop is busy with something else.
        """
        return self._steps.do(step)

    # The main loop

    def run(self) -> int:
        """Work until told to end; return the exit code."""
        self._prepare()
        self._herald.start()
        self._pulse.start()
        self._listener = listener = self._broker.listen(self._remote.take)
        reloader = None
        if self._options.autoreload:
            reloader = Reloader(self._options.workdir or os.getcwd(), lambda: self.do(self.renew))
            reloader.start()
        while not (self._drain.begun and not any(seat.pid or seat.link for seat in self._seats)):
            self._ticked = now = time.monotonic()
            self._steps.take(self._staff.look)  # children are told before who asked hears that it is done
            self._births(now)
            if self._renewing and self._zygote.imported and not self._zygote.lost:
                self._renewing = False
                self._staff.replace_all()
            self._staff.look()
            self._herald.look(now)
            self._endings.look(now)
            self._quarantine.look(now)
            self.stopped.look(now)
            held, buried, disowned = self._slots.is_held(), self._pulse.take_buried(), self._disowned
            self._endings.end_exclusive(held=held, buried=buried, disowned=disowned)
            self._disowned = set()
            if self._drain.over(now):
                self._end_of_patience()
            self._listen(LOOK)
            self._deaths()
        if reloader is not None:
            reloader.stop()
        listener.stop()
        self._pulse.stop()
        self._pulse.join(15.0)
        listener.join(2.0)
        self._herald.stop()
        log.info("worker.stopped", extra={"worker": self._hostname})
        return self._drain.code

    def _prepare(self) -> None:
        """Be the parent of all processes of the worker."""
        self._take_signals()
        linux.become_subreaper()

    def _take_signals(self) -> None:
        signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
            signal.signal(number, self._asked_to_end)

    def _asked_to_end(self, number: int, frame: object) -> None:
        self._slots.end_all()  # first: once the worker says that it ends, nothing begins
        self._drain.ask(number)
        self._herald.ending(number, cold=self._drain.cold, exitcode=self._drain.code)
        self._wake()

    def _end_as_asked(self) -> None:
        for number in self._drain.asked():
            self._asked_to_end(number, None)

    def _wake(self) -> None:
        try:
            os.write(self._wake_write, b"x")
        except BlockingIOError:
            pass

    def _births(self, now: float) -> None:
        if self._zygote.lost and not self._drain.begun:
            self._zygote.begin_anew(self._options, self._slots)
        for seat in list(self._seats):
            if self._drain.begun:
                if seat.link is not None and not seat.draining:
                    seat.draining = seat.link.send({"what": "drain"})
            elif seat.link or seat.pid or seat.leaving or self._zygote.lost:
                continue
            elif now >= seat.next_birth:
                self._give_birth(seat, now)

    def _give_birth(self, seat: Seat, now: float) -> None:
        ours, theirs = Link.pair()
        self._slots.clear(seat.index)
        sent = self._zygote.spawn(
            {
                "index": seat.index,
                "lanes": self._slots.lanes,
                "executor": self._shape.executor,
                "bounds": astuple(self._bounds),
                "worker": self._id,
                "hostname": self._hostname,
                "standing": self._staff.word(seat),
                "supervisor": os.getpid(),
            },
            theirs,
        )
        theirs.close()
        if not sent:
            ours.close()
            return
        seat.link, seat.born = ours, now

    def _listen(self, timeout: float) -> None:
        """Wait for signals and for what the children say."""
        links = {seat.link.fileno(): seat for seat in self._seats if seat.link is not None}
        told = self._herald.filenos()
        for fd in readable([self._wake_read, *links, *told, *self._zygote.filenos()], timeout):
            if fd == self._wake_read:
                os.read(self._wake_read, 4096)
            elif fd in told:
                self._drain.hear(self._herald.hear())
            elif fd in links:
                self._hear(links[fd])
            else:
                self._zygote.hear()
        self._end_as_asked()

    def _hear(self, seat: Seat) -> None:
        while seat.link is not None:
            something, message = seat.link.receive_waiting()
            if not something:
                return
            if message is None:
                # The end of the link comes before the end of the process, or instead of its birth.
                if not seat.pid:
                    self._vacate(seat, None)
                else:
                    seat.link.close()
                    seat.link = None
                return
            match message["what"]:
                case "hello":
                    seat.pid = message["pid"]
                case "owner":
                    if seat.owner:
                        self._pulse.bury(Burial(seat.owner))
                        self._disowned.add(seat.index)
                    seat.owner, seat.entered = message["id"], False
                    self._pulse.read_revoked()
                    self._quarantine.greet(seat)
                case "entered":
                    seat.entered = True
                case "figures":
                    self.tally.take(seat.index, message)
                case "alone":
                    self._quarantine.ask(seat, time.monotonic())
                case "leave":
                    self._drain.hear(Leaving.of_message(message))
                    self._end_as_asked()  # at once: this child ends too, and that is expected then
                case "retires":
                    self._staff.replace(seat)
                case "together":
                    self._quarantine.over(seat)
                case "failed":
                    log.error("child.failed", extra={"error": message["error"]})

    def _deaths(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid == self._zygote.pid:
                self._zygote.died()
                log.error("zygote.died", extra={"status": status})
                continue
            # Heard first: who it was, if it died before that was read, and an owner that it announced last.
            for seat in list(self._seats):
                if seat.link is not None and seat.pid in (0, pid):
                    self._hear(seat)
                if seat.pid == pid:
                    self._vacate(seat, status)

    def _vacate(self, seat: Seat, status: int | None) -> None:
        """A child is gone: bury its owner, and note when the next one may be born."""
        tags = [activity.tag for activity in self._slots.running(seat.index)]
        if not seat.sentences:  # a task that was told to end, or its process, ended the process
            seat.sentences = tuple(told.sentence for tag, told in seat.condemned.items() if tag in tags)
        code = None if status is None else os.waitstatus_to_exitcode(status)
        seat.draining |= self._drain.begun and code == 0  # it may have seen the end coming before it was told
        burial = burial_of(seat, tags, hint_of(code))
        if burial is not None:
            self._pulse.bury(burial)
        self._quarantine.over(seat)
        worked = self._slots.done(seat.index) > 0
        self.tally.leave(seat.index, cause_of(seat, code) if seat.pid else None)
        expected = self._drain.begun or seat.leaving or bool(seat.sentences)
        if not expected:
            log.error(
                "child.died", extra={"pid": seat.pid, "exit": code, "tasks_running": len(tags), "hint": hint_of(code)}
            )
        seat.note_death(time.monotonic(), expected=expected, worked=worked)
        seat.vacate()

    def _end_of_patience(self) -> None:
        """The time to drain is over: hand back what runs (or fail it, where that is asked for)."""
        fail = self._options.drain_on_timeout == "fail" and not self._drain.cold
        for seat in list(self._seats):
            if seat.pid and not seat.sentences:
                self._endings.hand_back(seat, fail=fail)
            elif seat.link is not None and not seat.pid:
                self._vacate(seat, None)  # still importing the app: it dies with this process, and holds nothing

    def _hold(self, hold: bool) -> None:
        if hold != self._slots.is_held():
            self._slots.hold(hold)
            log.warning("worker.holding" if hold else "worker.goes_on")
