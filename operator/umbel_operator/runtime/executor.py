"""Carry out the actions of a plan, and put what failed into words that a planner understands."""

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from umbel_operator.build.canonical import short_hash
from umbel_operator.kube.client import Api, was_only_created
from umbel_operator.kube.errors import (
    AlreadyExistsError,
    ApiError,
    ConflictError,
    ForbiddenError,
    GoneError,
    Json,
    NamespaceTerminatingError,
    PermanentError,
    QuotaExceededError,
)
from umbel_operator.kube.events import Recorder
from umbel_operator.kube.resources import MADE_BY_US, resource_of
from umbel_operator.plan.model import Action, Apply, Delete, Failure, FailureReason, Manifest, Patch, Ref
from umbel_operator.runtime.cache import Cache
from umbel_operator.runtime.ledger import Ledger, differs, stamped

logger = logging.getLogger(__name__)


class ResourceConflictError(ApiError):
    """An object of a child's name exists and belongs to somebody else."""


class AwaitingCollectionError(ApiError):
    """The child of a deleted predecessor is still there; the garbage collector is about to remove it."""


@dataclass(slots=True)
class Outcome:
    """What came of a plan's actions."""

    failures: list[Failure] = field(default_factory=list)
    #: Something was written.
    changed: bool = False
    #: A later try may help, though nothing that we watch will tell when.
    retry: bool = False
    #: Seconds that the API server asked to wait.
    retry_after: float | None = None
    #: The namespace is going away.
    terminating: bool = False


class Executor:
    """Perform actions through the API.

    take: called with each object that the API server answered with, so that the cache need not wait for its echo.
    """

    def __init__(
        self, api: Api, cache: Cache, ledger: Ledger, recorder: Recorder, take: Callable[[Json], None]
    ) -> None:
        self._api = api
        self._cache = cache
        self._ledger = ledger
        self._recorder = recorder
        self._take = take

    async def execute(self, owner: Json, actions: Iterable[Action]) -> Outcome:
        """Perform all actions in order; one that fails does not stop those after it.

        owner: the resource that they were planned for, as the API gave it.
        """
        outcome = Outcome()
        for action in actions:
            try:
                outcome.changed |= await self._perform(owner, action)
            except NamespaceTerminatingError:
                outcome.terminating = True
            except ApiError as error:
                self._note_failure(outcome, owner, action, error)
        return outcome

    async def _perform(self, owner: Json, action: Action) -> bool:
        match action:
            case Apply():
                return await self._apply(owner, action)
            case Delete():
                return await self._delete(action)
            case Patch():
                return await self._patch(owner, action)

    async def _apply(self, owner: Json, action: Apply) -> bool:
        wanted = stamped(action.manifest)
        ref = action.ref
        live = self._cache.get(resource_of(wanted), ref.namespace, ref.name)
        if live is not None and _is_controlled_by(live, owner):
            if self._ledger.is_current(wanted, live):
                return False
        else:
            live = None
        answer = await (self._create(owner, wanted) if live is None else self._update(wanted, live))
        changed = live is None or differs(live, answer)
        self._ledger.note(wanted, answer)
        self._take(answer)
        if changed and action.event is not None:
            event = action.event
            self._recorder.record(owner, event.type, event.reason, event.message, action="Apply")
        if changed:
            logger.info("applied", extra={"object": f"{ref.kind} {ref.namespace}/{ref.name}", "new": live is None})
        return changed

    async def _create(self, owner: Json, wanted: Json) -> Json:
        try:
            return await self._api.create(wanted)
        except AlreadyExistsError:
            ref = Ref.of(wanted)
            live = await self._api.get(resource_of(wanted), ref.namespace, ref.name)
            if live is None:
                raise
            _check_ownership(live, owner)
            return await self._update(wanted, live)

    async def _update(self, wanted: Json, live: Json) -> Json:
        if was_only_created(live):
            await self._own_created_fields(wanted)
        # An apply would create what is gone and take over what another made in its place: the uid keeps it from both.
        try:
            return await self._api.apply({**wanted, "metadata": {**wanted["metadata"], "uid": live["metadata"]["uid"]}})
        except PermanentError as error:
            if "metadata.uid" not in error.message:
                raise
            place = f"{wanted['kind']} {wanted['metadata']['namespace']}/{wanted['metadata']['name']}"
            raise ConflictError(f"{place} is not the one that was known any more: it is looked at again") from error

    async def _own_created_fields(self, wanted: Json) -> None:
        resource, ref = resource_of(wanted), Ref.of(wanted)
        for last in (False, False, True):
            # The cached object may be older than a controller's write to its status; only the newest can be patched.
            newest = await self._api.get(resource, ref.namespace, ref.name)
            if newest is None:
                return
            try:
                await self._api.own_created_fields(resource, newest)
                return
            except ConflictError:
                if last:
                    raise

    async def _delete(self, action: Delete) -> bool:
        ref = action.ref
        resource = resource_of({"apiVersion": ref.api_version, "kind": ref.kind})
        try:
            was_there = await self._api.delete(resource, ref.namespace, ref.name, uid=action.uid)
        except ConflictError:
            # Another object has taken the name: it is not the one that was to go.
            return False
        self._ledger.forget(ref)
        return was_there

    async def _patch(self, owner: Json, action: Patch) -> bool:
        ref = action.ref
        resource = resource_of({"apiVersion": ref.api_version, "kind": ref.kind})
        try:
            answer = await self._api.merge_patch(
                resource, ref.namespace, ref.name, dict(action.body), subresource=action.subresource
            )
        except GoneError:
            return False
        if action.subresource is None:
            self._take(answer)
        if action.event is not None:
            event = action.event
            self._recorder.record(owner, event.type, event.reason, event.message, action="Patch")
        return True

    def _note_failure(self, outcome: Outcome, owner: Json, action: Action, error: ApiError) -> None:
        reason, ref = reason_of(error), action.ref
        generation = int(owner["metadata"].get("generation") or 0)
        sent = short_hash(action.manifest) if isinstance(action, Apply) else None
        if (
            ref.kind != "Pod"
        ):  # what is patched there is a hint to the kubelet or to the scaling-in: all works without, later
            outcome.failures.append(Failure(ref, reason, error.message, generation, sent))
        if reason != "TemplateInvalid":
            outcome.retry = True
            outcome.retry_after = max(outcome.retry_after or 0.0, error.retry_after or 0.0) or None
        logger.warning(
            "action_failed",
            extra={"object": f"{ref.kind} {ref.namespace}/{ref.name}", "reason": reason, "error": error.message},
        )


def reason_of(error: ApiError) -> FailureReason:
    """Say what kind of failure an error of the API is."""
    match error:
        case ResourceConflictError():
            return "ResourceConflict"
        case PermanentError():
            return "TemplateInvalid"
        case QuotaExceededError():
            return "QuotaExceeded"
        case ForbiddenError():
            return "Forbidden"
        case _:
            return "Unavailable"


def _controller(live: Manifest) -> Manifest | None:
    return next((ref for ref in live["metadata"].get("ownerReferences") or () if ref.get("controller")), None)


def _is_controlled_by(live: Manifest, owner: Json) -> bool:
    controller = _controller(live)
    return controller is not None and controller.get("uid") == owner["metadata"]["uid"]


def _check_ownership(live: Json, owner: Json) -> None:
    """Let an object pass that is ours, or that was ours and was left behind on purpose (`--cascade=orphan`)."""
    if _is_controlled_by(live, owner):
        return
    controller = _controller(live)
    name, value = MADE_BY_US.split("=")
    labelled = (live["metadata"].get("labels") or {}).get(name) == value
    if controller is None and labelled:
        return
    place = f"{live['kind']} {live['metadata'].get('namespace')}/{live['metadata']['name']}"
    if controller is not None and (controller.get("kind"), controller.get("name")) == (
        owner["kind"],
        owner["metadata"]["name"],
    ):
        raise AwaitingCollectionError(f"{place} of a deleted predecessor is still there and about to be removed")
    whose = (
        f"belongs to {controller.get('kind')} {controller.get('name')}" if controller else "was made by someone else"
    )
    raise ResourceConflictError(
        f"{place} exists and {whose}. Delete or rename it, or give this {owner['kind']} another name."
    )
