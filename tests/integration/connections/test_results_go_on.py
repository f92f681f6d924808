"""The reader of results outlives what it cannot read, and what Redis refuses: whoever waits for something else is told."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.conformance.making import record
from tests.redis_server import RedisServer
from tests.workers import until

from umbel.errors import BackendError, OperationalError
from umbel.results.redis import RedisResults

NEWER = b"\x63" + b"\x10" + b"\x00" * 14


@pytest.fixture
def results(own_redis: RedisServer, prefix: str) -> Iterator[RedisResults]:
    results = RedisResults(own_redis.url, prefix=prefix)
    yield results
    results.close()


def test_a_record_of_a_newer_version_is_told_to_who_waits_for_it_alone(
    own_redis: RedisServer, prefix: str, results: RedisResults
) -> None:
    newer, other = results.wait("newer"), results.wait("other")
    inbox = results.inbox()
    with own_redis.client() as client:
        client.rpush(f"{prefix}:{{inbox:{inbox}}}", b"newer\n" + NEWER, b"\xff\xfe\n" + NEWER)
    with pytest.raises(BackendError, match="version 99"):
        newer.result(30)
    results.store("other", record(), 60.0)
    assert other.result(30).value == b"42"


def test_a_stored_record_of_a_newer_version_is_found_by_looking(
    own_redis: RedisServer, prefix: str, results: RedisResults
) -> None:
    newer, other = results.wait("newer"), results.wait("other")
    with own_redis.client() as client:
        client.set(f"{prefix}:{{newer}}:res", NEWER)
        client.client_kill_filter(_type="normal", skipme=True)  # so that all that is awaited is looked at again
    with pytest.raises(BackendError, match="version 99"):
        newer.result(30)
    results.store("other", record(), 60.0)
    assert other.result(30).value == b"42"


def test_a_wait_that_cannot_begin_leaves_nothing_behind(own_redis: RedisServer, results: RedisResults) -> None:
    results.wait("first").cancel()
    with own_redis.client() as client:
        client.acl_setuser("default", commands=["-evalsha", "-eval"])
    with pytest.raises(OperationalError, match="NOPERM"):
        results.wait("never")
    inbox = results._inbox
    assert inbox is not None
    until(lambda: not inbox.waiting, "nobody waits any more")
