"""Reports that are broken or made to do harm: a reader refuses them in a sentence, and nothing else ever happens."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.contracts.evidence import TestOutcome as Outcome
from libs.workshop.evidence import streams
from libs.workshop.evidence.coverage_reports import read_coverage
from libs.workshop.evidence.diffs import read_diff
from libs.workshop.evidence.formats import Kind, kind_of
from libs.workshop.evidence.junit import read_junit
from libs.workshop.evidence.reading import Unreadable, plain
from libs.workshop.evidence.sarif import read_sarif
from libs.workshop.evidence.streams import JsonStream, json_tree

REPORTS = Path(__file__).parents[1] / "data" / "reports"
Reader = Callable[[bytes], object]
READERS: dict[Kind, Reader] = {
    Kind.JUNIT: read_junit,
    Kind.COVERAGE: read_coverage,
    Kind.SARIF: read_sarif,
    Kind.DIFF: read_diff,
}
WHOLE = [
    (kind_of(path.read_bytes()), path.read_bytes())
    for path in sorted(REPORTS.iterdir())
    if path.suffix != ".md" and path.name not in ("gcovr-jacoco.xml", "eslint-broken.sarif")
]
ENDS_ANYWHERE = b"\nSF:"
"""LCOV has no end: a report cut off between two records is a whole report of fewer files."""

FAILING = (
    b'<testsuites><testsuite name="s" tests="3" failures="1" errors="1" skipped="0">'
    b'<testcase classname="c" name="a" time="0.1"><failure message="no">at 1</failure></testcase>'
    b'<testcase classname="c" name="b"><error message="x"/></testcase><testcase classname="c" name="d"/>'
    b"</testsuite></testsuites>"
)


def refused(read: Reader, data: bytes) -> str:
    """The code of the refusal; empty if the report is read."""
    try:
        read(data)
    except Unreadable as caught:
        broken = caught
    else:
        return ""
    assert broken.message.endswith(".")
    assert plain(broken.message) == broken.message
    return broken.code


@given(st.sampled_from(WHOLE), st.floats(0, 1, exclude_max=True))
def test_a_report_cut_off_anywhere_is_refused(whole: tuple[Kind, bytes], share: float) -> None:
    kind, data = whole
    stripped = data.rstrip()
    cut = stripped[: int(len(stripped) * share)]
    code = refused(READERS[kind], cut)
    last = cut.rstrip().rpartition(b"\n")[2]
    assert code or (ENDS_ANYWHERE in data and (last == b"end_of_record" or b"TN:".startswith(last[:3])))


@given(st.sampled_from(WHOLE), st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=9))
def test_changed_bytes_are_read_or_refused_and_nothing_else(
    whole: tuple[Kind, bytes], changes: list[tuple[float, int]]
) -> None:
    kind, data = whole
    changed = bytearray(data)
    for share, byte in changes:
        changed[int(len(changed) * share)] = byte
    assert isinstance(refused(READERS[kind], bytes(changed)), str)
    assert isinstance(refused(kind_of, bytes(changed)), str)


def test_no_single_changed_byte_makes_a_failing_report_pass() -> None:
    for place in range(len(FAILING)):
        for byte in b' <>/="!-?ax01':
            changed = FAILING[:place] + bytes([byte]) + FAILING[place + 1 :]
            try:
                cases = read_junit(changed)
            except Unreadable:
                continue
            assert any(case.outcome in (Outcome.FAILED, Outcome.ERROR) for case in cases), changed


@given(st.binary(max_size=300))
def test_no_bytes_crash_any_reader(data: bytes) -> None:
    for read in (*READERS.values(), kind_of):
        assert isinstance(refused(read, data), str)


DEEP = 100_000


@pytest.mark.parametrize("kind", [Kind.COVERAGE, Kind.SARIF])
@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b'{"runs":' + b"[" * DEEP, "malformed"),
        (b'{"files":' + b'{"a":' * DEEP, "malformed"),
        (b'{"version": "2.1.0", "version": "2.1.0", "runs": []}', "duplicate_key"),
        (b'{"runs": [{"tool": {"driver": {"name": "x", "name": "y"}}}]}', "duplicate_key"),
        (b'{"files": {"a": 1, "a": 2}, "runs": []}', "duplicate_key"),
        (b'{"version": NaN, "runs": []}', "malformed"),
        (b'{"version": -Infinity, "runs": []}', "malformed"),
        (b'{"version": "2.1.0", "runs": []} {}', "malformed"),
        (b'{"version": "2.1.0", "runs": [],}', "malformed"),
        (b'{"version": "2.1.0" "runs": []}', "malformed"),
        (b'{"version": "\xe9", "runs": []}', "malformed"),
        (b'{"version": "\x00", "runs": []}', "malformed"),
        (b'{"version": ' + b"9" * 10_000 + b', "runs": []}', "malformed"),
    ],
)
def test_json_that_no_two_readers_would_agree_on_is_refused(kind: Kind, data: bytes, code: str) -> None:
    assert refused(READERS[kind], data) == f"{kind}_{code}"


BOMB = b'<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;&a;">]>'


@pytest.mark.parametrize(("kind", "root"), [(Kind.JUNIT, b"testsuite"), (Kind.COVERAGE, b"coverage")])
@pytest.mark.parametrize(
    ("before", "inside", "code"),
    [
        (BOMB, b"&b;", "unsafe"),
        (b'<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>', b"&a;", "unsafe"),
        (b'<!DOCTYPE x [<!ENTITY % a SYSTEM "http://example.org/x.dtd">%a;]>', b"", "unsafe"),
        (b"", b"&a;", "malformed"),
        (b"", b"<x>" * DEEP, "too_deep"),
        (b"", b"<a\x00/>", "malformed"),
        (b"", b"<a>\xe9</a>", "malformed"),
        (b'<?xml version="1.0" encoding="utf-16"?>', b"", "malformed"),
        (b'<?xml version="1.0" encoding="no-such"?>', b"", "malformed"),
    ],
)
def test_xml_that_is_unsafe_or_in_no_known_writing_is_refused(
    kind: Kind, root: bytes, before: bytes, inside: bytes, code: str
) -> None:
    data = before + b"<" + root + b">" + inside + b"</" + root + b">"
    assert refused(READERS[kind], data) == f"{kind}_{code}"


def test_xml_is_read_in_the_writing_that_it_declares() -> None:
    data = '<?xml version="1.0" encoding="iso-8859-1"?><testsuite><testcase name="größe"/></testsuite>'
    assert read_junit(data.encode("latin-1"))[0].name == "größe"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_json_is_read_in_every_writing_of_unicode(encoding: str) -> None:
    data = json.dumps({"ä": ["😀"]}, ensure_ascii=False).encode(encoding)
    assert json_tree(data, "sarif") == {"ä": ["😀"]}


@pytest.mark.parametrize("text", ["\ud800", "\udfff x", "\u202eabc", "a\x1b[31mb", "\x00"])
def test_what_cannot_be_shown_does_not_get_out_of_a_report(text: str) -> None:
    result = {"ruleId": text, "message": {"text": text}, "partialFingerprints": {text: text}}
    place = {"physicalLocation": {"artifactLocation": {"uri": f"{text}.py"}}}
    run = {"tool": {"driver": {"name": f"{text}x"}}, "results": [{**result, "locations": [place]}]}
    finding = read_sarif(json.dumps({"version": "2.1.0", "runs": [run]}).encode())[0]
    assert all(plain(value) == value for value in (finding.tool, finding.rule, finding.message, finding.file))
    assert finding.model_dump_json()


@pytest.mark.parametrize("line", [-1, 0, 1e400, True, "3", None, 2.5, [1]])
def test_a_line_that_is_none_is_no_line(line: object) -> None:
    place = {"physicalLocation": {"artifactLocation": {"uri": "a.py"}, "region": {"startLine": line}}}
    run = {"tool": {"driver": {"name": "x"}}, "results": [{"locations": [place]}]}
    data = json.dumps({"version": "2.1.0", "runs": [run]}).replace("Infinity", "1e400")
    assert read_sarif(data.encode())[0].line == 0


def test_more_elements_or_values_than_are_held_are_refused_before_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "XML_MARKS_MAX", 5)
    monkeypatch.setattr(streams, "JSON_BRACKETS_MAX", 5)
    assert refused(read_junit, b"<testsuite>" + b"<a/>" * 9 + b"</testsuite>") == "junit_too_big"
    assert refused(read_sarif, b"[" * 9) == "sarif_too_big"


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists))
def test_a_value_read_through_small_windows_is_the_same(value: object) -> None:
    data = json.dumps({"runs": [value, 12, value]}, ensure_ascii=False).encode("utf-8", "replace")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(streams, "WINDOW_BYTES", 3)
        stream = JsonStream(data, "sarif")
        found = [stream.value() for _ in stream.members() for _ in stream.items()]
        stream.end()
    assert found == json.loads(data)["runs"]
