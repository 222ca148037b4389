"""Gives an agent a track record in a repository before it has one: what ten runs of its would have shown.

A record takes ten runs, which would cost every test of a higher level half a minute. It is put where the gatekeeper
looks it up; the levels themselves are no matter of it.
"""

import os
from pathlib import Path
from typing import Final

from libs.contracts.facts import RunStarted
from libs.contracts.requests import IssueRequest, workflow_id
from libs.contracts.words import Level
from libs.contracts.workflow import DEFAULT_AGENT, Policy, WorkflowRefused, default_policy, policy_digest
from libs.contracts.workflow.reading import read_workflow
from services.gatekeeper import projection as projected
from services.gatekeeper.authority import LABELLED_MIN
from services.gatekeeper.projection import Projection
from services.gatekeeper.readiness.identity import agent_identity
from services.gatekeeper.readiness.scorecard import Result, Scorecard

LAST: Final = 2**40
"""Behind every fact of a test: the last watch that is looked at is this record's."""


def give(database_url: str, repository: Path, request: IssueRequest) -> None:
    """Labelled runs by whom the issue will be worked on, a watch with measurements, and a rollback that was tried."""
    projection = Projection(database_url)
    try:
        put(projection, workflow_id(os.path.realpath(repository)), agent_identity(_started(repository, request)))
    finally:
        projection.close()


def put(projection: Projection, workflow: str, agent: str) -> None:
    """A track record of an agent in a workflow."""
    with projection._engine.begin() as connection:
        upsert = projected._upsert(projected._CARDS, connection.dialect.name)
        connection.execute(upsert, [_row(workflow, agent, number) for number in range(LABELLED_MIN)])


def card(run: str, agent: str = "repair", **more: object) -> Scorecard:
    """A scorecard that says nothing but what is given."""
    fields: dict[str, object] = {
        **dict.fromkeys(Scorecard._fields, 0),
        "run": run,
        "level": Level.ASSISTED,
        "issue_type": "bug",
        "agent": agent,
        "result": Result.UNCOUNTED,
        "drawn": "",
        "verdicts": "",
        "shadows": "",
        **{name: False for name, kind in Scorecard.__annotations__.items() if kind is bool},
    }
    return Scorecard(**{**fields, **more})  # type: ignore[arg-type]


def _row(workflow: str, agent: str, number: int) -> dict[str, object]:
    seen = card(f"record-{agent[-8:]}-{number}", agent, right=1, ended=1, verdicts="test:pass:right:human")
    if number == 0:
        seen = seen._replace(merged=1, ended=LAST, has_signal=True, is_drilled=True)
    return {"workflow": workflow, **seen._asdict(), "sequence": 0}


def _started(repository: Path, request: IssueRequest) -> RunStarted:
    policy = _policy(repository / "workflow.yaml")
    return RunStarted(
        run="-",
        issue="-",
        revision=1,
        workflow="-",
        repository=str(repository),
        branch="main",
        base=None,
        title=request.title,
        body="0" * 64,
        issue_type=request.type,
        level=request.level or policy.autonomy,
        agent=request.agent or policy.agent or DEFAULT_AGENT,
        agent_by="operator" if request.agent else "workflow",
        phases=policy.route(request.type),
        policy=policy,
        policy_digest=policy_digest(policy),
    )


def _policy(file: Path) -> Policy:
    """The policy of the working copy; the default one where there is none, or none that can be used."""
    try:
        return read_workflow(file.read_bytes())[0]
    except (OSError, WorkflowRefused):
        return default_policy()
