"""The whole log, message by message: from the running system, or from the file of an export."""

import json
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any, Final

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from libs.cli.connection import Connection
from libs.cli.ending import Misused
from libs.contracts.export import BrokenLine, Entry, encode_stored, read_lines
from libs.runtime.log import ANSWER_S, BATCH, STREAM, LogUnavailable, sequence_of, time_of
from libs.runtime.rights import API

ENDS: Final = ("204", "404")
"""Statuses that end a batch: no more of it, or nothing there."""
SHOWN_EVERY: Final = 10_000
"""Messages after which it is told how far the reading is."""

Tell = Callable[[str], None]


async def head_of(connection: Connection) -> int:
    """The last sequence that the stream says it has."""
    try:
        answer = await connection.client.request(f"{API}.STREAM.INFO.{STREAM}", b"", timeout=ANSWER_S)
    except (NatsError, TimeoutError) as error:
        raise LogUnavailable(f"no answer about the stream {STREAM}") from error
    return int(json.loads(answer.data)["state"]["last_seq"])


async def stored(connection: Connection, head: int, tell: Tell) -> AsyncIterator[Entry]:
    """Every message up to the head, in the order of the log; one that the store cannot give is not among them.

    Raises:  LogUnavailable.
    """
    last = count = 0
    while last < head and (messages := await _batch(connection.client, last + 1)):
        for message in messages:
            if (last := sequence_of(message)) > head:
                return
            count += 1
            if count % SHOWN_EVERY == 0:
                tell(f"{count} of {head} messages read")
            yield _entry(message)


def exported(file: Path) -> Iterator[Entry]:
    """Every message of an export, in the order of the file.

    Raises:  Misused with the sentence and the line.
    """
    try:
        with file.open("rb") as lines:
            yield from read_lines(lines)
    except BrokenLine as error:
        raise Misused(f"{file}: {error}.") from error
    except OSError as error:
        raise Misused(f"The export {file} cannot be read: {error.strerror or error}.") from error


def _entry(message: Msg) -> Entry:
    headers: dict[str, Any] = dict(message.headers or {})
    subject, sequence, time = headers["Nats-Subject"], sequence_of(message), time_of(headers["Nats-Time-Stamp"])
    return Entry(sequence, time, subject, encode_stored(subject, headers, message.data, sequence=sequence, time=time))


async def _batch(client: Client, start: int) -> list[Msg]:
    """The next messages from a sequence on; none when there is none."""
    inbox = client.new_inbox()
    subscription = await client.subscribe(inbox)
    question = json.dumps({"seq": start, "next_by_subj": ">", "batch": BATCH}).encode()
    messages: list[Msg] = []
    try:
        await client.publish(f"{API}.DIRECT.GET.{STREAM}", question, reply=inbox)
        while (status := _status(message := await subscription.next_msg(timeout=ANSWER_S))) is None:
            messages.append(message)
    except (NatsError, TimeoutError) as error:
        raise LogUnavailable("no answer while reading the log") from error
    finally:
        await subscription.unsubscribe()
    if status not in ENDS:
        raise LogUnavailable(f"reading the log failed with status {status}")
    return messages


def _status(message: Msg) -> str | None:
    return (message.headers or {}).get("Status")
