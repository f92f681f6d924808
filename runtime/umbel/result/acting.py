"""What can be done with the tasks of a result, be it of one task or of several."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Self

from umbel.result.arrivals import Arrivals
from umbel.result.base import ResultBase

if TYPE_CHECKING:
    from umbel.app import Umbel
    from umbel.result.single import AsyncResult


class Acting(ResultBase):
    """Acts upon the tasks whose results these are."""

    __slots__ = ()

    #: Whether several results are awaited together, on one connection.
    supports_native_join = True

    @property
    def app(self) -> Umbel:
        """The app whose result backend is asked."""
        raise NotImplementedError

    def _leaves(self) -> list[AsyncResult[Any]]:
        """Return the results of single tasks that this one is, or consists of."""
        raise NotImplementedError

    def then(
        self,
        callback: Callable[[Any], object],
        on_error: Callable[[BaseException], object] | None = None,
        weak: bool = False,
    ) -> Self:
        """Have a function called with this result once its tasks have ended, however they did.

        Args:
            callback: called in the thread that reads replies, so it must be quick; at once if all have ended.
            on_error: called with an exception that ``callback`` raised; it is logged otherwise.
            weak: kept for Celery's users, without effect.
        """
        Arrivals.tell(self, self._leaves(), callback, on_error)
        return self

    def revoke(
        self,
        connection: Any = None,
        terminate: bool = False,
        signal: str | int | None = None,
        wait: bool = False,
        timeout: float | None = None,
    ) -> Any:
        """Keep the tasks from running, and what is left of the workflows that they belong to.

        Args:
            connection: kept for Celery's users, without effect.
            terminate: also end what runs already, by killing its process.
            signal: with ``terminate``, what the process gets a second before it is killed, as ``"SIGTERM"``.
            wait: return what the workers answer, in place of returning at once.
            timeout: seconds to wait for their answers.
        """
        ids = [leaf.id for leaf in self._leaves()]
        if wait or signal is not None:
            return self.app.control.revoke(ids, terminate=terminate, signal=signal, **asked(wait, timeout))
        from umbel.workflow import revoking

        revoking.revoke(self.app, ids, terminate=terminate)
        return None


def asked(wait: bool, timeout: float | None) -> dict[str, Any]:
    """Return how the workers are to be asked."""
    return {"reply": wait} | ({} if timeout is None else {"timeout": timeout})
