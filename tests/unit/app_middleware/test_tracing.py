"""Traces are off unless they are switched on, and say what is missing where they cannot be."""

from __future__ import annotations

import builtins
import subprocess
import sys
import uuid
from typing import Any

import pytest

from umbel import Umbel
from umbel.errors import ImproperlyConfigured
from umbel.middleware.tracing import HEADER, Tracing


def test_off_nothing_is_imported_and_no_header_is_sent() -> None:
    code = (
        "import sys; from umbel import Umbel; app = Umbel('x', broker='memory://off')\n"
        "f = app.task(name='f')(lambda: 1); f.delay(); f.apply()\n"
        "assert not any(name.startswith('opentelemetry') for name in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_on_without_the_package_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    importing = builtins.__import__

    def without(name: str, *arguments: Any, **named: Any) -> Any:
        if name.startswith("opentelemetry"):
            raise ImportError(name)
        return importing(name, *arguments, **named)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImproperlyConfigured, match=r"pip install 'umbel\[otel\]'"):
        Tracing()


def test_without_a_provider_a_task_runs_and_nothing_is_sent() -> None:
    app = Umbel("traced", broker=f"memory://{uuid.uuid4().hex}", set_as_current=False, otel_enabled=True)

    @app.task(bind=True)
    def shows(self: Any) -> Any:
        return self.request.get(HEADER)

    assert shows.apply().get() is None
    assert app.hooks.publish
