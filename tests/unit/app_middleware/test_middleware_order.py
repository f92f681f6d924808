"""Middleware: which one surrounds which."""

from __future__ import annotations

import pytest

from umbel import Umbel
from umbel.errors import ImproperlyConfigured
from umbel.middleware import Middleware


def names(app: Umbel) -> list[str]:
    return [one.name for one in app.middleware]


class First(Middleware): ...


class Second(Middleware): ...


class Third(Middleware):
    before = First


def test_order(app: Umbel) -> None:
    app.add_middleware(First)
    app.add_middleware(Second)
    assert names(app) == ["First", "Second"]
    app.add_middleware(Third)
    assert names(app) == ["Third", "First", "Second"]
    other = Umbel("other", broker="memory://", set_as_current=False)
    other.add_middleware(First)
    other.add_middleware(Second, before="First")
    assert names(other) == ["Second", "First"]
    third = Umbel("third", broker="memory://", set_as_current=False)
    third.add_middleware(First, after=Second)
    third.add_middleware(Second)
    assert names(third) == ["Second", "First"]


def test_an_order_that_contradicts_itself_is_refused(app: Umbel) -> None:
    app.add_middleware(First)
    with pytest.raises(ImproperlyConfigured, match="contradicts itself"):
        app.add_middleware(Third, after=First)
    with pytest.raises(ImproperlyConfigured, match="already"):
        app.add_middleware(First)
    with pytest.raises(ImproperlyConfigured, match="no middleware"):
        app.add_middleware("First")  # type: ignore[arg-type]
