"""Remember what the last apply of each child sent and got, so that an apply that would change nothing is left out."""

import hashlib
from dataclasses import dataclass
from typing import Any

import orjson

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
        return (
            applied is not None
            and applied.uid == live["metadata"].get("uid")
            and applied.content == _content(live)
            and applied.wanted == _digest(wanted)
            and _holds_metadata(live["metadata"], wanted["metadata"])
        )

    def note(self, wanted: Manifest, answer: Json) -> None:
        """Remember an apply and its answer."""
        uid = str(answer["metadata"].get("uid"))
        self._applied[Ref.of(wanted)] = _Applied(uid, _digest(wanted), _content(answer))

    def forget(self, ref: Ref) -> None:
        """Drop what is known of a child that is gone."""
        self._applied.pop(ref, None)


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
