"""`rung gate try`: report files judged by a workflow's gates, without any service."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from libs.cli.main import main

JUNIT = '<testsuite><testcase name="a"/><testcase name="b">{}</testcase></testsuite>'
GREEN, RED = JUNIT.format(""), JUNIT.format('<failure message="no"/>')
LCOV = "TN:\nSF:shop.py\nDA:1,1\nDA:2,{}\nend_of_record\n"
DIFF = "--- a/shop.py\n+++ b/shop.py\n@@ -1,1 +1,2 @@\n a = 1\n+b = 2\n"
SARIF = {
    "version": "2.1.0",
    "runs": [
        {
            "tool": {"driver": {"name": "bandit"}},
            "results": [
                {
                    "ruleId": "B602",
                    "level": "error",
                    "message": {"text": "shell"},
                    "properties": {"issue_severity": "HIGH", "issue_confidence": "HIGH"},
                    "locations": [
                        {
                            "physicalLocation": {
                                "artifactLocation": {"uri": "shop.py"},
                                "region": {"startLine": 2},
                            }
                        }
                    ],
                }
            ],
        }
    ],
}


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def write(name: str, content: str) -> str:
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).write_text(content)
    return name


Tried = Callable[..., tuple[int, dict[str, Any]]]


@pytest.fixture
def tried(capsys: pytest.CaptureFixture[str]) -> Tried:
    def run(*words: str) -> tuple[int, dict[str, Any]]:
        code = main(["gate", "try", "--json", *words])
        return code, json.loads(capsys.readouterr().out)

    return run


def test_a_green_report_passes_and_a_red_one_does_not(tried: Tried) -> None:
    code, told = tried("--junit", write("green.xml", GREEN))
    assert (code, told["outcome"]) == (0, "pass")
    assert told["evidence"]["tests"] == {"passed": 2, "failed": 0, "skipped": 0, "errors": 0, "flaky": 0}
    code, told = tried("--junit", write("red.xml", RED))
    assert (code, told["outcome"], told["criteria"][0]["code"]) == (1, "fail", "tests_failed")


def test_several_files_and_globs_are_one_report(tried: Tried) -> None:
    write("reports/one.xml", GREEN)
    write("reports/two.xml", RED)
    _, told = tried("--junit", "reports/*.xml", "--junit", write("three.xml", GREEN))
    assert told["evidence"]["tests"] == {"passed": 5, "failed": 1, "skipped": 0, "errors": 0, "flaky": 0}


def test_reports_are_told_apart_by_content(tried: Tried) -> None:
    files = [write("t", GREEN), write("c", LCOV.format(1)), write("s", json.dumps(SARIF)), write("d", DIFF)]
    _, told = tried(*files)
    evidence = told["evidence"]
    assert evidence["tests"]["passed"] == 2
    assert evidence["coverage"] == {"lines_ratio": 1.0, "changed_ratio": 1.0}
    assert sum(evidence["findings"].values()) == 1
    assert evidence["files_changed"] == 1


def test_the_workflow_says_what_is_asked(tried: Tried) -> None:
    workflow = write("workflow.yaml", "gates: {test: {all_pass: true, coverage_min: base, has_diagram: true}}\n")
    reports = ["--junit", write("t.xml", GREEN), "--coverage", write("c.info", LCOV.format(0))]
    code, told = tried("--workflow", workflow, *reports)
    assert {one["name"]: one["outcome"] for one in told["criteria"]} == {
        "all_pass": "pass",
        "coverage_min": "no_data",
        "has_diagram": "no_data",
    }
    assert code == 1
    more = ["--base-coverage", write("b.info", LCOV.format(1)), "--values", write("v.json", '{"has_diagram": true}')]
    _, told = tried("--workflow", workflow, *reports, *more)
    by_name = {one["name"]: one for one in told["criteria"]}
    assert (by_name["coverage_min"]["outcome"], by_name["coverage_min"]["margin"]) == ("fail", -50.0)
    assert by_name["has_diagram"]["outcome"] == "pass"


def test_findings_count_on_changed_lines_alone_where_there_is_a_diff(tried: Tried) -> None:
    sarif = write("s.sarif", json.dumps(SARIF))
    code, told = tried("--sarif", sarif)
    assert (code, told["phase"], told["outcome"]) == (1, "review", "fail")
    other = write("d.diff", DIFF.replace("shop.py", "other.py"))
    code, told = tried("--phase", "review", "--sarif", sarif, "--diff", other)
    assert (code, sum(told["evidence"]["findings"].values())) == (0, 0)


@pytest.mark.parametrize("broken", ["", "<testsuite>", "<x/>", "{}", "nonsense"])
def test_a_broken_report_never_passes_and_says_why(tried: Tried, broken: str) -> None:
    code, told = tried("--junit", write("green.xml", GREEN), "--junit", write("broken.xml", broken))
    assert code == 1
    assert told["outcome"] not in ("pass", "warn")
    assert any("broken.xml" in one["message"] for one in told["criteria"])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "Nothing to judge"),
        (["--junit", "nowhere.xml"], "matches no file"),
        (["unknown.bin"], "What kind of report this is cannot be told"),
        (["--workflow", "bad.yaml", "--junit", "t.xml"], "The workflow is refused: bad.yaml:1"),
        (["--phase", "tests", "--junit", "t.xml"], "did you mean test"),
        (["--team", "web", "--junit", "t.xml"], "it names none"),
    ],
)
def test_wrong_usage_is_a_sentence(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    write("unknown.bin", "what is this")
    write("bad.yaml", "gates: {test: {all_passs: true}}")
    write("t.xml", GREEN)
    assert main(["gate", "try", *words]) == 2
    assert said in " ".join(capsys.readouterr().err.split())
