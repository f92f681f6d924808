"""The supervisor's hold on the zygote: begun by fork before any thread runs, begun anew as a program if it dies."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
from dataclasses import asdict
from typing import Any

import orjson

from umbel.errors import ImproperlyConfigured
from umbel.worker.about import About
from umbel.worker.link import Link
from umbel.worker.options import WorkerOptions
from umbel.worker.slots import Slots

log = logging.getLogger("umbel.worker")

#: Seconds between two beginnings of a zygote that dies.
PAUSE = 2.0


class ZygoteHandle:
    """See the module.

    Args:
        about: where the zygote describes the app.
    """

    def __init__(self, about: About) -> None:
        self._about = about
        self.pid = 0
        self.threads = 1
        self.imported = True  #: the present one has imported the app
        self._link: Link | None = None
        self._begun = 0.0

    def begin(self, options: WorkerOptions, slots: Slots) -> dict[str, Any]:
        """Fork the zygote and wait for what it tells of the app. Before any thread runs.

        Raises:
            ImproperlyConfigured: the app cannot be imported, with the reason.
        """
        ours, theirs = Link.pair()
        supervisor = os.getpid()
        self.pid = os.fork()
        if self.pid == 0:
            ours.close()
            from umbel.worker import zygote

            zygote.main(options, theirs, slots, self._about, supervisor)
        theirs.close()
        self._link = ours
        self._begun = time.monotonic()
        message, _ = ours.receive()
        if message is None or message["what"] != "hello":
            os.waitpid(self.pid, 0)
            if message is not None and message.get("trace"):
                sys.stderr.write(message["trace"])
            raise ImproperlyConfigured(
                message["error"]
                if message
                else f"importing {options.app!r} ended the process: see what it printed above"
            )
        self.threads = message["threads"]
        if self.threads > 1:
            log.warning(
                "zygote.threads",
                extra={
                    "threads": self.threads,
                    "hint": "importing the app started threads: children are started anew instead of forked, which takes "
                    "more time and memory; start threads in tasks, not at import",
                },
            )
        return message

    def dismiss(self) -> None:
        """Have the zygote end, if there is one, and wait for that."""
        if self._link is not None:
            self.died()
            os.waitpid(self.pid, 0)

    def spawn(self, order: dict[str, Any], end: Link) -> bool:
        """Have a child made, or a process for a command; False if the zygote is gone. Any thread may ask."""
        link = self._link
        if link is None:
            return False
        return link.send({"what": "spawn", "anew": self.threads > 1, **order}, end.fileno())

    @property
    def lost(self) -> bool:
        """Whether there is no zygote."""
        return self._link is None

    def filenos(self) -> list[int]:
        """What to select on."""
        return [] if self._link is None else [self._link.fileno()]

    def hear(self) -> None:
        """Take in what the zygote says: after its beginning only that it is gone."""
        if self._link is not None:
            something, message = self._link.receive_waiting()
            if something and message is None:
                self.died()
            elif message is not None and message["what"] == "hello":
                self.imported = True
            elif message is not None and message["what"] == "failed":
                log.error("zygote.failed", extra={"error": message["error"]})

    def died(self) -> None:
        """The zygote is gone; the children live on, since they are the supervisor's."""
        if self._link is not None:
            self._link.close()
            self._link = None

    def begin_anew(self, options: WorkerOptions, slots: Slots) -> None:
        """Start the zygote as a program: this process has threads now, and must not fork."""
        if time.monotonic() - self._begun < PAUSE:
            return
        self._begun = time.monotonic()
        self.imported = False
        ours, theirs = Link.pair()
        fds = (theirs.fileno(), slots.fd, self._about.fd)
        handed = orjson.dumps(
            {
                "options": asdict(options),
                "fd": fds[0],
                "slots_fd": fds[1],
                "about_fd": fds[2],
                "slots": slots.count,
                "supervisor": os.getpid(),
            }
        )
        process = subprocess.Popen(
            [sys.executable, "-m", "umbel.worker.zygote", handed.decode()], pass_fds=fds, close_fds=True
        )
        # Not waited for here: the supervisor reaps all its children.
        process.returncode = 0
        self.pid = process.pid
        theirs.close()
        self._link = ours
