import pytest
from clock import at, minutes, slot

from huddle.slot import Slot, joined


def test_a_slot_knows_its_duration():
    assert slot("9:00", "10:15").duration == minutes(75)
    assert Slot.lasting(at("9:00"), minutes(30)) == slot("9:00", "9:30")


@pytest.mark.parametrize("end", ["9:00", "8:00"])
def test_a_slot_must_end_after_it_starts(end):
    with pytest.raises(ValueError, match="end after it starts"):
        slot("9:00", end)


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        (("8:00", "9:00"), False),
        (("8:00", "9:01"), True),
        (("9:15", "9:30"), True),
        (("9:59", "11:00"), True),
        (("10:00", "11:00"), False),
    ],
)
def test_slots_that_only_touch_do_not_overlap(other, expected):
    assert slot("9:00", "10:00").overlaps(slot(*other)) is expected


def test_a_slot_contains_itself_and_what_lies_inside():
    hour = slot("9:00", "10:00")
    assert hour.contains(hour)
    assert hour.contains(slot("9:15", "9:45"))
    assert not hour.contains(slot("9:30", "10:01"))
    assert not hour.contains(slot("8:59", "9:30"))


def test_clipping_keeps_the_part_inside_the_window():
    window = slot("9:00", "17:00")
    assert slot("8:00", "9:30").clipped(window) == slot("9:00", "9:30")
    assert slot("16:30", "18:00").clipped(window) == slot("16:30", "17:00")
    assert slot("7:00", "8:00").clipped(window) is None


def test_touching_and_overlapping_slots_are_joined():
    slots = [slot("11:00", "12:00"), slot("9:00", "10:00"), slot("10:00", "10:30"), slot("9:15", "9:45")]
    assert joined(slots) == [slot("9:00", "10:30"), slot("11:00", "12:00")]


def test_what_is_taken_is_cut_out():
    taken = [slot("12:00", "13:00"), slot("8:00", "9:30"), slot("18:00", "19:00")]
    assert slot("9:00", "17:00").without(taken) == [slot("9:30", "12:00"), slot("13:00", "17:00")]
    assert slot("9:00", "10:00").without([slot("8:00", "11:00")]) == []
