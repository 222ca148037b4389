"""`rung run` as a user types it: its own system, one JSON object at the end, and the exit code."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.support.repositories import Case, all_tests_pass, git, src_layout, unittest_style
from tests.support.system import ROOT


def _rung_run(case: Case, data: Path, *more: str) -> tuple[int, dict[str, Any], str]:
    """Exit code, the last JSON object on standard output, and what was said on standard error."""
    command = [sys.executable, "-m", "libs.cli.main", "run", "--repo", str(case.path), "--title", case.title]
    options = ["--data", str(data), "--json", *more]
    done = subprocess.run(
        [*command, *options], cwd=ROOT, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )
    return done.returncode, json.loads(done.stdout.splitlines()[-1]), done.stderr


def test_a_defect_is_merged_and_a_clean_working_copy_moves_along(tmp_path: Path) -> None:
    case = src_layout(tmp_path / "repository")
    body = tmp_path / "body.md"
    body.write_text(case.body)
    code, result, said = _rung_run(case, tmp_path / "data", "--body-file", str(body), "--approve-as", "me")
    assert (code, result["outcome"]) == (0, "merged"), said
    assert git(case.path, "rev-parse", "HEAD") == result["commit"]
    assert git(case.path, "status", "--porcelain") == ""
    assert result["branch"] == f"rung/{result['run']}"
    assert [(phase["phase"], phase["outcome"]) for phase in result["phases"]] == [
        *((phase, "pass") for phase in ("plan", "build", "test", "review", "document", "deploy")),
        ("monitor", "no_data"),
    ]
    assert all(phase["attempts"] == 1 and phase["reasons"] for phase in result["phases"])


def test_uncommitted_work_keeps_everything_where_it_is_and_the_command_says_it_waits(tmp_path: Path) -> None:
    case = unittest_style(tmp_path / "repository")
    assert case.changed_file is not None
    tip = git(case.path, "rev-parse", "HEAD")
    (case.path / case.changed_file).write_text("work = 'in progress'\n")
    code, result, said = _rung_run(case, tmp_path / "data", "--approve-as", "me")
    assert (code, result["outcome"]) == (3, "waiting"), said
    assert case.changed_file in result["reason"]
    assert git(case.path, "rev-parse", "HEAD") == tip
    assert git(case.path, "rev-parse", result["branch"]) == result["commit"]
    assert (case.path / case.changed_file).read_text() == "work = 'in progress'\n"


def test_nothing_to_repair_is_declined_with_a_reason(tmp_path: Path) -> None:
    case = all_tests_pass(tmp_path / "repository")
    code, result, _ = _rung_run(case, tmp_path / "data", "--approve-as", "me")
    assert (code, result["outcome"], result["commit"]) == (1, "declined", None)
    assert "tests pass" in result["reason"]


def test_without_a_person_the_first_checkpoint_ends_the_command_waiting(tmp_path: Path) -> None:
    case = all_tests_pass(tmp_path / "repository")
    code, result, _ = _rung_run(case, tmp_path / "data")
    assert (code, result["outcome"]) == (3, "waiting")
    assert {"reject", "guide", "override"} & set(result["checkpoint"]["answers"]) == {"reject", "guide", "override"}
