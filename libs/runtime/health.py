"""`python -m libs.runtime.health SERVICE` says by its exit code whether a service listens on all its consumers."""

import asyncio
import json
import os
import sys
from collections.abc import Sequence
from typing import Final

import nats
from nats.errors import Error as NatsError

from libs.contracts.words import Service
from libs.runtime.keys import KeyFileError
from libs.runtime.rights import API, DURABLES
from libs.runtime.server import connect_options
from libs.runtime.settings import Settings, SettingUnusable, read_settings

WAIT_S: Final = 5


async def missing_consumers(service: Service, settings: Settings) -> list[str]:
    """The consumers of a service on which nobody waits for messages and none are being worked on."""
    async with await nats.connect(
        settings.nats_url, **connect_options(settings.keys, service), allow_reconnect=False
    ) as client:
        own = [durable for durable in DURABLES if durable.role == service]
        asked = [
            client.request(f"{API}.CONSUMER.INFO.{durable.stream}.{durable.name}", timeout=WAIT_S) for durable in own
        ]
        infos = [json.loads(answer.data) for answer in await asyncio.gather(*asked)]
    return [
        f"{durable.stream}/{durable.name}"
        for durable, info in zip(own, infos, strict=True)
        if not info.get("num_waiting") and not info.get("num_ack_pending")
    ]


def main(arguments: Sequence[str]) -> int:
    try:
        service = Service(arguments[0] if arguments else "")
        missing = asyncio.run(missing_consumers(service, read_settings(os.environ)))
    except (ValueError, SettingUnusable, KeyFileError, NatsError, OSError, TimeoutError) as error:
        print(f"unhealthy: {error or type(error).__name__}", file=sys.stderr)  # noqa: T201 - a command's answer
        return 1
    if missing:
        print(f"unhealthy: nobody listens on {', '.join(missing)}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
