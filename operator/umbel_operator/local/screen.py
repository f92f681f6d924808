"""What the parts tell people, and the plain form of telling it: one line after the other."""

from __future__ import annotations

import logging
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final, Protocol, TextIO

from umbel_operator.local.output import Line
from umbel_operator.local.snapshot import Snapshot

#: Successes that are told one by one in a second; the rest is counted.
SUCCESSES_PER_SECOND: Final = 50
#: Seconds between two lines with numbers, at least.
STATUS_PERIOD: Final = 10.0
#: Name under which `umbel up` itself speaks.
SELF: Final = "umbel up"


class Screen(Protocol):
    """Where everything is told."""

    def start(self, heading: Sequence[str], exports: Sequence[str]) -> None:
        """Begin, with some lines that say what runs where, and how producers find it."""

    def say(self, source: str, text: str, level: int = logging.INFO) -> None:
        """Tell one line of `umbel up`, about a pod (source) or itself."""

    def line(self, pod: str, line: Line) -> None:
        """Tell one line of a pod."""

    def show(self, snapshot: Snapshot) -> None:
        """Show the present state; called every second."""

    def stop(self, summary: Sequence[str]) -> None:
        """End, with some lines that say what came of it."""


def format_line(line: Line) -> str:
    """Return a line as people read it: time, level and text for a record, else the text alone."""
    if not line.event:
        return line.text
    clock = (line.at or datetime.now().astimezone()).astimezone().strftime("%H:%M:%S")
    return f"{clock} {logging.getLevelName(max(line.level, logging.INFO)):<7} {line.text}"


def status_line(snapshot: Snapshot) -> str:
    """Return the numbers in one line."""
    queues = "; ".join(
        f"{q.name} {q.ready} ready, {q.in_flight} in flight, {q.dead} dead"
        + (f", {q.delayed} delayed" * bool(q.delayed))
        for q in snapshot.queues
    )
    workers = [pod for pod in snapshot.pods if pod.is_worker]
    ready = sum(pod.phase == "ready" for pod in workers)
    busy = sum(pod.load.busy for pod in workers)
    return f"queues: {queues or 'none'} | workers: {ready} of {len(workers)} ready, {busy} tasks running"


class PlainScreen:
    """Prints lines.

    broken: called when nobody reads them any more.
    """

    def __init__(self, broken: Callable[[], None], out: TextIO | None = None) -> None:
        self._out = out if out is not None else sys.stdout
        self._broken = broken
        self._is_broken = False
        self._second = 0
        self._successes = 0
        self._untold: Counter[str] = Counter()
        self._status = ""
        self._status_at = float("-inf")

    def start(self, heading: Sequence[str], exports: Sequence[str]) -> None:
        """See `Screen`."""
        for text in (*heading, *exports):
            self._print(text)

    def say(self, source: str, text: str, level: int = logging.INFO) -> None:
        """See `Screen`."""
        for part in text.splitlines():
            self._print(f"{source} | {part}")

    def line(self, pod: str, line: Line) -> None:
        """See `Screen`."""
        if line.is_success and self._is_too_much():
            self._untold[pod] += 1
            return
        self._print(f"{pod} | {format_line(line)}")
        for part in line.traceback.splitlines():
            self._print(f"{pod} |   {part}")

    def show(self, snapshot: Snapshot) -> None:
        """See `Screen`."""
        self._tell_untold()
        text = status_line(snapshot)
        if text != self._status and time.monotonic() - self._status_at >= STATUS_PERIOD:
            self._status, self._status_at = text, time.monotonic()
            self._print(f"{SELF} | {text}")

    def stop(self, summary: Sequence[str]) -> None:
        """See `Screen`."""
        self._tell_untold()
        for text in summary:
            self._print(text)

    def _is_too_much(self) -> bool:
        second = int(time.monotonic())
        if second != self._second:
            self._second, self._successes = second, 0
        self._successes += 1
        return self._successes > SUCCESSES_PER_SECOND

    def _tell_untold(self) -> None:
        for pod, count in self._untold.items():
            self._print(f"{pod} | {count} more tasks succeeded")
        self._untold.clear()

    def _print(self, text: str) -> None:
        if self._is_broken:
            return
        try:
            self._out.write(f"{text}\n")
            self._out.flush()
        except BrokenPipeError:
            self._is_broken = True
            # What is buffered must go somewhere, else the interpreter complains when it flushes at its end.
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._out.fileno())
            os.close(nowhere)
            self._broken()
