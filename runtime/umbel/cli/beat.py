"""``umbel beat``."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from umbel import signals
from umbel.cli.ending import Ending
from umbel.cli.exits import USAGE, Fail
from umbel.cli.foreign import BEAT_NEEDLESS, BEAT_REFUSED, needless, refused
from umbel.cli.session import Session, pass_session
from umbel.logs import LEVELS, setup_logging

if TYPE_CHECKING:
    from collections.abc import Mapping

    from umbel.app import Umbel
    from umbel.beat.appsource import MakeMessage
    from umbel.beat.entry import Entry
    from umbel.broker.base import Broker
    from umbel.message import Message

#: Seconds that the parts of beat get to end.
END_WITHIN = 10.0


@click.command()
@click.option("-A", "--app", "app_name", metavar="MODULE[:APP]", help="The app, as before the command.")
@click.option(
    "--config-dir",
    type=click.Path(path_type=Path, file_okay=False),
    help="Directory of definitions, as the operator mounts it.",
)
@click.option(
    "--port", type=click.IntRange(0, 65535), help="Serve /livez, /readyz and /v1/status; 0 for any free port."
)
@click.option(
    "--lock-ttl",
    type=click.FloatRange(min=1, max=300),
    default=15.0,
    show_default=True,
    metavar="SECONDS",
    help="Seconds after which another beat takes over from one that died.",
)
@click.option(
    "--max-interval",
    type=click.FloatRange(min=0.01, max=60),
    default=1.0,
    show_default=True,
    metavar="SECONDS",
    help="Look at the clock at least so often.",
)
@click.option(
    "-l",
    "--loglevel",
    default="INFO",
    show_default=True,
    type=click.Choice(LEVELS, case_sensitive=False),
    help="The lowest level to log. UMBEL_LOG_FORMAT=json for JSON.",
)
@refused(BEAT_REFUSED)
@needless(BEAT_NEEDLESS)
@pass_session
def beat(
    session: Session,
    app_name: str | None,
    config_dir: Path | None,
    port: int | None,
    lock_ttl: float,
    max_interval: float,
    loglevel: str,
) -> None:
    """Start beat, which sends periodic tasks: those of the app's beat_schedule, and those of a directory.

    Start as many as you like: one leads, and each slot is sent once.

    \b
    Examples:
      umbel -A shop.tasks beat
      umbel -A shop.tasks beat --port 8080      with /livez, /readyz, /v1/status and /metrics
    """
    setup_logging(loglevel)
    if app_name is not None:
        session.app_name = app_name
    if session.app_name is None and config_dir is None:
        raise Fail(
            "nothing to do: give an app with a beat_schedule (umbel -A module[:app] beat), or --config-dir DIR", USAGE
        )
    app = session.app
    entries = _entries(app) if session.app_name is not None else {}
    if session.app_name is not None and not entries and config_dir is None:
        raise Fail(
            f"the app {session.app_name} has no schedule: set app.conf.beat_schedule, or call app.add_periodic_task(...)",
            USAGE,
        )
    options: dict[str, Any] = {
        "config_dir": config_dir,
        "port": port,
        "lock_ttl": lock_ttl,
        "max_interval": max_interval,
        "own_queue_grace": app.conf.own_queue_grace,
    }
    _run(app, entries, options)


def maker(app: Umbel) -> MakeMessage:
    """Return what makes the messages of an app's entries."""
    from umbel.publishing import build

    def make(name: str, args: Any, kwargs: Any, options: Mapping[str, Any]) -> tuple[str, Message, float]:
        return build(app, name, args, kwargs, task=app.tasks.get(name), now=time.time(), **options)

    return make


def _entries(app: Umbel) -> Mapping[str, Entry]:
    from umbel.beat.appsource import entries_of

    app.import_modules()
    conf = app.conf
    return entries_of(
        app.main or "app", conf.beat_schedule, conf.timezone, maker(app), conf.beat_cron_starting_deadline
    )


def _run(app: Umbel, entries: Mapping[str, Entry], options: dict[str, Any]) -> None:
    from umbel.beat.service import Beat, BeatOptions
    from umbel.transport import scheme_of, with_results

    url = app.conf.broker_url
    if url is None or scheme_of(url, "broker_url") == "memory":
        raise Fail(f"beat needs a broker in Redis, not {url!r}: set broker_url to redis://host:6379/0", USAGE)
    if options["config_dir"] is None:
        app.broker.ping()  # a person waits for the answer; the operator asks for it by /v1/status
    results_url = app.results_url()
    if results_url != url:
        _ = app.results  # what is missing for it is said here, once

    def keeping(broker: Broker) -> Broker:
        return with_results(broker, url, results_url, lambda: app.results)

    service = Beat(BeatOptions(url=url, prefix=app.conf.key_prefix, **options), entries, app.main or "app", keeping)
    ending = Ending()
    signals.beat_init.send(service)
    service.start()
    ending.wait()
    service.stop()
    service.join(END_WITHIN)
