"""Free time, the first slot that fits, and the first room that is free."""

from collections.abc import Iterable
from datetime import date, datetime, timedelta

from huddle.calendar import Calendar
from huddle.hours import OpeningHours
from huddle.slot import Slot


def free_slots(calendar: Calendar, hours: OpeningHours, day: date, after: datetime | None = None) -> list[Slot]:
    """The room's free time on a day, in order; with `after`, only what lies later."""
    window = hours.on(day)
    if window is None:
        return []
    free = window.without(booking.slot for booking in calendar.bookings)
    if after is None:
        return free
    return [_later(slot, after) for slot in free if slot.end > after]


def _later(slot: Slot, after: datetime) -> Slot:
    return Slot(max(slot.start, after), slot.end)


def first_fit(
    calendar: Calendar,
    hours: OpeningHours,
    day: date,
    duration: timedelta,
    after: datetime | None = None,
) -> Slot | None:
    """The earliest slot of this length that is free, `None` when the day has none."""
    if duration <= timedelta(0):
        raise ValueError("a meeting must last some time")
    for free in free_slots(calendar, hours, day, after):
        if free.duration > duration:
            return Slot.lasting(free.start, duration)
    return None


def first_room(
    calendars: Iterable[Calendar],
    hours: OpeningHours,
    day: date,
    duration: timedelta,
    people: int = 1,
) -> tuple[Calendar, Slot] | None:
    """The room that is free first; of rooms free at the same time, the smallest that seats everybody."""
    offers = [
        (slot.start, calendar.seats, calendar.room, calendar, slot)
        for calendar in calendars
        if calendar.seats >= people
        and (slot := first_fit(calendar, hours, day, duration)) is not None
    ]
    if not offers:
        return None
    *_, calendar, slot = min(offers, key=lambda offer: offer[:3])
    return calendar, slot
