"""The screen of ``umbel events``, without a terminal: what it shows, and what its keys do."""

from __future__ import annotations

import io
import time
import uuid
from typing import Any

import pytest
from rich.console import Console

from umbel import Umbel
from umbel.cli.events import Span, line
from umbel.cli.eventscreen import Screen
from umbel.events.state import State
from umbel.testing import InMemoryWorker

NOW = time.time()


@pytest.fixture
def app() -> Umbel:
    return Umbel("seen", broker=f"memory://{uuid.uuid4().hex}", set_as_current=False)


def screen_of(app: Umbel, *events: dict[str, Any]) -> Screen:
    state = State()
    for number, event in enumerate(events):
        state.event({"hostname": "w1@one", "timestamp": NOW + number, "pid": 1, **event})
    return Screen(app, state)


def seen(screen: Screen, width: int = 120, height: int = 20) -> str:
    console = Console(file=io.StringIO(), width=width, height=height, force_terminal=False)
    console.print(screen.render(width, height))
    return console.file.getvalue()  # type: ignore[attr-defined]


STORY = (
    {"type": "worker-online", "freq": 3600, "active": 1, "processed": 7, "loadavg": [0.5, 0.4, 0.3]},
    {"type": "task-received", "uuid": "first", "name": "shop.add", "args": "[1]", "kwargs": "{}"},
    {"type": "task-received", "uuid": "second", "name": "shop.pay", "args": "[2]", "kwargs": "{}"},
    {"type": "task-failed", "uuid": "second", "exception": "LookupError()", "traceback": "Traceback\n  line 2"},
    {"type": "task-succeeded", "uuid": "first", "result": "3", "runtime": 0.0123},
)


def test_tasks_and_workers_are_seen_the_newest_first(app: Umbel) -> None:
    shown = seen(screen_of(app, *STORY))
    lines = shown.splitlines()
    assert "1 worker   2 tasks   FAILURE 1  SUCCESS 1" in lines[0]
    assert "shop.add" in lines[2]
    assert "12.3 ms" in lines[2]
    assert "shop.pay" in lines[3]
    assert "w1@one" in shown
    assert "online" in shown
    assert "c revoke" in lines[-1]


@pytest.mark.parametrize(("width", "height"), [(40, 8), (80, 24), (200, 60), (20, 3)])
def test_it_fits_whatever_the_size(app: Umbel, width: int, height: int) -> None:
    for lines in (seen(screen_of(app, *STORY), width, height), seen(screen_of(app), width, height)):
        assert all(len(one) <= width for one in lines.splitlines())


def test_without_events_it_says_what_to_do(app: Umbel) -> None:
    assert "-E" in seen(screen_of(app))


def test_choosing_and_reading(app: Umbel) -> None:
    screen = screen_of(app, *STORY)
    screen.key("i")
    assert "no task is chosen" in seen(screen)
    screen.key("j")
    screen.key("j")
    assert screen.selected == "second"
    screen.key("j")
    assert screen.selected == "second"
    screen.key("t")
    assert "traceback of shop.pay second" in seen(screen)
    assert "line 2" in seen(screen)
    screen.key("q")
    assert "traceback of" not in seen(screen)
    screen.key("k")
    screen.key("i")
    assert "result       3" in seen(screen)
    screen.key("\x1b")
    screen.key("q")
    assert screen.ended


def test_the_choice_stays_with_its_task(app: Umbel) -> None:
    screen = screen_of(app, *STORY)
    screen.key("j")
    assert screen.selected == "first"
    screen.state.event(
        {"type": "task-received", "uuid": "third", "name": "x", "hostname": "w1@one", "timestamp": NOW + 9}
    )
    assert screen.selected == "first"
    screen.key("k")
    assert screen.selected == "third"


def test_the_result_is_read_where_it_is_stored(app: Umbel) -> None:
    @app.task(name="shop.add")
    def add(x: int) -> int:
        return x + 1

    result = add.delay(1)
    InMemoryWorker(app).run()
    screen = screen_of(app, {"type": "task-received", "uuid": result.id, "name": "shop.add"})
    screen.key("j")
    screen.key("r")
    assert "SUCCESS" in seen(screen)
    assert "2" in seen(screen)


def test_revoking_asks_first(app: Umbel) -> None:
    screen = screen_of(app, *STORY)
    screen.key("j")
    screen.key("c")
    assert "revoke first?" in seen(screen)
    for key in "n\r":
        screen.key(key)
    assert "left as it is" in seen(screen)
    assert "first" not in app.broker.revoked()
    for key in "cy\r":
        screen.key(key)
    assert "first is revoked" in seen(screen)
    assert "first" in app.broker.revoked()


def test_a_rate_is_typed_and_what_is_none_is_refused(app: Umbel) -> None:
    screen = screen_of(app, *STORY)
    for key in ("j", "l", "5", "x", "\x7f", "/", "m", "\r"):
        screen.key(key)
    assert "shop.add at 5/m" in seen(screen)
    for key in "lnonsense\r":
        screen.key(key)
    assert "is no rate" in seen(screen)
    screen.key("l")
    screen.key("\x1b")
    assert "left as it is" in seen(screen)
    screen.key("\x03")
    assert screen.ended


def test_an_event_is_a_line() -> None:
    event = {"type": "task-failed", "timestamp": NOW, "hostname": "w1", "uuid": "a", "exception": "E('\n')", "pid": 1}
    assert line(event).endswith(" w1 task-failed [a] exception=E('\\n')")
    assert "\n" not in line(event)


@pytest.mark.parametrize(("text", "seconds"), [("90", 90), ("15m", 900), ("1.5h", 5400), ("2d", 172800), ("all", 0)])
def test_spans(text: str, seconds: float) -> None:
    assert Span().convert(text, None, None) == seconds
