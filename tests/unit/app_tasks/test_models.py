"""Pydantic models as arguments and results."""

from __future__ import annotations

import sys
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError, ValidationInfo, field_validator

from umbel import Umbel
from umbel.errors import ImproperlyConfigured
from umbel.testing import InMemoryWorker


class User(BaseModel):
    name: str
    age: int = 0


class Tagged(BaseModel):
    tag: str

    @field_validator("tag")
    @classmethod
    def add_context(cls, value: str, info: ValidationInfo) -> str:
        context = info.context or {}
        return f"{value} {context.get('shop')} {context['umbel_task_name']} {context['celery_app'].main}"


@pytest.fixture
def app() -> Iterator[Umbel]:
    with Umbel("models", broker=f"memory://{uuid.uuid4().hex}", set_as_current=False) as app:
        yield app


def run(app: Umbel, result: Any) -> Any:
    InMemoryWorker(app).run()
    return result.get(timeout=20)


@pytest.mark.parametrize("given", [{"name": "ada", "age": "36"}, User(name="ada", age=36)], ids=["dict", "model"])
def test_a_task_gets_models_and_returns_plain_values(app: Umbel, given: Any) -> None:
    @app.task(pydantic=True)
    def older(user: User, *, years: int = 1) -> User:
        assert isinstance(user, User)
        return User(name=user.name, age=user.age + years)

    assert run(app, older.delay(given)) == {"name": "ada", "age": 37}
    assert run(app, older.apply_async((given,), {"years": 2})) == {"name": "ada", "age": 38}
    assert run(app, older.apply((given,))) == {"name": "ada", "age": 37}


def test_models_within(app: Umbel) -> None:
    @app.task(pydantic=True)
    def oldest(users: list[User], guest: User | None = None) -> dict[str, Any]:
        assert all(isinstance(user, User) for user in users)
        return {"oldest": max(users, key=lambda user: user.age), "guest": guest}

    called = oldest.delay([User(name="ada", age=36), User(name="bob", age=40)])
    assert run(app, called) == {"oldest": {"name": "bob", "age": 40}, "guest": None}
    called = oldest.delay([User(name="ada")], guest=User(name="eve"))
    assert run(app, called)["guest"] == {"name": "eve", "age": 0}


def test_what_does_not_fit_fails_the_task(app: Umbel) -> None:
    ran: list[object] = []

    @app.task(pydantic=True)
    def greet(user: User) -> None:
        ran.append(user)

    sent = greet.delay({"age": 3})  # type: ignore[arg-type]
    InMemoryWorker(app).run()
    assert sent.state == "FAILURE"
    assert "name" in str(sent.result)
    assert not ran


def test_strictness_and_how_to_dump(app: Umbel) -> None:
    @app.task(pydantic=True, pydantic_strict=True, pydantic_dump_kwargs={"exclude_defaults": True})
    def echo(user: User) -> User:
        return user

    assert run(app, echo.delay(User(name="ada"))) == {"name": "ada"}
    with pytest.raises(ValidationError):
        echo({"name": "ada", "age": "36"})  # type: ignore[arg-type]


def test_validators_get_a_context(app: Umbel) -> None:
    @app.task(name="tag", pydantic=True, pydantic_context={"shop": "umbrellas"})
    def tag(tagged: Tagged) -> str:
        return tagged.tag

    assert run(app, tag.delay({"tag": "new"})) == "new umbrellas tag models"  # type: ignore[arg-type]


def test_coroutines_and_bound_tasks(app: Umbel) -> None:
    @app.task(bind=True, pydantic=True)
    async def greet(self: Any, user: User) -> str:
        return f"{self.request.retries} {user.name}"

    assert run(app, greet.delay(User(name="ada"))) == "0 ada"


def test_without_the_option_nothing_is_looked_at(app: Umbel) -> None:
    @app.task
    def look(user: User) -> str:
        return type(user).__name__

    assert run(app, look.delay({"name": "ada"})) == "dict"  # type: ignore[arg-type]


def test_what_is_not_installed_says_what_to_install(app: Umbel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.delitem(sys.modules, "pydantic", raising=False)
    with pytest.raises(ImproperlyConfigured, match=r"pip install 'umbel\[pydantic\]'"):
        app.task(pydantic=True)(lambda user: user)
