"""Fixtures for pytest: put ``pytest_plugins = ["umbel.testing.plugin"]`` into ``conftest.py``.

Name the app under test in the configuration of pytest (``umbel_app = "shop.tasks:app"``), or override `umbel_app_under_test`.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from umbel.app import Umbel
    from umbel.clock import ManualClock
    from umbel.testing.sending import Sent
    from umbel.testing.time import ManualBeat
    from umbel.testing.worker import InMemoryWorker


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the settings of this plugin."""
    parser.addini("umbel_app", "the app under test, as umbel -A names it: module:attribute")


def pytest_configure(config: pytest.Config) -> None:
    """Add the marker of this plugin."""
    config.addinivalue_line("markers", "umbel(**settings): settings of the app for this test")


@pytest.fixture
def umbel_app_under_test(request: pytest.FixtureRequest) -> Umbel:
    """The app whose tasks are tested: what the configuration names, else a new one without tasks."""
    from umbel.app import Umbel
    from umbel.imports import find_app

    named = request.config.getini("umbel_app")
    if named:
        app: Umbel = find_app(str(named))
        return app
    return Umbel("tests", set_as_current=False)


@pytest.fixture
def umbel_broker_url() -> str:
    """The broker of the tests: the memory of this process. Override it with the URL of a Redis to test with that."""
    return f"memory://{uuid.uuid4().hex}"


@pytest.fixture
def umbel_settings(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Settings for each test; those of ``@pytest.mark.umbel(...)`` are added."""
    marked: dict[str, Any] = {}
    for mark in reversed(list(request.node.iter_markers("umbel"))):
        marked |= mark.kwargs
    return marked


@pytest.fixture
def umbel_app(umbel_app_under_test: Umbel, umbel_broker_url: str, umbel_settings: dict[str, Any]) -> Iterator[Umbel]:
    """The app under test, on a broker of the test's own, with no keys of other tests; the current app meanwhile."""
    from umbel import context

    app = umbel_app_under_test
    own = {
        "broker_url": umbel_broker_url,
        "result_backend": umbel_broker_url,
        "key_prefix": f"test-{uuid.uuid4().hex[:12]}",
    }
    app.close()
    before = list(context._default_app)
    context.set_default_app(app)
    try:
        with app.conf.overridden(own | umbel_settings):
            yield app
            app.close()
    finally:
        context._default_app[:] = before


@pytest.fixture
def umbel_worker(umbel_app: Umbel) -> Iterator[InMemoryWorker]:
    """A worker in a thread of the test, which consumes all queues that the app names."""
    from umbel.testing.worker import InMemoryWorker

    with InMemoryWorker(umbel_app) as worker:
        yield worker


@pytest.fixture
def umbel_sent(umbel_app: Umbel) -> Iterator[Sent]:
    """What the app sends in this test."""
    from umbel.testing.sending import sent

    with sent(umbel_app) as calls:
        yield calls


@pytest.fixture
def umbel_clock(umbel_app: Umbel) -> Iterator[ManualClock]:
    """A clock that the app's broker goes by, and that stands still until the test moves it."""
    from umbel.testing.time import manual_time

    with manual_time(umbel_app) as clock:
        yield clock


@pytest.fixture
def umbel_beat(umbel_app: Umbel, umbel_clock: ManualClock) -> ManualBeat:
    """A beat that sends the app's periodic tasks as the test moves the time."""
    from umbel.testing.time import ManualBeat

    return ManualBeat(umbel_app, umbel_clock)
