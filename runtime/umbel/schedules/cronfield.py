"""One field of a five-field cron expression: text in, numbers out."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass

from umbel.schedules.errors import InvalidSchedule

WEEK_DAY_NAMES = {name: n for n, name in enumerate(("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"))}
MONTH_NAMES = {
    name: n
    for n, name in enumerate(
        ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"), start=1
    )
}

_ITEM = re.compile(
    r"(?P<base>\*|\?|H(\((?P<hash>[^()]*)\))?|(?P<low>[0-9A-Z]+)(-(?P<high>[0-9A-Z]+))?)(/(?P<step>[0-9]+))?"
)


@dataclass(frozen=True)
class Field:
    """The shape of one field.

    Args:
        title: what it is called in messages.
        low, high: its bounds, both included.
        names: words that stand for numbers.
        hash_high: the highest value that ``H`` takes, where that is not ``high``.
        wide_high: the highest number that may be written, where that is not ``high`` (7 = Sunday).
    """

    title: str
    low: int
    high: int
    names: Mapping[str, int]
    hash_high: int | None = None
    wide_high: int | None = None

    def error(self, text: str, why: str) -> InvalidSchedule:
        """Return the error for this field."""
        return InvalidSchedule(f"cannot use {text!r} as the {self.title} of a cron expression: {why}")

    def number(self, text: str, whole: str) -> int:
        """Return the number that ``text`` means; ``whole`` is shown in the error."""
        if text in self.names:
            return self.names[text]
        top = self.wide_high if self.wide_high is not None else self.high
        if not text.isdecimal():
            hint = f" or a name such as {next(iter(self.names))}" if self.names else ""
            raise self.error(whole, f"{text!r} is not a number from {self.low} to {top}{hint}")
        if not self.low <= int(text) <= top:
            raise self.error(whole, f"{text} is not in {self.low} to {top}")
        return int(text)

    def is_open(self, text: str) -> bool:
        """Tell whether the field restricts nothing (``*``, ``?``, ``*/1``)."""
        return any(item in ("*", "?", "*/1") for item in text.split(","))

    def values(self, text: str, seed: str) -> frozenset[int]:
        """Return the numbers that the field means.

        Args:
            text: the field, in upper case.
            seed: what ``H`` is hashed from.

        Raises:
            InvalidSchedule: it cannot be read.
        """
        found: set[int] = set()
        for item in text.split(","):
            found.update(self._item(item, text, seed))
        return frozenset(self.low if self.wide_high is not None and n == self.wide_high else n for n in found)

    def _item(self, item: str, whole: str, seed: str) -> range:
        match = _ITEM.fullmatch(item)
        if match is None:
            raise self.error(whole, f"{item or 'an empty item'} is none of *, n, a-b, */step, a-b/step, H, H(a-b)/step")
        step = int(match["step"]) if match["step"] is not None else None
        if step is not None and not 1 <= step <= self.high - self.low + 1:
            raise self.error(whole, f"the step {step} is not in 1 to {self.high - self.low + 1}")
        base = match["base"]
        if base == "?" and (self.hash_high is None or step is not None):
            raise self.error(whole, "? stands for * in the two day fields only, and takes no step")
        if base in ("*", "?"):
            return range(self.low, self.high + 1, step or 1)
        if base.startswith("H") and base not in self.names and match["low"] is None:
            return self._hashed(match["hash"], step, whole, seed)
        low = self.number(match["low"], whole)
        if match["high"] is None:
            return range(low, self.high + 1, step) if step is not None else range(low, low + 1)
        return self._range(low, match["high"], step or 1, whole)

    def _range(self, low: int, high_text: str, step: int, whole: str) -> range:
        high = self.number(high_text, whole)
        if high == self.low and low > high and self.wide_high is not None:
            high = self.wide_high  # FRI-SUN
        if low > high:
            raise self.error(
                whole, f"the range {low}-{high} runs backwards: write {low}-{self.high},{self.low}-{high} to go round"
            )
        return range(low, high + 1, step)

    def _hashed(self, limits: str | None, step: int | None, whole: str, seed: str) -> range:
        low, high = self.low, self.hash_high if self.hash_high is not None else self.high
        if limits is not None:
            ends = limits.split("-")
            if len(ends) != 2:
                raise self.error(whole, f"H({limits}) is not H(a-b)")
            low, high = self.number(ends[0], whole), self.number(ends[1], whole)
            if low > high:
                raise self.error(whole, f"the range in H({limits}) runs backwards")
        digest = int.from_bytes(hashlib.sha256(f"{seed}/{self.title}".encode()).digest()[:8], "big")
        if step is None:
            value = low + digest % (high - low + 1)
            return range(value, value + 1)
        if step > high - low + 1:
            raise self.error(whole, f"the step {step} is longer than the range {low}-{high}")
        return range(low + digest % step, high + 1, step)


MINUTE = Field("minute", 0, 59, {})
HOUR = Field("hour", 0, 23, {})
MONTH_DAY = Field("day of month", 1, 31, {}, hash_high=28)
MONTH = Field("month", 1, 12, MONTH_NAMES)
WEEK_DAY = Field("day of week", 0, 6, WEEK_DAY_NAMES, hash_high=6, wide_high=7)
