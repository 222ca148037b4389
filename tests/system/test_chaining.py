"""Each phase's output is the next one's input, end to end: an agent that works only with what it was handed."""

from pathlib import Path
from typing import Final

from libs.contracts.facts import PhaseCompleted
from libs.contracts.words import DecisionKind, Phase
from tests.support.repositories import commit, flat_layout
from tests.support.system import Operator, System

WORKFLOW: Final = """\
phases:
  intent: { tools: [read, search] }
gates:
  intent: { answers_issue: true }
"""

AGENT: Final = """\
#!/bin/sh
# Goes on only with the word of the phase before in its prompt.
need() { grep -qF -- "$1" "$RUNG_IN/prompt.md" || { echo "not handed: $1" > "$RUNG_OUT/declined.txt"; exit 0; }; }
fix() { cat > FILE <<'END'
FIXED
END
}
echo '{"cost_usd": 0.25}' > "$RUNG_OUT/usage.json"
case "$RUNG_PHASE" in
  intent) need 'analyst of PROJECT'; echo 'INTENT-WORD: TITLE' ;;
  plan)
    need INTENT-WORD; echo 'PLAN-WORD: change `FILE` for TITLE'
    echo '{"targets": ["tests/test_window.py::TARGET"]}' > "$RUNG_OUT/plan.json" ;;
  build)
    need PLAN-WORD
    if test "$RUNG_ATTEMPT" = 1; then echo '# first try' >> FILE; else
      need 'tests failed'; need '### `tests'; need '+# first try'; need 'This is attempt 2.'
      test -s "$RUNG_IN/failures.md" && grep -q 'first try' "$RUNG_IN/attempts.json" && fix
    fi
    echo BUILD-WORD ;;
  document)
    need BUILD-WORD; need '0 failed'; need 'Analysers: '; need 'The gate says pass.'
    printf '# Changelog\\n\\n- repaired\\n' > CHANGELOG.md
    test "$RUNG_ATTEMPT" -gt 1 || echo '# code' >> FILE
    echo DOCUMENT-WORD ;;
esac
"""


async def test_every_phase_is_handed_what_the_ones_before_it_left(system: System, tmp_path: Path) -> None:
    case = flat_layout(tmp_path / "repository")
    assert case.changed_file is not None
    commit(case.path, "chore: workflow", {"workflow.yaml": WORKFLOW})
    program = tmp_path / "agent"
    fixed = (case.path / case.changed_file).read_text().replace("self.calls) <= self.limit", "self.calls) < self.limit")
    text = AGENT.replace("FIXED", fixed.rstrip("\n")).replace("FILE", case.changed_file)
    text = text.replace("TARGET", "test_no_more_calls_than_the_limit_are_let_through")
    program.write_text(text.replace("TITLE", case.title).replace("PROJECT", case.path.name))
    program.chmod(0o755)
    async with system.operator() as operator:
        run = await operator.open_issue(case.path, case.title, case.body, agent=f"exec:{program}")
        outcomes = await _answered(operator, run)
        answers = [r.fact for r in (await operator.history(run)).facts if isinstance(r.fact, PhaseCompleted)]
    assert outcomes == [
        *("intent pass", "plan pass", "build pass", "test fail", "build pass", "test pass", "review pass"),
        *("document fail", "document pass", "deploy pass"),
    ]
    costs = {(answer.phase, answer.attempt): answer.cost_usd for answer in answers}
    assert costs[Phase.BUILD, 2] == costs[Phase.INTENT, 1] == 0.25
    assert costs[Phase.TEST, 1] == costs[Phase.REVIEW, 1] == costs[Phase.DEPLOY, 1] == 0.0
    left = {name for answer in answers for name in answer.evidence.artifacts}
    assert {f"{answer.phase}.md" for answer in answers} <= left
    strayed, redone = [answer for answer in answers if answer.phase is Phase.DOCUMENT]
    reviewed = next(answer for answer in answers if answer.phase is Phase.REVIEW)
    assert strayed.commit == reviewed.commit != redone.commit
    assert [problem.code for problem in strayed.evidence.problems] == ["document_touched_code"]


async def _answered(operator: Operator, run: str) -> list[str]:
    """The run to its end: what passed is approved, what did not is tried again; what each gate said on the way."""
    said: list[str] = []
    while True:
        view = await operator.until_stage(run, "waiting", "ended", "aborted")
        if view.checkpoint is None:
            return said
        said.append(f"{view.checkpoint.phase} {view.checkpoint.outcome}")
        is_passed = view.checkpoint.outcome in ("pass", "warn")
        await operator.decide(run, DecisionKind.APPROVE if is_passed else DecisionKind.RETRY)
        await operator.until_left(view)
        assert len(said) < 15, view.sentences
