"""Write the files of a volume as the kubelet does: all of them change at once, by one link."""

from __future__ import annotations

import base64
import os
import shutil
import uuid
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from umbel_operator.plan.model import Manifest

#: (kind, name) -> the ConfigMap or Secret of the pod's namespace, or None.
Lookup = Callable[[str, str], Manifest | None]

_DATA_LINK = "..data"
#: Sources of data by the key under which a volume, or a projection, names them, and the key of the name in there.
_SOURCES = {"configMap": ("ConfigMap", "name"), "secret": ("Secret", "secretName")}


class MissingData(LookupError):
    """A ConfigMap, a Secret, or a key in one, that a pod needs and no file declares."""


def files_of(volume: Mapping[str, Any], lookup: Lookup) -> dict[str, bytes] | None:
    """Return the files of a volume by their path in it; None for a type of volume that there is only in a cluster.

    Raises `MissingData`.
    """
    if "emptyDir" in volume:
        return {}
    if "projected" in volume:
        found: dict[str, bytes] = {}
        for source in volume["projected"].get("sources") or ():
            files = _source(source, lookup, projected=True)
            if files is None:
                return None
            found.update(files)
        return found
    return _source(volume, lookup, projected=False)


def values_of(body: Manifest) -> dict[str, bytes]:
    """Return the data of a ConfigMap or Secret by key."""
    if body["kind"] == "Secret":
        values = {key: base64.b64decode(text) for key, text in (body.get("data") or {}).items()}
        return values | {key: str(text).encode() for key, text in (body.get("stringData") or {}).items()}
    values = {key: str(text).encode() for key, text in (body.get("data") or {}).items()}
    return values | {key: base64.b64decode(text) for key, text in (body.get("binaryData") or {}).items()}


def write_files(folder: Path, files: Mapping[str, bytes]) -> bool:
    """Make the folder hold exactly these files; return whether anything changed."""
    folder.mkdir(parents=True, exist_ok=True)
    link = folder / _DATA_LINK
    if link.is_symlink() and _holds(link, files):
        return False
    versioned = folder / f"..{uuid.uuid4().hex}"
    for path, data in files.items():
        target = versioned / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
    versioned.mkdir(exist_ok=True)
    former = link.resolve() if link.is_symlink() else None
    fresh = folder / "..data_tmp"
    fresh.symlink_to(versioned.name)
    os.replace(fresh, link)
    _link_names(folder, {Path(path).parts[0] for path in files})
    if former is not None:
        shutil.rmtree(former)
    return True


def _link_names(folder: Path, names: Iterable[str]) -> None:
    wanted = set(names)
    for entry in folder.iterdir():
        if not entry.name.startswith("..") and entry.name not in wanted:
            entry.unlink()
    for name in wanted:
        if not (folder / name).is_symlink():
            (folder / name).symlink_to(Path(_DATA_LINK) / name)


def _holds(folder: Path, files: Mapping[str, bytes]) -> bool:
    there = {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}
    return there.keys() == files.keys() and all(there[name].read_bytes() == data for name, data in files.items())


def _source(source: Mapping[str, Any], lookup: Lookup, *, projected: bool) -> dict[str, bytes] | None:
    for key, (kind, name_key) in _SOURCES.items():
        if key not in source:
            continue
        given = source[key]
        name = str(given.get("name" if projected else name_key) or "")
        body = lookup(kind, name)
        if body is not None:
            return _selected(kind, name, values_of(body), given)
        if given.get("optional"):
            return {}
        raise MissingData(f'{kind} "{name}" is in none of the files')
    return None


def _selected(kind: str, name: str, values: dict[str, bytes], given: Mapping[str, Any]) -> dict[str, bytes]:
    items = given.get("items")
    if not items:
        return values
    selected = {}
    for item in items:
        if item["key"] in values:
            selected[str(item["path"])] = values[item["key"]]
        elif not given.get("optional"):
            raise MissingData(f'{kind} "{name}" has no key "{item["key"]}"')
    return selected
