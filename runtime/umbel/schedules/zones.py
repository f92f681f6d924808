"""Time zones by their IANA name."""

from __future__ import annotations

import difflib
from functools import lru_cache
from zoneinfo import ZoneInfo, available_timezones

from umbel.schedules.errors import UnknownTimeZone


def zone_of(zone: str | ZoneInfo) -> ZoneInfo:
    """Return the time zone of this name.

    Args:
        zone: an IANA name such as ``Europe/Berlin``, or a zone, which is returned as it is.

    Raises:
        UnknownTimeZone: the data base has no zone of this name.
    """
    return zone if isinstance(zone, ZoneInfo) else _load(zone)


@lru_cache(maxsize=512)
def _load(name: str) -> ZoneInfo:
    if not name:
        raise UnknownTimeZone(f"the time zone must be an IANA name such as Europe/Berlin, not {name!r}")
    if name in ("Local", "localtime"):
        raise UnknownTimeZone(
            f"{name!r} would mean another time on every machine: write an IANA name such as Europe/Berlin, or Etc/UTC"
        )
    try:
        return ZoneInfo(name)
    except (LookupError, ValueError, OSError):
        near = difflib.get_close_matches(name, available_timezones(), n=3, cutoff=0.7)
        hint = f"; did you mean {' or '.join(near)}?" if near else ""
        raise UnknownTimeZone(
            f"there is no time zone {name!r} in the IANA data base: write a name such as Europe/Berlin or Etc/UTC{hint}"
        ) from None
