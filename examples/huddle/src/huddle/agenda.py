"""A day as text, and how much of it is booked."""

from datetime import date, timedelta

from huddle.calendar import Calendar
from huddle.hours import OpeningHours


def agenda(calendar: Calendar, day: date) -> str:
    """The day's bookings, one a line, under the room's name."""
    lines = [f"{calendar.room}, {day:%Y-%m-%d}"]
    lines += [f"  {b.slot.start:%H:%M}-{b.slot.end:%H:%M}  {b.title}" for b in calendar.on(day)]
    if len(lines) == 1:
        lines.append("  nothing booked")
    return "\n".join(lines)


def utilisation(calendar: Calendar, hours: OpeningHours, day: date) -> float:
    """Share of the open time that is booked, 0 to 1; 0 on a day that is closed."""
    window = hours.on(day)
    if window is None:
        return 0.0
    parts = [booking.slot.clipped(window) for booking in calendar.bookings]
    booked = sum((part.duration for part in parts if part is not None), timedelta(0))
    return booked / window.duration
