"""Commands of the app's own, beside the worker's work: each in a process of its own, which the zygote forks.

So they run user code, and keep neither the supervisor nor a child from theirs. A process that does not answer in time is
killed. Where importing the app leaves threads behind, the process is started anew and imports the app itself, as children do.
"""

from __future__ import annotations

import inspect
import logging
import os
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from umbel import leaving
from umbel.control import custom
from umbel.leaving import Leaving
from umbel.polling import readable
from umbel.worker.about import About
from umbel.worker.link import PACKET, Link
from umbel.worker.roster import Roster

if TYPE_CHECKING:
    from umbel.worker.zygotes import ZygoteHandle

log = logging.getLogger("umbel.control")

Done = Callable[[Any], None]

#: Seconds that a process may take to begin, and a command whose sender says nothing of time.
BEGIN = 30.0
PATIENCE = 30.0
#: Seconds that a command gets less than who asked waits.
MARGIN = 0.3
#: Seconds that it has in any case, however late its process has begun.
LEAST = 0.1
#: Commands under way at once.
MOST = 4


@dataclass(frozen=True, slots=True)
class Term:
    """How long a command may take.

    Args:
        seconds: as people are told.
        asked: when it has to have ended for who asked to hear of it, in monotonic time; also while its process begins.
        own: seconds that it may take however long that has lasted.
    """

    seconds: float
    asked: float
    own: float

    def end(self, begun: float) -> float:
        """Return when it is ended, in monotonic time. Pure.

        Args:
            begun: when its process had begun.
        """
        return max(self.asked, begun + max(self.own, LEAST))


class Aside:
    """The supervisor's side of it.

    Args:
        roster: who works here.
        about: what the app is.
        zygote: forks the processes.
        leave: has the worker end, where a command asks for that.
    """

    def __init__(
        self,
        roster: Roster,
        about: About,
        zygote: ZygoteHandle,
        leave: Callable[[Leaving], object] = lambda asked: None,
    ) -> None:
        self._leave = leave
        self._roster = roster
        self._about = about
        self._zygote = zygote
        self._room = threading.Semaphore(MOST)

    def start(self, command: str, arguments: dict[str, Any], timeout: float | None, done: Done) -> bool:
        """Run a command of the app's own, if there is one of this name; ``done`` gets its answer."""
        known = self._about.read().get("commands", {}).get(command)
        if known is None:
            return False
        if not self._room.acquire(blocking=False):
            done({"error": f"{MOST} commands are under way here already: try again when one has ended"})
            return True
        # Ended a little before who asked gives up, so that the reason arrives.
        left = timeout - min(MARGIN, timeout / 4) if timeout else 0.0
        own = known["default_timeout"] or (0.0 if timeout else PATIENCE)
        term = Term(max(left, own), time.monotonic() + left, own)
        order: dict[str, Any] = {"what": "command", "command": command, "arguments": arguments, "state": self._state()}
        order["supervisor"] = os.getpid()
        threading.Thread(
            target=self._run, args=(order, term, done), name=f"umbel-command-{command}", daemon=True
        ).start()
        return True

    def _state(self) -> dict[str, Any]:
        roster = self._roster
        pids = [seat.pid for seat in roster.present()]
        return {"hostname": roster.hostname, "worker": roster.id, "queues": list(roster.queues), "pids": pids}

    def _run(self, order: dict[str, Any], term: Term, done: Done) -> None:
        asked: list[Leaving] = []
        try:
            answer = self._ask(order, term, asked)
        except Exception as error:
            log.exception("command.failed", extra={"command": order["command"]})
            answer = {"error": repr(error)}
        finally:
            self._room.release()
        done(answer)
        for wish in asked:  # now that who asked has the answer: nobody gives one once the worker has ended
            self._leave(wish)

    def _ask(self, order: dict[str, Any], term: Term, asked: list[Leaving]) -> Any:
        ours, theirs = Link.pair()
        try:
            sent = self._zygote.spawn(order, theirs)
            theirs.close()
            if not sent:
                return {"error": "the process that imports the app is being started again: try again in a moment"}
            hello = _next(ours, BEGIN)
            if hello is None or hello.get("what") != "hello":
                return {"error": f"no process for the command began: {(hello or {}).get('error', 'see the log')}"}
            try:
                process = os.pidfd_open(hello["pid"])
            except ProcessLookupError:
                process = -1  # it has ended; what it said can still be read
            try:
                until = term.end(time.monotonic())
                answer = _next(ours, until - time.monotonic())
                while answer is not None and answer["what"] == "leave":
                    asked.append(Leaving.of_message(answer))
                    answer = _next(ours, max(0.0, until - time.monotonic()))
                if answer is not None:
                    return answer["answer"]
                return {"error": _why(process, order["command"], term.seconds, time.monotonic() < until)}
            finally:
                if process >= 0:
                    os.close(process)
        finally:
            ours.close()


def _next(link: Link, seconds: float) -> dict[str, Any] | None:
    """Return the next message, None at the end of the link or of the time."""
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        if readable([link.fileno()], left):
            return link.receive()[0]
    return None


def _why(process: int, command: str, seconds: float, hung_up: bool) -> str:
    """Return why there is no answer; a process that still runs is killed."""
    # One that ends hangs up first, and is dead a moment later.
    if process < 0 or readable([process], 1.0 if hung_up else 0.0):
        return f"the process of {command!r} ended without an answer: see the worker's log"
    signal.pidfd_send_signal(process, signal.SIGKILL)
    return f"{command!r} took longer than {seconds:g} s and was ended: give it more time with a longer timeout"


# In the process of a command


def carry_out(app: Any, message: dict[str, Any], fd: int) -> None:
    """Run the command in this process, and answer.

    Args:
        app: imported here.
        message: the supervisor's order.
        fd: this end of the link to the supervisor.
    """
    link = Link(socket.socket(fileno=os.dup(fd)))
    link.send({"what": "hello", "pid": os.getpid()})
    app.child_started()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    leaving.pass_on_to(lambda asked: link.send(asked.as_message()))
    answer = {"what": "answer", "answer": _answer(app, message)}
    packet = orjson.dumps(answer, default=str, option=orjson.OPT_NON_STR_KEYS)
    if len(packet) > PACKET:
        text = f"the answer takes {len(packet):,} bytes, more than {PACKET:,}: answer with less"
        packet = orjson.dumps({"what": "answer", "answer": {"error": text}})
    link.socket.send(packet)
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()


def _answer(app: Any, message: dict[str, Any]) -> Any:
    command = custom.find(message["command"])
    if command is None:
        return {"error": f"the app has no command {message['command']!r} any more"}
    try:
        answer = command.function(custom.State(app, **message["state"]), **message["arguments"])
        if inspect.iscoroutine(answer):
            import asyncio

            return asyncio.run(answer)
        return answer
    except SystemExit as error:
        if leaving.ask(error):
            return {"ok": "shutting down"}
        raise
    except Exception as error:
        traceback.print_exc()
        return {"error": f"{type(error).__name__}: {error}"}


def _main() -> None:
    """Be a process that was started anew: import the app here."""
    from umbel.worker.loading import load_anew

    handed, _, app = load_anew(sys.argv[1])
    carry_out(app, handed, handed["fd"])
    os._exit(0)


if __name__ == "__main__":
    _main()
