"""`rung readiness`: a table that explains itself, and the same answer from an export on a machine without anything."""

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest
from rich.console import Console

from libs.cli.level import _answer
from libs.cli.main import main
from libs.cli.readiness import tell
from libs.cli.readiness_text import PLAIN_RAMP, in_force_sentence, move_line, percent, sparkline
from libs.cli.screen import Screen
from libs.contracts.facts import FreezeSet
from libs.contracts.ladder import Ladder
from libs.contracts.readiness import Readiness
from libs.contracts.words import DecisionKind, Disposition, Level, Phase
from services.gatekeeper.readiness.scorecard import Scorecard, Shadowed
from services.gatekeeper.readiness.standing import readiness
from tests.spec.readiness_cards import card, fell, ladder, many, said, unlabelled, wrong
from tests.spec.story import POLICY, REPOSITORY, WORKFLOW, adopted
from tests.support.gatekeeping import ended_runs, exported, run_named

L1, L2, L3, L4 = Level
ASKS_FOR_ASE: Final = POLICY.model_copy(update={"autonomy": L4})
VERDICTS: Final = " ".join((said(Phase.PLAN, True), said(Phase.TEST, True, True, "survived")))


def found_at(on: Ladder, *cards: Scorecard) -> Readiness:
    return readiness(on, cards, None)


def text_of(found: Readiness, *, width: int = 80, freeze: FreezeSet | None = None) -> str:
    """What a person reads on a terminal of this width."""
    shown = io.StringIO()
    console = Console(file=shown, markup=False, emoji=False, highlight=False, width=width)
    tell(Screen(out=console, err=console), found, freeze, None)
    return shown.getvalue()


# -- the level ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("on", "configured", "sentence"),
    [
        (ladder(L2, ASKS_FOR_ASE), None, "The workflow asks for ase; granted is supervised, so runs are supervised."),
        (ladder(L3), L1, "The workflow asks for assisted, though autonomous is granted, so runs are assisted."),
        (ladder(L4, ASKS_FOR_ASE), None, "The workflow asks for ase, so runs are ase."),
        (
            ladder(L3, ASKS_FOR_ASE, is_unread=True),
            L3,
            (
                "The workflow asks for autonomous and autonomous is granted, "
                "but its ladder holds a fact that this build cannot read: assisted."
            ),
        ),
    ],
)
def test_why_a_run_gets_no_more_is_one_sentence(on: Ladder, configured: Level | None, sentence: str) -> None:
    assert in_force_sentence(readiness(on, [], configured)) == sentence


def test_a_grant_of_the_last_rung_says_whether_it_was_proven() -> None:
    granted = fell(L3, L4, "granted")
    assert "granted by machine, without proof: it went wrong" in move_line(_moved(granted))
    assert "granted by machine, with proof" in move_line(_moved(granted._replace(with_proof=True)))
    assert "proof" not in move_line(_moved(fell(L2, L3, "granted")))
    assert "1970-01-01 00:00:00 UTC  ase to autonomous, drift by machine: it" in move_line(
        _moved(fell(L4, L3, "drift"))
    )


def _moved(move: Any) -> Any:
    return readiness(ladder(L1, moves=(move,)), [], None).moves[0]


def test_the_last_three_moves_are_told_newest_first() -> None:
    moves = tuple(fell(L3, L2, "drift", n)._replace(why=f"reason {n}") for n in range(5))
    out = text_of(found_at(ladder(L2, moves=moves), *many(3, level=L2)))
    assert [out.find(f"reason {n}") > 0 for n in range(5)] == [False, False, True, True, True]
    assert out.index("reason 4") < out.index("reason 3") < out.index("reason 2")


def test_the_short_form_holds_what_is_frozen() -> None:
    freeze = FreezeSet(workflow=WORKFLOW, by="ann", reason="release")
    told = _answer(found_at(ladder(L2, ASKS_FOR_ASE)), freeze)
    assert (told["in_force"], told["frozen"]) == ("supervised", {"by": "ann", "reason": "release"})
    assert told["why"].startswith("The workflow asks for ase;")


# -- the rungs ----------------------------------------------------------------


def rows(out: str) -> dict[str, list[str]]:
    """The table of the next rung: words of each line by the criterion."""
    lines = [line for line in out.splitlines() if line.startswith(("successful", "gate acc", "override", "average"))]
    return {" ".join(line.split()[:2]): line.split()[2:] for line in lines}


def test_the_next_rung_is_told_criterion_by_criterion_with_what_is_still_to_go() -> None:
    cards = [*many(35, level=L2), wrong(36, level=L2, overrides=1)]
    out = text_of(found_at(ladder(L2), *cards))
    assert "To supervised: climbed; successful runs 0 (at least 10)" in out
    assert "To autonomous, the next rung: 3 of 4 criteria hold" in out
    found = rows(out)
    assert found["successful runs"] == ["36", "36", "-", "at", "least", "50", "no", "about", "14", "runs"]
    assert found["gate accuracy"][:2] == ["97.22%", "36"]
    assert found["gate accuracy"][-3:] == ["above", "90%", "yes"]
    assert found["override rate"][:2] == ["2.78%", "36"]
    assert found["average retries"] == ["0.00", "36", "-", "below", "2", "yes"]
    assert "To ase, after that: successful runs at least 100, gate accuracy above 98%" in out


def test_proof_and_catch_rate_stand_beside_the_last_rung() -> None:
    out = " ".join(text_of(found_at(ladder(L3), *many(40, level=L3), wrong(41, level=L3, is_bad=True))).split())
    assert "is proven by 41 labelled runs; 98% is needed, about" in out
    assert "catch rate: 0 of 1 known bad ones were stopped, at least 0% (95% sure)" in out
    assert "90% of 60 or more is needed, so it does not hold yet." in out


def test_what_is_earned_is_told_with_the_command_that_grants_it() -> None:
    out = text_of(found_at(replace(ladder(L2), earned=L3), *many(60, level=L2)))
    assert (
        "  autonomous is earned. An operator grants it:\n    rung level grant autonomous --repo /srv/shop --reason TEXT"
        in out
    )
    unproven = " ".join(text_of(found_at(replace(ladder(L3), earned=L4), *many(100, level=L3))).split())
    assert "ase is earned. An operator grants it; the log will say that it was granted without proof: rung" in unproven


def test_what_a_rollback_took_says_how_it_returns() -> None:
    on = ladder(L2, moves=(fell(L3, L2, "rollback"),))
    assert "returns when the last 50 labelled runs hold no wrong verdict" in " ".join(
        text_of(found_at(on, *many(60, level=L2))).split()
    )


@pytest.mark.parametrize(
    ("share", "limit", "shown"),
    [(0.5, None, "50%"), (0.979999, 0.98, "97.9999%"), (0.98, 0.98, "98%"), (0.9722, 0.9, "97.22%"), (None, 0.9, "-")],
)
def test_a_share_never_looks_like_a_limit_that_it_misses(share: float | None, limit: float | None, shown: str) -> None:
    assert percent(share, limit) == shown


# -- what it rests on ---------------------------------------------------------


def test_every_list_has_the_command_that_shortens_it() -> None:
    cards = [
        card(1, level=L3, verdicts=VERDICTS, drawn="pass"),
        unlabelled(2, level=L3, verdicts=said(Phase.TEST, False), drawn="fail"),
    ]
    out = text_of(found_at(ladder(L3), *cards))
    assert "run-0000 passed: rung label run-0000 GATE right|wrong --reason TEXT" in out
    assert "run-0000 failed: rung label run-0000 GATE right|wrong --reason TEXT" in out
    assert "run-0000 plan: rung label run-0000 plan right|wrong --reason TEXT" in out


def test_labels_gates_types_agents_and_shadows_are_told() -> None:
    shadow = Shadowed(Phase.TEST, 2, Disposition.PROCEED, DecisionKind.REJECT).token
    cards = [
        card(1, level=L2, verdicts=VERDICTS, right=1, hasty=2, shadows=shadow, issue_type="docs", agent="exec:a#1"),
        wrong(2, level=L2, verdicts=said(Phase.TEST, True, False, "reverted"), is_reverted=True),
    ]
    out = text_of(found_at(ladder(L2, ASKS_FOR_ASE), *cards))
    assert "Verdicts: 1 right, 1 wrong, 1 unlabelled" in out
    assert "false passes 1, false fails 0; known from a revert 1" in out
    assert "2 decisions came too fast to label anything" in out
    assert "test  50%" in out
    assert "exec:a#1  1     1         100%" in out
    assert "docs           1     1         100%" in out
    assert "autonomous, the next level, would have decided 0 of 1 as people did." in out
    assert "run-0000 test 2: it would have said proceed, and a person said reject" in out


@pytest.mark.parametrize("width", [80, 120])
def test_every_line_fits_the_terminal(width: int) -> None:
    shadow = Shadowed(Phase.DOCUMENT, 2, Disposition.PROCEED, DecisionKind.REJECT).token
    moves = (fell(L4, L3, "operator")._replace(why="because " * 30),)
    cards = [card(n, level=L3, verdicts=VERDICTS, drawn="pass", shadows=shadow, agent="a" * 49) for n in range(1, 60)]
    freeze = FreezeSet(workflow=WORKFLOW, by="ann", reason="release")
    out = text_of(found_at(ladder(L3, ASKS_FOR_ASE, moves=moves), *cards), width=width, freeze=freeze)
    assert "Frozen by ann: release. Nothing is merged." in out
    assert max(map(len, out.splitlines())) <= width


def test_what_strangers_wrote_is_shown_as_text() -> None:
    hostile = "[red]x[/red]\x1b[2J\u202e"
    moves = (fell(L3, L2, "operator")._replace(why=hostile, by=hostile),)
    out = text_of(found_at(ladder(L2, moves=moves), *many(2, level=L2, agent=hostile, issue_type=hostile)))
    assert out.count("[red]x[/red]") == 4
    assert not {"\x1b", "\u202e"} & set(out)


def test_a_workflow_without_runs_is_told_what_to_do_next() -> None:
    out = text_of(readiness(Ladder(workflow=WORKFLOW, repository=REPOSITORY), [], None))
    assert "No run of this workflow has begun yet; supervised takes 10 that succeed. Begin with:" in out
    assert f"rung run --repo {REPOSITORY} --title TEXT" in out


# -- the trend ----------------------------------------------------------------


def test_the_trend_is_drawn_from_its_lowest_value_to_all_right() -> None:
    assert sparkline((0.5, 0.75, 1.0), "utf-8") == "▁▅█"
    assert sparkline((1.0, 1.0), "UTF-8") == "██"


def test_a_terminal_without_such_signs_gets_others() -> None:
    drawn = sparkline((0.5, 0.75, 1.0), "ascii")
    assert drawn.isascii()
    assert (drawn[0], drawn[-1]) == (PLAIN_RAMP[0], PLAIN_RAMP[-1])


def test_the_trend_is_shown_once_there_is_one() -> None:
    cards = [*many(5, level=L2), *(wrong(n, level=L2, right=5) for n in range(6, 11))]
    assert "accuracy over time  █▁  lowest 50%, last 50%" in text_of(found_at(ladder(L2), *cards))
    assert "accuracy over time" not in text_of(found_at(ladder(L2), *many(5, level=L2)))


# -- from an export -----------------------------------------------------------


def _export(directory: Path, *facts: Any) -> Path:
    file = directory / "log.jsonl"
    file.write_bytes(exported(facts))
    return file


def _other() -> Any:
    return adopted().model_copy(update={"workflow": "f" * 32, "repository": "/srv/other"})


def test_an_export_alone_is_enough(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = _export(tmp_path, *ended_runs([1, 2]))
    assert main(["readiness", "--from", str(file), "--json"]) == 0
    found = Readiness.model_validate_json(capsys.readouterr().out)
    assert (found.repository, found.classes[0].runs, found.rungs[0].criteria[0].value) == (REPOSITORY, 2, 2)
    assert main(["readiness", "--from", str(file)]) == 0
    assert "To supervised, the next rung: 0 of 1 criteria hold" in capsys.readouterr().out
    assert found.gates[0].phase is Phase.PLAN
    assert run_named(1) not in {one.run for one in found.unlabelled}


def test_of_several_workflows_one_has_to_be_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = str(_export(tmp_path, *ended_runs([1]), _other()))
    assert main(["readiness", "--from", file]) == 2
    err = capsys.readouterr().err
    assert "holds 2 workflows, name one: " in err
    assert f"{WORKFLOW} ({REPOSITORY})" in err
    assert f"{'f' * 32} (/srv/other)" in err
    for which in (("--repo", REPOSITORY), ("--workflow", WORKFLOW), ("--workflow", WORKFLOW[:6])):
        assert main(["readiness", "--from", file, *which, "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["workflow"] == WORKFLOW


@pytest.mark.parametrize(
    ("which", "sentence"),
    [
        (("--workflow", "nowhere"), "holds no workflow nowhere; it holds "),
        (("--repo", "/srv/nowhere"), "holds no workflow /srv/nowhere; it holds "),
        (("--repo", "/srv/shop", "--workflow", "x"), "by --workflow or by --repo, not by both"),
    ],
)
def test_a_workflow_that_is_not_in_the_export_is_told(
    which: tuple[str, ...], sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["readiness", "--from", str(_export(tmp_path, adopted())), *which]) == 2
    assert sentence in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "sentence"),
    [(b"", "the export holds no workflow"), (b"{", "line 1 of the export is cut short"), (None, "cannot be read")],
)
def test_what_is_no_export_is_told(
    content: bytes | None, sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "log.jsonl"
    if content is not None:
        file.write_bytes(content)
    assert main(["readiness", "--from", str(file)]) == 2
    assert sentence in capsys.readouterr().err


def test_a_workflow_is_named_by_id_only_in_an_export(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["readiness", "--workflow", WORKFLOW]) == 2
    assert "--workflow goes with --from" in capsys.readouterr().err
