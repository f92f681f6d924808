"""What ``umbel inspect`` and ``umbel control`` share: whom to ask, how long, and what to say when nobody answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final, TypeVar

import click

from umbel.cli.exits import UNAVAILABLE, Fail
from umbel.cli.session import Session, json_option
from umbel.control.asking import Addressees, ask
from umbel.control.inspect import TIMEOUT
from umbel.control.workers import MATCHERS, registered

F = TypeVar("F", bound=Callable[..., Any])

NO_WORKERS: Final = (
    "no worker is registered with this broker. Start one with umbel -A module[:app] worker, and check that it has the same "
    "broker URL and key prefix (umbel report shows them)"
)
_META: Final = "umbel.asking"


@dataclass(frozen=True)
class Asking:
    """Whom a command asks, and how the answers are shown."""

    destination: str | None = None
    pattern: str | None = None
    matcher: str | None = None
    timeout: float | None = None
    as_json: bool = False

    @property
    def to(self) -> Addressees:
        """Who is to answer."""
        return Addressees(names_of(self.destination), self.pattern, self.matcher or "glob")

    def within(self, timeout: float) -> Asking:
        """Return the same with another timeout, where none was given."""
        return replace(self, timeout=timeout) if self.timeout is None else self

    @property
    def seconds(self) -> float:
        """How long to wait."""
        return TIMEOUT if self.timeout is None else self.timeout


def names_of(destination: str | None) -> list[str] | None:
    """Return the names in ``a,b``, None for all."""
    return None if destination is None else [name.strip() for name in destination.split(",") if name.strip()]


def asking_options(function: F) -> F:
    """Add the options of `Asking` to a command or a group."""
    for option in (
        json_option,
        click.option("--matcher", type=click.Choice(MATCHERS), help="How to read the pattern.  [default: glob]"),
        click.option("-p", "--pattern", metavar="PATTERN", help="Only workers with names like this, as mail@*."),
        click.option("-d", "--destination", metavar="NAME,…", help="Only these workers, by their names."),
        click.option(
            "-t",
            "--timeout",
            type=click.FloatRange(0, min_open=True),
            metavar="SECONDS",
            help=f"Wait so long for workers that do not answer.  [default: {TIMEOUT:g}]",
        ),
    ):
        function = option(function)
    return function


def asked(ctx: click.Context, **given: Any) -> Asking:
    """Return the options of a command, those that stand before its name included."""
    asking = Asking(**given)
    before = ctx.meta.get(_META)
    if before is not None:
        missing = {name: value for name, value in vars(before).items() if not getattr(asking, name) and value}
        asking = replace(asking, **missing)
    return asking


def keep(ctx: click.Context, **given: Any) -> None:
    """Remember the options that stand before the name of a command."""
    ctx.meta[_META] = Asking(**given)


def put(session: Session, asking: Asking, command: str, arguments: dict[str, Any] | None = None) -> dict[str, Any]:
    """Ask, and return the answers by the workers' names.

    Raises:
        Fail: nobody answers.
    """
    broker = session.app.broker
    given = {name: value for name, value in (arguments or {}).items() if value is not None}
    replies = ask(broker, command, given, asking.to, timeout=asking.seconds)
    if not replies:
        raise nobody(session, asking)
    return {reply.name: reply.value for reply in sorted(replies, key=lambda reply: reply.name)}


def nobody(session: Session, asking: Asking) -> Fail:
    """Return what to say when nobody answered: nobody is there, or nobody of that name, or those who are there are silent."""
    there = [worker.name for worker in registered(session.app.broker)]
    if not there:
        return Fail(NO_WORKERS, UNAVAILABLE)
    names = names_of(asking.destination)
    if names is not None and not set(names) & set(there):
        return Fail(f"no worker is called {', '.join(names)}; umbel status lists those that are there", UNAVAILABLE)
    if asking.pattern is not None:
        return Fail(
            f"no worker that is called like {asking.pattern} answers; there are: {', '.join(there)}", UNAVAILABLE
        )
    return Fail(silence(names or there, asking.seconds), UNAVAILABLE)


def silence(names: list[str], seconds: float) -> str:
    """Return what is to be said of workers that are registered and do not answer."""
    return (
        f"no answer within {seconds:g} seconds from: {', '.join(sorted(names))}. Such a worker is dead or cut off; what it "
        "held goes back to the queues about 10 seconds after its last heartbeat"
    )


def fail_of(answers: dict[str, Any]) -> Fail | None:
    """Return the failure where workers refused, None where none did."""
    refused = {name: answer["error"] for name, answer in answers.items() if is_error(answer)}
    if not refused:
        return None
    return Fail("; ".join(f"{name}: {text}" for name, text in refused.items()))


def is_error(answer: Any) -> bool:
    """Return whether a worker refused."""
    return isinstance(answer, dict) and set(answer) == {"error"}
