"""The one shell of all services: it turns deliveries into wake-ups and acknowledges them when all is done.

Theory: a delivery is only a wake-up; what is owed is decided from the log (`settling.py`), so a
duplicate, a late delivery or a crash changes nothing. There are three kinds of trouble: what cannot
be read or is refused is set aside and shown; what may pass is retried with growing delay; a bug is
retried a few times and set aside.
"""

import asyncio
import contextlib
import json
import logging
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import nats
from faststream import AckPolicy, FastStream
from faststream.nats import JStream, NatsBroker, NatsMessage, PullSub
from faststream.nats.security import NatsNKey
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js.api import ConsumerConfig

from libs.contracts.requests import one_line
from libs.contracts.subjects import ASIDE, PROGRESS
from libs.contracts.wire import Newer, Unreadable
from libs.contracts.words import Phase, Service
from libs.runtime.artifacts import Artifacts
from libs.runtime.keys import KeyFileError
from libs.runtime.log import Log, LogUnavailable
from libs.runtime.rights import ACK_WAIT_S, API, WAITING_MAX, inbox
from libs.runtime.server import connect_options
from libs.runtime.settings import Settings, SettingUnusable, read_settings
from libs.runtime.telemetry import start_logging, start_tracing, stop_tracing

NEWER_RETRY_S: Final = 60.0
RETRY_MAX_S: Final = 60.0
BUG_TRIES: Final = 5
PROGRESS_LIMIT: Final = 200
WATCHDOG_S: Final = 30.0
WATCHDOG_STRIKES: Final = 4
STALLED_EXIT: Final = 75

logger = logging.getLogger("rung")


class Refused(Exception):
    """A request that changes nothing; the sentence says why and what would be accepted."""


@dataclass(frozen=True)
class Delivery:
    """One message as it came: a wake-up, or a request."""

    stream: str
    subject: str
    headers: dict[str, str]
    data: bytes
    sequence: int
    time: float
    tries: int

    @property
    def tokens(self) -> list[str]:
        return self.subject.split(".")


Act = Callable[[Delivery], Awaitable[None]]


@dataclass(frozen=True)
class Inlet:
    """A durable consumer of this service and what is done with its messages, `parallel` of them at once."""

    stream: str
    durable: str
    act: Act
    parallel: int = 1


@dataclass
class Pulse:
    """What the watchdog knows of an inlet: when it last worked, and how often it looked stuck."""

    turns: asyncio.Semaphore
    busy: int = 0
    handled: int = 0
    seen: int = -1
    strikes: int = 0


class Shell:
    """A service on the bus: its connection, log and artifacts, and the FastStream app around its inlets."""

    def __init__(self, service: Service, settings: Settings) -> None:
        self.service = service
        self.settings = settings
        options = connect_options(settings.keys, service)
        self._options = options
        self.broker = NatsBroker(
            settings.nats_url,
            security=NatsNKey.from_seed(options["nkeys_seed_str"]),
            inbox_prefix=options["inbox_prefix"],
            name=options["name"],
            js_options={"prefix": API},
            max_reconnect_attempts=-1,
            logger=None,
        )
        self._pulses: dict[Inlet, Pulse] = {}
        self._client: Client | None = None

    @property
    def client(self) -> Client:
        assert self._client is not None, "the shell runs"
        return self._client

    @property
    def log(self) -> Log:
        return Log(self.client, api=API, producer=self.service)

    @property
    def artifacts(self) -> Artifacts:
        return Artifacts(self.client, api=API)

    def listen(self, inlet: Inlet) -> None:
        """Register an inlet; its messages are acknowledged only after `act` has returned.

        Messages that wait for their turn are kept alive as well, so all that may be handed out is taken at once.
        """
        self._pulses[inlet] = Pulse(asyncio.Semaphore(inlet.parallel))
        subscribe = self.broker.subscriber(
            config=ConsumerConfig(durable_name=inlet.durable),
            durable=inlet.durable,
            stream=JStream(inlet.stream, declare=False),
            pull_sub=PullSub(batch_size=1, timeout=5.0),
            inbox_prefix=f"{inbox(self.service)}.".encode(),
            ack_policy=AckPolicy.MANUAL,
            max_workers=WAITING_MAX if inlet.parallel > 1 else 1,
            decoder=_undecoded,
        )

        @subscribe
        async def handle(message: NatsMessage) -> None:
            await self._handle(inlet, message)

    async def run(self, background: Callable[[], Awaitable[None]] | None = None) -> None:
        """Serve until the process is told to end."""
        self._client = await nats.connect(
            self.settings.nats_url, **self._options, max_reconnect_attempts=-1, error_cb=_log_error
        )
        app = FastStream(self.broker, logger=None)
        tasks = [asyncio.create_task(self._watch())]
        if background is not None:
            tasks.append(asyncio.create_task(_guarded(background)))
        try:
            await app.run()
        finally:
            for task in tasks:
                task.cancel()
            await self._client.close()

    def teller(self, run: str, phase: Phase) -> Callable[[bytes], None]:
        """Takes a worker's output and tells people who watch its last line, one at a time.

        This goes over the core bus and never into the log; what comes while one is being told is dropped.
        """
        under_way: set[asyncio.Task[None]] = set()

        def tell(output: bytes) -> None:
            line = one_line(output.decode("utf-8", "replace").strip().rpartition("\n")[2], PROGRESS_LIMIT)
            if line and not under_way:
                task = asyncio.create_task(self._say(run, phase, line))
                under_way.add(task)
                task.add_done_callback(under_way.discard)

        return tell

    async def _say(self, run: str, phase: Phase, text: str) -> None:
        line = json.dumps({"run": run, "service": self.service, "phase": phase, "text": text}).encode()
        with contextlib.suppress(NatsError):
            await self.client.publish(f"{PROGRESS}.{run}.{self.service}", line)

    async def set_aside(self, delivery: Delivery, reason: str) -> None:
        """Keep a message that cannot be acted on, with the sentence why, where `rung doctor` shows it."""
        identity = {name: value for name, value in delivery.headers.items() if name.lower().startswith("ce-")}
        headers = {
            **identity,
            "Rung-Reason": reason.encode("ascii", "backslashreplace").decode(),
            "Rung-Stream": delivery.stream,
            "Rung-Subject": delivery.subject,
            "Rung-Sequence": str(delivery.sequence),
        }
        subject = f"{ASIDE}.{self.service}.{delivery.stream.lower()}"
        await self.client.request(subject, delivery.data, headers=headers, timeout=5)
        logger.warning("set aside %s %s: %s", delivery.stream, delivery.sequence, reason)

    async def _handle(self, inlet: Inlet, message: NatsMessage) -> None:
        delivery = _delivery(inlet, message)
        pulse = self._pulses[inlet]
        pulse.busy += 1
        try:
            async with _kept_alive(message), pulse.turns:
                await self._act(inlet, delivery, message)
        finally:
            pulse.busy -= 1
            pulse.handled += 1

    async def _act(self, inlet: Inlet, delivery: Delivery, message: NatsMessage) -> None:
        try:
            await inlet.act(delivery)
        except Newer as reason:
            logger.warning("not understood yet, retried later: %s", reason)
            await message.nack(delay=NEWER_RETRY_S)
        except (Unreadable, Refused) as reason:
            await self.set_aside(delivery, str(reason))
            await message.reject()
        except (LogUnavailable, NatsError, OSError, TimeoutError) as trouble:
            logger.warning("retried later: %s", trouble or type(trouble).__name__)
            await message.nack(delay=_delay(delivery.tries))
        except Exception as bug:
            logger.exception("a bug met %s", delivery.subject)
            await self._give_up_or_retry(delivery, message, bug)
        else:
            await message.ack()

    async def _give_up_or_retry(self, delivery: Delivery, message: NatsMessage, bug: Exception) -> None:
        if delivery.tries < BUG_TRIES:
            await message.nack(delay=_delay(delivery.tries))
            return
        await self.set_aside(delivery, f"a bug in the {self.service}: {type(bug).__name__}: {bug}")
        await message.reject()

    async def _watch(self) -> None:
        """End the process when a consumer has gone or does not deliver; whoever runs it starts it again."""
        while True:
            await asyncio.sleep(WATCHDOG_S)
            for inlet, pulse in self._pulses.items():
                if await self._is_stuck(inlet, pulse):
                    logger.critical("the consumer %s on %s does not deliver", inlet.durable, inlet.stream)
                    os._exit(STALLED_EXIT)

    async def _is_stuck(self, inlet: Inlet, pulse: Pulse) -> bool:
        with contextlib.suppress(NatsError, TimeoutError):
            answer = await self.client.request(f"{API}.CONSUMER.INFO.{inlet.stream}.{inlet.durable}", b"", timeout=5)
            info = json.loads(answer.data)
            waits = "error" in info or (info["num_pending"] > 0 and not pulse.busy and pulse.handled == pulse.seen)
            pulse.strikes = pulse.strikes + 1 if waits else 0
            pulse.seen = pulse.handled
        return pulse.strikes >= WATCHDOG_STRIKES


def serve(service: Service, build: Callable[[Shell], Callable[[], Awaitable[None]] | None]) -> int:
    """Run a service in this process: read the environment, wire it, serve until told to end."""
    start_logging(service)
    try:
        settings = read_settings(os.environ)
        start_logging(service, settings.log_level)
        start_tracing(service)
        asyncio.run(_serve(service, settings, build))
    except (SettingUnusable, KeyFileError) as unusable:
        logger.error("%s cannot start: %s", service, unusable)  # noqa: TRY400 - one sentence is all a person needs
        return 2
    except KeyboardInterrupt:
        pass
    finally:
        stop_tracing()
    return 0


async def _serve(
    service: Service, settings: Settings, build: Callable[[Shell], Callable[[], Awaitable[None]] | None]
) -> None:
    shell = Shell(service, settings)
    await shell.run(build(shell))


async def _guarded(background: Callable[[], Awaitable[None]]) -> None:
    """A background task that fails ends the process, so that it is started again and not missed in silence."""
    try:
        await background()
    except asyncio.CancelledError:
        raise
    except BaseException:
        logger.exception("a background task failed")
        os.kill(os.getpid(), signal.SIGTERM)


@contextlib.asynccontextmanager
async def _kept_alive(message: NatsMessage) -> AsyncIterator[None]:
    async def beat() -> None:
        while True:
            await asyncio.sleep(ACK_WAIT_S / 3)
            with contextlib.suppress(NatsError):
                await message.raw_message.in_progress()

    task = asyncio.create_task(beat())
    try:
        yield
    finally:
        task.cancel()


async def _undecoded(message: NatsMessage) -> bytes:
    return bytes(message.body)


async def _log_error(error: Exception) -> None:
    logger.warning("bus: %s", error or type(error).__name__)


def _delivery(inlet: Inlet, message: NatsMessage) -> Delivery:
    raw = message.raw_message
    return Delivery(
        stream=inlet.stream,
        subject=raw.subject,
        headers=dict(raw.headers or {}),
        data=raw.data,
        sequence=raw.metadata.sequence.stream,
        time=raw.metadata.timestamp.timestamp(),
        tries=raw.metadata.num_delivered or 1,
    )


def _delay(tries: int) -> float:
    return float(min(2**tries / 4, RETRY_MAX_S))
