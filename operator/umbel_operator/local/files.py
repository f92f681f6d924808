"""Keep the resources that some files declare; a file that is broken for a moment keeps its last good ones."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from umbel_operator.local.documents import BrokenFile, Document, Place, Problem, read_documents
from umbel_operator.local.validation import check, check_change, is_ours

_SUFFIXES = frozenset({".yaml", ".yml", ".json"})

#: (kind, namespace, name)
Name = tuple[str, str, str]


def name_of(document: Document) -> Name:
    """Return what an object is called among all."""
    return document.kind, document.namespace, document.name


@dataclass(frozen=True, slots=True)
class Declared:
    """What the files say now."""

    #: Our resources.
    resources: dict[Name, Document] = field(default_factory=dict)
    #: ConfigMaps and Secrets, from which pods may take variables and files.
    data: dict[Name, Document] = field(default_factory=dict)
    #: What is wrong, by file; the resources of such a file are its last good ones.
    problems: tuple[Problem, ...] = ()
    #: What was left out, and why.
    notes: tuple[str, ...] = ()


class Files:
    """Read files, and folders of files (not those below), again and again.

    paths: of files and folders, absolute.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = paths
        self._good: dict[Path, list[Document]] = {}
        self._taken: dict[Name, dict[str, Any]] = {}

    def read(self) -> Declared:
        """Read everything and return what is declared."""
        problems: list[Problem] = []
        notes: list[str] = []
        found: dict[Path, list[Document]] = {}
        for path in self._files():
            documents, wrong = self._read_file(path)
            if wrong:
                problems.extend(wrong)
                documents = self._good.get(path, [])
            else:
                notes.extend(_notes(documents))
            found[path] = documents
        self._good = found
        resources, data = _join(found.values(), problems)
        self._taken = {name: document.body for name, document in resources.items()}
        return Declared(resources, data, tuple(problems), tuple(notes))

    def _files(self) -> list[Path]:
        found: dict[Path, None] = {}
        for path in self.paths:
            if path.is_dir():
                found.update(dict.fromkeys(sorted(p for p in path.iterdir() if p.suffix in _SUFFIXES and p.is_file())))
            elif path.exists():
                found[path] = None
        return list(found)

    def _read_file(self, path: Path) -> tuple[list[Document], list[Problem]]:
        try:
            documents = read_documents(path)
        except BrokenFile as broken:
            return [], broken.problems
        problems: list[Problem] = []
        if not documents and self._good.get(path) and _is_empty(path):
            # An editor may have emptied it to write it anew in the next moment.
            problems.append(Problem(Place(path, 1), "is empty; delete the file to remove its resources"))
        for document in documents:
            if is_ours(document):
                wrong = check(document)
                old = self._taken.get(name_of(document))
                if not wrong and old is not None:
                    wrong = check_change(old, document)
                problems.extend(wrong)
        return documents, problems


def _is_empty(path: Path) -> bool:
    try:
        return path.stat().st_size == 0
    except OSError:
        return False


def _notes(documents: Iterable[Document]) -> list[str]:
    notes = []
    for document in documents:
        if is_ours(document) or _is_data(document):
            continue
        what = document.title if document.kind and document.api_version else "an object without apiVersion and kind"
        notes.append(f"{document.place()}: {what} is left out: umbel up runs the kinds of umbel.dev only")
    return notes


def _join(
    files: Iterable[list[Document]], problems: list[Problem]
) -> tuple[dict[Name, Document], dict[Name, Document]]:
    resources: dict[Name, Document] = {}
    data: dict[Name, Document] = {}
    for document in (document for documents in files for document in documents):
        place = resources if is_ours(document) else data if _is_data(document) else None
        if place is None:
            continue
        first = place.setdefault(name_of(document), document)
        if first is not document:
            message = f"{document.title} is declared twice, first at {first.place()}; that one counts"
            problems.append(Problem(document.place(), message))
    return resources, data


def _is_data(document: Document) -> bool:
    return document.api_version == "v1" and document.kind in ("ConfigMap", "Secret")
