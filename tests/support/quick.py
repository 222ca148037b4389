"""A repository whose tests take no time, agents that do at each attempt what a test says, and a run of both.

All is shell, so that a run takes as long as Rung itself. The program gives the area of a rectangle and
adds where it should multiply; its check really runs it and writes a JUnit report, its linter SARIF.
"""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from libs.contracts.facts import (
    ChangeMerged,
    DecisionRecorded,
    Fact,
    GateJudged,
    MergeAuthorised,
    PhaseCompleted,
    PhaseErrored,
    PhaseRequested,
    RunStarted,
)
from libs.contracts.history import History
from libs.contracts.views import RunView
from libs.contracts.words import DecisionKind, Disposition, Phase
from tests.support.repositories import Case, commit, git, repository
from tests.support.system import Operator, System

F = TypeVar("F", bound=Fact)

CODE: Final = "area.sh"
DEFECT: Final = "width + height"

FILES: Final = {
    CODE: f"""\
        #!/bin/sh
        # The area of a rectangle.
        width=$1
        height=$2
        # Both are whole numbers.
        echo $(({DEFECT}))
        """,
    "check.sh": """\
        #!/bin/sh
        # Compares areas with what they have to be.
        status=0
        for rectangle in "3 4 12" "2 5 10"; do
          set -- $rectangle
          area=$(sh area.sh "$1" "$2")
          failure=
          if [ "$area" != "$3" ]; then
            status=1
            failure="<failure message=\\"$area, not $3\\"/>"
          fi
          cases="$cases<testcase classname=\\"area\\" name=\\"of $1 by $2\\">$failure</testcase>"
        done
        echo "<testsuite name=\\"area\\">$cases</testsuite>" > report.xml
        exit $status
        """,
    "lint.sh": """\
        #!/bin/sh
        # Finds every line that holds eval.
        results=
        for line in $(grep -n eval area.sh | cut -d: -f1); do
          place="{\\"artifactLocation\\": {\\"uri\\": \\"area.sh\\"}, \\"region\\": {\\"startLine\\": $line}}"
          finding="{\\"ruleId\\": \\"no-eval\\", \\"level\\": \\"error\\", \\"message\\": {\\"text\\": \\"eval\\"}"
          results="${results:+$results, }$finding, \\"locations\\": [{\\"physicalLocation\\": $place}]}"
        done
        rule='{"id": "no-eval", "properties": {"security-severity": "9.8"}}'
        driver="\\"tool\\": {\\"driver\\": {\\"name\\": \\"no-eval\\", \\"rules\\": [$rule]}}"
        echo "{\\"version\\": \\"2.1.0\\", \\"runs\\": [{$driver, \\"results\\": [$results]}]}" > lint.sarif
        """,
}
WORKFLOW: Final = """\
commands: { test: sh check.sh, lint: sh lint.sh }
reports: { junit: [report.xml], sarif: [lint.sarif] }
"""
TITLE: Final = "The area of a rectangle is wrong"
BODY: Final = "A rectangle of 3 by 4 has the area 12, and area.sh says 7."

AGENT: Final = """\
#!/bin/sh
answer() { sed -i "s/^echo .*/echo \\$(($1))/" area.sh; }
told() { grep -q "$1" "$RUNG_IN/$2" 2>/dev/null; }
case "$RUNG_PHASE-$RUNG_ATTEMPT" in
  plan-*)
    echo 'Change `area.sh`: the area of a rectangle is wrong'
    echo '{"targets": ["area::of 3 by 4", "area::of 2 by 5"]}' > "$RUNG_OUT/plan.json" ;;
  document-*) printf '# Changelog\\n\\n- The area is right.\\n' > CHANGELOG.md ;;
BUILDS
esac
"""

RIGHT: Final = "answer 'width * height'"
"""Both tests pass."""

ALWAYS_12: Final = "answer 12"
"""One of the two tests passes."""

WRONG: Final = "answer 'height + width'"
"""Both tests fail, as before."""

EVAL: Final = "answer 'width * height'; sed -i '$ s/$/ # eval/' area.sh"
"""Both tests pass, and the linter finds a blocker."""

LEARNS: Final = f"""\
if told 'of 3 by 4' failures.md; then {ALWAYS_12}; elif told 'of 2 by 5' failures.md; then {RIGHT}; else {WRONG}; fi"""
"""Fails twice, and is right once it is given what failed before."""

EXITS: Final = "exit 1"
"""Fails as a program that could not reach its model does."""


def quick_repository(directory: Path, workflow: str = "") -> Case:
    """The repository, with more lines for its workflow."""
    files = {**FILES, "workflow.yaml": WORKFLOW + workflow}
    return Case("area", repository(directory, files), TITLE, BODY, changed_file=CODE)


def quick_agent(directory: Path, *builds: str, each: str = "") -> str:
    """An agent of the operator's that does at its nth build the nth of `builds`, and the last of them from then on.

    `each` is done first at every attempt at any phase. Files of the machine that the agent may read follow as
    words of the command line, where somebody adds them.
    """
    *first, last = builds
    cases = [f"  build-{number}) {build} ;;" for number, build in enumerate(first, start=1)]
    text = AGENT.replace("BUILDS", "\n".join([*cases, f"  build-*) {last} ;;"]))
    program = directory / "agent"
    program.write_text(text.replace("case ", f"{each}\ncase ", 1) if each else text)
    program.chmod(0o755)
    return f"exec:{program}"


class Barrier:
    """What an agent waits at, in the middle of its work, until a test lets it through: a file that it may read."""

    def __init__(self, directory: Path) -> None:
        self.file = directory / "barrier"
        self.file.touch()

    @property
    def wait(self) -> str:
        """The agent's command that waits."""
        return 'until grep -q open "$1"; do sleep 0.05; done'

    def shown_to(self, agent: str) -> str:
        return f"{agent} {self.file}"

    def open(self) -> None:
        """Written in place: the agent sees this very file."""
        with self.file.open("a") as file:
            file.write("open\n")


# -- one run of both ----------------------------------------------------------


@dataclass
class Branch:
    """A run on its way, and how much somebody else committed meanwhile."""

    system: System
    operator: Operator
    case: Case
    run: str
    base: str
    foreign_count: int = 0

    async def stopped(self, after: RunView | None = None) -> RunView:
        return await self.operator.until_stopped(self.run, after)

    async def answered(self, view: RunView, kind: DecisionKind = DecisionKind.APPROVE, **more: Any) -> RunView:
        return await self.operator.answer(view, kind, **more)

    async def approved_up_to(self, checkpoint: str) -> RunView:
        """Approve what passed, checkpoint after checkpoint, until the run waits at the one that is named."""
        view = await self.stopped()
        while where(view) != checkpoint:
            assert view.checkpoint is not None, view.sentences
            view = await self.answered(view)
        return view

    async def facts(self, kind: type[F]) -> list[F]:
        return await self.operator.facts(self.run, kind)

    async def stated(self, kind: type[F], **fields: Any) -> F:
        return await self.operator.until_stated(self.run, kind, **fields)

    def somebody_commits(self, files: dict[str, str]) -> str:
        self.foreign_count += 1
        return commit(self.case.path, "chore: of somebody else", files)

    async def is_sound(self) -> None:
        """Whatever happened: nothing was doubled, nothing came from nowhere, and what landed landed once."""
        history = await self.operator.history(self.run)
        assert history.unread == ()
        _each_attempt_is_asked_for_once(history)
        _healing_stays_within_its_loops(history)
        _each_merge_has_its_cause(history)
        merged = _of(history, ChangeMerged)
        assert len(merged) <= 1, merged
        count = int(git(self.case.path, "rev-list", "--count", f"{self.base}..main"))
        assert count == len(merged) + self.foreign_count, git(self.case.path, "log", "--oneline", "main")


def where(view: RunView) -> str | None:
    """The checkpoint at which a run waits."""
    return view.checkpoint.name if view.checkpoint else None


def _of(history: History, kind: type[F]) -> list[F]:
    return [recorded.fact for recorded in history.facts if isinstance(recorded.fact, kind)]


def _each_attempt_is_asked_for_once(history: History) -> None:
    for phase in Phase:
        asked = [fact.attempt for fact in _of(history, PhaseRequested) if fact.phase is phase]
        assert asked == list(range(1, len(asked) + 1)), (phase, asked)
    for kinds in ((PhaseCompleted, PhaseErrored), (GateJudged,)):
        places = Counter((fact.phase, fact.attempt) for kind in kinds for fact in _of(history, kind))
        assert all(count == 1 for count in places.values()), (kinds, places)


def _healing_stays_within_its_loops(history: History) -> None:
    (started,) = _of(history, RunStarted)
    judged = _of(history, GateJudged)
    healed = Counter((fact.phase, fact.loop) for fact in judged if fact.disposition is Disposition.HEAL)
    for (phase, loop), count in healed.items():
        assert loop is not None, f"the {phase} gate heals in a loop"
        assert count <= started.policy.loop(loop, started.issue_type).max, (phase, loop, count)


def _each_merge_has_its_cause(history: History) -> None:
    """A verdict on this very commit stands before it, and a person's word or the level's own."""
    by_id = {recorded.id: recorded.sequence for recorded in history.facts}
    decisions = {fact.decision: fact for fact in _of(history, DecisionRecorded)}
    commits = {fact.commit for fact in _of(history, GateJudged) if fact.phase is Phase.DEPLOY}
    for recorded in history.facts:
        if not isinstance(authorised := recorded.fact, MergeAuthorised):
            continue
        assert by_id[recorded.cause] < recorded.sequence
        assert authorised.commit in commits
        if authorised.decision is None:
            assert authorised.by == "level ase"
            continue
        decision = decisions[authorised.decision]
        assert decision.kind in (DecisionKind.APPROVE, DecisionKind.OVERRIDE)
        assert (decision.phase, decision.awaits, decision.by) == (Phase.DEPLOY, 0, authorised.by)
