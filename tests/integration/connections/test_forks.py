"""A process that is forked while another thread of its parent waits for results."""

from __future__ import annotations

import os
import signal
import sys
import warnings

import pytest
from tests.conformance.making import record
from tests.redis_server import RedisServer

from umbel.results.redis import RedisResults


@pytest.mark.skipif(sys.platform != "linux", reason="forks")
def test_a_fork_in_the_middle_of_a_wait_does_not_hang(redis_server: RedisServer, prefix: str) -> None:
    results = RedisResults(redis_server.url, prefix=prefix)
    results.store("a", record(), 60.0)
    assert results.wait("a").result(5) == record()
    with warnings.catch_warnings(), results._lock:  # as another thread may hold it in this moment
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        signal.alarm(10)
        os._exit(0 if results.wait("a").result(5) == record() else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert results.wait("a").result(5) == record()
    results.close()
