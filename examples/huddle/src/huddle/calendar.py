"""One room's bookings."""

from dataclasses import dataclass, field
from datetime import date

from huddle.slot import Slot


class Taken(Exception):
    """The room is booked for some of that time; the message says by what."""


@dataclass(frozen=True, order=True)
class Booking:
    slot: Slot
    title: str


@dataclass
class Calendar:
    room: str
    seats: int = 4
    _bookings: list[Booking] = field(default_factory=list)

    @property
    def bookings(self) -> tuple[Booking, ...]:
        return tuple(self._bookings)

    def book(self, slot: Slot, title: str) -> Booking:
        """Add a booking; raises `Taken` if the room is not free for all of it."""
        for booking in self._bookings:
            if booking.slot.overlaps(slot):
                raise Taken(f"{self.room} is taken at {booking.slot.start:%H:%M} by {booking.title}")
        booking = Booking(slot, title)
        self._bookings.append(booking)
        self._bookings.sort()
        return booking

    def cancel(self, booking: Booking) -> None:
        if booking not in self._bookings:
            raise KeyError(booking.title)
        self._bookings.remove(booking)

    def is_free(self, slot: Slot) -> bool:
        return not any(booking.slot.overlaps(slot) for booking in self._bookings)

    def on(self, day: date) -> list[Booking]:
        """Bookings that begin on a day, in order."""
        return [booking for booking in self._bookings if booking.slot.start.date() == day]
