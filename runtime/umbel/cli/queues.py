"""``umbel queues`` and ``umbel purge``."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from umbel.cli.exits import USAGE, Fail
from umbel.cli.queuesettings import set_settings, show
from umbel.cli.session import Session, json_option, pass_session
from umbel.cli.table import ago, columns
from umbel.dropping import purge as drop
from umbel.queues import is_own

if TYPE_CHECKING:
    from umbel.broker.base import QueueInfo

HEADER = ("queue", "ready", "delayed", "parked", "running", "dead", "oldest", "state")


def split(names: str | None) -> list[str]:
    """Return the names in ``a,b``."""
    return [name.strip() for name in (names or "").split(",") if name.strip()]


def warn_of_unknown(session: Session, names: list[str]) -> None:
    """Say which queues neither the app nor the broker knows: most often a slip of the pen."""
    known = {name for name in session.app.broker.queues() if not is_own(name)} | _configured(session)
    for name in names:
        if name not in known and not is_own(name):
            listed = ", ".join(sorted(known)) or "none"
            click.echo(
                f"Warning: the queue {name!r} is neither configured nor known to the broker (known: {listed})", err=True
            )


def _configured(session: Session) -> set[str]:
    if session.app_name is None:
        return set()
    session.app.import_modules()
    return session.app.queue_names()


@click.group(invoke_without_command=True)
@click.option("-Q", "--queues", "names", metavar="A,B", help="Only these.")
@json_option
@pass_session
@click.pass_context
def queues(context: click.Context, session: Session, names: str | None, as_json: bool) -> None:
    """List queues, and what waits in them: those of the app (with -A) and all that the broker has seen.

    Queues of single workers (their names end with .dq2) are listed while something is in them.
    `show` and `set` are about the settings of one queue.

    \b
    Examples:
      umbel -A shop.tasks queues
      umbel -A shop.tasks queues -Q mail --json
    """
    if context.invoked_subcommand is not None:
        return
    wanted = split(names)
    if wanted:
        warn_of_unknown(session, wanted)
    else:
        wanted = sorted(set(session.app.broker.queues()) | _configured(session))
    found = [session.app.broker.info(name) for name in wanted]
    if not names:
        found = [info for info in found if not is_own(info.name) or _has_something(info)]
    if as_json:
        session.json([asdict(info) for info in found])
        return
    if not found:
        session.say("No queue is there yet: a queue exists from its first task on.")
        return
    for line in columns(HEADER, [_row(info) for info in found]):
        session.out(line)


queues.add_command(show)
queues.add_command(set_settings)


def _has_something(info: QueueInfo) -> bool:
    return bool(info.ready or info.delayed or info.parked or info.in_flight or info.dead)


def _row(info: QueueInfo) -> tuple[object, ...]:
    state = [word for word, true in (("held", info.held), ("closed", not info.intake_open)) if true]
    oldest = ago(info.oldest_age) if info.ready else None
    return (
        info.name,
        info.ready,
        info.delayed,
        info.parked,
        info.in_flight,
        info.dead,
        oldest,
        ",".join(state) or "open",
    )


@click.command()
@click.option("-Q", "--queues", "names", metavar="A,B", help="These queues; the app's unless given.")
@click.option("-X", "--exclude-queues", "excluded", metavar="A,B", help="Not these.")
@click.option("-f", "--force", is_flag=True, help="Do not ask.")
@click.option(
    "--tell/--no-tell", default=True, show_default=True, help="Tell who waits for a task; or drop all at once."
)
@json_option
@pass_session
def purge(session: Session, names: str | None, excluded: str | None, force: bool, tell: bool, as_json: bool) -> None:
    """Drop all tasks that wait or are delayed. Running tasks and dead letters are not touched.

    The tasks count as revoked: who waits for one is told, and its workflow ends.

    \b
    Examples:
      umbel -A shop.tasks purge                 all queues of the app, after a question
      umbel -A shop.tasks purge -X mail -f      all but mail, without one
    """
    wanted = split(names)
    if wanted:
        warn_of_unknown(session, wanted)
    elif session.app_name is None:
        raise Fail("purge which queues? Name them with -Q a,b, or the app with -A module[:app]", USAGE)
    else:
        wanted = sorted(_configured(session))
    wanted = [name for name in wanted if name not in split(excluded)]
    if not wanted:
        raise Fail("no queue is left to purge: all are excluded", USAGE)
    broker = session.app.broker
    waiting = sum(info.ready + info.delayed + info.parked for info in map(broker.info, wanted))
    if not force:
        if not sys.stdin.isatty():
            raise Fail("purge asks before it drops tasks, and there is no terminal to ask at: give --force", USAGE)
        click.confirm(f"Drop {waiting} tasks from {', '.join(wanted)}?", abort=True)
    dropped = {name: drop(broker, name) if tell else broker.purge(name) for name in wanted}
    if as_json:
        session.json({"purged": sum(dropped.values()), "queues": dropped})
        return
    total = sum(dropped.values())
    session.say(f"Dropped {total} task{'s' if total != 1 else ''} from {', '.join(wanted)}.")
