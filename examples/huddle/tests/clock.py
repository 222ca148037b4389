"""Times of the Monday that the tests are about."""

from datetime import datetime, timedelta

from huddle import Slot


def at(text):
    """`at("9:30")` is half past nine on the Monday."""
    hour, minute = text.split(":")
    return datetime(2026, 3, 2, int(hour), int(minute))


def slot(start, end):
    return Slot(at(start), at(end))


def minutes(count):
    return timedelta(minutes=count)
