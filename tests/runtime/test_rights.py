"""What each role can and cannot do on a real server with the real keys, and the data behind it."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import nats
import pytest
import pytest_asyncio
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import NoRespondersError
from nats.js import JetStreamContext
from nats.js.errors import APIError, NotFoundError

from libs.contracts.history import matches
from libs.contracts.words import Service
from libs.runtime import keys as key_files
from libs.runtime import provision, rights, server
from tests.support.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")

TABLE = rights.table(rights.STATES)
SAID = sorted({subject for its in TABLE.values() for subject in its.says if not subject.startswith("$JS")})
STREAMS = ("FACTS", "INTAKE", "TIMERS", "ASIDE", "OBJ_artifacts")
SERVICES = [str(service) for service in Service]


@dataclass
class Peer:
    """One role's connection and the refusals it was told."""

    role: str
    nc: Client
    refusals: asyncio.Queue[str] = field(default_factory=asyncio.Queue)

    @property
    def js(self) -> JetStreamContext:
        return self.nc.jetstream(prefix=rights.API)

    async def refused(self, count: int) -> list[str]:
        """Subjects of the next refusals, as the server spells them; fails when fewer come."""
        told = [await asyncio.wait_for(self.refusals.get(), 5) for _ in range(count)]
        return sorted(line.split('"')[1] for line in told)


@dataclass
class Bus:
    js: JetStreamContext
    peers: dict[str, Peer]

    def __getattr__(self, role: str) -> Peer:
        return self.peers[role]

    async def stored(self) -> dict[str, int]:
        """Messages by subject, over all streams."""
        found: dict[str, int] = {}
        for stream in STREAMS:
            info = await self.js.stream_info(stream, subjects_filter=">")
            found |= info.state.subjects or {}
        return found


async def peer(endpoint: server.Endpoint, role: str) -> Peer:
    refusals: asyncio.Queue[str] = asyncio.Queue()

    async def note(error: Exception) -> None:
        await refusals.put(str(error))

    options = server.connect_options(endpoint.keys, role)
    nc = await nats.connect(endpoint.url, **options, allow_reconnect=False, error_cb=note)
    return Peer(role, nc, refusals)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def bus(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Bus]:
    async with await server.start(tmp_path_factory.mktemp("bus")) as running:
        provisioner = await peer(running.endpoint, rights.PROVISIONER)
        await provision.provision(provisioner.nc)
        peers = {role: await peer(running.endpoint, role) for role in TABLE}
        yield Bus(provisioner.nc.jetstream(), peers)
        for each in (provisioner, *peers.values()):
            await each.nc.close()


def sample(pattern: str, token: str) -> str:
    return pattern.replace("*", token).replace(">", f"{token}.tail")


def spelt(subjects: list[str]) -> list[str]:
    """As the client reports refusals: in lower case."""
    return sorted(subject.lower() for subject in subjects)


async def batch(peer: Peer, stream: str, question: dict[str, Any]) -> list[str]:
    """Subjects of a batched direct get, in order, up to its end."""
    inbox = peer.nc.new_inbox()
    subscription = await peer.nc.subscribe(inbox)
    await peer.nc.publish(f"{rights.API}.DIRECT.GET.{stream}", json.dumps(question).encode(), reply=inbox)
    subjects: list[str] = []
    while True:
        headers = (await subscription.next_msg(timeout=5)).headers or {}
        if headers.get("Status"):
            return subjects
        subjects.append(headers["Nats-Subject"])


# -- stating facts ----------------------------------------------------------------


@pytest.mark.parametrize("role", TABLE)
async def test_a_role_states_its_own_subjects_and_no_others(bus: Bus, role: str) -> None:
    says = TABLE[role].says
    mine = [sample(pattern, f"by-{role}") for pattern in says if not pattern.startswith("$JS")]
    tried = [sample(pattern, f"by-{role}") for pattern in SAID]
    others = [subject for subject in tried if not any(matches(pattern, subject) for pattern in says)]
    acks = await asyncio.gather(*(bus.peers[role].js.publish(subject, b"{}") for subject in mine))
    assert all(ack.seq for ack in acks)
    stored = await bus.stored()
    assert set(mine) <= set(stored)
    for subject in others:
        await bus.peers[role].nc.publish(subject, b"{}")
    assert await bus.peers[role].refused(len(others)) == spelt(others)
    assert await bus.stored() == stored


@pytest.mark.parametrize(
    ("role", "subject"),
    [
        ("builder", "run.x.gate.judged.build.1"),
        ("builder", "run.x.phase.completed.deploy.1"),
        ("builder", "run.x.merge.authorised"),
        ("merger", "run.x.merge.authorised"),
        ("merger", "run.x.phase.completed.test.1"),
        ("planner", "run.x.decision.recorded.y"),
        ("monitor", "run.x.rollback.ordered"),
        ("gatekeeper", "run.x.change.merged"),
        ("gatekeeper", "issue.x.opened.1"),
        ("gatekeeper", "intake.decision.x"),
        ("operator", "workflow.x.level.granted"),
        ("operator", "run.x.decision.recorded.y"),
        ("tracker", "intake.decision.x"),
        ("tracker", "intake.issue.cli"),
        ("tracker", "intake.issue.monitor"),
        ("ops", "intake.issue.x"),
        ("builder", "aside.planner.x"),
        ("builder", "timers.at.x.y"),
        ("builder", "live.run.x.change.merged"),
        ("builder", "query.runs"),
    ],
)
async def test_a_role_cannot_say_what_another_answers_for(bus: Bus, role: str, subject: str) -> None:
    stored = await bus.stored()
    await bus.peers[role].nc.publish(subject, b"{}")
    assert await bus.peers[role].refused(1) == [subject]
    assert await bus.stored() == stored


async def test_an_expected_sequence_holds_through_the_account_border(bus: Bus) -> None:
    once = {"Nats-Expected-Last-Subject-Sequence": "0"}
    first = await bus.gatekeeper.js.publish("run.fenced.run.started", b"", headers=once)
    with pytest.raises(APIError, match="wrong last sequence"):
        await bus.gatekeeper.js.publish("run.fenced.run.started", b"", headers=once)
    fence = {"Nats-Expected-Last-Subject-Sequence-Subject": "run.fenced.>"}
    stale, fresh = ({**fence, "Nats-Expected-Last-Subject-Sequence": str(head)} for head in (0, first.seq))
    with pytest.raises(APIError, match="wrong last sequence"):
        await bus.gatekeeper.js.publish("run.fenced.timer.due.a", b"", headers=stale)
    assert (await bus.gatekeeper.js.publish("run.fenced.timer.due.a", b"", headers=fresh)).seq == first.seq + 1


@pytest.mark.parametrize(
    "headers",
    [
        {"Nats-TTL": "1s"},
        {"Nats-Rollup": "all"},
        {"Nats-Rollup": "sub"},
        {"Nats-Schedule": "@at 2000-01-01T00:00:00Z", "Nats-Schedule-Target": "run.x.gate.judged.test.1"},
    ],
    ids=lambda headers: "-".join(headers.values()),
)
@pytest.mark.parametrize("subject", ["run.x.phase.completed.build.1", "$O.artifacts.M.x", "aside.builder.x"])
async def test_no_header_makes_a_message_erase_or_forge_others(bus: Bus, subject: str, headers: dict[str, str]) -> None:
    await bus.builder.js.publish(subject, b"first")
    before = await bus.stored()
    with pytest.raises(APIError):
        await bus.builder.js.publish(subject, b"second", headers=headers)
    assert await bus.stored() == before


@pytest.mark.parametrize("forged", ["run.forged.gate.judged.test.1", "intake.decision.forged", "timers.at.forged.x"])
async def test_an_answer_never_lands_on_the_subject_that_a_caller_named(bus: Bus, forged: str) -> None:
    await bus.gatekeeper.js.publish("run.bait.phase.requested.build.1", b"chosen by a liar")
    before = await bus.stored()
    questions = {
        "DIRECT.GET.FACTS": b'{"seq":1}',
        "DIRECT.GET.OBJ_artifacts": b'{"seq":1,"next_by_subj":">","batch":9}',
        "STREAM.MSG.GET.FACTS": b'{"seq":1}',
        "CONSUMER.MSG.NEXT.FACTS.builder": b'{"batch":9,"no_wait":true}',
        "CONSUMER.INFO.FACTS.builder": b"",
    }
    for call, question in questions.items():
        await bus.builder.nc.publish(f"{rights.API}.{call}", question, reply=forged)
    # Answers travel in order of the asking, so once a later one is here the forged ones are where they went.
    await bus.builder.js.get_msg("FACTS", seq=1)
    await bus.builder.js.get_msg("FACTS", seq=1, direct=True)
    await bus.builder.js.consumer_info("FACTS", "builder")
    assert await bus.stored() == before


async def test_an_acknowledgement_never_lands_on_a_fact_s_subject(bus: Bus) -> None:
    await bus.builder.nc.publish("aside.builder.bait", b"", reply="run.forged.gate.judged.test.2")
    await bus.builder.js.publish("aside.builder.later", b"")
    assert not [subject for subject in await bus.stored() if "run.forged" in subject]


async def test_a_query_with_a_forged_reply_makes_the_gatekeeper_state_nothing(bus: Bus) -> None:
    answered = asyncio.Event()

    async def answer(message: Msg) -> None:
        await message.respond(b"chosen by a liar")
        answered.set()

    subscription = await bus.gatekeeper.nc.subscribe("query.forging", cb=answer)
    await bus.gatekeeper.nc.flush()
    await bus.operator.nc.publish("query.forging", b"", reply="run.forged.gate.judged.test.3")
    await asyncio.wait_for(answered.wait(), 5)
    await bus.gatekeeper.nc.flush()
    await subscription.unsubscribe()
    assert not [subject for subject in await bus.stored() if "run.forged" in subject]


# -- what nobody may --------------------------------------------------------------


@pytest.mark.parametrize("role", TABLE)
async def test_nobody_manages_streams_or_consumers(bus: Bus, role: str) -> None:
    calls = [
        *(f"STREAM.{verb}.FACTS" for verb in ("DELETE", "PURGE", "UPDATE", "MSG.DELETE", "SNAPSHOT")),
        "STREAM.CREATE.MINE",
        "STREAM.DELETE.OBJ_artifacts",
        "STREAM.PURGE.OBJ_artifacts",
        *(f"STREAM.PURGE.{stream}" for stream in ("INTAKE", "ASIDE")),
        *(["STREAM.PURGE.TIMERS"] if role != "gatekeeper" else []),
        "CONSUMER.CREATE.FACTS",
        "CONSUMER.CREATE.FACTS.mine",
        "CONSUMER.DURABLE.CREATE.FACTS.mine",
        "CONSUMER.DELETE.FACTS.gatekeeper",
        "CONSUMER.PAUSE.FACTS.gatekeeper",
    ]
    before = await bus.stored()
    subjects = [f"{prefix}.{call}" for call in calls for prefix in (rights.API, "$JS.API")]
    for subject in subjects:
        await bus.peers[role].nc.publish(subject, b"{}")
    assert await bus.peers[role].refused(len(subjects)) == spelt(subjects)
    assert await bus.stored() == before
    assert len(await bus.js.consumers_info("FACTS")) == len([d for d in rights.DURABLES if d.stream == "FACTS"])


async def test_even_the_provisioner_deletes_and_purges_no_fact(bus: Bus) -> None:
    ack = await bus.gatekeeper.js.publish("run.kept.run.started", b"{}")
    with pytest.raises(APIError, match="delete not permitted"):
        await bus.js.delete_msg("FACTS", ack.seq)
    with pytest.raises(APIError, match="not permitted"):
        await bus.js.purge_stream("FACTS")


@pytest.mark.parametrize("role", TABLE)
async def test_nobody_pulls_or_acknowledges_for_another(bus: Bus, role: str) -> None:
    foreign = [f"{durable.stream}.{durable.name}" for durable in rights.DURABLES if durable.role != role]
    subjects = [f"{rights.API}.CONSUMER.MSG.NEXT.{name}" for name in foreign]
    subjects += [f"$JS.ACK.{name}.1.1.1.1.1" for name in foreign]
    for subject in subjects:
        await bus.peers[role].nc.publish(subject, b"1")
    assert await bus.peers[role].refused(len(subjects)) == spelt(subjects)


@pytest.mark.parametrize("role", TABLE)
async def test_nobody_listens_where_others_are_answered(bus: Bus, role: str) -> None:
    heard = {subject for subject, _ in TABLE[role].hears} | set(TABLE[role].answers)
    places = ["_INBOX_provisioner.>", "_R_.>", "run.>", "$JS.>", "$SYS.>", "intake.>", ">"]
    places += [f"{rights.inbox(other)}.>" for other in TABLE if other != role]
    places += [subject for subject in ("live.>", "progress.>", "query.>") if subject not in heard]
    for place in places:
        await bus.peers[role].nc.subscribe(place)
    assert await bus.peers[role].refused(len(places)) == spelt(places)


# -- reading and working ----------------------------------------------------------


@pytest.mark.parametrize("role", [*SERVICES, rights.OPERATOR])
async def test_a_run_is_read_whole_in_one_request(bus: Bus, role: str) -> None:
    await bus.gatekeeper.js.publish(f"run.read-{role}.run.started", b"{}")
    await bus.builder.js.publish(f"run.read-{role}.phase.claimed.build.1", b"{}")
    question = {"seq": 1, "next_by_subj": f"run.read-{role}.>", "batch": 500}
    assert await batch(bus.peers[role], "FACTS", question) == [
        f"run.read-{role}.run.started",
        f"run.read-{role}.phase.claimed.build.1",
    ]


@pytest.mark.parametrize("role", SERVICES)
async def test_a_service_asks_the_leader_for_the_last_fact(bus: Bus, role: str) -> None:
    ack = await bus.gatekeeper.js.publish(f"run.led-{role}.run.started", b"{}")
    found = await bus.peers[role].js.get_last_msg("FACTS", f"run.led-{role}.>")
    assert found.seq == ack.seq


async def test_an_artifact_put_by_one_role_is_read_by_another(bus: Bus) -> None:
    for chunk in (b"one", b"two"):
        await bus.builder.js.publish("$O.artifacts.C.put", chunk)
    await bus.builder.js.publish("$O.artifacts.M.put", b"{}", headers={"Nats-Expected-Last-Subject-Sequence": "0"})
    question = {"seq": 1, "next_by_subj": "$O.artifacts.C.put", "batch": 9}
    assert await batch(bus.operator, "OBJ_artifacts", question) == ["$O.artifacts.C.put"] * 2
    entry = await bus.monitor.js.get_last_msg("OBJ_artifacts", "$O.artifacts.M.put", direct=True)
    assert entry.data == b"{}"


WAITED_FOR = {
    "INTAKE planner": ("tracker", "intake.issue.pulled"),
    "INTAKE gatekeeper": ("operator", "intake.decision.pulled"),
    "FACTS planner": ("gatekeeper", "run.pulled.phase.requested.plan.1"),
    "FACTS builder": ("gatekeeper", "run.pulled.phase.requested.review.1"),
    "FACTS merger": ("gatekeeper", "run.pulled.rollback.ordered"),
    "FACTS monitor": ("merger", "run.pulled.change.merged"),
    "FACTS gatekeeper": ("monitor", "run.pulled.watch.ended"),
    "FACTS projection": ("builder", "service.builder.sandbox.probed"),
    "FACTS ops": ("monitor", "service.monitor.incident.opened.pulled"),
    "TIMERS gatekeeper": (rights.PROVISIONER, "timers.due.pulled.x"),
}


@pytest.mark.parametrize("durable", rights.DURABLES, ids=lambda durable: f"{durable.stream} {durable.name}")
async def test_a_listener_pulls_and_acknowledges_what_it_waits_for(bus: Bus, durable: rights.Durable) -> None:
    speaker, subject = WAITED_FOR[f"{durable.stream} {durable.name}"]
    js = bus.js if speaker == rights.PROVISIONER else bus.peers[speaker].js
    ack = await js.publish(subject, b"{}")
    subscription = await bus.peers[durable.role].js.pull_subscribe_bind(durable.name, durable.stream)
    seen: dict[int, str] = {}
    while ack.seq not in seen:
        for message in await subscription.fetch(50, timeout=5):
            seen[message.metadata.sequence.stream] = message.subject
            await message.ack_sync()
    assert seen[ack.seq] == subject
    assert (await subscription.consumer_info()).num_ack_pending == 0
    await subscription.unsubscribe()


async def test_a_watcher_hears_facts_and_progress_as_they_happen(bus: Bus) -> None:
    facts = await bus.ops.nc.subscribe("live.run.heard.>")
    progress = await bus.operator.nc.subscribe("progress.heard.>")
    await bus.ops.nc.flush()
    await bus.operator.nc.flush()
    await bus.merger.js.publish("run.heard.change.merged", b"{}")
    await bus.builder.nc.publish("progress.heard.test", b"3 of 4")
    assert (await facts.next_msg(timeout=5)).subject == "live.run.heard.change.merged"
    assert (await progress.next_msg(timeout=5)).data == b"3 of 4"


async def test_the_gatekeeper_answers_the_operator_s_queries(bus: Bus) -> None:
    async def answer(message: Msg) -> None:
        await message.respond(b"none")

    subscription = await bus.gatekeeper.nc.subscribe("query.runs", cb=answer)
    await bus.gatekeeper.nc.flush()

    async def ask() -> bytes | None:
        with suppress(NoRespondersError):  # interest crosses accounts a moment later
            return (await bus.operator.nc.request("query.runs", b"", timeout=5)).data
        return None

    assert await until(ask) == b"none"
    await subscription.unsubscribe()


async def test_the_operator_sees_how_far_each_listener_is(bus: Bus) -> None:
    for durable in rights.DURABLES:
        info = await bus.operator.js.consumer_info(durable.stream, durable.name)
        assert info.config.ack_wait == rights.ACK_WAIT_S
    assert (await bus.operator.js.stream_info("ASIDE")).config.max_age == provision.ASIDE_KEPT_S


# -- timers -----------------------------------------------------------------------


async def test_a_schedule_comes_due_at_the_gatekeeper(bus: Bus) -> None:
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    headers = {"Nats-Schedule": f"@at {now}", "Nats-Schedule-Target": "timers.due.scheduled.delay"}
    await bus.gatekeeper.js.publish("timers.at.scheduled.delay", b"{}", headers=headers)
    subscription = await bus.gatekeeper.js.pull_subscribe_bind("gatekeeper", "TIMERS")
    (due,) = await subscription.fetch(1, timeout=10)
    await due.ack_sync()
    await subscription.unsubscribe()
    assert due.subject == "timers.due.scheduled.delay"
    with pytest.raises(NotFoundError):
        await bus.gatekeeper.js.get_last_msg("TIMERS", "timers.at.scheduled.delay", direct=True)


async def test_a_purge_of_its_subject_cancels_a_schedule(bus: Bus) -> None:
    headers = {"Nats-Schedule": "@at 2100-01-01T00:00:00Z", "Nats-Schedule-Target": "timers.due.cancelled.delay"}
    await bus.gatekeeper.js.publish("timers.at.cancelled.delay", b"{}", headers=headers)
    await bus.gatekeeper.js.purge_stream("TIMERS", subject="timers.at.cancelled.delay")
    with pytest.raises(NotFoundError):
        await bus.gatekeeper.js.get_last_msg("TIMERS", "timers.at.cancelled.delay", direct=True)


# -- making it so -----------------------------------------------------------------


async def test_provisioning_again_changes_nothing(bus: Bus) -> None:
    before = [(await bus.js.stream_info(stream)).config for stream in STREAMS]
    for _ in range(2):
        await provision.provision(bus.js._nc)
    assert [(await bus.js.stream_info(stream)).config for stream in STREAMS] == before


async def test_provisioning_mends_a_stream_and_a_durable_that_differ(bus: Bus) -> None:
    info = await bus.js.stream_info("ASIDE")
    info.config.max_age = 60
    await bus.js.update_stream(info.config)
    await bus.js.delete_consumer("FACTS", "ops")
    await provision.provision(bus.js._nc)
    assert (await bus.js.stream_info("ASIDE")).config.max_age == provision.ASIDE_KEPT_S
    assert (await bus.js.consumer_info("FACTS", "ops")).config.filter_subjects


async def test_who_is_not_the_provisioner_provisions_nothing(bus: Bus) -> None:
    with pytest.raises(provision.ProvisionError, match="stream FACTS cannot be made"):
        await provision.provision(bus.builder.nc, timeout_s=0.2)


async def test_no_server_is_one_sentence(tmp_path: Path) -> None:
    key_files.ensure(tmp_path, [rights.PROVISIONER])
    with pytest.raises(provision.ProvisionError, match="No NATS server lets the provisioner in"):
        await provision.wait_and_provision("nats://127.0.0.1:1", tmp_path, attempts=1)
