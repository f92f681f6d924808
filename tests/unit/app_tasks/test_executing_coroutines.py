"""Tasks that are coroutine functions."""

from __future__ import annotations

import asyncio
import signal

import pytest
from tests.unit.app_tasks.executing import error_of, execute
from tests.unit.app_tasks.sent import take

from umbel import SoftTimeLimitExceeded, Umbel, awaiting, current_task, states


def test_a_coroutine_function_is_run_to_its_end(app: Umbel) -> None:
    @app.task(name="wait")
    async def wait(x: int) -> int:
        await asyncio.sleep(0)
        return x * 2 if not current_task.request.called_directly else -1

    wait.delay(3)
    wait.delay(4)
    assert [execute(app, message).value for message in take(app)] == [6, 8]

    async def inside_of_a_loop() -> int:
        return wait.apply((5,)).get()

    assert asyncio.run(inside_of_a_loop()) == 10


@pytest.mark.parametrize("in_worker", [True, False])
def test_a_soft_limit_cancels_a_coroutine_and_leaves_nothing_of_it(app: Umbel, in_worker: bool) -> None:
    log: list[str] = []

    @app.task(name="sleep")
    async def sleep(seconds: float) -> str:
        try:
            signal.setitimer(signal.ITIMER_REAL, seconds / 1000)  # not before it has begun, however slow that was
            await asyncio.sleep(seconds)
        finally:
            log.append("cleaned up")
        return "slept"

    def strike(*_: object) -> None:
        raise SoftTimeLimitExceeded("over")

    app.is_worker = in_worker
    sleep.delay(60)
    sleep.delay(0)
    first, second = take(app)
    before = signal.signal(signal.SIGALRM, strike)
    try:
        ended = execute(app, first, on_ended=lambda: signal.setitimer(signal.ITIMER_REAL, 0))
    finally:
        signal.signal(signal.SIGALRM, before)
    assert isinstance(error_of(ended), SoftTimeLimitExceeded)
    assert log == ["cleaned up"]
    assert execute(app, second).value == "slept"
    _close_loop()


def test_what_a_coroutine_leaves_running_is_cancelled(app: Umbel) -> None:
    log: list[str] = []

    async def background() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            log.append("cancelled")
            raise

    @app.task(name="start")
    async def start() -> None:
        log.append("started")
        start.kept = asyncio.create_task(background())  # type: ignore[attr-defined]
        await asyncio.sleep(0)

    app.is_worker = True
    start.delay()
    start.delay()
    for message in take(app):
        assert execute(app, message).state == states.SUCCESS
    assert log == ["started", "cancelled"] * 2
    _close_loop()


def _close_loop() -> None:
    """Close the loop that a worker would keep until it ends."""
    runner = getattr(awaiting._local, "runner", None)
    if runner is not None:
        awaiting._local.runner = None
        runner.close()
