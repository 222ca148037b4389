"""JUnit reports of many tools, whole and broken."""

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.contracts.evidence import TestOutcome as Outcome
from libs.workshop.evidence import junit, text
from libs.workshop.evidence.coverage_reports import read_coverage
from libs.workshop.evidence.junit import flaky_count, is_flaky, read_junit
from libs.workshop.evidence.reading import Unreadable
from libs.workshop.evidence.sarif import read_sarif

PASSED, FAILED, ERROR, SKIPPED = Outcome.PASSED, Outcome.FAILED, Outcome.ERROR, Outcome.SKIPPED

BOMB = b"""<?xml version="1.0"?><!DOCTYPE t [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]>
<testsuite tests="1"><testcase name="&b;"/></testsuite>"""

MAVEN = b"""<?xml version="1.0" encoding="UTF-8"?>
<testsuite xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" name="com.x.CalcTest" time="1,234.5" tests="4"
 errors="1" skipped="1" failures="1">
 <properties><property name="java.version" value="17"/></properties>
 <testcase name="adds" classname="com.x.CalcTest" time="0.01"/>
 <testcase name="divides" classname="com.x.CalcTest" time="0.02">
  <failure message="expected: &lt;2&gt; but was: &lt;3&gt;" type="AssertionError">at CalcTest.java:9</failure>
  <system-out><![CDATA[noise]]></system-out></testcase>
 <testcase name="reads" classname="com.x.CalcTest"><error type="java.io.IOException">gone</error></testcase>
 <testcase name="later" classname="com.x.CalcTest"><skipped/></testcase>
</testsuite>"""

JEST = b"""<?xml version="1.0"?><testsuites name="jest tests" tests="2" failures="1" errors="0">
<testsuite name="sum" errors="0" failures="1" skipped="0" tests="2">
<testcase classname="sum adds" name="sum adds"/>
<testcase classname="" name="sum breaks"><failure>Error: no</failure></testcase>
</testsuite></testsuites>"""

CTEST = b"""<?xml version="1.0"?><testsuite name="(empty)" tests="4" failures="1" disabled="1" skipped="1">
<testcase name="a" classname="a" time="0.1" status="run"/>
<testcase name="b" classname="b" status="fail"><failure message="Failed"></failure></testcase>
<testcase name="c" classname="c" status="disabled"/>
<testcase name="d" classname="d" status="notrun"><skipped message="SKIP"/></testcase></testsuite>"""

NESTED = b"""<testsuites><testsuite name="outer" failures="1" tests="2"><testsuite name="inner" failures="1" tests="1">
<testcase name="deep"><failure message="x"/></testcase></testsuite><testcase name="shallow"/></testsuite>
</testsuites>"""


def outcomes(data: bytes) -> list[tuple[str, Outcome]]:
    return [(case.name, case.outcome) for case in read_junit(data)]


def code_of(data: bytes) -> str:
    with pytest.raises(Unreadable) as refused:
        read_junit(data)
    assert refused.value.message.endswith(".")
    assert "\n" not in refused.value.message
    return refused.value.code


def test_maven_s_failure_error_and_skip_are_told_apart() -> None:
    assert outcomes(MAVEN) == [
        ("com.x.CalcTest::adds", PASSED),
        ("com.x.CalcTest::divides", FAILED),
        ("com.x.CalcTest::reads", ERROR),
        ("com.x.CalcTest::later", SKIPPED),
    ]
    failure = read_junit(MAVEN)[1]
    assert failure.message == "expected: <2> but was: <3>\nat CalcTest.java:9"


def test_an_empty_class_name_is_left_out_of_the_id() -> None:
    assert outcomes(JEST) == [("sum adds::sum adds", PASSED), ("sum breaks", FAILED)]


def test_ctest_tells_by_status_what_others_tell_by_elements() -> None:
    assert [outcome for _, outcome in outcomes(CTEST)] == [PASSED, FAILED, SKIPPED, SKIPPED]


def test_a_status_alone_makes_a_case_fail() -> None:
    data = b'<testsuite failures="1"><testcase name="a" status="failed"/></testsuite>'
    assert outcomes(data) == [("a", FAILED)]


def test_suites_in_suites_are_counted_once() -> None:
    assert outcomes(NESTED) == [("deep", FAILED), ("shallow", PASSED)]


def test_an_error_of_the_suite_itself_is_an_error() -> None:
    data = b'<testsuite name="setup" errors="1" tests="0"><error message="no database"/></testsuite>'
    assert outcomes(data) == [("setup", ERROR)]


def test_declared_counts_that_are_missing_or_too_low_are_not_believed() -> None:
    data = b'<testsuite tests="1" failures="0"><testcase name="a"><failure/></testcase><testcase name="b"/></testsuite>'
    assert outcomes(data) == [("a", FAILED), ("b", PASSED)]


@pytest.mark.parametrize(
    "data",
    [
        b'<testsuite tests="2" failures="2"><testcase name="a"><failure/></testcase><testcase name="b"/></testsuite>',
        b'<testsuites failures="1"><testsuite><testcase name="a"/></testsuite></testsuites>',
        b'<testsuite tests="9"></testsuite>',
    ],
)
def test_a_report_that_declares_more_than_it_shows_is_refused(data: bytes) -> None:
    assert code_of(data) == "junit_contradicts"


def test_a_report_of_no_tests_is_read_as_none() -> None:
    assert outcomes(b'<testsuites><testsuite name="pytest" tests="0"/></testsuites>') == []


def test_a_failure_that_passed_when_run_again_stays_one_and_says_so() -> None:
    data = b'<testsuite><testcase name="a"><failure message="x"/></testcase><testcase name="a"/></testsuite>'
    first, second = read_junit(data)
    assert (first.outcome, second.outcome) == (FAILED, PASSED)
    assert first.message == "passed when run again: x"


def test_a_pass_before_the_failure_of_its_teardown_is_no_flaky_test() -> None:
    data = b'<testsuite><testcase name="a"/><testcase name="a"><error message="x"/></testcase></testsuite>'
    assert read_junit(data)[1].message == "x"


def test_the_worst_of_several_answers_counts() -> None:
    data = b'<testsuite><testcase name="a"><skipped/><failure/><error/></testcase></testsuite>'
    assert outcomes(data) == [("a", ERROR)]


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "junit_empty"),
        (b" \n", "junit_empty"),
        (MAVEN[:-40], "junit_malformed"),
        (b"PK\x03\x04", "junit_malformed"),
        (MAVEN + MAVEN[40:], "junit_malformed"),
        (b'<?xml version="1.0" encoding="klingon"?><testsuite/>', "junit_malformed"),
        (b"<html><body/></html>", "junit_wrong_root"),
        (b"<coverage/>", "junit_wrong_root"),
        (BOMB, "junit_unsafe"),
        (BOMB.replace(b'"aaaa"', b'SYSTEM "file:///etc/passwd"'), "junit_unsafe"),
        (b"<testsuite>" * 100 + b"</testsuite>" * 100, "junit_too_deep"),
    ],
)
def test_what_is_broken_or_hostile_is_refused_in_a_sentence(data: bytes, code: str) -> None:
    assert code_of(data) == code


def test_a_report_over_the_size_limit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text, "REPORT_BYTES_MAX", len(MAVEN) - 1)
    assert code_of(MAVEN) == "junit_too_big"


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig"])
def test_other_encodings_are_read_as_they_declare(encoding: str) -> None:
    text = '<testsuite><testcase classname="größe" name="日本"/></testsuite>\n'
    assert outcomes(text.encode(encoding)) == [("größe::日本", PASSED)]


def test_terminal_escapes_and_direction_marks_do_not_reach_people() -> None:
    data = (
        '<testsuite><testcase name="a\u202eb"><failure message="\u009b31mred\u200b"/></testcase></testsuite>'.encode()
    )
    case = read_junit(data)[0]
    assert (case.name, case.message) == ("ab", "31mred")


def test_a_long_message_keeps_its_beginning_and_its_end() -> None:
    text = "x" * 10_000 + " the cause"
    data = f'<testsuite><testcase name="a"><failure message="m">{text}</failure></testcase></testsuite>'.encode()
    message = read_junit(data)[0].message
    assert message.startswith("m\n…")
    assert message.endswith("the cause")
    assert len(message) <= junit.MESSAGE_LENGTH_MAX


@pytest.mark.parametrize("time", ["", "nan", "inf", "-3", "soon", "1e400"])
def test_a_nonsensical_duration_is_no_duration(time: str) -> None:
    data = f'<testsuite><testcase name="a" time="{time}"/></testsuite>'.encode()
    assert read_junit(data)[0].duration_s == 0


def test_pytest_s_own_report_is_read(tmp_path: Path) -> None:
    (tmp_path / "test_sample.py").write_text(
        "import pytest\n"
        "class TestA:\n"
        "    @pytest.mark.parametrize('n', [1, -1])\n"
        "    def test_n(self, n): assert n > 0\n"
        "@pytest.fixture\n"
        "def broken(): yield 1; raise RuntimeError('teardown')\n"
        "def test_teardown(broken): assert False\n"
        "@pytest.mark.xfail\n"
        "def test_known(): assert False\n"
    )
    argv = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--junitxml=junit.xml"]
    subprocess.run(argv, cwd=tmp_path, capture_output=True, check=False)
    assert outcomes((tmp_path / "junit.xml").read_bytes()) == [
        ("test_sample.TestA::test_n[1]", PASSED),
        ("test_sample.TestA::test_n[-1]", FAILED),
        ("test_sample::test_teardown", FAILED),
        ("test_sample::test_teardown", ERROR),
        ("test_sample::test_known", SKIPPED),
    ]


SUREFIRE = b"""<testsuite xmlns:xsi="x" xmlns="urn:surefire" name="com.x.CalcTest" tests="3" errors="0" failures="1"
 flakes="1" skipped="0"><testcase name="sometimes" classname="com.x.CalcTest"><flakyFailure message="first"
 type="AssertionError"><stackTrace><![CDATA[at CalcTest.java:9]]></stackTrace></flakyFailure></testcase>
<testcase name="never" classname="com.x.CalcTest"><failure message="no"/><rerunFailure message="no">
<stackTrace>again</stackTrace></rerunFailure></testcase>
<testcase name="adds" classname="com.x.CalcTest"/></testsuite>"""


def test_a_flaky_failure_of_maven_stays_a_failure_marked_as_flaky() -> None:
    flaky, failed, passed = read_junit(SUREFIRE)
    assert (flaky.outcome, is_flaky(flaky), flaky.message) == (
        FAILED,
        True,
        "passed when run again: first\nat CalcTest.java:9",
    )
    assert (failed.outcome, is_flaky(failed)) == (FAILED, False)
    assert (passed.outcome, is_flaky(passed)) == (PASSED, False)
    assert flaky_count(read_junit(SUREFIRE)) == 1


def test_a_flaky_failure_is_none_of_the_declared_ones() -> None:
    assert code_of(SUREFIRE.replace(b'failures="1"', b'failures="2"')) == "junit_contradicts"


def test_a_flaky_test_counts_once_however_often_it_failed() -> None:
    data = b'<testsuite><testcase name="a"><error/></testcase><testcase name="a"><failure/></testcase>'
    assert flaky_count(read_junit(data + b'<testcase name="a"/></testsuite>')) == 1


def test_tests_of_one_name_in_two_suites_are_two_tests() -> None:
    data = b"""<testsuites><testsuite name="a"><testcase name="works"><failure/></testcase></testsuite>
    <testsuite name="b"><testcase name="works"/></testsuite></testsuites>"""
    assert flaky_count(read_junit(data)) == 0


def test_a_message_does_not_make_its_test_flaky() -> None:
    data = b'<testsuite><testcase name="a"><failure message="passed when run again: x"/></testcase></testsuite>'
    assert not is_flaky(read_junit(data)[0])


def test_skipped_tests_that_are_declared_and_not_shown_are_skipped() -> None:
    data = b"""<testsuites skipped="3"><testsuite name="s" skipped="2"><testcase name="a"><skipped/></testcase>
    <testcase name="b"/></testsuite></testsuites>"""
    assert [outcome for _, outcome in outcomes(data)] == [SKIPPED, PASSED, SKIPPED, SKIPPED]


def test_a_test_whose_program_is_missing_was_not_skipped() -> None:
    case = b'<testcase name="a" status="notrun"><skipped message="Unable to find executable"/></testcase>'
    assert outcomes(b"<testsuite>" + case + b"</testsuite>") == [("a", ERROR)]


@pytest.mark.parametrize("count", ["-1", "many", "1e3", "12345678901", "NaN"])
def test_a_declared_count_that_is_none_is_refused(count: str) -> None:
    assert code_of(f'<testsuite failures="{count}"><testcase name="a"/></testsuite>'.encode()) == "junit_malformed"


@pytest.mark.parametrize("count", ["", "0", " 1 ", "1.0"])
def test_a_declared_count_may_be_written_otherwise(count: str) -> None:
    data = f'<testsuite failures="{count}"><testcase name="a"><failure/></testcase></testsuite>'.encode()
    assert outcomes(data) == [("a", FAILED)]


XML = (b"<testsuite", b"<testcase", b' name="a"', b">", b"/>", b"</testcase>", b"</testsuite>", b"<failure", b"&a;")
OTHER = (
    b'{"runs": [',
    b'{"files": {',
    b"SF:a\nDA:1,1\n",
    b"end_of_record\n",
    b"}",
    b"]",
    b"null",
    b"\xff\xfe",
    b"\x00",
)
fragments = st.sampled_from(XML + OTHER)


@given(st.one_of(st.binary(), st.lists(fragments).map(b"".join)))
def test_no_bytes_crash_a_reader(data: bytes) -> None:
    for read in (read_junit, read_coverage, read_sarif):
        try:
            read(data)
        except Unreadable as refused:
            assert refused.code  # noqa: PT017 - refusing and reading are both right
