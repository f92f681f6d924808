"""Stamps reach all parts of a workflow, by a dict or by a visitor."""

from __future__ import annotations

from typing import Any

import pytest

from umbel import Signature, StampingVisitor, Task, Umbel, chord, group


@pytest.fixture
def note(app: Umbel) -> Task[..., Any]:
    """Return a task that returns its stamps."""

    @app.task(name="note", bind=True)
    def note(self: Task[..., Any], *args: Any) -> dict[str, list[Any]]:
        return self.request.stamps

    return note


def _stamps(sig: Signature[Any]) -> dict[str, Any]:
    return {name: sig.options[name] for name in sig.options.get("stamped_headers", [])}


def test_every_part_bears_the_stamp_and_its_task_sees_it(note: Task[..., Any]) -> None:
    sig = group(note.s() | note.s(), chord([note.s()], note.s()))
    sig.stamp(by="ada")
    assert sig.apply().get() == [{"by": ["ada"]}, {"by": ["ada"]}]
    first, second = sig.tasks
    parts = [*first.kwargs["tasks"], *second.kwargs["header"], second.kwargs["body"]]
    assert [_stamps(part) for part in parts] == [{"by": "ada"}] * 4


def test_stamps_of_one_name_win_or_are_kept_together(note: Task[..., Any]) -> None:
    assert _stamps(note.s().stamp(by="ada").stamp(by="bob", of=1)) == {"by": "bob", "of": 1}
    assert _stamps(note.s().stamp(by="ada").stamp(by="bob", append_stamps=True)) == {"by": ["ada", "bob"]}
    assert note.s().stamp(by="ada").stamp(by="bob", append_stamps=True).apply().get() == {"by": ["ada", "bob"]}


class Visitor(StampingVisitor):
    """Stamps each part with what it was seen as."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def on_signature(self, sig: Signature[Any], **headers: Any) -> dict[str, Any]:
        self.seen.append(f"{sig!r} {sorted(headers)}")
        return {"task": sig.task}

    def on_group_start(self, group: group[Any], **headers: Any) -> dict[str, Any]:
        return {"of_group": len(group)}

    def on_group_end(self, group: group[Any], **headers: Any) -> None:
        self.seen.append("group end")

    def on_chain_start(self, chain: Any, **headers: Any) -> dict[str, Any]:
        return {"of_chain": len(chain.tasks), "hidden": 1, "stamped_headers": ["of_chain"]}

    def on_chain_end(self, chain: Any, **headers: Any) -> None:
        self.seen.append("chain end")

    def on_chord_body(self, sig: Any, **headers: Any) -> dict[str, Any]:
        return {"body": True}

    def on_callback(self, callback: Signature[Any], **headers: Any) -> dict[str, Any]:
        return {"callback": True}

    def on_errback(self, errback: Signature[Any], **headers: Any) -> dict[str, Any]:
        return {"errback": True}


def test_a_visitor_sees_all_parts_and_links(note: Task[..., Any]) -> None:
    linked, failed = note.s("cb"), note.s("eb")
    sig = group([note.s(1) | note.s(2), note.s(3).set(link=linked)]) | note.s(4).on_error(failed)
    visitor = Visitor()
    sig.stamp(visitor)
    first, second = sig.kwargs["header"]
    assert _stamps(first.tasks[0]) == {"of_group": 2, "of_chain": 2, "task": "note"}
    assert _stamps(second) == {"of_group": 2, "task": "note"}
    assert _stamps(second.options["link"][0]) == {"of_group": 2, "callback": True, "task": "note"}
    assert _stamps(sig.kwargs["body"]) == {"of_group": 2, "body": True, "task": "note"}
    assert _stamps(sig.kwargs["body"].options["link_error"][0]) == {
        "of_group": 2,
        "body": True,
        "errback": True,
        "task": "note",
    }
    assert [text for text in visitor.seen if text.endswith("end")] == ["chain end", "group end"]


def test_stamps_pass_on_to_callbacks_and_to_what_replaces_a_task(app: Umbel, note: Task[..., Any]) -> None:
    heard: list[Any] = []

    @app.task(name="hear", bind=True)
    def hear(self: Task[..., Any], value: Any) -> None:
        heard.append((value, self.request.stamps, self.request.stamped_headers))

    @app.task(name="swap", bind=True)
    def swap(self: Task[..., Any]) -> Any:
        return self.replace(note.s() | note.s())

    sig = swap.s()
    sig.link(hear.s())
    sig.stamp(by="ada")
    assert sig.apply().get() == {"by": ["ada"]}
    assert heard == [({"by": ["ada"]}, {"by": ["ada"]}, ["by"])]
