"""Brokers and result backends are used by many threads at once: nothing is lost, nothing comes twice."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from tests.conformance.making import ends, ids, outgoing, owner, record, take

from umbel.broker.base import Broker, Consumer
from umbel.results.base import Results


def test_each_message_of_many_producers_reaches_one_of_many_consumers(broker: Broker) -> None:
    producers, each = 3, 400
    left = threading.Semaphore(0)
    done = threading.Event()

    def produce(number: int) -> None:
        for index in range(0, each, 20):
            broker.publish("q", [outgoing(f"{number}-{index + i}") for i in range(20)])

    def consume(number: int) -> list[str]:
        consumer = broker.consumer(owner("q"))
        consumer.register()
        bell = broker.bell()
        got: list[str] = []
        deliveries = take(consumer, "q", 0)
        while not done.is_set():
            batch = consumer.cycle("q", ends(deliveries), 10)
            deliveries = batch.deliveries
            got += ids(deliveries)
            if deliveries:
                left.release(len(deliveries))
            else:
                bell.ask(["q"], 0.1)
                bell.answer()
        consumer.cycle("q", ends(deliveries), 0)
        bell.close()
        consumer.close()
        return got

    with ThreadPoolExecutor(6) as pool:
        consuming = [pool.submit(consume, number) for number in range(3)]
        producing = [pool.submit(produce, number) for number in range(producers)]
        for future in producing:
            future.result(60.0)
        for _ in range(producers * each):
            assert left.acquire(timeout=20.0)
        done.set()
        got = [task for future in consuming for task in future.result(20.0)]
    assert sorted(got) == sorted(f"{number}-{index}" for number in range(producers) for index in range(each))
    assert broker.info("q").in_flight == 0


def test_many_threads_wait_and_store(results_factory: Callable[[], Results]) -> None:
    waiting, writer = results_factory(), results_factory()
    names = [str(number) for number in range(200)]

    def wait(name: str) -> bytes:
        return waiting.wait(name).result(20.0).value

    with ThreadPoolExecutor(8) as pool:
        values = [pool.submit(wait, name) for name in names[:6]]
        stored = [pool.submit(writer.store, name, record(value=name.encode()), 60.0) for name in names]
        values += [pool.submit(wait, name) for name in names[6:]]
        assert all(future.result(20.0) for future in stored)
        assert [future.result(20.0) for future in values] == [name.encode() for name in names]


def test_reapers_that_bury_at_the_same_time_move_each_message_once(
    broker: Broker, consumers: Callable[..., Consumer]
) -> None:
    broker.publish("q", [outgoing(str(number)) for number in range(600)])
    dead = consumers()
    while take(dead, "q"):
        pass

    def bury() -> int:
        liveness = broker.liveness()
        try:
            return liveness.bury(dead.owner.id) or 0
        finally:
            liveness.close()

    with ThreadPoolExecutor(4) as pool:
        moved = [future.result(20.0) for future in [pool.submit(bury) for _ in range(4)]]
    assert sum(moved) == 600
    info = broker.info("q")
    assert (info.ready, info.in_flight) == (600, 0)
