"""Apps that sign, in memory."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.signers import Signer

from umbel import Task, Umbel
from umbel import serialization as codecs


@pytest.fixture(autouse=True)
def registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """The codec that signs is the process's: each test makes its own."""
    monkeypatch.setattr(codecs, "_BY_NAME", dict(codecs._BY_NAME))
    monkeypatch.setattr(codecs, "_BY_CONTENT_TYPE", dict(codecs._BY_CONTENT_TYPE))


@pytest.fixture
def signing_app(tmp_path: Path) -> Iterator[Callable[..., Umbel]]:
    made: list[Umbel] = []
    url = f"memory://{uuid.uuid4().hex}"

    def make(signer: Signer | None = None, **given: Any) -> Umbel:
        app = Umbel("signing", broker=url, set_as_current=False)
        made.append(app)

        @app.task(name="add", bind=True)
        def add(self: Task[..., int], x: int, y: int = 0) -> int:
            return x + y

        @app.task(name="drop_everything")
        def drop_everything(x: int) -> str:
            return "dropped"

        if signer is not None:
            store = given.pop("store", str(signer.cert_file.parent / "*.pem"))
            app.setup_security(key=str(signer.key_file), cert=str(signer.cert_file), store=store, **given)
        return app

    yield make
    for app in made:
        app.close()
