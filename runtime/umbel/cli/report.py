"""``umbel report``: what a bug report should say."""

from __future__ import annotations

import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import click

from umbel import __version__
from umbel.cli.session import Session, json_option, pass_session
from umbel.config import censor_url
from umbel.errors import ImproperlyConfigured, OperationalError

LIBRARIES = ("redis", "hiredis", "orjson", "click", "rich", "tzdata")


@click.command()
@click.option("-a", "--all", "with_defaults", is_flag=True, help="Show all settings, also those at their defaults.")
@json_option
@pass_session
def report(session: Session, with_defaults: bool, as_json: bool) -> None:
    """Show versions, the broker, the settings and the tasks. Passwords are left out."""
    found = _report(session, with_defaults)
    if as_json:
        session.json(found)
        return
    for title, content in found.items():
        session.out(title, bold=True)
        if isinstance(content, dict):
            for key, value in content.items():
                session.out(f"  {key}: {value}")
        else:
            for line in content:
                session.out(f"  {line}")


def _report(session: Session, with_defaults: bool) -> dict[str, Any]:
    found: dict[str, Any] = {
        "software": {
            "umbel": __version__,
            "python": platform.python_version(),
            "implementation": platform.python_implementation(),
            "system": platform.platform(),
            "executable": sys.executable,
            **{name: _version(name) for name in LIBRARIES},
        }
    }
    named = session.app_name is not None or session.broker is not None or "UMBEL_BROKER_URL" in os.environ
    if not named:
        return found
    app = session.app
    if session.app_name is not None:
        app.import_modules()
    found["broker"] = _broker(app)
    found["settings"] = app.conf.humanize(with_defaults).splitlines() or ["all at their defaults"]
    found["tasks"] = sorted(app.tasks) or ["none"]
    return found


def _broker(app: Any) -> dict[str, Any]:
    url = app.conf.broker_url
    shown: dict[str, Any] = {"url": None if url is None else censor_url(url), "key_prefix": app.conf.key_prefix}
    try:
        return {**shown, **app.broker.ping()}
    except (OperationalError, ImproperlyConfigured) as error:
        return shown | {"error": str(error)}


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
