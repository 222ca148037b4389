"""Finds a room and a time for a meeting."""

from huddle.agenda import agenda, utilisation
from huddle.calendar import Booking, Calendar, Taken
from huddle.finder import first_fit, first_room, free_slots
from huddle.hours import OpeningHours
from huddle.slot import Slot

__all__ = [
    "Booking",
    "Calendar",
    "OpeningHours",
    "Slot",
    "Taken",
    "agenda",
    "first_fit",
    "first_room",
    "free_slots",
    "utilisation",
]
