"""What people and programs are told of a run."""

import io
import json
from typing import Any

import pytest
from rich.console import Console

from libs.cli.narrator import Narrator
from libs.cli.pursuit import Result
from libs.cli.screen import Screen, diff, duration, moment
from libs.cli.stories import next_commands, show_end
from libs.cli.telling import said
from libs.contracts import facts as f
from libs.contracts.verdict import CriterionVerdict, worst
from libs.contracts.wire import Recorded
from libs.contracts.words import DecisionKind, Disposition, Level, Outcome, Phase
from libs.contracts.workflow import default_policy, policy_digest
from tests.cli.views import COMMIT, RUN, phase, view, waiting

HOSTILE = "[bold red]now[/bold red] \x1b[2J\x07 :boom: \u202e evil"
DIGEST = policy_digest(default_policy())


def _screen(*, is_json: bool = False) -> tuple[Screen, io.StringIO]:
    shown = io.StringIO()
    console = Console(file=shown, markup=False, emoji=False, highlight=False, width=200)
    return Screen(is_json=is_json, out=console, err=console), shown


def _recorded(fact: f.Fact, sequence: int = 1, time: float = 10.0) -> Recorded:
    return Recorded(fact=fact, id="id", cause="cause", producer="gatekeeper", sequence=sequence, time=time)


def _judged(outcome: Outcome, disposition: Disposition, *messages: str) -> f.GateJudged:
    criteria = tuple(CriterionVerdict(name="n", outcome=outcome, code="c", message=message) for message in messages)
    return f.GateJudged(
        run=RUN,
        phase=Phase.TEST,
        attempt=2,
        verdict=worst(criteria),
        disposition=disposition,
        reason="the loop allows one more attempt",
        level_in_force=Level.SUPERVISED,
        ladder_sequence=0,
        policy_digest=DIGEST,
    )


def _decided(**more: Any) -> f.DecisionRecorded:
    fields = {"decision": "d", "kind": DecisionKind.APPROVE, "by": "ada", "os_user": "ada", "automatic": True}
    return f.DecisionRecorded(
        run=RUN, **{**fields, "reason": "ok", "phase": Phase.PLAN, "attempt": 1, "policy_digest": DIGEST, **more}
    )


def test_a_verdict_is_told_with_its_reasons_and_what_follows() -> None:
    screen, shown = _screen()
    Narrator(screen).tell([_recorded(_judged(Outcome.FAIL, Disposition.HEAL, "2 tests fail", "coverage is 70 %"))])
    lines = shown.getvalue().splitlines()
    assert "test" in lines[0]
    assert "fail" in lines[0]
    assert [line.strip() for line in lines[1:]] == [
        "2 tests fail",
        "coverage is 70 %",
        "heal: the loop allows one more attempt",
    ]


def test_text_of_strangers_is_shown_as_it_is_without_its_control_characters() -> None:
    screen, shown = _screen()
    Narrator(screen).tell([_recorded(_decided(by=HOSTILE, reason=HOSTILE))])
    diff(screen.out, HOSTILE.encode())
    screen.line(HOSTILE)
    told = shown.getvalue()
    assert told.count("[bold red]now[/bold red]") == 4
    assert ":boom:" in told
    assert not set("\x1b\x07\u202e") & set(told)


async def test_the_end_of_a_run_tells_hostile_titles_and_reasons_as_data() -> None:
    screen, shown = _screen()
    shown_view = view("aborted", title=HOSTILE, reason=HOSTILE, sentences=(HOSTILE,), decisions=(HOSTILE,))
    await show_end(screen, Result(RUN, "aborted", HOSTILE, shown_view), None, None)
    assert shown.getvalue().count("[bold red]now[/bold red]") == 3
    assert not set("\x1b\x07\u202e") & set(shown.getvalue())


def test_the_answer_of_a_run_has_the_stable_keys() -> None:
    phases = (phase(), phase(Phase.TEST, "fail", attempts=3, reasons=("2 tests fail",)))
    answer = Result(RUN, "declined", "2 tests fail", view("declined", phases=phases, commit=COMMIT)).as_json()
    assert answer.items() >= {"run": RUN, "outcome": "declined", "reason": "2 tests fail", "commit": COMMIT}.items()
    assert answer["branch"] is None
    assert answer["phases"] == [
        {"phase": "plan", "attempts": 1, "outcome": "pass", "reasons": []},
        {"phase": "test", "attempts": 3, "outcome": "fail", "reasons": ["2 tests fail"]},
    ]


def test_the_answer_of_a_request_that_never_became_a_run_has_them_too() -> None:
    with_view = Result(RUN, "declined", "r", view("declined")).as_json()
    assert Result(RUN, "declined", "r").as_json().keys() == with_view.keys()


def test_an_answer_is_one_line_of_json_in_ascii() -> None:
    screen, shown = _screen(is_json=True)
    screen.answer({"title": HOSTILE + "ü\n"})
    assert shown.getvalue().isascii()
    assert shown.getvalue().count("\n") == 1
    assert json.loads(shown.getvalue()) == {"title": HOSTILE + "ü\n"}


def test_a_waiting_run_comes_with_a_command_for_each_answer() -> None:
    shown_view = waiting()
    commands = next_commands(Result(RUN, "waiting", "r", shown_view), None)
    assert shown_view.checkpoint is not None
    assert all(
        any(f"decide {RUN[:8]} {kind}" in command for command in commands) for kind in shown_view.checkpoint.answers
    )


@pytest.mark.parametrize(
    ("fact", "sentence"),
    [
        (_decided(), "approve by ada (automatic): ok"),
        (_judged(Outcome.FAIL, Disposition.ABORT, "2 tests fail"), "fail → abort at supervised: 2 tests fail"),
        (
            f.PhaseErrored(run=RUN, phase=Phase.TEST, attempt=1, worker="w", code="gone", message="no git"),
            "gone: no git",
        ),
        (f.RunAborted(run=RUN, phase=Phase.TEST, attempt=1, reason="exhausted"), "exhausted"),
        (f.IssueClosed(issue="i", revision=1, request="r", reason="closed"), "closed"),
        (f.FreezeSet(workflow="w", by="ada", reason="release week"), "frozen by ada: release week"),
        (f.FreezeLifted(workflow="w", by="ada", reason=""), "the freeze is lifted by ada"),
        (f.LevelEarned(workflow="w", level=Level.ASE, reason="it holds"), "ase is earned: it holds"),
        (
            f.LevelGranted(workflow="w", level=Level.ASE, by="ada", reason="brave"),
            "ase is granted without proof by ada: brave",
        ),
        (
            f.LevelGranted(workflow="w", level=Level.ASE, by="rung", reason="earned", with_proof=True),
            "ase is granted with proof by rung: earned",
        ),
        (
            f.LevelGranted(workflow="w", level=Level.SUPERVISED, by="ada", reason="ten went well"),
            "supervised is granted by ada: ten went well",
        ),
        (
            f.LevelLowered(workflow="w", level=Level.ASSISTED, by="rung", reason="4 wrong", cause="drift"),
            "lowered to assisted by rung (drift): 4 wrong",
        ),
        (
            f.LabelStated(
                workflow="w", run=RUN, phase=Phase.TEST, is_right=False, source="audit", by="ada", reason="flaky"
            ),
            f"the test gate was wrong in run {RUN[:8]}, by ada (audit): flaky",
        ),
        (
            f.GateCalibrated(
                workflow="w",
                gates_digest=DIGEST,
                seeded=9,
                caught=8,
                good=5,
                passed=4,
                commit=COMMIT,
                report=DIGEST,
                by="ada",
            ),
            "8 of 9 candidates made bad on purpose were stopped, 4 of 5 good ones passed, by ada",
        ),
        (
            f.HistoryImported(workflow="w", source="old", digest=DIGEST, by="ada", is_signed=True),
            "history from old, by ada, signed; it never counts as proof",
        ),
        (
            f.RollbackOrdered(run=RUN, reason="orders fail", by="ada", why="regression", decision="d"),
            "by ada (regression): orders fail",
        ),
        (
            f.ChangeReverted(run=RUN, tip="b" * 40, reverts=COMMIT, reason="tried", why="drill"),
            f"{'b' * 12} takes back {COMMIT[:12]} (drill): tried",
        ),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, f.Fact) else None,
)
def test_a_fact_is_said_in_short(fact: f.Fact, sentence: str) -> None:
    assert said(fact) == sentence


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.04, "0.0 s"), (59.94, "59.9 s"), (60, "1:00"), (3661, "1:01:01"), (725, "12:05")]
)
def test_spans_of_time_are_as_short_as_they_can_be(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_moments_are_in_utc() -> None:
    assert moment(0) == "1970-01-01 00:00:00"
