"""The live table of a terminal, with the lines of the pods above it."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from umbel_operator.local.output import Line, TaskEnd
from umbel_operator.local.pod import Phase
from umbel_operator.local.screen import SELF, format_line
from umbel_operator.local.snapshot import PodRow, QueueRow, ScheduleRow, Snapshot

_POD_STYLES: Final = ("cyan", "magenta", "green", "blue", "bright_cyan", "bright_magenta")
_PHASE_STYLES: Final = {
    Phase.READY: "green",
    Phase.STARTING: "yellow",
    Phase.WAITING: "red",
    Phase.DRAINING: "yellow",
    Phase.GONE: "dim",
}
_WORD_STYLES: Final = {"succeeded": "green", "failed": "red", "dead": "bold red", "retried": "yellow"}
#: Events that the table shows, so that they need no line of their own.
_IN_TABLE: Final = frozenset({"task.success", "schedule.enqueued"})
#: From this width on, two tables stand side by side.
WIDE: Final = 110
#: Lines of the screen that stay free for what the pods say.
FREE_LINES: Final = 8
TASK_ROWS: Final = 8


class TableScreen:
    """See the module."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live: Live | None = None
        self._began = time.monotonic()
        self._exports: Sequence[str] = ()
        self._styles: dict[str, str] = {}

    def start(self, heading: Sequence[str], exports: Sequence[str]) -> None:
        """See `Screen`; the exports stay in sight."""
        for text in heading:
            self._console.print(Text(text), soft_wrap=True)
        self._exports = exports
        self._live = Live(console=self._console, auto_refresh=False, transient=True, vertical_overflow="crop")
        self._live.start()

    def say(self, source: str, text: str, level: int = logging.INFO) -> None:
        """See `Screen`."""
        for part in text.splitlines():
            self._print(source, Text(part, _level_style(level)))

    def line(self, pod: str, line: Line) -> None:
        """See `Screen`; what goes well stands in the table only."""
        if line.event in _IN_TABLE:
            return
        self._print(pod, Text(format_line(line), _level_style(line.level)))
        for part in line.traceback.splitlines():
            self._print(pod, Text(f"  {part}", "dim"))

    def show(self, snapshot: Snapshot) -> None:
        """See `Screen`."""
        if self._live is not None:
            height = max(6, self._console.height - FREE_LINES)
            elapsed = timedelta(seconds=round(time.monotonic() - self._began))
            rendered = render(snapshot, self._exports, elapsed, self._console.width, height, datetime.now(UTC))
            self._live.update(rendered, refresh=True)

    def stop(self, summary: Sequence[str]) -> None:
        """See `Screen`."""
        if self._live is not None:
            self._live.stop()
            self._live = None
        for text in summary:
            self._console.print(Text(text), soft_wrap=True)

    def _print(self, source: str, text: Text) -> None:
        style = "bold" if source == SELF else self._style(source)
        self._console.print(Text.assemble((source, style), (" | ", "dim"), text), soft_wrap=True)

    def _style(self, pod: str) -> str:
        return self._styles.setdefault(pod, _POD_STYLES[len(self._styles) % len(_POD_STYLES)])


def render(
    snapshot: Snapshot, exports: Sequence[str], elapsed: timedelta, width: int, height: int, now: datetime
) -> RenderableType:
    """Return the table for a screen of that size in characters."""
    left: list[RenderableType] = [_queues(snapshot.queues)]
    if snapshot.schedules:
        left += [Text(), _schedules(snapshot.schedules, now)]
    right: RenderableType = _pods(snapshot.pods)
    body: list[RenderableType] = [_head(snapshot, elapsed)]
    body += [Text(text, "dim", no_wrap=True, overflow="ellipsis") for text in exports]
    if width >= WIDE:
        grid = Table.grid(padding=(0, 4), expand=True)
        grid.add_column(ratio=3)
        grid.add_column(ratio=2)
        grid.add_row(Group(*left), right)
        body.append(grid)
        used = 2 + max(
            len(snapshot.queues) + 1 + (len(snapshot.schedules) + 2) * bool(snapshot.schedules), len(snapshot.pods)
        )
    else:
        body += [*left, Text(), right]
        used = 6 + len(snapshot.queues) + len(snapshot.schedules) + len(snapshot.pods)
    warnings = _warnings(snapshot)
    rows = max(0, min(TASK_ROWS, height - used - len(exports) - len(warnings) - 2))
    if rows and snapshot.tasks.last:
        body += [Text(), _tasks(list(snapshot.tasks.last)[-rows:])]
    return Group(*body, *warnings)


def _head(snapshot: Snapshot, elapsed: timedelta) -> Text:
    counts = snapshot.tasks.counts
    parts = [f"{counts[word]} {word}" for word in counts if counts[word]] or ["no task has ended yet"]
    head = Text.assemble(("umbel up ", "bold"), f"{elapsed}   tasks: {', '.join(parts)}   ", ("Ctrl-C ends", "dim"))
    if snapshot.redis_error:
        head.append(f"   Redis: {snapshot.redis_error}", "bold red")
    head.no_wrap, head.overflow = True, "ellipsis"
    return head


def _table(*columns: str, right: Sequence[str] = ()) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", pad_edge=False)
    for column in columns:
        justify = "right" if column in right else "left"
        table.add_column(column, justify=justify, no_wrap=True, overflow="ellipsis")  # type: ignore[arg-type]
    return table


def _queues(rows: Sequence[QueueRow]) -> Table:
    numbers = ("READY", "DELAYED", "IN FLIGHT", "DEAD", "OLDEST")
    table = _table("QUEUE", *numbers, right=numbers)
    for row in rows:
        name = Text(row.name, "bold")
        if row.held:
            name.append(" held", "yellow")
        dead = Text(str(row.dead), "red" if row.dead else "")
        oldest = _span(timedelta(seconds=row.oldest)) if row.ready else "-"
        table.add_row(name, str(row.ready), str(row.delayed), str(row.in_flight), dead, oldest)
    return table


def _pods(rows: Sequence[PodRow]) -> Table:
    table = _table("POD", "STATE", "BUSY", "RESTARTS", right=("BUSY", "RESTARTS"))
    for row in rows:
        busy = f"{row.load.busy}/{row.load.slots}" if row.is_worker and row.load.slots else "-"
        restarts = Text(str(row.restarts), "red" if row.restarts else "dim")
        table.add_row(Text(row.name, "bold"), Text(row.phase.value, _PHASE_STYLES[row.phase]), busy, restarts)
    return table


def _schedules(rows: Sequence[ScheduleRow], now: datetime) -> Table:
    table = _table("SCHEDULE", "WHEN", "TASK", "LAST", "NEXT")
    for row in rows:
        last = f"{_span(now - row.last)} ago" if row.last is not None else "-"
        upcoming = "suspended" if row.suspended else f"in {_span(row.next - now)}" if row.next is not None else "-"
        table.add_row(Text(row.name, "bold"), row.text, row.task, last, upcoming)
    return table


def _tasks(rows: Sequence[TaskEnd]) -> Table:
    table = _table("LAST TASKS", "HOW", "TOOK", "ID", "POD", "", right=("TOOK",))
    for row in rows:
        took = _short(row.runtime) if row.runtime is not None else ""
        how = Text(row.word, _WORD_STYLES.get(row.word, ""))
        at = row.at.astimezone().strftime("%H:%M:%S")
        table.add_row(Text.assemble((f"{at} ", "dim"), row.task), how, took, row.task_id[:8], row.pod, row.error)
    return table


def _warnings(snapshot: Snapshot) -> list[RenderableType]:
    texts = [(str(notice), "red" if notice.is_trouble else "yellow") for notice in snapshot.notices]
    texts += [(problem, "red") for problem in snapshot.problems]
    rows: list[RenderableType] = []
    for text, style in texts:
        first, *more = text.splitlines() or [""]
        row = Text(f"! {first}{' …' if more else ''}", style, no_wrap=True, overflow="ellipsis")
        rows.append(row)
    return [Text(), *rows] if rows else []


def _span(span: timedelta) -> str:
    seconds = max(0, round(span.total_seconds()))
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60}:{seconds % 60:02d} min"
    return f"{seconds // 3600}:{seconds % 3600 // 60:02d} h" if seconds < 86_400 else f"{seconds // 86_400} d"


def _short(seconds: float) -> str:
    if seconds >= 100:
        return _span(timedelta(seconds=seconds))
    return f"{seconds:.1f} s" if seconds >= 1 else f"{seconds * 1000:.{0 if seconds >= 0.01 else 1}f} ms"


def _level_style(level: int) -> str:
    return "red" if level >= logging.ERROR else "yellow" if level >= logging.WARNING else ""
