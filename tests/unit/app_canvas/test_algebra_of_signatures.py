"""What holds of every workflow, however it is put together."""

from __future__ import annotations

import copy
import json
import pickle
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.app_canvas.calls import APP, NOTE, calls, canvases

from umbel import Signature, chain, signature

#: A busy machine is no reason to fail.
UNHURRIED = settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.too_slow])


def _json(sig: Signature[Any]) -> Any:
    return json.loads(json.dumps(sig))


@UNHURRIED
@given(canvases())
def test_a_workflow_comes_back_from_json_as_it_was(sig: Signature[Any]) -> None:
    again = APP.signature(_json(sig))
    assert type(again) is type(sig)
    assert again == sig
    assert _json(again) == _json(sig)
    assert Signature.from_dict(_json(sig)) == sig
    assert pickle.loads(pickle.dumps(sig)) == sig


def _scribble(sig: Any) -> None:
    """Change all that can be changed in a signature, and in what it is made of."""
    sig.options["scribbled"] = True
    sig.kwargs["scribbled"] = True
    for name in ("tasks", "header", "body"):
        part = sig.kwargs.get(name)
        for inner in part if isinstance(part, list) else [part] if part else []:
            _scribble(inner)


@UNHURRIED
@given(canvases())
def test_a_copy_shares_nothing_with_what_it_was_copied_from(sig: Signature[Any]) -> None:
    before = _json(sig)
    for copied in (sig.clone(), sig.partial(), signature(sig), copy.copy(sig), copy.deepcopy(sig), sig.replace()):
        assert copied == sig
        _scribble(copied)
        assert _json(sig) == before


@UNHURRIED
@given(canvases(), canvases())
def test_putting_two_together_changes_neither(left: Signature[Any], right: Signature[Any]) -> None:
    before = _json(left), _json(right)
    whole = left | right
    _scribble(whole)
    assert (_json(left), _json(right)) == before


@UNHURRIED
@given(st.lists(calls(), min_size=3, max_size=6), st.data())
def test_calls_of_tasks_are_chained_alike_however_they_are_bracketed(sigs: list[Any], data: st.DataObject) -> None:
    whole = chain(sigs)
    while len(sigs) > 1:
        at = data.draw(st.integers(0, len(sigs) - 2))
        sigs = [*sigs[:at], sigs[at] | sigs[at + 1], *sigs[at + 2 :]]
    assert sigs[0] == whole == chain(*whole.tasks)


@UNHURRIED
@given(st.lists(canvases(), min_size=2, max_size=4))
def test_chain_of_many_is_what_the_operator_makes_of_them(sigs: list[Any]) -> None:
    whole: Any = chain()
    for sig in sigs:
        whole = whole | sig
    assert chain(sigs) == chain(*sigs) == whole


@UNHURRIED
@given(canvases(leaf=st.builds(lambda n: NOTE.s(n), st.integers(0, 9))))
def test_running_a_workflow_does_not_change_it(sig: Signature[Any]) -> None:
    before = _json(sig)
    first = sig.apply().get()
    assert sig.apply().get() == first
    assert APP.signature(before).apply().get() == first
    assert _json(sig) == before
