"""Settings that are given on the command line of a worker: ``umbel worker task_time_limit=30``."""

from __future__ import annotations

from typing import Any

import click

from umbel.config import Settings
from umbel.errors import ImproperlyConfigured


class SettingValue(click.ParamType[tuple[str, str]]):
    """``name=value``; the name may have a dot after its first word, as Celery's have it."""

    name = "setting"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        """Return (name, value)."""
        if isinstance(value, tuple):
            return value
        name, equals, text = str(value).partition("=")
        if not equals or not name:
            self.fail(f"{value!r} is no setting; write for example task_time_limit=30", param, ctx)
        name = name.replace(".", "_")
        try:
            Settings().set_command_line({name: text})
        except ImproperlyConfigured as error:
            self.fail(str(error), param, ctx)
        return name, text
