"""A child that somebody stopped is told of after a minute, and killed where that is asked for."""

from __future__ import annotations

import logging
import signal
import subprocess
from collections.abc import Iterator

import pytest
from tests.workers import until

from umbel.worker.seat import Seat
from umbel.worker.stopped import StoppedChildren, state_of


@pytest.fixture
def process() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(["sleep", "100"])
    yield process
    process.kill()
    process.wait(20)


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGSTOP)
    until(lambda: state_of(process.pid) == "T", "it stands still")


def _told(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.message for record in caplog.records]


def test_it_is_told_once_and_so_is_its_going_on(
    process: subprocess.Popen[bytes], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    stopped = StoppedChildren([Seat(0, pid=process.pid), Seat(1)], None)
    stopped.look(0.0)
    _stop(process)
    for now in (10.0, 30.0, 69.0):
        stopped.look(now)
    assert (_told(caplog), stopped.count) == ([], 0)
    for now in (70.0, 71.0, 500.0):
        stopped.look(now)
    assert (_told(caplog), stopped.count) == (["child.stopped"], 1)
    process.send_signal(signal.SIGCONT)
    until(lambda: state_of(process.pid) == "S", "it goes on")
    stopped.look(600.0)
    assert (_told(caplog), stopped.count) == (["child.stopped", "child.goes_on"], 0)
    assert process.poll() is None


def test_it_is_killed_when_that_is_asked_for(process: subprocess.Popen[bytes]) -> None:
    stopped = StoppedChildren([Seat(0, pid=process.pid)], 5.0)
    _stop(process)
    stopped.look(10.0)
    stopped.look(12.0)
    assert (stopped.count, state_of(process.pid)) == (0, "T")
    stopped.look(14.0)
    assert (stopped.count, state_of(process.pid)) == (1, "T")
    stopped.look(15.0)
    assert process.wait(20) == -signal.SIGKILL
    stopped.look(16.0)
    assert stopped.count == 0


def test_who_runs_is_left_alone(process: subprocess.Popen[bytes]) -> None:
    stopped = StoppedChildren([Seat(0, pid=process.pid)], 1.0)
    for now in range(100):
        stopped.look(float(now))
    assert (stopped.count, process.poll()) == (0, None)
