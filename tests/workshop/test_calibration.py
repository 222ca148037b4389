"""Candidates judged by the gates' own program: what is counted, kept, left out, and when nothing can be judged."""

import json
from pathlib import Path

import pytest

from libs.contracts.evidence import DiffEvidence, Evidence, TestEvidence
from libs.contracts.failures import WorkFailed
from libs.contracts.words import Outcome, Phase
from libs.contracts.workflow import AnyOf, Criterion, GatePolicy, Policy, default_policy
from libs.workshop.calibration import judges as judging
from libs.workshop.calibration.calibrator import Calibrator
from libs.workshop.calibration.candidates import Kind, Skipped
from libs.workshop.calibration.collecting import asked
from libs.workshop.calibration.history import Landed, landed
from libs.workshop.calibration.judges import GatesUnavailable, Judges, lower_bounds
from libs.workshop.calibration.results import GateCount, GateSaid, Kept, Result, Tally, report, shares
from libs.workshop.git import Quarantine, inspect
from libs.workshop.sandbox import Limits, Sandbox
from libs.workshop.trial import Trial
from tests.workshop.git_world import commit, repository

COMMIT, ORIGIN = "1" * 40, "2" * 40


def result(kind: Kind, test: Outcome, review: Outcome = Outcome.PASS, *, name: str = COMMIT) -> Result:
    said = {Phase.TEST: GateSaid(outcome=test, reasons=("so",)), Phase.REVIEW: GateSaid(outcome=review)}
    return Result(kind=kind, commit=name, origin=ORIGIN, what="about it", said=said)


# -- counting -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("outcome", "is_bad", "counted"),
    [
        (Outcome.PASS, False, {"right": 1}),
        (Outcome.WARN, False, {"right": 1}),
        (Outcome.FAIL, False, {"wrong": 1, "false_fail": 1}),
        (Outcome.FAIL, True, {"right": 1, "bad": 1, "caught": 1}),
        (Outcome.PASS, True, {"wrong": 1, "false_pass": 1, "bad": 1}),
        (Outcome.WARN, True, {"wrong": 1, "false_pass": 1, "bad": 1}),
        (Outcome.INCONCLUSIVE, True, {"could_not_tell": 1}),
        (Outcome.NO_DATA, False, {"could_not_tell": 1}),
        (Outcome.ERROR, True, {"could_not_tell": 1}),
    ],
)
def test_a_gate_is_right_that_passes_the_good_or_fails_the_bad(
    outcome: Outcome, is_bad: bool, counted: dict[str, int]
) -> None:
    count = GateCount(Phase.TEST)
    count.count(outcome, is_bad=is_bad)
    assert count == GateCount(Phase.TEST, **counted)


def test_bad_ones_are_caught_by_any_gate_and_missed_where_none_fails_them() -> None:
    tally = Tally(
        (
            result(Kind.MERGED, Outcome.PASS),
            result(Kind.MERGED, Outcome.NO_DATA),
            result(Kind.MERGED, Outcome.PASS, Outcome.FAIL),
            result(Kind.REVERTED, Outcome.PASS),
            result(Kind.REVERTED, Outcome.INCONCLUSIVE),
            result(Kind.SEEDED, Outcome.PASS, Outcome.FAIL),
            result(Kind.SEEDED, Outcome.FAIL),
        ),
        (Skipped(ORIGIN, Kind.MERGED, "why"),),
    )
    told = report(tally, [None] * 5, {"repository": "here"})
    assert told["candidates"] == {"merged": 3, "reverted": 2, "seeded": 2, "skipped": 1}
    assert told["catch_rate"] == {
        "caught": 2,
        "bad": 4,
        "rate": 0.5,
        "bound": None,
        "seeded_caught": 2,
        "seeded_bad": 2,
    }
    assert told["passed"] == {"good": 3, "passed": 1}
    assert [one.kind for one in tally.missed] == [Kind.REVERTED, Kind.REVERTED]
    assert [one.said[Phase.REVIEW].outcome for one in tally.stopped_wrongly] == [Outcome.FAIL]
    assert shares(tally) == [(0, 0), (3, 5), (3, 7), (0, 0), (2, 4)]
    assert json.loads(json.dumps(told)) == told


def test_nothing_counted_is_no_share() -> None:
    told = report(Tally((), ()), [None] * 5, {})
    assert told["gates"][0]["accuracy"] is None  # type: ignore[index]
    assert told["catch_rate"]["rate"] is None  # type: ignore[index]


# -- keeping ------------------------------------------------------------------


def test_results_are_found_again_whatever_else_stands_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "state" / "kept.jsonl"
    first = result(Kind.MERGED, Outcome.PASS)
    Kept(path).keep(first)
    with path.open("a") as file:
        file.write('nonsense\n{"kind": "merged"}\n\n\xff{"kind": "mer')
    second = result(Kind.SEEDED, Outcome.FAIL)
    Kept(path).keep(second)
    kept = Kept(path)
    assert len(kept) == 2
    assert (kept.find(Kind.MERGED, COMMIT), kept.find(Kind.SEEDED, COMMIT)) == (first, second)
    assert kept.find(Kind.REVERTED, COMMIT) is None
    assert len(Kept(path, is_fresh=True)) == 0
    assert len(Kept(path)) == 0


# -- what is asked ------------------------------------------------------------


def test_criteria_that_no_commit_of_the_past_can_answer_are_left_out_and_named() -> None:
    one, plan, request = (Criterion(name=name, limit=True) for name in ("all_pass", "plan_adherence", "pr_created"))
    gates = {
        Phase.REVIEW: GatePolicy(criteria=(plan, AnyOf(any_of=(plan, one)), AnyOf(any_of=(plan,)))),
        Phase.DEPLOY: GatePolicy(criteria=(one, request)),
        Phase.PLAN: GatePolicy(criteria=(plan,)),
    }
    policy, left = asked(Policy(gates=gates))
    assert left == ("plan_adherence", "pr_created")
    assert policy.gates[Phase.REVIEW].criteria == (AnyOf(any_of=(one,)),)
    assert policy.gates[Phase.DEPLOY].criteria == (one,)
    assert policy.gates[Phase.PLAN].criteria == (plan,)


# -- the program that judges --------------------------------------------------


async def test_one_program_judges_many_questions() -> None:
    async with Judges.judging(default_policy()) as judges:
        for failed, outcome in ((0, Outcome.PASS), (1, Outcome.FAIL), (0, Outcome.PASS)):
            evidence = Evidence(diff=DiffEvidence(), tests=TestEvidence(passed=1, failed=failed))
            assert (await judges.verdict(Phase.TEST, evidence)).outcome is outcome
        assert (await judges.verdict(Phase.TEST, Evidence())).outcome is Outcome.NO_DATA


async def test_a_program_that_ends_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judging, "JUDGE", "no_such_module_at_all")
    async with Judges.judging(default_policy()) as judges:
        with pytest.raises(GatesUnavailable, match="No module named no_such_module_at_all"):
            await judges.verdict(Phase.TEST, Evidence())


async def test_a_question_that_makes_no_sense_is_answered_by_an_error() -> None:
    async with Judges.judging(default_policy()) as judges:
        for line in (b"nonsense\n", b"{}\n", b"[]\n"):
            assert "error" in json.loads(await judges._answer(line))
        assert (await judges.verdict(Phase.TEST, Evidence())).outcome is Outcome.NO_DATA


async def test_bounds_are_one_sided_and_nothing_counted_has_none() -> None:
    assert await lower_bounds([(10, 10), (0, 0), (0, 5), (95, 100)]) == [
        pytest.approx(0.741134, abs=1e-6),
        None,
        0.0,
        pytest.approx(0.897747, abs=2e-6),
    ]


# -- judging ------------------------------------------------------------------


async def calibrator(tmp_path: Path, judges: Judges, sandbox: Sandbox) -> tuple[Calibrator, list[Landed]]:
    place = repository(tmp_path / "repository", {"shop.py": "def price():\n    return 1\n"})
    commit(place, {"shop.py": "def price():\n    return 2\n"}, "feat: dearer")
    source = await inspect(place)
    quarantine = await Quarantine.open(tmp_path / "quarantine")
    await quarantine.fetch(source, source.tip)
    trial = Trial(sandbox, quarantine, tmp_path / "scratch", default_policy(), Limits(wall_s=60))
    kept = Kept(tmp_path / "kept.jsonl")
    made = Calibrator(trial, judges, kept, tmp_path / "baselines", 0, 2, lambda *_: None)
    return made, await landed(quarantine, source.tip, 9)


async def test_without_a_sandbox_nothing_is_judged_at_all(tmp_path: Path) -> None:
    async with Judges.judging(default_policy()) as judges:
        made, commits = await calibrator(tmp_path, judges, Sandbox(bwrap=Path("/nowhere/bwrap")))
        with pytest.raises(WorkFailed, match="The sandbox cannot start"):
            await made.over(commits)
        assert len(made.kept) == 0


async def test_a_commit_that_cannot_be_read_is_left_out_and_never_counted(tmp_path: Path) -> None:
    async with Judges.judging(default_policy()) as judges:
        made, commits = await calibrator(tmp_path, judges, Sandbox())
        gone = Landed("9" * 40, (commits[0].commit,), "feat: gone")
        tally = await made.over([gone, commits[-1]])
    assert tally.results == ()
    assert [one.commit for one in tally.skipped] == [gone.commit, commits[-1].commit]
    assert "cannot be read" in tally.skipped[0].why
