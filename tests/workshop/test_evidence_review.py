"""Reviews by kind of tool, waivers, values of the repository's own, and what a plan does not name."""

import datetime as dt
import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from libs.contracts.evidence import ChangedFile, Finding, ReviewEvidence
from libs.contracts.words import Severity
from libs.contracts.workflow import WaiverPolicy
from libs.workshop.evidence.adherence import strayed
from libs.workshop.evidence.findings import FINDINGS_KEPT, counted, findings_file
from libs.workshop.evidence.reading import left_behind
from libs.workshop.evidence.review import Review, run_review, tools_of
from libs.workshop.evidence.values import FILES_MAX, VALUES_MAX, read_values
from libs.workshop.evidence.waivers import waive
from libs.workshop.sandbox import Sandbox

NOON = dt.datetime(2026, 3, 10, 12, tzinfo=dt.UTC).timestamp()


@pytest.fixture(scope="module")
def sandbox() -> Sandbox:
    return Sandbox()


def fill(root: Path, files: Mapping[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def sarif(tool: str, *results: tuple[str, str, str, int]) -> str:
    """A report of one tool: rule, level, file and line of each result."""
    told = [
        {
            "ruleId": rule,
            "level": level,
            "message": {"text": f"{rule} in {file}"},
            "locations": [{"physicalLocation": {"artifactLocation": {"uri": file}, "region": {"startLine": line}}}],
        }
        for rule, level, file, line in results
    ]
    return json.dumps({"version": "2.1.0", "runs": [{"tool": {"driver": {"name": tool}}, "results": told}]})


def write(path: str, text: str) -> str:
    return f"printf %s {shlex.quote(text)} > {path}"


def finding(fingerprint: str, severity: Severity = Severity.CRITICAL, tool: str = "ruff", **more: Any) -> Finding:
    return Finding(tool=tool, rule="X1", severity=severity, file="a.py", line=1, fingerprint=fingerprint, **more)


def reviewed(*findings: Finding) -> Review:
    return Review(counted(ReviewEvidence(tools=("ruff",)), findings), (), findings=findings)


def waiver(fingerprint: str, expires: dt.date) -> WaiverPolicy:
    return WaiverPolicy(fingerprint=fingerprint, reason="accepted", author="ann", expires=expires)


async def test_findings_are_of_security_of_linters_or_of_type_checkers(sandbox: Sandbox, tmp_path: Path) -> None:
    reports = {
        "lint.sarif": sarif("eslint", ("no-undef", "error", "a.js", 1), ("semi", "warning", "a.js", 1)),
        "types.sarif": sarif("mypy-sarif", ("arg-type", "error", "a.js", 1), ("arg-type", "error", "a.js", 9)),
        "audit.sarif": sarif("gosec", ("G101", "error", "a.js", 1)),
    }
    commands = [write(path, text) for path, text in reports.items()]
    fill(tmp_path, {"a.js": "x\n", "b.py": "import os\n\n\ndef go(x):\n    os.system(x)\n"})
    changed = {"a.js": frozenset({1}), "b.py": frozenset({5})}
    review = await run_review(sandbox, tmp_path, changed, commands=commands, reports=("*.sarif",))
    assert review.problems == ()
    assert review.evidence is not None
    assert (review.evidence.lint_errors, review.evidence.lint_warnings) == (1, 1)
    assert review.evidence.type_errors == 1
    assert review.evidence.security == 2
    assert {one.tool for one in review.evidence.findings if one.is_security} == {"gosec", "bandit"}
    assert set(review.analysers) == {"ruff", "bandit", "eslint", "mypy-sarif", "gosec"}


async def test_what_is_on_untouched_lines_is_present_but_counts_nowhere(sandbox: Sandbox, tmp_path: Path) -> None:
    fill(tmp_path, {"a.py": "import os\n\n\ndef go(x):\n    os.system(x)\n"})
    review = await run_review(sandbox, tmp_path, {"a.py": frozenset()})
    assert review.evidence is not None
    assert review.findings == ()
    assert (review.evidence.security, review.evidence.type_errors) == (0, None)
    assert len(review.present["a.py"]) == 1
    assert review.evidence.command == "ruff check --isolated --select E9,F,B,S,PLE a.py; bandit --quiet a.py"


async def test_mypy_is_asked_where_the_repository_configures_it(sandbox: Sandbox, tmp_path: Path) -> None:
    code = "import nowhere_to_be_found\n\nx: int = 'a'\ny: int = 'b'\n"
    fill(tmp_path, {"a.py": code, "pyproject.toml": "[tool.mypy]\nstrict = true\n"})
    review = await run_review(sandbox, tmp_path, {"a.py": frozenset({1, 3})})
    assert review.evidence is not None
    assert review.evidence.type_errors == 1
    assert [(one.rule, one.line) for one in review.findings if one.tool == "mypy"] == [("assignment", 3)]
    assert "mypy" in review.evidence.tools


async def test_mypy_that_cannot_work_here_was_not_heard(sandbox: Sandbox, tmp_path: Path) -> None:
    fill(tmp_path, {"a.py": "x: int = 'a'\n", "mypy.ini": "[mypy]\nplugins = no_such_plugin\n"})
    review = await run_review(sandbox, tmp_path, {"a.py": frozenset({1})})
    assert review.problems == ()
    assert review.evidence is not None
    assert review.evidence.type_errors is None


@pytest.mark.parametrize(
    ("checker", "said"),
    [
        ("mypy", "a.ts:1: error: Bad thing  [arg-type]"),
        ("pyright", "  /work/a.ts:1:5 - error: Bad thing (reportArgumentType)"),
        ("tsc", "a.ts(1,5): error TS2322: Bad thing."),
    ],
)
async def test_a_type_checker_without_a_report_is_heard_by_what_it_prints(
    sandbox: Sandbox, tmp_path: Path, checker: str, said: str
) -> None:
    fill(tmp_path, {"a.ts": "one\ntwo\n", checker: f"#!/bin/sh\necho '{said}'\nexit 1\n"})
    (tmp_path / checker).chmod(0o755)
    for lines, count in (({1}, 1), ({2}, 0)):
        review = await run_review(sandbox, tmp_path, {"a.ts": frozenset(lines)}, commands=(f"./{checker}",))
        assert review.problems == ()
        assert review.evidence is not None
        assert review.evidence.type_errors == count


async def test_a_type_checker_that_fails_without_a_word_is_no_answer(sandbox: Sandbox, tmp_path: Path) -> None:
    fill(tmp_path, {"a.ts": "one\n", "tsc": "#!/bin/sh\nexit 2\n"})
    (tmp_path / "tsc").chmod(0o755)
    commands = ("./tsc --noEmit", write("x.sarif", sarif("eslint")))
    review = await run_review(sandbox, tmp_path, {"a.ts": frozenset({1})}, commands=commands, reports=("*.sarif",))
    assert [problem.code for problem in review.problems] == ["lint_failed"]
    assert review.evidence is None


def test_a_report_names_its_tools_also_when_they_found_nothing() -> None:
    assert tools_of(sarif("Pyright").encode()) == ("pyright",)


def test_a_waived_finding_is_in_no_count_until_its_day_is_over() -> None:
    review = reviewed(finding("f1", is_security=True), finding("f2", Severity.MAJOR))
    waivers = (waiver("f1", dt.date(2026, 3, 10)), waiver("other", dt.date(2026, 3, 10)))
    evidence, left = waive(review, waivers, NOON)
    assert evidence is not None
    assert (evidence.critical, evidence.security, evidence.major) == (0, 0, 1)
    assert [one.fingerprint for one in left] == ["f2"]
    assert [(one.fingerprint, one.author, one.days_left) for one in evidence.waived] == [("f1", "ann", 0)]


def test_an_expired_waiver_is_listed_and_its_finding_counts() -> None:
    evidence, left = waive(reviewed(finding("f1")), (waiver("f1", dt.date(2026, 3, 8)),), NOON)
    assert evidence is not None
    assert evidence.critical == 1
    assert [one.fingerprint for one in left] == ["f1"]
    assert [one.days_left for one in evidence.waived] == [-2]


def test_of_two_waivers_for_one_finding_the_longer_holds() -> None:
    waivers = (waiver("f1", dt.date(2026, 4, 1)), waiver("f1", dt.date(2026, 1, 1)))
    evidence, left = waive(reviewed(finding("f1")), waivers, NOON)
    assert left == ()
    assert evidence is not None
    assert [one.days_left for one in evidence.waived] == [22]


def test_findings_beyond_those_a_fact_names_are_filed() -> None:
    many = [finding(f"f{number}", Severity.MINOR) for number in range(FINDINGS_KEPT + 5)]
    evidence = counted(ReviewEvidence(tools=("ruff",)), many)
    told = json.loads(findings_file(many, tools=("ruff",), present={"a.py": frozenset({"f1"})}, removed=("b.py",)))
    assert (evidence.minor, len(evidence.findings)) == (FINDINGS_KEPT + 5, FINDINGS_KEPT)
    assert [one["fingerprint"] for one in told["findings"]] == [one.fingerprint for one in many]
    assert (told["left_out"], told["present"], told["removed"]) == (0, {"a.py": ["f1"]}, ["b.py"])


async def test_linters_leave_values_and_old_files_measure_nothing(sandbox: Sandbox, tmp_path: Path) -> None:
    fill(tmp_path, {"old.json": '{"bundle_kb": 1}', "a.js": "x\n"})
    commands = (write("new.json", '{"has_licence": true, "bundle_kb": 12.5}'),)
    review = await run_review(sandbox, tmp_path, {"a.js": frozenset({1})}, commands=commands, values=("*.json",))
    assert review.problems == ()
    assert review.reported == {"has_licence": True, "bundle_kb": 12.5}
    assert review.reported["has_licence"] is True
    assert "new.json" in review.reports


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[1]",
        "{",
        '{"a": {"b": 1}}',
        '{"a": null}',
        '{"a": [1]}',
        '{"a": NaN}',
        '{"a": 1e400}',
        '{"a": 1' + "0" * 30 + "}",
        '{"a b": 1}',
        '{"a": 1, "a": 2}',
        json.dumps({"a": "x" * 501}),
        json.dumps({f"n{number}": 1 for number in range(VALUES_MAX + 1)}),
        '{"a": "' + "x" * 2**18 + '"}',
    ],
)
def test_a_file_that_is_no_flat_object_of_values_gives_none(tmp_path: Path, text: str) -> None:
    found = read_values(fill(tmp_path, {"v.json": text}), ("*.json",))
    assert found.reported == {}
    assert [problem.code for problem in found.problems] == ["values_malformed"]


def test_files_may_not_contradict_each_other(tmp_path: Path) -> None:
    found = read_values(fill(tmp_path, {"a.json": '{"x": 1}', "b.json": '{"x": true, "y": 2}'}), ("*.json",))
    assert found.reported == {"x": 1}
    assert [problem.code for problem in found.problems] == ["values_malformed"]


def test_a_link_is_no_file_of_values_and_their_number_is_bounded(tmp_path: Path) -> None:
    fill(tmp_path, {f"{number}.json": "{}" for number in range(FILES_MAX + 1)})
    (tmp_path / "z.txt").write_text('{"x": 1}')
    (tmp_path / "link.json").symlink_to("z.txt")
    assert "link.json" not in left_behind(tmp_path, ("*.json",))
    found = read_values(tmp_path, ("*.json",))
    assert found.reported == {}
    assert len(found.problems) == 1


def test_changed_files_that_no_plan_names_have_strayed() -> None:
    plan = "Fix `total` in `src/cart.py`.\n\n## Files to Create\n- src/rates.py\n"
    paths = ("src/cart.py", "src/rates.py", "src/other.py", "tests/test_cart.py", "docs/cart.md", "CHANGELOG.md")
    files = [ChangedFile(path=path, status="M") for path in paths]
    assert strayed(files, plan=plan) == ("src/other.py",)
    assert strayed(files, plan=plan, named=("src/other.py",)) == ()


def test_a_wide_change_is_held_against_the_whole_plan() -> None:
    paths = [f"src/part{number}.py" for number in range(450)]
    plan = "\n".join(f"- `{path}`" for path in paths[:-1])
    assert strayed([ChangedFile(path=path, status="A") for path in paths], plan=plan) == (paths[-1],)
