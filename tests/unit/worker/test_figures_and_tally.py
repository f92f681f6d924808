"""Counts go from the children to the supervisor, are bounded in their labels, and never count backwards."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from umbel.worker import figures as counting
from umbel.worker.figures import Figures
from umbel.worker.link import Link
from umbel.worker.seat import Seat
from umbel.worker.tally import Tally

KNOWN = {"shop.pay", "shop.ship"}


@pytest.fixture
def links() -> Iterator[tuple[Link, Link]]:
    ours, theirs = Link.pair()
    yield ours, theirs
    ours.close()
    theirs.close()


def _take(tally: Tally, link: Link, seat: int = 0) -> int:
    """Take in all packets that wait; return how many."""
    count = 0
    while True:
        something, message = link.receive_waiting()
        if not something or message is None:
            return count
        tally.take(seat, message)
        count += 1


def _states(tally: Tally) -> dict[str, dict[str, int]]:
    return {name: totals.states for name, totals in tally.totals().items()}


def test_counts_arrive_as_totals(links: tuple[Link, Link]) -> None:
    ours, theirs = links
    figures, tally = Figures(theirs, KNOWN), Tally()
    for seconds in (0.001, 0.3, 0.3, 4000.0):
        figures.ended("shop.pay", "SUCCESS", seconds)
    figures.ended("shop.pay", "RETRY", 0.0)
    figures.send()
    _take(tally, ours)
    figures.ended("shop.pay", "SUCCESS", 0.3)
    figures.send()
    _take(tally, ours)
    assert _states(tally) == {"shop.pay": {"SUCCESS": 5, "RETRY": 1}}
    totals = tally.totals()["shop.pay"]
    assert totals.buckets[0] == 1
    assert totals.buckets[3] == 3
    assert totals.buckets[-1] == 1
    assert totals.seconds == pytest.approx(4000.901)


def test_names_that_the_app_does_not_know_make_no_labels(links: tuple[Link, Link]) -> None:
    ours, theirs = links
    figures, tally = Figures(theirs, KNOWN), Tally()
    for number in range(5000):
        figures.ended(f"made.up.{number}", "DEAD", 0.0)
    figures.send()
    _take(tally, ours)
    assert _states(tally) == {"(unknown)": {"DEAD": 5000}}


def test_very_many_tasks_are_counted_together_beyond_a_bound(links: tuple[Link, Link]) -> None:
    ours, theirs = links
    names = [f"task.{number}" for number in range(counting.MOST_TASKS + 50)]
    figures, tally = Figures(theirs, set(names)), Tally()
    for name in names:
        figures.ended(name, "SUCCESS", 0.01)
    figures.send()
    assert _take(tally, ours) == counting.MOST_TASKS / counting.PACKET_TASKS + 1
    found = _states(tally)
    assert len(found) == counting.MOST_TASKS + 1
    assert found["(others)"] == {"SUCCESS": 50}


def test_nothing_is_sent_where_nothing_has_happened_or_it_is_too_soon(links: tuple[Link, Link]) -> None:
    ours, theirs = links
    figures, tally = Figures(theirs, KNOWN), Tally()
    now = figures._sent
    figures.cycled(now + 100.0)
    assert _take(tally, ours) == 0
    figures.ended("shop.pay", "SUCCESS", 0.1)
    figures.cycled(now + 0.1)
    assert _take(tally, ours) == 0
    figures.cycled(now + 1.0)
    assert _take(tally, ours) == 1
    assert tally.cycled() == {0: now + 1.0}


def test_what_could_not_be_sent_is_sent_later(links: tuple[Link, Link]) -> None:
    """A supervisor that does not read for a while loses nothing."""
    ours, theirs = links
    figures, tally = Figures(theirs, KNOWN), Tally()
    while theirs.send({"what": "owner", "id": "x" * 1000}):
        pass
    figures.ended("shop.pay", "SUCCESS", 0.1)
    figures.send()
    while ours.receive_waiting()[0]:
        pass
    assert _states(tally) == {}
    figures.cycled(100.0 + figures._sent)
    _take(tally, ours)
    assert _states(tally) == {"shop.pay": {"SUCCESS": 1}}


def test_a_child_that_is_gone_stays_counted(links: tuple[Link, Link]) -> None:
    ours, theirs = links
    tally = Tally()
    for _ in range(3):
        figures = Figures(theirs, KNOWN)
        figures.ended("shop.pay", "SUCCESS", 0.3)
        figures.send()
        _take(tally, ours)
        tally.leave(0, "killed")
        assert tally.cycled() == {}
    tally.leave(1, None)
    assert _states(tally) == {"shop.pay": {"SUCCESS": 3}}
    assert tally.totals()["shop.pay"].buckets[3] == 3
    assert tally.deaths == {"killed": 3}


def test_children_are_added_up(links: tuple[Link, Link]) -> None:
    ours, theirs = links
    tally = Tally()
    for seat, count in ((0, 2), (1, 3)):
        figures = Figures(theirs, KNOWN)
        for _ in range(count):
            figures.ended("shop.ship", "SUCCESS", 0.3)
        figures.send()
        _take(tally, ours, seat)
    assert _states(tally) == {"shop.ship": {"SUCCESS": 5}}
    # What is returned is a copy
    tally.totals()["shop.ship"].states["SUCCESS"] = 0
    assert _states(tally) == {"shop.ship": {"SUCCESS": 5}}


def test_threads_count_together(links: tuple[Link, Link]) -> None:
    ours, theirs = links
    figures, tally = Figures(theirs, KNOWN), Tally()

    def work() -> None:
        for _ in range(5000):
            figures.ended("shop.pay", "SUCCESS", 0.01)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    figures.send()
    _take(tally, ours)
    assert _states(tally) == {"shop.pay": {"SUCCESS": 20_000}}


def test_who_asks_waits_for_the_answer_but_not_for_one_that_never_comes(links: tuple[Link, Link]) -> None:
    ours, theirs = links
    tally = Tally()
    figures = Figures(theirs, KNOWN)
    figures.ended("shop.pay", "SUCCESS", 0.01)
    asker = threading.Thread(target=tally.ask, args=([Seat(0, link=ours, pid=1)], 60.0))
    asker.start()
    message, _ = theirs.receive()
    assert message == {"what": "figures", "asked": 1}
    asker.join(0.2)
    assert asker.is_alive()  # also where the child has never told anything
    figures.send()  # by itself, before it has read the question: it does not know yet what it was told before that
    _take(tally, ours)
    asker.join(0.2)
    assert asker.is_alive()
    figures.send(1)
    _take(tally, ours)
    asker.join(20)
    assert not asker.is_alive()
    assert _states(tally) == {"shop.pay": {"SUCCESS": 1}}
    tally.ask([Seat(0, link=ours, pid=1), Seat(1)], 0.05)  # nobody answers this time
