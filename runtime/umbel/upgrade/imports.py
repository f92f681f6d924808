"""Turns imports of Celery's names into imports of Umbel's, and renames what has another name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Final

import libcst as cst
from libcst.metadata import ParentNodeProvider, ScopeProvider

from umbel.upgrade.finding import Kind
from umbel.upgrade.names import Place, place_of, why_not
from umbel.upgrade.reading import Pass, as_expression, code, dotted

if TYPE_CHECKING:
    from umbel.upgrade.project import Project

#: Distributions whose names are looked at.
FOREIGN: Final = ("celery", "kombu", "billiard", "djcelery", "django_celery_beat", "django_celery_results")


def is_foreign(name: str) -> bool:
    """Tell whether a dotted name is of Celery or of what comes with it."""
    return name.partition(".")[0] in FOREIGN


class Imports(Pass):
    """Rewrites ``from celery import …``, ``import celery``, and the names that these bring."""

    METADATA_DEPENDENCIES: ClassVar[tuple[Any, ...]] = (*Pass.METADATA_DEPENDENCIES, ParentNodeProvider, ScopeProvider)

    def __init__(self, project: Project, path: str) -> None:
        super().__init__(project, path)
        self._renamed: dict[str, str] = {}
        self._plain: set[str] = set()
        self._kept: set[str] = set()
        self._needed: set[str] = set()
        self._taken: set[str] = set()
        self._read: set[str] = set()

    def visit_Module(self, node: cst.Module) -> None:
        scope = self.get_metadata(ScopeProvider, node, None)
        if scope is not None:
            self._taken = {assignment.name for assignment in scope.assignments}
            self._read = {a.name for a in scope.assignments if any(True for _ in a.references)}
        looker = _Uses(self)
        node.visit(looker)
        self._plain, self._kept = looker.fine, looker.unknown

    # -- from celery import …

    def leave_SimpleStatementLine(
        self, original_node: cst.SimpleStatementLine, updated_node: cst.SimpleStatementLine
    ) -> cst.BaseStatement | cst.FlattenSentinel[cst.BaseStatement] | cst.RemovalSentinel:
        statements: Sequence[cst.BaseSmallStatement] = updated_node.body
        if len(statements) != 1:
            self._refuse_crowd(original_node)
            return updated_node
        statement = statements[0]
        if isinstance(statement, cst.ImportFrom):
            made = self._from(original_node, statement)
        elif isinstance(statement, cst.Import):
            made = self._whole(original_node, statement)
        else:
            return updated_node
        if made is None:
            return updated_node
        lines = [cst.SimpleStatementLine([line]) for line in made]
        if isinstance(made[0], cst.Pass):
            self.found(
                original_node, Kind.REWRITTEN, f"{code(statement).strip()} -> (taken out)", "is not used any more"
            )
            return cst.RemoveFromParent()
        lines[0] = lines[0].with_changes(leading_lines=updated_node.leading_lines)
        lines[-1] = lines[-1].with_changes(trailing_whitespace=updated_node.trailing_whitespace)
        self.found(
            original_node, Kind.REWRITTEN, f"{code(statement).strip()} -> {'; '.join(code(line) for line in made)}"
        )
        return cst.FlattenSentinel(lines)

    def _refuse_crowd(self, line: cst.SimpleStatementLine) -> None:
        for statement in line.body:
            if isinstance(statement, cst.ImportFrom) and is_foreign(dotted(statement.module or cst.Name("_")) or ""):
                self.found(line, Kind.BY_HAND, code(line).strip(), "one statement a line, then run this again")

    def _from(self, line: cst.SimpleStatementLine, statement: cst.ImportFrom) -> list[cst.BaseSmallStatement] | None:
        module = dotted(statement.module) if statement.module is not None and not statement.relative else None
        if module is None or not is_foreign(module):
            return None
        if isinstance(statement.names, cst.ImportStar):
            self.found(line, Kind.BY_HAND, code(statement), "write the names that you need")
            return None
        groups: dict[str, list[cst.ImportAlias]] = {}
        for alias in statement.names:
            name = f"{module}.{code(alias.name)}"
            place = place_of(name)
            if place is None and self._is_left_over(alias, name):
                groups.setdefault("", [])
            elif place is None:
                self.found(line, Kind.NOT_OFFERED, name, why_not(name))
                groups.setdefault(module, []).append(alias.with_changes(comma=cst.MaybeSentinel.DEFAULT))
            else:
                groups.setdefault(_home(place), []).append(self._alias(alias, place))
        if list(groups) == [module]:
            return None
        made: list[cst.BaseSmallStatement] = [
            cst.ImportFrom(as_expression(home), names) for home, names in groups.items() if home
        ]
        return made or [cst.Pass()]  # stands for nothing

    def _is_left_over(self, alias: cst.ImportAlias, name: str) -> bool:
        """Tell whether kombu's class is imported for nothing, as after its queues became names."""
        return name == "kombu.Queue" and alias.evaluated_name not in self._read

    def _alias(self, alias: cst.ImportAlias, place: Place) -> cst.ImportAlias:
        """Return the import of one name; where it has another one here, what follows is renamed, or it is imported as the old."""
        old = code(alias.name)
        new = place.name or place.module.rpartition(".")[2]
        asname = alias.asname
        if asname is None and new != old:
            if new in ("Umbel", "UmbelError") and new not in self._taken:
                self._renamed[old] = new
            else:
                asname = cst.AsName(cst.Name(old))
        return cst.ImportAlias(cst.Name(new), asname)

    # -- import celery

    def _whole(self, line: cst.SimpleStatementLine, statement: cst.Import) -> list[cst.BaseSmallStatement] | None:
        if len(statement.names) != 1:
            if any(is_foreign(dotted(alias.name) or "") for alias in statement.names):
                self.found(line, Kind.BY_HAND, code(statement), "one module a line, then run this again")
            return None
        alias = statement.names[0]
        module = dotted(alias.name) or ""
        if not is_foreign(module):
            return None
        if alias.asname is not None:
            return self._module_as(line, statement, alias, module)
        used = {name for name in self._plain if name.startswith(f"{module.partition('.')[0]}.")}
        unknown = {name for name in self._kept if name.startswith(f"{module.partition('.')[0]}.")}
        for name in sorted(unknown):
            self.found(line, Kind.NOT_OFFERED, name, why_not(name))
        homes = sorted({place.module for name in used if (place := place_of(name)) is not None})
        if not homes:
            if not unknown:
                self.found(line, Kind.BY_HAND, code(statement), why_not(module))
            return None
        made: list[cst.BaseSmallStatement] = [statement] if unknown else []
        return [*made, *(cst.Import([cst.ImportAlias(as_expression(home))]) for home in homes)]

    def _module_as(
        self, line: cst.SimpleStatementLine, statement: cst.Import, alias: cst.ImportAlias, module: str
    ) -> list[cst.BaseSmallStatement] | None:
        place = place_of(module)
        lacking = sorted(name for name in self._kept if name.startswith(f"{module}."))
        if place is None or lacking:
            for name in lacking or [module]:
                self.found(line, Kind.NOT_OFFERED, name, why_not(name))
            return None
        return [cst.Import([cst.ImportAlias(as_expression(place.dotted), alias.asname)])]

    # -- what they bring

    def leave_Attribute(self, original_node: cst.Attribute, updated_node: cst.Attribute) -> cst.BaseExpression:
        name = self.imported(original_node)
        written = dotted(original_node)
        if name is None or written != name or name not in self._plain or self._inside_import(original_node):
            return updated_node
        place = place_of(name)
        return as_expression(place.dotted) if place is not None else updated_node

    def leave_Name(self, original_node: cst.Name, updated_node: cst.Name) -> cst.Name:
        new = self._renamed.get(original_node.value)
        if new is None or self._inside_import(original_node):
            return updated_node
        name = self.imported(original_node)
        place = place_of(name) if name is not None else None
        return updated_node.with_changes(value=new) if place is not None and place.name == new else updated_node

    def _inside_import(self, node: cst.CSTNode) -> bool:
        parent: cst.CSTNode | None = self.get_metadata(ParentNodeProvider, node, None)
        while isinstance(parent, (cst.Attribute, cst.ImportAlias, cst.AsName)):
            if isinstance(parent, cst.ImportAlias):
                return True
            parent = self.get_metadata(ParentNodeProvider, parent, None)
        return isinstance(parent, (cst.Import, cst.ImportFrom))


class _Uses(cst.CSTVisitor):
    """Which dotted names of Celery's a module uses by ``import celery``: those that Umbel has, and the others."""

    def __init__(self, owner: Imports) -> None:
        super().__init__()
        self._owner = owner
        self.fine: set[str] = set()
        self.unknown: set[str] = set()

    def visit_Import(self, node: cst.Import) -> bool:
        return False

    def visit_ImportFrom(self, node: cst.ImportFrom) -> bool:
        return False

    def visit_Attribute(self, node: cst.Attribute) -> bool:
        name = self._owner.imported(node)
        if name is None or not is_foreign(name):
            return True
        # The longest name that is one of ours counts; what follows are attributes of it.
        owner = name.rpartition(".")[0]
        if place_of(name) is not None and place_of(name) != Place("umbel"):
            self.fine.add(name)
        elif place_of(owner) is not None and owner.count("."):
            return True
        else:
            self.unknown.add(name)
        return False


def _home(place: Place) -> str:
    return place.module if place.name else place.module.rpartition(".")[0]
