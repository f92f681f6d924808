"""Waiting threads read the inbox themselves, by turns; a background thread reads only where others wait than the one that reads."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeout
from types import FrameType

import pytest
from tests.conformance.making import record
from tests.redis_server import RedisServer
from tests.workers import until

from umbel.record import Record
from umbel.results.redis import RedisResults


@pytest.fixture
def results(redis_server: RedisServer, prefix: str) -> Iterator[RedisResults]:
    results = RedisResults(redis_server.url, prefix=prefix)
    yield results
    results.close()


@pytest.fixture
def others(redis_server: RedisServer, prefix: str) -> Iterator[RedisResults]:
    """Stand for workers."""
    results = RedisResults(redis_server.url, prefix=prefix)
    yield results
    results.close()


class Replies:
    """Write records and replies as a worker does."""

    def __init__(self, server: RedisServer, prefix: str, results: RedisResults) -> None:
        with pytest.raises(FutureTimeout):
            results.wait_for("the first wait makes the inbox", 0.01)
        self._server, self._prefix = server, prefix
        self.inbox = results.inbox()

    def reply(self, *task_ids: str) -> None:
        key = f"{self._prefix}:{{inbox:{self.inbox}}}"
        with self._server.client() as client, client.pipeline() as pipeline:
            for task_id in task_ids:
                raw = record(value=task_id.encode()).encode()
                pipeline.set(f"{self._prefix}:{{{task_id}}}:res", raw, ex=60)
                pipeline.rpush(key, task_id.encode() + b"\n" + raw)
                pipeline.expire(key, 60)
            pipeline.execute()

    def after(self, seconds: float, *task_ids: str) -> None:
        threading.Timer(seconds, self.reply, task_ids).start()


@pytest.fixture
def replies(redis_server: RedisServer, prefix: str, results: RedisResults) -> Replies:
    return Replies(redis_server, prefix, results)


def background_threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name == "umbel-results"}


def value(found: Record) -> str:
    return found.value.decode()


def test_a_thread_that_waits_for_one_result_after_the_other_needs_no_other_thread(
    results: RedisResults, replies: Replies
) -> None:
    before = background_threads()
    for number in range(20):
        if number % 2:
            replies.after(0.01, f"task-{number}")
        else:
            replies.reply(f"task-{number}")  # it is there before anybody waits
        assert value(results.wait_for(f"task-{number}", 15.0, replies.inbox)) == f"task-{number}"
    assert background_threads() == before


def test_threads_that_wait_at_the_same_time_each_get_their_own(results: RedisResults, replies: Replies) -> None:
    with ThreadPoolExecutor(16) as pool:
        waits = [pool.submit(results.wait_for, f"{number}", 15.0, replies.inbox) for number in range(300)]
        for start in range(0, 300, 20):
            replies.reply(*(f"{number}" for number in reversed(range(start, start + 20))))
        assert [value(wait.result(20.0)) for wait in waits] == [f"{number}" for number in range(300)]


def test_one_who_gives_up_hands_on_the_reading(results: RedisResults, replies: Replies) -> None:
    def give_up() -> None:
        with pytest.raises(FutureTimeout):
            results.wait_for("never", 2.0, replies.inbox)

    reading = threading.Thread(target=give_up)
    reading.start()
    inbox = results._inbox
    assert inbox is not None
    until(inbox._turn.locked, "somebody reads")
    with ThreadPoolExecutor(2) as pool:
        waits = [pool.submit(results.wait_for, name, 15.0, replies.inbox) for name in ("a", "b")]
        reading.join(15.0)
        replies.reply("b", "a")
        assert [value(wait.result(20.0)) for wait in waits] == ["a", "b"]


def test_one_who_is_interrupted_hands_on_the_reading(results: RedisResults, replies: Replies) -> None:
    other = ThreadPoolExecutor(1)

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise InterruptedError("by the test")

    before = signal.signal(signal.SIGUSR1, interrupt)
    try:

        def wait_and_interrupt() -> str:
            inbox = results._inbox
            assert inbox is not None
            until(inbox._turn.locked, "the main thread reads")
            threading.Timer(0.1, signal.raise_signal, [signal.SIGUSR1]).start()
            threading.Timer(0.5, replies.reply, ["b"]).start()
            return value(results.wait_for("b", 15.0, replies.inbox))

        wait = other.submit(wait_and_interrupt)
        with pytest.raises(InterruptedError):
            results.wait_for("a", 15.0, replies.inbox)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert wait.result(20.0) == "b"
    replies.after(0.05, "c")
    assert value(results.wait_for("c", 15.0, replies.inbox)) == "c"
    other.shutdown()


def test_futures_are_served_while_a_thread_reads_and_after(results: RedisResults, replies: Replies) -> None:
    futures = [results.wait(f"{number}", replies.inbox) for number in range(50)]
    replies.after(0.05, "mine", *(f"{number}" for number in range(25)))
    assert value(results.wait_for("mine", 15.0, replies.inbox)) == "mine"
    replies.reply(*(f"{number}" for number in range(25, 50)))
    assert [value(future.result(15.0)) for future in futures] == [f"{number}" for number in range(50)]


def test_a_thread_that_reads_goes_on_after_the_connection_broke(
    redis_server: RedisServer, results: RedisResults, replies: Replies
) -> None:
    def cut_then_reply() -> None:
        inbox = results._inbox
        assert inbox is not None
        until(inbox._turn.locked, "somebody reads")
        time.sleep(0.1)
        connection = inbox._connection
        assert connection is not None
        connection._socket.shutdown(2)
        replies.reply("a")

    cutting = threading.Thread(target=cut_then_reply)
    cutting.start()
    assert value(results.wait_for("a", 15.0, replies.inbox)) == "a"
    cutting.join(15.0)


def test_what_another_process_sent_is_waited_for_by_a_watch(results: RedisResults, others: RedisResults) -> None:
    storing = threading.Timer(0.1, others.store, ("a", record(value=b"7"), 60.0))
    storing.start()
    assert value(results.wait_for("a", 15.0, None)) == "7"
    storing.join()  # it gives its connection back to a pool that is closed next
