"""An agent of one's own by `exec:`: any program that reads its files, changes the clone and says what it did."""

from pathlib import Path

import pytest

from libs.contracts.words import DecisionKind
from tests.support.repositories import Case, commit, flat_layout, git
from tests.support.system import System

AGENT = """\
#!/bin/sh
# Plans in words, repairs on the second try, writes the changelog.
case "$RUNG_PHASE" in
  plan) echo "Change \\`FILE\\` so that TITLE is solved." ;;
  build)
    if grep -q failures "$RUNG_IN/attempts.json" && test -s "$RUNG_IN/guidance.md"; then
      cp "$RUNG_IN/issue.md" /dev/null && printf '%s' 'FIXED' > FILE
    else
      printf '\\n# tried\\n' >> FILE
    fi
    echo "attempt $RUNG_ATTEMPT" ;;
  document)
    printf '# Changelog\\n\\n- repaired\\n' > CHANGELOG.md
    echo "the pull request" > "$RUNG_OUT/pull_request.md" ;;
esac
"""


def _agent(directory: Path, case: Case) -> str:
    """The agent as a program of the operator's machine, with what it has to know built in."""
    assert case.changed_file is not None
    broken = (case.path / case.changed_file).read_text()
    assert "self.calls) <= self.limit" in broken, "the defect of this case"
    fixed = broken.replace("self.calls) <= self.limit", "self.calls) < self.limit").replace("'", "'\\''")
    text = AGENT.replace("FIXED", fixed).replace("FILE", case.changed_file).replace("TITLE", case.title)
    program = directory / "agent"
    program.write_text(text)
    program.chmod(0o755)
    return f"exec:{program}"


async def test_approving_a_failed_gate_is_refused_with_a_sentence_and_override_goes_on(
    system: System, tmp_path: Path
) -> None:
    case = flat_layout(tmp_path / "repository")
    async with system.operator() as operator:
        run = await operator.open_issue(case.path, case.title, case.body, agent=_agent(tmp_path, case))
        for phase in ("plan", "build"):
            view = await operator.until_stage(run, "waiting", phase=phase)
            await operator.decide(run, DecisionKind.APPROVE)
            await operator.until_left(view)
        view = await operator.until_stage(run, "waiting", phase="test")
        await operator.decide(run, DecisionKind.APPROVE)
        await operator.decide(run, DecisionKind.OVERRIDE, reason="known to fail", automatic=True)
        await operator.decide(run, DecisionKind.OVERRIDE, reason="known to fail")
        view = await operator.until_stage(run, "waiting", phase="review")
        await operator.decide(run, DecisionKind.CANCEL, reason="enough")
        view = await operator.until_stage(run, "ended")
    assert view.outcome == "cancelled"
    told = " | ".join(view.decisions)
    assert "refused: approve by tester: the gate says fail; say override" in told
    assert "refused: override by tester: a program never overrides a gate" in told
    assert "override by tester after test: known to fail" in told


@pytest.mark.parametrize(
    ("agent", "sentence"),
    [
        ("exec:no-such-agent-anywhere", "no-such-agent-anywhere"),
        ("acp:opencode", "acp"),
        ("repairr", "repair"),
    ],
)
async def test_an_agent_that_cannot_work_leaves_its_reason_and_nothing_moves(
    system: System, tmp_path: Path, agent: str, sentence: str
) -> None:
    case = flat_layout(tmp_path)
    before = git(case.path, "for-each-ref")
    async with system.operator() as operator:
        run = await operator.open_issue(case.path, case.title, case.body, agent=agent)
        view = await operator.approve_until_end(run)
    assert view.outcome == "declined"
    assert sentence in view.reason
    assert git(case.path, "for-each-ref") == before


async def test_a_workflow_may_not_name_a_program_of_the_machine(system: System, tmp_path: Path) -> None:
    case = flat_layout(tmp_path)
    commit(case.path, "chore: own agent", {"workflow.yaml": "agent: exec:/usr/bin/id\n"})
    async with system.operator() as operator:
        run = await operator.open_issue(case.path, case.title, case.body)
        view = await operator.approve_until_end(run)
    assert view.outcome == "declined"
    assert "only the operator" in view.reason


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("gates:\n  test:\n    coverage_mim: 80\n", "workflow.yaml:3: gates.test.coverage_mim: "),
        ("autonomy: supervisd\n", "workflow.yaml:1: autonomy: "),
        ("gates:\n\ttest: {}\n", "workflow.yaml:2: "),
        ("loops: { test_retry: { max: three } }\n", "workflow.yaml:1: loops.test_retry.max: "),
    ],
)
async def test_a_refused_workflow_ends_the_run_with_file_line_and_field(
    system: System, tmp_path: Path, text: str, sentence: str
) -> None:
    case = flat_layout(tmp_path)
    commit(case.path, "chore: workflow", {"workflow.yaml": text})
    async with system.operator() as operator:
        run = await operator.open_issue(case.path, case.title, case.body)
        view = await operator.until_stage(run, "ended")
    assert view.outcome == "declined"
    assert view.reason.startswith(sentence)
