"""Whoever is cancelled while a thread begins to wait for it leaves nothing behind that waits on."""

from __future__ import annotations

import asyncio
import threading
import uuid
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
from tests.workers import until

from umbel import Umbel
from umbel.results.memory import MemoryResults


@pytest.fixture
def app() -> Iterator[Umbel]:
    with Umbel("shop", broker=f"memory://{uuid.uuid4().hex}", set_as_current=False) as app:
        yield app


async def _first(updates: Any) -> None:
    async for _ in updates:
        return


async def _wait(awaited: Any) -> None:
    await awaited


WAYS: dict[str, tuple[str, Callable[[Umbel], Awaitable[None]]]] = {
    "one": ("wait", lambda app: _wait(app.AsyncResult("a"))),
    "many": ("wait_many", lambda app: _wait(app.ResultSet([app.AsyncResult("a"), app.AsyncResult("b")]))),
    "updates": ("listen", lambda app: _first(app.AsyncResult("a").updates())),
}


@pytest.mark.parametrize("ended", ["before the loop", "after the loop"])
@pytest.mark.parametrize("way", sorted(WAYS))
def test_nothing_is_left_behind(app: Umbel, way: str, ended: str, monkeypatch: pytest.MonkeyPatch) -> None:
    method, wait = WAYS[way]
    results: Any = app.results
    assert isinstance(results, MemoryResults)
    begun, go_on, done = threading.Event(), threading.Event(), threading.Event()
    inner = getattr(results, method)

    def slow(*args: Any) -> Any:
        begun.set()
        assert go_on.wait(30.0)
        try:
            return inner(*args)
        finally:
            done.set()

    monkeypatch.setattr(results, method, slow)

    async def scenario() -> None:
        task = asyncio.ensure_future(wait(app))
        assert await asyncio.to_thread(begun.wait, 30.0)
        task.cancel()
        if ended == "after the loop":
            threading.Timer(0.1, go_on.set).start()
        else:
            go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(scenario())
    assert done.wait(30.0)
    until(lambda: not results._waiting and not results._listeners, "nobody waits any more")
