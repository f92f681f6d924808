"""Each row of the table of executors is held to by a test, and each executor has its column."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.executor_claims import claims

from umbel.executors import NAMES

_TESTS = "".join(path.read_text() for path in (Path(__file__).parent.parent / "integration" / "executors").glob("*.py"))


def test_each_executor_has_its_column() -> None:
    assert tuple(claims()) == NAMES


@pytest.mark.parametrize("row", claims()["process"])
def test_each_row_is_read_by_a_test(row: str) -> None:
    assert f'claim("{row}")' in _TESTS
