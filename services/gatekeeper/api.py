"""Questions to the gatekeeper over the bus: `query.<name>` with a JSON object, one JSON object back.

The answer is `{"ok": value}` or `{"error": sentence, "code": word}`.
"""

import asyncio
import hashlib
import json
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Final, cast, get_args

from faststream.nats import NatsBroker, NatsMessage

from libs.contracts.ladder import fold
from libs.contracts.readiness import Readiness
from libs.contracts.requests import workflow_id
from libs.contracts.subjects import QUERY, ladder_filter
from libs.contracts.views import RunView, State
from libs.runtime.log import LogUnavailable
from libs.runtime.shell import Shell
from services.gatekeeper.projection import Ambiguous, NotFound, Projection
from services.gatekeeper.readiness.standing import readiness
from services.gatekeeper.replay import replay

LIMIT_DEFAULT = 50
LIMIT_MAX = 1000
ANSWER_MAX = 700_000
"""Characters of views in one answer; the server takes messages of 1 MiB."""
STATES: Final[tuple[str, ...]] = get_args(State)

logger = logging.getLogger("rung")

Answer = Callable[[Mapping[str, Any]], Awaitable[Any]]


class Queries:
    """The questions that can be asked, over the projection and the log."""

    def __init__(self, shell: Shell, projection: Projection) -> None:
        self._shell = shell
        self._projection = projection

    async def health(self, _: Mapping[str, Any]) -> Any:
        position = await asyncio.to_thread(self._projection.position)
        head = await self._shell.log.head(">")
        return {"service": self._shell.service, "position": position, "head": head}

    async def runs(self, question: Mapping[str, Any]) -> Any:
        limit = min(int(question.get("limit") or LIMIT_DEFAULT), LIMIT_MAX)
        outcome = _state(question.get("outcome"))
        is_oldest_first = question.get("oldest_first") is True
        views = await asyncio.to_thread(
            self._projection.runs,
            limit,
            question.get("repository"),
            outcome,
            is_oldest_first=is_oldest_first,
            offset=int(question.get("offset") or 0),
        )
        return _fitting(_plain(view) for view in views)

    async def run(self, question: Mapping[str, Any]) -> Any:
        return _plain(await asyncio.to_thread(self._projection.run_by_prefix, str(question.get("run", ""))))

    async def readiness(self, question: Mapping[str, Any]) -> Any:
        repository = str(question.get("repository", ""))
        workflow = workflow_id(repository)
        found = await self._standing(workflow)
        if not found.workflow:  # nothing was adopted yet, so that the log has no names
            found = found.model_copy(update={"workflow": workflow, "repository": repository})
        return found.model_dump(mode="json")

    async def audits(self, _: Mapping[str, Any]) -> Any:
        """What waits to be checked in every workflow, the newest runs of each first."""
        asked = []
        for workflow in await asyncio.to_thread(self._projection.workflows):
            found = await self._standing(workflow)
            about = {"workflow": workflow, "repository": found.repository}
            asked += [{**about, **audit.model_dump(mode="json")} for audit in found.audits]
        return asked[:LIMIT_MAX]

    async def _standing(self, workflow: str) -> Readiness:
        return await asyncio.to_thread(self._projection.readiness, workflow) or await self._worked_out(workflow)

    async def _worked_out(self, workflow: str) -> Readiness:
        """The readiness of a workflow for which none is kept: one without runs, or just after a replay; kept then."""
        position = await asyncio.to_thread(self._projection.position)
        history = await self._shell.log.read(ladder_filter(workflow))
        cards = await asyncio.to_thread(self._projection.cards, workflow)
        ladder = fold(history.facts, is_unread=bool(history.unread))
        found = await asyncio.to_thread(readiness, ladder, cards, None)
        if found.workflow:
            await asyncio.to_thread(self._projection.put_readiness, found, position=position)
        return found

    async def replay(self, _: Mapping[str, Any]) -> Any:
        done = await replay(self._shell.log, self._projection)
        digest = hashlib.sha256(await asyncio.to_thread(self._projection.dump)).hexdigest()
        return {
            "facts": done.facts,
            "runs": done.runs,
            "seconds": done.seconds,
            "was_same": done.was_same,
            "digest": digest,
        }


def _state(word: Any) -> State | None:
    """Raises:  ValueError for a word that is no state of a run."""
    if word is None or word in STATES:
        return cast("State | None", word)
    raise ValueError(f"{word!r} is no outcome; known are {', '.join(STATES)}")


def _fitting(views: Iterable[Any]) -> list[Any]:
    """As many of the views as one message holds, and at least one; the rest is asked for by `offset`."""
    fitting: list[Any] = []
    size = 0
    for view in views:
        size += len(json.dumps(view))
        if fitting and size > ANSWER_MAX:
            break
        fitting.append(view)
    return fitting


def _plain(view: RunView) -> Any:
    return view.model_dump(mode="json")


def register(broker: NatsBroker, queries: Queries) -> None:
    """Answer each question on its own subject."""
    for name, answer in {
        "health": queries.health,
        "runs": queries.runs,
        "run": queries.run,
        "readiness": queries.readiness,
        "audits": queries.audits,
        "replay": queries.replay,
    }.items():
        _register(broker, name, answer)


def _register(broker: NatsBroker, name: str, answer: Answer) -> None:
    async def undecoded(message: NatsMessage) -> bytes:
        return bytes(message.body)

    @broker.subscriber(f"{QUERY}.{name}", decoder=undecoded)
    async def handle(message: NatsMessage) -> bytes:
        return json.dumps(await _answered(answer, message.body)).encode()


async def _answered(answer: Answer, body: bytes) -> dict[str, Any]:
    try:
        question = json.loads(body or b"{}")
        if not isinstance(question, dict):
            return {"error": "a question is a JSON object", "code": "usage"}
        return {"ok": await answer(question)}
    except (NotFound, Ambiguous) as reason:
        return {"error": str(reason), "code": reason.code}
    except (ValueError, TypeError) as error:
        return {"error": f"the question cannot be read: {error}", "code": "usage"}
    except LogUnavailable as error:
        return {"error": str(error), "code": "unavailable"}
