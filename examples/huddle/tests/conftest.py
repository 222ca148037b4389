"""A Monday, opening hours, and an empty room."""

from datetime import date, time

import pytest

from huddle import Calendar, OpeningHours


@pytest.fixture
def monday():
    return date(2026, 3, 2)


@pytest.fixture
def hours():
    return OpeningHours.on_workdays(time(9), time(17))


@pytest.fixture
def alder():
    return Calendar("Alder")
