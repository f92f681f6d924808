"""Find out whether beat works with the present generation of a resource."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from umbel_operator.plan.model import R, State
from umbel_operator.plan.sample import LoadError


class Load(Enum):
    """How far a resource has come on its way into beat."""

    LOADED = "loaded"
    PENDING = "pending"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Loading:
    """The answer, with beat's error where it refuses the resource."""

    state: Load
    error: LoadError | None = None


def loading(state: State[R], was_loaded: bool) -> Loading:
    """Tell how far the resource's present generation has come.

    was_loaded: whether this generation was found loaded before. It then stays so while the configuration goes on
        because of other resources: else one edit would turn thousands of resources pending for a moment.
    """
    resource, sample, rendered = state.resource, state.sample, state.rendered
    if rendered is None or rendered.generations.get(resource.uid) != resource.generation:
        return Loading(Load.PENDING)
    if sample is not None and not sample.stale and serial_of(sample.loaded_revision) >= rendered.serial:
        error = next((error for error in sample.load_errors if error.uid == resource.uid), None)
        return Loading(Load.LOADED) if error is None else Loading(Load.REFUSED, error)
    return Loading(Load.LOADED if was_loaded else Load.PENDING)


def serial_of(revision: str | None) -> int:
    """Return the serial that a revision stands for; what is no number comes before all."""
    return int(revision) if revision is not None and revision.isdigit() else -1
