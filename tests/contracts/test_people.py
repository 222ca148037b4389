"""The operator's file: people, roles, separation, and what is wrong with a file that is refused."""

import pytest

from libs.contracts.people import EVERYONE, OperatorFileRefused, People, Person, Role, read_people

FILE = """
people:
  ann: { role: approver, users: [ann, aw] }
  bob: { role: viewer }
"""


def test_people_are_known_by_their_users_or_by_their_own_name() -> None:
    people = read_people(FILE)
    assert people == People(
        people={"ann": Person(role=Role.APPROVER, users=("ann", "aw")), "bob": Person(role=Role.VIEWER)}
    )
    assert [people.named(user) for user in ("ann", "aw", "bob", "eve")] == ["ann", "ann", "bob", None]


def test_an_empty_file_names_nobody() -> None:
    assert read_people("") == read_people("# nothing yet\n") == EVERYONE


@pytest.mark.parametrize(
    ("text", "is_strict"),
    [
        ("people: {ann: {role: approver}}", False),
        ("people: {ann: {role: approver}, bob: {role: viewer}}", True),
        ("people: {ann: {role: approver}, bob: {role: viewer}}\nseparation: relaxed", False),
        ("people: {ann: {role: approver}}\nseparation: strict", True),
    ],
)
def test_separation_is_strict_once_there_is_more_than_one_unless_the_file_says_otherwise(
    text: str, is_strict: bool
) -> None:
    assert read_people(text).is_strict is is_strict


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("people: {ann: {role: king}}", "people.ann.role: "),
        ("peopel: {}", "peopel: unknown field, did you mean people?"),
        ("people: [ann]", "people: "),
        ("people: {", "it is no YAML: "),
        ("just text", "message: "),
        ("x" * 300_000, "it is larger than 256 KiB"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_with_one_sentence(text: str, sentence: str) -> None:
    with pytest.raises(OperatorFileRefused) as refused:
        read_people(text)
    assert str(refused.value).startswith(sentence)
    assert "\n" not in str(refused.value)
