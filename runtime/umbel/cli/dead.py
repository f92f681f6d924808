"""``umbel dead``: the messages that no worker will run, and why; to send them again, or to drop them."""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

import click

from umbel.cli.exits import FAILED, USAGE, Fail
from umbel.cli.inspect import call_of
from umbel.cli.queues import split, warn_of_unknown
from umbel.cli.session import Session, json_option, pass_session
from umbel.cli.table import columns
from umbel.control.deadletters import Letter, Which

F = TypeVar("F", bound=Callable[..., Any])

#: Seconds of one of each unit in which an age is given.
UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}

_FILTERS: Final = (
    click.option("-Q", "--queues", "--queue", "names", metavar="A,B", help="Only these queues."),
    click.option("--task", metavar="NAME", help="Only this task; * and ? stand for anything: 'shop.*'."),
    click.option(
        "--reason", metavar="WORD", help="Only this reason: MaxDeliveries, UnknownTask, Rejected, Unreadable, …"
    ),
    click.option("--id", "ids", metavar="ID", multiple=True, help="Only this task id; may be given several times."),
    click.option("--since", metavar="WHEN", help="Only those that died then or later: an age (30m, 2h, 7d) or a time."),
    click.option("--before", metavar="WHEN", help="Only those that died earlier: an age (30m, 2h, 7d) or a time."),
)


def filters(command: F) -> F:
    """Add the options that say which letters."""
    for option in reversed(_FILTERS):
        command = option(command)
    return command


@click.group()
def dead() -> None:
    """Look at dead letters: unreadable, rejected, unknown tasks, and those whose process died too often.

    \b
    Examples:
      umbel -A shop.tasks dead list --task 'shop.*' --since 2h
      umbel -A shop.tasks dead retry --reason MaxDeliveries
    """


@dead.command("list")
@filters
@click.option("-n", "--limit", type=click.IntRange(1), default=50, show_default=True, help="At most so many per queue.")
@json_option
@pass_session
def list_letters(session: Session, /, limit: int, as_json: bool, **given: Any) -> None:
    """List dead letters, the newest first."""
    seen: Counter[str] = Counter()
    found: list[Letter] = []
    which = _which(session, **given)
    for queue in which.queues or ():
        for letter in session.app.dead.find(_only(which, queue)):
            found.append(letter)
            seen[queue] += 1
            if seen[queue] >= limit:
                break
    found.sort(key=lambda letter: letter.letter.died, reverse=True)
    if as_json:
        session.json([letter.as_dict() for letter in found])
        return
    if not found:
        session.say("No dead letters.")
        return
    rows = [
        (
            letter.died.isoformat(timespec="seconds"),
            letter.queue,
            letter.id,
            letter.task,
            letter.reason,
            call_of(letter.message, 40),
        )
        for letter in found
    ]
    for line in columns(("died", "queue", "id", "task", "reason", "arguments"), rows):
        session.out(line)


@dead.command()
@click.argument("task_id", metavar="ID")
@click.option("-Q", "--queues", "--queue", "names", metavar="A,B", help="Only these queues.")
@json_option
@pass_session
def show(session: Session, task_id: str, names: str | None, as_json: bool) -> None:
    """Show one dead letter: the task, its arguments, its counts, the reason in full, and what died with it."""
    letter = next(session.app.dead.find(_which(session, names, ids=(task_id,))), None)
    if letter is None:
        raise Fail(f"no dead letter has the id {task_id}; umbel dead list shows those that are there", FAILED)
    info = letter.as_dict()
    if as_json:
        session.json(info)
        return
    for key, value in info.items():
        if key == "reason":
            _show_reason(session, value)
        else:
            session.out(f"{key}: {value}")


def _show_reason(session: Session, reason: dict[str, Any]) -> None:
    for part, value in reason.items():
        if part == "deaths":
            session.out("  deaths:")
            for death in value:
                when = datetime.fromtimestamp(death.get("at", 0), UTC).isoformat(timespec="seconds")
                words = (
                    f"{name}={death[name]}" for name in ("host", "pid", "pod", "pool", "charge") if death.get(name)
                )
                session.out(f"    {when} {' '.join(words)}: {death.get('cause') or 'it died'}")
        elif part == "traceback":
            session.out("  traceback:")
            for line in str(value).splitlines():
                session.out(f"    {line}")
        else:
            session.out(f"{'reason' if part == 'reason' else f'  {part}'}: {value}")


@dead.command()
@filters
@click.argument("task_ids", metavar="[ID]...", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="All of them.")
@click.option("-n", "--limit", type=click.IntRange(1), help="At most so many per queue, the newest.")
@json_option
@pass_session
def retry(
    session: Session, /, task_ids: tuple[str, ...], everything: bool, limit: int | None, as_json: bool, **given: Any
) -> None:
    """Send dead letters again, to the queue where they died: same id, same arguments, all counts at zero."""
    given["ids"] = (*given["ids"], *task_ids)
    which = _which(session, **given)
    _insist(which, given, everything, "retry")
    results = session.app.dead.retry(which, limit=limit)
    sent = [result.id for result in results]
    missing = sorted(set(given["ids"]) - set(sent))
    if as_json:
        session.json({"retried": len(sent), "ids": sent})
    else:
        session.say(f"Sent {len(sent)} dead letter{'s' if len(sent) != 1 else ''} again.")
    if missing:
        raise Fail(
            f"no dead letter has the id {', '.join(missing)}; umbel dead list shows those that are there", FAILED
        )


@dead.command()
@filters
@click.option("--all", "everything", is_flag=True, help="All of them.")
@click.option("-n", "--limit", type=click.IntRange(1), help="At most so many per queue, the newest.")
@click.option("-f", "--force", is_flag=True, help="Do not ask.")
@json_option
@pass_session
def purge(session: Session, /, everything: bool, limit: int | None, force: bool, as_json: bool, **given: Any) -> None:
    """Drop dead letters for good. Stored results are not touched."""
    which = _which(session, **given)
    _insist(which, given, everything, "purge")
    if not force:
        if not sys.stdin.isatty():
            raise Fail(
                "purge asks before it drops dead letters, and there is no terminal to ask at: give --force", USAGE
            )
        count = sum(1 for _ in session.app.dead.find(which))
        click.confirm(f"Drop {count} dead letters from {', '.join(which.queues or ())}?", abort=True)
    dropped = session.app.dead.purge(which, limit=limit)
    if as_json:
        session.json({"purged": dropped})
        return
    session.say(f"Dropped {dropped} dead letter{'s' if dropped != 1 else ''}.")


def _insist(which: Which, given: dict[str, Any], everything: bool, command: str) -> None:
    """Refuse to act on all letters by an oversight."""
    if which.is_all and given["names"] is None and not everything:
        raise Fail(
            f"{command} which dead letters? Name ids, or give --queue, --task, --reason, --since or --before; all of them: --all",
            USAGE,
        )


def _which(
    session: Session,
    names: str | None = None,
    task: str | None = None,
    reason: str | None = None,
    ids: tuple[str, ...] = (),
    since: str | None = None,
    before: str | None = None,
) -> Which:
    wanted = split(names)
    if wanted:
        warn_of_unknown(session, wanted)
    now = session.app.broker.time() if since or before else 0.0
    return Which(
        wanted or session.app.broker.queues(),
        task,
        reason,
        ids or None,
        moment("--since", since, now),
        moment("--before", before, now),
    )


def _only(which: Which, queue: str) -> Which:
    return Which([queue], which.task, which.reason, which.ids, which.since, which.before)


def moment(option: str, text: str | None, now: float) -> float | None:
    """Return a moment in seconds since the Unix epoch: so long ago (``90s``, ``30m``, ``2h``, ``7d``), or a time.

    Args:
        option: for the error.
        text: an age, or a time of ISO 8601, in UTC unless it says otherwise; None for none.
        now: the broker's clock, by which letters are dated.

    Raises:
        Fail: it is neither.
    """
    if text is None:
        return None
    age = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd])", text.strip())
    if age is not None:
        return now - float(age[1]) * UNITS[age[2]]
    try:
        found = datetime.fromisoformat(text.strip())
    except ValueError:
        raise Fail(
            f"{option} takes an age such as 90s, 30m, 2h or 7d, or a time such as 2031-05-17T08:00:00Z, not {text!r}",
            USAGE,
        ) from None
    return (found if found.tzinfo is not None else found.replace(tzinfo=UTC)).timestamp()
