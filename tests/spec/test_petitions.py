"""What people ask about a ladder: each request becomes one fact, or a refusal with a sentence."""

from dataclasses import replace
from typing import Any, Final

import nkeys
import pytest
from pydantic import ValidationError

from libs.contracts.facts import (
    FreezeLifted,
    FreezeSet,
    GateCalibrated,
    HistoryImported,
    LabelStated,
    LadderFact,
    LevelGranted,
    LevelLowered,
)
from libs.contracts.ladder import Ladder, evolve
from libs.contracts.people import People, Person, Role
from libs.contracts.requests import Calibration, LadderKind, LadderRequest
from libs.contracts.signing import sign
from libs.contracts.words import DecisionKind, Level, Phase
from libs.contracts.workflow.limits import gates_digest
from services.gatekeeper.decisions import Refusal
from services.gatekeeper.petitions import Known, Labelled, answer
from services.gatekeeper.readiness.scorecard import Scorecard
from services.gatekeeper.transitions import Stage
from tests.spec.decider import given, record
from tests.spec.readiness_cards import card, ladder, many
from tests.spec.readiness_cards import said as token
from tests.spec.story import BASE, POLICY, RUN, WORKFLOW, adopted, asks, completed, granted, started

L1, L2, L3, L4 = Level
TEN: Final = many(10)
EARNED: Final = replace(ladder(L1), earned=L2)
SEED: Final = nkeys.encode_seed(bytes(range(32)), nkeys.PREFIX_BYTE_USER).decode()
KEY: Final = nkeys.from_seed(SEED.encode()).public_key.decode()
PEOPLE: Final = People(
    people={
        "ann": Person(role=Role.OPERATOR),
        "bob": Person(role=Role.APPROVER),
        "eve": Person(role=Role.VIEWER),
    }
)


def request(kind: LadderKind, **more: Any) -> LadderRequest:
    needed: dict[LadderKind, dict[str, Any]] = {
        LadderKind.GRANT: {"level": L2},
        LadderKind.LOWER: {"level": L1},
        LadderKind.LABEL: {"run": RUN, "phase": Phase.TEST, "is_right": True},
        LadderKind.CALIBRATE: {"digest": "0" * 64, "calibration": CALIBRATION},
        LadderKind.IMPORT: {"digest": "0" * 64, "source": "elsewhere"},
    }
    fields = {**needed.get(kind, {}), "by": "ann", "os_user": "ann", "reason": "seen", **more}
    return LadderRequest(request="r1", workflow=WORKFLOW, kind=kind, **fields)


CALIBRATION: Final = Calibration(gates_digest=gates_digest(POLICY), commit=BASE, seeded=9, caught=8, good=7, passed=6)


def labelled(verdicts: str = "", **more: Any) -> Labelled:
    """A run and what its scorecard says; unless told otherwise the test gate passed."""
    run = given(adopted(), started(**more)).run
    return Labelled(run, card(1, run=RUN, verdicts=verdicts or token(Phase.TEST, is_pass=True)))


def refusal(known: Known, asked: LadderRequest, people: People | None = None) -> Refusal:
    said = answer(known, asked, people) if people else answer(known, asked)
    assert isinstance(said, Refusal), said
    assert len(said.message) > 10
    return said


def stated(known: Known, asked: LadderRequest, people: People | None = None) -> LadderFact:
    said = answer(known, asked, people) if people else answer(known, asked)
    assert isinstance(said, LadderFact), said
    return said


# -- grant ----------------------------------------------------------------------


def test_a_level_that_is_earned_is_granted_by_name_and_with_the_reason() -> None:
    fact = stated(Known(EARNED, TEN), request(LadderKind.GRANT, reason="it  is\ntime"))
    assert fact == LevelGranted(workflow=WORKFLOW, level=L2, by="ann", reason="it is time")


def test_a_grant_takes_a_level_that_was_stated_as_earned_and_holds_still() -> None:
    assert refusal(Known(ladder(L1), TEN), request(LadderKind.GRANT)).code == "not_earned"
    assert refusal(Known(EARNED, TEN[:9]), request(LadderKind.GRANT)).code == "not_earned"
    spoilt = [*TEN[:9], TEN[9]._replace(counts=False)]
    assert "rung readiness" in refusal(Known(EARNED, spoilt), request(LadderKind.GRANT)).message


def test_a_grant_of_what_is_granted_or_of_less_is_refused() -> None:
    for level in (L1, L2):
        said = refusal(Known(replace(ladder(L2), earned=L3)), request(LadderKind.GRANT, level=level))
        assert (said.code, "supervised already" in said.message) == ("granted_already", True)


@pytest.mark.parametrize("level", [L3, L4])
def test_no_rung_is_skipped(level: Level) -> None:
    said = refusal(Known(replace(ladder(L1), earned=L4), TEN), request(LadderKind.GRANT, level=level))
    assert (said.code, "after assisted comes supervised" in said.message) == ("one_at_a_time", True)


def test_nothing_is_granted_to_a_workflow_that_never_ran_or_that_cannot_be_read() -> None:
    assert refusal(Known(Ladder(), TEN), request(LadderKind.GRANT)).code == "unknown_workflow"
    assert refusal(Known(replace(EARNED, is_unread=True), TEN), request(LadderKind.GRANT)).code == "not_earned"


def test_a_person_may_grant_the_last_rung_without_its_proof_and_that_is_said() -> None:
    at_l3 = replace(ladder(L3), earned=L4)
    hundred = many(188, level=L3, decisions=5)
    without = stated(Known(at_l3, hundred[:100]), request(LadderKind.GRANT, level=L4))
    assert isinstance(without, LevelGranted)
    assert (without.with_proof, without.automatic) == (False, False)
    calibrated = GateCalibrated(
        workflow=WORKFLOW, **CALIBRATION.model_dump() | {"seeded": 60, "caught": 60}, report="0" * 64, by="ann"
    )
    proven = stated(Known(replace(at_l3, calibrations=(calibrated,)), hundred), request(LadderKind.GRANT, level=L4))
    assert isinstance(proven, LevelGranted)
    assert proven.with_proof


def test_a_rollback_stands_against_a_grant_until_fifty_runs_held_no_wrong_verdict() -> None:
    fell = LevelLowered(workflow=WORKFLOW, level=L1, by="rung", reason="r", cause="rollback", run=RUN)
    (recorded,) = record([fell])
    fallen = replace(evolve(ladder(L2), recorded), earned=L2)
    assert refusal(Known(fallen, TEN), request(LadderKind.GRANT)).code == "not_earned"
    assert isinstance(stated(Known(fallen, many(50)), request(LadderKind.GRANT)), LevelGranted)


# -- lower, freeze, lift ---------------------------------------------------------


@pytest.mark.parametrize("level", [L1, L2, L3])
def test_a_level_is_lowered_to_any_below_it(level: Level) -> None:
    fact = stated(Known(ladder(L4)), request(LadderKind.LOWER, level=level))
    assert fact == LevelLowered(workflow=WORKFLOW, level=level, by="ann", reason="seen", cause="operator")


@pytest.mark.parametrize("level", [L2, L3])
def test_a_level_is_not_lowered_to_itself_or_up(level: Level) -> None:
    assert refusal(Known(ladder(L2)), request(LadderKind.LOWER, level=level)).code == "not_lower"


def test_a_level_can_be_lowered_also_where_the_ladder_cannot_be_read() -> None:
    stated(Known(replace(ladder(L3), is_unread=True)), request(LadderKind.LOWER))


def test_a_workflow_is_frozen_once_and_lifted_once() -> None:
    frozen = stated(Known(ladder()), request(LadderKind.FREEZE))
    assert frozen == FreezeSet(workflow=WORKFLOW, by="ann", reason="seen")
    assert isinstance(frozen, FreezeSet)
    cold = replace(ladder(), freeze=frozen)
    again = refusal(Known(cold), request(LadderKind.FREEZE, by="bob"))
    assert (again.code, again.message) == ("frozen_already", "ann has frozen it already: seen")
    assert stated(Known(cold), request(LadderKind.LIFT, reason="")) == FreezeLifted(
        workflow=WORKFLOW, by="ann", reason=""
    )
    assert refusal(Known(ladder()), request(LadderKind.LIFT)).code == "not_frozen"


def test_a_workflow_that_never_ran_can_be_frozen() -> None:
    stated(Known(Ladder()), request(LadderKind.FREEZE))


# -- labels -----------------------------------------------------------------------


@pytest.mark.parametrize("is_right", [True, False])
def test_a_label_of_a_gate_is_stated_as_a_person_s_word(*, is_right: bool) -> None:
    fact = stated(Known(ladder(), labelled=labelled()), request(LadderKind.LABEL, is_right=is_right))
    assert fact == LabelStated(
        workflow=WORKFLOW, run=RUN, phase=Phase.TEST, is_right=is_right, source="human", by="ann", reason="seen"
    )


def test_a_label_of_a_run_that_was_drawn_is_a_check() -> None:
    asked = labelled()
    drawn = Labelled(asked.run, asked.card._replace(drawn="pass"))
    fact = stated(Known(ladder(), labelled=drawn), request(LadderKind.LABEL))
    assert isinstance(fact, LabelStated)
    assert fact.source == "audit"


def test_a_gate_without_a_deciding_verdict_has_nothing_to_be_labelled() -> None:
    words = f"{token(Phase.PLAN, is_pass=True)} {token(Phase.BUILD, is_pass=False)}"
    said = refusal(Known(ladder(), labelled=labelled(words)), request(LadderKind.LABEL))
    assert (said.code, said.message.endswith("judged are plan, build")) == ("no_verdict", True)
    nothing = Labelled(labelled().run, card(1, run=RUN, verdicts=""))
    assert "judged" not in refusal(Known(ladder(), labelled=nothing), request(LadderKind.LABEL)).message


def test_only_a_run_of_this_workflow_is_labelled() -> None:
    assert refusal(Known(ladder()), request(LadderKind.LABEL)).code == "unknown_run"
    asked = request(LadderKind.LABEL).model_copy(update={"workflow": "another"})
    assert refusal(Known(ladder(), labelled=labelled()), asked).code == "unknown_run"


# -- calibrations and history from elsewhere ----------------------------------------


def test_a_calibration_is_stated_with_its_counts_and_its_report() -> None:
    fact = stated(Known(ladder()), request(LadderKind.CALIBRATE, reason=""))
    assert fact == GateCalibrated(workflow=WORKFLOW, **CALIBRATION.model_dump(), report="0" * 64, by="ann")


def test_history_from_elsewhere_is_taken_from_who_signs_for_it_and_from_nobody_else() -> None:
    people = People(people={"ann": Person(role=Role.OPERATOR, key=KEY)})
    signed = sign(request(LadderKind.IMPORT), SEED)
    fact = stated(Known(ladder()), signed, people)
    assert fact == HistoryImported(workflow=WORKFLOW, source="elsewhere", digest="0" * 64, by="ann", is_signed=True)
    assert refusal(Known(ladder()), request(LadderKind.IMPORT)).code == "unsigned"
    assert refusal(Known(ladder()), request(LadderKind.IMPORT), PEOPLE).code == "unsigned"
    assert refusal(Known(ladder()), request(LadderKind.IMPORT), people).code == "unsigned"
    forged = signed.model_copy(update={"source": "another place"})
    assert refusal(Known(ladder()), forged, people).code == "bad_signature"


# -- who may ask --------------------------------------------------------------------


ALL_KNOWN: Final = Known(replace(EARNED, freeze=None), TEN, labelled())


@pytest.mark.parametrize("kind", LadderKind)
def test_who_only_looks_asks_for_nothing_and_who_approves_only_labels(kind: LadderKind) -> None:
    viewer = refusal(ALL_KNOWN, request(kind, by="eve", os_user="eve"), PEOPLE)
    assert (viewer.code, f"eve is viewer in the operator's file and may not {kind}" in viewer.message) == (
        "not_allowed",
        True,
    )
    approver = answer(ALL_KNOWN, request(kind, by="bob", os_user="bob"), PEOPLE)
    assert (isinstance(approver, LabelStated)) is (kind is LadderKind.LABEL)
    assert isinstance(approver, LabelStated) or approver == Refusal(
        "not_allowed", f"bob is approver in the operator's file and may not {kind}"
    )


def test_a_stranger_asks_for_nothing_and_the_name_is_the_operator_s_file_s() -> None:
    assert refusal(ALL_KNOWN, request(LadderKind.GRANT, os_user="mallory"), PEOPLE).code == "unknown_person"
    fact = stated(ALL_KNOWN, request(LadderKind.GRANT, by="somebody else", os_user="ann"), PEOPLE)
    assert getattr(fact, "by", None) == "ann"


@pytest.mark.parametrize("role", ["opened_by", "author"])
def test_nobody_labels_what_they_opened_or_wrote_themselves(role: str) -> None:
    own = Known(ladder(), labelled=labelled(**{role: "ann"}))
    assert refusal(own, request(LadderKind.LABEL), PEOPLE).code == "own_work"
    stated(own, request(LadderKind.LABEL, by="bob", os_user="bob"), PEOPLE)
    stated(own, request(LadderKind.LABEL), PEOPLE.model_copy(update={"separation": "relaxed"}))


def test_nobody_labels_their_own_work_under_the_name_of_another() -> None:
    bob = Person(role=Role.APPROVER, key=KEY)
    people = People(people={"ann": Person(role=Role.OPERATOR), "bob": bob})
    own = Known(ladder(), labelled=labelled(opened_by="zoe"))
    as_zoe = sign(request(LadderKind.LABEL, by="bob", os_user="zoe"), SEED)
    assert refusal(own, as_zoe, people).code == "own_work"
    stated(own, sign(request(LadderKind.LABEL, by="bob", os_user="bob"), SEED), people)


# -- reasons and repeats --------------------------------------------------------------


@pytest.mark.parametrize("kind", [kind for kind in LadderKind if kind not in (LadderKind.LIFT, LadderKind.CALIBRATE)])
def test_what_is_granted_taken_frozen_labelled_or_imported_needs_a_reason_in_words(kind: LadderKind) -> None:
    assert refusal(ALL_KNOWN, request(kind, reason=" \n\t")).code == "no_reason"
    with pytest.raises(ValidationError, match="needs reason"):
        request(kind, reason="")


def test_the_same_question_gets_the_same_answer_and_behind_its_answer_nothing_is_asked_twice() -> None:
    asked = request(LadderKind.GRANT)
    first = stated(Known(EARNED, TEN), asked)
    assert stated(Known(EARNED, TEN), asked) == first
    (recorded,) = record([first])
    after = evolve(EARNED, recorded)
    assert refusal(Known(after, TEN), asked).code == "granted_already"


def test_a_label_says_nothing_of_levels() -> None:
    (recorded,) = record([stated(Known(EARNED, labelled=labelled()), request(LadderKind.LABEL))])
    after = evolve(EARNED, recorded)
    assert replace(after, sequence=EARNED.sequence) == EARNED


# -- with a run as it really went -------------------------------------------------------


def test_a_run_that_waits_is_labelled_for_the_gates_that_judged_it() -> None:
    log = given(adopted(), *granted(L2), started(level=L2)).settled().then(completed(Phase.PLAN)).settled()
    log = log.requests(asks(DecisionKind.APPROVE)).after.settled().then(completed(Phase.BUILD)).settled()
    assert log.run.stage is Stage.WORKING
    seen = Labelled(log.run, _card(log.run.run, "plan:pass:: build:pass::"))
    stated(Known(log.ladder, labelled=seen), request(LadderKind.LABEL, phase=Phase.BUILD))
    assert refusal(Known(log.ladder, labelled=seen), request(LadderKind.LABEL)).code == "no_verdict"


def _card(run: str, verdicts: str) -> Scorecard:
    return card(1, run=run, verdicts=verdicts)
