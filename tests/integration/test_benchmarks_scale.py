"""The benchmark of long queues, small: each figure is there."""

from __future__ import annotations

from benchmarks.scale import Backlog, measure, tenants


def test_a_row_has_a_rate_and_the_memory_of_a_task() -> None:
    row = measure(Backlog("some", 3000, group=lambda number: f"g{number % 7}"), 3000)
    assert row.tasks == 3000
    assert 50 < row.bytes_a_task < 2000
    assert row.rate > 0
    assert row.redis_us > 0


def test_the_small_tenant_is_timed() -> None:
    assert 0 < tenants(2000, 3) < 60
