"""Connections break around the question whether a task may run: it runs once, and nobody keeps a place."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator

import pytest
from tests.chaos.proxy import Act, ChaosProxy, each
from tests.redis_server import RedisServer
from tests.workers import Worker, until

from umbel import Umbel
from umbel.redis import scripts


@pytest.fixture
def proxy(redis_server: RedisServer) -> Iterator[ChaosProxy]:
    with redis_server.client() as client:
        for script in (scripts.admit, scripts.cycle):
            client.script_load(script.text)
    proxy = ChaosProxy(redis_server.port)
    proxy.start()
    yield proxy
    proxy.stop()


@pytest.mark.timeout(180)
@pytest.mark.parametrize("nth", [2, 5])
def test_places_on_a_line_that_breaks_again_and_again(
    nth: int,
    proxy: ChaosProxy,
    redis_server: RedisServer,
    prefix: str,
    start_worker: Callable[..., Worker],
    producer: Callable[..., Umbel],
) -> None:
    app = producer(redis_server)
    workers = [start_worker(proxy, prefix).wait_ready() for _ in range(2)]
    proxy.rule = each(nth, b"EVALSHA")
    customers = ("ann", "bob")
    results = [
        app.send_task("tests.sample_app.for_customer", (name, number)) for number in range(40) for name in customers
    ]
    assert [result.get(timeout=90) for result in results] == [number for number in range(40) for _ in customers]
    assert proxy.cut[b"EVALSHA"] > 10
    proxy.rule = lambda command: Act.PASS
    running: Counter[str] = Counter()
    ended: Counter[tuple[str, str]] = Counter()
    for line in workers[0].ledger.read_text().splitlines():
        word, name, number = line.split()
        running[name] += 1 if word == "begin" else -1
        assert running[name] in (0, 1), "two of one customer ran at once"
        ended[name, number] += word == "end"
    assert set(ended.values()) == {1}
    until(lambda: app.broker.info("default").in_flight == 0, "nothing is stuck")
    info = app.broker.info("default")
    assert (info.ready, info.parked) == (0, 0)
    with redis_server.client() as client:
        until(lambda: not client.exists(f"{prefix}:{{default}}:hold"), "all places are free")
