"""Declaring commands of an app's own."""

from __future__ import annotations

import os
import socket
import uuid
from typing import Any

import pytest
from tests.workers import until

from umbel import Umbel
from umbel.broker.memory import MemoryBroker
from umbel.control import State, control_command, custom, inspect_command
from umbel.errors import ImproperlyConfigured
from umbel.leaving import Leaving
from umbel.worker.about import About
from umbel.worker.aside import Aside, Term
from umbel.worker.inspection import Inspection
from umbel.worker.link import Link
from umbel.worker.orders import Orders
from umbel.worker.roster import Roster
from umbel.worker.slots import Slots
from umbel.worker.staff import Staff
from umbel.worker.tally import Tally
from umbel.worker.zygotes import ZygoteHandle


@pytest.fixture(autouse=True)
def nothing_declared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(custom, "_commands", {})


def test_a_function_becomes_a_command_and_stays_a_function() -> None:
    @inspect_command
    def depth(state: State) -> dict[str, int]:
        """Tell how deep it is.

        More than that nobody needs to know.
        """
        return {"depth": len(state.queues)}

    @control_command(name="dig", alias="d", args=[("metres", int)], signature="[METRES]", default_timeout=5.0)
    def dig_deeper(state: State, metres: int = 1) -> dict[str, Any]:
        return {"ok": metres}

    assert depth(State(None, "w", "id", ["a"])) == {"depth": 1}  # type: ignore[arg-type]
    found = custom.find("depth")
    assert found is not None
    assert (found.kind, found.help) == ("inspect", "Tell how deep it is.")
    assert custom.find("dig") is custom.find("d")
    assert [command.name for command in custom.commands()] == ["depth", "dig"]
    assert [command.name for command in custom.commands("control")] == ["dig"]


def test_a_command_line_becomes_arguments() -> None:
    @control_command(args=[("count", int), ("word", str)])
    def one(state: State, count: int = 1, word: str = "") -> None: ...

    @control_command(args=[("count", int)], variadic="names")
    def many(state: State, count: int, names: list[str]) -> None: ...

    one_, many_ = custom.find("one"), custom.find("many")
    assert one_ is not None
    assert many_ is not None
    assert one_.arguments(["3", "x"]) == {"count": 3, "word": "x"}
    assert one_.arguments([]) == {}
    assert many_.arguments(["3", "a", "b"]) == {"count": 3, "names": ["a", "b"]}
    with pytest.raises(ValueError, match="count takes int, not 'x'"):
        one_.arguments(["x"])
    with pytest.raises(ValueError, match="one takes 2 arguments, not 3"):
        one_.arguments(["1", "2", "3"])


def test_names_are_taken_once() -> None:
    with pytest.raises(ImproperlyConfigured, match="workers have a command 'ping' already"):

        @inspect_command
        def ping(state: State) -> None: ...

    @inspect_command(name="mine")
    def first(state: State) -> None: ...

    with pytest.raises(ImproperlyConfigured, match=r"the command 'mine' is .*first already"):

        @control_command(name="mine")
        def second(state: State) -> None: ...

    inspect_command(name="mine")(first)  # a module that is imported again


def test_the_names_that_workers_answer_to_are_known() -> None:
    roster = Roster("id", "w", [], Slots(1), {}, lambda: False)
    broker = MemoryBroker(f"memory://{uuid.uuid4().hex}")
    asked = Inspection(roster, broker, About(), Tally()).handlers()
    told = Orders(None, Staff(roster), About()).handlers()  # type: ignore[arg-type]
    aliases = {"registered_tasks", "dump_tasks", *(f"dump_{name}" for name in asked), "dump_schedule"}
    assert asked.keys() - aliases == set(custom.INSPECT)
    assert told.keys() == set(custom.CONTROL)


def test_what_the_app_declares_stands_in_the_shared_memory() -> None:
    @inspect_command(alias="d", default_timeout=3.0)
    def depth(state: State) -> None: ...

    about = About()
    assert about.read() == {}
    app = _app()
    about.write(app)
    for reader in (about, About(about.fd)):
        told = reader.read()
        assert told["commands"] == {
            "depth": {"kind": "inspect", "default_timeout": 3.0},
            "d": {"kind": "inspect", "default_timeout": 3.0},
        }
        assert told["tasks"]["shop.mail"] == {"max_retries": 9, "queue": "mail"}
        assert told["defaults"]["max_retries"] == 3
        assert told["settings"]["broker_url"] == "redis://:********@x/0"
        assert "broker_url" in told["changed"]
    # A shorter description in the place of a longer one
    custom._commands.clear()
    about.write(app)
    assert about.read()["commands"] == {}


def _app() -> Umbel:
    app = Umbel("shop", broker="redis://:secret@x/0", set_as_current=False)
    app.task(name="shop.mail", queue="mail", max_retries=9)(lambda: None)
    return app


def test_who_asked_is_answered_before_the_worker_ends() -> None:
    """Afterwards nobody is left to answer."""

    @control_command
    def retire(state: State) -> None: ...

    class Zygote(ZygoteHandle):
        def spawn(self, order: dict[str, Any], end: Link) -> bool:
            process = Link(socket.socket(fileno=os.dup(end.fileno())))
            process.send({"what": "hello", "pid": os.getpid()})
            process.send(Leaving(False, 7, "as asked").as_message())
            process.send({"what": "answer", "answer": {"ok": "shutting down"}})
            process.close()
            return True

    about = About()
    about.write(_app())
    told: list[Any] = []
    roster = Roster("id", "w", [], Slots(1), {}, lambda: False)
    assert Aside(roster, about, Zygote(about), told.append).start("retire", {}, 20.0, told.append)
    until(lambda: len(told) == 2, "an answer, and the end")
    assert told == [{"ok": "shutting down"}, Leaving(False, 7, "as asked")]


def test_the_time_of_a_command_runs_while_its_process_begins() -> None:
    """Who asked waits meanwhile, and is to hear why there is no answer."""
    assert Term(1.7, asked=101.7, own=0.0).end(begun=101.0) == 101.7
    assert Term(5.0, asked=101.7, own=5.0).end(begun=101.0) == 106.0
    assert Term(1.7, asked=101.7, own=0.0).end(begun=110.0) > 110.0


def test_a_worker_without_its_zygote_says_so() -> None:
    @inspect_command
    def depth(state: State) -> None: ...

    about = About()
    about.write(_app())
    aside = Aside(Roster("id", "w", [], Slots(1), {}, lambda: False), about, ZygoteHandle(about))
    answers: list[Any] = []
    assert not aside.start("unknown", {}, 1.0, answers.append)
    assert aside.start("depth", {}, 1.0, answers.append)
    until(lambda: answers, "an answer")
    assert "being started again" in answers[0]["error"]
