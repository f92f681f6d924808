"""What an app has sent while a test looked, as calls that can be compared."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from umbel import bodies
from umbel import message as messages
from umbel.broker.base import Outgoing

if TYPE_CHECKING:
    from umbel.app import Umbel
    from umbel.task import Task


@dataclass(frozen=True)
class SentCall:
    """One call as it went to the broker: arguments as a worker will read them, so tuples are lists."""

    task: str
    args: list[Any]
    kwargs: dict[str, Any]
    queue: str
    priority: int
    countdown: float = 0.0
    id: str = ""
    headers: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        shown = [*map(repr, self.args), *(f"{name}={value!r}" for name, value in self.kwargs.items())]
        after = f" in {self.countdown:g} s" if self.countdown else ""
        return f"{self.task}({', '.join(shown)}) to {self.queue!r}{after}, priority {self.priority}"


class Sent:
    """The calls of one `sent` block, in the order in which they were sent."""

    def __init__(self) -> None:
        self.calls: list[SentCall] = []

    def __len__(self) -> int:
        return len(self.calls)

    def __iter__(self) -> Iterator[SentCall]:
        return iter(self.calls)

    def __getitem__(self, index: int) -> SentCall:
        return self.calls[index]

    def of(self, task: Task[..., Any] | str) -> list[SentCall]:
        """Return the calls of one task."""
        name = task if isinstance(task, str) else task.name
        return [call for call in self.calls if call.task == name]

    def assert_sent(
        self,
        task: Task[..., Any] | str,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        *,
        times: int | None = None,
        **options: Any,
    ) -> SentCall:
        """Fail unless a call was sent; return it, the last one where there are several.

        Args:
            task: the task or its name.
            args, kwargs: of the call; not compared where they are left out. Given one alone, the other has to be empty.
            times: how often; at least once unless given.
            options: fields of `SentCall` that have to be equal: ``queue="mail"``, ``countdown=60``, ``priority=9``.

        Raises:
            AssertionError: with all that was sent.
        """
        wanted: dict[str, Any] = dict(options)
        if args is not None or kwargs is not None:
            wanted |= {"args": list(args or ()), "kwargs": dict(kwargs or {})}
        found = [call for call in self.of(task) if all(_fits(call, name, value) for name, value in wanted.items())]
        if (len(found) != times) if times is not None else not found:
            name = task if isinstance(task, str) else task.name
            how = "at least once" if times is None else f"{times} times"
            shown = f" with {', '.join(f'{key}={value!r}' for key, value in wanted.items())}" if wanted else ""
            raise AssertionError(f"{name}{shown} was to be sent {how}, and was sent {len(found)} times. {self._all()}")
        return found[-1] if found else SentCall("", [], {}, "", 0)

    def assert_not_sent(self, task: Task[..., Any] | str) -> None:
        """Fail if the task was sent.

        Raises:
            AssertionError: with all that was sent.
        """
        self.assert_sent(task, times=0)

    def assert_nothing_sent(self) -> None:
        """Fail if anything was sent.

        Raises:
            AssertionError: with all that was sent.
        """
        if self.calls:
            raise AssertionError(f"nothing was to be sent. {self._all()}")

    def _all(self) -> str:
        return "Sent was nothing." if not self.calls else "Sent were:\n  " + "\n  ".join(map(str, self.calls))


def _fits(call: SentCall, name: str, value: Any) -> bool:
    if name not in SentCall.__dataclass_fields__:
        known = ", ".join(sorted(SentCall.__dataclass_fields__))
        raise TypeError(f"a call that was sent has no {name!r} to compare; it has: {known}")
    there = getattr(call, name)
    return bool(abs(there - value) < 0.001) if name == "countdown" else bool(there == value)


@contextmanager
def sent(app: Umbel) -> Iterator[Sent]:
    """Note what an app sends in this block; all of it goes to the broker as ever.

    Example::

        with sent(app) as calls:
            checkout(order)
        calls.assert_sent(send_mail, ("ada@example.com",), queue="mail")

    Eager tasks (``task_always_eager``) are not sent.
    """
    calls = Sent()
    broker: Any = app.broker
    publish = broker.publish

    def noting(queue: str, outgoing: Sequence[Outgoing]) -> Any:
        answer = publish(queue, outgoing)
        calls.calls.extend(_call(app, queue, one) for one in outgoing)
        return answer

    broker.publish = noting
    app.conf.touch()  # senders keep the way to the broker until the settings change
    try:
        yield calls
    finally:
        del broker.publish
        app.conf.touch()


def _call(app: Umbel, queue: str, outgoing: Outgoing) -> SentCall:
    message = messages.decode(outgoing.payload)
    headers = message.headers
    args, kwargs = bodies.read(app.conf, headers, message.body)
    own = dict(headers.get("headers") or {})
    return SentCall(headers["task"], list(args), kwargs, queue, message.priority, outgoing.delay, headers["id"], own)
