"""``umbel schedules export``: an app's ``beat_schedule`` as Schedules."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import click

from umbel.cli.exits import FAILED, USAGE, Fail
from umbel.cli.session import Session, json_option, pass_session

if TYPE_CHECKING:
    from umbel.beat.export import Exported

#: Texts that YAML reads as texts without quotes.
_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_./-]*")
_WORDS = frozenset({"true", "false", "yes", "no", "on", "off", "y", "n", "null"})


@click.group()
def schedules() -> None:
    """Look at an app's beat_schedule.

    \b
    Examples:
      umbel -A shop.tasks schedules export > schedules.yaml
    """


@schedules.command()
@click.option("-n", "--namespace", help="To be named in the resources.")
@json_option
@pass_session
def export(session: Session, namespace: str | None, as_json: bool) -> None:
    """Write the app's beat_schedule as Schedule resources, for kubectl apply and umbel up.

    Then take the entries out of the code, or both are sent. Exit code 1 where some cannot be written; they are named.
    """
    session.require_app("schedules export")
    found = _exported(session, namespace)
    if not found:
        raise Fail(f"the app {session.app_name} has no schedule: app.conf.beat_schedule is empty", USAGE)
    resources = [entry.resource for entry in found if entry.resource is not None]
    if as_json:
        session.json({"apiVersion": "v1", "kind": "List", "items": resources})
    else:
        for entry in found:
            if entry.resource is not None:
                session.out("---")
                for note in entry.notes:
                    session.out(f"# {note}")
                for line in _yaml(entry.resource):
                    session.out(line)
    left = [entry for entry in found if entry.resource is None]
    for entry in left:
        click.echo(f"Not written: {entry.name!r}: {entry.notes[0]}", err=True)
    if left:
        raise SystemExit(FAILED)


def _exported(session: Session, namespace: str | None) -> list[Exported]:
    from umbel.beat.appsource import entries_of
    from umbel.beat.export import export as exported
    from umbel.cli.beat import maker

    app = session.app
    app.import_modules()
    conf, make = app.conf, maker(app)
    entries_of(app.main or "app", conf.beat_schedule, conf.timezone, make)  # refuses what cannot be used at all
    return list(exported(conf.beat_schedule, conf.timezone, make, namespace, conf.beat_cron_starting_deadline))


def _yaml(value: Mapping[str, Any], indent: str = "") -> Iterator[str]:
    """Yield the lines of a mapping; lists are written as JSON, which YAML can read."""
    for key, item in value.items():
        name = _scalar(key)
        if isinstance(item, Mapping) and item:
            yield f"{indent}{name}:"
            yield from _yaml(item, f"{indent}  ")
        else:
            yield f"{indent}{name}: {_scalar(item)}"


def _scalar(value: Any) -> str:
    if isinstance(value, str) and _PLAIN.fullmatch(value) and value.lower() not in _WORDS:
        return value
    return json.dumps(value, ensure_ascii=False)
