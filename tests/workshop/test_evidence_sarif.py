"""SARIF: which results count, where they lie, and what they weigh."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from libs.contracts.words import Severity
from libs.workshop.evidence.reading import Unreadable
from libs.workshop.evidence.sarif import read_sarif, weighed_findings
from libs.workshop.evidence.weights import Weights


def located(uri: str, line: int = 3, **more: Any) -> list[dict[str, Any]]:
    return [{"physicalLocation": {"artifactLocation": {"uri": uri, **more}, "region": {"startLine": line}}}]


def sarif(*results: dict[str, Any], rules: tuple[dict[str, Any], ...] = (), **run: Any) -> bytes:
    driver = {"name": "Lint", "rules": list(rules)}
    whole = [
        {"ruleId": "R1", "message": {"text": "m"}, "locations": located("src/a.py"), **result} for result in results
    ]
    return json.dumps({"version": "2.1.0", "runs": [{"tool": {"driver": driver}, "results": whole, **run}]}).encode()


def severity(result: dict[str, Any], *rules: dict[str, Any]) -> Severity:
    return read_sarif(sarif(result, rules=rules))[0].severity


@pytest.mark.parametrize(
    ("result", "rule", "expected"),
    [
        ({"level": "error"}, {}, Severity.MAJOR),
        ({"level": "warning"}, {}, Severity.MINOR),
        ({"level": "note"}, {}, Severity.INFO),
        ({"level": "none"}, {}, Severity.INFO),
        ({}, {}, Severity.MINOR),
        ({}, {"defaultConfiguration": {"level": "error"}}, Severity.MAJOR),
        ({"level": "note"}, {"defaultConfiguration": {"level": "error"}}, Severity.INFO),
        ({"level": "note"}, {"properties": {"security-severity": "9.8"}}, Severity.BLOCKER),
        ({"level": "error"}, {"properties": {"security-severity": "7.0"}}, Severity.CRITICAL),
        ({"level": "error"}, {"properties": {"security-severity": "4.5"}}, Severity.MAJOR),
        ({"level": "error"}, {"properties": {"security-severity": "1"}}, Severity.MINOR),
        ({"level": "error"}, {"properties": {"security-severity": "high"}}, Severity.MAJOR),
        ({"properties": {"security-severity": 9}}, {"properties": {"security-severity": "1"}}, Severity.BLOCKER),
        ({"properties": {"issue_severity": "HIGH", "issue_confidence": "HIGH"}}, {}, Severity.CRITICAL),
        ({"properties": {"issue_severity": "HIGH", "issue_confidence": "LOW"}}, {}, Severity.MAJOR),
        ({"properties": {"issue_severity": "LOW", "issue_confidence": "HIGH"}, "level": "error"}, {}, Severity.INFO),
        ({"ruleId": "F821", "level": "note"}, {"id": "F821"}, Severity.CRITICAL),
        ({"ruleId": "invalid-syntax"}, {}, Severity.CRITICAL),
    ],
)
def test_a_finding_weighs_by_what_says_most(result: dict[str, Any], rule: dict[str, Any], expected: Severity) -> None:
    assert severity(result, {"id": "R1", **rule}) is expected


def test_a_rule_is_found_by_its_place_when_the_result_names_no_id() -> None:
    data = sarif({"ruleId": None, "ruleIndex": 1}, rules=({"id": "A"}, {"id": "B"}))
    assert read_sarif(data)[0].rule == "B"


def test_suppressed_results_are_dropped_and_rejected_suppressions_are_not() -> None:
    data = sarif(
        {"suppressions": [{"kind": "inSource"}]},
        {"suppressions": [{"kind": "external", "status": "accepted"}]},
        {"suppressions": [{"kind": "external", "status": "rejected"}], "ruleId": "kept"},
        {"suppressions": [], "ruleId": "kept too"},
        {"kind": "pass"},
        {"baselineState": "absent"},
    )
    assert [finding.rule for finding in read_sarif(data)] == ["kept", "kept too"]


@pytest.mark.parametrize(
    ("artifact", "bases"),
    [
        ({"uri": "src/a%20b.py"}, {}),
        ({"uri": "./src/a b.py"}, {}),
        ({"uri": "file:///work/src/a%20b.py"}, {}),
        ({"uri": "/work/src/a b.py"}, {}),
        ({"uri": "a%20b.py", "uriBaseId": "SRC"}, {"SRC": {"uri": "file:///work/src/"}}),
        ({"uri": "src/a%20b.py", "uriBaseId": "%SRCROOT%"}, {}),
    ],
)
def test_every_spelling_of_a_place_is_the_same_file(artifact: dict[str, str], bases: dict[str, Any]) -> None:
    data = sarif({"locations": located(artifact["uri"], uriBaseId=artifact.get("uriBaseId"))}, originalUriBaseIds=bases)
    assert read_sarif(data)[0].file == "src/a b.py"


def test_only_findings_on_changed_lines_are_kept() -> None:
    data = sarif(*({"locations": located(file, line)} for file, line in (("a.py", 1), ("a.py", 2), ("b.py", 1))))
    kept = read_sarif(data, changed={"a.py": frozenset({2, 3})})
    assert [(finding.file, finding.line) for finding in kept] == [("a.py", 2)]


def test_a_changed_file_that_cannot_be_parsed_counts_wherever_the_parser_noticed() -> None:
    data = sarif({"ruleId": "invalid-syntax", "locations": located("a.py", 99)})
    assert len(read_sarif(data, changed={"a.py": frozenset({2})})) == 1
    assert not read_sarif(data, changed={"b.py": frozenset({2})})


def test_a_fingerprint_outlives_the_move_of_a_line() -> None:
    def fingerprint(line: int, code: str) -> str:
        data = sarif({"locations": located("a.py", line)})
        return read_sarif(data, line_text=lambda _file, _line: code)[0].fingerprint

    assert fingerprint(3, "  eval( x )") == fingerprint(30, "eval( x )")
    assert fingerprint(3, "eval(x)") != fingerprint(3, "eval(y)")


def test_the_tool_s_own_fingerprint_is_preferred() -> None:
    one, other = read_sarif(sarif(*({"partialFingerprints": {"p": "1"}, "locations": located(file)} for file in "ab")))
    assert one.fingerprint == other.fingerprint


def test_a_message_is_filled_in_from_the_rule() -> None:
    rule = {"id": "R1", "messageStrings": {"default": {"text": "{0} is not {1} {7}"}}}
    data = sarif({"message": {"id": "default", "arguments": ["a", "b"]}}, rules=(rule,))
    assert read_sarif(data)[0].message == "a is not b {7}"


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "sarif_empty"),
        (b"[]", "sarif_wrong_root"),
        (b'{"version": "2.1.0"}', "sarif_wrong_root"),
        (b'{"version": "2.0.0", "runs": []}', "sarif_wrong_version"),
        (b'{"version": "2.1.0", "runs": [7]}', "sarif_malformed"),
        (sarif()[:-5], "sarif_malformed"),
        (b"[" * 100_000, "sarif_malformed"),
        (sarif(results=None), "sarif_no_results"),
        (sarif(results=["x"]), "sarif_malformed"),
        (sarif(invocations=[{"executionSuccessful": False}]), "sarif_tool_failed"),
    ],
)
def test_what_is_broken_or_did_not_run_is_refused(data: bytes, code: str) -> None:
    with pytest.raises(Unreadable) as refused:
        read_sarif(data)
    assert refused.value.code == code


def test_the_reports_of_ruff_and_bandit_are_read(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("import os\nos.system(input())\nprint(undefined)\n")
    ruff = ["ruff", "check", "--isolated", "--no-cache", "--exit-zero", "--select", "F", "--output-format", "sarif"]
    bandit = ["bandit", "-q", "--exit-zero", "-f", "sarif"]
    found: dict[str, tuple[str, Severity, int]] = {}
    for tool in (ruff, bandit):
        argv = [sys.executable, "-m", *tool, "a.py"]
        report = subprocess.run(argv, cwd=tmp_path, capture_output=True, check=True).stdout
        found |= {finding.rule: (finding.tool, finding.severity, finding.line) for finding in read_sarif(report)}
    assert found["F821"] == ("ruff", Severity.CRITICAL, 3)
    assert found["B605"] == ("bandit", Severity.CRITICAL, 2)


def test_results_that_are_no_failure_or_not_new_are_dropped() -> None:
    kinds = ("pass", "notApplicable", "informational", "open", "review")
    states = ("unchanged", "absent")
    data = sarif(
        *({"kind": kind} for kind in kinds),
        *({"baselineState": state} for state in states),
        {"suppressions": [{"kind": "external", "status": "underReview"}], "ruleId": "under review"},
        {"kind": "fail", "baselineState": "new", "ruleId": "new"},
        {"baselineState": "updated", "ruleId": "updated"},
    )
    assert [finding.rule for finding in read_sarif(data)] == ["under review", "new", "updated"]


EXTENDED = {
    "driver": {"name": "Lint", "rules": [{"id": "R1", "defaultConfiguration": {"level": "note"}}]},
    "extensions": [
        {"name": "Pack", "guid": "g-1", "rules": [{"id": "X1", "defaultConfiguration": {"level": "error"}}]},
    ],
}


@pytest.mark.parametrize(
    "reference",
    [
        {"index": 0, "toolComponent": {"index": 0}},
        {"id": "X1", "toolComponent": {"name": "pack"}},
        {"id": "X1/deep", "toolComponent": {"guid": "g-1"}},
    ],
)
def test_a_rule_of_an_extension_gives_its_level(reference: dict[str, Any]) -> None:
    data = sarif({"ruleId": None, "rule": reference}, tool=EXTENDED)
    assert read_sarif(data)[0].severity is Severity.MAJOR


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        ({}, Severity.MAJOR),
        ({"level": "warning"}, Severity.MINOR),
        ({"provenance": {"invocationIndex": 1}}, Severity.INFO),
    ],
)
def test_an_invocation_sets_levels_anew_and_the_result_s_own_level_is_heard_first(
    result: dict[str, Any], expected: Severity
) -> None:
    override = {"descriptor": {"index": 0}, "configuration": {"level": "error"}}
    data = sarif(result, tool=EXTENDED, invocations=[{"ruleConfigurationOverrides": [override]}, {}])
    assert read_sarif(data)[0].severity is expected


def test_a_level_alone_makes_no_blocker_unless_the_weights_say_so() -> None:
    data = sarif({"level": "error"})
    heavy = Weights(by_level={"error": Severity.BLOCKER})
    assert read_sarif(data)[0].severity is Severity.MAJOR
    assert read_sarif(data, weights=heavy)[0].severity is Severity.BLOCKER


@pytest.mark.parametrize(
    ("tags", "tool", "rule", "expected"),
    [
        (["security"], "Lint", "R1", True),
        (["external/cwe/cwe-079"], "Lint", "R1", True),
        (["CWE-22: Path Traversal"], "Lint", "R1", True),
        ([], "Lint", "R1", False),
        (["maintainability"], "Lint", "R1", False),
        ([], "gosec", "G101", True),
        ([], "ruff", "S602", True),
        ([], "ruff", "SIM102", False),
    ],
)
def test_security_is_told_by_tags_or_by_the_tool(tags: list[str], tool: str, rule: str, expected: bool) -> None:
    driver = {"name": tool, "rules": [{"id": rule, "properties": {"tags": tags}}]}
    data = sarif({"ruleId": rule}, tool={"driver": driver})
    assert weighed_findings(data)[0].is_security is expected


def test_a_place_may_be_named_by_the_index_of_an_artifact_and_by_a_chain_of_bases() -> None:
    data = sarif(
        {"locations": [{"physicalLocation": {"artifactLocation": {"index": 1}, "region": {"startLine": 2}}}]},
        artifacts=[{}, {"location": {"uri": "a.py", "uriBaseId": "PKG"}}],
        originalUriBaseIds={"PKG": {"uri": "pkg/", "uriBaseId": "ROOT"}, "ROOT": {"uri": "file:///work/"}},
    )
    assert read_sarif(data)[0].file == "pkg/a.py"


def test_bases_that_start_from_each_other_end() -> None:
    bases = {"A": {"uri": "a/", "uriBaseId": "B"}, "B": {"uri": "b/", "uriBaseId": "A"}}
    data = sarif({"locations": located("x.py", uriBaseId="A")}, originalUriBaseIds=bases)
    assert read_sarif(data)[0].file.endswith("a/x.py")


def test_results_may_come_before_the_tool_that_found_them() -> None:
    whole = json.loads(sarif({}, rules=({"id": "R1", "properties": {"security-severity": "9.5"}},)))
    results_first = dict(sorted(whole["runs"][0].items()))
    data = json.dumps({"runs": [results_first], "version": "2.1.0"}).encode()
    assert list(results_first) == ["results", "tool"]
    assert read_sarif(data)[0].severity is Severity.BLOCKER


def test_results_that_lie_in_another_file_are_not_read_as_none() -> None:
    with pytest.raises(Unreadable) as refused:
        read_sarif(sarif(externalPropertyFileReferences={"results": [{"location": {"uri": "x.sarif"}}]}))
    assert refused.value.code == "sarif_no_results"
