"""Reports that real tools wrote: the counts are those that the tools printed (see the README beside them)."""

from collections import Counter
from pathlib import Path

import pytest

from libs.contracts.evidence import TestOutcome as Outcome
from libs.contracts.words import Severity
from libs.workshop.evidence.coverage_reports import coverage_evidence, read_coverage
from libs.workshop.evidence.formats import Kind, kind_of
from libs.workshop.evidence.junit import read_junit
from libs.workshop.evidence.reading import Unreadable
from libs.workshop.evidence.sarif import read_sarif, weighed_findings

REPORTS = Path(__file__).parents[1] / "data" / "reports"
JUNIT = {
    "pytest": (4, 4, 1, 2),
    "xmlrunner": (1, 2, 1, 2),
    "nose2": (1, 2, 1, 2),
    "robot": (1, 1, 0, 1),
    "jest": (2, 2, 1, 1),
    "mocha": (1, 2, 0, 1),
    "vitest": (2, 2, 0, 2),
    "node": (2, 2, 0, 2),
    "ctest": (1, 2, 1, 2),
    "gtest": (1, 2, 0, 2),
    "catch2": (2, 2, 1, 0),
    "bats": (1, 1, 0, 1),
    "phpunit": (2, 1, 2, 2),
}
"""Passed, failed, errors, skipped."""

COVERAGE = {
    "coveragepy.json": (20, 34),
    "coveragepy.xml": (20, 34),
    "coveragepy.lcov": (20, 34),
    "gcovr.xml": (6, 7),
    "gcovr.lcov": (6, 7),
    "gcovr-clover.xml": (6, 7),
    "lcov.info": (6, 7),
    "jest-clover.xml": (4, 5),
    "jest-cobertura-coverage.xml": (4, 5),
    "jest-lcov.info": (4, 5),
    "jest-coverage-final.json": (4, 5),
    "c8.info": (3, 7),
    "c8-clover.xml": (3, 7),
}
"""Lines that ran, and all that could."""

SARIF = {
    "ruff": ({Severity.MAJOR: 10}, 4),
    "bandit": ({Severity.CRITICAL: 1, Severity.INFO: 1}, 2),
    "flawfinder": ({Severity.MAJOR: 2, Severity.INFO: 1}, 3),
    "semgrep": ({Severity.MAJOR: 1}, 1),
    "zizmor": ({Severity.MAJOR: 3, Severity.MINOR: 2}, 5),
    "cfnlint": ({Severity.MAJOR: 1}, 0),
    "eslint": ({Severity.MAJOR: 3}, 0),
}
"""Findings by weight, and how many are about security."""


def report(name: str) -> bytes:
    return (REPORTS / name).read_bytes()


@pytest.mark.parametrize("tool", JUNIT)
def test_tests_are_counted_as_their_tool_counted_them(tool: str) -> None:
    counts = Counter(case.outcome for case in read_junit(report(f"{tool}.xml")))
    assert (counts[Outcome.PASSED], counts[Outcome.FAILED], counts[Outcome.ERROR], counts[Outcome.SKIPPED]) == JUNIT[
        tool
    ]


@pytest.mark.parametrize("name", COVERAGE)
def test_lines_are_counted_as_their_tool_counted_them(name: str) -> None:
    evidence = coverage_evidence(read_coverage(report(name)))
    assert (evidence.covered_count, evidence.lines_count) == COVERAGE[name]


@pytest.mark.parametrize(
    ("name", "path"), [("jest-clover.xml", "src/calc.js"), ("lcov.info", "lib.c"), ("coveragepy.xml", "calc.py")]
)
def test_paths_are_those_of_the_checkout(name: str, path: str) -> None:
    assert path in read_coverage(report(name))


@pytest.mark.parametrize("tool", SARIF)
def test_findings_are_weighed_and_told_to_be_about_security_or_not(tool: str) -> None:
    found = weighed_findings(report(f"{tool}.sarif"))
    weights, security_count = SARIF[tool]
    assert Counter(one.finding.severity for one in found) == weights
    assert sum(one.is_security for one in found) == security_count
    assert all(one.finding.file and not one.finding.file.startswith("/") and one.finding.line for one in found)


def test_an_analyser_that_could_not_parse_the_code_found_nothing_out() -> None:
    with pytest.raises(Unreadable) as refused:
        read_sarif(report("eslint-broken.sarif"))
    assert refused.value.code == "sarif_tool_failed"


def test_lines_that_do_not_say_whether_they_ran_are_no_coverage() -> None:
    with pytest.raises(Unreadable) as refused:
        read_coverage(report("gcovr-jacoco.xml"))
    assert refused.value.code == "coverage_malformed"


@pytest.mark.parametrize("path", sorted(REPORTS.iterdir()), ids=lambda path: path.name)
def test_the_kind_of_a_report_is_told_from_its_content(path: Path) -> None:
    if path.suffix == ".md":
        with pytest.raises(Unreadable):
            kind_of(path.read_bytes())
        return
    is_junit = path.suffix == ".xml" and path.stem in JUNIT
    expected = Kind.SARIF if path.suffix == ".sarif" else Kind.JUNIT if is_junit else Kind.COVERAGE
    assert kind_of(path.read_bytes()) is expected
