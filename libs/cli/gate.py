"""`rung gate`: gates tried on report files from anywhere, without any service."""

import glob
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from libs.cli import options as o
from libs.cli.ending import Ended, ExitCode, Misused
from libs.cli.screen import Screen, cell, styled, table
from libs.cli.workflow import read, require_team
from libs.contracts.evidence import Evidence
from libs.contracts.verdict import Verdict
from libs.contracts.words import Outcome, Phase
from libs.contracts.workflow import Policy, default_policy
from libs.workshop.evidence.formats import Kind, kind_of
from libs.workshop.evidence.from_reports import evidence_of
from libs.workshop.evidence.reading import REPORT_BYTES_MAX, Unreadable

EXAMPLE: Final = (
    "Example: rung gate try --workflow workflow.yaml --phase test --junit 'reports/*.xml' --diff change.diff"
)
KINDS: Final = ("junit", "coverage", "base_coverage", "sarif", "diff", "values")
OPTIONS: Final = {Kind.METRICS: "values"}
"""Kinds of reports whose option is called otherwise."""
JUDGE: Final = "services.gatekeeper.judge"

app = typer.Typer(help="Gates, tried on reports.", rich_markup_mode=None)


def _phase(word: str) -> Phase:
    return Phase(o.parse_word(word, Phase, "phase"))


def _files(option: str, what: str) -> Any:
    return typer.Option(option, metavar="FILE", help=f"{what}; several times, or a quoted glob.")


WorkflowFile = Annotated[
    Path | None, typer.Option("--workflow", metavar="FILE", help="Whose gates; by default those without a workflow.")
]
AfterPhase = Annotated[
    Phase | None,
    typer.Option(
        "--phase", metavar="PHASE", parser=_phase, help="Whose gate judges; by default test, or review for SARIF alone."
    ),
]
ForTeam = Annotated[str | None, typer.Option("--team", metavar="NAME", help="The team whose gates hold.")]
OfAnyKind = typer.Argument(metavar="[REPORT]...", help="Reports of the kinds below, told apart by content.")
AnyReport = Annotated[list[str] | None, OfAnyKind]
Junit = Annotated[list[str] | None, _files("--junit", "JUnit XML")]
Coverage = Annotated[list[str] | None, _files("--coverage", "Cobertura, LCOV, JaCoCo, Clover, coverage.py JSON")]
BaseCoverage = Annotated[list[str] | None, _files("--base-coverage", "coverage of the base, for limits by it")]
Sarif = Annotated[list[str] | None, _files("--sarif", "SARIF 2.1.0")]
Diff = Annotated[list[str] | None, _files("--diff", "the change, against which findings and coverage are held")]
Values = Annotated[list[str] | None, _files("--values", "JSON with values of your own")]


@app.callback()
def _group() -> None:
    """Gates, tried on reports."""


@app.command("try", epilog=EXAMPLE)
def try_gate(
    reports: AnyReport = None,
    *,
    workflow: WorkflowFile = None,
    phase: AfterPhase = None,
    team: ForTeam = None,
    junit: Junit = None,
    coverage: Coverage = None,
    base_coverage: BaseCoverage = None,
    sarif: Sarif = None,
    diff: Diff = None,
    values: Values = None,
    as_json: o.AsJson = False,
) -> None:
    """Judge report files by a workflow's gate, and say what would change the verdict.

    Exit code: 0 the gate passes, 1 it does not, 2 wrong usage or a refused workflow.
    """
    policy = _policy(workflow, team)
    given = (junit, coverage, base_coverage, sarif, diff, values)
    if not any((*given, reports)):
        raise Misused("Nothing to judge: name reports, or give --junit, --coverage, --sarif, --diff or --values.")
    files = {
        kind: _contents(f"--{kind.replace('_', '-')}", names or ()) for kind, names in zip(KINDS, given, strict=True)
    }
    for name, data in _contents("the report", reports or ()).items():
        files[_kind(name, data)][name] = data
    evidence = evidence_of(policy=policy, **files)
    phase = phase or (Phase.REVIEW if files["sarif"] and not files["junit"] and not files["coverage"] else Phase.TEST)
    verdict = _judged(policy, team, phase, evidence)
    screen = Screen(is_json=as_json)
    if screen.is_json:
        screen.answer(told(phase, verdict, evidence))
    else:
        _tell(screen, phase, verdict)
    raise typer.Exit(ExitCode.OK if verdict.outcome.is_passed else ExitCode.FAILED)


def _policy(workflow: Path | None, team: str | None) -> Policy:
    policy, problems = (default_policy(), ()) if workflow is None else read(workflow)
    if policy is None:
        said = "; ".join(str(problem) for problem in problems if not problem.is_warning)
        raise Misused(f"The workflow is refused: {said}.")
    require_team(policy, team)
    return policy


def _kind(name: str, data: bytes) -> str:
    """Raises:  Misused for a file that is none of the kinds."""
    try:
        return OPTIONS.get(kind := kind_of(data), kind.value)
    except Unreadable as unknown:
        raise Misused(f"{name}: {unknown.message} Name its kind, as in --junit {name}.") from unknown


def _contents(said: str, names: Sequence[str]) -> dict[str, bytes]:
    """The bytes of every file that is named, a byte more than is read of the largest.

    Raises:  Misused for a name that matches nothing, or a file that cannot be opened.
    """
    found: dict[str, bytes] = {}
    for name in names:
        paths = [name] if Path(name).exists() else sorted(glob.glob(name, recursive=True))  # noqa: PTH207 - a pattern may begin anywhere
        if not paths:
            raise Misused(f"{said} {name} matches no file.")
        found |= {path: _bytes(path) for path in paths if path == name or not Path(path).is_dir()}
    return found


def _bytes(path: str) -> bytes:
    try:
        with Path(path).open("rb") as file:
            return file.read(REPORT_BYTES_MAX + 1)
    except OSError as error:
        raise Misused(f"{path} cannot be read: {error.strerror or error}.") from error


def _judged(policy: Policy, team: str | None, phase: Phase, evidence: Evidence) -> Verdict:
    """What the gatekeeper's gates say; it is a program of its own, as everywhere."""
    question = {
        "policy": policy.model_dump(mode="json"),
        "team": team,
        "phase": phase,
        "evidence": evidence.model_dump(mode="json"),
    }
    asked = subprocess.run(
        [sys.executable, "-m", JUDGE], input=json.dumps(question).encode(), capture_output=True, check=False
    )
    if asked.returncode != 0:
        raise Ended(f"The gates could not be asked: {asked.stderr.decode(errors='replace').strip()[-500:]}")
    return Verdict.model_validate_json(asked.stdout)


def told(phase: Phase, verdict: Verdict, evidence: Evidence) -> dict[str, Any]:
    """The verdict as JSON values, with the evidence in numbers; a part that was not given is null."""
    return {
        "outcome": verdict.outcome,
        "phase": phase,
        "criteria": [criterion.model_dump(mode="json") for criterion in verdict.criteria],
        "evidence": {
            "tests": _tests(evidence),
            "coverage": _coverage(evidence),
            "findings": _findings(evidence),
            "files_changed": evidence.diff.files_changed if evidence.diff else None,
        },
    }


def _tests(evidence: Evidence) -> dict[str, int] | None:
    if (tests := evidence.tests) is None:
        return None
    return {name: getattr(tests, name) for name in ("passed", "failed", "skipped", "errors", "flaky")}


def _coverage(evidence: Evidence) -> dict[str, float | None] | None:
    if (coverage := evidence.coverage) is None:
        return None
    return {"lines_ratio": coverage.lines_ratio, "changed_ratio": coverage.changed_ratio}


def _findings(evidence: Evidence) -> dict[str, int] | None:
    if (review := evidence.review) is None:
        return None
    return {name: getattr(review, name) for name in ("blocker", "critical", "major", "minor", "info")}


def _tell(screen: Screen, phase: Phase, verdict: Verdict) -> None:
    made = table("outcome", "criterion", "measured", "limit", "what it says")
    for said in sorted(verdict.criteria, key=lambda one: -one.outcome.rank):
        made.add_row(
            styled(said.outcome), said.name, *(_value(v) for v in (said.measured, said.limit)), cell(said.message, 200)
        )
    screen.out.print(made)
    screen.line(f"The {phase} gate says {verdict.outcome}.", "green" if verdict.outcome.is_passed else "red")
    for said in verdict.unmet:
        if said.flip and said.outcome is not Outcome.WARN:
            screen.progress(f"{said.name} would pass with: {cell(said.flip, 200)}.")


def _value(value: object) -> str:
    return "" if value is None else cell(str(value), 40)
