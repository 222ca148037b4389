"""The plan phase: runs the suite, says which tests fail, where the fault is likely to be, and what would be done."""

import itertools
from typing import Any

from .diagnosis import Diagnosis, diagnose
from .inputs import Inputs, inert, one_line
from .localise import Suspect
from .suite import copy, workplace

FILES_SHOWN = 15


def plan(inputs: Inputs) -> None:
    with workplace() as place:
        diagnosis = diagnose(copy(inputs.root, place), inputs.budget_s)
    suspects = diagnosis.spectrum.suspects()
    inputs.write_data("plan.json", as_data(diagnosis, suspects))
    inputs.write("report.md", narrative(inputs, diagnosis, suspects))


def as_data(diagnosis: Diagnosis, suspects: list[Suspect]) -> dict[str, Any]:
    result = diagnosis.result
    return {
        "targets": [test.id for test in diagnosis.failing],
        "suspects": [{"file": item.file, "line": item.line, "score": item.score} for item in suspects],
        "baseline": {
            "passed": len(result.passing),
            "failed": len(result.failing),
            "skipped": len(result.tests) - len(result.passing) - len(result.failing),
            "duration_s": round(result.duration_s, 3),
        },
        "method": "Ochiai over per-test line coverage",
    }


PROMISES = """\
## Test Strategy

The failing tests above already state what is wrong; they are the targets. Each edit is tried against them
and the passing tests that run the edited line, then against the whole suite in a fresh interpreter.

## What We Are NOT Doing

- No test, fixture or configuration is changed, and no test is skipped.
- No new feature, dependency or file; nothing beyond the smallest edit that mends the tests.
- No reformatting: comments, layout, encoding and line ends stay.
"""


def narrative(inputs: Inputs, diagnosis: Diagnosis, suspects: list[Suspect]) -> str:
    parts = [
        ["# Plan", ""],
        summary(inputs, diagnosis),
        files(suspects),
        [PROMISES, "## Acceptance Criteria", ""],
        [f"- `{test.id}` passes." for test in diagnosis.failing],
        [f"- The {len(diagnosis.result.passing)} tests that pass today still pass.", "", "## Risk Assessment", ""],
        risks(diagnosis, suspects),
    ]
    return "\n".join(itertools.chain.from_iterable(parts)) + "\n"


def summary(inputs: Inputs, diagnosis: Diagnosis) -> list[str]:
    result, body = diagnosis.result, one_line(inputs.issue.body, 600)
    return [
        "## Summary",
        "",
        f"Issue: {inert(inputs.issue.title, 200) or '(the issue has no title)'}",
        *(["", f"> {inert(body, 600)}"] if body else []),
        "",
        f"{len(result.failing)} of {len(result.tests)} tests fail; {len(result.passing)} pass.",
        "They run the suspect lines below, which passing tests run less often or not at all.",
        "",
        *(f"- `{test.id}`: {inert(test.message, 200)}" for test in diagnosis.failing),
        "",
    ]


def files(suspects: list[Suspect]) -> list[str]:
    named = ", ".join(f"`{name}`" for name in dict.fromkeys(item.file for item in suspects))
    return [
        "## Files to Modify",
        "",
        f"One of {named}, at the place where a small edit mends the tests.",
        "The suspect lines, most suspicious first:",
        "",
        *(f"- `{item.file}:{item.line}` (suspicion {item.score:.2f})" for item in suspects[:FILES_SHOWN]),
        "",
    ]


def risks(diagnosis: Diagnosis, suspects: list[Suspect]) -> list[str]:
    """What could make a repair wrong although the tests pass."""
    top = sum(item.score == suspects[0].score for item in suspects)
    found = [
        f"- {top} line{'s share' if top > 1 else ' has'} the highest suspicion; tests alone decide between them.",
        "- An edit that satisfies the tests may still miss what the issue means; the review has to look at it.",
    ]
    if len(diagnosis.failing) > 1 and not diagnosis.spectrum.has_common_line:
        found.append("- No line is run by all failing tests, so there may be more than one defect.")
    return found
