"""What a child has fetched ahead never waits behind a long task while a neighbour has nothing to do."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
from benchmarks.mixed import Holdings, ideal, mixture
from tests.redis_server import RedisServer
from tests.workers import Worker, runs, until

from umbel import Umbel

QUEUE = "default"
WARM_UP = 400
BURST = 40
LONG = 0.8
#: No promise of speed: half of the long task, for whose end the messages would wait otherwise.
BOUND = LONG / 2


def send(app: Umbel, seconds: Sequence[float]) -> None:
    with app.batch():
        for number, duration in enumerate(seconds):
            app.send_task("tests.sample_app.work", (number, duration))


def owners(app: Umbel) -> list[str]:
    liveness = app.broker.liveness()
    try:
        return [owner.id for owner in liveness.owners()]
    finally:
        liveness.close()


@pytest.mark.parametrize("children", [2, 5])
def test_no_child_holds_a_task_while_a_neighbour_idles(
    redis_server: RedisServer,
    prefix: str,
    start_worker: Callable[..., Worker],
    producer: Callable[..., Umbel],
    children: int,
) -> None:
    worker = start_worker(redis_server, prefix, concurrency=children).wait_ready()
    app = producer(redis_server)
    until(lambda: len(owners(app)) == children, "all children are there")
    # They learn that tasks are short, and begin to fetch ahead: so one child takes a burst as a whole.
    send(app, [0.0] * WARM_UP)
    until(lambda: len(runs(worker.ledger)) == WARM_UP, "the short tasks have run")

    sent = WARM_UP
    for seconds in (*[mixture(1, BURST, long=LONG, short=0.0)] * 3, mixture(children, 200, long=LONG, short=0.001)):
        waited = []
        for _ in range(3):  # a busy machine is slow now and then; a child that holds on does so each time
            holdings = Holdings(redis_server.url, prefix, QUEUE, owners(app))
            send(app, seconds)
            sent += len(seconds)
            waited.append(holdings.watch(lambda sent=sent: len(runs(worker.ledger)) >= sent))  # type: ignore[misc]
            holdings.close()
            if waited[-1] < BOUND:
                break

        assert min(waited) < BOUND, f"tasks waited {waited} s beside an idle child"


def test_the_ideal_is_that_of_a_queue_without_costs() -> None:
    assert ideal([1.0, 0.5, 0.5, 1.0], children=2) == 2.0
    assert ideal([0.5, 0.5, 1.0], children=3) == 1.0
    assert sorted(mixture(2, 3, long=1.0, short=0.1)) == [0.1, 0.1, 0.1, 1.0, 1.0]
