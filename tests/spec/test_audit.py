"""The audit: a sound log gives nothing, and every kind of forgery is found and named."""

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest

from libs.contracts.export import Line
from libs.contracts.facts import (
    LevelEarned,
    LevelGranted,
    LevelLowered,
    MergeAuthorised,
    PhaseClaimed,
    RunFinished,
)
from libs.contracts.hashtree import Checkpoint
from libs.contracts.words import DecisionKind, Level, Phase, RunOutcome, Service
from services.gatekeeper.audit import Audit, audit
from services.gatekeeper.audit.findings import CODES, NOTES
from services.gatekeeper.authority import Experience
from services.gatekeeper.transitions import Stage
from tests.spec import story
from tests.support.sound_log import Ledger, altered, closed_up, entries, found, healed_and_merged, relabelled, without

SOUND = healed_and_merged().lines
TRUSTED = Experience(labelled_runs=100, has_live_signal=True, has_drilled=True, is_sandboxed=True)


def audited(lines: list[Line], **more: Any) -> Audit:
    return audit(entries(lines), **more)


def codes(lines: list[Line], **more: Any) -> set[str]:
    return {finding.code for finding in audited(lines, **more).findings}


# -- sound logs ---------------------------------------------------------------


def test_a_sound_log_gives_neither_finding_nor_note() -> None:
    report = audited(SOUND, head=len(SOUND))
    assert (report.findings, report.notes) == ((), ())
    assert report.messages == len(SOUND)


def test_a_run_at_the_highest_level_that_merges_by_itself_is_sound() -> None:
    ledger = Ledger(TRUSTED)
    for level in (Level.SUPERVISED, Level.AUTONOMOUS, Level.ASE):
        for fact in story.granted(level):
            ledger.add(fact, f"request-{level}")
    run = ledger.opens(level=Level.ASE)
    while run.stage is Stage.WORKING:
        run = ledger.works()
    run = ledger.comes_due("merge")
    assert run.authorised is not None
    assert run.authorised.decision is None
    assert ledger.merges().stage is Stage.ENDED
    assert codes(ledger.lines) == set()


def test_an_answer_after_its_deadline_is_a_note_and_no_finding() -> None:
    ledger = Ledger()
    run = ledger.opens()
    request = run.cause
    ledger.comes_due("deadline")
    ledger.add(story.completed(Phase.PLAN), request)
    report = audited(ledger.lines)
    assert report.findings == ()
    assert [note.code for note in report.notes] == ["answer.late"]


def test_a_claim_that_is_taken_over_is_no_repeat() -> None:
    ledger = Ledger()
    run = ledger.opens()
    claim = PhaseClaimed(run=run.run, phase=Phase.PLAN, attempt=1, worker="host:1")
    ledger.add(claim, run.cause)
    ledger.add(claim, run.cause)
    assert codes(ledger.lines) == set()


def test_every_code_that_is_found_here_is_explained() -> None:
    assert set(CODES) >= NOTES
    assert all(meaning for meaning in CODES.values())


def test_the_artifacts_that_facts_name_are_listed_with_the_first_that_does() -> None:
    opened = found(SOUND, "issue.opened")
    assert audited(SOUND).digests == {story.BODY: (opened["sequence"], opened["subject"])}


# -- messages that were altered -----------------------------------------------

ALTERED: dict[str, tuple[list[Line], str]] = {
    "a title": (altered(SOUND, "run.run.started", title="Another"), "run.differs"),
    "a base": (altered(SOUND, "run.run.started", base="9" * 40), "run.differs"),
    "a repository": (altered(SOUND, "issue.opened", repository="/srv/other"), "name.wrong"),
    "a policy's digest": (altered(SOUND, "workflow.policy.adopted", policy_digest="9" * 64), "name.wrong"),
    "a verdict": (
        altered(
            SOUND,
            "run.gate.judged",
            2,
            verdict={**found(SOUND, "run.gate.judged", 2)["data"]["verdict"], "outcome": "pass"},
        ),
        "verdict.outcome",
    ),
    "a verdict's policy": (altered(SOUND, "run.gate.judged", policy_digest="9" * 64), "verdict.policy"),
    "a level in force": (altered(SOUND, "run.gate.judged", level_in_force="ase"), "verdict.level"),
    "a place in the ladder": (altered(SOUND, "run.gate.judged", ladder_sequence=5), "verdict.ladder"),
    "a decision's commit": (altered(SOUND, "run.decision.recorded", commit="9" * 40), "decision.unbound"),
    "a decision's phase": (altered(SOUND, "run.decision.recorded", phase="build"), "decision.unbound"),
    "a decision's kind": (altered(SOUND, "run.decision.recorded", kind="override"), "decision.against_verdict"),
    "an override": (altered(SOUND, "run.decision.recorded", is_override=True), "decision.override"),
    "a guidance": (altered(SOUND, "run.decision.recorded", 2, kind="approve"), "decision.against_verdict"),
    "an authorised tree": (altered(SOUND, "run.merge.authorised", tree="9" * 40), "authorisation.differs"),
    "an authorised base": (altered(SOUND, "run.merge.authorised", base="9" * 40), "authorisation.differs"),
    "who authorised": (altered(SOUND, "run.merge.authorised", by="eve"), "authorisation.unfounded"),
    "its decision": (altered(SOUND, "run.merge.authorised", decision=None), "authorisation.unfounded"),
    "a merged tree": (altered(SOUND, "run.change.merged", tree="9" * 40), "merge.differs"),
    "a merged tip": (altered(SOUND, "run.change.merged", tip="9" * 40), "merge.differs"),
    "a merged base": (altered(SOUND, "run.change.merged", base="9" * 40), "merge.differs"),
    "a field that is none": (altered(SOUND, "run.run.started", colour="red"), "message.unreadable"),
    "a run's name": (altered(SOUND, "run.phase.requested", run="other"), "message.unreadable"),
    "the speaker": (relabelled(SOUND, "run.gate.judged", {"source": "/rung/builder"}), "message.speaker"),
    "the speaker's path": (relabelled(SOUND, "run.gate.judged", {"source": "gatekeeper"}), "message.speaker"),
    "an id": (relabelled(SOUND, "run.gate.judged", {"id": "x"}), "message.id"),
    "a cause": (relabelled(SOUND, "run.gate.judged", {"cause": "x"}), "cause.missing"),
    "an issue's cause": (relabelled(SOUND, "issue.opened", {"cause": "x"}), "cause.request"),
    "a type": (relabelled(SOUND, "run.gate.judged", {"type": "rung.run.run.started"}), "message.type"),
    "a version": (
        relabelled(SOUND, "run.gate.judged", {"dataschema": "urn:rung:run.gate.judged:9"}),
        "message.newer",
    ),
    "a time": (relabelled(SOUND, "run.gate.judged", {"time": 1.0}), "time.back"),
}


@pytest.mark.parametrize(("lines", "code"), ALTERED.values(), ids=ALTERED)
def test_what_was_altered_is_named(lines: list[Line], code: str) -> None:
    assert code in codes(lines)


def test_an_event_that_names_another_subject_is_named() -> None:
    line = found(SOUND, "run.gate.judged")
    headers = {f"ce-{name}": line[name] for name in ("specversion", "id", "type", "source", "dataschema", "cause")}
    raw = {
        **{name: line[name] for name in ("sequence", "time", "subject")},
        "headers": {**headers, "ce-subject": "run.other.gate.judged.plan.1", "content-type": "application/json"},
        "data_base64": _base64(line["data"]),
    }
    assert codes([raw if one is line else one for one in SOUND]) == {"message.subject"}


def _base64(data: dict[str, Any]) -> str:
    return base64.b64encode(json.dumps(data).encode()).decode()


# -- messages that were moved, dropped, repeated ------------------------------


def test_a_dropped_message_leaves_a_gap_that_is_named() -> None:
    lines = without(SOUND, "run.phase.claimed")
    gap = found(SOUND, "run.phase.claimed")["sequence"]
    report = audited(lines)
    assert [(finding.code, finding.sequence) for finding in report.findings] == [("sequence.missing", gap)]


@pytest.mark.parametrize("kind", ["run.phase.requested", "run.gate.judged", "run.decision.recorded"])
def test_a_dropped_cause_is_missed_even_where_the_gap_was_closed_up(kind: str) -> None:
    lines = closed_up(without(SOUND, kind))
    assert "cause.missing" in codes(lines)


def test_a_dropped_beginning_is_said_once() -> None:
    report = audited(closed_up(without(SOUND, "run.run.started")))
    assert [finding.code for finding in report.findings].count("run.unbegun") == 1


def test_reordered_messages_are_named() -> None:
    lines = [*SOUND[:10], SOUND[11], SOUND[10], *SOUND[12:]]
    assert {"sequence.missing", "sequence.back", "time.back"} <= codes(lines)


def test_reordered_messages_are_named_where_their_places_were_made_good() -> None:
    lines = closed_up([*SOUND[:10], SOUND[11], SOUND[10], *SOUND[12:]])
    assert codes(lines) >= {"cause.later"}


def test_a_repeated_message_is_named() -> None:
    at = found(SOUND, "run.gate.judged")["sequence"]
    repeated = [*SOUND[:at], *SOUND[at - 1 :]]
    assert {"sequence.repeated", "fact.repeated", "slot.repeated"} <= codes(repeated)
    assert {"fact.repeated", "slot.repeated"} <= codes(closed_up(repeated))


def test_a_log_that_ends_before_its_head_is_short() -> None:
    report = audited(SOUND[:-2], head=len(SOUND))
    assert [(finding.code, finding.sequence) for finding in report.findings] == [("log.short", len(SOUND) - 1)]


def test_of_a_run_with_an_unreadable_message_nothing_is_guessed() -> None:
    assert codes(altered(SOUND, "run.gate.judged", colour="red")) == {"message.unreadable", "cause.missing"}


# -- facts that were forged with all that belongs to them ---------------------


def merged_otherwise(ledger: Ledger) -> None:
    ledger.add(story.merged().model_copy(update={"tree": "9" * 40}), ledger.run.cause)


def merged_twice(ledger: Ledger) -> None:
    ledger.merges()
    ledger.add(story.merged(), ledger.recorded[-1].id)


def finished_early(ledger: Ledger) -> None:
    ledger.add(RunFinished(run=story.RUN, outcome=RunOutcome.MERGED, reason="done"), ledger.run.cause)


def until(stage: Stage, phase: Phase) -> Ledger:
    """A run on its way, all approved, that has come to this stage."""
    ledger = Ledger()
    run = ledger.opens()
    while (run.stage, run.phase) != (stage, phase):
        run = ledger.works() if run.stage is Stage.WORKING else ledger.decides(DecisionKind.APPROVE)
    return ledger


@pytest.mark.parametrize(
    ("stage", "forge", "expected"),
    [
        (Stage.AUTHORISED, merged_otherwise, {"merge.differs"}),
        (Stage.AUTHORISED, merged_twice, {"slot.repeated"}),
        (Stage.WAITING, merged_otherwise, {"merge.unauthorised"}),
        (Stage.WAITING, finished_early, {"transition.illegal"}),
    ],
)
def test_a_forged_fact_is_found_by_what_cannot_be(
    stage: Stage, forge: Callable[[Ledger], None], expected: set[str]
) -> None:
    ledger = until(stage, Phase.DEPLOY)
    forge(ledger)
    assert codes(ledger.lines) == expected


def test_a_merge_that_a_person_made_by_themselves_is_noted() -> None:
    ledger = until(Stage.WAITING, Phase.DEPLOY)
    ledger.add(story.merged().model_copy(update={"method": "foreign"}), ledger.run.cause)
    report = audited(ledger.lines)
    assert report.findings == ()
    assert "merge.foreign" in {note.code for note in report.notes}


def test_an_authorisation_without_a_verdict_or_a_decision_is_unfounded() -> None:
    ledger = until(Stage.WAITING, Phase.REVIEW)
    forged = MergeAuthorised(
        run=story.RUN,
        attempt=1,
        base=story.BASE,
        commit=story.INTEGRATION,
        tree=story.TREE,
        branch="main",
        by="level ase",
        level_in_force=Level.ASE,
        ladder_sequence=0,
    )
    ledger.add(forged, ledger.run.cause)
    assert {"authorisation.unfounded", "verdict.level", "transition.illegal"} <= codes(ledger.lines)


def test_a_forged_approval_of_a_fail_and_a_program_s_override_are_named() -> None:
    for kind, more in ((DecisionKind.APPROVE, {}), (DecisionKind.OVERRIDE, {"automatic": True})):
        ledger = until(Stage.WORKING, Phase.TEST)
        run = ledger.works(story.BAD[Phase.TEST])
        fields: dict[str, Any] = {
            "commit": run.checkpoint.commit if run.checkpoint else None,
            "is_override": kind == "override",
            **more,
        }
        ledger.add(story.decided(kind, Phase.TEST, **fields), run.cause)
        assert codes(ledger.lines) == {"decision.against_verdict"}


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ((LevelEarned, Level.SUPERVISED), set()),
        ((LevelEarned, Level.AUTONOMOUS), {"level.skipped"}),
        ((LevelGranted, Level.SUPERVISED), {"level.unearned"}),
        ((LevelGranted, Level.ASE), {"level.unearned", "level.skipped"}),
        ((LevelLowered, Level.AUTONOMOUS), {"level.raised"}),
    ],
)
def test_levels_are_held_against_the_ladder(facts: tuple[Any, Level], expected: set[str]) -> None:
    made, level = facts
    ledger = Ledger()
    more = {} if made is LevelEarned else {"by": "eve"}
    ledger.add(made(workflow=story.WORKFLOW, level=level, reason="so", **more), "request-9")
    assert codes(ledger.lines) == expected


def test_a_level_is_granted_rung_by_rung() -> None:
    ledger = Ledger()
    for level in (Level.SUPERVISED, Level.AUTONOMOUS, Level.ASE):
        for fact in story.granted(level):
            ledger.add(fact, f"request-{level}")
    assert codes(ledger.lines) == set()


def test_another_service_s_word_is_named_whatever_else_it_forges() -> None:
    ledger = until(Stage.AUTHORISED, Phase.DEPLOY)
    ledger.add(story.merged(), ledger.run.cause, speaker=Service.BUILDER)
    (finding,) = audited(ledger.lines).findings
    assert finding.code == "message.speaker"
    assert "/rung/merger" in finding.message


# -- checkpoints --------------------------------------------------------------


def sealed(lines: list[Line]) -> Checkpoint:
    return audited(lines).checkpoint


SEALED = sealed(SOUND)


def test_a_log_that_only_grew_says_so() -> None:
    before = sealed(SOUND[:20])
    report = audited(SOUND, before=before)
    assert report.findings == ()
    assert report.grown == f"The 20 messages of the checkpoint stand unchanged, and {len(SOUND) - 20} have come since."


def test_a_tail_that_was_cut_off_is_found_by_the_checkpoint_alone() -> None:
    cut = SOUND[:-3]
    assert codes(cut) == set()
    report = audited(cut, before=sealed(SOUND))
    assert [finding.code for finding in report.findings] == ["log.cut", "log.changed"]
    assert report.findings[1].subject == f"run.{story.RUN}"
    assert report.grown is None


@pytest.mark.parametrize("number", range(len(SOUND)))
def test_whatever_message_was_changed_the_checkpoint_names_its_run_or_workflow(number: int) -> None:
    forged = [dict(line) for line in SOUND]
    forged[number]["traceparent"] = "00-" + "3" * 32 + "-" + "2" * 16 + "-01"
    (finding,) = audited(forged, before=SEALED).findings
    assert finding.code == "log.changed"
    assert SOUND[number]["subject"].startswith(f"{finding.subject}.")


def test_a_checkpoint_of_too_many_runs_names_none_and_still_shows_a_change() -> None:
    before = sealed(SOUND).model_copy(update={"heads": None})
    forged = altered(SOUND, "run.phase.claimed", worker="host:2")
    assert [finding.subject for finding in audited(forged, before=before).findings] == [""]
    assert audited(SOUND, before=before).findings == ()


def test_a_fact_that_was_put_in_between_changes_the_checkpoint() -> None:
    forged = closed_up([*SOUND[:6], SOUND[5], *SOUND[6:]])
    assert "log.changed" in codes(forged, before=sealed(SOUND))
