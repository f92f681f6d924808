"""Say when one of some files may have changed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Sequence
from pathlib import Path
from typing import Final

from watchfiles import Change, PythonFilter, awatch

#: Milliseconds in which changes are gathered.
_GATHER: Final = 300


async def changes(paths: Sequence[Path]) -> AsyncIterator[None]:
    """Yield after each change of a file, or of the YAML in a folder.

    The folder of a file is watched, since editors put a new file in the place of the old one.
    """
    folders = {path if path.is_dir() else path.parent for path in paths}

    def matters(change: Change, name: str) -> bool:
        path = Path(name)
        return path in paths or (path.parent in paths and path.suffix in (".yaml", ".yml", ".json"))

    async for _ in awatch(*folders, watch_filter=matters, debounce=_GATHER, recursive=False):
        yield


async def code_changes(folders: Collection[Path]) -> AsyncIterator[list[str]]:
    """Yield the names of the Python files that have changed in some folders or below them."""
    async for changed in awatch(*folders, watch_filter=PythonFilter(), debounce=_GATHER):
        yield sorted({Path(name).name for _, name in changed})
