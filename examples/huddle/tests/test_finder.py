from datetime import date

import pytest
from clock import at, minutes, slot

from huddle import Calendar, first_fit, first_room, free_slots


def booked(calendar, *slots):
    for number, taken in enumerate(slots, start=1):
        calendar.book(taken, f"meeting {number}")
    return calendar


def test_an_empty_room_is_free_all_day(alder, hours, monday):
    assert free_slots(alder, hours, monday) == [slot("9:00", "17:00")]


def test_free_time_lies_between_bookings(alder, hours, monday):
    booked(alder, slot("9:00", "10:00"), slot("10:30", "12:00"), slot("16:00", "17:00"))
    assert free_slots(alder, hours, monday) == [slot("10:00", "10:30"), slot("12:00", "16:00")]


def test_nothing_is_free_on_a_closed_day(alder, hours):
    assert free_slots(alder, hours, date(2026, 3, 8)) == []
    assert first_fit(alder, hours, date(2026, 3, 8), minutes(30)) is None


def test_free_time_that_is_over_is_not_offered(alder, hours, monday):
    booked(alder, slot("10:00", "11:00"))
    assert free_slots(alder, hours, monday, after=at("10:00")) == [slot("11:00", "17:00")]
    assert free_slots(alder, hours, monday, after=at("9:30")) == [slot("9:30", "10:00"), slot("11:00", "17:00")]


def test_the_first_fit_starts_when_the_room_opens(alder, hours, monday):
    assert first_fit(alder, hours, monday, minutes(30)) == slot("9:00", "9:30")


def test_a_gap_that_is_too_short_is_passed_over(alder, hours, monday):
    booked(alder, slot("9:00", "10:00"), slot("10:15", "12:00"))
    assert first_fit(alder, hours, monday, minutes(30)) == slot("12:00", "12:30")


def test_a_gap_of_exactly_the_asked_length_fits(alder, hours, monday):
    booked(alder, slot("9:00", "10:00"), slot("10:30", "12:00"))
    assert first_fit(alder, hours, monday, minutes(30)) == slot("10:00", "10:30")


def test_a_meeting_does_not_start_before_the_given_time(alder, hours, monday):
    assert first_fit(alder, hours, monday, minutes(45), after=at("13:20")) == slot("13:20", "14:05")


def test_a_day_without_a_gap_has_no_fit(alder, hours, monday):
    booked(alder, slot("9:00", "12:00"), slot("12:20", "17:00"))
    assert first_fit(alder, hours, monday, minutes(30)) is None


@pytest.mark.parametrize("count", [0, -15])
def test_a_meeting_must_last_some_time(alder, hours, monday, count):
    with pytest.raises(ValueError, match="last some time"):
        first_fit(alder, hours, monday, minutes(count))


def test_the_room_that_is_free_first_is_offered(hours, monday):
    alder = booked(Calendar("Alder"), slot("9:00", "11:00"))
    birch = booked(Calendar("Birch"), slot("9:00", "10:00"))
    assert first_room([alder, birch], hours, monday, minutes(30)) == (birch, slot("10:00", "10:30"))


def test_of_rooms_free_at_once_the_smallest_that_seats_everybody_is_offered(hours, monday):
    rooms = [Calendar("Hall", seats=40), Calendar("Booth", seats=2), Calendar("Cedar", seats=8)]
    found = first_room(rooms, hours, monday, minutes(30), people=6)
    assert found is not None
    assert found[0].room == "Cedar"


def test_no_room_is_offered_when_none_is_large_enough(alder, hours, monday):
    assert first_room([alder], hours, monday, minutes(30), people=5) is None
