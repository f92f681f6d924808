"""What a workflow is made of once it is to run: its own arguments and options handed down to the parts that they belong to.

What comes out consists of calls of one task, and of chains, groups and chords that hold nothing but parts, ids, and stamps.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from umbel.canvas.chains import chain
from umbel.canvas.chords import chord, finals
from umbel.canvas.groups import group
from umbel.canvas.lazy import Lazy
from umbel.canvas.maps import chunks, xmap, xstarmap
from umbel.canvas.pipe import fold
from umbel.canvas.plain import as_list
from umbel.canvas.signature import PLACE, Signature, as_signature
from umbel.canvas.stamping import stamped
from umbel.publishing import destination

#: Options of a chain that belong to its last part; all others belong to its first.
_LAST: Final = ("task_id", "group_id", "group_index", "chord")
_LINKS: Final = ("link", "link_error")
#: Options of a chord that are no options of calls: how Celery polls for the end of a header.
_POLLING: Final = ("interval", "max_retries")

Options = dict[str, Any]


def completed(
    sig: Signature[Any],
    args: Sequence[Any] | None = None,
    kwargs: Mapping[str, Any] | None = None,
    options: Mapping[str, Any] | None = None,
) -> Signature[Any]:
    """Return a copy with all handed down, as the call ``sig.apply_async(args, kwargs, **options)`` means it."""
    args, kwargs, given = tuple(args or ()), dict(kwargs or {}), dict(options or {})
    if PLACE in sig.options:
        bare = sig.clone()
        place = bare.options.pop(PLACE)
        whole = completed(bare, args, kwargs, given)
        whole.options[PLACE] = place
        return whole
    if isinstance(sig, chain):
        return _chain(sig, args, kwargs, given)
    if isinstance(sig, group):
        return _group(sig, args, kwargs, given)
    if isinstance(sig, chord):
        return _chord(sig, args, kwargs, given)
    if isinstance(sig, chunks):
        return _group(sig.group(), (), {}, _over(sig, given))
    if isinstance(sig, (xmap, xstarmap)):
        return _mapped(sig, given)
    return _ready(sig.clone(args, kwargs, **given))


def _ready(call: Signature[Any]) -> Signature[Any]:
    """Give a call of one task its stamps as they are sent, and do the same for what is linked to it."""
    call.options = stamped(call.options)
    for name in _LINKS:
        if name in call.options:
            call.options[name] = [completed(as_signature(link, call._app)) for link in as_list(call.options[name])]
    return call


def _over(sig: Signature[Any], given: Options) -> Options:
    """Return the options of a workflow with those of its call over them, without its stamps: its parts have these."""
    _, _, merged = sig.merged(None, None, given)
    stamps = merged.pop("stamped_headers", None) or ()
    return {name: value for name, value in merged.items() if name not in stamps}


def _more(sig: Signature[Any], *own: str) -> Options:
    """Return the named arguments that a workflow was given for its first tasks: all but its own parts."""
    return {name: value for name, value in sig.kwargs.items() if name not in own}


def _taken(options: Options, names: Sequence[str]) -> Options:
    return {name: options.pop(name) for name in names if name in options}


def _chain(sig: chain[Any], args: tuple[Any, ...], kwargs: Options, given: Options) -> Signature[Any]:
    options = _over(sig, given)
    args, kwargs = ((), {}) if sig.immutable else ((*args, *sig.args), {**_more(sig, "tasks"), **kwargs})
    whole = fold(sig.tasks).bind(sig._app)
    if not isinstance(whole, chain):
        return _linked(completed(whole, args, kwargs, options), options)
    if not whole.tasks and any(isinstance(task, group) for task in sig.tasks):
        return group(app=sig._app)
    links, place = _taken(options, _LINKS), _taken(options, _LAST)
    parts = whole.tasks
    for index, part in enumerate(parts):
        mine = {**(options if index == 0 else {}), **(place if index == len(parts) - 1 else {})}
        parts[index] = completed(part, args, kwargs, mine) if index == 0 else completed(part, (), {}, mine)
    return _linked(whole, links)


def _group(sig: group[Any], args: tuple[Any, ...], kwargs: Options, given: Options) -> Signature[Any]:
    options = _over(sig, given)
    place = _taken(options, ("task_id",))
    args, kwargs = (*args, *sig.args), {**_more(sig, "tasks"), **kwargs}
    whole: group[Any] = group(app=sig._app, **place)
    if isinstance(sig.tasks, Lazy):
        whole.kwargs["tasks"] = Lazy(sig.tasks, lambda task: completed(task, args, kwargs, options))
    else:
        whole.kwargs["tasks"] = [completed(task, args, kwargs, options) for task in sig.flat()]
    return whole


def _chord(sig: chord[Any], args: tuple[Any, ...], kwargs: Options, given: Options) -> Signature[Any]:
    body = as_signature(kwargs.pop("body", None), sig._app)
    body = sig.body if body is None else body
    if body is None or not finals(body):
        raise TypeError(f"{sig!r} has no body to give the results to: write chord(header, body) or chord(header)(body)")
    own = _over(sig, {})
    links = [_taken(own, _LINKS), _taken(given, _LINKS)]
    _taken(own, _POLLING)
    frozen, task_id = own.pop("task_id", None), given.pop("task_id", None)
    header = _group(
        group(sig.tasks, app=sig._app),
        () if sig.immutable else (*args, *sig.args),
        {**_more(sig, "header", "body", "kwargs"), **sig.kwargs.get("kwargs", {}), **kwargs},
        {**own, **given},
    )
    later = {name: value for name, value in given.items() if name not in ("countdown", "eta", "parent_id")}
    if body.id is None and (task_id or frozen):
        later["task_id"] = task_id or frozen
    whole: chord[Any] = chord((), app=sig._app)
    whole.kwargs["header"], whole.kwargs["body"] = header.kwargs["tasks"], completed(body, (), {}, later)
    if frozen is not None and body.id is not None:
        whole.options["task_id"] = frozen
    for given_links in links:
        _linked(whole, given_links)
    return whole


def _mapped(sig: Signature[Any], given: Options) -> Signature[Any]:
    called = sig.kwargs["task"]
    options = sig.merged(None, None, given)[2]
    if options.get("queue") is None:
        options["queue"], priority = destination(sig.app, called.task, sig.app.tasks.get(called.task))
        options.setdefault("priority", priority)
    parts = {"task": called.plain(), "it": list(sig.kwargs["it"])}
    return _ready(Signature(sig.task, (), parts, options, immutable=True, app=sig.app))


def _linked(whole: Signature[Any], links: Options) -> Signature[Any]:
    """Give callbacks and errbacks of a workflow to its parts."""
    for callback in as_list(links.get("link")):
        _link(whole, as_signature(callback))
    for errback in as_list(links.get("link_error")):
        _link_error(whole, as_signature(errback))
    return whole


def _link(part: Signature[Any], callback: Signature[Any]) -> None:
    if isinstance(part, chord):
        _link(part.body, callback)
    elif isinstance(part, chain):
        _link(part.tasks[-1], callback)
    elif isinstance(part, group):
        for task in part.tasks:
            _link(task, callback)
    else:
        part.link(callback.clone())


def _link_error(part: Signature[Any], errback: Signature[Any]) -> None:
    if isinstance(part, chord):
        part.link_error(errback)
    elif isinstance(part, (chain, group)):
        for task in part.tasks:
            _link_error(task, errback)
    else:
        part.link_error(errback.clone())
