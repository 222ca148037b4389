from datetime import date, time

from clock import slot

from huddle import OpeningHours


def test_a_workday_is_open_from_opening_to_closing(hours, monday):
    assert hours.on(monday) == slot("9:00", "17:00")
    assert hours.on(date(2026, 3, 6)) is not None


def test_the_weekend_is_closed(hours):
    assert hours.on(date(2026, 3, 7)) is None
    assert hours.on(date(2026, 3, 8)) is None


def test_hours_may_differ_by_weekday(monday):
    short = OpeningHours({0: (time(9), time(12)), 1: (time(9), time(17))})
    assert short.on(monday) == slot("9:00", "12:00")
    assert short.on(date(2026, 3, 4)) is None
