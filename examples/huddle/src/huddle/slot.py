"""A stretch of time: the start belongs to it, the end does not."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, order=True)
class Slot:
    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        if self.end <= self.start:
            raise ValueError(f"a slot must end after it starts, not at {self.end:%H:%M} after {self.start:%H:%M}")

    @classmethod
    def lasting(cls, start: datetime, duration: timedelta) -> "Slot":
        return cls(start, start + duration)

    @property
    def duration(self) -> timedelta:
        return self.end - self.start

    def overlaps(self, other: "Slot") -> bool:
        return self.start < other.end and other.start < self.end

    def contains(self, other: "Slot") -> bool:
        return self.start <= other.start and other.end <= self.end

    def clipped(self, window: "Slot") -> "Slot | None":
        """The part that lies inside the window."""
        if not self.overlaps(window):
            return None
        return Slot(max(self.start, window.start), min(self.end, window.end))

    def without(self, taken: Iterable["Slot"]) -> list["Slot"]:
        """What is left of this slot, in order, once the taken ones are cut out."""
        left: list[Slot] = []
        start = self.start
        for slot in joined(taken):
            part = slot.clipped(self)
            if part is None:
                continue
            if start < part.start:
                left.append(Slot(start, part.start))
            start = part.end
        if start < self.end:
            left.append(Slot(start, self.end))
        return left


def joined(slots: Iterable[Slot]) -> list[Slot]:
    """The same time in as few slots as possible, in order; slots that touch become one."""
    result: list[Slot] = []
    for slot in sorted(slots):
        if result and slot.start <= result[-1].end:
            result[-1] = Slot(result[-1].start, max(result[-1].end, slot.end))
        else:
            result.append(slot)
    return result
