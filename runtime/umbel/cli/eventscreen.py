"""The screen of ``umbel events``: tasks as they run, the newest first; what is known of one; and what can be done about it."""

from __future__ import annotations

import os
import select
import sys
import termios
import threading
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from umbel import states
from umbel.errors import UmbelError
from umbel.events.state import State

if TYPE_CHECKING:
    from umbel.app import Umbel
    from umbel.events.records import Task

#: Seconds between two pictures where no key is pressed.
REFRESH: Final = 0.5
KEYS: Final = "j/k choose  i info  r result  t traceback  c revoke  l rate limit  e events on  q end"
_COLORS: Final = {
    states.SUCCESS: "green",
    states.FAILURE: "bold red",
    states.REVOKED: "magenta",
    states.RETRY: "yellow",
    states.STARTED: "cyan",
    states.REJECTED: "magenta",
}
_ARROWS: Final = {
    "\x1b[A": "k",
    "\x1b[B": "j",
    "\x1bOA": "k",
    "\x1bOB": "j",
    "\x1b[5~": "page up",
    "\x1b[6~": "page down",
}


class Screen:
    """What is shown, and what keys do. No terminal: it is told its size, and given keys.

    Args:
        app: whose workers are commanded.
        state: what the events add up to.
    """

    def __init__(self, app: Umbel, state: State) -> None:
        self._app = app
        self.state = state
        self.ended = False
        self.message = ""  #: what came of the last key
        self.selected: str | None = None
        self._page: tuple[str, str] | None = None  # title and text that are shown in place of the tasks
        self._top = 0  # first line of it that is shown
        self._asked: tuple[str, Callable[[str], str]] | None = None  # question, and what to do with the answer
        self._answer = ""
        self._rows = 10

    # Keys

    def key(self, key: str) -> None:
        """Take a key."""
        if self._asked is not None:
            self._type(key)
        elif key in ("\x03", "q") and (key == "\x03" or self._page is None):
            self.ended = True
        elif self._page is not None and key in ("q", "\x1b", "\r", "\n", "\x7f"):
            self._page = None
        else:
            self.message = ""
            self._do(key)

    def _do(self, key: str) -> None:
        steps = {"j": 1, "k": -1, "page down": self._rows, "page up": -self._rows}
        if key in steps:
            self._move(steps[key])
            return
        if key == "e":
            self._command(lambda: f"{_heard(self._app.control.enable_events())}: write events")
            return
        task = self._task()
        if key not in "irtcl" or not key:
            return
        if task is None:
            self.message = "no task is chosen: j and k choose one"
        elif key == "i":
            self._open("info", task, _info(task))
        elif key == "r":
            self._open("result", task, self._result(task))
        elif key == "t":
            self._open("traceback", task, str(task.traceback or "no traceback is known"))
        elif key == "c":
            self._ask(f"revoke {task.uuid}? y, or t to terminate it too", lambda answer: self._revoke(task, answer))
        else:
            self._ask(f"rate limit of {task.name} (as 100/m, 0 for none)", lambda answer: self._limit(task, answer))

    def _move(self, by: int) -> None:
        if self._page is not None:
            self._top = max(0, self._top + by)
            return
        shown = [uuid for uuid, _ in self.state.tasks_by_time()]
        if not shown:
            return
        at = shown.index(self.selected) if self.selected in shown else -1 if by > 0 else 0
        self.selected = shown[min(len(shown) - 1, max(0, at + by))]

    def _task(self) -> Task | None:
        return self.state.tasks.get(self.selected) if self.selected is not None else None

    def _open(self, what: str, task: Task, text: str) -> None:
        self._page, self._top = (f"{what} of {task.name} {task.uuid}", text), 0

    def _ask(self, question: str, then: Callable[[str], str]) -> None:
        self._asked, self._answer = (question, then), ""

    def _type(self, key: str) -> None:
        assert self._asked is not None
        if key in ("\r", "\n"):
            (_, then), self._asked = self._asked, None
            answer = self._answer
            self._command(lambda: then(answer.strip()))
        elif key in ("\x1b", "\x03"):
            self._asked, self.message = None, "left as it is"
        elif key == "\x7f":
            self._answer = self._answer[:-1]
        elif key.isprintable() and len(key) == 1:
            self._answer += key

    def _command(self, step: Callable[[], str]) -> None:
        try:
            self.message = step()
        except (UmbelError, ValueError) as error:
            self.message = str(error)

    def _revoke(self, task: Task, answer: str) -> str:
        if answer.lower() not in ("y", "yes", "t"):
            return "left as it is"
        heard = self._app.control.revoke(task.uuid, terminate=answer.lower() == "t")
        return f"{task.uuid} is revoked; {_heard(heard)} it"

    def _limit(self, task: Task, rate: str) -> str:
        if not rate:
            return "left as it is"
        return f"{_heard(self._app.control.rate_limit(task.name, rate))}: {task.name} at {rate}"

    def _result(self, task: Task) -> str:
        """Return the stored result; what the event told of it where there is none any more."""
        told: Any = getattr(task, "result", None) or getattr(task, "exception", None)
        try:
            result = self._app.AsyncResult(task.uuid)
            if result.ready():
                return f"{result.state}\n\n{result.result!r}"
        except UmbelError as error:
            return f"{told}\n\n{error}"
        return str(told) if told is not None else f"{task.state}: no result yet"

    # What is shown

    def render(self, width: int, height: int) -> RenderableType:
        """Return what is to be shown on a screen of this size."""
        workers = self._workers(width)
        self._rows = max(1, height - 5 - workers.row_count)
        body = self._tasks(width) if self._page is None else self._text(width)
        return Group(self._head(width), body, Text(""), workers, self._foot(width))

    def _head(self, width: int) -> Text:
        counts = "  ".join(f"{name} {count}" for name, count in self.state.counts().items())
        alive = len(self.state.alive_workers())
        text = f" umbel events   {alive} worker{'s' if alive != 1 else ''}   {len(self.state.tasks)} tasks   {counts}"
        return Text(text[:width].ljust(width), style="bold reverse", no_wrap=True, overflow="crop")

    def _tasks(self, width: int) -> RenderableType:
        found = self.state.tasks_by_time()
        if not found:
            return _filled(Text(_NOTHING if not self.state.workers else "no task yet"), self._rows + 1)
        at = next((number for number, (uuid, _) in enumerate(found) if uuid == self.selected), 0)
        first = max(0, min(at - self._rows // 2, len(found) - self._rows))
        table = Table(box=None, expand=True, padding=(0, 1), header_style="bold", show_edge=False)
        table.add_column("task", ratio=3, no_wrap=True, overflow="ellipsis")
        table.add_column("id", width=36 if width >= 110 else 8, no_wrap=True, overflow="crop")
        if width >= 80:
            table.add_column("worker", ratio=2, no_wrap=True, overflow="ellipsis")
        table.add_column("time", width=8, no_wrap=True)
        table.add_column("took", width=8, justify="right", no_wrap=True)
        table.add_column("state", width=8, no_wrap=True)
        for uuid, task in found[first : first + self._rows]:
            cells = [task.name or "?", uuid, *([task.hostname or "-"] if width >= 80 else [])]
            cells += [_clock(task.timestamp), _seconds(getattr(task, "runtime", None))]
            state = Text(task.state, style=_COLORS.get(task.state, ""))
            table.add_row(*map(Text, cells), state, style="reverse" if uuid == self.selected else "")
        return _filled(table, self._rows + 1, table.row_count + 1)

    def _text(self, width: int) -> RenderableType:
        assert self._page is not None
        title, text = self._page
        lines = [line[start : start + width] for line in text.splitlines() for start in range(0, len(line) or 1, width)]
        self._top = min(self._top, max(0, len(lines) - self._rows))
        shown = lines[self._top : self._top + self._rows]
        return _filled(Group(Text(title, style="bold"), *map(Text, shown)), self._rows + 1, len(shown) + 1)

    def _workers(self, width: int) -> Table:
        table = Table(box=None, expand=True, padding=(0, 1), header_style="bold", show_edge=False)
        for title in ("worker", "state", "runs", "ended", "load"):
            table.add_column(title, no_wrap=True, overflow="ellipsis")
        newest = sorted(self.state.workers.values(), key=lambda one: (not one.alive, one.hostname))
        for worker in newest[:5]:
            load = " ".join(f"{value:.2f}" for value in worker.loadavg or ())
            style = "" if worker.alive else "dim"
            told = (worker.hostname, worker.status_string.lower(), worker.active, worker.processed, load or None)
            table.add_row(*("-" if value is None else str(value) for value in told), style=style)
        if len(newest) > 5:
            table.add_row(f"… and {len(newest) - 5} more")
        return table

    def _foot(self, width: int) -> Text:
        if self._asked is not None:
            return Text(f"{self._asked[0]}: {self._answer}▏", style="bold yellow", no_wrap=True, overflow="crop")
        keys = KEYS if self._page is None else "j/k scroll  q back"
        text = self.message or keys
        return Text(text[:width], style="yellow" if self.message else "dim", no_wrap=True, overflow="ellipsis")


_NOTHING: Final = (
    "No events yet. Workers write them that were started with -E (or with worker_send_task_events); "
    "the key e tells those that run to begin."
)


def _filled(body: RenderableType, height: int, used: int = 1) -> RenderableType:
    """Return something with empty lines below it, so that what follows keeps its place."""
    return Group(body, *(Text("") for _ in range(max(0, height - used))))


def _heard(count: int) -> str:
    return f"{count} worker{'s' if count != 1 else ''} heard"


def _clock(timestamp: float | None) -> str:
    return "-" if not timestamp else f"{datetime.fromtimestamp(timestamp).astimezone():%H:%M:%S}"


def _seconds(runtime: Any) -> str:
    if not isinstance(runtime, (int, float)):
        return "-"
    if runtime < 1:
        return f"{runtime * 1000:.1f} ms" if runtime < 0.1 else f"{runtime * 1000:.0f} ms"
    return f"{runtime:.2f} s"


def _info(task: Task) -> str:
    """Return all that is known of a task, a field a line."""
    moments = ("sent", "received", "started", "succeeded", "failed", "retried", "rejected", "revoked")
    lines = []
    for name, value in task.as_dict().items():
        if value is None or name in ("traceback", "clock", "hostname", "timestamp"):
            continue
        if name == "runtime":
            value = _seconds(value)
        if name in moments and isinstance(value, float):
            value = datetime.fromtimestamp(value).astimezone().isoformat(sep=" ", timespec="milliseconds")
        lines.append(f"{name:<12} {value}")
    return "\n".join(lines)


# The terminal


def show(app: Umbel, since: float) -> None:
    """Show the screen until it is ended.

    Args:
        app: whose events are read.
        since: seconds back from now from which on.
    """
    state = State()
    screen = Screen(app, state)
    receiver = app.events.Receiver(handlers={"*": state.event}, since=since)
    receiver._log.newest()  # a broker that cannot be reached is told of here
    reading = threading.Thread(target=_read, args=(receiver, screen), name="umbel-events", daemon=True)
    reading.start()
    console = Console()
    with _raw(sys.stdin.fileno()), Live(console=console, screen=True, auto_refresh=False) as live:
        while not screen.ended:
            width, height = console.size
            live.update(screen.render(width, height), refresh=True)
            for key in _keys(sys.stdin.fileno(), REFRESH):
                screen.key(key)
    receiver.should_stop = True
    reading.join(2.0)


def _read(receiver: Any, screen: Screen) -> None:
    try:
        receiver.capture()
    except Exception as error:
        screen.message = f"no more events: {error}"


@contextmanager
def _raw(terminal: int) -> Iterator[None]:
    """Have keys come one by one, and not be shown."""
    before = termios.tcgetattr(terminal)
    tty.setcbreak(terminal)
    mode = termios.tcgetattr(terminal)
    mode[3] &= ~termios.ISIG  # Ctrl-C is a key too: it ends the screen
    termios.tcsetattr(terminal, termios.TCSADRAIN, mode)
    try:
        yield
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)


def _keys(terminal: int, timeout: float) -> list[str]:
    """Return the keys that were pressed, after the first one or the timeout."""
    try:
        if not select.select([terminal], [], [], timeout)[0]:
            return []
    except InterruptedError:  # the window has changed its size
        return []
    text = os.read(terminal, 1024).decode(errors="replace")
    if text in _ARROWS:
        return [_ARROWS[text]]
    return ["\x1b"] if text.startswith("\x1b") else list(text)
