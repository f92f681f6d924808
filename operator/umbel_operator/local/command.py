"""`umbel up`: the click command that the entry point names. What it needs is imported when it runs."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from pathlib import Path
from typing import Any

import click

from umbel.cli.exits import FAILED, USAGE, Fail
from umbel.cli.session import Session, pass_session

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "": 1.0}


class Duration(click.ParamType[float]):
    """A span of time: 30s, 2m, 1h, or a number of seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return seconds."""
        if isinstance(value, int | float):
            return float(value)
        match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([a-z]*)", str(value).strip().lower())
        if match is None or match[2] not in _UNITS or float(match[1]) <= 0:
            self.fail(f"{value!r} is no span of time; write for example 30s, 2m or 1h", param, ctx)
        return float(match[1]) * _UNITS[match[2]]


@click.command()
@click.option(
    "-f",
    "--filename",
    "paths",
    multiple=True,
    required=True,
    metavar="PATH",
    type=click.Path(exists=True, path_type=Path),
    help="A file of resources, or a folder of such files; may be repeated.",
)
@click.option("--for", "seconds", type=Duration(), metavar="TIME", help="End by itself after so long, e.g. 30s.")
@click.option("--redis-url", metavar="URL", help="Use this Redis. [default: one is started]")
@click.option(
    "--workdir",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder that workers run in. [default: that of their WorkerPool's file]",
)
@click.option("--reload", is_flag=True, help="Replace workers when Python files in their folder change.")
@click.option("--table/--no-table", default=None, help="A live table, or plain lines. [default: a table on a terminal]")
@pass_session
def up(
    session: Session,
    paths: tuple[Path, ...],
    seconds: float | None,
    redis_url: str | None,
    workdir: Path | None,
    reload: bool,
    table: bool | None,
) -> None:
    """Run resources on this machine, without a cluster.

    Starts a Redis, and a process for each pod that the operator would start; follows edits of the files. Ctrl-C ends it:
    running tasks are finished first, a second Ctrl-C gives them back at once.

    Exits with 0; with --for, with 1 if something is not ready at the end.
    """
    if sys.platform != "linux":
        raise Fail("umbel up runs on Linux only, as workers do: use a virtual machine or a container", FAILED)
    try:
        from umbel_operator.local.redirect import Address, BadURL
        from umbel_operator.local.redis import NoRedis
        from umbel_operator.local.up import NothingToRun, Up, Wishes
    except ModuleNotFoundError as error:
        raise Fail(f"umbel up needs {error.name}: run pip install 'umbel[operator]'", USAGE) from error
    if session.workdir is not None:
        os.chdir(session.workdir)
    try:
        redis = Address.parse(redis_url) if redis_url is not None else None
    except BadURL as error:
        raise Fail(str(error), USAGE) from error
    # What the shell says of a broker is not meant for the processes here: the resources say it.
    for name in [name for name in os.environ if name.startswith("UMBEL_")]:
        del os.environ[name]
    absolute = tuple(dict.fromkeys(path.absolute() for path in paths))
    folder = workdir.absolute() if workdir is not None else None
    wishes = Wishes(paths=absolute, seconds=seconds, redis=redis, workdir=folder, reload=reload)

    async def main() -> int:
        ends = asyncio.Event()
        running = Up(wishes, _screen(table, session.color, ends.set))
        watcher = asyncio.create_task(_end_when(ends, running))
        try:
            return await running.run()
        finally:
            watcher.cancel()

    try:
        sys.exit(asyncio.run(main()))
    except NothingToRun as error:
        raise Fail(str(error), USAGE) from error
    except NoRedis as error:
        raise Fail(str(error), FAILED) from error


async def _end_when(ends: asyncio.Event, running: Any) -> None:
    await ends.wait()
    running.end()


def _screen(table: bool | None, color: bool, broken: Any) -> Any:
    from umbel_operator.local.screen import PlainScreen

    if table is None:
        table = sys.stdout.isatty()
    if not table:
        return PlainScreen(broken)
    from rich.console import Console

    from umbel_operator.local.table import TableScreen

    return TableScreen(Console(no_color=not color, highlight=False))
