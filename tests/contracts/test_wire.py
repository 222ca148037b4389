"""The wire: bytes of every published version decode to today's shape, everything else is one sentence."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.contracts.facts import FACTS, DecisionRecorded, Fact, speaker_of
from libs.contracts.requests import IssueRequest
from libs.contracts.upcasters import STEPS, lift
from libs.contracts.wire import (
    Newer,
    Recorded,
    Unreadable,
    decode_fact,
    decode_issue_request,
    decode_value,
    encode_fact,
    encode_value,
    kind_of,
    read_envelope,
)
from libs.contracts.words import Service
from tests.contracts.examples import EXAMPLES, RUN

WIRE = Path(__file__).parents[1] / "data" / "wire"
PUBLISHED = [json.loads(line) for line in (WIRE / "facts.jsonl").read_text(encoding="utf-8").splitlines()]
VERSION_1 = (WIRE / "run.decision.recorded.1.json").read_bytes()
VERSION_1_SUBJECT = f"run.{RUN}.decision.recorded.d-1"
VERSION_1_HEADERS = {
    "ce-specversion": "1.0",
    "content-type": "application/json",
    "ce-id": "0b0e3a0e-0000-5000-8000-000000000002",
    "ce-type": "rung.run.decision.recorded",
    "ce-source": "/rung/gatekeeper",
    "ce-subject": VERSION_1_SUBJECT,
    "ce-dataschema": "urn:rung:run.decision.recorded:1",
    "ce-cause": "0b0e3a0e-0000-5000-8000-000000000001",
}
TRACE = "00-" + "a" * 32 + "-" + "b" * 16 + "-01"


def decoded(subject: str, headers: dict[str, str] | None, data: bytes) -> Recorded:
    return decode_fact(subject, headers, data, sequence=7, time=1.5)


def encoded(fact: Fact, **more: Any) -> tuple[dict[str, str], bytes]:
    fields = {"fact_id": "id-1", "cause": "cause-1", "producer": speaker_of(fact), **more}
    return encode_fact(fact, **fields)


def example(kind: str) -> Fact:
    return next(fact for fact in EXAMPLES if kind_of(fact) == kind)


FINISHED = example("run.run.finished")


@pytest.mark.parametrize("fact", EXAMPLES, ids=lambda fact: type(fact).__name__)
def test_a_fact_comes_back_as_it_was_sent(fact: Fact) -> None:
    headers, data = encoded(fact, traceparent=TRACE)
    assert decoded(fact.subject, headers, data) == Recorded(
        fact, id="id-1", cause="cause-1", producer=speaker_of(fact), sequence=7, time=1.5, traceparent=TRACE
    )


@pytest.mark.parametrize(
    ("published", "fact"), [*zip(PUBLISHED, EXAMPLES, strict=True)], ids=[type(fact).__name__ for fact in EXAMPLES]
)
def test_the_bytes_of_every_published_fact_are_read_for_ever(published: dict[str, Any], fact: Fact) -> None:
    recorded = decoded(published["subject"], published["headers"], published["data"].encode())
    assert recorded.fact == fact


def test_version_1_of_a_decision_is_lifted_to_version_2() -> None:
    fact = decoded(VERSION_1_SUBJECT, VERSION_1_HEADERS, VERSION_1).fact
    assert isinstance(fact, DecisionRecorded)
    assert fact.version == 2
    assert (fact.by, fact.os_user, fact.automatic, fact.is_override) == ("ann", "ann", False, False)
    assert (fact.decision, fact.reason, fact.attempt) == ("d-1", "looks right", 1)


def test_every_older_version_has_a_step_to_the_next() -> None:
    older = {(kind_of(fact), version) for fact in FACTS for version in range(1, fact.version)}
    assert set(STEPS) == older


def test_a_lift_changes_nothing_of_what_it_is_given() -> None:
    data = json.loads(VERSION_1)
    lift("run.decision.recorded", 1, 2, data)
    assert data == json.loads(VERSION_1)


def test_an_old_version_that_lacks_a_field_is_one_sentence() -> None:
    data = json.dumps({name: value for name, value in json.loads(VERSION_1).items() if name != "by"}).encode()
    with pytest.raises(Unreadable, match="of version 1 lacks 'by'"):
        decoded(VERSION_1_SUBJECT, VERSION_1_HEADERS, data)


@pytest.mark.parametrize(
    ("schema", "sentence"),
    [
        ("urn:rung:run.run.finished:2", "run.run.finished has version 2; this build knows version 1"),
        ("urn:rung:run.moon.landed:1", "run.moon.landed is a fact that this build does not know"),
    ],
)
def test_what_a_newer_build_has_written_is_told_apart(schema: str, sentence: str) -> None:
    headers, data = encoded(FINISHED)
    with pytest.raises(Newer, match=sentence):
        decoded(FINISHED.subject, {**headers, "ce-dataschema": schema}, data)


@pytest.mark.parametrize("schema", ["", "1", "urn:rung:run.run.finished", "urn:rung:run.run.finished:0", "urn:x:a.b:1"])
def test_a_schema_that_names_no_fact_is_unreadable_for_good(schema: str) -> None:
    headers, data = encoded(FINISHED)
    with pytest.raises(Unreadable, match="names no fact and version") as said:
        decoded(FINISHED.subject, {**headers, "ce-dataschema": schema}, data)
    assert not isinstance(said.value, Newer)


def test_a_fact_on_another_fact_s_subject_is_unreadable() -> None:
    headers, data = encoded(FINISHED)
    with pytest.raises(Unreadable, match=f"stands on run.other.run.finished but speaks of run.{RUN}.run.finished"):
        decoded("run.other.run.finished", headers, data)


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "is not JSON"),
        (b"{", "is not JSON"),
        (b"\xff\xfe", "is not JSON"),
        (b"[]", "not a JSON object but list"),
        (b"null", "not a JSON object but NoneType"),
        (b"[" * 100_000, "is not JSON"),
        (b"{}", "run: field required"),
        (b'{"run": "r", "outcome": "won", "reason": "x"}', "outcome: input should be"),
        (b'{"run": "r", "outcome": "merged", "reason": "\\ud800"}', "invalid JSON"),
    ],
)
def test_data_that_is_no_fact_is_one_sentence(data: bytes, sentence: str) -> None:
    headers, _ = encoded(FINISHED)
    with pytest.raises(Unreadable, match=sentence) as said:
        decoded(FINISHED.subject, headers, data)
    assert "\n" not in str(said.value)


@pytest.mark.parametrize("missing", ["ce-id", "ce-type", "ce-source", "ce-specversion"])
def test_a_missing_attribute_is_named(missing: str) -> None:
    headers, data = encoded(FINISHED)
    with pytest.raises(Unreadable, match=f"no CloudEvent: {missing.removeprefix('ce-')} missing"):
        decoded(FINISHED.subject, {name: value for name, value in headers.items() if name != missing}, data)


def test_a_message_without_headers_is_one_sentence() -> None:
    with pytest.raises(Unreadable, match="specversion, id, type, source missing"):
        decoded(FINISHED.subject, None, b"{}")


def test_another_cloudevents_version_is_one_sentence() -> None:
    headers, data = encoded(FINISHED)
    with pytest.raises(Unreadable, match=r"version 0\.3 is not supported; send 1\.0"):
        decoded(FINISHED.subject, {**headers, "ce-specversion": "0.3"}, data)


def test_header_names_are_read_without_regard_to_case() -> None:
    headers, data = encoded(FINISHED)
    shouted = {name.upper(): value for name, value in headers.items()}
    assert decoded(FINISHED.subject, shouted, data).fact == FINISHED


@pytest.mark.parametrize(
    ("value", "header"),
    [
        ("plain-1.2/x:y", "plain-1.2/x:y"),
        ("Euro € 😀", "Euro%20%E2%82%AC%20%F0%9F%98%80"),
        ('say "hi"', "say%20%22hi%22"),
        ("100%", "100%25"),
        ("%C3%BC", "%25C3%25BC"),
        ("line\nline\x7f", "line%0Aline%7F"),
        ("", ""),
    ],
)
def test_header_values_are_percent_encoded_as_the_bindings_ask(value: str, header: str) -> None:
    assert encode_value(value) == header
    assert decode_value(header) == value


def test_lower_case_hexadecimals_are_read() -> None:
    assert decode_value("%e2%82%ac%20a") == "€ a"


def test_a_value_that_is_not_utf_8_is_one_sentence() -> None:
    with pytest.raises(Unreadable, match="is not percent-encoded UTF-8"):
        decode_value("%ff")


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_every_text_survives_a_header_in_printable_ascii(value: str) -> None:
    header = encode_value(value)
    assert decode_value(header) == value
    assert all(0x21 <= ord(character) <= 0x7E for character in header)


def test_attributes_of_strangers_survive_and_others_are_left_alone() -> None:
    envelope = read_envelope(
        {"ce-specversion": "1.0", "ce-id": "%C3%BC", "ce-type": "t", "ce-source": "s", "ce-new": "x", "Other": "y"}
    )
    assert (envelope.id, envelope.subject, envelope.traceparent) == ("ü", None, None)


# -- requests in structured mode ------------------------------------------------

STRUCTURED = {"Content-Type": "application/cloudevents+json; charset=utf-8"}
EVENT: dict[str, Any] = {
    "specversion": "1.0",
    "id": "r-1",
    "type": "rung.request.issue",
    "source": "/tracker",
    "data": {"repository": "/srv/shop", "key": "7", "title": "Größe"},
}


def request(event: Any) -> tuple[str, IssueRequest]:
    envelope, found = decode_issue_request(STRUCTURED, json.dumps(event).encode())
    return envelope.id, found


def test_a_request_may_come_whole_in_the_payload() -> None:
    assert request(EVENT) == ("r-1", IssueRequest(repository="/srv/shop", key="7", title="Größe"))


def test_a_request_may_come_with_its_attributes_in_headers() -> None:
    headers = {f"ce-{name}": str(value) for name, value in EVENT.items() if name != "data"}
    _, found = decode_issue_request(headers, json.dumps(EVENT["data"]).encode())
    assert found.title == "Größe"


def test_extension_attributes_of_any_kind_are_no_trouble() -> None:
    assert request({**EVENT, "partition": 3, "sampled": True, "traceparent": TRACE, "subject": None})[0] == "r-1"


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"data": None}, "data is not a JSON object"),
        ({"data": "text"}, "data is not a JSON object"),
        ({"id": ""}, "id missing"),
        ({"id": 7}, "an attribute is not a string"),
        ({"specversion": "2.0"}, "version 2.0 is not supported"),
        ({"data": {**EVENT["data"], "titel": "x"}}, "titel: unknown field, did you mean title"),
        ({"data": {**EVENT["data"], "body": "x" * 300_000}}, "body: string should have at most"),
    ],
)
def test_a_structured_request_that_is_wrong_is_one_sentence(change: dict[str, Any], sentence: str) -> None:
    with pytest.raises(Unreadable, match=sentence):
        request({**EVENT, **change})


@pytest.mark.parametrize("payload", [b"", b"[]", b'"x"', b"\xff"])
def test_a_structured_request_that_is_no_object_is_one_sentence(payload: bytes) -> None:
    with pytest.raises(Unreadable):
        decode_issue_request(STRUCTURED, payload)


def test_a_producer_is_named_by_its_service() -> None:
    headers, data = encoded(FINISHED)
    assert headers["ce-source"] == "/rung/gatekeeper"
    assert decoded(FINISHED.subject, headers, data).producer == Service.GATEKEEPER
