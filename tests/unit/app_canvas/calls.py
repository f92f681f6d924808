"""Tasks that the tests of workflows are made of, and signatures of them at random."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from umbel import Signature, Umbel, chain, chord, group


def app_with_tasks() -> Umbel:
    """Return an app, not the current one, with the tasks ``note`` and ``join``."""
    app = Umbel("canvas", broker="memory://canvas", set_as_current=False)

    @app.task(name="note")
    def note(*args: Any, **kwargs: Any) -> list[Any]:
        """Return the arguments, so that the result shows who got what."""
        return [*args, *([kwargs] if kwargs else [])]

    return app


APP = app_with_tasks()
NOTE = APP.tasks["note"]


def calls() -> st.SearchStrategy[Signature[Any]]:
    """Return calls of one task, with all that a signature may hold."""
    options = st.dictionaries(st.sampled_from(["queue", "task_id"]), st.text("abc", min_size=1, max_size=3), max_size=2)
    return st.builds(
        lambda args, kwargs, options, immutable: NOTE.signature(args, kwargs, immutable=immutable, options=options),
        st.lists(st.integers(0, 9), max_size=2),
        st.dictionaries(st.sampled_from("xy"), st.integers(0, 9), max_size=1),
        options,
        st.booleans(),
    )


def linked(leaf: st.SearchStrategy[Signature[Any]]) -> st.SearchStrategy[Signature[Any]]:
    """Return calls, some with callbacks, errbacks or stamps."""
    return (
        leaf
        | st.builds(lambda sig, link: sig.clone().set(link=[link]), leaf, leaf)
        | st.builds(lambda sig, link: sig.clone().on_error(link), leaf, leaf)
        | st.builds(lambda sig, name: sig.clone().stamp(**{name: 1}), leaf, st.sampled_from("ab"))
    )


def canvases(leaf: st.SearchStrategy[Signature[Any]] | None = None) -> st.SearchStrategy[Signature[Any]]:
    """Return workflows of workflows."""

    def nested(inner: st.SearchStrategy[Signature[Any]]) -> st.SearchStrategy[Signature[Any]]:
        several = st.lists(inner, min_size=1, max_size=3)
        return (
            st.builds(chain, several)
            | st.builds(group, several)
            | st.builds(chord, several, inner)
            | st.builds(lambda a, b: a | b, inner, inner)
        )

    return st.recursive(linked(calls()) if leaf is None else leaf, nested, max_leaves=8)
