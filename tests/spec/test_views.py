"""A run told to people: one word, the phases, and sentences for why it is there and what would move it."""

from dataclasses import replace

import pytest

from libs.contracts.facts import Fact, PhaseRequested
from libs.contracts.views import RunView
from libs.contracts.words import DecisionKind, Level, Outcome, Phase
from services.gatekeeper.authority import UNKNOWN
from services.gatekeeper.evolution import fold
from services.gatekeeper.views import checkpoint_name, view
from tests.spec.decider import T0, Given, given, record
from tests.spec.story import (
    BAD,
    BASE,
    CHANGE,
    GOOD,
    INTEGRATION,
    ROUTE,
    RUN,
    SILENT,
    adopted,
    asks,
    completed,
    decided,
    granted,
    merged,
    refused,
    started,
    watch_ended,
    watch_started,
)


def begun(level: Level = Level.ASSISTED) -> Given:
    return given(adopted(), *granted(level), started(level=level)).settled()


def waiting(phase: Phase, last: Fact | None = None) -> Given:
    log = begun()
    for earlier in ROUTE[: ROUTE.index(phase)]:
        log = log.then(completed(earlier)).settled()
        log = log.then(decided(DecisionKind.APPROVE, earlier, decision=f"d-{earlier}")).settled()
    return log.then(last or completed(phase)).settled()


def authorised() -> Given:
    return waiting(Phase.DEPLOY).then(decided(DecisionKind.APPROVE, Phase.DEPLOY, decision="d")).settled()


def told(log: Given) -> RunView:
    return view(log.run)


def test_a_run_that_works_says_at_what_and_what_moves_it() -> None:
    seen = told(begun())
    assert (seen.outcome, seen.stage) == ("working", "working")
    assert seen.sentences == (
        "The run for “The total is wrong” is at work: plan, attempt 1.",
        "Why: plan attempt 1 is being worked on.",
        "What moves it: the answer of the worker, or the attempt's deadline.",
    )


def test_a_run_that_waits_says_for_whom_why_and_what_may_be_answered() -> None:
    seen = told(waiting(Phase.TEST, completed(Phase.TEST, evidence=BAD[Phase.TEST])))
    assert seen.outcome == "waiting"
    assert "waits for a human at the checkpoint “after test”" in seen.sentences[0]
    assert "The test gate says fail: 1 of 3 tests failed: test_total." in seen.sentences
    assert f"rung decide {RUN[:8]} <answer>, where the answer is one of override, reject" in seen.sentences[-1]


def test_a_checkpoint_is_told_with_what_was_judged_there() -> None:
    seen = told(waiting(Phase.TEST, completed(Phase.TEST, evidence=SILENT))).checkpoint
    assert seen is not None
    assert (seen.phase, seen.name, seen.attempt, seen.commit) == (Phase.TEST, "after test", 1, CHANGE)
    assert (seen.outcome, seen.answers[0]) == (Outcome.NO_DATA, DecisionKind.APPROVE)


def test_the_checkpoint_after_deploy_is_called_merge() -> None:
    assert [checkpoint_name(phase) for phase in (Phase.PLAN, Phase.DEPLOY)] == ["after plan", "merge"]


def test_a_run_that_no_longer_waits_shows_no_checkpoint() -> None:
    assert told(waiting(Phase.PLAN).then(decided(DecisionKind.APPROVE, Phase.PLAN))).checkpoint is None


@pytest.mark.parametrize(
    ("log", "outcome", "sentence"),
    [
        (waiting(Phase.PLAN).then(decided(DecisionKind.REJECT, Phase.PLAN)).settled(), "declined", "ended: declined"),
        (begun().then(decided(DecisionKind.CANCEL, Phase.PLAN)).settled(), "cancelled", "ended: cancelled"),
        (
            begun(Level.AUTONOMOUS).then(completed(Phase.PLAN, declined="no")).settled(),
            "aborted",
            f"What moves it: rung decide {RUN[:8]} override or resume or guide",
        ),
        (authorised(), "working", "the merger, which lands exactly the authorised tree"),
        (authorised().then(refused()).settled(), "waiting", "nothing moved: dirty"),
        (authorised().then(merged()), "merged", "is merged and watched"),
        (authorised().then(merged(), watch_started()), "merged", "What moves it: the end of the watch."),
        (authorised().then(merged(), watch_started(), watch_ended()).settled(), "merged", "ended: merged"),
    ],
    ids=["rejected", "cancelled", "aborted", "authorised", "refused", "merged", "watching", "ended"],
)
def test_each_way_a_run_can_go_has_its_word_and_its_sentence(log: Given, outcome: str, sentence: str) -> None:
    seen = told(log)
    assert seen.outcome == outcome
    assert sentence in " ".join(seen.sentences)


def test_the_commit_shown_is_the_one_at_hand() -> None:
    seen = [told(log).commit for log in (begun(), waiting(Phase.BUILD), waiting(Phase.DEPLOY), authorised())]
    assert seen == [None, CHANGE, INTEGRATION, CHANGE]
    landed = told(authorised().then(merged()))
    assert (landed.commit, landed.merged_tip, landed.merged_base, landed.target) == (
        INTEGRATION,
        INTEGRATION,
        BASE,
        "main",
    )


def test_phases_are_told_in_order_with_their_attempts_and_last_verdict() -> None:
    log = begun(Level.SUPERVISED).then(completed(Phase.PLAN, evidence=BAD[Phase.PLAN])).settled()
    log = log.then(completed(Phase.PLAN, 2, summary="names shop.py")).settled()
    (plan,) = told(log).phases
    assert (plan.phase, plan.attempts, plan.outcome, plan.summary) == (Phase.PLAN, 2, Outcome.PASS, "names shop.py")
    assert plan.ended_at is not None
    assert plan.started_at < plan.ended_at


def test_a_phase_that_failed_tells_codes_and_reasons() -> None:
    (plan,) = told(waiting(Phase.PLAN, completed(Phase.PLAN, evidence=BAD[Phase.PLAN]))).phases
    assert plan.codes == ("plan_names_missing_files",)
    assert plan.reasons == ("the plan names files that do not exist: nowhere.py",)


def test_the_watch_is_told_as_the_monitor_s_phase() -> None:
    log = authorised().then(merged(), watch_started())
    assert told(log).phases[-1].phase is Phase.MONITOR
    assert told(log).phases[-1].outcome is None
    assert told(log.then(watch_ended("no_data"))).phases[-1].outcome == "no_data"


def test_decisions_are_told_in_words_with_who_and_whether_by_a_program() -> None:
    log = waiting(Phase.PLAN).requests(asks(DecisionKind.OVERRIDE)).after
    log = log.then(decided(DecisionKind.APPROVE, Phase.PLAN, decision="d2", automatic=True))
    assert told(log).decisions == (
        "refused: override by ann: the gate says pass; say approve to go on",
        "approve by ann (automatic) after plan: seen",
    )


def test_a_held_run_says_so() -> None:
    assert told(begun().then(decided(DecisionKind.HOLD, Phase.PLAN))).is_held


def test_facts_that_do_not_fit_or_cannot_be_read_are_counted_and_said() -> None:
    log = begun().then(merged())
    assert told(log).misfit_count == 1
    assert "1 facts did not fit" in told(log).sentences[-1]
    run = fold((r for r in log.recorded if r.fact.stream == "run"), unread=[99, 100])
    assert view(run).unread_count == 2
    assert "no decision is made until they can be" in view(run).sentences[-1]


def test_a_view_tells_when_the_run_began_and_when_it_moved_last() -> None:
    log = waiting(Phase.PLAN)
    first = next(n for n, fact in enumerate(log.facts, start=1) if isinstance(fact, PhaseRequested))
    seen = told(log)
    assert (seen.started_at, seen.moved_at, seen.sequence) == (T0 + first, T0 + len(log.facts), len(log.facts))


def test_a_run_that_has_only_begun_is_told_too() -> None:
    seen = view(fold(record([started()])))
    assert (seen.outcome, seen.phases, seen.level_in_force) == ("working", (), None)
    assert "is about to begin" in seen.sentences[0]


def test_the_level_in_force_is_the_last_verdict_s() -> None:
    log = given(adopted(), started(level=Level.ASE)).settled().then(completed(Phase.PLAN, evidence=GOOD[Phase.PLAN]))
    seen = told(log.settled())
    assert (seen.level, seen.level_in_force) == (Level.ASE, Level.ASSISTED)


def test_a_run_with_less_authority_than_its_workflow_asks_for_says_why() -> None:
    held = given(adopted(), *granted(Level.SUPERVISED), started(level=Level.ASE)).settled().then(completed(Phase.PLAN))
    assert "Configured is ase; in force is supervised: granted is supervised." in told(held.settled()).sentences
    capped = given(adopted(), *granted(Level.SUPERVISED), started(level=Level.SUPERVISED))
    capped = replace(capped, experience=UNKNOWN).settled().then(completed(Phase.PLAN)).settled()
    (sentence,) = [one for one in told(capped).sentences if one.startswith("Configured is")]
    assert sentence.startswith("Configured is supervised; in force is assisted: at most assisted: the sandbox of this")
    assert not [one for one in told(waiting(Phase.PLAN)).sentences if one.startswith("Configured is")]
