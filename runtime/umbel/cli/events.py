"""``umbel events``: what happens, as it happens, on the screen or line by line; and pictures of it."""

from __future__ import annotations

import json
import re
import sys
from datetime import datetime
from typing import Any

import click

from umbel.cli.exits import USAGE, Fail
from umbel.cli.foreign import EVENTS_NEEDLESS, EVENTS_REFUSED, needless, refused
from umbel.cli.session import Session, json_option, pass_session

_SPAN = re.compile(r"(\d+(?:\.\d+)?)([smhd]?)")
_UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
#: Fields of an event that a line begins with, or that say little.
_COMMON = ("type", "hostname", "timestamp", "pid", "clock", "utcoffset", "local_received", "uuid", "name", "traceback")


class Span(click.ParamType[float]):
    """A span of time: ``90``, ``15m``, ``2h``; ``all``."""

    name = "span"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return seconds, 0 for ``all``."""
        if value == "all":
            return 0.0
        match = _SPAN.fullmatch(str(value))
        if match is None or float(match[1]) == 0:
            self.fail(f"{value!r} is no span of time: give seconds, or 15m, 2h, 1d; or all", param, ctx)
        return float(match[1]) * _UNITS[match[2]]


@click.command()
@click.option("-d", "--dump", is_flag=True, help="Print a line for each event.")
@json_option
@click.option(
    "--since",
    type=Span(),
    metavar="SPAN",
    help="Begin with the events of the last 90, 15m, 2h, or all. [default: 15m on the screen, else those to come]",
)
@click.option("-c", "--camera", metavar="MODULE:CLASS", help="Take pictures with this umbel.events.camera.Camera.")
@click.option(
    "-F",
    "--freq",
    "--frequency",
    type=click.FloatRange(0.01),
    default=1.0,
    show_default=True,
    help="Seconds between two.",
)
@click.option("-r", "--maxrate", metavar="RATE", help="Pictures at the most, as 10/m.")
@refused(EVENTS_REFUSED)
@needless(EVENTS_NEEDLESS)
@pass_session
def events(
    session: Session,
    dump: bool,
    as_json: bool,
    since: float | None,
    camera: str | None,
    freq: float,
    maxrate: str | None,
) -> None:
    """Watch what happens to tasks and workers. Workers tell of it that were started with -E.

    On the screen: j and k choose a task, i shows all of it, r its result, t its traceback, c revokes it, l limits the rate of its
    kind; q ends.

    \b
    Examples:
      umbel -A shop events                     the screen
      umbel -A shop events --dump --since 2h   lines, from two hours ago on
      umbel -A shop events --json
    """
    if camera is not None:
        _take_pictures(session, camera, freq, maxrate, since)
    elif dump or as_json:
        _dump(session, as_json=as_json, since=since)
    elif not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise Fail("the screen needs a terminal: give --dump for lines, or --json", USAGE)
    else:
        from umbel.cli.eventscreen import show

        show(session.app, 900.0 if since is None else since)


def _take_pictures(session: Session, name: str, freq: float, maxrate: str | None, since: float | None) -> None:
    from umbel.events.camera import Camera, take_pictures
    from umbel.imports import import_object, search_path
    from umbel.pace import rate_interval

    if maxrate is not None:
        try:
            rate_interval(maxrate)
        except ValueError as error:
            raise click.BadParameter(str(error), param_hint="--maxrate") from None
    app = session.app
    with search_path():
        found = import_object(name, purpose="--camera")
    if not (isinstance(found, type) and issubclass(found, Camera)):
        raise Fail(f"--camera {name} is {found!r}: give a subclass of umbel.events.camera.Camera", USAGE)
    take_pictures(app, found, freq, maxrate, since)


def _dump(session: Session, *, as_json: bool, since: float | None) -> None:
    def put(event: dict[str, Any]) -> None:
        click.echo(json.dumps(event, default=str, ensure_ascii=False) if as_json else line(event))
        sys.stdout.flush()

    session.app.events.Receiver(handlers={"*": put}, since=since).capture()


def line(event: dict[str, Any]) -> str:
    """Return an event as one line for people."""
    when = datetime.fromtimestamp(float(event.get("timestamp") or 0)).astimezone()
    task = f" {event.get('name') or ''}[{event['uuid']}]" if "uuid" in event else ""
    rest = {name: value for name, value in event.items() if name not in _COMMON and value not in (None, "", [], {})}
    fields = "".join(f" {name}={value}" for name, value in rest.items())
    shown = f"{when:%H:%M:%S}.{when.microsecond // 1000:03d} {event.get('hostname', '?')} {event['type']}{task}{fields}"
    return shown.replace("\n", "\\n")
