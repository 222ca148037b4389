"""Asks for things: an issue, a decision; and waits for what became of the request."""

import asyncio
import os
import uuid
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from libs.cli.connection import Aside, Connection
from libs.cli.ending import Misused, Unreachable
from libs.cli.options import os_user
from libs.cli.person import signed
from libs.contracts.facts import DecisionRecorded, DecisionRefused, IssueOpened
from libs.contracts.requests import DecisionRequest, IssueRequest, explain, issue_id, run_id
from libs.contracts.subjects import INTAKE_DECISION, INTAKE_ISSUE
from libs.contracts.wire import Recorded, encode_request
from libs.contracts.words import DecisionKind, Service

SOURCE: Final = "/rung/cli"
TRACKER: Final = "cli"
ANSWERED_S: Final = 30.0
LOOK_S: Final = 0.05


@dataclass(frozen=True)
class Errand:
    """An issue request with the names that it will have, however often it is sent."""

    request: IssueRequest
    identity: str

    @property
    def issue(self) -> str:
        return issue_id(TRACKER, self.request.repository, self.request.key)

    @property
    def run(self) -> str:
        return run_id(self.issue, self.request.revision)

    async def send(self, connection: Connection) -> int:
        """Publish the request; returned is the mark after which a refusal would stand."""
        mark = await connection.last_aside(Service.PLANNER)
        headers, data = encode_request(self.request, request_id=self.identity, source=SOURCE)
        await connection.publish(f"{INTAKE_ISSUE}.{TRACKER}", headers, data)
        return mark

    async def refusal(self, connection: Connection, mark: int) -> Aside | None:
        """The sentence with which the request was set aside, if it was."""
        return await connection.set_aside(Service.PLANNER, self.identity, mark)

    async def is_taken(self, connection: Connection) -> bool:
        """Whether the issue stands in the log."""
        history = await connection.log.read(f"issue.{self.issue}.*.{self.request.revision}")
        return any(isinstance(recorded.fact, IssueOpened) for recorded in history.facts)


def errand(*, repository: str, key: str | None = None, **fields: Any) -> Errand:
    """The request for an issue, checked as the planner will check it.

    Raises:  Misused with a sentence that names each field that is wrong.
    """
    if not repository.strip():
        raise Misused("--repo names no repository.")
    path = os.path.realpath(Path(repository).expanduser())
    try:
        request = IssueRequest(
            repository=path, key=key or f"cli-{uuid.uuid4().hex}", opened_by=os_user(), author=None, **fields
        )
    except ValidationError as error:
        raise Misused(f"The issue cannot be opened: {explain(error, IssueRequest)}.") from error
    return Errand(request, uuid.uuid4().hex)


@dataclass(frozen=True)
class Answer:
    """What became of a decision; `sequence` is the answer's place in the log, 0 where it was set aside.

    `by` is the name under which it was recorded, `awaits` how many more persons have to agree before it counts.
    """

    decision: str
    is_refused: bool
    code: str = "recorded"
    message: str = ""
    sequence: int = 0
    by: str | None = None
    awaits: int = 0


async def decide(connection: Connection, run: str, kind: DecisionKind, *, by: str, **fields: Any) -> Answer:
    """Publish a decision, signed if the person has a key, and wait for the gatekeeper's answer.

    Raises:  Misused with a sentence that names each field that is wrong; Unreachable when no answer
             came in time, though the decision is stored and will be answered.
    """
    identity = uuid.uuid4().hex
    try:
        request = signed(DecisionRequest(decision=identity, run=run, kind=kind, by=by, os_user=os_user(), **fields))
    except ValidationError as error:
        raise Misused(f"The decision cannot be sent: {explain(error, DecisionRequest)}.") from error
    mark = await connection.last_aside(Service.GATEKEEPER)
    headers, data = encode_request(request, request_id=identity, source=SOURCE)
    await connection.publish(f"{INTAKE_DECISION}.{run}", headers, data)
    try:
        async with asyncio.timeout(ANSWERED_S):
            return await _answer(connection, request, mark)
    except TimeoutError:
        late = f"The decision is stored, but was not answered within {ANSWERED_S:g} s; see rung doctor."
        raise Unreachable(late) from None


async def _answer(connection: Connection, request: DecisionRequest, mark: int) -> Answer:
    filters = [f"run.{request.run}.{fact.type}.{request.decision}" for fact in (DecisionRecorded, DecisionRefused)]
    while True:
        for recorded in (await connection.log.read(*filters)).facts:
            return _answered(recorded, request.decision)
        if aside := await connection.set_aside(Service.GATEKEEPER, request.decision, mark):
            return Answer(request.decision, is_refused=True, code="set_aside", message=aside.reason)
        await asyncio.sleep(LOOK_S)


def _answered(recorded: Recorded, decision: str) -> Answer:
    answer = Answer(decision, is_refused=isinstance(recorded.fact, DecisionRefused), sequence=recorded.sequence)
    match recorded.fact:
        case DecisionRefused() as refused:
            return replace(answer, code=refused.code, message=refused.message, by=refused.by)
        case DecisionRecorded() as taken:
            return replace(answer, by=taken.by, awaits=taken.awaits)
        case _:
            return answer
