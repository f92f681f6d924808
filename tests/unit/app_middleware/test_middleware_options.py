"""Middleware: the options of tasks that each one owns."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any, ClassVar

import pytest

from umbel import Umbel, shared_task
from umbel.context import Request
from umbel.errors import ImproperlyConfigured
from umbel.middleware import Middleware, Option
from umbel.middleware.builtin import BUILTIN
from umbel.options import TASK_RULES


class Caching(Middleware):
    options: ClassVar[dict[str, Option]] = {
        "cache_for": Option(lambda value: isinstance(value, int) and value > 0, None, "seconds, a whole number above 0")
    }

    def result(self, request: Request, value: Any) -> Any:
        return [value, self.option(request.task, "cache_for")]


def declare(app: Umbel, **options: Any) -> Any:
    make: Callable[..., Any] = app.task

    return make(name="cached", **options)(lambda: 1)


def test_an_option_is_known_once_its_middleware_is_there(app: Umbel) -> None:
    with pytest.raises(TypeError, match=r"belongs to the middleware .*Caching: app.add_middleware\(Caching\(...\)\)"):
        declare(app, cache_for=60)
    app.add_middleware(Caching)
    assert declare(app, cache_for=60).apply().get() == [1, 60]
    with pytest.raises(TypeError, match="cache_for='long': the middleware Caching takes seconds"):
        declare(app, cache_for="long")
    with pytest.raises(TypeError, match="did you mean 'cache_for'"):
        declare(app, cache_four=60)
    with pytest.raises(TypeError, match="did you mean 'max_retries'"):
        declare(app, max_retrys=60)


def test_tasks_that_do_not_say_have_the_default(app: Umbel) -> None:
    app.add_middleware(Caching)
    assert declare(app).apply().get() == [1, None]


def test_shared_tasks_may_have_options_of_whatever_is_imported() -> None:
    make: Callable[..., Any] = shared_task

    assert make(name=f"shared-{uuid.uuid4().hex}", cache_for=5)(lambda: None).cache_for == 5
    with pytest.raises(TypeError, match="unknown option"):
        make(nonsense=1)(lambda: None)


def test_class_based_tasks_have_them_too(app: Umbel) -> None:
    from umbel import Task

    app.add_middleware(Caching)

    class Cached(Task[Any, Any]):
        name = "class-based"
        cache_for = 7

        def run(self) -> int:
            return 2

    assert app.register_task(Cached).apply().get() == [2, 7]


def test_nobody_owns_what_is_owned_already(app: Umbel) -> None:
    class Mine(Middleware):
        options: ClassVar[dict[str, Option]] = {"max_retries": Option(callable)}

    class Also(Middleware):
        options: ClassVar[dict[str, Option]] = {"cache_for": Option(callable)}

    with pytest.raises(ImproperlyConfigured, match="one of Umbel's own"):
        app.add_middleware(Mine)
    app.add_middleware(Caching)
    with pytest.raises(ImproperlyConfigured, match="option of Caching already"):
        app.add_middleware(Also)


#: Options that belong to the core: what a task is, where it goes, when it is acknowledged, what is stored.
CORE = {
    "name", "base", "bind", "typing", "throws", "trail", "ignore_result", "store_errors_even_if_ignored", "track_started",
    "acks_late", "queue", "priority", "expires", "serializer", "compression", "durability",
}  # fmt: skip


def test_every_option_of_umbel_has_one_owner() -> None:
    owned = [name for one in BUILTIN for name in one.options]
    assert len(owned) == len(set(owned))
    assert {*owned, *CORE} == set(TASK_RULES)
