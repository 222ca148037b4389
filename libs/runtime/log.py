"""The log: facts on the stream FACTS, read whole per aggregate, appended one by one and fenced.

Theory: an append names the subjects it relied on and the last sequence it saw there (`Fence`).
The server refuses it when something has been added since, so that two writers which both use the
fence never both win; the loser reads again and decides again. The server checks the fence before
it looks for duplicates, so a publish that is repeated after a lost acknowledgement is refused as
well: the last fact there is read from the leader, and the same id means that it had succeeded.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Iterable, Mapping
from datetime import datetime
from typing import Any, Final

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from libs.contracts.facts import Fact
from libs.contracts.history import Fence, History, Unread
from libs.contracts.requests import fact_id
from libs.contracts.wire import Headers, Recorded, Unreadable, decode_fact, encode_fact
from libs.contracts.words import Service
from libs.runtime.telemetry import child_traceparent

STREAM: Final = "FACTS"
BATCH: Final = 500
ANSWER_S: Final = 5.0
_WRONG_SEQUENCE: Final = 10071
_END_OF_BATCH: Final = "204"
_NOTHING_FOUND: Final = "404"


class Conflict(Exception):
    """Somebody else's fact came first; read again and decide again."""


class LogUnavailable(Exception):
    """The log did not answer; nothing is known to be written. Worth a retry."""


class Log:
    """Reads and appends facts over one connection, in the name of one service or of a reader.

    `api` is the prefix of the stream's interface as this role sees it, without the last dot.
    """

    def __init__(self, client: Client, *, api: str, producer: Service | None = None) -> None:
        self._client = client
        self._api = api
        self.producer = producer

    async def append(self, fact: Fact, *, cause: str, fence: Fence, traceparent: str | None = None) -> int:
        """Write one fact and return its sequence.

        Raises:  Conflict when something came before it, LogUnavailable when the log did not answer.
        """
        if self.producer is None:
            raise PermissionError("a reader states no facts")
        identity = fact_id(cause, fact.subject)
        headers, data = encode_fact(
            fact,
            fact_id=identity,
            cause=cause,
            producer=self.producer,
            traceparent=child_traceparent(traceparent),
        )
        answer = await self._publish(fact.subject, data, {**headers, **_fence_headers(fence)})
        if (error := answer.get("error")) is None:
            return int(answer["seq"])
        if error.get("err_code") == _WRONG_SEQUENCE:
            return await self._settle_conflict(fact.subject, identity)
        raise LogUnavailable(f"the log refused {fact.subject}: {error.get('description', error)}")

    async def read(self, *filters: str, after: int = 0) -> History:
        """All messages under the filters, in the order of the log; those behind a sequence, where it is given."""
        return _history([message for subjects in filters async for message in self._stored(subjects, after + 1)])

    async def read_on(self, subjects: str, after: int) -> History:
        """The few messages under a filter behind a sequence, asked for one by one.

        A batch would make the server count all that is left, for which it reads whole blocks from disk.
        """
        messages: list[Msg] = []
        while (message := await self._next(subjects, after + 1)) is not None:
            messages.append(message)
            after = sequence_of(message)
        return _history(messages)

    async def head(self, subjects: str) -> int:
        """Sequence of the last message under the filter as the stream's leader knows it, 0 for none."""
        answer = await self._ask(f"STREAM.MSG.GET.{STREAM}", {"last_by_subj": subjects})
        return int(answer["message"]["seq"]) if "message" in answer else 0

    async def _settle_conflict(self, subject: str, identity: str) -> int:
        history = await self.read(subject)
        if history.facts and history.facts[-1].id == identity:
            return history.facts[-1].sequence
        raise Conflict(subject)

    async def _publish(self, subject: str, data: bytes, headers: Headers) -> dict[str, Any]:
        try:
            answer = await self._client.request(subject, data, timeout=ANSWER_S, headers=headers)
        except (NatsError, TimeoutError) as error:
            raise LogUnavailable(f"no acknowledgement for {subject}: {error or type(error).__name__}") from error
        return dict(json.loads(answer.data))

    async def _ask(self, call: str, question: Mapping[str, Any]) -> dict[str, Any]:
        return await self._publish(f"{self._api}.{call}", json.dumps(question).encode(), {})

    async def _next(self, subjects: str, start: int) -> Msg | None:
        """The first message under the filter from a sequence on; `None` when there is none yet."""
        question = json.dumps({"seq": start, "next_by_subj": subjects}).encode()
        try:
            message = await self._client.request(f"{self._api}.DIRECT.GET.{STREAM}", question, timeout=ANSWER_S)
        except (NatsError, TimeoutError) as error:
            raise LogUnavailable(f"no answer while reading {subjects}") from error
        if (status := (message.headers or {}).get("Status")) not in (None, _NOTHING_FOUND):
            raise LogUnavailable(f"reading {subjects} failed with status {status}")
        return message if status is None else None

    async def _stored(self, subjects: str, start: int) -> AsyncIterator[Msg]:
        while True:
            last = None
            async for message in self._batch(subjects, start):
                last = message
                yield message
            if last is None or int((last.headers or {}).get("Nats-Num-Pending", "0")) == 0:
                return
            start = sequence_of(last) + 1

    async def _batch(self, subjects: str, start: int) -> AsyncIterator[Msg]:
        inbox = self._client.new_inbox()
        subscription = await self._client.subscribe(inbox)
        question = json.dumps({"seq": start, "next_by_subj": subjects, "batch": BATCH}).encode()
        try:
            await self._client.publish(f"{self._api}.DIRECT.GET.{STREAM}", question, reply=inbox)
            while True:
                message = await subscription.next_msg(timeout=ANSWER_S)
                status = (message.headers or {}).get("Status")
                if status in (_END_OF_BATCH, _NOTHING_FOUND):
                    return
                if status is not None:
                    raise LogUnavailable(f"reading {subjects} failed with status {status}")
                yield message
        except (NatsError, TimeoutError) as error:
            raise LogUnavailable(f"no answer while reading {subjects}") from error
        finally:
            await asyncio.shield(subscription.unsubscribe())


def _history(messages: Iterable[Msg]) -> History:
    """What was read, in the order of the log."""
    entries = sorted(map(decode_stored, messages), key=lambda entry: entry.sequence)
    facts = tuple(entry for entry in entries if isinstance(entry, Recorded))
    return History(facts, tuple(entry for entry in entries if isinstance(entry, Unread)))


def decode_stored(message: Msg) -> Recorded | Unread:
    """A message of a direct get as a fact, or as what could not be read."""
    headers = message.headers or {}
    subject = headers["Nats-Subject"]
    try:
        return decode_fact(
            subject, headers, message.data, sequence=sequence_of(message), time=time_of(headers["Nats-Time-Stamp"])
        )
    except Unreadable as reason:
        return Unread(subject, sequence_of(message), reason)


def sequence_of(message: Msg) -> int:
    return int((message.headers or {})["Nats-Sequence"])


def time_of(stamp: str) -> float:
    """The store's time stamp (RFC 3339 with nanoseconds) in seconds since 1970-01-01 UTC."""
    whole, _, fraction = stamp.rstrip("Z").partition(".")
    return datetime.fromisoformat(f"{whole}+00:00").timestamp() + float(f"0.{fraction or 0}")


def _fence_headers(fence: Fence) -> Headers:
    return {
        "Nats-Expected-Last-Subject-Sequence": str(fence.sequence),
        "Nats-Expected-Last-Subject-Sequence-Subject": fence.subjects,
    }
