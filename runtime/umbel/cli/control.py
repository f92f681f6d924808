"""``umbel control``: commands to workers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

import click

from umbel.cli.asking import Asking, asked, asking_options, fail_of, is_error, put
from umbel.cli.custom import AppCommands, begin, show_plainly
from umbel.cli.session import Session
from umbel.control.commands import Control
from umbel.marks import stamp_marks
from umbel.pace import rate_interval


@click.group(cls=AppCommands, kind="control", show=show_plainly, invoke_without_command=True)
@click.option("--list", "list_", is_flag=True, help="List the commands, those of the app included.")
@asking_options
@click.pass_context
def control(ctx: click.Context, /, list_: bool, **given: Any) -> None:
    """Tell workers what to do, and show what they answer. Commands of the app that -A names are here too.

    \b
    Examples:
      umbel -A shop.tasks control revoke 5f2b… --terminate
      umbel -A shop.tasks control revoke_by_stamped_headers order=4711
      umbel -A shop.tasks control rate_limit shop.tasks.mail 100/m
      umbel -A shop.tasks control shutdown -d w1@host
    """
    begin(ctx, list_, given)


def order(name: str, *arguments: Callable[[Any], Any]) -> Callable[[Callable[..., Any]], click.Command]:
    """Make a command of ``umbel control``: the function returns the arguments of the command to send."""

    def make(function: Callable[..., dict[str, Any]]) -> click.Command:
        @click.pass_context
        def command(ctx: click.Context, /, **given: Any) -> None:
            names = ("destination", "pattern", "matcher", "timeout", "as_json")
            options = {option: given.pop(option) for option in names}
            session = ctx.find_object(Session) or Session()
            asking = asked(ctx, **options)
            show_plainly(session, asking, put(session, asking, name, function(session, **given)))

        command.__doc__ = function.__doc__
        made: Any = asking_options(command)
        for argument in reversed(arguments):
            made = argument(made)
        return control.command(name)(made)

    return make


_ids = click.argument("task_ids", metavar="ID…", nargs=-1, required=True)
_signal = click.option("-s", "--signal", metavar="NAME", help="Send this first, as SIGTERM; kill a second later.")


@control.command()
@_ids
@click.option("--terminate", is_flag=True, help="Also end the task if it runs already, by ending its process.")
@_signal
@asking_options
@click.pass_context
def revoke(ctx: click.Context, /, task_ids: tuple[str, ...], terminate: bool, signal: str | None, **given: Any) -> None:
    """Keep tasks from running, for a month. Workers that start later know of it too."""
    session = ctx.find_object(Session) or Session()
    _revoke(session, asked(ctx, **given), task_ids, terminate, signal)


@control.command()
@_ids
@_signal
@asking_options
@click.pass_context
def terminate(ctx: click.Context, /, task_ids: tuple[str, ...], signal: str | None, **given: Any) -> None:
    """Keep tasks from running, and end those that run, by ending their process."""
    session = ctx.find_object(Session) or Session()
    _revoke(session, asked(ctx, **given), task_ids, True, signal)


@control.command("revoke_by_stamped_headers")
@click.argument("stamps", metavar="NAME=VALUE…", nargs=-1, required=True)
@click.option("--terminate", is_flag=True, help="Also end those that run already, by ending their processes.")
@_signal
@asking_options
@click.pass_context
def revoke_by_stamped_headers(
    ctx: click.Context, /, stamps: tuple[str, ...], terminate: bool, signal: str | None, **given: Any
) -> None:
    """Keep all tasks from running that bear one of these stamps, for a month, also those that are sent later.

    A VALUE that is a number, true, false or null stands for that, and for the text.
    """
    session = ctx.find_object(Session) or Session()
    headers: dict[str, list[Any]] = {}
    for stamp in stamps:
        name, found, value = stamp.partition("=")
        if not found or not name:
            raise click.UsageError(f"a stamp is given as NAME=VALUE, not as {stamp!r}")
        headers.setdefault(name, []).extend(_meant(value))
    marks = stamp_marks(headers)
    replies = _send_revoke(session, asked(ctx, **given), marks, terminate, signal)
    _say_revoked(session, asked(ctx, **given), replies, list(stamps), "tasks with these stamps", terminate)


def _meant(value: str) -> list[Any]:
    """Return what a value on the command line may stand for."""
    try:
        parsed = json.loads(value)
    except ValueError:
        return [value]
    return [value] if isinstance(parsed, (str, list, dict)) else [value, parsed]


def _revoke(session: Session, asking: Asking, task_ids: tuple[str, ...], terminate: bool, signal: str | None) -> None:
    """Revoke tasks, and say who heard it."""
    replies = _send_revoke(session, asking, task_ids, terminate, signal)
    tasks = "1 task" if len(task_ids) == 1 else f"{len(task_ids)} tasks"
    _say_revoked(session, asking, replies, list(task_ids), tasks, terminate)


def _send_revoke(session: Session, asking: Asking, revoked: Iterable[str], terminate: bool, signal: str | None) -> Any:
    """Revoke; this works without any worker too, since those that start later learn of it."""
    to = asking.to
    return Control(session.app).revoke(
        revoked,
        to.destination,
        terminate,
        signal,
        reply=True,
        timeout=asking.seconds,
        pattern=to.pattern,
        matcher=to.matcher,
    )


def _say_revoked(
    session: Session, asking: Asking, replies: Any, revoked: list[str], named: str, terminate: bool
) -> None:
    answers = {name: answer for reply in replies for name, answer in reply.items()}
    if asking.as_json:
        session.json({"revoked": revoked, "terminate": terminate, "workers": answers})
    else:
        count = sum(1 for answer in answers.values() if not is_error(answer))
        session.say(f"Revoked {named}; {count} worker{'s' if count != 1 else ''} heard it.")
    failure = fail_of(answers)
    if failure is not None:
        raise failure


@order("shutdown")
def shutdown(session: Session) -> dict[str, Any]:
    """End workers as SIGTERM does: they finish what runs, and give the rest back.

    A worker in a Kubernetes pod is started again by its Deployment: scale the WorkerPool to 0 instead.
    """
    return {}


_count = click.argument("n", type=click.IntRange(1), default=1, metavar="[N=1]")
_queue = click.argument("queue", metavar="QUEUE")


@order(
    "time_limit",
    click.argument("task_name", metavar="TASK"),
    click.argument("limits", metavar="[[SOFT] HARD]", nargs=-1),
)
def time_limit(session: Session, task_name: str, limits: tuple[str, ...]) -> dict[str, Any]:
    """Change the time limits of a task, for runs that begin from now on: SOFT and HARD in seconds, 0 for none.

    One number is the hard limit; none at all gives the task its own limits again.
    """
    try:
        seconds = [float(text) or None for text in limits]
    except ValueError:
        raise click.UsageError(f"limits are seconds, not {' '.join(limits)!r}") from None
    if len(seconds) > 2:
        raise click.UsageError("there are two limits, the soft and the hard one")
    soft, hard = [None, None, *seconds][-2:]
    return {"task_name": task_name, "soft": soft, "hard": hard}


@order(
    "rate_limit",
    click.argument("task_name", metavar="TASK"),
    click.argument("rate", metavar="[RATE]", required=False),
)
def rate_limit(session: Session, task_name: str, rate: str | None) -> dict[str, Any]:
    """Change how many runs of a task begin in a time, over all workers told so: RATE as 100/m, 0 for no limit.

    Without RATE the task has its own one again. Tasks that wait for their slot keep it.
    """
    if rate not in (None, "0"):
        try:
            rate_interval(rate or "")
        except ValueError as error:
            raise click.UsageError(str(error)) from None
    return {"task_name": task_name, "rate_limit": rate}


_weight = click.option(
    "-w", "--weight", type=click.IntRange(1), default=1, show_default=True, help="How often, beside the other queues."
)


@order("add_consumer", _queue, _weight)
def add_consumer(session: Session, queue: str, weight: int) -> dict[str, Any]:
    """Have workers consume one more queue."""
    return {"queue": queue, "weight": weight}


@order("cancel_consumer", _queue)
def cancel_consumer(session: Session, queue: str) -> dict[str, Any]:
    """Have workers let go of a queue: what they fetched goes back, what runs is finished."""
    return {"queue": queue}


@order("pool_grow", _count)
def pool_grow(session: Session, n: int) -> dict[str, Any]:
    """Start N more processes in each worker."""
    return {"n": n}


@order("pool_shrink", _count)
def pool_shrink(session: Session, n: int) -> dict[str, Any]:
    """End N processes of each worker, idle ones first; they finish what they run."""
    return {"n": n}


@order("enable_events")
def enable_events(session: Session) -> dict[str, Any]:
    """Have workers write what happens to their tasks as events, until they end."""
    return {}


@order("disable_events")
def disable_events(session: Session) -> dict[str, Any]:
    """Have workers write no events any more."""
    return {}
