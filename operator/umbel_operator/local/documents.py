"""Read YAML into documents that know on which line each of their fields stands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

Steps = tuple[str | int, ...]


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A line of a file."""

    path: Path
    line: int

    def __str__(self) -> str:
        return f"{_shown(self.path)}:{self.line}"


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that is wrong in a file, or between files."""

    place: Place
    message: str

    def __str__(self) -> str:
        return f"{self.place}: {self.message}"


@dataclass(frozen=True, slots=True)
class Document:
    """One object of a file.

    `lines` holds the line of each field by the steps that lead to it, e.g. ("spec", "queues", 0, "name").
    """

    body: dict[str, Any]
    path: Path
    lines: Mapping[Steps, int] = field(repr=False)

    @property
    def api_version(self) -> str:
        """Return `apiVersion`, empty where it is missing."""
        return str(self.body.get("apiVersion") or "")

    @property
    def kind(self) -> str:
        """Return `kind`, empty where it is missing."""
        return str(self.body.get("kind") or "")

    @property
    def name(self) -> str:
        """Return `metadata.name`, empty where it is missing."""
        return str(self._metadata.get("name") or "")

    @property
    def namespace(self) -> str:
        """Return `metadata.namespace`, `default` where it is missing."""
        return str(self._metadata.get("namespace") or "default")

    @property
    def title(self) -> str:
        """Name the object for people."""
        return f"{self.kind or 'object'} {self.name or '(without a name)'}"

    def place(self, steps: Steps = ()) -> Place:
        """Return where a field stands, or what holds it where it is missing."""
        while steps not in self.lines and steps:
            steps = steps[:-1]
        return Place(self.path, self.lines.get(steps, 1))

    @property
    def _metadata(self) -> Mapping[str, Any]:
        metadata = self.body.get("metadata")
        return metadata if isinstance(metadata, Mapping) else {}


class BrokenFile(Exception):
    """A file that is no YAML, or no YAML for objects."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems


class _Loader(yaml.SafeLoader):
    """Leaves moments as the text that they are in JSON."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def read_documents(path: Path) -> list[Document]:
    """Read the objects of a file.

    Raises `BrokenFile` with the line of each problem.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise BrokenFile([Problem(Place(path, 1), f"cannot be read: {error.strerror}")]) from error
    except UnicodeDecodeError as error:
        raise BrokenFile([Problem(Place(path, 1), f"is not UTF-8 text: {error.reason}")]) from error
    loader = _Loader(text)
    documents: list[Document] = []
    problems: list[Problem] = []
    try:
        while loader.check_node():
            node = loader.get_node()
            assert node is not None
            problems.extend(_repeated(node, path))
            documents.extend(_objects(loader.construct_document(node), node, path, problems))
    except yaml.MarkedYAMLError as error:
        problems.append(_not_yaml(error, path))
    except yaml.YAMLError as error:
        problems.append(Problem(Place(path, 1), f"is not YAML: {error}"))
    finally:
        loader.dispose()
    if problems:
        raise BrokenFile(problems)
    return documents


def _not_yaml(error: yaml.MarkedYAMLError, path: Path) -> Problem:
    mark, begun = error.problem_mark or error.context_mark, error.context_mark
    line = mark.line + 1 if mark is not None else 1
    context = f" {error.context}" if error.context else ""
    if begun is not None and begun.line + 1 != line:
        context += f" that begins on line {begun.line + 1}"
    return Problem(Place(path, line), f"is not YAML: {error.problem}{context}; mind the indentation")


def _objects(body: Any, node: yaml.Node, path: Path, problems: list[Problem]) -> Iterator[Document]:
    if body is None:
        return
    if not isinstance(body, dict):
        message = f"an object was expected, with apiVersion, kind and metadata, not {type(body).__name__}"
        problems.append(Problem(Place(path, node.start_mark.line + 1), message))
        return
    lines = dict(_lines(node, ()))
    if body.get("kind") != "List" or not isinstance(body.get("items"), list):
        yield Document(body, path, lines)
        return
    for number, item in enumerate(body["items"]):
        if isinstance(item, dict):
            within = {steps[2:]: line for steps, line in lines.items() if steps[:2] == ("items", number)}
            yield Document(item, path, within)


def _lines(node: yaml.Node, steps: Steps) -> Iterator[tuple[Steps, int]]:
    yield steps, node.start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            below = (*steps, str(key.value))
            yield from _lines(value, below)
            # The line of the key, not that of a block which begins below it.
            yield below, key.start_mark.line + 1
    elif isinstance(node, yaml.SequenceNode):
        for number, item in enumerate(node.value):
            yield from _lines(item, (*steps, number))


def _repeated(node: yaml.Node, path: Path) -> Iterator[Problem]:
    if isinstance(node, yaml.MappingNode):
        seen: dict[str, int] = {}
        for key, value in node.value:
            name, line = str(key.value), key.start_mark.line + 1
            if name in seen and name != "<<":
                yield Problem(Place(path, line), f"the key {name} stands here twice, first on line {seen[name]}")
            seen[name] = line
            yield from _repeated(value, path)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _repeated(item, path)


def _shown(path: Path) -> str:
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
