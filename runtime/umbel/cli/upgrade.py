"""`umbel upgrade`: moves a project from Celery to Umbel."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from umbel.cli.exits import FAILED, USAGE, Fail
from umbel.cli.foreign import UPGRADE_SETTINGS
from umbel.cli.session import Session, json_option, pass_session

if TYPE_CHECKING:
    from umbel.upgrade.run import Upgrade


@click.group()
def upgrade() -> None:
    """Move a project to Umbel, or to another version of it."""


@upgrade.command(hidden=True, context_settings={"ignore_unknown_options": True})
@click.argument("given", nargs=-1)
def settings(given: tuple[str, ...]) -> None:
    """Say what to do in place of Celery's command."""
    raise click.UsageError(f"upgrade settings is Celery's, and not here: {UPGRADE_SETTINGS}")


@upgrade.command()
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--write", is_flag=True, help="Rewrite the files. Without it, only tell what would change.")
@click.option(
    "--no-backup", is_flag=True, help="With --write: keep no copies (NAME.umbel-backup) of the files as they were."
)
@click.option("--diff/--no-diff", default=True, help="Show the changes as a diff.  [default: --diff]")
@json_option
@pass_session
def celery(session: Session, path: Path, write: bool, no_backup: bool, diff: bool, as_json: bool) -> None:
    """Read a Celery project and tell what has to change; with --write, change what can be changed for certain.

    Reads settings (also UPPERCASE ones, and those with the prefix CELERY_), imports, decorators, calls and schedules in Python
    files, and the command lines and packages in Procfile, compose files, Makefile, Dockerfile and shell scripts: these are
    told of, not changed. What it does not understand stays as it is. It may be run again and again.

    PATH is a folder or one file. Nothing of the project is run.

    \b
    Examples:
      umbel upgrade celery .                    show what would change, and what is left to do
      umbel upgrade celery . --write            do it; copies are kept as NAME.umbel-backup
      umbel upgrade celery . --no-diff --json   the report alone, for other programs

    Exits with 1 if something is left to decide by hand or is not offered, with 0 if nothing is.
    """
    try:
        import libcst  # noqa: F401
    except ModuleNotFoundError:
        raise Fail("reading Python needs libcst: pip install 'umbel[upgrade]'", USAGE) from None
    from umbel.upgrade.run import upgrade as look

    if not path.exists():
        raise Fail(f"there is no file or folder {path}", USAGE)
    found = look(path)
    written = found.write(backup=not no_backup) if write else []
    if as_json:
        session.json(_as_json(found, write, diff))
    else:
        _show(session, found, diff and not write)
        _close(session, found, write, len(written))
    if any(finding.kind != "rewritten" for finding in found.findings):
        click.get_current_context().exit(FAILED)


def _as_json(found: Upgrade, write: bool, diff: bool) -> dict[str, object]:
    listed = [
        {"path": f.path, "line": f.line, "kind": str(f.kind), "what": f.what, "why": f.why} for f in found.findings
    ]
    answer: dict[str, object] = {"written": write, "changed": sorted(found.changed), "findings": listed}
    return {**answer, "diff": found.diff()} if diff else answer


def _show(session: Session, found: Upgrade, diff: bool) -> None:
    from umbel.upgrade.finding import Kind

    if diff:
        for line in found.diff().splitlines():
            style = {"+": "green", "-": "red", "@": "cyan"}.get(line[:1])
            session.out(line, **({"fg": style} if style else {}))
    for kind in Kind:
        findings = found.of(kind)
        if findings:
            session.out(f"\n{str(kind).capitalize()} ({len(findings)})", bold=True)
        for finding in findings:
            session.out(f"  {finding}")


def _close(session: Session, found: Upgrade, write: bool, copies: int) -> None:
    changed = len(found.changed)
    files = f"{changed} file{'' if changed == 1 else 's'}"
    if not found.findings:
        session.say("Nothing of Celery's was found.")
    elif write:
        session.say(f"\nRewrote {files}" + (f"; {copies} kept as NAME.umbel-backup." if copies else "."))
    elif changed:
        session.say(f"\nWould rewrite {files}: add --write.")
    if found.findings:
        session.say("Tasks are acknowledged after they ended, so one may run twice: see docs/coming-from-celery.md.")
