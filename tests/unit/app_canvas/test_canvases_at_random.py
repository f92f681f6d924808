"""Workflows of workflows at random: a worker returns what `apply()` returns, and leaves nothing behind."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.app_canvas.calls import NOTE, canvases

from umbel import Signature, Umbel
from umbel.memory.store import open_store
from umbel.testing import InMemoryWorker

#: Calls that take what comes before them, and calls that do not.
LEAVES = st.builds(
    lambda number, immutable: NOTE.signature((number,), immutable=immutable), st.integers(0, 9), st.booleans()
)


@pytest.fixture(scope="module")
def app() -> Iterator[Umbel]:
    with Umbel("random", broker=f"memory://{uuid.uuid4()}", set_as_current=False, workflow_kept=0) as app:
        app.task(name="note")(NOTE.run)
        yield app


@settings(max_examples=80)
@given(canvases(LEAVES))
def test_a_worker_makes_of_a_workflow_what_apply_makes_of_it(app: Umbel, sig: Signature[Any]) -> None:
    mine = Signature.from_dict(sig.plain(), app)
    here, sent = mine.clone().apply(), mine.delay()
    InMemoryWorker(app).run()
    assert sent.get(timeout=20) == here.get()
    with open_store(app.conf.broker_url, app.conf.key_prefix).locked() as store:
        assert not store.workflows
