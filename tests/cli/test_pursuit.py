"""Following a run on a real bus, with a gatekeeper that says what the test wants."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from libs.cli.answers import Answers, Automatic, Nobody
from libs.cli.connection import Connection, connected_to
from libs.cli.ending import ExitCode
from libs.cli.following import Follower
from libs.cli.narrator import Narrator
from libs.cli.pursuit import Pursuit
from libs.cli.requesting import decide, errand
from libs.cli.screen import Screen
from libs.contracts.requests import DecisionRequest
from libs.contracts.views import RunView
from libs.contracts.words import DecisionKind, Phase, Service
from libs.runtime.rights import API
from tests.cli.stand_in import stand_in
from tests.cli.views import COMMIT, RUN, phase, view, waiting
from tests.support.bus import Bus, running_bus


@pytest.fixture
async def bus(tmp_path: Path) -> AsyncIterator[Bus]:
    async with running_bus(tmp_path / "data") as bus:
        yield bus


@pytest.fixture
async def connection(bus: Bus) -> AsyncIterator[Connection]:
    async with connected_to(bus.endpoint) as connection:
        yield connection


def pursuit(answers: Answers) -> Pursuit:
    return Pursuit(RUN, Narrator(Screen()), answers)


async def test_a_run_that_waits_for_a_human_is_left_waiting_when_nobody_answers(
    bus: Bus, connection: Connection
) -> None:
    async with stand_in(bus, waiting()) as gatekeeper:
        result = await pursuit(Nobody()).follow(connection)
    assert (result.outcome, result.code) == ("waiting", ExitCode.WAITING)
    assert result.reason == "a human decides after every phase"
    assert gatekeeper.decisions == []


async def test_a_passed_gate_is_approved_automatically_and_bound_to_what_was_seen(
    bus: Bus, connection: Connection
) -> None:
    async with stand_in(bus, waiting(), lambda _: view("merged", phases=(phase(),))) as gatekeeper:
        result = await pursuit(Automatic("ada")).follow(connection)
    [request] = gatekeeper.decisions
    assert (request.kind, request.by, request.automatic) == (DecisionKind.APPROVE, "ada", True)
    assert (request.phase, request.attempt, request.commit) == (Phase.PLAN, 1, COMMIT)
    assert request.reason == "automatic: the gate says pass"
    assert (result.outcome, result.code) == ("merged", ExitCode.OK)


@pytest.mark.parametrize("outcome", ["fail", "inconclusive", "no_data", "error"])
async def test_what_did_not_pass_is_rejected_automatically(bus: Bus, connection: Connection, outcome: str) -> None:
    async with stand_in(bus, waiting(outcome=outcome), lambda _: view("declined")) as gatekeeper:
        result = await pursuit(Automatic("ada")).follow(connection)
    assert [request.kind for request in gatekeeper.decisions] == [DecisionKind.REJECT]
    assert (result.outcome, result.code) == ("declined", ExitCode.FAILED)


async def test_a_checkpoint_that_comes_back_after_an_automatic_approval_is_left_to_a_human(
    bus: Bus, connection: Connection
) -> None:
    def refused(_: DecisionRequest) -> RunView:
        return waiting(phase=Phase.DEPLOY, reason="the working copy is dirty")

    async with stand_in(bus, waiting(phase=Phase.DEPLOY), refused) as gatekeeper:
        result = await pursuit(Automatic("ada")).follow(connection)
    assert len(gatekeeper.decisions) == 1
    assert (result.outcome, result.reason) == ("waiting", "the working copy is dirty")


async def test_an_automatic_decision_that_is_refused_leaves_the_run_waiting_with_the_sentence(
    bus: Bus, connection: Connection
) -> None:
    async with stand_in(bus, waiting()) as gatekeeper:
        gatekeeper.refusal = "there is no change to go on with"
        result = await pursuit(Automatic("ada")).follow(connection)
    assert (result.outcome, result.reason) == ("waiting", "there is no change to go on with")


async def test_what_happened_while_the_view_was_asked_for_is_told_with_it(bus: Bus, connection: Connection) -> None:
    async with stand_in(bus, waiting(), lambda _: waiting()) as gatekeeper:

        async def move_on() -> None:
            gatekeeper.before_answer = None
            await decide(connection, RUN, DecisionKind.RETRY, by="ada")

        gatekeeper.before_answer = move_on
        moment = await Follower(connection, RUN).look()
    assert moment.view is not None
    assert [recorded.sequence for recorded in moment.news] == [moment.view.sequence]


async def test_over_a_second_connection_nothing_is_told_twice(
    bus: Bus, connection: Connection, capsys: pytest.CaptureFixture[str]
) -> None:
    async with stand_in(bus, waiting()):
        await decide(connection, RUN, DecisionKind.RETRY, by="ada")
        run = pursuit(Nobody())
        await run.follow(connection)
        async with connected_to(bus.endpoint) as second:
            assert (await run.follow(second)).outcome == "waiting"
    assert capsys.readouterr().err.count("retry by ada") == 1


async def test_a_cancelled_run_is_reported_as_aborted(bus: Bus, connection: Connection) -> None:
    async with stand_in(bus, view("cancelled")):
        result = await pursuit(Nobody()).follow(connection)
    assert (result.outcome, result.code) == ("aborted", ExitCode.FAILED)


async def test_an_onlooker_waits_on_at_checkpoints_until_the_run_ends(bus: Bus, connection: Connection) -> None:
    async with stand_in(bus, waiting(), lambda _: view("merged")):
        onlooker = Pursuit(RUN, Narrator(Screen()), Nobody(), stays=True)
        looking = asyncio.create_task(onlooker.follow(connection))
        await decide(connection, RUN, DecisionKind.APPROVE, by="ada")
        assert (await looking).outcome == "merged"


async def test_an_answer_names_the_place_in_the_log_or_the_sentence(bus: Bus, connection: Connection) -> None:
    async with stand_in(bus, waiting()) as gatekeeper:
        recorded = await decide(connection, RUN, DecisionKind.APPROVE, by="ada", reason="read it")
        gatekeeper.refusal = "the gate says fail; say override"
        refused = await decide(connection, RUN, DecisionKind.APPROVE, by="ada")
    assert not recorded.is_refused
    assert recorded.sequence > 0
    assert (refused.is_refused, refused.message) == (True, "the gate says fail; say override")


async def test_an_issue_that_is_set_aside_is_declined_with_the_planners_sentence(
    bus: Bus, connection: Connection, tmp_path: Path
) -> None:
    work = errand(repository=str(tmp_path), title="Ten pieces get no discount")
    async with bus.client(Service.PLANNER) as planner:
        requests = await planner.jetstream(prefix=API).pull_subscribe_bind("planner", "INTAKE")
        following = asyncio.create_task(Pursuit(work.run, Narrator(Screen()), Nobody(), work).follow(connection))
        [message] = await requests.fetch(1, timeout=30)
        headers = {**(message.headers or {}), "Rung-Reason": "body: too long"}
        await planner.request("aside.planner.intake", message.data, headers=headers)
        result = await following
    assert message.subject == "intake.issue.cli"
    assert (result.outcome, result.reason, result.code) == ("declined", "body: too long", ExitCode.FAILED)
    assert result.as_json()["phases"] == []
