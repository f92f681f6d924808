"""What the operator knows of the cluster: one copy of each watched object, fed by events and by its own lists.

kopf's events alone are not enough: after a gap it lists anew without saying what vanished, and it does not say when
the first list is complete. So each kind is also listed by us, and a list replaces what it covers.
"""

import sys
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from umbel_operator.kube.errors import Json
from umbel_operator.kube.resources import Resource, resource_of

#: Deleted objects whose uid is remembered, so that a list that began before cannot bring them back.
GRAVES = 20_000
#: Characters up to which equal texts are kept once.
SHARED_TEXT = 64


@dataclass(frozen=True, slots=True)
class Change:
    """One object as it was and as it is; None where it was not there or is gone."""

    old: Json | None
    new: Json | None

    @property
    def object(self) -> Json:
        """Hand out the newest known state."""
        obj = self.new if self.new is not None else self.old
        assert obj is not None
        return obj


@dataclass(slots=True)
class _Entry:
    obj: Json
    seen: int


class Cache:
    """Keep objects by kind, namespace and name.

    scopes: the namespaces that are watched, or (None,) for all of them.
    resources: the kinds that must be listed before anything may be planned.
    index: the terms by which an object is to be found with `indexed`.
    """

    def __init__(
        self,
        resources: Collection[Resource],
        scopes: Collection[str | None] = (None,),
        index: Callable[[Json], Iterable[str]] = lambda obj: owners(obj),
    ) -> None:
        self._index = index
        self._objects: dict[Resource, dict[str, dict[str, _Entry]]] = {resource: {} for resource in resources}
        self._to_list = frozenset((resource, scope) for resource in resources for scope in scopes)
        self._unlisted = set(self._to_list)
        self._by_term: dict[str, set[tuple[Resource, str, str]]] = {}
        self._graves: OrderedDict[str, int] = OrderedDict()
        self._count = 0

    @property
    def synced(self) -> bool:
        """Tell whether every kind has been listed in every namespace that is watched."""
        return not self._unlisted

    def doubt(self) -> None:
        """Count as synced again only once every kind has been listed anew."""
        self._unlisted = set(self._to_list)

    def unlisted(self) -> list[str]:
        """Name the kinds that were not listed yet."""
        return sorted({resource.plural for resource, _ in self._unlisted})

    def get(self, resource: Resource, namespace: str, name: str) -> Json | None:
        """Find one object."""
        entry = self._entry(resource, (namespace, name))
        return entry.obj if entry else None

    def all(self, resource: Resource, namespace: str | None = None) -> Iterator[Json]:
        """Go through the objects of a kind, of one namespace or of all."""
        places = self._objects[resource]
        for place in places.values() if namespace is None else (places.get(namespace) or {},):
            for entry in place.values():
                yield entry.obj

    def indexed(self, term: str) -> list[Json]:
        """List the objects with an index term, e.g. the uid of an owner."""
        keys = self._by_term.get(term, ())
        found = (self._entry(resource, (namespace, name)) for resource, namespace, name in keys)
        return [entry.obj for entry in found if entry is not None]

    def count(self, resource: Resource) -> int:
        """Tell how many objects of a kind are known."""
        return sum(len(place) for place in self._objects[resource].values())

    def apply(self, type_: str | None, obj: Json) -> Change | None:
        """Take in one watch event, or the answer to one of our own writes (type None).

        type_: ADDED, MODIFIED, DELETED, or None.
        Returns what changed, or None where the event was stale or said nothing new.
        """
        resource, at = resource_of(obj), _place(obj)
        uid = str(obj["metadata"].get("uid", ""))
        self._count += 1
        known = self._entry(resource, at)
        if type_ == "DELETED":
            self._bury(uid)
            if known is None or known.obj["metadata"].get("uid") != uid:
                return None
            return self._remove(resource, at)
        if uid in self._graves or (known is not None and _is_older(obj, known.obj)):
            return None
        return self._store(resource, at, compact(obj))

    def drop(self, obj: Json) -> Change | None:
        """Forget an object that lives on, but is not ours to know any more."""
        resource, at = resource_of(obj), _place(obj)
        return self._remove(resource, at) if self._entry(resource, at) else None

    def mark(self) -> int:
        """Note the moment before a list is asked for; hand it to `replace`."""
        return self._count

    def replace(self, resource: Resource, scope: str | None, items: Iterable[Json], mark: int) -> list[Change]:
        """Let a list take the place of all that was known of a kind in a namespace (None: in all).

        items: each `compact` already: a list of thousands must not lie in memory as it came.

        What an event said after `mark` is newer than the list and stays.
        Returns what changed.
        """
        changes: list[Change] = []
        listed = set()
        for obj in items:
            at = _place(obj)
            listed.add(at)
            known = self._entry(resource, at)
            if known is not None and known.seen > mark and not _is_older(known.obj, obj):
                continue
            if self._graves.get(str(obj["metadata"].get("uid", "")), -1) > mark:
                continue
            change = self._store(resource, at, obj)
            if change is not None:
                changes.append(change)
        for namespace in list(self._objects[resource]) if scope is None else [scope]:
            for name, entry in list(self._objects[resource].get(namespace, {}).items()):
                if (namespace, name) not in listed and entry.seen <= mark:
                    changes.append(self._remove(resource, (namespace, name)))
        self._unlisted.discard((resource, scope))
        return changes

    def _store(self, resource: Resource, at: tuple[str, str], obj: Json) -> Change | None:
        known = self._entry(resource, at)
        if known is not None and _version(known.obj) == _version(obj) and _version(obj):
            known.seen = self._count
            return None
        if known is not None:
            self._unlink(resource, at, known.obj)
        self._objects[resource].setdefault(at[0], {})[at[1]] = _Entry(obj, self._count)
        for term in self._index(obj):
            self._by_term.setdefault(term, set()).add((resource, *at))
        return Change(known.obj if known else None, obj)

    def _entry(self, resource: Resource, at: tuple[str, str]) -> _Entry | None:
        return self._objects[resource].get(at[0], {}).get(at[1])

    def _remove(self, resource: Resource, at: tuple[str, str]) -> Change:
        place = self._objects[resource][at[0]]
        entry = place.pop(at[1])
        if not place:
            del self._objects[resource][at[0]]
        self._unlink(resource, at, entry.obj)
        return Change(entry.obj, None)

    def _unlink(self, resource: Resource, at: tuple[str, str], obj: Json) -> None:
        for term in self._index(obj):
            keys = self._by_term.get(term)
            if keys is not None:
                keys.discard((resource, *at))
                if not keys:
                    del self._by_term[term]

    def _bury(self, uid: str) -> None:
        self._graves[uid] = self._count
        self._graves.move_to_end(uid)
        while len(self._graves) > GRAVES:
            self._graves.popitem(last=False)


def _place(obj: Json) -> tuple[str, str]:
    meta = obj["metadata"]
    return str(meta.get("namespace") or ""), str(meta["name"])


def compact(value: Any) -> Any:
    """Copy an object with its keys and short texts shared among all objects, and without the trees of managedFields.

    With thousands of resources this makes a cached object a third of its size.
    """
    if isinstance(value, dict):
        return {sys.intern(key): compact(item) for key, item in value.items() if key != "fieldsV1"}
    if isinstance(value, list):
        return [compact(item) for item in value]
    if type(value) is str and len(value) <= SHARED_TEXT:
        return sys.intern(value)
    return value


def owners(obj: Json) -> list[str]:
    """List the uids of an object's owners."""
    return [str(ref.get("uid")) for ref in obj["metadata"].get("ownerReferences") or ()]


def _version(obj: Json) -> str:
    return str(obj["metadata"].get("resourceVersion", ""))


def _is_older(one: Json, other: Json) -> bool:
    """Tell whether `one` is an earlier state of what stands at a place than `other`."""
    a, b = _version(one), _version(other)
    return a.isdigit() and b.isdigit() and int(a) < int(b)
