"""Threads and event loops that send and wait in one process, with one app."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from tests.redis_server import RedisServer
from tests.workers import Worker

from umbel import Umbel


def test_sync_and_async_clients_work_side_by_side(
    redis_server: RedisServer, prefix: str, start_worker: Callable[..., Worker]
) -> None:
    # Given one app, two event loops in threads of their own, and two threads without one
    start_worker(redis_server, prefix).wait_ready()
    app = Umbel("both", broker=redis_server.url, key_prefix=prefix)

    @app.task(name="tests.sample_app.add")
    def add(x: int, y: int) -> int:
        raise AssertionError("it runs in a worker")

    together = threading.Barrier(4)

    async def send(number: int) -> int:
        result = await add.adelay(number, 1)
        return await result

    async def all_of_them() -> list[int]:
        together.wait(30)
        sent = await add.aapply_async((0, 0), ignore_result=False)
        assert await sent == 0
        return await asyncio.gather(*(send(number) for number in range(50)))

    def in_loop() -> list[int]:
        return asyncio.run(all_of_them())

    def in_thread() -> list[int]:
        together.wait(30)
        results = [add.delay(number, 1) for number in range(50)]
        return [result.get(timeout=60) for result in results]

    # When all send and wait at once
    with ThreadPoolExecutor(4) as pool:
        found = [future.result(90) for future in [pool.submit(call) for call in (in_loop, in_thread) * 2]]
    app.close()
    # Then each gets its own results
    assert found == [list(range(1, 51))] * 4
