"""Waiting for file descriptors."""

from __future__ import annotations

import fcntl
import os
import resource
import time
from collections.abc import Iterator

import pytest

from umbel.polling import readable


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for fd in ends:
        os.close(fd)


def test_a_high_descriptor_can_be_waited_for(pipe: tuple[int, int]) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 3000:
        pytest.skip(f"at most {hard} descriptors are allowed here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 3000), hard))
    high = fcntl.fcntl(pipe[0], fcntl.F_DUPFD, 2000)
    try:
        assert readable([high], 0.0) == []
        os.write(pipe[1], b"x")
        assert readable([high], 20.0) == [high]
    finally:
        os.close(high)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_the_end_of_a_peer_is_told() -> None:
    one, other = os.pipe()
    os.close(other)
    try:
        assert readable([one]) == [one]
    finally:
        os.close(one)


def test_a_wait_is_never_shorter_than_asked(pipe: tuple[int, int]) -> None:
    began = time.monotonic()
    assert readable([pipe[0]], 0.0123) == []
    assert time.monotonic() - began >= 0.0123
