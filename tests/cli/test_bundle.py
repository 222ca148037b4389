"""The forensic bundle: everything that is known of a run, as one text and as JSON, from facts and artifacts alone."""

from libs.cli.bundle import as_markdown, bundle_of
from libs.contracts.history import History, Unread
from libs.contracts.wire import Unreadable
from libs.contracts.words import DecisionKind, Phase
from tests.spec.decider import Given, given
from tests.spec.story import BAD, BODY, GOOD, adopted, completed, decided, started

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
