"""The document phase: the changelog's entry, and the text of the pull request from what was measured."""

import re
from typing import Any

from . import changelog
from .diagnosis import Declined
from .inputs import Inputs, inert, quoted

FILES_SHOWN = 50
TARGETS_SHOWN = 20


def document(inputs: Inputs) -> None:
    title = inert(inputs.issue.title) or changed_summary(inputs)
    try:
        path = changelog.add(inputs.root, sentence(title))
    except OSError as error:
        raise Declined(f"The changelog cannot be written: {error.strerror or error}.") from None
    inputs.write("pull_request.md", pull_request(inputs, title))
    inputs.write("report.md", report(path, title))


def changed_summary(inputs: Inputs) -> str:
    files = changed_files(inputs.text("diff.patch"))
    return f"Repair {inert(', '.join(files), 200)}" if files else "Repair failing tests"


def sentence(title: str) -> str:
    return title if title.endswith((".", "!", "?", "…")) else f"{title}."


def changed_files(patch: str) -> dict[str, tuple[int, int]]:
    """By file of a unified diff the lines added and removed."""
    found: dict[str, tuple[int, int]] = {}
    name = ""
    for block in re.split(r"^(?=diff --git |--- )", patch, flags=re.MULTILINE):
        heading = re.search(r"^\+\+\+ (?:b/)?([^\t\r\n]+)", block, flags=re.MULTILINE)
        gone = re.search(r"^--- (?:a/)?([^\t\r\n]+)", block, flags=re.MULTILINE)
        if heading is None:
            continue
        name = heading.group(1) if heading.group(1) != "/dev/null" or gone is None else gone.group(1)
        body = block[heading.end() :].splitlines()
        found[name] = (sum(line.startswith("+") for line in body), sum(line.startswith("-") for line in body))
    return found


def pull_request(inputs: Inputs, title: str) -> str:
    files = changed_files(inputs.text("diff.patch"))
    changes = [f"- `{inert_path(name)}` (+{new} -{old}): {why(inputs, name)}" for name, (new, old) in files.items()]
    body = inputs.issue.body.strip()
    return "\n".join([
        "## Summary",
        "",
        sentence(title),
        *(["", "The issue says:", "", quoted(body)] if body else []),
        "",
        "## Changes",
        "",
        *(changes[:FILES_SHOWN] or ["- No change of code was handed to this phase."]),
        "",
        "## Test Evidence",
        "",
        *evidence(inputs.data("evidence.json")),
        "",
        "## Plan Reference",
        "",
        *plan_reference(inputs),
        "",
    ])  # fmt: skip


def inert_path(name: str) -> str:
    return name.replace("`", "'")[:200]


def why(inputs: Inputs, name: str) -> str:
    suspects = [item for item in listed(inputs.plan.get("suspects")) if isinstance(item, dict)]
    scores = [item.get("score") for item in suspects if item.get("file") == name]
    numbers = [score for score in scores if isinstance(score, int | float)]
    if not numbers:
        return "part of the change."
    return f"the failing tests point here (suspicion {max(numbers):.2f} of 1)."


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def evidence(told: Any) -> list[str]:
    """The measured numbers, one line each; what was not measured is said to be missing."""
    given = told if isinstance(told, dict) else {}
    lines = []
    tests = given.get("tests")
    if isinstance(tests, dict):
        counts = [
            f"{tests[name]} {name}" for name in ("passed", "failed", "errors", "skipped") if is_count(tests.get(name))
        ]
        lines += [f"- Tests: {', '.join(counts)}."] if counts else []
        if is_count(tests.get("targets_passed")) and listed(tests.get("targets")):
            lines.append(
                f"- Tests that the plan set out to repair: {tests['targets_passed']} of {len(tests['targets'])} pass."
            )
    coverage = given.get("coverage")
    if isinstance(coverage, dict) and is_count(coverage.get("covered_count")) and is_count(coverage.get("lines_count")):
        covered, total = coverage["covered_count"], coverage["lines_count"]
        share = f" ({100 * covered / total:.1f}%)" if total else ""
        lines.append(f"- Coverage: {covered} of {total} lines{share}.")
    return lines or ["- No test results were handed to this phase."]


def is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def plan_reference(inputs: Inputs) -> list[str]:
    targets = [str(item) for item in listed(inputs.plan.get("targets"))]
    if not targets:
        return ["No plan was handed to this phase."]
    more = [f"- and {len(targets) - TARGETS_SHOWN} more"] if len(targets) > TARGETS_SHOWN else []
    named = [f"- `{inert_path(item)}`" for item in targets[:TARGETS_SHOWN]]
    return ["The plan set out to make these tests pass:", "", *named, *more]


def report(path: str, title: str) -> str:
    return "\n".join([
        "# Document",
        "",
        f'- `{inert_path(path)}`: one entry, "{sentence(title)}"',
        "- The text of the pull request: summary, changes, test evidence, plan reference.",
        "",
        "Nothing else needed words: a repair changes no interface and no option.",
        "",
    ])  # fmt: skip
