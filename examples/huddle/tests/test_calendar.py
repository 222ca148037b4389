from datetime import date

import pytest
from clock import slot

from huddle import Booking, Taken


def test_bookings_stand_in_order(alder):
    alder.book(slot("14:00", "15:00"), "retro")
    alder.book(slot("9:00", "9:15"), "stand-up")
    assert [booking.title for booking in alder.bookings] == ["stand-up", "retro"]


def test_a_room_is_not_booked_twice(alder):
    alder.book(slot("9:00", "10:00"), "stand-up")
    with pytest.raises(Taken, match="Alder is taken at 09:00 by stand-up"):
        alder.book(slot("9:30", "10:30"), "planning")
    assert len(alder.bookings) == 1


def test_bookings_may_follow_each_other_directly(alder):
    alder.book(slot("9:00", "10:00"), "stand-up")
    alder.book(slot("10:00", "11:00"), "planning")
    assert len(alder.bookings) == 2


def test_a_cancelled_booking_frees_its_time(alder):
    booking = alder.book(slot("9:00", "10:00"), "stand-up")
    assert not alder.is_free(slot("9:30", "10:30"))
    alder.cancel(booking)
    assert alder.is_free(slot("9:30", "10:30"))


def test_only_what_is_booked_can_be_cancelled(alder):
    with pytest.raises(KeyError, match="ghost"):
        alder.cancel(Booking(slot("9:00", "10:00"), "ghost"))


def test_bookings_are_listed_by_day(alder, monday):
    booking = alder.book(slot("9:00", "10:00"), "stand-up")
    assert alder.on(monday) == [booking]
    assert alder.on(date(2026, 3, 3)) == []
