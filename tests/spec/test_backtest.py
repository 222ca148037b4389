"""A run judged again by another policy or level: told where it would have gone another way, and never guessed."""

import json
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from libs.contracts.evidence import CoverageEvidence, Evidence
from libs.contracts.export import BrokenLine, Line, canonical, decode_export, encode_stored
from libs.contracts.facts import LabelStated, RunFact
from libs.contracts.wire import Recorded
from libs.contracts.words import DecisionKind, Level, Outcome, Phase
from libs.contracts.workflow import Policy
from libs.contracts.workflow.reading import read_workflow
from services.gatekeeper.backtest import over_log
from services.gatekeeper.backtest.alternative import PROVEN
from services.gatekeeper.backtest.over_log import Asked, Backtest, report
from services.gatekeeper.backtest.reading import NEEDED, Reader, index_of
from services.gatekeeper.transitions import Stage
from tests.bench.backtest import BEFORE, Author
from tests.spec import story
from tests.support.sound_log import Ledger

Told = dict[str, Any]
AUTO = "auto_merge: {enabled: true}\n"


def policy(text: str = "") -> Policy:
    return read_workflow(text or "{}\n")[0]


RECORDED = policy(AUTO + "gates: {test: {all_pass: true, coverage_min: 70}}\n")


def covered(percent: int) -> Evidence:
    coverage = CoverageEvidence(covered_count=percent, lines_count=100)
    return story.GOOD[Phase.TEST].model_copy(update={"coverage": coverage})


GOOD = {**story.GOOD, Phase.TEST: covered(82)}


def ledger(level: Level = Level.SUPERVISED, by: Policy = RECORDED, **more: Any) -> Ledger:
    """A log in which this level is granted and one run has begun."""
    made = Ledger(PROVEN)
    for rung in list(Level)[1 : level.rank]:
        for fact in story.granted(rung):
            made.add(fact, "operator")
    made.opens(policy=by, level=level, **more)
    return made


def carried_on(made: Ledger, evidence: dict[Phase, Evidence] | None = None, *, rejects: Phase | None = None) -> Ledger:
    """Work with this evidence, and a person who goes on with everything but at one phase."""
    while (run := made.run).stage not in (Stage.ENDED, Stage.ABORTED):
        match run.stage:
            case Stage.WORKING:
                made.works({**GOOD, **(evidence or {})}[run.phase])
            case Stage.AUTHORISED:
                made.merges()
            case Stage.PROCEEDING:
                made.comes_due("merge")
            case _:
                assert run.judged is not None
                is_fail = run.judged.verdict.outcome is Outcome.FAIL
                goes_on = DecisionKind.OVERRIDE if is_fail else DecisionKind.APPROVE
                made.decides(DecisionKind.REJECT if run.phase is rejects else goes_on)
    return made


def bytes_of(lines: Iterable[Line]) -> bytes:
    return b"".join(canonical(line) + b"\n" for line in lines)


def replayed(lines: Iterable[Line] | bytes, *others: Policy, **asked: Any) -> Told:
    data = lines if isinstance(lines, bytes) else bytes_of(lines)
    wanted = Asked(tuple((f"{n}.yaml", other) for n, other in enumerate(others)), **asked)
    told: Told = json.loads(json.dumps(report(wanted, Backtest(data, index_of(data), wanted).tally())))
    assert told["runs"] == told["same"] + len(told["different"]) + len(told["cannot_tell"])
    return told


def varied(count: int) -> bytes:
    stored = Author(policy(BEFORE)).runs(count)
    return bytes_of(encode_stored(*message, sequence=at, time=now) for message, at, now in stored)


# -- the same -----------------------------------------------------------------


def test_by_its_own_policy_every_run_goes_as_it_went() -> None:
    told = replayed(varied(40), policy(BEFORE))
    assert (told["runs"], told["same"]) == (40, 40)
    assert told["warnings"] == []
    assert told["summary"]["other_verdicts"] == 0


@pytest.mark.parametrize("level", list(Level))
def test_at_the_level_that_it_had_a_run_goes_as_it_went(level: Level) -> None:
    assert replayed(carried_on(ledger(level)).lines, RECORDED, level=level)["same"] == 1


def test_a_log_without_runs_has_an_answer() -> None:
    told = replayed([], RECORDED)
    assert (told["runs"], told["different"], told["cannot_tell"]) == (0, [], [])


def test_a_run_that_no_gate_has_judged_is_the_same_and_counted_apart() -> None:
    told = replayed(ledger().lines, policy("gates: {plan: {answers_issue: true}}\n"))
    assert (told["same"], told["summary"]["not_judged"]) == (1, 1)


# -- different ----------------------------------------------------------------


def test_a_tighter_limit_tells_what_was_measured_and_what_would_have_followed() -> None:
    tighter = policy(AUTO + "gates: {test: {all_pass: true, coverage_min: 85}}\n")
    told = replayed(carried_on(ledger()).lines, tighter)
    (one,) = told["different"]
    assert (one["run"], one["title"], one["phase"], one["attempt"]) == (story.RUN, "The total is wrong", "test", 1)
    assert one["recorded"] == {"outcome": "pass", "disposition": "checkpoint"}
    assert (one["would"]["outcome"], one["would"]["disposition"], one["would"]["end"]) == ("fail", "heal", "healed")
    (why,) = one["would"]["why"]
    assert (why["criterion"], why["measured"], why["limit"], why["recorded_limit"]) == ("coverage_min", 82, 85, 70)
    assert why["message"] == "coverage is 82 %, at least 85 needed"
    assert "nobody knows" in one["would"]["then"]
    assert (one["human"]["decision"], one["human"]["agrees"]) == ("approve", False)
    assert one["became"] == {"outcome": "merged", "watch": "clear", "reverted": None}
    assert told["summary"]["stopped"] == {"good": 1, "bad": 0, "unknown": 0}
    assert told["summary"]["false_fail"] == {"gained": 1, "lost": 0}


def test_a_bad_change_that_would_have_been_let_through_is_counted() -> None:
    made = carried_on(ledger(), {Phase.DOCUMENT: story.BAD[Phase.DOCUMENT]}, rejects=Phase.DOCUMENT)
    laxer = policy(AUTO + "gates: {test: {all_pass: true, coverage_min: 70}, document: {max_files_changed: 9}}\n")
    told = replayed(made.lines, laxer)
    (one,) = told["different"]
    assert (one["phase"], one["attempt"], one["difference"]) == ("document", 1, "is healed -> goes on")
    assert told["summary"]["let_through"] == {"good": 0, "bad": 0, "unknown": 1}
    stopped = policy(AUTO + "loops: {test_retry: {max: 0}}\n").model_copy(update={"considered_after_s": 0.0})
    made = carried_on(ledger(by=stopped), {Phase.DOCUMENT: story.BAD[Phase.DOCUMENT]}, rejects=Phase.DOCUMENT)
    told = replayed(made.lines, laxer)
    (one,) = told["different"]
    assert (one["difference"], one["human"]["agrees"], one["change"]) == ("asks a human -> goes on", False, "bad")
    assert one["would"]["then"] == "it would have gone on to deploy; what would have come of that nobody knows"
    assert told["summary"]["let_through"] == {"good": 0, "bad": 1, "unknown": 0}
    assert told["summary"]["false_pass"] == {"gained": 1, "lost": 0}


def test_at_a_higher_level_it_is_told_that_nobody_would_have_been_asked_before_the_merge() -> None:
    told = replayed(carried_on(ledger()).lines, RECORDED, level=Level.ASE)
    (one,) = told["different"]
    assert (one["phase"], one["would"]["disposition"], one["would"]["why"]) == ("plan", "proceed", [])
    assert (one["would"]["end"], one["human"]["agrees"]) == ("merged", True)
    assert one["would"]["then"] == "it would have merged without a human"
    assert told["summary"]["merged_without_human"] == {"good": 1, "bad": 0, "unknown": 0}
    assert told["level"] == "ase"


def test_why_a_human_is_asked_all_the_same_is_told() -> None:
    told = replayed(carried_on(ledger()).lines, policy("gates: {test: {all_pass: true}}\n"), level=Level.ASE)
    (one,) = told["different"]
    assert one["would"]["end"] == "asked"
    assert "does not enable auto_merge" in one["would"]["then"]


def test_caps_of_the_other_policy_hold_the_level_down() -> None:
    capped = RECORDED.model_copy(update={"caps": policy("caps: [{paths: ['shop.py'], max: assisted}]\n").caps})
    (one,) = replayed(carried_on(ledger()).lines, capped)["different"]
    assert (one["phase"], one["would"]["level"], one["difference"]) == ("build", "assisted", "goes on -> asks a human")


def test_the_paths_that_the_other_policy_protects_are_looked_up_anew() -> None:
    protecting = RECORDED.model_copy(update={"protected": (*RECORDED.protected, "shop.py")})
    (one,) = replayed(carried_on(ledger()).lines, protecting)["different"]
    assert (one["phase"], one["would"]["why"][0]["criterion"]) == ("build", "nothing_protected_touched")


def test_what_every_run_protects_stays_protected_and_is_no_difference() -> None:
    guarding = RECORDED.model_copy(
        update={"protected": (*RECORDED.protected, "workflow.yml"), "prompts": {"a.md": "0" * 64}}
    )
    told = replayed(carried_on(ledger(by=guarding)).lines, RECORDED)
    assert (told["same"], told["warnings"]) == (1, [])


def test_that_others_would_have_worked_is_said_once() -> None:
    told = replayed(carried_on(ledger()).lines, RECORDED.model_copy(update={"agent": "exec:other"}))
    assert (told["same"], len(told["warnings"])) == (1, 1)


def test_a_label_that_was_stated_later_says_whether_the_change_was_good() -> None:
    made = carried_on(ledger())
    label = LabelStated(
        workflow=story.WORKFLOW,
        run=story.RUN,
        phase=Phase.TEST,
        is_right=False,
        source="audit",
        by="ann",
        reason="seen",
    )
    made.add(label, "request")
    tighter = policy(AUTO + "gates: {test: {all_pass: true, coverage_min: 85}}\n")
    told = replayed(made.lines, tighter)
    assert told["different"][0]["change"] == "bad"
    assert told["summary"]["stopped"] == {"good": 0, "bad": 1, "unknown": 0}
    assert told["summary"]["false_pass"] == {"gained": 0, "lost": 1}


# -- nobody can tell ----------------------------------------------------------

MUTANTS = policy(AUTO + "gates: {test: {all_pass: true, coverage_min: 70, mutation_score_min: 60}}\n")


def test_what_was_not_measured_is_never_guessed() -> None:
    told = replayed(carried_on(ledger()).lines, MUTANTS)
    (one,) = told["cannot_tell"]
    assert (one["code"], one["phase"], one["would"]["outcome"]) == ("not_measured", "test", None)
    assert "mutation_score_min" in one["reason"]
    assert told["summary"]["reasons"] == {"not_measured": 1}


def test_what_was_not_measured_does_not_matter_where_every_answer_leads_the_same_way() -> None:
    assert replayed(carried_on(ledger(Level.ASSISTED)).lines, MUTANTS)["same"] == 1


def test_what_was_not_measured_does_not_matter_where_the_gate_fails_anyway() -> None:
    both = policy(AUTO + "gates: {test: {all_pass: true, coverage_min: 85, mutation_score_min: 60}}\n")
    (one,) = replayed(carried_on(ledger()).lines, both)["different"]
    assert (one["would"]["outcome"], one["would"]["disposition"]) == ("fail", "heal")


def test_what_hangs_on_an_earlier_gate_that_nobody_can_tell_is_not_told_either() -> None:
    warning = policy(AUTO + "gates: {test: {all_pass: true, coverage_min: 70, mutation_score_min: 60}}\n")
    told = replayed(carried_on(ledger(Level.AUTONOMOUS)).lines, warning)
    assert {one["code"] for one in told["cannot_tell"]} == {"not_measured"}


def test_a_report_that_was_looked_for_and_not_there_is_an_answer() -> None:
    made = carried_on(ledger(), {Phase.TEST: story.GOOD[Phase.TEST]})
    laxer = policy(AUTO + "gates: {test: {all_pass: true, new_code_coverage_min: 50}}\n")
    assert replayed(made.lines, laxer)["same"] == 1


def test_a_phase_that_was_not_run_is_not_told() -> None:
    short = policy(AUTO + "routing: {bug: {phases: [plan, build, test, deploy]}}\n")
    made = carried_on(ledger(by=short), {Phase.TEST: story.GOOD[Phase.TEST]})
    (one,) = replayed(made.lines, policy(AUTO))["cannot_tell"]
    assert (one["code"], one["phase"]) == ("phase_not_run", "deploy")
    assert "review" in one["reason"]


def test_a_route_without_a_gate_that_stopped_goes_on() -> None:
    short = RECORDED.model_copy(
        update={"routing": policy("routing: {bug: {phases: [plan, build, test, deploy]}}\n").routing}
    )
    made = carried_on(ledger(), rejects=Phase.REVIEW)
    (one,) = replayed(made.lines, short)["different"]
    assert (one["phase"], one["would"]["disposition"], one["difference"]) == ("review", None, "asks a human -> goes on")


def test_a_route_without_a_phase_that_did_work_is_not_told() -> None:
    planless = RECORDED.model_copy(
        update={"routing": policy("routing: {bug: {phases: [build, test, deploy]}}\n").routing}
    )
    (one,) = replayed(carried_on(ledger()).lines, planless)["cannot_tell"]
    assert (one["code"], one["phase"]) == ("other_route", "plan")


def test_a_difference_that_rests_on_other_commands_is_not_told_and_warned_of_once() -> None:
    text = AUTO + "commands: {test: make check}\ngates: {test: {all_pass: true, coverage_min: 85}}\n"
    told = replayed(carried_on(ledger()).lines, policy(text))
    (one,) = told["cannot_tell"]
    assert (one["code"], one["would"]["outcome"]) == ("measured_otherwise", "fail")
    assert len(told["warnings"]) == 1


def test_a_difference_that_other_commands_have_nothing_to_do_with_is_told() -> None:
    text = AUTO + "commands: {test: make check}\ngates: {build: {has_change: true, max_files_changed: 0}}\n"
    told = replayed(carried_on(ledger()).lines, policy(text))
    assert (told["different"][0]["phase"], len(told["warnings"])) == ("build", 1)


def test_an_attempt_that_was_lost_is_not_told() -> None:
    made = ledger()
    made.comes_due("deadline")
    for _ in range(3):
        made.comes_due("retry")
        made.comes_due("deadline")
    told = replayed(made.lines, RECORDED, level=Level.AUTONOMOUS)
    assert [one["code"] for one in told["cannot_tell"]] == ["evidence_lost"]
    assert replayed(made.lines, RECORDED)["same"] == 1


@pytest.mark.parametrize(
    "spoil",
    [
        lambda line: line | {"dataschema": "urn:rung:run.gate.judged:99"},
        lambda line: line | {"data": {**line["data"], "verdict": 7}},
        lambda line: line | {"dataschema": "urn:rung:run.gate.weighed:1", "subject": f"run.{story.RUN}.gate.weighed"},
    ],
)
def test_a_run_with_a_fact_that_cannot_be_read_is_not_told(spoil: Callable[[Line], Line]) -> None:
    lines = [spoil(line) if line["type"] == "rung.run.gate.judged" else line for line in carried_on(ledger()).lines]
    (one,) = replayed(lines, RECORDED)["cannot_tell"]
    assert (one["code"], one["run"], one["phase"]) == ("unread", story.RUN, None)


def test_a_run_whose_beginning_is_missing_is_not_told() -> None:
    lines = [line for line in carried_on(ledger()).lines if line["type"] != "rung.run.run.started"]
    (one,) = replayed(lines, RECORDED)["cannot_tell"]
    assert one["code"] == "unread"


# -- two policies -------------------------------------------------------------


def test_two_policies_stand_beside_each_other_rather_than_beside_what_happened() -> None:
    lines = carried_on(ledger()).lines
    tight, tighter, lax = (
        policy(AUTO + f"gates: {{test: {{all_pass: true, coverage_min: {limit}}}}}\n") for limit in (84, 90, 50)
    )
    assert replayed(lines, tight, tighter)["same"] == 1
    assert replayed(lines, lax, RECORDED)["same"] == 1
    for others, difference in (
        ((tight, lax), "asks a human -> is healed"),
        ((lax, tight), "is healed -> asks a human"),
    ):
        (one,) = replayed(lines, *others)["different"]
        assert one["difference"] == difference
        assert {one["would"]["disposition"], one["other"]["disposition"]} == {"heal", "checkpoint"}
    (one,) = replayed(lines, tight, MUTANTS)["cannot_tell"]
    assert one["phase"] == "test"


# -- which runs ---------------------------------------------------------------


def test_only_runs_of_the_repository_that_began_late_enough_are_seen() -> None:
    made = carried_on(ledger())
    began = next(r.time for r in made.recorded if isinstance(r.fact, RunFact))
    assert replayed(made.lines, RECORDED, repositories=(story.REPOSITORY,), since=began)["runs"] == 1
    assert replayed(made.lines, RECORDED, repositories=("/srv/other",))["runs"] == 0
    assert replayed(made.lines, RECORDED, since=began + 1)["runs"] == 0


# -- reading ------------------------------------------------------------------


def test_facts_are_read_as_every_reader_reads_them() -> None:
    data = varied(12)
    lines = [json.loads(line) for line in data.splitlines()]
    index = index_of(data)
    read = [one for lines_of in index.runs.values() for one in Reader(data).read(lines_of.spans)]
    whole = [one for line in lines if isinstance(one := decode_export(line), Recorded) and isinstance(one.fact, NEEDED)]
    assert [(one.sequence, one.id, one.cause, one.time, one.fact) for one in read if isinstance(one, Recorded)] == [
        (one.sequence, one.id, one.cause, one.time, one.fact) for one in whole
    ]


def test_white_space_and_the_order_of_lines_and_names_do_not_matter() -> None:
    lines = carried_on(ledger()).lines
    tighter = policy(AUTO + "gates: {test: {all_pass: true, coverage_min: 85}}\n")
    loose = b"\r\n".join(json.dumps(dict(reversed(line.items()))).encode() for line in reversed(lines))
    assert replayed(b"\n" + loose, tighter) == replayed(lines, tighter)


@pytest.mark.parametrize("at", [0, 5, -1])
def test_a_line_that_is_broken_is_named(at: int) -> None:
    texts = [canonical(line) for line in carried_on(ledger()).lines]
    texts[at] = texts[at][:-40]
    number = range(1, len(texts) + 1)[at]
    with pytest.raises(BrokenLine, match=f"line {number} "):
        replayed(b"\n".join(texts), RECORDED)


def test_several_processes_come_to_what_one_comes_to(monkeypatch: pytest.MonkeyPatch) -> None:
    data, tighter = varied(12), policy("gates: {test: {all_pass: true, coverage_min: 85}}\n")
    alone = replayed(data, tighter)
    monkeypatch.setattr(over_log, "ALONE", 2)
    monkeypatch.setattr(over_log, "LARGE", 2)
    monkeypatch.setattr(over_log, "_processors", lambda: 2)
    assert replayed(data, tighter) == alone
    assert alone["different"]
    assert over_log._indexed(data) == index_of(data)
    with pytest.raises(BrokenLine, match=f"line {len(data.splitlines())} of the export is cut short"):
        over_log._indexed(data[:-30])
