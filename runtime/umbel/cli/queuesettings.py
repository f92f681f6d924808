"""``umbel queues show`` and ``umbel queues set``: what a queue takes and hands out, for those who have no TaskQueue."""

from __future__ import annotations

from typing import Any

import click

from umbel.cli.exits import FAILED, USAGE, Fail
from umbel.cli.session import Session, json_option, pass_session
from umbel.cli.table import columns
from umbel.errors import ImproperlyConfigured
from umbel.rates import RateLimit

NONE = "none"


class OrNone(click.ParamType[Any]):
    """A whole number from 1 on, or ``none`` for no bound."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the number; ``none`` as it is."""
        if value == NONE:
            return value
        if not str(value).isdecimal() or int(value) < 1:
            self.fail(f"{value!r} is no bound: give a whole number from 1 on, or none for no bound", param, ctx)
        return int(value)


@click.command()
@click.argument("name", metavar="QUEUE")
@json_option
@pass_session
def show(session: Session, name: str, as_json: bool) -> None:
    """Show the settings of a queue that are not the default."""
    settings = session.app.broker.settings(name)
    shown = {key: _plain(value) for key, value in sorted(settings.items()) if key != "serial"}
    if as_json:
        session.json(shown)
    elif not shown:
        session.say(f"The queue {name} has no settings of its own: no bound, no limit, open.")
    else:
        for line in columns(("setting", "value"), list(shown.items())):
            session.out(line)


@click.command("set")
@click.argument("name", metavar="QUEUE")
@click.option(
    "--max-length", type=OrNone(), metavar="N", help="Tasks that may wait, ready or delayed; none for no bound."
)
@click.option(
    "--overflow", type=click.Choice(["reject", "drop-oldest"]), help="What a full queue does with new tasks. [reject]"
)
@click.option("--rate", metavar="N/UNIT", help="Tasks that may start: 5/s, 100/m, 1000/h; none for no limit.")
@click.option("--burst", type=click.IntRange(1), help="Tasks that may start at once after a quiet time.")
@click.option("--max-concurrency", type=OrNone(), metavar="N", help="Tasks that may run at once; none for no bound.")
@click.option("--max-deliveries", type=click.IntRange(1), help="Deaths of its process that a task may cause.")
@click.option(
    "--weight", "weights", multiple=True, metavar="GROUP=N", help="Turns that a group gets for one of another."
)
@click.option("--hold/--resume", "held", default=None, help="Have workers fetch nothing; or go on.")
@click.option("--close/--open", "closed", default=None, help="Refuse new tasks; or take them.")
@pass_session
def set_settings(
    session: Session,
    name: str,
    max_length: int | str | None,
    overflow: str | None,
    rate: str | None,
    burst: int | None,
    max_concurrency: int | str | None,
    max_deliveries: int | None,
    weights: tuple[str, ...],
    held: bool | None,
    closed: bool | None,
) -> None:
    """Change settings of a queue; they act at once, on all producers and workers. What is not named stays."""
    broker = session.app.broker
    before = broker.settings(name)
    changes: dict[str, Any] = {}
    if max_length is not None:
        changes["max_length"] = None if max_length == NONE else max_length
    if overflow is not None:
        changes["overflow"] = "DropOldest" if overflow == "drop-oldest" else "Reject"
    if rate is not None or burst is not None:
        changes["rate_limit"] = _rate(rate, burst, before.get("rate_limit"))
    if max_concurrency is not None:
        changes["max_concurrency"] = None if max_concurrency == NONE else max_concurrency
    if max_deliveries is not None:
        changes["max_deliveries"] = max_deliveries
    if weights:
        changes["group_weights"] = {**before.get("group_weights", {}), **_weights(weights)}
    if held is not None:
        changes["dispatch"] = "Held" if held else "Enabled"
    if closed is not None:
        changes["intake"] = "Reject" if closed else "Accept"
    if not changes:
        raise Fail("nothing to change: name a setting, such as --max-length 1000 (umbel queues set --help)", USAGE)
    if changes.get("overflow") and not changes.get("max_length", before.get("max_length")):
        raise Fail("--overflow says what a full queue does, and this one has no bound: add --max-length N", USAGE)
    if not broker.configure(name, changes, max(before["serial"], 0)):
        raise Fail(
            f"the settings of {name} were changed meanwhile by its TaskQueue: look at them, and try again", FAILED
        )
    if before["serial"] > 0:
        click.echo(f"Warning: {name} has a TaskQueue; its next change replaces what was set here", err=True)
    session.say(f"Set {', '.join(sorted(changes))} of {name}.")


def _rate(rate: str | None, burst: int | None, before: RateLimit | None) -> RateLimit | None:
    if rate == NONE:
        return None
    if rate is None:
        if before is None:
            raise Fail("--burst belongs to a rate limit, and this queue has none: add --rate 100/m", USAGE)
        return RateLimit(before.tasks, before.period, burst)
    try:
        return RateLimit.read(rate, burst)
    except ImproperlyConfigured as error:
        raise Fail(f"{error}; none for no limit", USAGE) from None


def _weights(given: tuple[str, ...]) -> dict[str, int]:
    found = {}
    for text in given:
        group, _, weight = text.rpartition("=")
        if not group or not weight.isdecimal() or not 1 <= int(weight) <= 1000:
            raise Fail(f"--weight {text!r}: give a group and a whole number from 1 to 1000, such as acme=3", USAGE)
        found[group] = int(weight)
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, RateLimit):
        return f"{value}, {value.at_once} at once"
    return value
