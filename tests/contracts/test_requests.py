"""Requests from outside: what is taken, what is cleaned, and each refusal as one sentence."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from libs.contracts.requests import (
    BODY_LIMIT,
    TITLE_LIMIT,
    DecisionRequest,
    IssueRequest,
    explain,
    fact_id,
    issue_id,
    one_line,
    plain,
    run_id,
)
from libs.contracts.wire import Unreadable, decode_decision_request, decode_issue_request, encode_request
from libs.contracts.words import DecisionKind, Level

ISSUE = {"repository": "/srv/shop", "key": "7", "title": "The total is wrong"}
DECISION = {"decision": "d-1", "run": "r-1", "kind": "approve", "by": "ann", "os_user": "ann"}


def refusal(model: type[IssueRequest | DecisionRequest], fields: dict[str, Any]) -> str:
    with pytest.raises(ValidationError) as said:
        model.model_validate(fields)
    return explain(said.value, model)


def test_an_issue_needs_little_and_has_defaults_for_the_rest() -> None:
    request = IssueRequest.model_validate(ISSUE)
    assert (request.action, request.revision, request.type, request.body, request.level) == (
        "opened",
        1,
        "bug",
        "",
        None,
    )


@pytest.mark.parametrize(
    ("title", "line"),
    [
        ("a\nb\tc", "a b c"),
        ("red \x1b[31malarm\x07", "red [31malarm"),
        ("\u202egnp.exe\u2069", "gnp.exe"),
        ("a\u2028b\x85c", "a b c"),
        ("Größe ≥ 100 % 🎉", "Größe ≥ 100 % 🎉"),
    ],
)
def test_control_and_direction_characters_are_taken_out_of_a_title(title: str, line: str) -> None:
    assert IssueRequest.model_validate({**ISSUE, "title": title}).title == line


def test_a_title_of_nothing_printable_is_refused() -> None:
    assert "holds no printable character" in refusal(IssueRequest, {**ISSUE, "title": " \x00\n"})


def test_a_long_title_is_cut_and_an_endless_one_refused() -> None:
    assert len(IssueRequest.model_validate({**ISSUE, "title": "x" * 1000}).title) == TITLE_LIMIT
    assert refusal(IssueRequest, {**ISSUE, "title": "x" * 10_001}).startswith("title: string should have at most")


def test_a_body_keeps_its_lines_and_loses_what_is_not_text() -> None:
    request = IssueRequest.model_validate({**ISSUE, "body": "one\r\n\ttwo\x00\x1b[0m\u202e\nthree"})
    assert request.body == "one\n\ttwo[0m\nthree"


def test_a_body_may_be_as_long_as_the_limit_and_no_longer() -> None:
    assert len(IssueRequest.model_validate({**ISSUE, "body": "x" * BODY_LIMIT}).body) == BODY_LIMIT
    said = refusal(IssueRequest, {**ISSUE, "body": "x" * (BODY_LIMIT + 1)})
    assert said == f"body: string should have at most {BODY_LIMIT} characters"


@pytest.mark.parametrize(
    ("field", "sentence"),
    [
        ("titel", "titel: unknown field, did you mean title?"),
        ("repositori", "repositori: unknown field, did you mean repository?"),
        ("zzz", "zzz: unknown field"),
    ],
)
def test_an_unknown_field_is_refused_with_the_nearest_name(field: str, sentence: str) -> None:
    assert refusal(IssueRequest, {**ISSUE, field: "x"}) == sentence


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"revision": 0}, "revision"),
        ({"revision": "many"}, "revision"),
        ({"repository": ""}, "repository"),
        ({"key": ""}, "key"),
        ({"type": "Bug!"}, "type"),
        ({"level": "godlike"}, "level"),
        ({"action": "burn"}, "action"),
        ({"labels": ["x"] * 51}, "labels"),
        ({"title": None}, "title"),
    ],
)
def test_a_wrong_value_is_refused_and_its_field_named(change: dict[str, Any], field: str) -> None:
    said = refusal(IssueRequest, {**ISSUE, **change})
    assert said.startswith(f"{field}: ")
    assert "\n" not in said


def test_all_that_is_wrong_is_said_at_once() -> None:
    said = refusal(IssueRequest, {"titel": "x"})
    assert [part.partition(":")[0] for part in said.split("; ")] == ["repository", "key", "title", "titel"]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"kind": "bless"}, "kind"),
        ({"run": "a.b"}, "run"),
        ({"decision": ""}, "decision"),
        ({"by": ""}, "by"),
        ({"atempt": 2}, "atempt"),
    ],
)
def test_a_decision_that_cannot_be_read_is_refused_and_its_field_named(change: dict[str, Any], field: str) -> None:
    assert refusal(DecisionRequest, {**DECISION, **change}).startswith(f"{field}: ")


def test_five_equal_requests_are_one_issue_and_one_run() -> None:
    issues = set()
    for _ in range(5):
        headers, data = encode_request(IssueRequest.model_validate(ISSUE), request_id="r-1", source="/cli")
        _, request = decode_issue_request(headers, data)
        issues.add((issue := issue_id("cli", request.repository, request.key), run_id(issue, request.revision)))
    assert len(issues) == 1


def test_another_revision_is_another_run_of_the_same_issue() -> None:
    issue = issue_id("cli", "/srv/shop", "7")
    assert run_id(issue, 1) != run_id(issue, 2)


def test_names_are_the_same_on_every_machine_for_ever() -> None:
    issue = issue_id("cli", "/srv/läden", "#7")
    assert issue == "e5122dcf451e29927bf62396245b968f"
    assert run_id(issue, 1) == "0795b66f-5b35-57a1-8f56-eeb4da30a15b"
    assert fact_id("cause", "run.r.run.started") == "cc88dd3c-5b80-5d1c-80bd-86cf0cf22676"


def test_a_request_survives_the_wire_in_both_modes() -> None:
    decision = DecisionRequest.model_validate({**DECISION, "reason": "näh", "commit": "a" * 40})
    headers, data = encode_request(decision, request_id="d-1", source="/cli")
    assert decode_decision_request(headers, data)[1] == decision
    issue = IssueRequest.model_validate({**ISSUE, "level": Level.SUPERVISED, "labels": ("x",)})
    headers, data = encode_request(issue, request_id="r-1", source="/cli")
    assert decode_issue_request(headers, data)[1] == issue
    assert DecisionKind(decision.kind) is DecisionKind.APPROVE


def test_a_decision_sent_as_an_issue_is_one_sentence() -> None:
    headers, data = encode_request(DecisionRequest.model_validate(DECISION), request_id="d-1", source="/cli")
    with pytest.raises(Unreadable, match="unknown field"):
        decode_issue_request(headers, data)


@given(st.text())
def test_text_of_strangers_on_one_line_has_no_line_and_no_control_and_is_no_longer_than_asked(text: str) -> None:
    line = one_line(text, 20)
    assert len(line) <= 20
    assert line == " ".join(line.split())
    assert one_line(line, 20) == line
    assert not any(character in plain(text) for character in "\x00\x1b\x7f\u202e\u2066")
