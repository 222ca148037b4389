"""Views of runs for tests, as the gatekeeper would answer them."""

from typing import Any

from libs.contracts.views import CheckpointView, PhaseView, RunView
from libs.contracts.words import DecisionKind, Level, Phase

RUN = "1f2e3d4c-0000-5000-8000-000000000001"
COMMIT = "a" * 40


def checkpoint(phase: Phase = Phase.PLAN, attempt: int = 1, outcome: str = "pass", **more: Any) -> CheckpointView:
    answers = (DecisionKind.APPROVE, DecisionKind.REJECT, DecisionKind.GUIDE, DecisionKind.CANCEL)
    fields = {"name": f"after {phase}", "commit": COMMIT, "reason": "a human decides after every phase", **more}
    return CheckpointView(phase=phase, attempt=attempt, outcome=outcome, answers=answers, **fields)


def phase(name: Phase = Phase.PLAN, outcome: str | None = "pass", **more: Any) -> PhaseView:
    return PhaseView(phase=name, outcome=outcome, **{"attempts": 1, "started_at": 1.0, "ended_at": 3.5, **more})


def view(outcome: str = "working", **more: Any) -> RunView:
    fields: dict[str, Any] = {
        "run": RUN,
        "title": "Ten pieces get no discount",
        "repository": "/srv/shop",
        "workflow": "w",
        "issue": "i",
        "issue_type": "bug",
        "level": Level.ASSISTED,
        "agent": "repair",
        "outcome": outcome,
        "stage": {"working": "working", "waiting": "waiting", "aborted": "aborted"}.get(outcome, "ended"),
        "reason": "because",
        "target": "main",
        "started_at": 1.0,
        "moved_at": 3.5,
        "sequence": 7,
    }
    return RunView(**{**fields, **more})


def waiting(**more: Any) -> RunView:
    return view("waiting", checkpoint=checkpoint(**more), phases=(phase(),))
