"""Which queue a call goes to: the call's option, else the task's, else ``task_routes``, else ``task_default_queue``."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from fnmatch import translate
from functools import lru_cache
from typing import Any

from umbel.errors import ImproperlyConfigured
from umbel.imports import import_object
from umbel.queues import Queue, by_routing_key

Route = tuple[str | None, int | None]


def route(
    routes: Any,
    name: str,
    args: Any = (),
    kwargs: Any = None,
    options: Any = None,
    task: Any = None,
    queues: Any = None,
) -> Route:
    """Return (queue, priority) that ``task_routes`` gives a task, None where it says nothing.

    Args:
        routes: a mapping {name or pattern: queue or {"queue": ..., "priority": ...}}, a list of such mappings, pairs and
            callables, or one callable ``f(name, args, kwargs, options, task=None)``. The first that answers decides.
        name: of the task.
        queues: of ``task_queues``, for routes that have a routing key in place of a queue.

    Raises:
        ImproperlyConfigured: a route that is none of these.
    """
    for answer in _answers(routes, name, args, kwargs or {}, options or {}, task):
        if answer is not None:
            return _read(answer, name, queues)
    return None, None


def is_static(routes: Any) -> bool:
    """Tell whether the same task always goes to the same queue: no route is a callable."""
    if isinstance(routes, str):
        return is_static(_named(routes))
    if routes is None or isinstance(routes, Mapping):
        return True
    if hasattr(routes, "route_for_task"):
        return False
    return not callable(routes) and all(_is_pair(item) or is_static(item) for item in routes)


def _is_pair(item: Any) -> bool:
    """Tell whether an item of a list is (pattern, route), not a list of further ones."""
    return isinstance(item, tuple) and len(item) == 2 and isinstance(item[0], (str, re.Pattern))


def queues_in(routes: Any) -> set[str]:
    """Return the queues that fixed routes name."""
    if isinstance(routes, str):
        return queues_in(_named(routes))
    if isinstance(routes, Mapping):
        return {queue for target in routes.values() if (queue := _read(target, "a task")[0]) is not None}
    if _is_pair(routes):
        return queues_in({routes[0]: routes[1]})
    if isinstance(routes, (list, tuple)):
        return set().union(*(queues_in(item) for item in routes))
    return set()


def _answers(routes: Any, name: str, *call: Any) -> Iterator[Any]:
    if routes is None:
        return
    if isinstance(routes, Mapping):
        yield from (target for pattern, target in routes.items() if _matches(pattern, name))
    elif isinstance(routes, str):
        yield from _answers(_named(routes), name, *call)
    elif hasattr(routes, "route_for_task"):
        yield routes.route_for_task(name, call[0], call[1])
    elif callable(routes):
        yield routes(name, call[0], call[1], call[2], task=call[3])
    elif _is_pair(routes):
        if _matches(routes[0], name):
            yield routes[1]
    elif isinstance(routes, (list, tuple)):
        for item in routes:
            yield from _answers(item, name, *call)
    else:
        raise ImproperlyConfigured(f"task_routes holds {routes!r}; give {{name or pattern: queue}} or a callable")


@lru_cache(maxsize=64)
def _named(path: str) -> Any:
    """Import what a route's dotted path names; a class is called."""
    found = import_object(path, purpose="task_routes")
    return found() if isinstance(found, type) else found


def _matches(pattern: Any, name: str) -> bool:
    if isinstance(pattern, re.Pattern):
        return pattern.match(name) is not None
    return pattern == name or _glob(pattern)(name) is not None


@lru_cache(maxsize=512)
def _glob(pattern: str) -> Callable[[str], Any]:
    return re.compile(translate(pattern)).match


def _read(answer: Any, name: str, queues: Any = None) -> Route:
    if isinstance(answer, str) and answer:
        return answer, None
    if isinstance(answer, Queue):
        return answer.name, None
    if isinstance(answer, Mapping):
        unknown = set(answer) - {"queue", "priority", "routing_key", "exchange", "exchange_type"}
        if unknown:
            raise ImproperlyConfigured(
                f"the route of {name} has {', '.join(sorted(map(repr, unknown)))}; "
                "a route has 'queue', 'routing_key' and 'priority' only"
            )
        queue = answer.get("queue")
        if queue is None and answer.get("routing_key") is not None:
            queue = by_routing_key(queues, answer["routing_key"])
        return getattr(queue, "name", queue), answer.get("priority")
    raise ImproperlyConfigured(f"the route of {name} is {answer!r}; give the name of a queue, or {{'queue': name}}")
