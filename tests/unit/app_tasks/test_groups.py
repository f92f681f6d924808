"""The group of a call: given with it, or found in its arguments."""

from __future__ import annotations

from typing import Any

import pytest
from tests.conformance.making import read

from umbel import Umbel
from umbel.message import GROUPED, group_digest
from umbel.testing import InMemoryWorker


def sent_to(app: Umbel) -> list[Any]:
    """Take all that was sent, as messages."""
    from tests.conformance.making import owner, take

    consumer = app.broker.consumer(owner("default"))
    consumer.register()
    found = [read(delivery) for delivery in take(consumer, "default")]
    consumer.leave()
    return found


@pytest.fixture
def app(prefix: str) -> Umbel:
    return Umbel("grouped", broker=f"memory://{prefix}", set_as_current=False)


def test_a_call_names_its_group(app: Umbel) -> None:
    app.send_task("elsewhere.task", group="acme")
    (message,) = sent_to(app)
    assert message.headers["group"] == "acme"
    assert message.flags & GROUPED
    assert next(iter(message.headers.items())) == ("g", group_digest("acme"))


def test_a_call_without_a_group_has_none(app: Umbel) -> None:
    app.send_task("elsewhere.task")
    (message,) = sent_to(app)
    assert not message.flags & GROUPED
    assert "g" not in message.headers


def test_a_task_names_the_parameter(app: Umbel) -> None:
    @app.task(group="customer")
    def bill(order: int, customer: int = 7) -> None: ...

    bill.delay(1)
    bill.delay(1, 8)
    bill.apply_async((1,), {"customer": 9})
    bill.apply_async((1,), group="other")
    assert sorted(message.headers["group"] for message in sent_to(app)) == ["7", "8", "9", "other"]


def test_both_ways_of_sending_write_the_same_headers(app: Umbel) -> None:
    @app.task(group="customer")
    def bill(order: int, customer: str) -> None: ...

    bill.delay(1, 'O"Brien & Søn')
    bill.apply_async((1, 'O"Brien & Søn'))
    first, second = sent_to(app)
    assert {**first.headers, "id": ""} == {**second.headers, "id": ""}
    assert first.flags == second.flags == GROUPED
    assert next(iter(first.headers)) == next(iter(second.headers)) == "g"


def test_a_task_has_a_function_that_finds_it(app: Umbel) -> None:
    @app.task(bind=True, group=lambda order, **_: order["tenant"])
    def bill(self: Any, order: dict[str, str | None], urgent: bool = False) -> None: ...

    bill.delay({"tenant": "acme"}, urgent=True)
    bill.delay({"tenant": None})
    found = {message.headers.get("group") for message in sent_to(app)}
    assert found == {"acme", None}


def test_a_class_based_task_may_have_a_method_for_it(app: Umbel) -> None:
    from umbel import Task

    class Bill(Task[..., None]):
        def group(self, customer: str) -> str:  # type: ignore[override]
            return customer.lower()

        def run(self, customer: str) -> None: ...

    app.register_task(Bill).delay("ACME")
    (message,) = sent_to(app)
    assert message.headers["group"] == "acme"


def test_a_parameter_that_does_not_exist_is_refused(app: Umbel) -> None:
    with pytest.raises(ValueError, match=r"group='tenant', which is no parameter of it: it has order, customer"):

        @app.task(group="tenant")
        def bill(order: int, customer: int) -> None: ...


def test_a_value_that_is_no_group_is_refused(app: Umbel) -> None:
    with pytest.raises(ValueError, match="group=7: give the name of a parameter"):
        app.task(group=7)(print)  # type: ignore[call-overload]
    with pytest.raises((TypeError, ValueError), match="group='': give text that is not empty"):
        app.send_task("elsewhere.task", group="")


def test_a_retry_stays_in_its_group(app: Umbel) -> None:
    @app.task(bind=True, group="customer", max_retries=2)
    def bill(self: Any, customer: str) -> int:
        if self.request.retries == 0:
            raise self.retry(countdown=0)
        return int(self.request.retries)

    result = bill.delay("acme")
    assert InMemoryWorker(app).run() == 2
    assert result.get(timeout=20) == 1
