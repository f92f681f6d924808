"""What the rewriting of Python needs to know of its tree: lines, dotted names, plain values."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Final

import libcst as cst
from libcst.metadata import PositionProvider, QualifiedNameProvider, QualifiedNameSource

from umbel.upgrade.finding import Finding, Kind

if TYPE_CHECKING:
    from umbel.upgrade.project import Project

#: Stands for a value that only running the code would tell.
UNKNOWN: Final = object()
#: What makes an app, before and after.
APP_CLASSES: Final = frozenset({"celery.Celery", "celery.app.Celery", "celery.app.base.Celery", "umbel.Umbel"})


class Pass(cst.CSTTransformer):
    """One walk over a module, which collects findings."""

    METADATA_DEPENDENCIES: ClassVar[tuple[Any, ...]] = (PositionProvider, QualifiedNameProvider)

    def __init__(self, project: Project, path: str) -> None:
        super().__init__()
        self.project = project
        self.path = path
        self.findings: list[Finding] = []

    def found(self, node: cst.CSTNode, kind: Kind, what: str, why: str = "") -> None:
        """Take down a finding."""
        line = self.get_metadata(PositionProvider, node).start.line
        self.findings.append(Finding(self.path, line, kind, " ".join(what.split()), why))

    def imported(self, node: cst.CSTNode) -> str | None:
        """Return the dotted name that an expression has by the imports of its module, None if it has none."""
        for name in self.get_metadata(QualifiedNameProvider, node, set()):
            if name.source is QualifiedNameSource.IMPORT:
                return name.name
        return None

    def is_app(self, node: cst.BaseExpression) -> bool:
        """Tell whether an expression is an app of the project, by its name."""
        return isinstance(node, cst.Name) and node.value in self.project.apps


def dotted(node: cst.CSTNode) -> str | None:
    """Return ``a.b.c`` as text, None for any other expression."""
    if isinstance(node, cst.Name):
        return node.value
    if isinstance(node, cst.Attribute):
        before = dotted(node.value)
        return f"{before}.{node.attr.value}" if before else None
    return None


def as_expression(name: str) -> cst.Name | cst.Attribute:
    """Return the expression of a dotted name."""
    first, *rest = name.split(".")
    found: cst.Name | cst.Attribute = cst.Name(first)
    for part in rest:
        found = cst.Attribute(found, cst.Name(part))
    return found


def code(node: cst.CSTNode) -> str:
    """Return the source of a node."""
    return cst.Module(()).code_for_node(node)


def value_of(node: cst.CSTNode) -> Any:
    """Return a literal's value, UNKNOWN for what is none."""
    try:
        return ast.literal_eval(code(node).strip())
    except (ValueError, SyntaxError, TypeError, MemoryError):
        return UNKNOWN


def text_of(node: cst.CSTNode | None) -> str | None:
    """Return the text of a string literal, None for anything else."""
    value = value_of(node) if isinstance(node, (cst.SimpleString, cst.ConcatenatedString)) else None
    return value if isinstance(value, str) else None


def without_arguments(call: cst.Call, unwanted: Sequence[cst.Arg]) -> cst.Call:
    """Return a call without some of its arguments; the comma of the last one goes with it."""
    kept = [argument for argument in call.args if argument not in unwanted]
    if kept and len(kept) != len(call.args) and call.args[-1] not in kept:
        last = call.args[-1]
        kept[-1] = kept[-1].with_changes(comma=last.comma, whitespace_after_arg=last.whitespace_after_arg)
    return call.with_changes(args=kept)
