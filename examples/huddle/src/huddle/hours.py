"""When rooms may be booked."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time

from huddle.slot import Slot

WORKDAYS = range(5)
"""Monday to Friday, as `date.weekday` counts."""


@dataclass(frozen=True)
class OpeningHours:
    """Opening and closing time by weekday; a weekday that is not named is closed."""

    by_weekday: Mapping[int, tuple[time, time]]

    @classmethod
    def on_workdays(cls, opens: time, closes: time) -> "OpeningHours":
        return cls({weekday: (opens, closes) for weekday in WORKDAYS})

    def on(self, day: date) -> Slot | None:
        """The open time of a day, `None` when it is closed."""
        hours = self.by_weekday.get(day.weekday())
        if hours is None:
            return None
        opens, closes = hours
        return Slot(datetime.combine(day, opens), datetime.combine(day, closes))
