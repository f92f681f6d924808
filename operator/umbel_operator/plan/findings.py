"""What live objects say: a Deployment's progress, and why its pods do not work."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from umbel_operator.api.names import ANNOTATION_TEMPLATE_HASH
from umbel_operator.build.canonical import short_hash
from umbel_operator.plan.model import Failure, FailureReason, Manifest, R, Ref, State

_IMAGE_REASONS = frozenset(
    {
        "ErrImagePull",
        "ImagePullBackOff",
        "InvalidImageName",
        "ErrImageNeverPull",
        "RegistryUnavailable",
        "ImageInspectError",
        "SignatureValidationFailed",
    }
)
#: Each attempt at a pull that fails says one, the wait for the next the other: told apart, condition and events would never rest.
_ONE_AND_THE_SAME = {"ErrImagePull": "ImagePullBackOff"}
#: Reasons for which a container waits that every start goes through.
_ORDINARY = frozenset({"ContainerCreating", "PodInitializing"})

#: Seconds for which a worker that keeps crashing has to run before it counts as available again.
STEADY_SECONDS = 60.0

_MONITORS = frozenset({"ServiceMonitor", "PodMonitor"})


@dataclass(frozen=True, slots=True)
class Rollout:
    """The numbers and conditions of a Deployment."""

    wanted: int = 0
    replicas: int = 0
    ready: int = 0
    updated: int = 0
    available: int = 0
    #: Whether the Deployment's own status is about its present spec.
    current: bool = False
    #: Hash of the pod template that it was built from.
    template_hash: str = ""
    #: Its conditions by type, as (status, reason, message).
    conditions: Mapping[str, tuple[str, str, str]] | None = None

    @property
    def complete(self) -> bool:
        """Tell whether all pods have the newest template and are available."""
        return self.current and self.replicas == self.updated == self.available == self.wanted

    @property
    def enough(self) -> bool:
        """Tell whether as many pods are available as the Deployment needs at least."""
        status, _, _ = (self.conditions or {}).get("Available", ("Unknown", "", ""))
        return self.current and status == "True"

    def failed_creation(self) -> str | None:
        """Return why pods cannot be created, or None."""
        status, _, message = (self.conditions or {}).get("ReplicaFailure", ("False", "", ""))
        return message if status == "True" else None

    def deadline_exceeded(self) -> str | None:
        """Return what the Deployment says about a rollout without progress, or None."""
        status, reason, message = (self.conditions or {}).get("Progressing", ("True", "", ""))
        return message if self.current and status == "False" and reason == "ProgressDeadlineExceeded" else None


def read_rollout(deployment: Manifest | None) -> Rollout:
    """Read a live Deployment; one that does not exist has nothing."""
    if deployment is None:
        return Rollout()
    metadata, spec, status = deployment["metadata"], deployment.get("spec") or {}, deployment.get("status") or {}
    return Rollout(
        wanted=int(spec.get("replicas", 1)),
        replicas=int(status.get("replicas") or 0),
        ready=int(status.get("readyReplicas") or 0),
        updated=int(status.get("updatedReplicas") or 0),
        available=int(status.get("availableReplicas") or 0),
        current=int(status.get("observedGeneration") or 0) >= int(metadata.get("generation") or 1),
        template_hash=str((metadata.get("annotations") or {}).get(ANNOTATION_TEMPLATE_HASH, "")),
        conditions={
            str(entry.get("type")): (
                str(entry.get("status")),
                str(entry.get("reason") or ""),
                str(entry.get("message") or ""),
            )
            for entry in status.get("conditions") or ()
        },
    )


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why a pod does not work."""

    #: Whether it is the image that cannot be pulled.
    image: bool
    message: str


def pod_trouble(pods: Iterable[Manifest], now: datetime) -> Trouble | None:
    """Return the first trouble that pods which are not on their way out have; an image that fails comes first."""
    living = [pod for pod in pods if not pod["metadata"].get("deletionTimestamp")]
    found = [trouble for pod in sorted(living, key=_name) for trouble in _troubles(pod, now)]
    return next((trouble for trouble in found if trouble.image), found[0] if found else None)


def unsteady(pods: Iterable[Manifest], now: datetime) -> list[float]:
    """Return, for each pod that is ready only until it crashes again, after how many seconds it would count as steady.

    A worker that falls a moment after its start is ready for that moment, each time. So once it has been restarted twice, a
    life that follows a short one counts from STEADY_SECONDS on; a worker that was killed once counts at once.
    """
    found = []
    for pod in pods:
        waits = [_seconds_to_steady(entry, now) for entry in _containers(pod) if entry.get("ready")]
        if waits and max(waits) > 0 and not pod["metadata"].get("deletionTimestamp"):
            found.append(max(waits))
    return found


def _seconds_to_steady(entry: Mapping[str, Any], now: datetime) -> float:
    ended = (entry.get("lastState") or {}).get("terminated") or {}
    began = _moment(((entry.get("state") or {}).get("running") or {}).get("startedAt"))
    start, end = _moment(ended.get("startedAt")), _moment(ended.get("finishedAt"))
    if int(entry.get("restartCount") or 0) < 2 or began is None or start is None or end is None:
        return 0.0
    if (end - start).total_seconds() >= STEADY_SECONDS:
        return 0.0
    # A node's clock that is ahead of ours must not make it wait for longer.
    return min(STEADY_SECONDS, STEADY_SECONDS - (now - began).total_seconds())


def _moment(text: Any) -> datetime | None:
    try:
        return datetime.fromisoformat(str(text))
    except ValueError:
        return None


def _containers(pod: Manifest) -> list[Mapping[str, Any]]:
    return list((pod.get("status") or {}).get("containerStatuses") or ())


def _troubles(pod: Manifest, now: datetime) -> Iterator[Trouble]:
    status = pod.get("status") or {}
    for entry in (*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())):
        waiting = (entry.get("state") or {}).get("waiting") or {}
        reason = str(waiting.get("reason") or "")
        where = f"pod {_name(pod)}, container {entry.get('name')}"
        if reason in _IMAGE_REASONS:
            why = _ONE_AND_THE_SAME.get(reason, reason)
            text = f"{where}: image {entry.get('image')} cannot be pulled ({why})"
            yield Trouble(True, f"{text}; correct the image, or give the pods imagePullSecrets by the template")
        elif (crash := _crash(entry, now)) is not None:
            yield Trouble(False, f"{where}: {crash}")
        elif reason and reason not in _ORDINARY:
            yield Trouble(False, f"{where}: {': '.join(filter(None, (reason, str(waiting.get('message') or ''))))}")
    for condition in status.get("conditions") or ():
        if condition.get("type") == "PodScheduled" and condition.get("reason") == "Unschedulable":
            yield Trouble(False, f"pod {_name(pod)} fits on no node: {condition.get('message', '')}")


def _crash(entry: Mapping[str, Any], now: datetime) -> str | None:
    """Say that a container crashes, in the same words while it waits, runs once more, and has ended again; None if it does not."""
    states = entry.get("state") or {}
    ended = states.get("terminated") or (entry.get("lastState") or {}).get("terminated")
    backs_off = (states.get("waiting") or {}).get("reason") == "CrashLoopBackOff"
    again = int(entry.get("restartCount") or 0) >= 2 and not states.get("waiting")
    well = entry.get("ready") and _seconds_to_steady(entry, now) <= 0
    if not ended or not (backs_off or (again and not well)):
        return None
    # The message of the waiting state counts the back-off up, and so would change for ever.
    why = f" ({ended['reason']})" if ended.get("reason") not in (None, "Error") else ""
    return f"exits with code {ended.get('exitCode')}{why} and is restarted; look at kubectl logs --previous"


def _name(pod: Manifest) -> str:
    return str(pod["metadata"].get("name", ""))


def failure_of(state: State[R], *reasons: FailureReason) -> Failure | None:
    """Return the first failure of the last execution with one of the reasons, or None.

    A refusal for good counts only while the generation is the one that was refused. Monitors never count: tasks run
    without them, and the log tells of it.
    """
    for failure in state.failures:
        if failure.ref.kind in _MONITORS:
            continue
        stale = failure.reason == "TemplateInvalid" and failure.generation != state.resource.generation
        if failure.reason in reasons and not stale:
            return failure
    return None


def refused_for_good(state: State[R], manifest: Manifest) -> bool:
    """Tell whether the API server has refused exactly this child for good: then it is not sent again."""
    return any(
        failure.reason == "TemplateInvalid"
        and failure.ref == Ref.of(manifest)
        and failure.generation == state.resource.generation
        and failure.manifest_hash in (None, short_hash(manifest))
        for failure in state.failures
    )
