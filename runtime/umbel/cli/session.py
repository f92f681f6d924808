"""What the commands share: the app, made when it is first needed, and how things are printed."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from umbel.cli.exits import USAGE, Fail

if TYPE_CHECKING:
    from umbel.app import Umbel


@dataclass
class Session:
    """The global options of one invocation.

    ``prefix`` is the key prefix, where neither the app nor the environment says it.
    """

    app_name: str | None = None
    broker: str | None = None
    backend: str | None = None
    config: str | None = None
    workdir: Path | None = None
    quiet: bool = False
    color: bool = True
    _app: Any = field(default=None, repr=False)

    @property
    def app(self) -> Umbel:
        """The app that -A names; without -A, one that knows only the broker.

        Raises:
            ImproperlyConfigured: it cannot be imported.
            Fail: neither -A nor a broker was given.
        """
        if self._app is None:
            self._app = self._find()
            if self.config is not None:
                self._app.conf.load(self.config, force=True)
            self._app.conf.set_command_line({"broker_url": self.broker, "result_backend": self.backend})
        app: Umbel = self._app
        return app

    def _find(self) -> Any:
        if self.workdir is not None:
            os.chdir(self.workdir)
        if self.app_name is not None:
            from umbel.imports import find_app

            return find_app(self.app_name)
        if self.broker is None and self.config is None and not os.environ.get("UMBEL_BROKER_URL"):
            raise Fail(
                "nobody said which broker to speak to: give the app (umbel -A module[:app] …), the broker's URL "
                "(-b redis://host:6379/0), or the environment variable UMBEL_BROKER_URL",
                USAGE,
            )
        from umbel.app import Umbel

        return Umbel("umbel")

    def require_app(self, command: str) -> str:
        """Return the name that -A gave.

        Raises:
            Fail: none was given.
        """
        if self.app_name is None:
            raise Fail(
                f"which app? Write umbel -A module[:app] {command} …, or set the environment variable UMBEL_APP", USAGE
            )
        return self.app_name

    def say(self, text: str) -> None:
        """Print a line that -q leaves out."""
        if not self.quiet:
            click.echo(text)

    def out(self, text: str, **style: Any) -> None:
        """Print a line of the answer, styled where colors are wanted."""
        click.echo(click.style(text, **style) if style and self.color else text, color=None if self.color else False)

    def json(self, value: Any) -> None:
        """Print the answer as JSON."""
        click.echo(json.dumps(value, indent=2, default=str, ensure_ascii=False))


pass_session = click.make_pass_decorator(Session, ensure=True)
json_option = click.option("--json", "-j", "as_json", is_flag=True, help="Print JSON.")
