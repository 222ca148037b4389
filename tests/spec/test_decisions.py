"""What a person may decide, where, and what is refused with which sentence."""

from collections.abc import Callable
from typing import Any

import nkeys
import pytest

from libs.contracts.evidence import ChangedFile, DiffEvidence, Evidence
from libs.contracts.facts import DecisionRecorded, DecisionRefused, RunFinished
from libs.contracts.people import People, Person, Role
from libs.contracts.requests import DecisionRequest
from libs.contracts.signing import sign
from libs.contracts.words import DecisionKind, Level, Phase, RunOutcome
from libs.contracts.workflow import QuorumPolicy, policy_digest
from services.gatekeeper.decisions import consider
from services.gatekeeper.evolution import fold
from services.gatekeeper.quorum import quorum
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
from tests.spec.story import refused as merge_refused

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
        (waiting, DecisionKind.REVOKE, "not_merged"),
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
    expired = supervised_plan().timer("checkpoint-plan-1-1").settled().timer("checkpoint-plan-1-2").settled()
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


# -- who it is ----------------------------------------------------------------

SEED = nkeys.encode_seed(bytes(range(32)), nkeys.PREFIX_BYTE_USER).decode()
KEY = nkeys.from_seed(SEED.encode()).public_key.decode()
STRANGE_SEED = nkeys.encode_seed(bytes(range(1, 33)), nkeys.PREFIX_BYTE_USER).decode()
KEYED = People(people={"dan": Person(role=Role.APPROVER, key=KEY), "eve": Person(role=Role.APPROVER)})


def answered(log: Given, request: DecisionRequest, people: People) -> DecisionRecorded | DecisionRefused:
    (owed,) = consider(log.run, request, people)
    assert isinstance(owed.fact, DecisionRecorded | DecisionRefused)
    return owed.fact


@pytest.mark.parametrize("os_user", ["dan", "eve", "nobody"])
def test_who_has_a_key_is_known_by_it_whatever_user_they_are(os_user: str) -> None:
    said = answered(waiting(), sign(asks(DecisionKind.APPROVE, os_user=os_user, by="x"), SEED), KEYED)
    assert isinstance(said, DecisionRecorded)
    assert (said.by, said.is_signed) == ("dan", True)


def test_who_has_a_key_does_not_decide_without_it() -> None:
    said = answered(waiting(), asks(DecisionKind.APPROVE, os_user="dan"), KEYED)
    assert isinstance(said, DecisionRefused)
    assert (said.by, said.code) == ("dan", "unsigned")
    assert "RUNG_PERSON_KEY" in said.message


def test_who_has_no_key_decides_as_a_user_and_unsigned() -> None:
    said = answered(waiting(), asks(DecisionKind.APPROVE, os_user="eve"), KEYED)
    assert isinstance(said, DecisionRecorded)
    assert (said.by, said.is_signed) == ("eve", False)


@pytest.mark.parametrize("people", [People(), KEYED], ids=["nobody in the file", "people"])
def test_a_signature_that_does_not_fit_is_refused(people: People) -> None:
    bent = sign(asks(DecisionKind.APPROVE, os_user="eve"), SEED).model_copy(update={"kind": DecisionKind.REJECT})
    assert getattr(answered(waiting(), bent, people), "code", "") == "bad_signature"


def test_a_key_that_nobody_in_the_file_has_is_refused_by_name() -> None:
    said = answered(waiting(), sign(asks(DecisionKind.APPROVE, os_user="eve"), STRANGE_SEED), KEYED)
    assert isinstance(said, DecisionRefused)
    assert said.code == "bad_signature"
    assert "names nobody with the key U" in said.message


def test_where_the_file_names_nobody_a_signature_makes_nobody_known() -> None:
    said = answered(waiting(), sign(asks(DecisionKind.APPROVE), SEED), People())
    assert isinstance(said, DecisionRecorded)
    assert (said.by, said.is_signed) == ("ann", False)


@pytest.mark.parametrize("by", ["cat", "CAT", "somebody else"])
def test_a_person_is_recorded_by_the_name_in_the_file_however_they_say_it(by: str) -> None:
    said = answered(waiting(), asks(DecisionKind.APPROVE, os_user="cat", by=by), PEOPLE)
    assert isinstance(said, DecisionRecorded)
    assert said.by == "cat"


def test_an_author_who_is_called_in_another_case_does_not_decide_on_their_own_work() -> None:
    log = given(adopted(), started(author="Ann")).settled().then(completed(Phase.PLAN)).settled()
    assert getattr(answered(log, asks(DecisionKind.APPROVE, os_user="aw"), PEOPLE), "code", "") == "own_work"


def test_who_decides_a_second_time_is_told_of_the_first() -> None:
    after = waiting(Phase.PLAN).requests(asks(DecisionKind.APPROVE)).after
    said = refusal(after, asks(DecisionKind.REJECT, "d2"))
    assert said.code == "nothing_waits"
    assert said.message.startswith("ann has decided here already (approve); the run does not wait")
    other = refusal(after, asks(DecisionKind.REJECT, "d3", by="bob", os_user="bob"))
    assert other.message.startswith("the run does not wait")


# -- quorum -------------------------------------------------------------------

GUARDED = POLICY.model_copy(update={"quorum": (QuorumPolicy(paths=("shop.py",), people=2),)})


def at_merge(policy: Any = GUARDED, evidence: Evidence | None = None) -> Given:
    """A run of this policy that waits for the merge, every earlier phase approved."""
    log = given(adopted(policy), started(policy=policy)).settled()
    for phase in ROUTE[:-1]:
        log = log.then(completed(phase)).settled().requests(asks(DecisionKind.APPROVE, f"d-{phase}")).after.settled()
    log = log.then(completed(Phase.DEPLOY, evidence=evidence)).settled()
    assert log.run.stage is Stage.WAITING
    return log


def agree(log: Given, user: str, decision: str, kind: DecisionKind = DecisionKind.APPROVE, **more: Any) -> Given:
    return log.requests(asks(kind, decision, by=user, os_user=user, **more)).after


def test_a_guarded_change_merges_when_two_different_persons_agree() -> None:
    first, stage = recorded(at_merge(), asks(DecisionKind.APPROVE, by="ann", os_user="ann"))
    assert (first.awaits, stage) == (1, Stage.WAITING)
    once = agree(at_merge(), "ann", "d1")
    second, stage = recorded(once, asks(DecisionKind.APPROVE, "d2", by="bob", os_user="bob"))
    assert (second.awaits, stage) == (0, Stage.APPROVED)


def test_the_same_person_agrees_once() -> None:
    once = agree(at_merge(), "ann", "d1")
    said = refusal(once, asks(DecisionKind.APPROVE, "d2", by="ann"))
    assert (said.code, said.message) == ("agreed_already", "ann has agreed already; 1 more person has to agree")
    renamed = refusal(once, asks(DecisionKind.APPROVE, "d3", by="another name", os_user="ann"))
    assert renamed.code == "agreed_already"


def test_two_users_of_one_person_are_one_person() -> None:
    people = PEOPLE.model_copy(update={"separation": "relaxed"})
    log = at_merge()
    first = answered(log, asks(DecisionKind.APPROVE, "d1", os_user="ann"), people)
    again = answered(log.then(first), asks(DecisionKind.APPROVE, "d2", os_user="aw"), people)
    assert getattr(again, "code", "") == "agreed_already"
    other = answered(log.then(first), asks(DecisionKind.APPROVE, "d3", os_user="cat"), people)
    assert isinstance(other, DecisionRecorded)
    assert other.awaits == 0


def test_a_program_is_no_person_of_a_quorum() -> None:
    said = refusal(at_merge(), asks(DecisionKind.APPROVE, automatic=True))
    assert said.code == "needs_people"
    assert "2 people have to agree" in said.message


def test_agreeing_to_an_earlier_attempt_counts_for_nothing_later() -> None:
    again = agree(at_merge(), "ann", "d1").requests(asks(DecisionKind.RETRY, "d2")).after.settled()
    assert (again.run.phase, again.run.attempt) != (Phase.DEPLOY, 1)
    moved = again
    while moved.run.phase is not Phase.DEPLOY:
        moved = moved.then(completed(moved.run.phase, moved.run.attempt)).settled()
        if moved.run.stage is Stage.WAITING and moved.run.phase is not Phase.DEPLOY:
            moved = agree(moved, "ann", f"e-{moved.run.phase}").settled()
    moved = moved.then(completed(Phase.DEPLOY, moved.run.attempt)).settled()
    assert moved.run.attempt == 2
    assert recorded(moved, asks(DecisionKind.APPROVE, "d3", by="bob", os_user="bob"))[0].awaits == 1


def test_a_change_of_other_paths_needs_one_person() -> None:
    other = DiffEvidence(files=(ChangedFile(path="docs.md", status="M", lines_added=1),))
    log = at_merge(evidence=GOOD[Phase.DEPLOY].model_copy(update={"diff": other}))
    assert recorded(log, asks(DecisionKind.APPROVE))[0].awaits == 0
    assert recorded(at_merge(POLICY), asks(DecisionKind.APPROVE))[0].awaits == 0


def test_the_last_change_that_was_seen_counts_where_the_attempt_shows_none() -> None:
    log = at_merge(evidence=GOOD[Phase.DEPLOY].model_copy(update={"diff": None}))
    assert recorded(log, asks(DecisionKind.APPROVE))[0].awaits == 1


def test_the_largest_of_the_quorums_that_apply_is_asked_for() -> None:
    rules = (*GUARDED.quorum, QuorumPolicy(paths=("*.py",), people=3), QuorumPolicy(paths=("pay/**",), people=4))
    log = agree(at_merge(POLICY.model_copy(update={"quorum": rules})), "ann", "d1")
    asked = quorum(log.run)
    assert asked is not None
    assert (asked.people, asked.awaits, asked.agreed) == (3, 2, ("ann",))


@pytest.mark.parametrize("kind", [DecisionKind.REJECT, DecisionKind.RETRY, DecisionKind.CANCEL, DecisionKind.HOLD])
def test_one_person_is_enough_for_anything_but_the_merge(kind: DecisionKind) -> None:
    assert recorded(agree(at_merge(), "ann", "d1"), asks(kind, "d2"))[0].awaits == 0


def test_a_quorum_is_about_the_merge_alone() -> None:
    log = given(adopted(GUARDED), started(policy=GUARDED)).settled().then(completed(Phase.PLAN)).settled()
    assert quorum(log.run) is None
    assert recorded(log, asks(DecisionKind.APPROVE))[0].awaits == 0


def test_after_a_refused_merge_one_of_those_who_agreed_says_it_again() -> None:
    log = agree(agree(at_merge(), "ann", "d1"), "bob", "d2").settled()
    assert log.run.stage is Stage.AUTHORISED
    back = log.then(merge_refused()).settled()
    assert back.run.stage is Stage.WAITING
    assert recorded(back, asks(DecisionKind.APPROVE, "d3", by="ann"))[0].awaits == 0


def aborted_by_gate(phase: Phase = Phase.TEST, evidence: Evidence | None = None) -> Given:
    """A run at the highest level that a required gate has ended; nothing is healed."""
    loops = {name: loop.model_copy(update={"max": 0}) for name, loop in POLICY.loops.items()}
    policy = POLICY.model_copy(update={"loops": loops})
    log = given(adopted(policy), *granted(Level.ASE), started(level=Level.ASE, policy=policy)).settled()
    while log.run.phase is not phase:
        log = log.then(completed(log.run.phase)).settled()
    return log.then(completed(phase, evidence=BAD[phase] if evidence is None else evidence)).settled()


def test_a_human_may_override_the_gate_that_ended_a_run_and_it_goes_on_from_there() -> None:
    log = aborted_by_gate()
    assert log.run.stage is Stage.ABORTED
    assert refusal(log, asks(DecisionKind.APPROVE)).code == "approve_on_fail"
    assert refusal(log, asks(DecisionKind.OVERRIDE, reason="")).code == "no_reason"
    fact, stage = recorded(log, asks(DecisionKind.OVERRIDE))
    assert (fact.is_override, fact.phase, stage) == (True, Phase.TEST, Stage.APPROVED)
    on = log.requests(asks(DecisionKind.OVERRIDE)).after.settled()
    assert (on.run.stage, on.run.phase) == (Stage.WORKING, Phase.REVIEW)


def test_a_human_may_approve_what_ended_a_run_by_silence() -> None:
    log = aborted_by_gate(Phase.REVIEW, SILENT)
    assert log.run.stage is Stage.ABORTED
    assert refusal(log, asks(DecisionKind.OVERRIDE)).code == "nothing_to_override"
    on = log.requests(asks(DecisionKind.APPROVE)).after.settled()
    assert (on.run.stage, on.run.phase) == (Stage.WORKING, Phase.DOCUMENT)


def test_nobody_approves_after_the_time_to_decide() -> None:
    log = supervised_plan()
    while log.timers:
        log = log.timer(log.timers[-1]).settled()
    assert log.run.stage is Stage.ABORTED
    assert refusal(log, asks(DecisionKind.APPROVE)).code == "too_late"
    assert recorded(log, asks(DecisionKind.RESUME))[1] is Stage.HEALING
