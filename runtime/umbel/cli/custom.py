"""Commands of the app's own, as `umbel.control.inspect_command` and ``control_command`` declare them, on the command line."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import click

from umbel.cli.asking import Asking, asked, asking_options, fail_of, is_error, keep, put
from umbel.cli.session import Session
from umbel.cli.table import columns
from umbel.control.custom import Command

#: Seconds that the command line waits longer than a command may take.
MARGIN = 0.5

Show = Callable[[Session, Asking, dict[str, Any]], None]


class AppCommands(click.Group):
    """Our commands, and those of the app that -A names.

    Args:
        kind: ``inspect`` or ``control``.
        show: prints the answers.
    """

    def __init__(self, *args: Any, kind: str = "", show: Show | None = None, **more: Any) -> None:
        super().__init__(*args, **more)
        self.kind = kind
        self.show = show

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return all names: ours first."""
        ours = list(self.commands)
        return ours + [command.name for command in self._declared(ctx) if command.visible]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command; the app is imported for a name that is not ours."""
        ours = self.commands.get(cmd_name)
        if ours is not None:
            return ours
        for command in self._declared(ctx):
            if cmd_name in (command.name, command.alias):
                return _as_click(command, self.show or show_plainly)
        return None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; say that an app's own ones need the app."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            session = ctx.find_object(Session)
            if session is not None and session.app_name is None and not isinstance(error, click.NoSuchOption):
                text = f"{error.message} Commands of an app's own need its name: umbel -A module[:app] …"
                raise click.UsageError(text, ctx) from None
            raise

    def _declared(self, ctx: click.Context) -> list[Command]:
        session = ctx.find_object(Session)
        if session is None or session.app_name is None:
            return []
        session.app.import_modules()
        found: list[Command] = importlib.import_module("umbel.control.custom").commands(self.kind)
        return found


def _as_click(command: Command, show: Show) -> click.Command:
    """Return a declared command as one of the command line."""

    @click.pass_context
    def run(ctx: click.Context, /, given: tuple[str, ...], **options: Any) -> None:
        try:
            arguments = command.arguments(given)
        except ValueError as error:
            raise click.UsageError(str(error), ctx) from None
        session = ctx.find_object(Session) or Session()
        asking = asked(ctx, **options)
        if command.default_timeout is not None:
            asking = asking.within(command.default_timeout + MARGIN)
        show(session, asking, put(session, asking, command.name, arguments))

    shown = command.signature or " ".join(f"[{name}]" for name, _ in command.args)
    if command.variadic is not None and command.signature is None:
        shown = f"{shown} [{command.variadic}]…".strip()
    run.__doc__ = command.help
    argument = click.argument("given", metavar=shown, nargs=-1, type=click.UNPROCESSED)
    return click.command(command.name)(asking_options(argument(run)))


def begin(ctx: click.Context, list_: bool, given: dict[str, Any]) -> None:
    """Do what stands before the name of a command: remember the options, list the commands, or show the help."""
    keep(ctx, **given)
    if list_:
        list_all(ctx, as_json=bool(given.get("as_json")))
        ctx.exit()
    if ctx.invoked_subcommand is None:
        raise click.UsageError("Which one? umbel inspect --list and umbel control --list name them.", ctx)


def list_all(ctx: click.Context, *, as_json: bool) -> None:
    """Print the commands of a group, a line each, or as JSON."""
    group = ctx.command
    assert isinstance(group, click.Group)
    session = ctx.find_object(Session) or Session()
    rows = []
    for name in group.list_commands(ctx):
        command = group.get_command(ctx, name)
        if command is not None and not command.hidden:
            takes = " ".join(str(p.make_metavar(ctx)) for p in command.params if isinstance(p, click.Argument))
            rows.append((name, takes or None, command.get_short_help_str(80)))
    if as_json:
        session.json([{"command": name, "arguments": takes, "help": text} for name, takes, text in rows])
        return
    for line in columns(("command", "arguments", "what it does"), rows):
        session.out(line)


def show_plainly(session: Session, asking: Asking, answers: dict[str, Any]) -> None:
    """Print what workers answered; end with an error if one refused."""
    if asking.as_json:
        session.json(answers)
    else:
        for name, answer in answers.items():
            if not is_error(answer):
                text = answer["ok"] if isinstance(answer, dict) and set(answer) == {"ok"} else answer
                session.out(f"{name}: OK, {text}" if isinstance(text, str) else f"{name}: {text}")
    failure = fail_of(answers)
    if failure is not None:
        raise failure
