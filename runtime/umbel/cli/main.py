"""The entry point: global options, and commands that are imported only when they are called."""

from __future__ import annotations

import importlib
import os
import signal
import sys
from pathlib import Path
from typing import Any, Final

import click

from umbel import __version__
from umbel.cli.exits import HELP, INTERRUPTED, as_failure
from umbel.cli.foreign import COMMANDS as CELERYS
from umbel.cli.foreign import NEEDLESS, REFUSED, needless, refused
from umbel.cli.session import Session

#: command -> (where it is, its line in the list of commands)
COMMANDS: Final = {
    "worker": ("umbel.cli.worker:worker", "Start a worker."),
    "beat": ("umbel.cli.beat:beat", "Start beat, which sends periodic tasks."),
    "schedules": ("umbel.cli.schedules:schedules", "Write an app's beat_schedule as Schedule resources."),
    "status": ("umbel.cli.status:status", "Show which workers are there."),
    "inspect": ("umbel.cli.inspect:inspect", "Ask workers: ping, active, reserved, stats, …"),
    "events": ("umbel.cli.events:events", "Watch what happens to tasks and workers."),
    "control": ("umbel.cli.control:control", "Tell workers: revoke, time_limit, shutdown, …"),
    "call": ("umbel.cli.call:call", "Send a task by its name; print its id."),
    "result": ("umbel.cli.call:result", "Show the result of a task."),
    "purge": ("umbel.cli.queues:purge", "Drop waiting tasks."),
    "queues": ("umbel.cli.queues:queues", "List queues and what waits in them."),
    "dead": ("umbel.cli.dead:dead", "Look at dead letters, send them again, drop them."),
    "shell": ("umbel.cli.shell:shell", "Start Python with the app at hand."),
    "completion": ("umbel.cli.completion:completion", "Print what makes a shell complete commands."),
    "upgrade": ("umbel.cli.upgrade:upgrade", "Move a project from Celery."),
    "report": ("umbel.cli.report:report", "Show versions, settings and the broker, for bug reports."),
}
ENTRY_POINTS: Final = "umbel.commands"


class Commands(click.Group):
    """The commands of Umbel, and those that other distributions add by the entry-point group ``umbel.commands``."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return all names: ours first, in the order of a day's work."""
        return [*COMMANDS, *sorted(point.name for point in self._added() if point.name not in COMMANDS)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return a command."""
        if cmd_name in COMMANDS:
            module, _, attribute = COMMANDS[cmd_name][0].partition(":")
            command: click.Command = getattr(importlib.import_module(module), attribute)
            return command
        for point in self._added():
            if point.name == cmd_name:
                loaded: click.Command = point.load()
                return loaded
        return None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing any."""
        added = [
            (p.name, f"(from {p.dist.name if p.dist else p.value})") for p in self._added() if p.name not in COMMANDS
        ]
        with formatter.section("Commands"):
            formatter.write_dl([*((name, line) for name, (_, line) in COMMANDS.items()), *sorted(added)])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; propose the nearest name for one that is not there."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            import difflib

            if args and args[0] in CELERYS:
                raise click.UsageError(f"{args[0]} is Celery's, and not here: {CELERYS[args[0]]}", ctx) from None
            near = difflib.get_close_matches(args[0], self.list_commands(ctx), n=1) if args else []
            if near and not isinstance(error, click.NoSuchOption):
                raise click.UsageError(f"There is no command {args[0]!r}; did you mean {near[0]!r}?", ctx) from None
            raise

    def _added(self) -> list[Any]:
        from importlib.metadata import entry_points  # a worker, which lives long, has no use for it

        return list(entry_points(group=ENTRY_POINTS))


@click.group(cls=Commands, epilog=HELP, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("-A", "--app", "app_name", envvar="UMBEL_APP", metavar="MODULE[:APP]", help="The app. [env: UMBEL_APP]")
@click.option("-b", "--broker", metavar="URL", help="The broker, in place of the app's. [env: UMBEL_BROKER_URL]")
@click.option("--result-backend", "backend", metavar="URL", help="The result backend, in place of the app's.")
@click.option(
    "--config",
    metavar="MODULE",
    envvar="UMBEL_CONFIG_MODULE",
    help="Settings from this module too. [env: UMBEL_CONFIG_MODULE]",
)
@click.option("--workdir", type=click.Path(file_okay=False, path_type=Path), help="Change to this folder first.")
@click.option("-q", "--quiet", is_flag=True, help="Print only what was asked for.")
@click.option("-C", "--no-color", is_flag=True, help="Print without colors. [env: NO_COLOR]")
@click.version_option(__version__, prog_name="umbel")
@refused(REFUSED)
@needless(NEEDLESS)
@click.pass_context
def umbel(
    ctx: click.Context,
    app_name: str | None,
    broker: str | None,
    backend: str | None,
    config: str | None,
    workdir: Path | None,
    quiet: bool,
    no_color: bool,
) -> None:
    """Umbel: tasks for Python, on Kubernetes and anywhere else.

    \b
    Examples:
      umbel -A shop.tasks worker -l info        start a worker
      umbel -A shop.tasks call shop.add -a '[2, 3]'
      umbel -A shop.tasks status                who is there
      umbel worker --help                       what a command takes
    """
    if workdir is not None and not workdir.is_dir():
        raise click.BadParameter(f"there is no folder {workdir}", ctx, param_hint="--workdir")
    color = not (no_color or os.environ.get("NO_COLOR"))
    ctx.obj = Session(app_name, broker, backend, config, workdir, quiet, color)


def end_on_an_early_signal() -> None:
    """Make SIGTERM end this process also before its command has a handler of its own.

    The first process of a container is spared by every signal that it has no handler for: a pod that is stopped while
    it starts would otherwise live on until the end of its grace period.
    """
    if os.getpid() == 1:
        signal.signal(signal.SIGTERM, lambda *_: os._exit(128 + signal.SIGTERM))


def main() -> None:
    """Run the command line; errors of ours end with one sentence and an exit code, see `umbel.cli.exits`."""
    end_on_an_early_signal()
    try:
        code = umbel.main(prog_name="umbel", standalone_mode=False)
    except click.exceptions.Abort:
        click.echo("Aborted.", err=True)
        code = INTERRUPTED
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except KeyboardInterrupt:
        code = INTERRUPTED
    except Exception as error:
        failure = as_failure(error)
        if failure is None:
            raise
        failure.show()
        code = failure.exit_code
    sys.exit(code if isinstance(code, int) else 0)


if __name__ == "__main__":
    main()
