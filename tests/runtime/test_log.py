"""The log, artifacts and timers against a real server."""

import asyncio
import hashlib
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from libs.contracts.facts import FreezeSet, PhaseClaimed, PhaseErrored, RunAborted, RunEscalated, TimerDue
from libs.contracts.history import Fence, fence_for, matches
from libs.contracts.subjects import run_filter
from libs.contracts.wire import Newer
from libs.contracts.words import Phase, Service
from libs.runtime import log as log_module
from libs.runtime.artifacts import ArtifactDamaged, ArtifactMissing
from libs.runtime.log import BATCH, Conflict, Log, LogUnavailable
from libs.runtime.timers import schedule
from tests.support.bus import Bus, running_bus

ANY = Fence("run.r1.>", 0)


@pytest.fixture
async def bus(tmp_path: Path) -> AsyncIterator[Bus]:
    async with running_bus(tmp_path / "données du bus") as bus:
        yield bus


def _claim(attempt: int = 1, worker: str = "w") -> PhaseClaimed:
    return PhaseClaimed(run="r1", phase=Phase.BUILD, attempt=attempt, worker=worker)


def _error(worker: str) -> PhaseErrored:
    return PhaseErrored(run="r1", phase=Phase.BUILD, attempt=1, worker=worker, code="x", message="y")


async def test_facts_come_back_as_they_were_stated_with_id_cause_producer_and_time(bus: Bus) -> None:
    before = time.time()
    async with bus.log(Service.BUILDER) as log:
        sequence = await log.append(
            _claim(), cause="because", fence=ANY, traceparent="00-" + "a" * 32 + "-" + "b" * 16 + "-01"
        )
        history = await log.read(run_filter("r1"))
    (recorded,) = history.facts
    assert (recorded.fact, recorded.cause, recorded.producer, recorded.sequence) == (
        _claim(),
        "because",
        "builder",
        sequence,
    )
    assert before - 1 < recorded.time < time.time() + 1
    assert recorded.traceparent == "00-" + "a" * 32 + "-" + "b" * 16 + "-01"


async def test_an_append_behind_a_stale_fence_is_a_conflict_and_writes_nothing(bus: Bus) -> None:
    async with bus.log(Service.BUILDER) as log:
        await log.append(_claim(), cause="a", fence=ANY)
        with pytest.raises(Conflict):
            await log.append(_claim(2), cause="b", fence=ANY)
        assert len((await log.read(run_filter("r1"))).facts) == 1


async def test_a_repeat_of_a_publish_that_had_succeeded_is_taken_for_it(bus: Bus) -> None:
    async with bus.log(Service.BUILDER) as log:
        first = await log.append(_claim(), cause="a", fence=ANY)
        assert await log.append(_claim(), cause="a", fence=ANY) == first
        assert len((await log.read(run_filter("r1"))).facts) == 1


async def test_a_slot_takes_one_answer_whoever_gives_it(bus: Bus) -> None:
    async with bus.log(Service.BUILDER) as log:
        mine = await log.append(_claim(worker="mine"), cause="a", fence=ANY)
        history = await log.read(run_filter("r1"))
        await log.append(_claim(worker="other"), cause="a2", fence=fence_for(_claim(), history))
        with pytest.raises(Conflict):
            await log.append(_error("mine"), cause="a", fence=Fence("run.r1.phase.*.build.1", mine))
        history = await log.read(run_filter("r1"))
        await log.append(_error("other"), cause="a", fence=fence_for(_error("other"), history))
        assert len((await log.read(run_filter("r1"))).facts) == 3


async def test_of_two_writers_behind_the_same_fence_one_wins(bus: Bus) -> None:
    async with bus.log(Service.GATEKEEPER) as one, bus.log(Service.GATEKEEPER) as other:
        facts = [RunEscalated(run="r1", phase=Phase.PLAN, attempt=1, reason=who) for who in ("one", "other")]
        done = await asyncio.gather(
            one.append(facts[0], cause="a", fence=ANY),
            other.append(facts[1], cause="b", fence=ANY),
            return_exceptions=True,
        )
        assert sorted(type(result).__name__ for result in done) == ["Conflict", "int"]


async def test_a_long_history_is_read_whole_and_in_order(bus: Bus) -> None:
    count = BATCH + 7
    async with bus.log(Service.GATEKEEPER) as log:
        head = 0
        for number in range(count):
            fact = TimerDue(run="r1", timer=f"t{number}", at=number)
            head = await log.append(fact, cause="c", fence=Fence("run.r1.>", head))
        history = await log.read(run_filter("r1"))
        assert [r.fact.at for r in history.facts if isinstance(r.fact, TimerDue)] == list(range(count))
        assert history.head == head == await log.head(run_filter("r1"))
        assert (await log.read(run_filter("r2"))).head == 0


async def test_what_cannot_be_read_stands_in_the_history_beside_the_facts(bus: Bus) -> None:
    async with bus.client(Service.BUILDER) as client, bus.log(Service.BUILDER) as log:
        await log.append(_claim(), cause="a", fence=ANY)
        headers = {
            "ce-specversion": "1.0",
            "ce-id": "1",
            "ce-type": "rung.run.phase.completed",
            "ce-source": "/rung/builder",
            "ce-dataschema": "urn:rung:run.phase.completed:99",
        }
        await client.request("run.r1.phase.completed.build.1", b"{}", headers=headers)
        history = await log.read(run_filter("r1"))
    assert len(history.facts) == 1
    assert [type(unread.reason) for unread in history.unread] == [Newer]
    assert history.head == history.unread[0].sequence


async def test_a_fact_of_another_service_is_not_taken(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_module, "ANSWER_S", 0.5)
    async with bus.client(Service.BUILDER) as client:
        log = Log(client, api="api", producer=Service.BUILDER)
        with pytest.raises(LogUnavailable):
            await log.append(RunAborted(run="r1", phase=Phase.PLAN, attempt=1, reason="x"), cause="c", fence=ANY)
        assert (await log.read("run.>")).head == 0


async def test_a_ladder_has_a_fence_of_its_own(bus: Bus) -> None:
    async with bus.log(Service.GATEKEEPER) as log:
        fact = FreezeSet(workflow="w", by="me", reason="r")
        await log.append(
            RunEscalated(run="w", phase=Phase.PLAN, attempt=1, reason=""), cause="a", fence=Fence("run.w.>", 0)
        )
        assert await log.append(fact, cause="b", fence=Fence("workflow.w.>", 0)) == 2


@pytest.mark.parametrize(
    ("pattern", "subject", "is_match"),
    [
        ("run.r.>", "run.r.phase.claimed.build.1", True),
        ("run.r.>", "run.r", False),
        ("run.*.phase.*.build.1", "run.r.phase.claimed.build.1", True),
        ("run.*.phase.*.build.1", "run.r.phase.claimed.build.2", False),
        ("run.r.run.started", "run.r.run.started", True),
        ("run.r", "run.r.run.started", False),
    ],
)
def test_patterns_match_as_the_server_matches_them(pattern: str, subject: str, is_match: bool) -> None:
    assert matches(pattern, subject) is is_match


@pytest.mark.parametrize("data", [b"", b"short", bytes(range(256)) * 2000])
async def test_artifacts_come_back_by_digest_and_are_stored_once(bus: Bus, data: bytes) -> None:
    async with bus.artifacts(Service.PLANNER) as artifacts, bus.artifacts("operator") as reader:
        digest = await artifacts.put(data)
        assert digest == hashlib.sha256(data).hexdigest() == await artifacts.put(data)
        assert await reader.get(digest) == data
    async with bus.client("provisioner") as client:
        info = await client.jetstream().stream_info("OBJ_artifacts", subjects_filter="$O.artifacts.M.>")
        assert list((info.state.subjects or {}).values()) == [1]


async def test_a_missing_or_altered_artifact_is_told_apart(bus: Bus) -> None:
    async with bus.artifacts(Service.PLANNER) as artifacts, bus.client(Service.PLANNER) as client:
        with pytest.raises(ArtifactMissing):
            await artifacts.get("0" * 64)
        digest = hashlib.sha256(b"true").hexdigest()
        await client.request("$O.artifacts.C.forged", b"false")
        entry = json.dumps({"name": digest, "nuid": "forged", "chunks": 1}).encode()
        from libs.runtime.artifacts import _entry_subject

        await client.request(_entry_subject(digest), entry)
        with pytest.raises(ArtifactDamaged):
            await artifacts.get(digest)


async def test_a_timer_fires_once_at_its_moment_and_one_in_the_past_at_once(bus: Bus) -> None:
    async with bus.client(Service.GATEKEEPER) as client:
        due = await client.jetstream(prefix="api").pull_subscribe_bind("gatekeeper", "TIMERS")
        moment = time.time() + 0.3
        await schedule(client, "r1", "watch", moment + 3600)
        await schedule(client, "r1", "watch", moment)
        await schedule(client, "r2", "watch", moment - 3600)
        messages = [(await due.fetch(1, timeout=5))[0] for _ in range(2)]
        assert [message.subject for message in messages] == ["timers.due.r2.watch", "timers.due.r1.watch"]
        assert messages[1].metadata.timestamp.timestamp() >= moment
