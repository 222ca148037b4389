"""What a person may decide, where, and what is refused with which sentence."""

from collections.abc import Callable
from typing import Any

import pytest

from libs.contracts.evidence import Evidence
from libs.contracts.facts import DecisionRecorded, DecisionRefused, RunFinished
from libs.contracts.people import People, Person, Role
from libs.contracts.requests import DecisionRequest
from libs.contracts.words import DecisionKind, Level, Phase, RunOutcome
from libs.contracts.workflow import policy_digest
from services.gatekeeper.decisions import consider
from services.gatekeeper.run import fold
from services.gatekeeper.transitions import Stage
from tests.spec.decider import Given, given, record
from tests.spec.story import (
    BAD,
    BASE,
    CHANGE,
    GOOD,
    INTEGRATION,
    POLICY,
    ROUTE,
    RUN,
    SILENT,
    adopted,
    asks,
    completed,
    decided,
    errored,
    granted,
    merged,
    started,
    watch_started,
)

ENDING = RunFinished(run=RUN, outcome=RunOutcome.CANCELLED, reason="x")


def begun() -> Given:
    return given(adopted(), started()).settled()


def waiting(phase: Phase = Phase.PLAN, evidence: Evidence | None = None) -> Given:
    """A run at the lowest level that waits after this phase, every earlier one approved."""
    log = begun()
    for earlier in ROUTE[: ROUTE.index(phase)]:
        log = log.then(completed(earlier)).settled()
        log = log.then(decided(DecisionKind.APPROVE, earlier, decision=f"d-{earlier}")).settled()
    return log.then(completed(phase, evidence=evidence)).settled()


def authorised() -> Given:
    return waiting(Phase.DEPLOY).then(decided(DecisionKind.APPROVE, Phase.DEPLOY, decision="d-deploy")).settled()


def refusal(log: Given, request: DecisionRequest) -> DecisionRefused:
    """The refusal that the request is answered with; it moves the run nowhere."""
    answer = log.requests(request)
    assert isinstance(answer.fact, DecisionRefused), answer.fact
    assert answer.after.run.stage is log.run.stage
    assert (answer.fact.decision, answer.fact.kind, answer.fact.by) == (request.decision, request.kind, request.by)
    return answer.fact


def recorded(log: Given, request: DecisionRequest) -> tuple[DecisionRecorded, Stage]:
    answer = log.requests(request)
    assert isinstance(answer.fact, DecisionRecorded), answer.fact
    return answer.fact, answer.after.run.stage


def test_a_decision_is_bound_to_what_it_was_about() -> None:
    decision, stage = recorded(waiting(Phase.BUILD), asks(DecisionKind.APPROVE))
    assert (decision.phase, decision.attempt, decision.commit) == (Phase.BUILD, 1, CHANGE)
    assert decision.policy_digest == policy_digest(POLICY)
    assert (decision.is_override, decision.automatic, stage) == (False, False, Stage.APPROVED)


def test_a_decision_on_the_merge_is_bound_to_the_commit_that_would_land() -> None:
    decision, _ = recorded(waiting(Phase.DEPLOY), asks(DecisionKind.APPROVE))
    assert decision.commit == INTEGRATION


@pytest.mark.parametrize(
    ("kind", "evidence", "stage"),
    [
        (DecisionKind.APPROVE, GOOD[Phase.TEST], Stage.APPROVED),
        (DecisionKind.APPROVE, SILENT, Stage.APPROVED),
        (DecisionKind.OVERRIDE, BAD[Phase.TEST], Stage.APPROVED),
        (DecisionKind.REJECT, BAD[Phase.TEST], Stage.REJECTED),
        (DecisionKind.RETRY, BAD[Phase.TEST], Stage.HEALING),
        (DecisionKind.GUIDE, BAD[Phase.TEST], Stage.HEALING),
        (DecisionKind.CANCEL, BAD[Phase.TEST], Stage.CANCELLING),
        (DecisionKind.HOLD, GOOD[Phase.TEST], Stage.WAITING),
    ],
)
def test_what_a_person_may_answer_at_a_checkpoint_moves_the_run(
    kind: DecisionKind, evidence: Evidence, stage: Stage
) -> None:
    assert recorded(waiting(Phase.TEST, evidence), asks(kind))[1] is stage


def test_every_answer_that_a_checkpoint_offers_is_taken() -> None:
    tested = [waiting(Phase.TEST, evidence) for evidence in (GOOD[Phase.TEST], BAD[Phase.TEST], SILENT)]
    for log in (*tested, waiting(Phase.DEPLOY, BAD[Phase.DEPLOY])):
        assert log.run.checkpoint is not None
        for kind in log.run.checkpoint.answers:
            recorded(log, asks(kind))


def test_approve_on_a_fail_is_refused_and_says_override() -> None:
    said = refusal(waiting(Phase.TEST, BAD[Phase.TEST]), asks(DecisionKind.APPROVE))
    assert (said.code, said.message) == ("approve_on_fail", "the gate says fail; say override to go on against it")


@pytest.mark.parametrize("evidence", [GOOD[Phase.TEST], SILENT], ids=["pass", "no_data"])
def test_override_of_what_did_not_fail_is_refused_and_says_approve(evidence: Evidence) -> None:
    said = refusal(waiting(Phase.TEST, evidence), asks(DecisionKind.OVERRIDE))
    assert said.code == "nothing_to_override"
    assert "say approve" in said.message


def test_a_program_never_overrides() -> None:
    log = waiting(Phase.TEST, BAD[Phase.TEST])
    assert refusal(log, asks(DecisionKind.OVERRIDE, automatic=True)).code == "automatic_override"


def test_an_override_needs_a_reason() -> None:
    log = waiting(Phase.TEST, BAD[Phase.TEST])
    assert refusal(log, asks(DecisionKind.OVERRIDE, reason=" \n")).code == "no_reason"


def test_guide_needs_text_and_takes_the_reason_for_it() -> None:
    log = waiting(Phase.TEST, BAD[Phase.TEST])
    assert refusal(log, asks(DecisionKind.GUIDE, reason="")).code == "no_guidance"
    assert recorded(log, asks(DecisionKind.GUIDE, reason="look at rounding"))[0].guidance == "look at rounding"
    told = asks(DecisionKind.GUIDE, reason="r", guidance="two\nlines")
    assert recorded(log, told)[0].guidance == "two\nlines"


@pytest.mark.parametrize(
    ("evidence", "kind", "is_override"),
    [
        (BAD[Phase.TEST], DecisionKind.OVERRIDE, True),
        (GOOD[Phase.TEST], DecisionKind.REJECT, True),
        (BAD[Phase.TEST], DecisionKind.REJECT, False),
        (SILENT, DecisionKind.REJECT, False),
        (SILENT, DecisionKind.APPROVE, False),
        (GOOD[Phase.TEST], DecisionKind.GUIDE, False),
    ],
)
def test_an_override_is_what_contradicts_a_pass_or_a_fail(
    evidence: Evidence, kind: DecisionKind, is_override: bool
) -> None:
    assert recorded(waiting(Phase.TEST, evidence), asks(kind))[0].is_override is is_override


@pytest.mark.parametrize(
    "seen", [{"phase": Phase.BUILD}, {"attempt": 2}, {"commit": BASE}], ids=["phase", "attempt", "commit"]
)
def test_a_decision_about_what_is_past_is_stale_and_names_both(seen: dict[str, Any]) -> None:
    said = refusal(waiting(Phase.TEST), asks(DecisionKind.APPROVE, **seen))
    assert said.code == "stale"
    assert f"the run is at test attempt 1 on {CHANGE[:12]}" in said.message


def test_a_decision_that_names_what_is_at_hand_is_taken() -> None:
    named = asks(DecisionKind.APPROVE, phase=Phase.TEST, attempt=1, commit=CHANGE)
    assert recorded(waiting(Phase.TEST), named)[1] is Stage.APPROVED


def test_a_repeated_decision_gets_the_first_answer_also_where_it_would_now_be_refused() -> None:
    log = waiting(Phase.PLAN)
    first = log.requests(asks(DecisionKind.APPROVE))
    assert first.after.settled().requests(asks(DecisionKind.APPROVE)).fact is None
    no = log.requests(asks(DecisionKind.OVERRIDE))
    assert no.after.requests(asks(DecisionKind.OVERRIDE)).fact is None


def test_another_id_is_another_decision() -> None:
    after = waiting(Phase.PLAN).requests(asks(DecisionKind.APPROVE)).after
    assert refusal(after, asks(DecisionKind.APPROVE, "d2")).code == "nothing_waits"


@pytest.mark.parametrize(
    ("log", "kind", "code"),
    [
        (lambda: given(started(), ENDING), DecisionKind.APPROVE, "run_ended"),
        (lambda: given(started(), ENDING), DecisionKind.HOLD, "run_ended"),
        (authorised, DecisionKind.HOLD, "too_late"),
        (authorised, DecisionKind.CANCEL, "too_late"),
        (lambda: authorised().then(merged(), watch_started()), DecisionKind.REJECT, "too_late"),
        (begun, DecisionKind.APPROVE, "nothing_waits"),
        (begun, DecisionKind.RETRY, "nothing_waits"),
        (begun, DecisionKind.RESUME, "not_aborted"),
        (waiting, DecisionKind.RESUME, "not_aborted"),
        (waiting, DecisionKind.GRANT, "not_for_a_run"),
        (waiting, DecisionKind.REVOKE, "not_for_a_run"),
    ],
)
def test_a_decision_where_it_means_nothing_is_refused(log: Callable[[], Given], kind: DecisionKind, code: str) -> None:
    assert refusal(log(), asks(kind)).code == code


@pytest.mark.parametrize("kind", [DecisionKind.RESUME, DecisionKind.GUIDE, DecisionKind.RETRY])
def test_a_human_can_take_up_an_aborted_run(kind: DecisionKind) -> None:
    log = given(adopted(), started(policy=POLICY.model_copy(update={"checkpoints": {}}))).settled()
    aborted = log.then(completed(Phase.PLAN)).settled()
    aborted = aborted.then(decided(DecisionKind.REJECT, Phase.PLAN))
    assert refusal(aborted.settled(), asks(kind, "late")).code == "run_ended"
    expired = supervised_plan().timer("checkpoint-plan-1-0").settled().timer("checkpoint-plan-1-1").settled()
    assert recorded(expired, asks(kind))[1] is Stage.HEALING


def supervised_plan() -> Given:
    log = given(adopted(), *granted(Level.SUPERVISED), started(level=Level.SUPERVISED)).settled()
    return log.then(completed(Phase.PLAN)).settled()


def test_nobody_goes_on_without_a_change() -> None:
    log = begun().then(completed(Phase.PLAN)).settled()
    log = log.then(decided(DecisionKind.APPROVE, Phase.PLAN, decision="p")).settled()
    failed = log.then(completed(Phase.BUILD, evidence=BAD[Phase.BUILD], commit=BASE)).settled()
    assert refusal(failed, asks(DecisionKind.OVERRIDE)).code == "nothing_to_go_on_with"
    broken = log.then(errored(Phase.BUILD)).settled()
    assert refusal(broken, asks(DecisionKind.APPROVE)).code == "nothing_to_go_on_with"


def test_a_plan_is_approved_before_there_is_a_change() -> None:
    assert recorded(waiting(Phase.PLAN), asks(DecisionKind.APPROVE))[1] is Stage.APPROVED


def test_nobody_merges_without_the_commit_that_would_land() -> None:
    conflicting = waiting(Phase.DEPLOY, BAD[Phase.DEPLOY])
    assert refusal(conflicting, asks(DecisionKind.OVERRIDE)).code == "nothing_to_go_on_with"
    log = waiting(Phase.DOCUMENT).then(decided(DecisionKind.APPROVE, Phase.DOCUMENT, decision="doc")).settled()
    broken = log.then(errored(Phase.DEPLOY)).settled()
    assert refusal(broken, asks(DecisionKind.APPROVE)).code == "nothing_to_go_on_with"


def test_what_strangers_write_stays_on_one_line_and_is_cut() -> None:
    decision, _ = recorded(waiting(), asks(DecisionKind.APPROVE, by="ann\x1b[31m\nroot", reason="a\nb" + "x" * 5000))
    assert decision.by == "ann [31m root"
    assert "\n" not in decision.reason
    assert len(decision.reason) == 1000


def test_an_automatic_decision_is_kept_as_one() -> None:
    decision, _ = recorded(waiting(), asks(DecisionKind.APPROVE, automatic=True, os_user="ci"))
    assert (decision.automatic, decision.by, decision.os_user) == (True, "ann", "ci")


def test_a_run_with_a_fact_that_cannot_be_read_answers_nothing() -> None:
    facts = record(waiting().facts)
    unread = fold((r for r in facts if r.fact.stream == "run"), unread=[99])
    assert consider(unread, asks(DecisionKind.APPROVE)) == []


PEOPLE = People(
    people={
        "ann": Person(role=Role.APPROVER, users=("ann", "aw")),
        "bob": Person(role=Role.VIEWER),
        "cat": Person(role=Role.OPERATOR),
    }
)


@pytest.mark.parametrize(
    ("os_user", "code"), [("ann", "own_work"), ("aw", "own_work"), ("bob", "only_looks"), ("eve", "unknown_person")]
)
def test_a_person_who_may_not_decide_is_refused_by_name(os_user: str, code: str) -> None:
    log = given(adopted(), started(opened_by="ann")).settled().then(completed(Phase.PLAN)).settled()
    (owed,) = consider(log.run, asks(DecisionKind.APPROVE, os_user=os_user), PEOPLE)
    assert isinstance(owed.fact, DecisionRefused)
    assert owed.fact.code == code
    assert log.run.stage is Stage.WAITING


@pytest.mark.parametrize("opened_by", [None, "ann"])
def test_a_person_who_did_not_open_the_issue_decides(opened_by: str | None) -> None:
    log = given(adopted(), started(opened_by=opened_by)).settled().then(completed(Phase.PLAN)).settled()
    (owed,) = consider(log.run, asks(DecisionKind.APPROVE, os_user="cat", by="ann"), PEOPLE)
    assert isinstance(owed.fact, DecisionRecorded)
    assert (owed.fact.by, owed.fact.os_user) == ("cat", "cat")


def test_where_separation_is_relaxed_one_decides_on_one_s_own_issue() -> None:
    log = given(adopted(), started(opened_by="ann")).settled().then(completed(Phase.PLAN)).settled()
    relaxed = PEOPLE.model_copy(update={"separation": "relaxed"})
    (owed,) = consider(log.run, asks(DecisionKind.APPROVE, os_user="aw"), relaxed)
    assert isinstance(owed.fact, DecisionRecorded)
