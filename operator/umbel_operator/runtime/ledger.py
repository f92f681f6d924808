"""Remember what the last apply of each child sent and got, so that an apply that would change nothing is left out."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from umbel_operator.api.names import ANNOTATION_APPLIED_HASH
from umbel_operator.kube.errors import Json
from umbel_operator.plan.model import Manifest, Ref


@dataclass(frozen=True, slots=True)
class _Applied:
    uid: str
    wanted: bytes
    #: What only a write to the spec or the data changes.
    content: Any


class Ledger:
    """Know for each child whether what is wanted is what is there."""

    def __init__(self) -> None:
        self._applied: dict[Ref, _Applied] = {}

    def is_current(self, wanted: Manifest, live: Manifest) -> bool:
        """Tell whether the last apply sent exactly this, and nobody has touched what it got since."""
        applied = self._applied.get(Ref.of(wanted))
        if applied is None and _holds(live, wanted):
            # Applied by an operator before this one: the hash tells that it sent no other field, and no field was edited.
            self.note(wanted, live)
            return True
        return (
            applied is not None
            and applied.uid == live["metadata"].get("uid")
            and applied.content == _content(live)
            and applied.wanted == _digest(wanted)
            and _holds_metadata(live["metadata"], wanted["metadata"])
        )

    def note(self, wanted: Manifest, answer: Manifest) -> None:
        """Remember an apply and its answer."""
        uid = str(answer["metadata"].get("uid"))
        self._applied[Ref.of(wanted)] = _Applied(uid, _digest(wanted), _content(answer))

    def forget(self, ref: Ref) -> None:
        """Drop what is known of a child that is gone."""
        self._applied.pop(ref, None)


def stamped(manifest: Manifest) -> Json:
    """Add the hash of a manifest to its annotations."""
    metadata = manifest["metadata"]
    annotations = {**(metadata.get("annotations") or {}), ANNOTATION_APPLIED_HASH: _digest(manifest).hex()[:32]}
    return {**manifest, "metadata": {**metadata, "annotations": annotations}}


def differs(before: Manifest, after: Manifest) -> bool:
    """Tell whether anything but bookkeeping (status, managedFields) differs between two states of a child."""
    parts = ("labels", "annotations", "ownerReferences")
    return _content(before) != _content(after) or any(
        before["metadata"].get(part) != after["metadata"].get(part) for part in parts
    )


def _content(live: Manifest) -> Any:
    generation = live["metadata"].get("generation")
    if generation is not None:
        return generation
    # A ConfigMap and a Service count no generations.
    return _digest({part: live.get(part) for part in ("data", "binaryData", "spec")})


def _digest(value: Any) -> bytes:
    return hashlib.sha256(orjson.dumps(value, option=orjson.OPT_SORT_KEYS)).digest()


def _holds(live: Manifest, wanted: Manifest) -> bool:
    """Tell whether a live object has the hash of what is wanted, and every field as it is wanted."""
    if ANNOTATION_APPLIED_HASH not in (wanted["metadata"].get("annotations") or {}):
        return False
    parts = wanted.keys() - {"metadata", "apiVersion", "kind"}
    return _holds_metadata(live["metadata"], wanted["metadata"]) and all(
        _contains(live.get(part), wanted[part]) for part in parts
    )


def _contains(live: Any, wanted: Any) -> bool:
    """Tell whether a value is as wanted, but for fields that the API server or others have added to objects.

    What it cannot tell to be the same (a quantity spelled differently, a longer list) counts as different.
    """
    if isinstance(wanted, Mapping):
        # The API server leaves out some zeros.
        return isinstance(live, Mapping) and all(
            _contains(live[name], item) if name in live else (item == 0 and type(item) is int)
            for name, item in wanted.items()
        )
    if isinstance(wanted, list | tuple):
        return isinstance(live, list) and len(live) == len(wanted) and all(map(_contains, live, wanted))
    return bool(live == wanted)


def _holds_metadata(live: Manifest, wanted: Manifest) -> bool:
    """Tell whether all labels, annotations and owners that we want are there; others may hang on more."""
    for part in ("labels", "annotations"):
        have = live.get(part) or {}
        if any(have.get(name) != value for name, value in (wanted.get(part) or {}).items()):
            return False
    owners = {ref.get("uid"): ref for ref in live.get("ownerReferences") or ()}
    return all(_same(owners.get(ref["uid"]), ref) for ref in wanted.get("ownerReferences") or ())


def _same(live: Manifest | None, wanted: Manifest) -> bool:
    return live is not None and all(live.get(name) == value for name, value in wanted.items())
