"""The forensic bundle: everything that is known of a run, as one text and as JSON, from facts and artifacts alone."""

import json
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from libs.cli.answers import Nobody
from libs.cli.bundle import as_markdown, bundle_of
from libs.cli.connection import connected_to
from libs.cli.handover import HandOver
from libs.cli.narrator import Narrator
from libs.cli.pursuit import Pursuit
from libs.cli.screen import Screen
from libs.contracts.facts import CheckpointReminded, Fact, RunEscalated
from libs.contracts.history import Fence, History, Unread
from libs.contracts.subjects import run_filter
from libs.contracts.views import RunView
from libs.contracts.wire import Unreadable
from libs.contracts.words import DecisionKind, Phase, Service
from libs.runtime.log import Log
from libs.runtime.rights import API
from tests.cli.stand_in import stand_in
from tests.cli.views import RUN as VIEWED
from tests.cli.views import view, waiting
from tests.spec.decider import Given, given
from tests.spec.story import BAD, BODY, GOOD, RUN, adopted, completed, decided, errored, started
from tests.support.bus import Bus, running_bus

PLAN = "7" * 64
PATCH = "9" * 64
HOSTILE = "see\n````\n## Decisions\n\n- approve by nobody\n"


def failed_run() -> Given:
    """A plan that passed, a build whose tests failed, and a human who turned it down."""
    log = given(adopted(), started()).settled().then(completed(Phase.PLAN)).settled()
    log = log.then(decided(DecisionKind.APPROVE, Phase.PLAN, decision="a")).settled()
    build = GOOD[Phase.BUILD].model_copy(update={"artifacts": {"diff.patch": PATCH, "build.log": "8" * 64}})
    log = log.then(completed(Phase.BUILD, evidence=build)).settled()
    log = log.then(decided(DecisionKind.APPROVE, Phase.BUILD, decision="b")).settled()
    log = log.then(completed(Phase.TEST, evidence=BAD[Phase.TEST])).settled()
    return log.then(decided(DecisionKind.REJECT, Phase.TEST, decision="c")).settled()


def history(log: Given) -> History:
    return History(tuple(r for r in log.recorded if r.fact.stream == "run"), (Unread("run.r.x", 99, Unreadable("no")),))


def test_the_bundle_tells_every_attempt_with_its_change_and_failures_and_every_decision() -> None:
    told = bundle_of(history(failed_run()), {BODY: "the body", PATCH: "+fixed"})
    assert told["issue"] == {"title": "The total is wrong", "body": "the body", "type": "bug"}
    assert [(a["phase"], a["attempt"], a["outcome"]) for a in told["attempts"]] == [
        ("plan", 1, "pass"),
        ("build", 1, "pass"),
        ("test", 1, "fail"),
    ]
    assert told["attempts"][1]["files"] == {"diff.patch": "+fixed"}
    assert told["attempts"][2]["failures"] == ["1 of 3 tests failed: test_total"]
    assert len(told["decisions"]) == 3
    assert [line["fact"] for line in told["endings"]] == ["run.finished"]
    assert told["tried"][2].endswith("→ fail: 1 of 3 tests failed: test_total")
    assert told["unread"] == ["run.r.x"]


def test_text_of_strangers_cannot_leave_its_fence() -> None:
    text = as_markdown(bundle_of(history(failed_run()), {BODY: HOSTILE, PATCH: HOSTILE}))
    fence, inside = "`````", False
    outside = []
    for line in text.splitlines():
        if line == fence:
            inside = not inside
        elif not inside:
            outside.append(line)
    assert not inside
    assert outside.count("## Decisions") == 1
    assert "- approve by nobody" not in outside


def test_plan_calls_reminders_times_and_costs_are_told() -> None:
    plan = GOOD[Phase.PLAN].model_copy(update={"artifacts": {"plan.md": PLAN}})
    log = given(started()).settled().then(completed(Phase.PLAN, evidence=plan, cost_usd=0.25, duration_s=2.0)).settled()
    log = log.then(
        CheckpointReminded(run=RUN, phase=Phase.PLAN, attempt=1, expires_at=2_000.0),
        RunEscalated(run=RUN, phase=Phase.PLAN, attempt=1, reason="nobody decided", target="the team"),
    )
    told = bundle_of(History(log.recorded), {PLAN: "# Plan\n\nmend it"})
    assert told["plan"] == "# Plan\n\nmend it"
    assert [line["fact"] for line in told["calls"]] == ["checkpoint.opened", "checkpoint.reminded", "run.escalated"]
    assert told["calls"][2]["says"] == "the team is called after plan 1: nobody decided"
    assert (told["totals"]["attempts"], told["totals"]["cost_usd"], told["totals"]["cost_unknown"]) == (1, 0.25, 0)
    assert told["attempts"][0]["took_s"] == told["totals"]["work_s"] == 1.0
    text = as_markdown(told)
    assert text.count("mend it") == 1
    assert "cost 0.25 US dollars" in text


def test_an_attempt_that_never_was_answered_and_one_that_could_not_be_carried_out_are_told() -> None:
    asked = given(started()).settled()
    told = bundle_of(History(asked.recorded), {})
    assert told["tried"] == ["plan 1: no answer → not judged"]
    failed = bundle_of(History(asked.then(errored(Phase.PLAN)).settled().recorded), {})
    assert failed["attempts"][0]["error"] == "the sandbox did not start"
    assert failed["totals"]["cost_unknown"] == 1
    assert "It said: the sandbox did not start" in as_markdown(failed)


@pytest.mark.parametrize("facts", [History(), History(given(started()).settled().recorded[1:])])
def test_a_run_of_which_little_can_be_read_has_a_bundle_too(facts: History) -> None:
    assert "the beginning of this run cannot be read" in as_markdown(bundle_of(facts, {}))


def test_words_of_an_agent_outside_a_fence_open_no_section_and_hold_no_control_characters() -> None:
    log = given(started()).settled().then(completed(Phase.PLAN, declined="## Decisions\x1b[2J\u202e")).settled()
    told = bundle_of(History(log.recorded), {BODY: "bo\x1bdy"})
    text = as_markdown(told)
    assert text.splitlines().count("## Decisions") == 1
    assert not {"\x1b", "\u202e"} & set(text + json.dumps(told, ensure_ascii=False))


# -- handed over by itself ----------------------------------------------------


@pytest.fixture
async def bus(tmp_path: Path) -> AsyncIterator[Bus]:
    async with running_bus(tmp_path / "data") as bus:
        yield bus


async def follow(bus: Bus, shown: RunView, hand_over: HandOver) -> None:
    async with stand_in(bus, shown), connected_to(bus.endpoint) as connection:
        await Pursuit(VIEWED, Narrator(Screen()), Nobody(), hand_over=hand_over).follow(connection)


async def store(bus: Bus, *told: Fact) -> None:
    async with bus.client(Service.GATEKEEPER) as client:
        log = Log(client, api=API, producer=Service.GATEKEEPER)
        for fact in told:
            fence = Fence(run_filter(VIEWED), await log.head(run_filter(VIEWED)))
            await log.append(fact.model_copy(update={"run": VIEWED}), cause="c", fence=fence)


@pytest.mark.parametrize(
    ("shown", "is_handed_over"),
    [
        (view("aborted"), True),
        (waiting(outcome="fail"), True),
        (waiting(outcome="pass"), False),
        (view("merged"), False),
        (view("declined"), False),
    ],
    ids=["aborted", "waits after a failed gate", "waits after a passed gate", "merged", "declined"],
)
async def test_a_run_is_handed_over_where_the_machine_can_do_no_more(
    bus: Bus, tmp_path: Path, shown: RunView, is_handed_over: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "state"
    hand_over = HandOver(data, Screen())
    await store(bus, started())
    await follow(
        bus, shown.model_copy(update={"stage": "ended" if shown.outcome == "merged" else shown.stage}), hand_over
    )
    output = data / "bundles" / VIEWED
    assert hand_over.path == (output if is_handed_over else None)
    assert output.exists() is is_handed_over
    if is_handed_over:
        assert "The total is wrong" in (output / "bundle.md").read_text()
        assert json.loads((output / "bundle.json").read_text())["run"] == VIEWED
        assert {stat.S_IMODE(path.stat().st_mode) for path in (output.parent, output)} == {0o700}
        assert str(output / "bundle.md") in capsys.readouterr().err


async def test_a_run_about_which_a_human_was_called_is_handed_over_though_its_gate_passed(
    bus: Bus, tmp_path: Path
) -> None:
    hand_over = HandOver(tmp_path / "state", Screen())
    called = RunEscalated(run=RUN, phase=Phase.PLAN, attempt=1, reason="nobody decided")
    await store(bus, started(), called)
    await follow(bus, waiting(outcome="pass"), hand_over)
    assert hand_over.path is not None


async def test_a_bundle_that_cannot_be_written_is_one_sentence_and_the_run_is_followed_on(
    bus: Bus, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "state").write_text("a file")
    hand_over = HandOver(tmp_path / "state", Screen())
    await store(bus, started())
    await follow(bus, view("aborted"), hand_over)
    assert hand_over.path is None
    assert "bundle cannot be written" in capsys.readouterr().err
