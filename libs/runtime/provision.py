"""The streams and durables of the bus, made or brought up to date by the provisioner."""

import asyncio
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js import JetStreamContext
from nats.js.api import (
    AckPolicy,
    ConsumerConfig,
    DeliverPolicy,
    DiscardPolicy,
    RePublish,
    RetentionPolicy,
    StorageType,
    StreamConfig,
)
from nats.js.errors import APIError

from libs.runtime.keys import KeyFileError
from libs.runtime.rights import ACK_WAIT_S, DURABLES, PROVISIONER, Durable
from libs.runtime.server import connect_options

ASIDE_KEPT_S: Final = 30 * 24 * 3600.0
DUPLICATES_S: Final = 0.1
"""As short as the server allows: within this time a foreign message with the same id would swallow ours."""
ANSWER_S: Final = 5.0
ATTEMPTS: Final = 60
RETRY_S: Final = 1
NAME_IN_USE: Final = 10058


class ProvisionError(Exception):
    """A stream or durable cannot be made as it should be; the message says which and why."""


def _stream(name: str, *subjects: str, **more: object) -> StreamConfig:
    return StreamConfig(
        **{
            "name": name,
            "subjects": list(subjects),
            "storage": StorageType.FILE,
            "retention": RetentionPolicy.LIMITS,
            "discard": DiscardPolicy.NEW,
            "duplicate_window": DUPLICATES_S,
            "allow_direct": True,
            **more,
        }  # type: ignore[arg-type]
    )


STREAMS: Final = (
    _stream(
        "FACTS",
        "run.>",
        "workflow.>",
        "issue.>",
        "service.>",
        deny_delete=True,
        deny_purge=True,
        republish=RePublish(src=">", dest="live.>"),
    ),
    _stream("INTAKE", "intake.issue.*", "intake.decision.*", "intake.ladder.*", deny_delete=True, deny_purge=True),
    # Purging a schedule's subject cancels it, so purge stays allowed; only the gatekeeper is granted it.
    # Schedules and `discard new` exclude each other; without limits nothing is discarded either way.
    _stream("TIMERS", "timers.>", discard=DiscardPolicy.OLD, allow_msg_schedules=True, allow_msg_ttl=True),
    _stream("ASIDE", "aside.>", max_age=ASIDE_KEPT_S, discard=DiscardPolicy.OLD),
    # An object store bucket without rollup: what was put stays until the provisioner erases it.
    _stream("OBJ_artifacts", "$O.artifacts.C.>", "$O.artifacts.M.>"),
)


async def provision(nc: Client, *, timeout_s: float = ANSWER_S) -> None:
    """Make every stream and durable, or bring it up to date; `nc` is the provisioner's connection."""
    js = nc.jetstream(timeout=timeout_s)
    for config in STREAMS:
        await _ensure_stream(js, config)
    for durable in DURABLES:
        await _ensure_durable(js, durable)


async def _ensure_stream(js: JetStreamContext, config: StreamConfig) -> None:
    try:
        await _create_or_update(js, config)
    except NatsError as error:
        raise ProvisionError(f"The stream {config.name} cannot be made as it should be: {_why(error)}.") from error


async def _create_or_update(js: JetStreamContext, config: StreamConfig) -> None:
    try:
        await js.add_stream(config)
    except APIError as error:
        if error.err_code != NAME_IN_USE:
            raise
        await js.update_stream(config)


async def _ensure_durable(js: JetStreamContext, durable: Durable) -> None:
    config = ConsumerConfig(
        durable_name=durable.name,
        filter_subjects=list(durable.filters) or None,
        deliver_policy=DeliverPolicy.ALL,
        ack_policy=AckPolicy.EXPLICIT,
        ack_wait=ACK_WAIT_S,
        max_deliver=-1,
        max_ack_pending=durable.unacknowledged_max,
    )
    try:
        await js.add_consumer(durable.stream, config)
    except NatsError as error:
        where = f"{durable.name} on {durable.stream}"
        raise ProvisionError(f"The durable {where} cannot be made as it should be: {_why(error)}.") from error


def _why(error: Exception) -> str:
    said = error.description if isinstance(error, APIError) else None
    return said or str(error).removeprefix("nats: ")


async def wait_and_provision(url: str, keys: Path, *, attempts: int = ATTEMPTS) -> None:
    """Provision the server at `url` as soon as it answers; a second lies between two attempts."""
    options = connect_options(keys, PROVISIONER)
    nc = Client()
    try:
        await nc.connect(
            url, **options, max_reconnect_attempts=attempts, reconnect_time_wait=RETRY_S, error_cb=_not_yet
        )
        await provision(nc)
    except (OSError, ValueError, NatsError) as error:
        raise ProvisionError(f"No NATS server lets the provisioner in at {url}: {_why(error)}.") from error
    finally:
        await nc.close()


async def _not_yet(_: Exception) -> None:
    """The client tries again by itself; only the last failure is worth a word."""


def main(environment: Mapping[str, str] = os.environ) -> int:
    try:
        url, keys = environment["RUNG_NATS_URL"], Path(environment["RUNG_KEYS"])
        asyncio.run(wait_and_provision(url, keys))
    except KeyError as missing:
        print(f"{missing.args[0]} is not set.", file=sys.stderr)  # noqa: T201 - the command's one sentence
        return 2
    except (ProvisionError, KeyFileError) as error:
        print(error, file=sys.stderr)  # noqa: T201 - the command's one sentence
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
