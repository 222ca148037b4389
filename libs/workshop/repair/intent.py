"""The intent phase: the issue restated; this agent invents no requirement that nobody wrote."""

from .inputs import Inputs, inert, quoted


def intent(inputs: Inputs) -> None:
    issue = inputs.issue
    body, guidance = issue.body.strip(), inputs.text("guidance.md").strip()
    inputs.write("report.md", "\n".join([
        "# Intent",
        "",
        f"Issue: {inert(issue.title, 200) or '(the issue has no title)'}",
        "",
        "## Problem",
        "",
        quoted(body) if body else "The issue says no more than its title.",
        *(["", "A person of the project adds:", "", quoted(guidance)] if guidance else []),
        "",
        "## Acceptance Criteria",
        "",
        "- The tests that fail today because of this pass.",
        "- The tests that pass today still pass.",
        "",
        "## Scope",
        "",
        "The smallest edit of the code that mends the failing tests; no new feature, and no change of a test.",
        "",
    ]))  # fmt: skip
