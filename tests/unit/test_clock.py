"""The clock of a machine runs; the one of a test stands until it is moved."""

from __future__ import annotations

import time

from umbel.clock import SYSTEM_CLOCK, Clock, ManualClock


def test_the_system_clock_is_the_machines() -> None:
    assert time.time() - 1.0 <= SYSTEM_CLOCK.time() <= time.time() + 1.0
    first = SYSTEM_CLOCK.monotonic()
    assert first <= SYSTEM_CLOCK.monotonic()


def test_a_manual_clock_stands_still() -> None:
    clock: Clock = ManualClock(5.0)
    assert (clock.time(), clock.time()) == (5.0, 5.0)
    assert clock.monotonic() == clock.monotonic()


def test_advancing_moves_both_clocks() -> None:
    clock = ManualClock(100.0)
    monotonic = clock.monotonic()
    clock.advance(2.5)
    assert clock.time() == 102.5
    assert clock.monotonic() == monotonic + 2.5


def test_a_jump_moves_the_wall_clock_alone() -> None:
    clock = ManualClock(100.0)
    monotonic = clock.monotonic()
    clock.jump(-60.0)
    assert clock.time() == 40.0
    assert clock.monotonic() == monotonic
