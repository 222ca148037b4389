"""What one run says about its gates: labels and their sources, what counts, and what says nothing."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

import pytest
from hypothesis import given as drawn
from hypothesis import settings
from hypothesis import strategies as st

from libs.contracts.evidence import Evidence
from libs.contracts.facts import (
    ChangeMerged,
    DecisionRecorded,
    Fact,
    PhaseFact,
    RunFact,
    TimerDue,
)
from libs.contracts.wire import Recorded
from libs.contracts.words import DecisionKind, Level, Phase
from libs.contracts.workflow import QuorumPolicy
from services.gatekeeper.evolution import evolve, fold
from services.gatekeeper.readiness.labels import labels_by_run, labels_of
from services.gatekeeper.readiness.scorecard import FAILS_DRAWN, PASSES_DRAWN, Result, Scorecard, scorecard
from services.gatekeeper.run import Run
from services.gatekeeper.transitions import Stage
from tests.spec.decider import EXPERIENCED, Given, record
from tests.spec.outcomes import (
    APPROVE,
    L1,
    L2,
    L3,
    L4,
    LOOKED,
    OVERRIDE,
    REJECT,
    at_merge,
    authorised,
    begun,
    closed,
    ended,
    go_to,
    label,
    lost,
    ordered,
    overridden_at,
    reverted,
    say,
    work,
)
from tests.spec.story import (
    BAD,
    GOOD,
    POLICY,
    ROUTE,
    RUN,
    SILENT,
    asks,
    errored,
    granted,
    merged,
    refused,
    started,
    watch_ended,
    watch_started,
)
from tests.spec.test_properties import MIXED, any_facts, histories


def card(log: Given, run: Run | None = None) -> Scorecard:
    facts = [one for one in log.recorded if isinstance(one.fact, RunFact)]
    return scorecard(run or log.run, facts, labels_of(labels_by_run(log.recorded).get(RUN, ())))


def told(log: Given) -> dict[str, str]:
    """What is known of each deciding verdict: `pass:right:survived`, `fail::`."""
    return dict(word.split(":", 1) for word in card(log).verdicts.split())


def all_are(said: str, phases: Iterable[Phase] = ROUTE) -> dict[str, str]:
    return dict.fromkeys(map(str, phases), said)


# -- where a label comes from, and which is the strongest ------------------------


def test_a_verdict_about_which_nobody_learnt_anything_is_unlabelled() -> None:
    seen = card(ended("no_data", L4))
    assert told(ended("no_data", L4)) == all_are("pass::")
    assert (seen.right, seen.wrong, seen.labelled) == (0, 0, 0)


def test_what_survived_a_watch_in_production_was_right_to_pass() -> None:
    log = ended("clear", L4)
    assert told(log) == all_are("pass:right:survived")
    assert (card(log).right, card(log).wrong, card(log).is_clear, card(log).has_signal) == (6, 0, True, True)


@pytest.mark.parametrize("outcome", ["no_data", "regressed"])
def test_only_a_clear_watch_makes_passes_right(outcome: str) -> None:
    log = authorised(L4).then(merged(), watch_started(), watch_ended(outcome))
    assert told(log) == all_are("pass::")
    assert (card(log).is_clear, card(log).has_signal) == (False, outcome == "regressed")


def test_a_change_taken_back_because_it_hurt_makes_its_passes_wrong_whatever_else_was_said() -> None:
    log = ended().then(label(is_right=True), label(Phase.PLAN, "human", is_right=True), reverted())
    assert told(log) == all_are("pass:wrong:reverted")
    assert (card(log).is_reverted, card(log).is_bad, card(log).is_caught) == (True, True, False)


def test_a_fail_was_right_when_somebody_overrode_it_and_the_change_was_taken_back() -> None:
    log = overridden_at(Phase.TEST).then(reverted())
    assert told(log)["test"] == "fail:right:reverted"
    assert (card(log).is_bad, card(log).is_caught) == (True, True)


def test_a_check_is_stronger_than_survival() -> None:
    log = ended().then(label(is_right=False))
    assert told(log) == {**all_are("pass:right:survived"), "test": "pass:wrong:audit"}
    assert told(ended().then(label(is_right=True)))["test"] == "pass:right:audit"


def test_that_a_person_nobody_had_asked_calls_a_verdict_wrong_counts_like_a_check() -> None:
    assert told(ended().then(label(source="human", is_right=False)))["test"] == "pass:wrong:audit"


def test_that_a_person_nobody_had_asked_calls_a_verdict_right_is_weaker_than_survival() -> None:
    right = label(source="human", is_right=True)
    assert told(ended().then(right))["test"] == "pass:right:survived"
    assert told(ended("no_data", L4).then(right)) == {**all_are("pass::"), "test": "pass:right:human"}


def test_survival_is_stronger_than_what_a_person_decided() -> None:
    assert told(authorised()) == all_are("pass:right:human")
    assert told(ended()) == all_are("pass:right:survived")


def test_the_last_label_of_a_gate_is_the_one_that_counts() -> None:
    log = ended().then(label(is_right=False), label(is_right=True))
    assert told(log)["test"] == "pass:right:audit"


def test_a_label_of_a_gate_without_a_deciding_verdict_says_nothing() -> None:
    log = go_to(begun(), Phase.TEST).then(label(Phase.REVIEW, is_right=False))
    assert told(log) == all_are("pass:right:human", (Phase.PLAN, Phase.BUILD))


def test_a_label_is_about_the_verdict_that_stood_when_it_was_stated() -> None:
    failed = work(go_to(begun(), Phase.TEST), BAD[Phase.TEST]).then(label(is_right=True))
    assert told(failed)["test"] == "fail:right:audit"
    again = work(go_to(say(failed, DecisionKind.GUIDE, guidance="round up"), Phase.TEST))
    assert told(again)["test"] == "pass::"


# -- what people decide ------------------------------------------------------------


@pytest.mark.parametrize(
    ("evidence", "decision", "said", "is_override"),
    [
        (GOOD[Phase.TEST], APPROVE, "pass:right:human", False),
        (GOOD[Phase.TEST], REJECT, "pass:wrong:human", True),
        (BAD[Phase.TEST], OVERRIDE, "fail:wrong:human", True),
        (BAD[Phase.TEST], REJECT, "fail:right:human", False),
        (GOOD[Phase.TEST], DecisionKind.CANCEL, "pass::", False),
        (BAD[Phase.TEST], DecisionKind.CANCEL, "fail::", False),
        (GOOD[Phase.TEST], DecisionKind.HOLD, "pass::", False),
    ],
)
def test_a_person_s_decision_labels_the_gate_it_was_about(
    evidence: Evidence, decision: DecisionKind, said: str, *, is_override: bool
) -> None:
    log = say(work(go_to(begun(), Phase.TEST), evidence), decision)
    assert told(log) == {**all_are("pass:right:human", (Phase.PLAN, Phase.BUILD)), "test": said}
    assert card(log).overrides == is_override


def test_what_is_neither_pass_nor_fail_is_no_deciding_verdict_whatever_is_decided_on_it() -> None:
    log = say(work(go_to(begun(), Phase.TEST), SILENT), APPROVE)
    assert told(log) == all_are("pass:right:human", (Phase.PLAN, Phase.BUILD))
    assert (card(log).decisions, card(log).overrides) == (3, 0)


def test_an_override_was_wrong_to_doubt_the_gate_only_as_long_as_the_change_survives() -> None:
    assert told(overridden_at(Phase.TEST))["test"] == "fail:wrong:human"
    survived = overridden_at(Phase.TEST, "clear")
    assert told(survived)["test"] == "fail:wrong:survived"
    assert (card(survived).is_bad, card(survived).is_caught) == (False, True)


@pytest.mark.parametrize(("least_s", "hasty"), [(1.0, 0), (1.5, 6)])
def test_a_decision_that_came_too_fast_is_counted_and_shown_but_labels_nothing(least_s: float, hasty: int) -> None:
    log = authorised(policy=POLICY.model_copy(update={"considered_after_s": least_s}))
    assert told(log) == all_are("pass::" if hasty else "pass:right:human")
    assert (card(log).hasty, card(log).decisions) == (hasty, 6)


def test_how_long_somebody_took_is_counted_from_the_last_time_they_were_asked() -> None:
    policy = POLICY.model_copy(update={"considered_after_s": 1.5})
    log = say(work(begun(policy=policy)).then(errored(Phase.REVIEW)), APPROVE)
    assert card(log).hasty == 0, "a fact that does not fit took a second"
    asked_again = authorised(policy=policy).then(refused("dirty")).settled()
    assert told(say(asked_again, APPROVE))["deploy"] == "pass::"


def test_a_program_s_decisions_label_nothing_and_the_run_counts_for_no_rung() -> None:
    log = authorised(automatic=True)
    assert told(log) == all_are("pass::")
    seen = card(log)
    assert (seen.decisions, seen.overrides, seen.hasty, seen.counts) == (0, 0, 0, False)
    assert not card(say(at_merge(), APPROVE, automatic=True)).counts
    assert card(authorised()).counts


def test_one_program_s_decision_takes_the_labels_of_no_other() -> None:
    log = say(at_merge(), APPROVE, automatic=True)
    assert told(log) == {**all_are("pass:right:human"), "deploy": "pass::"}


def test_of_a_quorum_only_the_agreement_that_awaits_nobody_labels() -> None:
    policy = LOOKED.model_copy(update={"quorum": (QuorumPolicy(paths=("**",), people=2),)})
    asked = at_merge(policy=policy)
    agreed = say(asked, APPROVE)
    assert told(agreed)["deploy"] == "pass::"
    both = say(agreed, APPROVE, by="bob", os_user="bob")
    assert told(both)["deploy"] == "pass:right:human"
    assert card(both).decisions - card(asked).decisions == 2


def test_resuming_what_was_aborted_labels_nothing_and_overriding_it_labels_the_fail() -> None:
    aborted = work(go_to(begun(L3), Phase.REVIEW), BAD[Phase.REVIEW], declined="no way")
    assert aborted.run.stage is Stage.ABORTED
    assert told(aborted)["review"] == "fail::"
    assert told(say(aborted, DecisionKind.RESUME)) == {"plan": "pass::"}
    assert told(say(aborted, OVERRIDE))["review"] == "fail:wrong:human"


# -- which verdicts decide ------------------------------------------------------------


def test_a_fail_that_was_healed_by_changing_the_code_is_no_label_of_anything() -> None:
    healed = work(go_to(work(go_to(begun(L2), Phase.TEST), BAD[Phase.TEST]), Phase.TEST))
    assert (told(healed)["test"], card(healed).is_caught) == ("pass::", False)
    approved = say(healed, APPROVE)
    assert told(approved)["test"] == "pass:right:human"


def test_verdicts_on_code_that_is_built_anew_decide_nothing_and_the_plan_s_stays() -> None:
    again = work(at_deploy(L2), BAD[Phase.DEPLOY])
    assert (again.run.stage, again.run.phase) == (Stage.WORKING, Phase.BUILD)
    assert told(again) == {"plan": "pass:right:human"}
    assert told(work(again)) == {"plan": "pass:right:human", "build": "pass::"}


def at_deploy(level: Level = L1) -> Given:
    return go_to(begun(level), Phase.DEPLOY)


# -- the change on its forge -----------------------------------------------------------


def test_a_change_that_somebody_closed_as_wrong_makes_its_passes_wrong() -> None:
    log = at_merge(L3).then(closed("wrong"))
    assert told(log) == all_are("pass:wrong:human")
    assert (card(log).is_bad, card(log).is_caught) == (True, False)


@pytest.mark.parametrize("reason", ["obsolete", "duplicate", "wontfix"])
def test_a_change_closed_for_any_other_reason_says_nothing(reason: str) -> None:
    log = at_merge(L3)
    assert told(log.then(closed(reason))) == told(log) == all_are("pass::")


def test_a_change_that_was_merged_after_all_was_not_closed_as_wrong() -> None:
    log = authorised(L4).then(closed("wrong"), merged(), watch_started(), watch_ended("no_data")).settled()
    assert told(log) == all_are("pass::")


def foreign(tree: str, outcome: str = "clear") -> Given:
    landed = ChangeMerged(run=RUN, base="a" * 40, tip="9" * 40, tree=tree, target="main", method="foreign")
    return authorised(L4).then(landed, watch_started(), watch_ended(outcome)).settled()


def test_what_somebody_amended_before_merging_it_says_that_the_last_gate_was_wrong_to_pass_it() -> None:
    log = foreign("8" * 40)
    assert told(log) == {**all_are("pass::"), "deploy": "pass:wrong:human"}
    assert card(log).is_bad


def test_a_person_s_own_merge_of_just_the_judged_tree_labels_by_survival() -> None:
    assert told(foreign("e" * 40)) == all_are("pass:right:survived")


# -- reverts and rollbacks -------------------------------------------------------------


@pytest.mark.parametrize("why", ["business", "drill"])
def test_a_change_taken_back_for_business_or_as_a_drill_says_nothing_of_its_gates(why: str) -> None:
    log = ended().then(ordered(why), reverted(why))
    assert told(log) == all_are("pass:right:survived")
    seen = card(log)
    assert (seen.result, seen.is_reverted, seen.is_drilled, seen.is_bad) == (Result.SUCCESSFUL, False, True, False)


def test_harm_that_could_not_be_taken_back_takes_the_success_and_the_survival_and_labels_nothing() -> None:
    log = ended(level=L4).then(ordered(), refused("conflict"))
    seen = card(log)
    assert told(log) == all_are("pass::")
    assert (seen.result, seen.is_clear, seen.is_reverted, seen.is_drilled) == (Result.FAILED, False, False, False)
    assert not seen.is_bad


def test_a_revert_is_known_also_when_it_comes_long_after_the_end() -> None:
    log = ended().then(label(is_right=True), ordered(), reverted())
    assert told(log) == all_are("pass:wrong:reverted")
    assert (card(log).result, card(log).is_drilled) == (Result.FAILED, True)


# -- how a run counts ------------------------------------------------------------------


def test_a_run_has_not_ended_until_its_watch_has() -> None:
    for log in (begun(), at_merge(), authorised().then(merged(), watch_started())):
        assert (card(log).result, card(log).ended) == (Result.OPEN, 0)
    seen = card(ended())
    assert seen.result is Result.SUCCESSFUL
    assert 0 < seen.started < seen.merged < seen.ended


def test_a_run_cancelled_before_any_verdict_does_not_count_and_behind_one_it_failed() -> None:
    assert card(say(begun(), DecisionKind.CANCEL)).result is Result.UNCOUNTED
    assert card(say(work(begun()), DecisionKind.CANCEL)).result is Result.FAILED


def test_a_run_that_was_turned_down_or_aborted_failed() -> None:
    assert card(say(at_merge(), REJECT)).result is Result.FAILED
    aborted = work(go_to(begun(L4), Phase.PLAN), BAD[Phase.PLAN], declined="no way")
    assert (aborted.run.stage, card(aborted).result) == (Stage.ABORTED, Result.FAILED)
    assert card(aborted).is_caught


@pytest.mark.parametrize("is_silent", [False, True])
def test_a_run_that_infrastructure_ended_does_not_count(*, is_silent: bool) -> None:
    aborted = lost(go_to(begun(L4), Phase.REVIEW), is_silent=is_silent)
    assert (aborted.run.stage, card(aborted).result) == (Stage.ABORTED, Result.UNCOUNTED)
    given_up = say(lost(go_to(begun(), Phase.REVIEW), is_silent=is_silent), REJECT)
    assert (given_up.run.stage, card(given_up).result) == (Stage.ENDED, Result.UNCOUNTED)
    assert card(aborted).healing_attempts == card(given_up).healing_attempts == 0


def test_a_run_under_a_cap_is_labelled_and_counts_for_no_rung() -> None:
    newcomer = replace(begun(L2), experience=EXPERIENCED._replace(labelled_runs=0))
    capped = say(work(newcomer), APPROVE)
    assert (card(capped).level, card(capped).counts, card(capped).labelled) == (L1, False, 1)
    free = say(work(begun(L2)), APPROVE)
    assert (card(free).level, card(free).counts, card(free).labelled) == (L2, True, 1)


def test_a_run_whose_level_changed_on_the_way_is_of_no_level() -> None:
    log = work(begun(L3))
    assert card(log).level is L3
    lowered = log.then(*granted(L2))
    assert card(work(lowered)).level is None
    assert card(begun(L3)).level is None, "nothing was judged"


# -- healing ---------------------------------------------------------------------------


def test_attempts_after_the_first_of_each_phase_are_healing_attempts() -> None:
    failed = work(go_to(begun(L2), Phase.TEST), BAD[Phase.TEST])
    assert (failed.run.phase, card(failed).healing_attempts) == (Phase.BUILD, 0)
    assert card(work(work(failed))).healing_attempts == 2


def test_an_attempt_that_stood_in_for_a_lost_one_is_no_healing_attempt() -> None:
    log = begun().then(errored(Phase.PLAN, is_retryable=True))
    log = work(log.timer(log.timers[0]).settled())
    assert (log.run.attempt, card(log).healing_attempts) == (2, 0)


def test_a_deploy_that_is_integrated_anew_because_the_base_moved_is_no_healing_attempt() -> None:
    moved = authorised().then(refused("moved")).settled()
    assert (moved.run.phase, moved.run.attempt) == (Phase.DEPLOY, 2)
    assert card(work(moved)).healing_attempts == 0
    lost_once = moved.then(errored(Phase.DEPLOY, 2, is_retryable=True))
    assert card(work(lost_once.timer(lost_once.timers[0]).settled())).healing_attempts == 0


def test_a_deploy_that_somebody_let_through_against_its_gate_is_integrated_anew_as_well() -> None:
    bad = GOOD[Phase.DEPLOY].model_copy(update={"tests": BAD[Phase.TEST].tests})
    log = say(work(at_deploy(), bad), OVERRIDE)
    moved = log.then(refused("moved")).settled()
    assert card(work(moved)).healing_attempts == 0


def test_a_deploy_whose_gate_failed_is_healed() -> None:
    again = go_to(work(at_deploy(L2), BAD[Phase.DEPLOY]), Phase.DEPLOY)
    assert card(work(again)).healing_attempts == 5, "build, test, review, document and deploy were done again"


# -- checks by chance ------------------------------------------------------------------


def share_drawn(log: Given, kind: str, count: int = 1500) -> float:
    drawn_runs = [card(log, replace(log.run, run=f"run-{n}")).drawn for n in range(count)]
    assert set(drawn_runs) == {"", kind}
    assert drawn_runs[:99] == [card(log, replace(log.run, run=f"run-{n}")).drawn for n in range(99)]
    return sum(one == kind for one in drawn_runs) / count


def test_a_steady_tenth_of_what_was_let_through_and_a_fifth_of_what_a_gate_ended_is_drawn() -> None:
    aborted = work(begun(L4), BAD[Phase.PLAN], declined="no way")
    assert abs(share_drawn(ended(level=L4), "pass") - PASSES_DRAWN) < 0.025
    assert abs(share_drawn(aborted, "fail") - FAILS_DRAWN) < 0.035


def test_what_is_drawn_is_the_same_whatever_the_watch_found() -> None:
    logs = [ended(outcome, L4) for outcome in ("clear", "no_data")]
    logs.append(ended("clear", L4).then(ordered(), reverted()))
    for number in range(100):
        assert len({card(log, replace(log.run, run=f"run-{number}")).drawn for log in logs}) == 1


def test_nothing_is_drawn_where_people_see_everything_or_before_anything_was_let_through() -> None:
    gave_up = say(lost(go_to(begun(L3), Phase.REVIEW), is_silent=False), DecisionKind.RESUME)
    for log in (ended(), ended(level=L2), at_merge(L4), begun(L4), gave_up):
        assert not any(card(log, replace(log.run, run=f"run-{n}")).drawn for n in range(100))


# -- beside the next level ---------------------------------------------------------------


def test_each_person_s_decision_at_a_checkpoint_stands_beside_what_the_next_level_would_have_done() -> None:
    log = say(work(go_to(begun(), Phase.BUILD)), APPROVE)
    log = say(work(go_to(log, Phase.TEST), BAD[Phase.TEST]), REJECT)
    assert card(log).shadows == "plan:1:checkpoint:approve build:1:proceed:approve test:1:heal:reject"


def test_programs_agreements_and_what_ended_by_itself_stand_beside_nothing() -> None:
    assert card(authorised(automatic=True)).shadows == ""
    assert card(say(at_merge(), DecisionKind.HOLD)).shadows == card(at_merge()).shadows
    aborted = work(begun(L3), BAD[Phase.PLAN], declined="no way")
    assert card(say(aborted, OVERRIDE)).shadows == ""


# -- properties ----------------------------------------------------------------------------


def of(facts: Iterable[Recorded]) -> Scorecard:
    told_of = [one for one in facts if isinstance(one.fact, RunFact)]
    return scorecard(fold(told_of), told_of, {})


TIMES: Final = ("started", "ended", "merged")


@settings(max_examples=100, deadline=None)
@drawn(any_facts, st.integers(0, 25))
def test_a_scorecard_is_the_same_however_the_facts_are_grouped(facts: list[Fact], cut: int) -> None:
    recorded = [one for one in record([started(), *facts]) if isinstance(one.fact, RunFact)]
    run = fold(recorded[:cut])
    for one in recorded[cut:]:
        run = evolve(run, one)
    assert scorecard(run, recorded, {}) == of(recorded)


@settings(max_examples=100, deadline=None)
@drawn(any_facts)
def test_a_fact_that_does_not_fit_or_came_twice_changes_nothing(facts: list[Fact]) -> None:
    recorded = [one for one in record([started(), *facts]) if isinstance(one.fact, RunFact)]
    misfits = fold(recorded).misfits
    assert of(recorded) == of([one for one in recorded if one.sequence not in misfits])


@settings(max_examples=30, deadline=None)
@drawn(histories(), st.data())
def test_a_fact_of_the_past_that_comes_again_changes_nothing(log: Given, data: st.DataObject) -> None:
    phases = [fact for fact in log.facts if isinstance(fact, PhaseFact)]
    again = log.then(data.draw(st.sampled_from(phases))) if phases else log
    if again.run.misfits != log.run.misfits:
        assert card(again) == card(log)


@settings(max_examples=30, deadline=None)
@drawn(histories(), st.data())
def test_no_timer_changes_a_figure_and_a_checkpoint_that_expires_labels_nothing(
    log: Given, data: st.DataObject
) -> None:
    if not log.timers:
        return
    rung = log.timer(data.draw(st.sampled_from(log.timers)))
    assert card(rung) == card(log)
    if rung.run.stage is Stage.EXPIRED:
        figures = {"result": Result.OPEN, "ended": 0, "drawn": ""}
        assert card(rung.settled())._replace(**figures) == card(log)._replace(**figures)  # type: ignore[arg-type]


@settings(max_examples=30, deadline=None)
@drawn(histories())
def test_a_program_s_decision_changes_no_label_and_no_count_of_decisions(log: Given) -> None:
    if log.run.checkpoint is None or log.run.stage is not Stage.WAITING:
        return
    after = log.requests(asks(log.run.checkpoint.answers[0], "program", automatic=True)).after
    assert card(after)._replace(counts=card(log).counts) == card(log)
    assert not (card(after).counts and isinstance(after.facts[-1], DecisionRecorded))


@settings(max_examples=30, deadline=None)
@drawn(histories(), st.sampled_from(ROUTE), st.sampled_from(["audit", "human"]), st.booleans())
def test_calling_a_verdict_wrong_never_makes_more_right_or_less_wrong(
    log: Given, phase: Phase, source: str, is_right: bool
) -> None:
    before = log.then(label(phase, source, is_right=is_right)) if is_right else log
    after = log.then(label(phase, source, is_right=False))
    assert card(after).right <= card(before).right
    assert card(after).wrong >= card(before).wrong


def test_every_fact_that_a_run_can_have_leaves_a_scorecard() -> None:
    log = ended()
    for fact in MIXED:
        if isinstance(fact, RunFact) and not isinstance(fact, TimerDue):
            assert card(log.then(fact)).started == card(log).started
