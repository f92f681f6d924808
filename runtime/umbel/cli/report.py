"""``umbel report``: what a bug report should say."""

from __future__ import annotations

import os
from typing import Any

import click

from umbel.cli.session import Session, json_option, pass_session
from umbel.control.report import broker_of, software


@click.command()
@click.option("-a", "--all", "with_defaults", is_flag=True, help="Show all settings, also those at their defaults.")
@json_option
@pass_session
def report(session: Session, with_defaults: bool, as_json: bool) -> None:
    """Show versions, the broker, the settings and the tasks. Passwords are left out.

    \b
    Examples:
      umbel -A shop.tasks report          for a bug report
      umbel -A shop.tasks report --all    each setting, also where it is at its default
    """
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
    found: dict[str, Any] = {"software": software()}
    named = session.app_name is not None or session.broker is not None or "UMBEL_BROKER_URL" in os.environ
    if not named:
        return found
    app = session.app
    if session.app_name is not None:
        app.import_modules()
    found["broker"] = broker_of(app.conf.broker_url, app.conf.key_prefix, lambda: app.broker.ping())
    found["settings"] = app.conf.humanize(with_defaults).splitlines() or ["all at their defaults"]
    found["tasks"] = sorted(app.tasks) or ["none"]
    return found
