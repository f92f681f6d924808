"""The fixtures under the names of ``celery.contrib.pytest``: ``pytest_plugins = ["umbel.testing.celerynames"]``.

A plugin of its own, so that a project which still has Celery's does not get two fixtures of one name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pytest

from umbel.testing.plugin import (
    pytest_addoption,
    pytest_configure,
    umbel_app,
    umbel_app_under_test,
    umbel_beat,
    umbel_broker_url,
    umbel_clock,
    umbel_sent,
    umbel_worker,
)

if TYPE_CHECKING:
    from umbel.app import Umbel
    from umbel.testing.worker import InMemoryWorker

__all__ = [
    "celery_app",
    "celery_config",
    "celery_worker",
    "pytest_addoption",
    "pytest_configure",
    "umbel_app",
    "umbel_app_under_test",
    "umbel_beat",
    "umbel_broker_url",
    "umbel_clock",
    "umbel_sent",
    "umbel_settings",
    "umbel_worker",
]


@pytest.fixture
def celery_config() -> dict[str, Any]:
    """Settings for each test; override it."""
    return {}


@pytest.fixture
def umbel_settings(request: pytest.FixtureRequest, celery_config: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of `celery_config`, and those of ``@pytest.mark.umbel(...)``."""
    settings = dict(celery_config)
    for mark in reversed(list(request.node.iter_markers("umbel"))):
        settings |= mark.kwargs
    return settings


@pytest.fixture
def celery_app(umbel_app: Umbel) -> Umbel:
    """The same as `umbel_app`."""
    return umbel_app


@pytest.fixture
def celery_worker(umbel_worker: InMemoryWorker) -> InMemoryWorker:
    """The same as `umbel_worker`."""
    return umbel_worker
