"""The states of a task as they come, in a loop of a thread and of an event loop."""

from __future__ import annotations

import asyncio
import threading
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from umbel import Umbel, context, states
from umbel.errors import OperationalError, TimeoutError
from umbel.record import Record
from umbel.serialization import json as codec


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch) -> Iterator[Umbel]:
    monkeypatch.setattr(context, "_default_app", [])
    with Umbel("shop", broker=f"memory://{uuid.uuid4().hex}") as app:
        yield app


def write(app: Umbel, *, until: int = 3) -> None:
    for number in range(until):
        app.store_state("1", "PROGRESS", {"done": number})
    app.results.store("1", Record(states.SUCCESS, codec.encode("end"), 0, 9_999_999_999_999), 60)


def test_a_loop_sees_the_states_up_to_the_end(app: Umbel) -> None:
    app.store_state("1", "PROGRESS", {"done": -1})
    updates = iter(app.AsyncResult("1").updates(timeout=20))
    assert next(updates).info == {"done": -1}
    write(app)
    seen = list(updates)
    assert [(one.state, one.info) for one in seen][-2:] == [("PROGRESS", {"done": 2}), ("SUCCESS", "end")]
    assert [one.ready() for one in seen] == [False, False, False, True]
    assert [one.info for one in app.AsyncResult("1").updates()] == ["end"]


def test_an_event_loop_sees_them_too(app: Umbel) -> None:
    async def scenario() -> list[Any]:
        seen = []
        async for update in app.AsyncResult("1").updates(timeout=20):
            seen.append(update.info)
            if len(seen) == 1:
                await asyncio.to_thread(write, app)
        return seen

    app.store_state("1", "PROGRESS", {"done": -1})
    assert asyncio.run(scenario()) == [{"done": -1}, {"done": 0}, {"done": 1}, {"done": 2}, "end"]


def test_a_slow_reader_misses_the_oldest_never_the_last(app: Umbel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("umbel.result.updates.MOST_WAITING", 5)
    app.store_state("1", "PROGRESS", {"done": -1})
    updates = iter(app.AsyncResult("1").updates(timeout=20))
    next(updates)
    write(app, until=50)
    seen = [update.info for update in updates]
    assert len(seen) == 5
    assert seen[-1] == "end"


def test_it_ends_after_its_time_and_when_the_app_is_closed(app: Umbel) -> None:
    with pytest.raises(TimeoutError, match="task 1 did not end within 0"):
        list(app.AsyncResult("1").updates(timeout=0.05))

    async def never() -> None:
        async for _ in app.AsyncResult("1").updates(timeout=0.05):
            pass

    with pytest.raises(TimeoutError):
        asyncio.run(never())
    updates = iter(app.AsyncResult("1").updates(timeout=20))
    app.store_state("1", "PROGRESS", 1)
    next(updates)
    app.close()
    with pytest.raises(OperationalError, match="its app was closed"):
        next(updates)


def test_get_tells_of_states_and_of_time(app: Umbel) -> None:
    messages: list[Any] = []
    beats = threading.Event()

    def on_interval() -> None:
        if not beats.is_set():
            beats.set()
            threading.Thread(target=write, args=(app,)).start()

    got = app.AsyncResult("1").get(timeout=20, interval=0.01, on_message=messages.append, on_interval=on_interval)
    assert got == "end"
    assert [message["status"] for message in messages] == ["PROGRESS"] * 3 + ["SUCCESS"]
    assert messages[-1]["result"] == "end"
