"""What a worker knows of revocations is bounded, and no child misses one."""

from __future__ import annotations

import pytest

from umbel.worker.link import Link
from umbel.worker.revoking import Revoked, tell_revoked
from umbel.worker.seat import Seat


def test_of_too_many_the_oldest_are_forgotten() -> None:
    revoked = Revoked(3)
    revoked.update("abcde")
    assert ("b" in revoked, "c" in revoked, len(revoked)) == (False, True, 3)
    revoked.update(["f"])
    assert ("c" in revoked, "f" in revoked, len(revoked)) == (False, True, 3)


def test_what_is_known_is_not_new() -> None:
    revoked = Revoked(3)
    revoked.update("abc")
    revoked.update("ab")
    assert revoked.end == 3
    assert revoked.after(2) == ["c"]


@pytest.mark.parametrize(("position", "rest"), [(0, "cde"), (1, "cde"), (2, "cde"), (3, "de"), (5, ""), (9, "")])
def test_positions_count_what_was_forgotten(position: int, rest: str) -> None:
    revoked = Revoked(3)
    revoked.update("abcde")
    assert revoked.after(position) == list(rest)


def test_a_child_is_told_what_is_new_only() -> None:
    ours, theirs = Link.pair()
    seat, revoked = Seat(0, link=ours), Revoked()
    revoked.update("ab")
    tell_revoked(seat, revoked)
    tell_revoked(seat, revoked)
    revoked.update("abc")
    tell_revoked(seat, revoked)
    heard = []
    while (message := theirs.receive_waiting())[0]:
        assert message[1] is not None
        heard.append(message[1]["ids"])
    assert heard == [["a", "b"], ["c"]]
    ours.close()
    theirs.close()


def test_a_new_child_is_told_all() -> None:
    seat, revoked = Seat(0), Revoked()
    revoked.update("ab")
    for _ in range(2):
        ours, theirs = Link.pair()
        seat.link = ours
        tell_revoked(seat, revoked)
        _, message = theirs.receive_waiting()
        assert message is not None
        assert message["ids"] == ["a", "b"]
        seat.vacate()
        theirs.close()
