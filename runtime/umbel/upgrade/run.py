"""Goes over a project: what each file becomes, and what was found in it."""

from __future__ import annotations

import contextlib
import difflib
import os
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from umbel.upgrade.commands import look_at
from umbel.upgrade.finding import Finding, Kind
from umbel.upgrade.project import Project, read_project

BACKUP = ".umbel-backup"


@dataclass
class Upgrade:
    """What an upgrade of a project would change.

    Args:
        root: of the project.
        findings: all of them, in the order of the files.
        changed: path from the root -> the file as it was, and as it becomes.
    """

    root: Path
    findings: list[Finding] = field(default_factory=list)
    changed: dict[str, tuple[str, str]] = field(default_factory=dict)

    def of(self, kind: Kind) -> list[Finding]:
        """Return the findings of one kind."""
        return [finding for finding in self.findings if finding.kind is kind]

    def diff(self) -> str:
        """Return all changes as a unified diff."""
        parts = []
        for path, (before, after) in sorted(self.changed.items()):
            lines = difflib.unified_diff(
                before.splitlines(keepends=True), after.splitlines(keepends=True), f"a/{path}", f"b/{path}"
            )
            parts += [line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines]
        return "".join(parts)

    def write(self, *, backup: bool = True) -> list[Path]:
        """Write the changed files, each in one step; return the copies of what they were.

        Args:
            backup: keep each file's text beside it, as ``name.umbel-backup``; one that is there already is kept.
        """
        kept = []
        for path, (_, after) in self.changed.items():
            target = self.root if self.root.is_file() else self.root / path
            copy = target.with_name(target.name + BACKUP)
            if backup and not copy.exists():
                shutil.copy2(target, copy)
                kept.append(copy)
            _replace(target, after)
        return kept


def upgrade(root: Path) -> Upgrade:
    """Look at a project that was written for Celery.

    Args:
        root: a folder, or one file.

    Raises:
        CannotRead: there is none.
        ModuleNotFoundError: libcst is not installed.
    """
    project = read_project(root)
    result = Upgrade(root)
    for path in project.python:
        name = project.name(path)
        if _concerns(project.sources[name], project, name):
            _python(project, path, name, result)
    for path in project.texts:
        text = path.read_text(encoding="utf-8", errors="replace")
        if "celery" in text.lower():
            result.findings += look_at(project.name(path), text)
    result.findings.sort()
    return result


def _concerns(source: str, project: Project, name: str) -> bool:
    return any(word in source for word in ("elery", "ELERY", "BROKER_", "kombu", "umbel")) or project.is_config(name)


def _python(project: Project, path: Path, name: str, result: Upgrade) -> None:
    import libcst as cst
    from libcst.metadata import MetadataWrapper

    from umbel.upgrade.imports import Imports
    from umbel.upgrade.options import Options
    from umbel.upgrade.settings import Settings, without_dropped

    raw = path.read_bytes()
    try:
        module = cst.parse_module(raw)
    except (cst.ParserSyntaxError, UnicodeDecodeError) as error:
        result.findings.append(
            Finding(name, getattr(error, "raw_line", 1), Kind.BY_HAND, "not Python 3", "left as it is")
        )
        return
    for make in (Settings, Options, Imports):
        walk = make(project, name)
        module = MetadataWrapper(module).visit(walk)
        result.findings += walk.findings
    before, after = raw.decode(module.encoding), without_dropped(module.code)
    if before != after:
        result.changed[name] = (before, after)


def _replace(target: Path, text: str) -> None:
    """Write a file so that it is never seen half written."""
    descriptor, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with open(descriptor, "w", encoding="utf-8", newline="") as file:
            file.write(text)
        shutil.copymode(target, temporary)
        os.replace(temporary, target)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
