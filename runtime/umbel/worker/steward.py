"""The steward: a process in which receivers of the signals of the worker as a whole are called.

The supervisor runs no user code, and the zygote must not be left with threads or connections; so what an app does when its
worker is ready, or ends, is done in a process that lives as long as the worker does, and runs no task. There is one only
where somebody is connected to such a signal.
"""

from __future__ import annotations

import base64
import logging
import os
import signal
import socket
import sys
import time
from typing import TYPE_CHECKING, Any

from umbel import leaving, signals
from umbel import message as messages
from umbel.context import Request
from umbel.leaving import Leaving
from umbel.polling import readable
from umbel.worker.about import About
from umbel.worker.instance import Instance
from umbel.worker.link import Link

if TYPE_CHECKING:
    from umbel.worker.zygotes import ZygoteHandle

log = logging.getLogger("umbel.worker")

#: Seconds for the receivers of worker_shutdown, and those before.
PATIENCE = 10.0


class Steward:
    """The supervisor's side of it. Any thread may tell.

    Args:
        about: which signals somebody is connected to.
        zygote: forks the process.
    """

    def __init__(self, about: About, zygote: ZygoteHandle) -> None:
        self._about = about
        self._zygote = zygote
        self._wanted: frozenset[str] = frozenset()
        self._link: Link | None = None

    def start(self) -> None:
        """Have the process begun, if anybody is connected; before `tell`."""
        self._wanted = frozenset(self._about.read().get("signals", ()))
        if self._wanted:
            ours, theirs = Link.pair()
            if self._zygote.spawn({"what": "steward", "supervisor": os.getpid()}, theirs):
                self._link = ours
            theirs.close()

    def tell(self, name: str, **arguments: Any) -> None:
        """Have the receivers of a signal called."""
        link = self._link
        if link is None or name not in self._wanted:
            return
        if not link.send({"signal": name, "arguments": arguments}):
            log.warning("signal.lost", extra={"signal": name, "hint": "the process that calls its receivers is gone"})

    def filenos(self) -> list[int]:
        """What to select on, before `hear`."""
        return [] if self._link is None else [self._link.fileno()]

    def hear(self) -> Leaving | None:
        """Return what a receiver has asked for, None for nothing: then the process is gone."""
        link = self._link
        told = None if link is None else link.receive()[0]
        if told is None:
            self._link = None
            if link is not None:
                link.close()
                log.warning(
                    "signal.lost", extra={"hint": "the process that calls receivers of the worker's signals is gone"}
                )
            return None
        return Leaving.of_message(told)

    def terminated(self, payload: bytes, number: int | None) -> None:
        """Have the receivers of task_revoked called for a task that was ended with its process."""
        if "task_revoked" in self._wanted:
            self.tell("task_revoked", payload=base64.b64encode(payload).decode(), signum=number)

    def stop(self) -> None:
        """Have the last receivers called, and wait for their end."""
        link, self._link = self._link, None
        if link is None:
            return
        link.send({"signal": "worker_shutdown", "arguments": {}})
        link.socket.shutdown(socket.SHUT_WR)
        until = time.monotonic() + PATIENCE
        while readable([link.fileno()], max(0.0, until - time.monotonic())):
            if link.receive()[0] is None:
                break
        else:
            log.warning(
                "signal.slow", extra={"hint": f"a receiver of worker_shutdown takes longer than {PATIENCE:g} s"}
            )
        link.close()


# In its process


def serve(instance: Instance, fd: int) -> None:
    """Call receivers until the supervisor hangs up.

    Args:
        instance: the worker.
        fd: this end of the link to the supervisor.
    """
    link = Link(socket.socket(fileno=os.dup(fd)))
    instance.app.child_started()
    signal.set_wakeup_fd(-1)
    listen(instance, link)
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()


def listen(instance: Instance, link: Link) -> None:
    """Call receivers until the other end of the link is closed."""
    leaving.pass_on_to(lambda asked: link.send(asked.as_message()))
    while (told := link.receive()[0]) is not None:
        call(instance, told["signal"], told["arguments"])


def call(instance: Instance, name: str, arguments: dict[str, Any]) -> None:
    """Call the receivers of one signal."""
    if name == "task_revoked":
        message = messages.decode(base64.b64decode(arguments["payload"]))
        request = Request(instance.app, instance.app.tasks.get(message.headers["task"]), message)
        signum = arguments["signum"]
        signals.task_revoked.send(request.task, request=request, terminated=True, signum=signum, expired=False)
    else:
        getattr(signals, name).send(instance, **arguments)


def _main() -> None:
    """Be a process that was started anew: import the app here."""
    from umbel.worker.loading import load_anew

    handed, options, app = load_anew(sys.argv[1])
    serve(Instance.of(app, options), handed["fd"])
    os._exit(0)


if __name__ == "__main__":
    _main()
