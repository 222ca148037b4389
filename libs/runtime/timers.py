"""Durable timers: JetStream message schedules in the stream TIMERS, one subject a timer.

Publishing a timer again moves it; the server fires it once, also one whose moment passed while it
was down. Nothing here is the truth: which timers should run is derived from facts.
"""

import json
from datetime import UTC, datetime

from nats.aio.client import Client
from nats.errors import Error as NatsError

from libs.contracts.subjects import TIMER_AT, TIMER_DUE
from libs.runtime.log import ANSWER_S, LogUnavailable


async def schedule(client: Client, run: str, name: str, at: float) -> None:
    """Have `timers.due.<run>.<name>` published at `at`, in seconds since 1970-01-01 UTC.

    Raises:  LogUnavailable when the bus did not take it.
    """
    moment = datetime.fromtimestamp(at, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    headers = {"Nats-Schedule": f"@at {moment}", "Nats-Schedule-Target": f"{TIMER_DUE}.{run}.{name}"}
    try:
        answer = await client.request(f"{TIMER_AT}.{run}.{name}", b"{}", headers=headers, timeout=ANSWER_S)
    except (NatsError, TimeoutError) as error:
        raise LogUnavailable(f"the timer {name} of {run} was not taken") from error
    if error_said := json.loads(answer.data).get("error"):
        raise LogUnavailable(f"the timer {name} of {run} was refused: {error_said.get('description')}")
