"""The lines of an export, and the tree over them: what comes back is what the log itself gives."""

import base64
import hashlib
import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.contracts import hashtree
from libs.contracts.export import (
    BrokenLine,
    canonical,
    decode_export,
    encode_stored,
    history_of,
    read_line,
    read_lines,
)
from libs.contracts.facts import Fact, speaker_of
from libs.contracts.hashtree import EMPTY, Seal, Tree, hash_of
from libs.contracts.history import Unread
from libs.contracts.requests import fact_id
from libs.contracts.wire import Headers, Newer, Recorded, Unreadable, decode_fact, encode_fact
from tests.contracts.examples import EXAMPLES
from tests.support.sound_log import entries, healed_and_merged

FENCE = {"Nats-Expected-Last-Subject-Sequence": "3", "Nats-Stream": "FACTS", "Nats-Sequence": "7"}
TIME = 1_795_533_968.097_638_1


def stored(fact: Fact, **attributes: str) -> tuple[Headers, bytes]:
    headers, data = encode_fact(
        fact, fact_id=fact_id("c ü%", fact.subject), cause="c ü%", producer=speaker_of(fact), traceparent="00-1-2-01"
    )
    return {**headers, **FENCE, **{f"ce-{name}": value for name, value in attributes.items()}}, data


def directly(subject: str, headers: Headers, data: bytes) -> Recorded | Unread:
    """What reading the log gives."""
    try:
        return decode_fact(subject, headers, data, sequence=7, time=TIME)
    except Unreadable as reason:
        return Unread(subject, 7, reason)


def exported(subject: str, headers: Headers, data: bytes) -> dict[str, Any]:
    """The line, as it comes back from a file."""
    line: dict[str, Any] = json.loads(canonical(encode_stored(subject, headers, data, sequence=7, time=TIME)))
    return line


def is_same(one: Recorded | Unread, other: Recorded | Unread) -> bool:
    if isinstance(one, Unread) and isinstance(other, Unread):
        same = (one.subject, one.sequence, str(one.reason), type(one.reason))
        return same == (other.subject, other.sequence, str(other.reason), type(other.reason))
    return one == other


# -- a line -------------------------------------------------------------------


@pytest.mark.parametrize("fact", EXAMPLES, ids=lambda fact: f"{fact.stream}.{fact.type}")
def test_every_fact_comes_back_as_the_log_gives_it(fact: Fact) -> None:
    headers, data = stored(fact)
    line = exported(fact.subject, headers, data)
    assert "headers" not in line
    assert decode_export(line) == directly(fact.subject, headers, data)
    assert (line["specversion"], line["subject"], line["time"]) == ("1.0", fact.subject, TIME)
    assert line["type"] == f"rung.{line['dataschema'].split(':')[2]}"


FACT = EXAMPLES[0]
HEADERS, DATA = stored(FACT)

ODD: dict[str, tuple[Headers, bytes]] = {
    "no CloudEvent": ({}, b"hello"),
    "no headers of ours": ({"x": "y"}, DATA),
    "bytes": (HEADERS, b"\xff\x00"),
    "a list": (HEADERS, b"[1]"),
    "a name twice": (HEADERS, b'{"run": 1, "run": 2}'),
    "no number": (HEADERS, b'{"x": NaN}'),
    "a number too large": (HEADERS, b'{"x": 1e999}'),
    "nothing": (HEADERS, b""),
    "a field too many": (HEADERS, b'{"colour": "red"}'),
    "another subject": ({**HEADERS, "ce-subject": "run.x.run.started"}, DATA),
    "another attribute": ({**HEADERS, "ce-time": "now"}, DATA),
    "another header": ({**HEADERS, "trace": "x"}, DATA),
    "another type of content": ({**HEADERS, "content-type": "text/plain"}, DATA),
    "a newer version": ({**HEADERS, "ce-dataschema": "urn:rung:run.run.started:99"}, DATA),
    "an unknown fact": ({**HEADERS, "ce-dataschema": "urn:rung:run.sun.rose:1"}, DATA),
    "no id": ({name: value for name, value in HEADERS.items() if name != "ce-id"}, DATA),
    "an encoding that is none": ({**HEADERS, "ce-cause": "%FF"}, DATA),
    "lower-case encoding": ({**HEADERS, "ce-cause": "%c3%bc"}, DATA),
    "a surrogate": (HEADERS, b'{"x": "\\ud800"}'),
}


@pytest.mark.parametrize(("headers", "data"), ODD.values(), ids=ODD)
def test_whatever_stands_in_the_log_comes_back(headers: Headers, data: bytes) -> None:
    line = exported(FACT.subject, headers, data)
    assert is_same(decode_export(line), directly(FACT.subject, headers, data))
    assert entries([line])[0].line == line


@pytest.mark.parametrize("name", ["no CloudEvent", "bytes", "a name twice", "another attribute", "another subject"])
def test_what_is_no_plain_event_is_kept_as_it_came(name: str) -> None:
    headers, data = ODD[name]
    line = exported(FACT.subject, headers, data)
    assert base64.b64decode(line["data_base64"]) == data
    assert line["headers"] == {key: value for key, value in headers.items() if not key.startswith("Nats-")}


def test_a_fact_of_a_newer_version_stands_in_full_and_is_said_to_be_newer() -> None:
    line = exported(FACT.subject, *ODD["a newer version"])
    assert line["data"] == json.loads(DATA)
    unread = decode_export(line)
    assert isinstance(unread, Unread)
    assert isinstance(unread.reason, Newer)


def test_the_order_of_names_in_the_data_is_kept() -> None:
    line = exported(FACT.subject, HEADERS, b'{"b": 1, "a": {"d": 1, "c": 2}}')
    assert json.dumps(line["data"]) == '{"b": 1, "a": {"d": 1, "c": 2}}'


@given(st.floats(min_value=0, max_value=1e11, allow_nan=False))
def test_the_store_s_time_comes_back_exactly(time: float) -> None:
    line = json.loads(canonical(encode_stored(FACT.subject, HEADERS, DATA, sequence=7, time=time)))
    recorded = decode_export(line)
    assert isinstance(recorded, Recorded)
    assert recorded.time == time


# -- a file -------------------------------------------------------------------

LINE = canonical(encode_stored(FACT.subject, HEADERS, DATA, sequence=7, time=TIME)) + b"\n"


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        ([LINE, b"nonsense\n"], "line 2 of the export is not JSON"),
        ([LINE, LINE[:40]], "line 2 of the export is cut short"),
        ([b"[]\n"], "line 1 is none of an exported log: it is no JSON object"),
        ([b"{}\n"], "line 1 is none of an exported log: it needs sequence, time and subject"),
        ([b'{"sequence": true, "time": 1, "subject": "x", "data": {}}\n'], "it needs sequence, time and subject"),
        ([b'{"sequence": 1, "time": NaN, "subject": "x", "data": {}}\n'], "it needs sequence, time and subject"),
        ([b'{"sequence": 1, "time": 1, "subject": "x"}\n'], "it has no data"),
        ([b'{"sequence": 1, "time": 1, "subject": "x", "data": 1}\n'], "it has no data"),
        ([b'{"sequence": 1, "time": 1, "subject": "x", "data": {}, "id": 1}\n'], "an attribute is no text"),
        ([b'{"sequence": 1, "time": 1, "subject": "x", "headers": 1}\n'], "its headers are no texts"),
        ([b'{"sequence": 1, "time": 1, "subject": "x", "headers": {}}\n'], "its data_base64 cannot be decoded"),
        ([b'{"sequence": 1, "time": 1, "subject": "x", "headers": {}, "data_base64": "*"}\n'], "cannot be decoded"),
        ([b"\xff\xfe\n"], "line 1 of the export is not JSON"),
        ([b"[" * 100_000 + b"\n"], "line 1 of the export is not JSON"),
    ],
)
def test_a_line_that_is_none_is_named(lines: list[bytes], sentence: str) -> None:
    with pytest.raises(BrokenLine, match=sentence):
        list(read_lines(lines))


def test_a_last_line_without_its_end_and_empty_lines_are_read() -> None:
    assert len(list(read_lines([LINE, b"\n", LINE.strip()]))) == 2


def test_white_space_and_the_order_of_a_line_s_own_names_do_not_matter() -> None:
    line = json.loads(LINE)
    spaced = json.dumps(dict(reversed(line.items())), indent=1).replace("\n", " ").encode() + b"\n"
    assert read_line(spaced, 1).canonical + b"\n" == LINE


def test_a_whole_export_is_the_history_of_the_log() -> None:
    ledger = healed_and_merged()
    assert history_of(entries(ledger.lines)).facts == tuple(ledger.recorded)


# -- the tree -----------------------------------------------------------------


def recursively(leaves: Sequence[bytes]) -> bytes:
    """MTH as RFC 6962 writes it."""
    if len(leaves) < 2:
        return hash_of(leaves[0]) if leaves else hashlib.sha256(b"").digest()
    half = 1 << ((len(leaves) - 1).bit_length() - 1)
    return hashlib.sha256(b"\x01" + recursively(leaves[:half]) + recursively(leaves[half:])).digest()


def test_the_root_is_that_of_rfc_6962_for_every_number_of_leaves() -> None:
    tree = Tree()
    leaves: list[bytes] = []
    for number in range(130):
        assert tree.root == recursively(leaves).hex()
        leaves.append(bytes([number]))
        tree.add(hash_of(leaves[-1]))


def test_the_known_answers_of_certificate_transparency_hold() -> None:
    """The empty tree, one empty leaf, and the eight leaves that implementations are tried with."""
    leaves = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
    tree = Tree()
    roots = [tree.root]
    for leaf in leaves:
        tree.add(hash_of(bytes.fromhex(leaf)))
        roots.append(tree.root)
    assert roots[0] == EMPTY == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert roots[1] == "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
    assert roots[8] == "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"


def test_a_checkpoint_of_many_runs_keeps_only_the_digest_of_their_heads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hashtree, "HEADS_MAX", 3)
    line = json.loads(LINE)
    seal = Seal()
    for number in range(4):
        subject = f"run.r{number}.run.finished"
        seal.add(entries([{**line, "subject": subject, "sequence": number + 1}])[0])
    checkpoint = seal.checkpoint()
    assert checkpoint.heads is None
    assert checkpoint.heads_count == checkpoint.size == 4
