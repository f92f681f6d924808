"""Django: set up before tasks are imported, its connections looked after, tasks that wait for a transaction to be committed.

Nothing has to be switched on: an app takes part where ``DJANGO_SETTINGS_MODULE`` is in the environment and Django is installed.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, cast

from umbel import signals
from umbel.ids import new_task_id
from umbel.options import CallOptions, check_arguments, check_call_options
from umbel.result import AsyncResult
from umbel.settings import KNOWN

if TYPE_CHECKING:
    from umbel.app import Umbel
    from umbel.task import Task


def in_use() -> bool:
    """Tell whether this process is to use Django."""
    return bool(os.environ.get("DJANGO_SETTINGS_MODULE")) and find_spec("django") is not None


def set_up() -> None:
    """Have Django read its settings and its models, unless it has."""
    import django
    from django.apps import apps

    if not apps.ready:
        django.setup()


def follow_settings(app: Umbel, namespace: str) -> None:
    """Have an app see settings that a test overrides (``override_settings``, the fixture ``settings`` of pytest-django)."""
    from django.core.signals import setting_changed

    prefix = namespace.upper().rstrip("_") + "_"

    def changed(setting: str, value: Any, **_: Any) -> None:
        name = setting.removeprefix(prefix).lower()
        if setting.startswith(prefix) and name in KNOWN:
            app.conf.update({name: KNOWN[name].default if value is None else value})

    setting_changed.connect(changed, weak=False, dispatch_uid=("umbel", id(app), prefix))


def packages() -> list[str]:
    """Return the packages of Django's installed apps."""
    from django.apps import apps

    set_up()
    return [config.name for config in apps.get_app_configs()]


def prepare_worker(app: Umbel) -> None:
    """Look after the connections of this worker's processes: none is shared with a child, none is used when it is too old."""
    from django.db import connections

    connections.close_all()  # what imports have opened: a child that is forked would share it
    for signal in (signals.task_prerun, signals.task_postrun):
        signal.connect(_close_old, dispatch_uid=(__name__, signal.name))


def _close_old(task: Task[..., Any] | None = None, **_: Any) -> None:
    """Close connections that are past ``CONN_MAX_AGE`` or broken, unless the task runs inside of somebody's transaction."""
    from django.db import close_old_connections

    if task is None or not task.request.is_eager:
        close_old_connections()


def send_on_commit(
    task: Task[..., Any], args: Sequence[Any] | None, kwargs: Mapping[str, Any] | None, options: Mapping[str, Any]
) -> AsyncResult[Any]:
    """Send a task once the transaction under way is committed; at once where there is none. It is not sent after a rollback.

    Returns: its result; the id is made now.

    Raises: what `apply_async` raises for arguments and options, at once. What goes wrong while it is sent is raised by the commit.
    """
    from django.db import transaction

    using = options.get("using")
    given = {name: value for name, value in options.items() if name != "using"}
    args, kwargs = check_arguments(task.name, args, kwargs)
    check_call_options(task.name, given)
    if task.arguments is not None:
        task.arguments.check(task.name, args, kwargs)
    task_id = given.setdefault("task_id", new_task_id())
    transaction.on_commit(partial(task.apply_async, args, kwargs, **cast(CallOptions, given)), using=using)
    return AsyncResult(task_id, None, task.name, task.app)
