"""Look at one resource, plan, carry the plan out, and write its status once."""

import logging
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from umbel_operator.api.parse import Unreadable
from umbel_operator.kube.errors import Json
from umbel_operator.kube.events import Recorder
from umbel_operator.plan.model import Failure, Plan, Ref
from umbel_operator.plan.planner import make_plan
from umbel_operator.plan.unreadable import plan_unreadable
from umbel_operator.runtime.executor import Executor, Outcome
from umbel_operator.runtime.keys import Key
from umbel_operator.runtime.namespaces import Namespaces
from umbel_operator.runtime.statuswriter import StatusWriter
from umbel_operator.runtime.world import World

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Done:
    """What a reconcile came to."""

    #: changed, unchanged, failed, gone.
    result: str
    #: Come back after so many seconds; None: when something is reported.
    again: float | None = None
    #: Something failed that a later try may cure.
    retry: bool = False
    #: Seconds that the API server asked to wait.
    retry_after: float | None = None


class Reconciler:
    """Work on one key at a time; different keys may be worked on at once."""

    def __init__(
        self, namespaces: Namespaces, world: World, executor: Executor, writer: StatusWriter, recorder: Recorder
    ) -> None:
        self._namespaces = namespaces
        self._world = world
        self._executor = executor
        self._writer = writer
        self._recorder = recorder

    async def reconcile(self, key: Key) -> Done:
        """Bring what belongs to a resource into the state that it asks for.

        Raises ApiError where its status cannot be written.
        """
        owner = self._world.owner(key)
        if owner is None:
            self._world.forget(key)
            return Done("gone")
        state = self._world.state(key, terminating=await self._namespaces.is_going(owner))
        if state is None:
            return Done("gone")
        if isinstance(state, Unreadable):
            return await self._finish(key, owner, plan_unreadable(state, datetime.now(UTC)), Outcome())
        plan = make_plan(state)
        self._world.remember(key, plan.scaling)
        outcome = await self._executor.execute(owner, plan.actions)
        if outcome.terminating:
            self._namespaces.refused(key.namespace)
        failures = _still_true(state.failures, plan, outcome)
        self._world.fail(key, failures)
        if failures != state.failures:
            plan = make_plan(replace(state, failures=failures))
        return await self._finish(key, owner, plan, outcome)

    async def _finish(self, key: Key, owner: Json, plan: Plan, outcome: Outcome) -> Done:
        again = plan.requeue_after
        wait = 0.0
        if plan.status is not None:
            # An action may have written the resource itself (a finalizer): the newest is what to compare with.
            wait = await self._writer.write(key, self._world.owner(key) or owner, plan.status)
        if wait:
            again = min(wait, again or wait)
        else:
            # Each event tells of a difference to the written status, so it is told once that is written.
            for event in plan.events:
                self._recorder.record(owner, event.type, event.reason, event.message)
        result = "failed" if outcome.failures else "changed" if outcome.changed else "unchanged"
        return Done(result, again, outcome.retry, outcome.retry_after)


def _still_true(before: tuple[Failure, ...], plan: Plan, outcome: Outcome) -> tuple[Failure, ...]:
    """Join the failures of this execution with earlier ones whose action the planner left out for that very reason."""
    tried: set[Ref] = {action.ref for action in plan.actions}
    kept = [failure for failure in before if failure.reason == "TemplateInvalid" and failure.ref not in tried]
    return (*kept, *outcome.failures)
