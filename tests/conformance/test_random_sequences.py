"""Over random sequences of calls nothing is lost, nothing is owned twice, and the counts are right."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test
from tests.conformance.adapters import Adapter, MemoryAdapter, RedisAdapter
from tests.conformance.random_walk import RandomWalk
from tests.redis_server import RedisServer

MakeAdapter = Callable[[], Adapter]
WALK = settings(
    max_examples=30,
    stateful_step_count=40,
    deadline=None,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture
def make_memory(prefix: str) -> MakeAdapter:
    numbers = itertools.count()
    return lambda: MemoryAdapter(f"{prefix}-{next(numbers)}")


@pytest.fixture
def make_redis(redis_server: RedisServer, prefix: str) -> MakeAdapter:
    numbers = itertools.count()
    return lambda: RedisAdapter(redis_server, f"{prefix}-{next(numbers)}")


@pytest.mark.parametrize("kind", ["memory", "redis"])
def test_whatever_happens_nothing_is_lost(kind: str, request: pytest.FixtureRequest) -> None:
    make: MakeAdapter = request.getfixturevalue(f"make_{kind}")
    run_state_machine_as_test(
        lambda: RandomWalk(lambda: [make()], delays=(0.001, 0.003), groups=("a", "b")),  # type: ignore[arg-type]
        settings=WALK,
    )


def test_memory_and_redis_give_the_same_answers(make_memory: MakeAdapter, make_redis: MakeAdapter) -> None:
    run_state_machine_as_test(
        lambda: RandomWalk(lambda: [make_memory(), make_redis()], delays=(1000.0,)),  # type: ignore[arg-type]
        settings=WALK,
    )
