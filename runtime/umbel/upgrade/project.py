"""The files of a project, and what is to be known of all of them before one is rewritten."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from umbel.errors import UmbelError

#: Folders that hold nobody's own code.
_SKIPPED: Final = frozenset(
    {"node_modules", "site-packages", "__pycache__", "build", "dist", "venv", "env", "migrations", "vendor"}
)
#: Files with command lines.
_COMMANDS: Final = re.compile(
    r"^(Procfile.*|Makefile|.*\.mk|Dockerfile.*|.*\.dockerfile|(docker-)?compose.*\.ya?ml|docker-compose.*|.*\.sh|.*\.service|"
    r".*\.conf|.*\.ya?ml|.*\.toml|.*\.cfg|.*\.ini|justfile|start|entrypoint|run|.*\.md|.*\.rst)$",
    re.IGNORECASE,
)
_REQUIREMENTS: Final = re.compile(
    r"^(requirements.*\.(txt|in)|.*requirements.*/.*\.(txt|in)|setup\.py|pyproject\.toml|Pipfile)$"
)
_LARGEST: Final = 1_000_000
_APP: Final = re.compile(r"^[ \t]*(?:\w+\.)?(\w+)[ \t]*(?::[^=\n]+)?=[ \t]*(?:\w+\.)?(?:Celery|Umbel)\(", re.MULTILINE)
_APP_IN_FUNCTION: Final = re.compile(r"from\s+[\w.]+\s+import\s+[^\n]*?\b(\w+)\s+as\s+(\w+)")
_CONFIG: Final = re.compile(
    r"""config_from_object\(\s*(?P<target>["'][\w.:]+["']|\w+)(?P<rest>[^)]*)\)|config_source\s*=\s*(?P<source>["'][\w.:]+["']|\w+)"""
)


class CannotRead(UmbelError):
    """There is no such project."""


@dataclass
class Project:
    """A project: its root, its files, and what they say of each other.

    Args:
        root: a folder, or one file.
        apps: names that apps of Celery have in it.
        config_modules: last parts of the names of modules that hold lower-case settings.
        namespace: the prefix of settings that are named CELERY_…, None where the settings have no prefix.
    """

    root: Path
    python: list[Path] = field(default_factory=list)
    texts: list[Path] = field(default_factory=list)
    apps: set[str] = field(default_factory=set)
    config_modules: set[str] = field(default_factory=lambda: {"celeryconfig", "celery_config"})
    namespaced: bool = False
    sources: dict[str, str] = field(default_factory=dict)

    def name(self, path: Path) -> str:
        """Return a file's path from the root."""
        return path.name if path == self.root else path.relative_to(self.root).as_posix()

    def is_config(self, path: str) -> bool:
        """Tell whether a file holds lower-case settings."""
        return Path(path).stem in self.config_modules or (
            Path(path).name == "__init__.py" and Path(path).parent.name in self.config_modules
        )

    def is_used_elsewhere(self, name: str, path: str) -> bool:
        """Tell whether a name of a module is read by another file of the project, or once more in its own."""
        pattern = re.compile(rf"(?<![\w\"'-]){re.escape(name)}(?![\w\"'=])(?!\s*=[^=])")
        return (
            any(len(pattern.findall(source)) > 0 for other, source in self.sources.items() if other != path)
            or len(pattern.findall(self.sources.get(path, ""))) > 0
        )


def read_project(root: Path) -> Project:
    """Look over a project.

    Raises:
        CannotRead: there is no such file or folder.
    """
    if not root.exists():
        raise CannotRead(f"there is no file or folder {root}")
    project = Project(root)
    for path in _files(root):
        if path.suffix == ".py":
            project.python.append(path)
        elif _COMMANDS.match(path.name) or _REQUIREMENTS.match(project.name(path)):
            project.texts.append(path)
    for path in project.python:
        source = path.read_text(encoding="utf-8", errors="replace")
        name = project.name(path)
        project.sources[name] = source
        if "elery" in source or "umbel" in source.lower():
            project.apps |= set(_APP.findall(source))
            _configured(project, source)
    for source in project.sources.values():
        project.apps |= {new for old, new in _APP_IN_FUNCTION.findall(source) if old in project.apps}
    return project


def _configured(project: Project, source: str) -> None:
    for match in _CONFIG.finditer(source):
        target = (match["target"] or match["source"]).strip("\"'")
        if "django.conf" in target or "namespace" in (match["rest"] or ""):
            project.namespaced = True
        elif "config" not in target.rpartition(".")[2].lower() or "." in target or target.islower():
            project.config_modules.add(re.split(r"[.:]", target)[-1])


def _files(root: Path) -> Iterator[Path]:
    if root.is_file():
        yield root
        return
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(
            name
            for name in folders
            if name not in _SKIPPED
            and (not name.startswith(".") or name == ".github")
            and not _is_environment(Path(folder, name))
        )
        for name in sorted(files):
            path = Path(folder, name)
            if not name.endswith(".umbel-backup") and path.is_file() and path.stat().st_size <= _LARGEST:
                yield path


def _is_environment(folder: Path) -> bool:
    return (folder / "pyvenv.cfg").exists()
