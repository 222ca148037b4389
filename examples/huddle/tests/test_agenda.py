from datetime import date

import pytest
from clock import slot

from huddle import agenda, utilisation


def test_an_agenda_lists_the_day_in_order(alder, monday):
    alder.book(slot("14:00", "15:00"), "retro")
    alder.book(slot("9:00", "9:15"), "stand-up")
    assert agenda(alder, monday) == "Alder, 2026-03-02\n  09:00-09:15  stand-up\n  14:00-15:00  retro"


def test_an_empty_day_says_so(alder, monday):
    assert agenda(alder, monday) == "Alder, 2026-03-02\n  nothing booked"


def test_utilisation_is_the_booked_share_of_the_open_time(alder, hours, monday):
    alder.book(slot("9:00", "11:00"), "planning")
    alder.book(slot("15:00", "17:00"), "review")
    assert utilisation(alder, hours, monday) == pytest.approx(0.5)


def test_time_outside_the_opening_hours_does_not_count(alder, hours, monday):
    alder.book(slot("16:00", "19:00"), "late")
    assert utilisation(alder, hours, monday) == pytest.approx(0.125)
    assert utilisation(alder, hours, date(2026, 3, 8)) == 0.0
