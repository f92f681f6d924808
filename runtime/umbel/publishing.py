"""From a call to a message on its way. What does not change from call to call is computed once per task, in a `Plan`."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import orjson

from umbel import bodies, bulk, serialization
from umbel.annotating import apply_to
from umbel.arguments import Arguments, name_argument
from umbel.broker.base import Outgoing
from umbel.context import current_request
from umbel.dropping import end_dropped
from umbel.errors import EncodeError, UmbelWarning
from umbel.ids import new_nonce, new_task_id
from umbel.message import GROUPED, HEAD, VERSION, Message, group_digest
from umbel.options import check_call_options
from umbel.queues import check_known
from umbel.result import AsyncResult
from umbel.routing import is_static, route
from umbel.shards import pick
from umbel.unique import duplicate, lock_of

if TYPE_CHECKING:
    from umbel.app import Umbel
    from umbel.task import Task

_pack: Final = HEAD.pack
_nonce: Final = new_nonce

_batch: Final = bulk.current_batch


def _quoted(text: str) -> bytes:
    return orjson.dumps(text)


@lru_cache(maxsize=4096)
def _group_headers(group: str) -> bytes:
    """Return how the headers of a group's messages begin, as `Message.encode` has them."""
    return b'{"g":"' + group_digest(group).encode() + b'","group":' + _quoted(group) + b","


class Plan:
    """How calls of one task are sent without options: queue, priority and the constant part of the headers.

    Valid as long as ``serial`` is that of the app's settings.
    """

    __slots__ = (
        "_arguments",
        "_encode",
        "_grouping",
        "_head",
        "_inbox",
        "_last_inbox",
        "_name",
        "_priority",
        "_publish",
        "_reply",
        "_shards",
        "app",
        "ignore_result",
        "queue",
        "serial",
        "usable",
    )

    def __init__(self, app: Umbel, task: Task[..., Any]) -> None:
        conf = app.conf
        apply_to(task, app)
        self.app = app
        self.serial = conf.serial
        self.usable = is_static(conf.task_routes) and not conf.task_always_eager and task.expires is None
        special = task.durability is not None or task.uniqueness is not None
        special = special or _either(task.compression, conf.task_compression) is not None
        special = special or task.pydantic or task.has_shadow or conf.task_inherit_parent_priority
        codec = serialization.by_name(task.serializer or conf.task_serializer)
        special = special or serialization.signs(codec)
        self.usable = self.usable and not special and not (app.hooks.publish or app.hooks.message)
        if not self.usable:
            return
        self.queue, self._priority = destination(app, task.name, task)
        self._shards = conf.queue_shards if self.queue in conf.queue_shards else None
        headers = static_headers(app, task, codec)
        self.ignore_result = bool(headers.get("ignore_result"))
        self._head = orjson.dumps(headers)[:-1] + b',"id":"'
        self._name = task.name
        self._arguments: Arguments | None = task.arguments
        self._grouping = task.grouping
        self._encode = codec.encode
        self._publish = app.broker.publish
        self._inbox: Callable[[], str | None] = app.results.inbox if not self.ignore_result else lambda: None
        self._last_inbox: str | None = None
        self._reply = b""

    def send(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[str, str | None]:
        """Publish one call and return the task's id, and the inbox that the message names.

        Raises:
            EncodeError: an argument that the codec cannot carry, by name.
            OperationalError, PublishUncertain, QueueClosed: see `umbel.broker.base.Broker.publish`.
        """
        task_id = new_task_id()
        try:
            body = self._encode((args, kwargs))
        except EncodeError as error:
            raise name_argument(error, self._name, self._arguments) from None
        headers = self._head + task_id.encode() + b'"'
        inbox = self._inbox()
        if inbox is not None:
            if inbox != self._last_inbox:
                self._reply = b',"reply_to":' + _quoted(inbox)
                self._last_inbox = inbox
            headers += self._reply
        parent = current_request()
        if parent is not None and parent.id is not None:
            headers += b',"root_id":' + _quoted(parent.root_id or parent.id) + b',"parent_id":' + _quoted(parent.id)
        headers += b"}"
        flags = 0
        group = None
        if self._grouping is not None:
            group = self._grouping(args, kwargs)
            if group is not None:
                flags, headers = GROUPED, _group_headers(group) + headers[1:]
        head = _pack(VERSION, flags, self._priority, 0, 0, 0, 0, 0, _nonce(), len(headers))
        outgoing = Outgoing(head + headers + body, task_id)
        queue = self.queue if self._shards is None else pick(self.queue, self._shards, group)
        batch = _batch()
        if batch is not None:
            batch = batch.of(self.app)
        if batch is None:
            dropped = self._publish(queue, (outgoing,))
            if dropped:
                end_dropped(self.app.broker, dropped, self.app.conf.result_ttl)
        else:
            batch.add(queue, outgoing)
        if parent is not None:
            parent.add_child(task_id)
        return task_id, inbox


def static_headers(app: Umbel, task: Task[..., Any] | None, codec: serialization.Codec) -> dict[str, Any]:
    """Return the headers that all calls of a task share."""
    conf = app.conf
    headers = app.hooks.headers(task, conf)
    if task is not None:
        headers["task"] = task.name
        if task.ignore_result if task.ignore_result is not None else conf.task_ignore_result:
            headers["ignore_result"] = True
    if codec.content_type != serialization.JSON:
        headers["content_type"] = codec.content_type
    return headers


def _either(first: Any, second: Any) -> Any:
    return second if first is None else first


def destination(
    app: Umbel, name: str, task: Task[..., Any] | None, args: Any = (), kwargs: Any = None, options: Any = None
) -> tuple[str, int]:
    """Return queue and priority of a call: option, else task, else route, else default."""
    conf = app.conf
    options = options or {}
    queue, priority = options.get("queue"), options.get("priority")
    if task is not None:
        queue = _either(queue, task.queue)
        priority = _either(priority, task.priority)
    if (queue is None or priority is None) and conf.task_routes is not None:
        routed, routed_priority = route(conf.task_routes, name, args, kwargs, options, task, conf.task_queues)
        queue, priority = _either(queue, routed), _either(priority, routed_priority)
    if priority is None and conf.task_inherit_parent_priority:
        parent = current_request()
        priority = None if parent is None else parent.priority
    queue = _either(getattr(queue, "name", queue), conf.task_default_queue)
    if not conf.task_create_missing_queues:
        check_known(queue, conf.task_queues, conf.task_default_queue)
    return queue, _either(priority, conf.task_default_priority)


def build(
    app: Umbel,
    name: str,
    args: Sequence[Any] = (),
    kwargs: Mapping[str, Any] | None = None,
    *,
    task: Task[..., Any] | None = None,
    now: float,
    **options: Any,
) -> tuple[str, Message, float]:
    """Return queue, message and delay in seconds of a call with options; the message is to be sealed (`umbel.bodies.seal`).

    Args:
        app: whose settings apply.
        name: of the task.
        args, kwargs: its arguments.
        task: the task, where it is known here; its options apply where the call has none.
        now: the wall clock, for ``eta`` and ``expires`` given as a datetime.
        options: of the call, see `umbel.options.CallOptions`.

    Raises:
        TypeError, ValueError: an option that does not exist or does not fit.
        EncodeError: an argument that the codec cannot carry.
    """
    check_call_options(name, options)
    conf = app.conf
    kwargs = {} if kwargs is None else kwargs
    if task is not None:
        apply_to(task, app)
        if task.pydantic:
            from umbel.models import dumped

            args, kwargs = dumped(task, args, kwargs)
    codec = serialization.by_name(options.get("serializer") or (task and task.serializer) or conf.task_serializer)
    queue, priority = destination(app, name, task, args, kwargs, options)
    headers = static_headers(app, task, codec)
    headers["task"] = name
    compression = _either(options.get("compression"), _either(task and task.compression, conf.task_compression))
    try:
        body = bodies.packed(headers, codec, (args, kwargs), compression, conf.decompressed_max_size)
    except EncodeError as error:
        raise name_argument(error, name, task.arguments if task is not None else None) from None
    headers["id"] = options.get("task_id") or new_task_id()
    if task is not None and task.grouping is not None and options.get("group") is None:
        options["group"] = task.grouping(args, kwargs)
    if task is not None and task.has_shadow and not options.get("shadow"):
        options["shadow"] = task.shadow_name(args, kwargs, options)
    delay = _apply(headers, options, task, now, conf.timezone)
    _lineage(headers, options)
    for carry in app.hooks.message:
        carry(headers)
    if not headers.get("ignore_result"):
        inbox = app.results.inbox()
        if inbox is not None:
            headers["reply_to"] = inbox
    return queue, Message(headers, body, priority), delay


def _apply(headers: dict[str, Any], options: Mapping[str, Any], task: Any, now: float, zone: str) -> float:
    """Write the call's options into the headers; return the delay in seconds."""
    ignore = options.get("ignore_result")
    if ignore is not None:
        headers.pop("ignore_result", None)
        if ignore:
            headers["ignore_result"] = True
    hard, soft = headers.get("timelimit", (None, None))
    hard, soft = _either(options.get("time_limit"), hard), _either(options.get("soft_time_limit"), soft)
    if hard is not None or soft is not None:
        headers["timelimit"] = [hard, soft]
    expires = _either(options.get("expires"), task.expires if task is not None else None)
    if expires is not None:
        headers["expires"] = seconds_until(expires, now, zone)
    when = _either(options.get("countdown"), options.get("eta"))
    delay = 0.0 if when is None else seconds_until(when, now, zone)
    if delay:
        headers["delay"] = delay
    for name in ("headers", "stamps"):
        if options.get(name):
            headers[name] = dict(options[name])
    for name in ("shadow", "argsrepr", "kwargsrepr", "group_id", "group_index"):
        if options.get(name) is not None:
            headers[name] = options[name]
    if options.get("retry") is False or options.get("retry_policy"):
        warnings.warn(
            f"retry= and retry_policy= of the call of {headers['task']} have no effect in Umbel: the setting publish_timeout "
            "bounds how long a call tries; leave them out",
            UmbelWarning,
            stacklevel=5,
        )
    if options.get("group") is not None:
        headers["group"] = options["group"]
    return delay


def _lineage(headers: dict[str, Any], options: Mapping[str, Any]) -> None:
    """Write down which task this one descends from."""
    request = current_request()
    parent = options.get("parent_id") or (request.id if request is not None else None)
    root = options.get("root_id") or (request.root_id if request is not None else None)
    if parent is not None:
        headers["parent_id"] = parent
    if root is not None:
        headers["root_id"] = root


def seconds_until(when: float | datetime, now: float, zone: str) -> float:
    """Return how far off a moment is, not below 0; a naive datetime is read in ``zone``."""
    if not isinstance(when, datetime):
        return max(0.0, float(when))
    if when.tzinfo is None:
        from zoneinfo import ZoneInfo

        when = when.replace(tzinfo=ZoneInfo(zone))
    return max(0.0, when.timestamp() - now)


def publish(app: Umbel, queue: str, message: Message, delay: float, *, replicated: bool = False) -> AsyncResult[Any]:
    """Publish a message that `build` made, or add it to the open batch; return its result.

    Raises:
        DuplicateTask: a unique task whose ``on_conflict`` is ``reject``.
    """
    headers = message.headers
    task_id: str = headers["id"]
    bodies.seal(message)
    try:
        outgoing = Outgoing(message.encode(), task_id, delay, lock=lock_of(message), replicated=replicated)
    except orjson.JSONEncodeError as error:
        raise EncodeError(
            f"{headers['task']}: headers={headers.get('headers')!r} cannot be carried ({error}); "
            "headers take text, numbers, lists and dicts"
        ) from error
    result: AsyncResult[Any] = AsyncResult(
        task_id,
        task_name=headers["task"],
        app=app,
        ignored=bool(headers.get("ignore_result")),
        inbox=headers.get("reply_to"),
    )
    batch = _batch()
    batch = batch and batch.of(app)
    if batch is not None:
        batch.add(queue, outgoing, result if outgoing.lock is not None else None)
        return result
    bulk.publish(app, queue, (outgoing,))
    if bulk.stand_in(outgoing, result):
        raise duplicate([result])
    return result
