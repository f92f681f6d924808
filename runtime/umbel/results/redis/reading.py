"""What stands under a result's key, as a record."""

from __future__ import annotations

from typing import Any

from umbel import record as records
from umbel import states
from umbel.errors import BackendError, DecodeError
from umbel.record import Record


def read(raw: Any) -> Record | None:
    """Return the record, also that behind a watch; None where nothing or only a watch stands.

    Raises:
        BackendError: it cannot be read.
    """
    if raw is None:
        return None
    try:
        record = records.decode(raw)
    except DecodeError as error:
        raise BackendError(str(error)) from error
    if record.state != states.PENDING:
        return record
    _, kept, behind = record.value.partition(b"\0")  # a watch, as parts/watchers.lua has them
    return read(behind) if kept else None
