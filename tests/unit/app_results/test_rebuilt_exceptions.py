"""Exceptions that cross processes: what they hold, what caused them, and what stands for those that cannot be had here."""

from __future__ import annotations

import pickle
import threading
from typing import Any

import pytest

from umbel import failure, rebuilding
from umbel.errors import RemoteError


def across(error: BaseException) -> Any:
    return rebuilding.decode(failure.encode(error))


class Declined(Exception):
    """Makes its text of its arguments, and keeps them as attributes."""

    def __init__(self, card: str, code: int) -> None:
        super().__init__(f"card {card} was declined with {code}")
        self.card = card
        self.code = code


class Doubling(Exception):
    """Its arguments are not what it takes, yet it would take them."""

    def __init__(self, what: str) -> None:
        super().__init__(f"missing {what}")
        self.what = what


class Locked(Exception):
    """Cannot be pickled."""

    def __init__(self) -> None:
        super().__init__("locked")
        self.lock = threading.Lock()


class Computed(Exception):
    """Has an attribute that cannot be set."""

    @property
    def code(self) -> int:
        return 5


def test_an_exception_with_arguments_of_its_own_keeps_text_and_attributes() -> None:
    back = across(Declined("ada", 51))
    assert type(back) is Declined
    assert (str(back), back.card, back.code) == ("card ada was declined with 51", "ada", 51)
    doubled = across(Doubling("key"))
    assert (type(doubled), str(doubled), doubled.what) == (Doubling, "missing key", "key")


def test_what_cannot_be_pickled_or_set_is_left_out() -> None:
    back = across(Locked())
    assert (type(back), str(back)) == (Locked, "locked")
    with pytest.raises(TypeError):
        pickle.dumps(Locked())
    raw = failure.encode(Computed("x")).replace(b'"args"', b'"attributes":{"code":7},"args"')
    assert rebuilding.decode(raw).code == 5  # type: ignore[attr-defined]
    large = ValueError("x")
    large.page = "y" * 10_000  # type: ignore[attr-defined]
    assert not hasattr(across(large), "page")


def test_causes_come_along() -> None:
    def fails() -> None:
        try:
            try:
                raise KeyError("first")
            except KeyError:
                raise OSError(2, "second")  # noqa: B904 - on purpose: it has a context, no cause
        except OSError as error:
            raise ValueError("third") from error

    with pytest.raises(ValueError, match="third") as caught:
        fails()
    back = across(caught.value)
    assert repr(back.__cause__) == "FileNotFoundError(2, 'second')"
    assert repr(back.__cause__.__context__) == "KeyError('first')"
    assert back.__suppress_context__


def test_a_cause_that_was_hidden_stays_hidden() -> None:
    try:
        try:
            raise KeyError("first")
        except KeyError:
            raise ValueError("second") from None
    except ValueError as error:
        back = across(error)
    assert (back.__cause__, back.__context__) == (None, None)


def test_causes_that_go_in_a_circle_or_very_deep_come_to_an_end() -> None:
    one, two = ValueError("1"), ValueError("2")
    one.__cause__, two.__cause__ = two, one
    assert across(one).__cause__.__cause__ is None
    deep: BaseException = ValueError("0")
    for number in range(100):
        following = ValueError(str(number))
        following.__cause__ = deep
        deep = following
    back, count = across(deep), 0
    while back is not None:
        back, count = back.__cause__, count + 1
    assert count == failure.MOST_CAUSES + 1


def test_groups_keep_their_members() -> None:
    back = across(ExceptionGroup("both", [ValueError("1"), ExceptionGroup("in", [KeyError("2")])]))
    assert repr(back) == "ExceptionGroup('both', [ValueError('1'), ExceptionGroup('in', [KeyError('2')])])"
    assert isinstance(across(BaseExceptionGroup("b", [SystemExit(1)])), RemoteError)


def test_notes_come_along() -> None:
    error = ValueError("x")
    error.add_note("while reading line 3")
    assert across(error).__notes__ == ["while reading line 3"]


def test_a_type_that_cannot_be_imported_keeps_its_name() -> None:
    raw = failure.encode(Declined("ada", 51)).replace(f"{__name__}.Declined".encode(), b"shop.gone.Declined")
    back = rebuilding.decode(raw)
    assert isinstance(back, RemoteError)
    assert (type(back).__name__, type(back).__module__, back.type_name) == (
        "Declined",
        "shop.gone",
        "shop.gone.Declined",
    )
    assert str(back) == "shop.gone.Declined: card ada was declined with 51"
    assert back.card == "ada"  # type: ignore[attr-defined]
    assert type(rebuilding.decode(raw)) is type(back)
    again = pickle.loads(pickle.dumps(back))
    assert (type(again), str(again)) == (RemoteError, str(back))
