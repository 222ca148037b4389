"""The operator's connection to a running system: questions, requests, and what was set aside."""

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import nats
from nats.aio.client import Client
from nats.errors import ConnectionClosedError, NoRespondersError
from nats.errors import Error as NatsError

from libs.cli.ending import Misused, Unreachable
from libs.contracts.subjects import ASIDE, QUERY
from libs.contracts.views import RunView
from libs.contracts.wire import Headers, Unreadable, read_envelope
from libs.runtime.artifacts import Artifacts
from libs.runtime.log import Log, time_of
from libs.runtime.rights import API, DURABLES, OPERATOR, OPS, Durable
from libs.runtime.server import Endpoint, ServerError, connect_options, find, identify

ANSWER_S: Final = 10.0
CONNECT_S: Final = 5


class NoAnswer(Unreachable):
    """The bus is there, but nobody answers."""


@dataclass(frozen=True)
class Aside:
    """A message that a service could not act on: which request it was, and why."""

    request: str
    subject: str
    reason: str
    sequence: int
    time: float


class Connection:
    """One connection in the operator's role; `is_own` when the system ends with this command."""

    def __init__(self, client: Client, *, is_own: bool = False) -> None:
        self.client = client
        self.is_own = is_own

    @property
    def url(self) -> str:
        return self.client.connected_url.geturl() if self.client.connected_url else "an unknown place"

    @property
    def log(self) -> Log:
        return Log(self.client, api=API)

    @property
    def artifacts(self) -> Artifacts:
        return Artifacts(self.client, api=API)

    async def ask(self, name: str, *, timeout_s: float = ANSWER_S, **question: Any) -> Any:
        """What the gatekeeper answers.

        Raises:  Misused when the question has no answer, NoAnswer when nobody answers.
        """
        answer = await self._request(f"{QUERY}.{name}", json.dumps(question).encode(), timeout_s=timeout_s)
        if "ok" in answer:
            return answer["ok"]
        if answer.get("code") == "unavailable":
            raise NoAnswer(f"The gatekeeper cannot answer now: {answer['error']}.")
        raise Misused(_sentence(str(answer.get("error", "the gatekeeper gave no answer"))))

    async def view(self, run: str) -> RunView:
        """The run with this id, or with the one id that begins so."""
        return RunView.model_validate(await self.ask("run", run=run))

    async def views(self, limit: int, **question: Any) -> list[RunView]:
        """Runs in the order of the question, page by page, since one answer may not hold all of them."""
        found: dict[str, RunView] = {}
        offset = 0
        while len(found) < limit and (
            page := await self.ask("runs", limit=limit - len(found), offset=offset, **question)
        ):
            offset += len(page)
            found |= {view["run"]: RunView.model_validate(view) for view in page}
        return list(found.values())

    async def publish(self, subject: str, headers: Headers, data: bytes) -> int:
        """Store a request and return its sequence; what comes of it is the services' to say."""
        answer = await self._request(subject, data, headers=headers)
        if error := answer.get("error"):
            raise NoAnswer(f"The bus did not take the request: {error.get('description', error)}.")
        return int(answer["seq"])

    async def asides(self, service: str = "*", since: int = 1) -> list[Aside]:
        """What was set aside by a service, or by all, oldest first."""
        found: list[Aside] = []
        while True:
            question = json.dumps({"seq": since, "next_by_subj": f"{ASIDE}.{service}.>"}).encode()
            message = await self._raw(f"{API}.DIRECT.GET.ASIDE", question)
            headers = message.headers or {}
            if "Status" in headers:
                return found
            found.append(_aside(headers))
            since = found[-1].sequence + 1

    async def last_aside(self, service: str) -> int:
        """Sequence of the last message that a service set aside, 0 for none."""
        question = json.dumps({"last_by_subj": f"{ASIDE}.{service}.>"}).encode()
        message = await self._raw(f"{API}.DIRECT.GET.ASIDE", question)
        return int((message.headers or {}).get("Nats-Sequence", "0"))

    async def set_aside(self, service: str, request: str, after: int) -> Aside | None:
        """How a request was set aside, if it was, among what was set aside after a sequence."""
        return next((aside for aside in await self.asides(service, after + 1) if aside.request == request), None)

    async def durable(self, durable: Durable) -> dict[str, Any]:
        """The state of a consumer as the server tells it."""
        return await self._request(f"{API}.CONSUMER.INFO.{durable.stream}.{durable.name}", b"")

    async def deaf(self) -> list[str]:
        """The consumers of services on which nobody waits for messages nor works on any."""
        own = [durable for durable in DURABLES if durable.role != OPS]
        infos = await asyncio.gather(*(self.durable(durable) for durable in own))
        return [
            f"{durable.name} on {durable.stream}"
            for durable, info in zip(own, infos, strict=True)
            if not info.get("num_waiting") and not info.get("num_ack_pending")
        ]

    async def _request(
        self, subject: str, data: bytes, *, headers: Headers | None = None, timeout_s: float = ANSWER_S
    ) -> dict[str, Any]:
        message = await self._raw(subject, data, headers=headers, timeout_s=timeout_s)
        return dict(json.loads(message.data))

    async def _raw(
        self, subject: str, data: bytes, *, headers: Headers | None = None, timeout_s: float = ANSWER_S
    ) -> Any:
        try:
            return await self.client.request(subject, data, timeout=timeout_s, headers=headers)
        except NoRespondersError as error:
            raise NoAnswer(f"Nobody answers {subject}; the service for it does not run.") from error
        except ConnectionClosedError as error:
            raise Unreachable("The connection to the system was lost; it has stopped.") from error
        except (NatsError, TimeoutError) as error:
            raise NoAnswer(f"No answer to {subject} came within {timeout_s:g} s.") from error


def endpoint_of(data: Path | None) -> Endpoint | None:
    """Where the system should be: on the data directory if one is named, else where the environment says."""
    url, keys = os.environ.get("RUNG_NATS_URL"), os.environ.get("RUNG_KEYS")
    if data is None and url and keys:
        return Endpoint(url, "", None, Path(keys))
    return find(data or default_data())


def default_data() -> Path:
    state = os.environ.get("XDG_STATE_HOME") or ""
    base = Path(state) if Path(state).is_absolute() else Path.home() / ".local" / "state"
    return base / "rung"


@contextlib.asynccontextmanager
async def connected(data: Path | None) -> AsyncIterator[Connection]:
    """A connection to the system that runs on this data directory.

    Raises:  Unreachable with a sentence that says how to start one.
    """
    if (endpoint := endpoint_of(data)) is None:
        raise _nothing_runs(data)
    async with connected_to(endpoint, data) as connection:
        yield connection


@contextlib.asynccontextmanager
async def connected_to(
    endpoint: Endpoint, data: Path | None = None, *, is_own: bool = False
) -> AsyncIterator[Connection]:
    client = await _client(endpoint, data)
    try:
        yield Connection(client, is_own=is_own)
    finally:
        await client.close()


async def _client(endpoint: Endpoint, data: Path | None) -> Client:
    try:
        if endpoint.server_name:
            await identify(endpoint)
        return await nats.connect(
            endpoint.url,
            **connect_options(endpoint.keys, OPERATOR),
            allow_reconnect=False,
            connect_timeout=CONNECT_S,
            error_cb=_quiet,
        )
    except ServerError:
        raise _nothing_runs(data) from None
    except (NatsError, OSError, TimeoutError) as error:
        raise Unreachable(f"No system lets us in at {endpoint.url}: {error or type(error).__name__}.") from error


async def _quiet(_: Exception) -> None:
    """Whoever waits for an answer is told by an exception; the client's own words would only disturb."""


def _nothing_runs(data: Path | None) -> Unreachable:
    named = f" --data {data}" if data is not None else ""
    return Unreachable(f"No system runs on {data or default_data()}; start one with: rung up{named}")


def _aside(headers: Headers) -> Aside:
    try:
        request = read_envelope(headers).id
    except Unreadable:
        request = headers.get("ce-id", "")
    return Aside(
        request=request,
        subject=headers.get("Rung-Subject", headers["Nats-Subject"]),
        reason=headers.get("Rung-Reason", "no reason was given"),
        sequence=int(headers["Nats-Sequence"]),
        time=time_of(headers["Nats-Time-Stamp"]),
    )


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith('.') else '.'}"
