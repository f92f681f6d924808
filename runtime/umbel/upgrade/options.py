"""Looks at options of tasks and calls, and at what is asked of apps, tasks and requests."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, ClassVar, Final

import libcst as cst
from libcst.metadata import ParentNodeProvider

from umbel.app import Umbel
from umbel.context import Request
from umbel.options import CallOptions, TaskOptions, check_call_options, check_task_options
from umbel.task import Task
from umbel.upgrade.finding import Kind
from umbel.upgrade.reading import Pass, code, text_of, value_of, without_arguments

_MAKERS: Final = frozenset(
    {"celery.shared_task", "celery.task", "celery.task.task", "celery.decorators.task", "umbel.shared_task"}
)
#: What has no meaning here, so that leaving it out changes nothing.
_NEEDLESS: Final[Mapping[str, str]] = {
    "retry": "publish_timeout bounds how long a call waits for the broker",
    "retry_policy": "publish_timeout bounds how long a call waits for the broker",
    "reject_on_worker_lost": "follows from acks_late; the queue's maxDeliveries bounds it",
    "delivery_mode": "of AMQP",
    "mandatory": "of AMQP",
    "immediate": "of AMQP",
    "shared": "every task of an app is its own; shared tasks are made by shared_task",
    "lazy": "tasks are made at once",
}
_CALLS: Final = frozenset({"apply_async", "send_task"})
#: Of ``apply_async`` and ``send_task``, besides the options.
_OF_CALLS: Final = frozenset({"args", "kwargs", "name", "throw", "retries"})


class Options(Pass):
    """Checks options against those that there are; takes out what has no meaning."""

    METADATA_DEPENDENCIES: ClassVar[tuple[Any, ...]] = (*Pass.METADATA_DEPENDENCIES, ParentNodeProvider)

    def __init__(self, project: Any, path: str) -> None:
        super().__init__(project, path)
        self._bound: list[str | None] = []

    # -- @app.task(…), shared_task(…), apply_async(…)

    def leave_Call(self, original_node: cst.Call, updated_node: cst.Call) -> cst.BaseExpression:
        function = original_node.func
        if self._makes_task(function):
            return self._without_needless(original_node, updated_node, _task_objection, ())
        if isinstance(function, cst.Attribute) and function.attr.value in _CALLS:
            if function.attr.value == "send_task" and not self.is_app(function.value):
                return updated_node
            return self._without_needless(original_node, updated_node, _call_objection, _OF_CALLS)
        return updated_node

    def _makes_task(self, function: cst.BaseExpression) -> bool:
        if self.imported(function) in _MAKERS:
            return True
        return isinstance(function, cst.Attribute) and function.attr.value == "task" and self.is_app(function.value)

    def _without_needless(
        self, original: cst.Call, updated: cst.Call, against: Callable[[str], str | None], known: Any
    ) -> cst.Call:
        unwanted = []
        for before, argument in zip(original.args, updated.args, strict=True):
            name = before.keyword.value if before.keyword is not None else None
            if name is None or name in known:
                continue
            if name in _NEEDLESS and not (name == "reject_on_worker_lost" and value_of(before.value) is not True):
                self.found(before, Kind.REWRITTEN, f"{code(before).rstrip(', ')} -> (left out)", _NEEDLESS[name])
                unwanted.append(argument)
            elif (why := against(name)) is not None:
                self.found(before, Kind.NOT_OFFERED, code(before).rstrip(", "), why)
            elif name == "priority" and value_of(before.value) is not None:
                self.found(
                    before,
                    Kind.BY_HAND,
                    code(before).rstrip(", "),
                    "9 is served first; on Redis, Celery serves 0 first",
                )
        return without_arguments(updated, unwanted)

    # -- self, in bound tasks

    def visit_FunctionDef(self, node: cst.FunctionDef) -> None:
        self._bound.append(self._first_parameter(node) if any(map(self._binds, node.decorators)) else None)

    def leave_FunctionDef(self, original_node: cst.FunctionDef, updated_node: cst.FunctionDef) -> cst.FunctionDef:
        self._bound.pop()
        return updated_node

    def _binds(self, decorator: cst.Decorator) -> bool:
        call = decorator.decorator
        return (
            isinstance(call, cst.Call)
            and self._makes_task(call.func)
            and any(
                a.keyword is not None and a.keyword.value == "bind" and value_of(a.value) is True for a in call.args
            )
        )

    def _first_parameter(self, node: cst.FunctionDef) -> str | None:
        return node.params.params[0].name.value if node.params.params else None

    # -- attributes of apps, tasks, requests

    def visit_Import(self, node: cst.Import) -> bool:
        return False

    def visit_ImportFrom(self, node: cst.ImportFrom) -> bool:
        return False

    def visit_Attribute(self, node: cst.Attribute) -> None:
        owner, name = node.value, node.attr.value
        if self.is_app(owner) and not self._is_library(owner):
            self._ask(node, name, _of_app(name), "the app")
        elif isinstance(owner, cst.Name) and self._bound and owner.value == self._bound[-1]:
            self._ask(node, name, _of_class(Task, name), "a task")
        elif isinstance(owner, cst.Attribute) and owner.attr.value == "request" and self._is_self(owner.value):
            self._ask(node, name, _of_class(Request, name), "self.request")

    def _is_library(self, node: cst.BaseExpression) -> bool:
        """Tell whether a name is Celery or Umbel itself, and no app that has the same name."""
        return (self.imported(node) or "").partition(".")[0] in ("celery", "umbel")

    def _is_self(self, node: cst.BaseExpression) -> bool:
        return isinstance(node, cst.Name) and bool(self._bound) and node.value == self._bound[-1]

    def _ask(self, node: cst.Attribute, name: str, there: bool, what: str) -> None:
        parent = self.get_metadata(ParentNodeProvider, node, None)
        assigned = isinstance(parent, cst.AssignTarget)
        if not there and not assigned:
            self.found(node, Kind.NOT_OFFERED, code(node), f"{what} has no {name} in Umbel")
        elif name == "autodiscover_tasks" and isinstance(parent, cst.Call) and not parent.args and _needs_packages():
            self.found(
                node,
                Kind.BY_HAND,
                code(parent),
                "name the packages: autodiscover_tasks(lambda: settings.INSTALLED_APPS)",
            )

    # -- dotted names in texts, as mock.patch has them

    def visit_SimpleString(self, node: cst.SimpleString) -> None:
        text = text_of(node)
        if text is not None and text.startswith("celery.") and " " not in text and text.count(".") > 1:
            parent = self.get_metadata(ParentNodeProvider, node, None)
            if isinstance(parent, cst.Arg):
                self.found(node, Kind.BY_HAND, code(node), "a name of Celery's in a text")


@cache
def _task_objection(name: str) -> str | None:
    return None if name in TaskOptions.__annotations__ or name == "bind" else _said(check_task_options, name)


@cache
def _call_objection(name: str) -> str | None:
    return None if name in CallOptions.__annotations__ else _said(check_call_options, name)


def _said(check: Callable[[str, Mapping[str, Any]], None], name: str) -> str | None:
    """Return what the check says of an option, without the place for which it says it."""
    try:
        check("x", {name: None})
    except (TypeError, ValueError) as error:
        return str(error).partition(": ")[2] or str(error)
    return None


@cache
def _of_app(name: str) -> bool:
    app = Umbel("upgrade", set_as_current=False)
    return hasattr(type(app), name) or name in vars(app)


def _of_class(cls: type[Any], name: str) -> bool:
    return (
        hasattr(cls, name)
        or any(name in getattr(base, "__annotations__", {}) for base in cls.__mro__)
        or (name in getattr(cls, "__slots__", ()))
    )


@cache
def _needs_packages() -> bool:
    parameter = inspect.signature(Umbel.autodiscover_tasks).parameters["packages"]
    return parameter.default is inspect.Parameter.empty
