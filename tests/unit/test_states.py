"""The states and their codes stand to each other as the store script and Celery's users expect."""

from __future__ import annotations

from umbel import states


def test_a_task_is_ready_or_not() -> None:
    assert not states.READY_STATES & states.UNREADY_STATES
    assert {states.SUCCESS, states.FAILURE, states.REVOKED} == states.READY_STATES
    assert states.READY_STATES | states.UNREADY_STATES | {states.IGNORED} == states.ALL_STATES


def test_what_propagates_is_an_exception_that_is_final() -> None:
    assert states.PROPAGATE_STATES == states.EXCEPTION_STATES & states.READY_STATES


def test_final_states_have_the_codes_from_sixteen_on() -> None:
    assert {name for name, code in states.CODES.items() if code >= states.FINAL_CODE} == states.READY_STATES


def test_codes_fit_a_byte_are_unique_and_none_is_that_of_custom_states() -> None:
    codes = list(states.CODES.values())
    assert len(set(codes)) == len(codes)
    assert all(0 < code < 256 for code in codes)
    assert {states.NAMES[code]: code for code in codes} == states.CODES


def test_the_codes_never_change() -> None:
    assert states.CODES == {
        "PENDING": 1,
        "RECEIVED": 2,
        "STARTED": 3,
        "RETRY": 4,
        "REJECTED": 5,
        "SUCCESS": 16,
        "FAILURE": 17,
        "REVOKED": 18,
    }


def test_each_state_bears_its_own_name() -> None:
    for name in states.ALL_STATES:
        assert getattr(states, name) == name


def test_states_have_an_order() -> None:
    order = [
        states.SUCCESS,
        states.FAILURE,
        "PROGRESS",
        states.REVOKED,
        states.STARTED,
        states.RECEIVED,
        states.PENDING,
    ]
    places = [states.precedence(name) for name in order]
    assert places == sorted(places)
    assert states.precedence("PROGRESS") == states.precedence("ANOTHER") == states.precedence(None)
    assert states.state("STARTED") > states.state("PENDING")
    assert states.state("STARTED") < "SUCCESS"
    assert states.state("A") >= "B"
    assert states.state("A") <= "B"
    assert not states.state("RETRY") > "RETRY"
    assert states.state("RETRY") == "RETRY"
