"""Gives settings their present names, and takes out those that have no meaning in Umbel."""

from __future__ import annotations

import re
from typing import Any, Final

import libcst as cst

from umbel.settings import KNOWN
from umbel.upgrade.finding import Kind
from umbel.upgrade.oldsettings import is_setting, objection, present_name, refused, without_effect
from umbel.upgrade.reading import APP_CLASSES, UNKNOWN, Pass, code, text_of, value_of, without_arguments

_UPPER: Final = re.compile(r"^(CELERY|CELERYD|CELERYBEAT|BROKER)_[A-Z0-9_]+$")
#: Parameters of an app that are no settings.
_OF_APP: Final = frozenset(
    {
        "main",
        "broker",
        "backend",
        "include",
        "set_as_current",
        "config_source",
        "namespace",
        "task_cls",
        "fixups",
        "loader",
    }
    | {"changes", "autofinalize", "strict_typing", "tasks", "amqp", "events", "log", "control"}
)


class Settings(Pass):
    """Looks at assignments in modules of settings, at ``app.conf`` and at the settings that an app is made with."""

    # -- modules and classes of settings: NAME = value

    def leave_SimpleStatementLine(
        self, original_node: cst.SimpleStatementLine, updated_node: cst.SimpleStatementLine
    ) -> cst.BaseStatement | cst.RemovalSentinel | cst.FlattenSentinel[cst.BaseStatement]:
        if len(updated_node.body) != 1:
            return updated_node
        statement = updated_node.body[0]
        if not isinstance(statement, (cst.Assign, cst.AnnAssign)) or statement.value is None:
            return updated_node
        target = statement.targets[0].target if isinstance(statement, cst.Assign) else statement.target
        if isinstance(statement, cst.Assign) and len(statement.targets) != 1:
            return updated_node
        written, replace = self._named(target)
        new = present_name(written) if written is not None else None
        if written is None or new is None:
            return updated_node
        value = value_of(statement.value)
        if isinstance(statement.value, (cst.Tuple, cst.List)) and value is UNKNOWN:
            value = ()  # of a kind that no setting of one text has
        queues = self._queues(statement.value) if new == "task_queues" else None
        if queues is not None:
            self.found(original_node, Kind.REWRITTEN, f"{written} -> the queues' names", "there are no exchanges")
            updated_node = cst.ensure_type(
                updated_node.with_deep_changes(statement, value=queues), cst.SimpleStatementLine
            )
            value = UNKNOWN
        if self._can_go(original_node, written, new, value):
            return self._as_comment(original_node, updated_node)
        self._judge(original_node, written, new, value)
        of_conf = isinstance(target, (cst.Attribute, cst.Subscript)) and self._is_conf(target.value)
        renamed = new if of_conf else self._renamed(written, new)
        if renamed == written:
            return updated_node
        if self.project.is_used_elsewhere(written, self.path):
            self.found(
                original_node, Kind.BY_HAND, written, f"is {renamed} now, and is used elsewhere under the old name"
            )
            return updated_node
        self.found(original_node, Kind.REWRITTEN, f"{written} -> {renamed}")
        return updated_node.with_deep_changes(target, **replace(renamed))

    def _queues(self, value: cst.BaseExpression) -> cst.Tuple | cst.List | None:
        """Return kombu's queues as names, where that is all there is to them and Umbel takes names; else None."""
        if not isinstance(value, (cst.Tuple, cst.List)) or "task_queues" not in KNOWN:
            return None
        elements = []
        for element in value.elements:
            call = element.value
            kind = code(call.func).rpartition(".")[2] if isinstance(call, cst.Call) else ""
            if kind == "Broadcast":
                elements.append(element)
                continue
            if not isinstance(call, cst.Call) or kind != "Queue" or not _is_direct(call):
                return None
            elements.append(element.with_changes(value=call.args[0].value))
        names = [text_of(element.value) for element in elements if not isinstance(element.value, cst.Call)]
        if not names or None in names or objection("task_queues", names) is not None:
            return None
        return value.with_changes(elements=elements)

    def _named(self, target: cst.BaseExpression) -> tuple[str | None, Any]:
        """Return the setting's name as it is written, and how to write another one in its place."""
        if isinstance(target, cst.Name) and self._is_settings_name(target.value):
            return target.value, lambda new: {"value": new}
        if isinstance(target, cst.Attribute) and self._is_conf(target.value):
            return target.attr.value, lambda new: {"attr": cst.Name(new)}
        if isinstance(target, cst.Subscript) and len(target.slice) == 1:
            index = target.slice[0].slice
            name = text_of(index.value) if isinstance(index, cst.Index) else None
            ours = self._is_conf(target.value) or (name is not None and _UPPER.match(name) and _is_config(target.value))
            if name is not None and ours:
                quote = code(index)[0] if code(index)[0] in "\"'" else '"'
                return name, lambda new: {
                    "slice": [cst.SubscriptElement(cst.Index(cst.SimpleString(f"{quote}{new}{quote}")))]
                }
        return None, None

    def _is_settings_name(self, name: str) -> bool:
        if _UPPER.match(name):
            return present_name(name) is not None
        return name == name.lower() and self.project.is_config(self.path) and is_setting(name)

    def _is_conf(self, node: cst.BaseExpression) -> bool:
        return isinstance(node, cst.Attribute) and node.attr.value == "conf" and self.is_app(node.value)

    def _renamed(self, written: str, new: str) -> str:
        """Return the name to write: with the prefix in settings that are told by it, in lower case elsewhere."""
        if written == written.lower():
            return new
        if self.project.is_config(self.path) and not self.project.namespaced:
            return new
        return f"CELERY_{new.upper()}"

    def _can_go(self, node: cst.CSTNode, written: str, new: str, value: Any) -> bool:
        why = without_effect(new, value)
        if why is None:
            return False
        if self.project.is_used_elsewhere(written, self.path):
            self.found(node, Kind.BY_HAND, written, f"has no effect ({why}), and is used elsewhere: remove both")
            return False
        self.found(node, Kind.REWRITTEN, f"{written} -> (a comment)", why)
        return True

    def _judge(self, node: cst.CSTNode, written: str, new: str, value: Any) -> None:
        instead = refused(new)
        if instead is not None:
            self.found(node, Kind.NOT_OFFERED, written, instead)
        elif value is not UNKNOWN and new in KNOWN and (against := objection(new, value)) is not None:
            self.found(node, Kind.BY_HAND, f"{written} = {value!r}", against)
        elif new == "task_default_priority":
            self.found(node, Kind.BY_HAND, written, "9 is served first; on Redis, Celery serves 0 first")

    def _as_comment(
        self, original: cst.SimpleStatementLine, updated: cst.SimpleStatementLine
    ) -> cst.FlattenSentinel[cst.BaseStatement] | cst.SimpleStatementLine:
        text = code(original.with_changes(leading_lines=())).rstrip("\n").split("\n")
        comments = [cst.EmptyLine(comment=cst.Comment(f"# {line}".rstrip())) for line in text]
        # A comment needs a statement behind it in the tree: `pass` is taken out again when the file is written.
        return cst.SimpleStatementLine(
            [cst.Pass()],
            leading_lines=[*updated.leading_lines, *comments],
            trailing_whitespace=cst.TrailingWhitespace(cst.SimpleWhitespace("  "), cst.Comment(DROPPED)),
        )

    # -- app.conf.update(…), Celery(…)

    def leave_Call(self, original_node: cst.Call, updated_node: cst.Call) -> cst.BaseExpression:
        function = original_node.func
        if isinstance(function, cst.Attribute) and function.attr.value == "update" and self._is_conf(function.value):
            return self._update(original_node, updated_node)
        if self.imported(function) in APP_CLASSES:
            return self._keywords(original_node, updated_node, _OF_APP)
        return updated_node

    def _update(self, original: cst.Call, updated: cst.Call) -> cst.Call:
        first = original.args[0] if original.args and original.args[0].keyword is None else None
        if first is not None and _is_config(first.value) and len(original.args) == 1:
            conf = cst.ensure_type(cst.ensure_type(updated.func, cst.Attribute).value, cst.Attribute)
            self.found(
                original,
                Kind.REWRITTEN,
                f'{code(original)} -> {code(conf.value)}.config_from_object({code(first.value)}, namespace="CELERY")',
                "the other settings in it are none of Umbel's",
            )
            return updated.with_changes(
                func=cst.Attribute(conf.value, cst.Name("config_from_object")),
                args=[
                    updated.args[0].with_changes(comma=cst.Comma(whitespace_after=cst.SimpleWhitespace(" "))),
                    cst.Arg(cst.SimpleString('"CELERY"'), keyword=cst.Name("namespace"), equal=_NO_SPACE),
                ],
            )
        if first is not None and isinstance(first.value, cst.Dict):
            for element in first.value.elements:
                if isinstance(element, cst.DictElement) and (name := text_of(element.key)) is not None:
                    new = present_name(name)
                    if new is not None and (new != name or without_effect(new) or refused(new)):
                        self.found(original, Kind.BY_HAND, name, refused(new) or without_effect(new) or f"is {new} now")
        return self._keywords(original, updated, frozenset())

    def _keywords(self, original: cst.Call, updated: cst.Call, known: frozenset[str]) -> cst.Call:
        unwanted, arguments = [], []
        for before, argument in zip(original.args, updated.args, strict=True):
            name = before.keyword.value if before.keyword is not None else None
            new = present_name(name) if name is not None and name not in known else None
            if name in ("broker", "backend"):
                self._judge_url(before, name)
            if name is None or new is None:
                arguments.append(argument)
                continue
            value = value_of(before.value)
            why = without_effect(new, value)
            if why is not None:
                self.found(before, Kind.REWRITTEN, f"{name}= -> (left out)", why)
                unwanted.append(argument)
            else:
                self._judge(before, name, new, value)
                if new != name:
                    self.found(before, Kind.REWRITTEN, f"{name}= -> {new}=")
                    argument = argument.with_changes(keyword=cst.Name(new))
            arguments.append(argument)
        return without_arguments(updated.with_changes(args=arguments), unwanted)

    def _judge_url(self, argument: cst.Arg, name: str) -> None:
        value = value_of(argument.value)
        against = (
            objection("broker_url" if name == "broker" else "result_backend", value) if value is not UNKNOWN else None
        )
        if against is not None:
            self.found(argument, Kind.BY_HAND, f"{name}={value!r}", against)


#: Marks a statement that the comment in front of it takes the place of.
DROPPED: Final = "# umbel-upgrade: dropped"
_NO_SPACE: Final = cst.AssignEqual(cst.SimpleWhitespace(""), cst.SimpleWhitespace(""))


def _is_direct(call: cst.Call) -> bool:
    """Tell whether a queue of kombu's is reached by its name alone: `Queue("a")`, `Queue("a", routing_key="a")`."""
    name = text_of(call.args[0].value) if call.args and call.args[0].keyword is None else None
    return name is not None and all(
        argument.keyword is not None and argument.keyword.value == "routing_key" and text_of(argument.value) == name
        for argument in call.args[1:]
    )


def _is_config(node: cst.BaseExpression) -> bool:
    """Tell whether an expression is Flask's ``app.config``, or ends so."""
    return isinstance(node, cst.Attribute) and node.attr.value == "config"


def without_dropped(source: str) -> str:
    """Take out the statements that stand behind comments; where nothing else is left in a block, `pass` stays."""
    kept = "".join(line for line in source.splitlines(keepends=True) if not line.rstrip().endswith(DROPPED))
    try:
        compile(kept, "upgraded", "exec", dont_inherit=True, flags=0)
    except SyntaxError:
        return source.replace(f"  {DROPPED}", "")
    return kept
