"""An app whose broker is the memory of the test."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest

from umbel import Umbel, context


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch) -> Iterator[Umbel]:
    """Yield an app of the test's own, the current one meanwhile."""
    monkeypatch.setattr(context, "_default_app", [])
    with Umbel("shop", broker=f"memory://{uuid.uuid4().hex}") as app:
        yield app
