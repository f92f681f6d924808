"""Assemble a pod template: what is built, then what the user adds, then what is not negotiable."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from umbel_operator.api.base import PodTemplate
from umbel_operator.build.merge import merge_pod_spec

#: Fields of a Deployment that users look for in the template of its pods.
_NOT_OF_PODS = {
    "replicas": "set spec.replicas of the WorkerPool",
    "selector": "the operator chooses the selector, and it cannot change",
}


class TemplateInvalid(ValueError):
    """The template of a resource cannot be merged; the text says which field and what to write."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Enforced:
    """What wins over any template."""

    container: str
    labels: Mapping[str, str]
    env: tuple[Mapping[str, Any], ...]
    grace_seconds: int
    annotations: Mapping[str, str] = field(default_factory=dict)


def assemble(base: Mapping[str, Any], template: PodTemplate | None, enforced: Enforced) -> dict[str, Any]:
    """Return the pod template.

    base: the built pod spec.
    template: the user's additions.
    enforced: labels, variables of the named container, and the shortest grace period.
    Raises `TemplateInvalid`.
    """
    patch = (template.spec or {}) if template is not None else {}
    _check(patch)
    try:
        spec = merge_pod_spec(base, patch)
    except ValueError as problem:
        raise TemplateInvalid(str(problem)) from problem
    _enforce(spec, enforced)
    metadata: dict[str, Any] = {"labels": {**_labels(template), **enforced.labels}}
    annotations = {**_annotations(template), **enforced.annotations}
    if annotations:
        metadata["annotations"] = annotations
    return {"metadata": metadata, "spec": spec}


def _check(patch: Mapping[str, Any]) -> None:
    for name, remedy in _NOT_OF_PODS.items():
        if name in patch:
            raise TemplateInvalid(f"template.spec.{name} is not a field of pods: {remedy}")
    if patch.get("containers", ()) is None:
        raise TemplateInvalid("template.spec.containers is null: leave it out, the pod's own container is always there")
    policy = patch.get("restartPolicy", "Always")
    if policy != "Always":
        raise TemplateInvalid(f"template.spec.restartPolicy is {policy!r}, but a Deployment allows only Always")
    grace = patch.get("terminationGracePeriodSeconds", 0)
    if not isinstance(grace, int):
        raise TemplateInvalid(f"template.spec.terminationGracePeriodSeconds must be whole seconds, not {grace!r}")


def _enforce(spec: dict[str, Any], enforced: Enforced) -> None:
    spec["restartPolicy"] = "Always"
    grace = spec.get("terminationGracePeriodSeconds", 0)
    spec["terminationGracePeriodSeconds"] = max(grace, enforced.grace_seconds)
    if not spec.get("serviceAccountName"):
        spec["automountServiceAccountToken"] = False
    own = next(container for container in spec["containers"] if container["name"] == enforced.container)
    if "image" not in own:
        raise TemplateInvalid(f"template.spec.containers[{enforced.container}].image is null: name one or leave it out")
    spec["containers"] = [
        {**container, "env": _env(container, enforced)} if container["name"] == enforced.container else container
        for container in spec["containers"]
    ]


def _env(container: Mapping[str, Any], enforced: Enforced) -> list[dict[str, Any]]:
    names = {variable["name"] for variable in enforced.env}
    own = [variable for variable in container.get("env", []) if variable["name"] not in names]
    # Ours come first: a user's variable may refer to them by $(NAME).
    return [*(dict(variable) for variable in enforced.env), *own]


def _labels(template: PodTemplate | None) -> Mapping[str, str]:
    return (template.metadata.labels or {}) if template is not None and template.metadata is not None else {}


def _annotations(template: PodTemplate | None) -> Mapping[str, str]:
    return (template.metadata.annotations or {}) if template is not None and template.metadata is not None else {}
