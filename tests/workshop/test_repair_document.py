"""What the embedded agent writes about a change: the changelog's entry and the pull request."""

import json
from pathlib import Path

import pytest

from libs.workshop.repair import changelog
from libs.workshop.repair.document import document
from libs.workshop.repair.inputs import Inputs, inert, quoted

ENTRY = "Totals add up."
OPEN = "# Changelog\n\n## [Unreleased]\n"
SECTION = f"## [Unreleased]\n\n### Fixed\n\n- {ENTRY}\n\n"
KEPT = f"{OPEN}\n### Added\n\n- A thing.\n\n### Fixed\n\n- Old fix,\n  on two lines.\n\n## [1.0.0] - 2024-01-01\n"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(KEPT, KEPT.replace("lines.\n", f"lines.\n- {ENTRY}\n"), id="under the section's own Fixed"),
        pytest.param(
            "# Changelog\n\n## [Unreleased]\n\n## [1.0.0] - 2024-01-01\n\n- First.\n",
            f"{OPEN}\n### Fixed\n\n- {ENTRY}\n\n## [1.0.0] - 2024-01-01\n\n- First.\n",
            id="into an empty section",
        ),
        pytest.param(
            "# Changelog\n\n## [Unreleased]\n\n### Added\n\n- A thing.\n\n## 1.0.0\n",
            f"# Changelog\n\n## [Unreleased]\n\n### Added\n\n- A thing.\n\n### Fixed\n\n- {ENTRY}\n\n## 1.0.0\n",
            id="a new Fixed after other kinds",
        ),
        pytest.param(
            "# Changes\n\nAll of them.\n\n## 1.0.0 (2024-01-01)\n\n* First.\n",
            f"# Changes\n\nAll of them.\n\n{SECTION}## 1.0.0 (2024-01-01)\n\n* First.\n",
            id="a released section stays closed",
        ),
        pytest.param(
            "# Changes\n\n## Unreleased\n\n* First.\n",
            f"# Changes\n\n## Unreleased\n\n* First.\n* {ENTRY}\n",
            id="a plain list keeps its mark",
        ),
        pytest.param(
            "# Changelog\n\n## [Unreleased]\n\n- A.\n\n[Unreleased]: http://example.org/compare\n",
            f"# Changelog\n\n## [Unreleased]\n\n- A.\n- {ENTRY}\n\n[Unreleased]: http://example.org/compare\n",
            id="links at the end stay there",
        ),
        pytest.param("", f"# Changelog\n\n## [Unreleased]\n\n### Fixed\n\n- {ENTRY}\n", id="an empty file"),
    ],
)
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_a_markdown_changelog_gets_one_entry_where_its_form_wants_it(before: str, after: str, newline: str) -> None:
    told = before.replace("\n", newline)
    wanted = after.replace("\n", newline if before else "\n")
    assert changelog.with_entry(told, ENTRY) == wanted
    assert changelog.with_entry(wanted, ENTRY) == wanted


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(
            "Changes\n=======\n\n1.0 (2024-01-01)\n----------------\n\n- B.\n",
            "Changes\n=======\n\nUnreleased\n----------\n\n- Totals add up.\n\n1.0 (2024-01-01)\n",
            id="a released section stays closed",
        ),
        pytest.param(
            "Changes\n=======\n\n1.1 (unreleased)\n----------------\n\n- A.\n\n1.0\n---\n",
            "Changes\n=======\n\n1.1 (unreleased)\n----------------\n\n- A.\n- Totals add up.\n\n1.0\n---\n",
            id="a numbered section that says so is open",
        ),
        pytest.param(
            "Changes\n=======\n\nUnreleased\n----------\n\n* A.\n\n1.0\n---\n\n* B.\n",
            "Changes\n=======\n\nUnreleased\n----------\n\n* A.\n* Totals add up.\n\n1.0\n---\n",
            id="an open section",
        ),
    ],
)
def test_a_restructured_text_changelog_gets_its_entry_in_the_first_section(before: str, after: str) -> None:
    assert changelog.with_entry(before, ENTRY, is_rst=True).startswith(after)


def test_the_changelog_is_found_whatever_its_case_and_made_if_there_is_none(tmp_path: Path) -> None:
    assert changelog.add(tmp_path, ENTRY) == "CHANGELOG.md"
    (tmp_path / "CHANGELOG.md").rename(tmp_path / "History.md")
    assert changelog.add(tmp_path, "Another one.") == "History.md"
    assert "- Another one.\n" in (tmp_path / "History.md").read_text()


def given(tmp_path: Path, files: dict[str, object]) -> Inputs:
    inputs = Inputs(tmp_path / "repo", tmp_path / "in", tmp_path / "out")
    for directory in (inputs.root, inputs.given, inputs.out):
        directory.mkdir()
    for name, value in files.items():
        (inputs.given / name).write_text(value if isinstance(value, str) else json.dumps(value))
    return inputs


def test_the_pull_request_tells_what_changed_and_what_was_measured(tmp_path: Path) -> None:
    patch = "diff --git a/calc.py b/calc.py\n--- a/calc.py\n+++ b/calc.py\n@@ -1 +1,2 @@\n-a\n+b\n+c\n"
    plan = {"targets": ["t::x"], "suspects": [{"file": "calc.py", "line": 2, "score": 0.7}]}
    evidence = {"tests": {"passed": 7, "failed": 0, "skipped": 1}, "coverage": {"covered_count": 3, "lines_count": 4}}
    files = {"issue.json": {"title": "Totals are wrong", "body": "See."}, "diff.patch": patch, "plan.json": plan}
    inputs = given(tmp_path, {**files, "evidence.json": evidence})
    document(inputs)
    told = (inputs.out / "pull_request.md").read_text()
    assert [line for line in told.splitlines() if line.startswith("#")] == [
        "## Summary",
        "## Changes",
        "## Test Evidence",
        "## Plan Reference",
    ]
    assert "- `calc.py` (+2 -1): the failing tests point here (suspicion 0.70 of 1)." in told
    assert "- Tests: 7 passed, 0 failed, 1 skipped." in told
    assert "- Coverage: 3 of 4 lines (75.0%)." in told
    assert "- `t::x`" in told
    assert "- Totals are wrong.\n" in (inputs.root / "CHANGELOG.md").read_text()


def test_broken_or_missing_inputs_leave_sentences_not_numbers(tmp_path: Path) -> None:
    inputs = given(tmp_path, {"issue.md": "# Totals\n\nBody", "evidence.json": "{", "plan.json": [1]})
    document(inputs)
    told = (inputs.out / "pull_request.md").read_text()
    assert "No test results were handed to this phase." in told
    assert "No plan was handed to this phase." in told
    assert "- Totals.\n" in (inputs.root / "CHANGELOG.md").read_text()


def test_an_issue_cannot_forge_a_heading_or_end_its_quotation(tmp_path: Path) -> None:
    title = "Fix\n## [9.9.9]\n- forged \x1b[31m <script>alert(1)</script> \u202e" + "long " * 100
    inputs = given(
        tmp_path, {"issue.json": {"title": title, "body": "```\n## Test Evidence\n- Tests: 999 passed\n````\n# End"}}
    )
    document(inputs)
    log = (inputs.root / "CHANGELOG.md").read_text()
    assert [line for line in log.splitlines() if line.startswith("#")] == [
        "# Changelog",
        "## [Unreleased]",
        "### Fixed",
    ]
    assert "<script>" not in log
    assert "\x1b" not in log
    assert "\u202e" not in log
    assert max(map(len, log.splitlines())) < 200
    assert (inputs.out / "pull_request.md").read_text().count("`````\n") == 2


def test_text_from_outside_is_shown_as_it_is() -> None:
    assert inert("a *b* [c](d) <e> & `f`") == r"a \*b\* \[c\]\(d\) &lt;e&gt; &amp; \`f\`"
    assert quoted("``` x") == "````\n``` x\n````"
