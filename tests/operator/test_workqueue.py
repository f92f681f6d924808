"""The work queue against a simulated clock."""

import asyncio

import pytest

from umbel_operator.runtime.workqueue import BACKGROUND_SHARE, LAST_WAIT, RETRY_BURST, WorkQueue


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def queue(clock: Clock) -> WorkQueue[str]:
    return WorkQueue(clock, rng=lambda: 0.5)


def drain(queue: WorkQueue[str]) -> list[str]:
    keys = []
    while (key := queue.pop()) is not None:
        keys.append(key)
        queue.done(key)
    return keys


def test_a_key_added_twice_is_worked_on_once(queue: WorkQueue[str]) -> None:
    queue.add("a")
    queue.add("b")
    queue.add("a")
    assert drain(queue) == ["a", "b"]


def test_a_key_in_work_is_not_handed_out_again_but_afterwards(queue: WorkQueue[str]) -> None:
    queue.add("a")
    assert queue.pop() == "a"
    queue.add("a")
    queue.add("a")
    assert queue.pop() is None
    queue.done("a")
    assert queue.pop() == "a"
    queue.done("a")
    assert queue.pop() is None


def test_a_delayed_key_gets_ready_at_its_time_and_the_earliest_wish_holds(queue: WorkQueue[str], clock: Clock) -> None:
    queue.add_after("a", 10)
    queue.add_after("a", 5)
    queue.add_after("a", 20)
    clock.now += 4.9
    assert queue.pop() is None
    assert queue.next_due() == pytest.approx(1005)
    clock.now += 0.1
    assert drain(queue) == ["a"]
    clock.now += 100
    assert queue.pop() is None


def test_taking_a_key_into_work_drops_its_timer(queue: WorkQueue[str], clock: Clock) -> None:
    queue.add_after("a", 5)
    queue.add("a")
    assert drain(queue) == ["a"]
    clock.now += 10
    assert queue.pop() is None


def test_a_timer_set_while_in_work_stays(queue: WorkQueue[str], clock: Clock) -> None:
    queue.add("a")
    assert queue.pop() == "a"
    queue.add_after("a", 5)
    queue.done("a")
    assert queue.pop() is None
    clock.now += 5
    assert queue.pop() == "a"


def test_a_debounced_key_waits_for_quiet_and_no_longer_than_the_limit(queue: WorkQueue[str], clock: Clock) -> None:
    queue.add_debounced("a", quiet=0.5, limit=3)
    for _ in range(5):
        clock.now += 0.4
        assert queue.pop() is None
        queue.add_debounced("a", quiet=0.5, limit=3)
    clock.now += 0.5
    assert drain(queue) == ["a"]

    queue.add_debounced("b", quiet=0.5, limit=3)
    for _ in range(7):
        clock.now += 0.4
        queue.add_debounced("b", quiet=0.5, limit=3)
    assert queue.pop() is None
    clock.now += 0.21
    assert drain(queue) == ["b"]


def test_a_debounce_does_not_postpone_a_timer(queue: WorkQueue[str], clock: Clock) -> None:
    queue.add_after("a", 0.1)
    queue.add_debounced("a", quiet=0.5, limit=3)
    clock.now += 0.1
    assert drain(queue) == ["a"]


def test_failures_wait_longer_each_time_up_to_a_minute_and_success_starts_anew(
    queue: WorkQueue[str], clock: Clock
) -> None:
    waits = [queue.retry("a") for _ in range(9)]
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    queue.forget("a")
    assert queue.retry("a") == 1


@pytest.mark.parametrize("draw", [0.0, 0.25, 0.999])
def test_jitter_stays_between_one_second_and_a_minute(clock: Clock, draw: float) -> None:
    queue: WorkQueue[str] = WorkQueue(clock, rng=lambda: draw)
    for _ in range(12):
        assert 1.0 <= queue.retry("a") <= LAST_WAIT


def test_the_server_may_ask_for_a_longer_wait(queue: WorkQueue[str], clock: Clock) -> None:
    assert queue.retry("a", at_least=33) == 33
    assert queue.next_due() == clock.now + 33


def test_a_storm_of_errors_is_spread_while_fresh_keys_are_not(queue: WorkQueue[str], clock: Clock) -> None:
    keys = [str(n) for n in range(1000)]
    waits = [queue.retry(key) for key in keys]
    assert max(waits[: int(RETRY_BURST)]) == 1.0
    assert waits[-1] == pytest.approx((1000 - RETRY_BURST) / 20)
    for key in keys:
        queue.add(f"fresh-{key}")
    assert len(drain(queue)) == 1000


def test_background_keys_wait_behind_the_others_but_do_not_starve(queue: WorkQueue[str]) -> None:
    queue.add("numbers", background=True)
    for n in range(20):
        queue.add(str(n))
    assert drain(queue).index("numbers") == BACKGROUND_SHARE - 1


def test_a_background_key_that_becomes_urgent_moves_up(queue: WorkQueue[str]) -> None:
    queue.add("x", background=True)
    queue.add("y", background=True)
    queue.add("y")
    assert drain(queue) == ["y", "x"]


def test_depth_and_age_of_the_oldest(queue: WorkQueue[str], clock: Clock) -> None:
    assert (len(queue), queue.oldest()) == (0, 0.0)
    queue.add("a")
    clock.now += 7
    queue.add("b", background=True)
    assert (len(queue), queue.oldest(), list(queue.waiting())) == (2, 7.0, ["a", "b"])


async def _race() -> list[str]:
    queue: WorkQueue[str] = WorkQueue()
    seen: list[str] = []
    busy: set[str] = set()
    expected = {str(n) for n in range(10)} | {"late"}
    finished = asyncio.Event()

    async def worker() -> None:
        while True:
            key = await queue.get()
            assert key not in busy
            busy.add(key)
            seen.append(key)
            await asyncio.sleep(0)
            busy.discard(key)
            queue.done(key)
            if set(seen) == expected and not len(queue):
                finished.set()

    workers = [asyncio.create_task(worker()) for _ in range(4)]
    queue.add_after("late", 0.05)
    for n in range(50):
        queue.add(str(n % 10))
        if n % 7 == 0:
            await asyncio.sleep(0)
    async with asyncio.timeout(60):
        await finished.wait()
    for task in workers:
        task.cancel()
    await asyncio.gather(*workers, return_exceptions=True)
    return seen


def test_waiting_workers_are_woken_by_keys_and_by_timers() -> None:
    seen = asyncio.run(_race())
    assert set(seen) == {str(n) for n in range(10)} | {"late"}


@pytest.mark.parametrize("turns", range(5))
def test_who_waits_can_be_cancelled_in_the_moment_in_which_it_is_woken(turns: int) -> None:
    async def cancelled() -> bool:
        queue: WorkQueue[str] = WorkQueue()
        queue.add_after("far", 600)
        waiting = asyncio.create_task(queue.get())
        for _ in range(3):
            await asyncio.sleep(0)
        queue.add_after("farther", 700)  # wakes it, and gives it nothing
        for _ in range(turns):
            await asyncio.sleep(0)
        waiting.cancel()
        done, _ = await asyncio.wait([waiting], timeout=60)
        waiting.cancel()
        return bool(done) and waiting.cancelled()

    assert asyncio.run(cancelled())


def test_a_key_that_the_server_does_not_want_to_hear_of_waits_whoever_adds_it(
    queue: WorkQueue[str], clock: Clock
) -> None:
    queue.retry("a", at_least=30)
    queue.add("a")
    queue.add("a", background=True)
    queue.add_after("a", 1)
    queue.add_debounced("a", quiet=1, limit=2)
    clock.now += 29
    assert drain(queue) == []
    clock.now += 1
    assert drain(queue) == ["a"]
    queue.forget("a")
    queue.add("a")
    assert drain(queue) == ["a"]
