"""An app to be surrounded."""

from __future__ import annotations

import uuid

import pytest

from umbel import Umbel


@pytest.fixture
def app() -> Umbel:
    return Umbel("within", broker=f"memory://{uuid.uuid4().hex}", set_as_current=False)
