"""The projection and its replay: rows made from whole histories, on a real file and from a real log."""

import logging
import os
import sqlite3
import stat
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.dialects import postgresql

from libs.contracts.facts import ChangeReverted, Fact, RollbackOrdered, RunFact, speaker_of
from libs.contracts.history import Fence, History, Unread
from libs.contracts.requests import fact_id, run_id
from libs.contracts.subjects import run_filter
from libs.contracts.wire import Newer, encode_fact
from libs.contracts.words import DecisionKind, Level, Phase, RunOutcome, Service
from libs.runtime.log import Log
from services.gatekeeper import projection as module
from services.gatekeeper.database import DatabaseUnusable
from services.gatekeeper.projection import Ambiguous, NotFound, Projection, RunRow, TrackRecord, dump
from services.gatekeeper.readiness.scorecard import Result
from services.gatekeeper.replay import replay, row_of, rows_of
from tests.spec.decider import Given, given, record
from tests.spec.story import (
    BAD,
    GOOD,
    INTEGRATION,
    ISSUE,
    ROUTE,
    RUN,
    WORKFLOW,
    adopted,
    completed,
    decided,
    granted,
    merged,
    opened,
    started,
    watch_ended,
    watch_started,
)
from tests.support.bus import Bus

OTHER = run_id(ISSUE, 2)


def history(*facts: Fact) -> History:
    return History(tuple(r for r in record(facts) if isinstance(r.fact, RunFact)))


def row(*facts: Fact) -> RunRow:
    made = row_of(history(*facts), {})
    assert made is not None
    return made


def begun(level: Level = Level.ASSISTED) -> Given:
    return given(adopted(), *granted(level), started(level=level)).settled()


def through(*, automatic: bool = False) -> Given:
    """A run at the lowest level that was merged, each phase approved."""
    log = begun()
    for phase in ROUTE:
        log = log.then(completed(phase)).settled()
        approval = decided(DecisionKind.APPROVE, phase, decision=f"d-{phase}", automatic=automatic)
        log = log.then(approval).settled()
    return log.then(merged())


def ended(*, automatic: bool = False) -> Given:
    return through(automatic=automatic).then(watch_started(), watch_ended()).settled()


def of_run(run: str, *facts: Fact) -> list[Fact]:
    """The same story told of another run."""
    return [fact.model_copy(update={"run": run}) if isinstance(fact, RunFact) else fact for fact in facts]


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'état' / 'projection.sqlite'}"


@pytest.fixture
def projection(url: str) -> Iterator[Projection]:
    projection = Projection(url)
    yield projection
    projection.close()


# -- rows ---------------------------------------------------------------------


def test_a_run_that_has_not_begun_has_no_row() -> None:
    assert row_of(History(), {}) is None
    assert row_of(History(record([opened(), adopted()])), {}) is None


def test_a_row_tells_where_the_run_is() -> None:
    log = begun().then(completed(Phase.PLAN)).settled()
    made = row(*log.facts)
    assert (made.run, made.workflow, made.issue, made.repository) == (RUN, WORKFLOW, ISSUE, "/srv/shop")
    assert (made.outcome, made.stage, made.level, made.level_in_force) == ("waiting", "waiting", "assisted", "assisted")
    assert (made.sequence, made.is_settled, made.card.counts) == (len(log.facts), False, True)
    assert made.view.run == RUN


def test_attempts_after_the_first_of_any_phase_are_healing_attempts() -> None:
    log = begun(Level.SUPERVISED).then(completed(Phase.PLAN, evidence=BAD[Phase.PLAN])).settled()
    log = log.then(completed(Phase.PLAN, 2)).settled()
    assert row(*log.facts).card.healing_attempts == 1


def test_a_merged_run_is_successful_once_its_watch_has_ended_and_while_nothing_is_rolled_back() -> None:
    assert row(*through().facts).card.result is Result.OPEN
    assert row(*through().then(watch_started()).facts).card.result is Result.OPEN
    log = ended()
    assert row(*log.facts).card.result is Result.SUCCESSFUL
    ordered = RollbackOrdered(run=RUN, reason="errors rose", by="machine")
    reverted = ChangeReverted(run=RUN, tip="f" * 40, reverts=INTEGRATION, reason="errors rose")
    assert row(*log.then(ordered).facts).card.result is Result.FAILED
    assert row(*log.then(reverted).facts).card.result is Result.FAILED


def test_a_program_s_decisions_are_none_and_make_the_run_count_for_no_rung() -> None:
    by_people, by_program = row(*ended().facts).card, row(*ended(automatic=True).facts).card
    assert (by_people.decisions, by_people.counts) == (6, True)
    assert (by_program.decisions, by_program.counts) == (0, False)


def test_a_run_that_no_gate_has_judged_counts_for_no_rung() -> None:
    cancelled = begun().then(decided(DecisionKind.CANCEL, Phase.PLAN)).settled()
    assert row(*cancelled.facts).outcome == RunOutcome.CANCELLED
    assert row(*cancelled.facts).card.result is Result.UNCOUNTED


def test_overrides_are_counted() -> None:
    log = begun().then(completed(Phase.PLAN, evidence=BAD[Phase.PLAN])).settled()
    override = decided(DecisionKind.OVERRIDE, Phase.PLAN, is_override=True)
    assert row(*log.then(override).facts).card.overrides == 1


def test_a_message_that_cannot_be_read_shows_in_the_row() -> None:
    facts = history(*begun().facts).facts
    made = row_of(History(facts, (Unread(f"run.{RUN}.moon.landed", 99, Newer("a fact of the future")),)), {})
    assert made is not None
    assert (made.sequence, made.view.unread_count) == (99, 1)
    assert any("cannot be read by this build" in sentence for sentence in made.view.sentences)


def test_runs_in_a_log_are_told_apart_and_one_whose_beginning_is_missing_is_said(
    caplog: pytest.LogCaptureFixture,
) -> None:
    facts = [*begun().facts, opened(), *of_run(OTHER, *ended().facts)]
    lost = (Unread("run.lost.run.started", 500, Newer("x")), Unread("workflow.w.x.y", 501, Newer("x")))
    with caplog.at_level(logging.WARNING, "rung"):
        rows = rows_of(History(record(facts), lost))
    assert {made.run: made.outcome for made in rows} == {RUN: "working", OTHER: "merged"}
    assert [record.message for record in caplog.records if "lost" in record.message]


# -- the database -------------------------------------------------------------


def test_rows_come_back_as_they_were_put(projection: Projection) -> None:
    rows = [row(*begun().facts), row(*of_run(OTHER, *ended().facts))]
    projection.put_runs(rows, position=40)
    assert projection.position() == 40
    assert {stored.run: stored for stored in projection.runs(10)} == {made.run: made.view for made in rows}
    assert sorted(projection.cards(WORKFLOW)) == sorted(made.card for made in rows)
    assert projection.dump() == dump(rows) == dump(reversed(rows))


def test_an_older_row_and_an_older_position_change_nothing(projection: Projection) -> None:
    older, newer = row(*begun().facts), row(*ended().facts)
    projection.put_runs([newer], position=9)
    projection.put_runs([older], position=3)
    assert (projection.runs(1), projection.position()) == ([newer.view], 9)
    projection.put_runs([newer], position=9)
    assert (projection.runs(1), projection.position()) == ([newer.view], 9)


def test_rows_put_in_any_order_end_the_same(projection: Projection) -> None:
    facts = ended().facts
    first = next(n for n, fact in enumerate(facts) if fact.type == "run.started") + 1
    rows = [row(*facts[:count]) for count in range(first, len(facts) + 1)]
    shuffled = sorted(rows, key=lambda made: made.sequence * 7 % 11)
    assert shuffled != rows
    for made in shuffled:
        projection.put_runs([made], position=made.sequence)
    assert projection.dump() == dump([row(*facts)])


def test_rows_and_position_move_together_or_not_at_all(projection: Projection) -> None:
    too_large = 2**63
    with pytest.raises(OverflowError):
        projection.put_runs([row(*begun().facts)], position=too_large)
    assert (projection.runs(9), projection.position()) == ([], 0)


def test_a_position_moves_without_rows(projection: Projection) -> None:
    projection.put_runs([], position=4)
    assert projection.position() == 4


def test_a_rebuild_leaves_nothing_else_and_may_set_the_position_back(projection: Projection) -> None:
    projection.put_runs([row(*ended().facts)], position=900)
    fresh = row(*of_run(OTHER, *begun().facts))
    projection.rebuild([fresh], position=5)
    assert (projection.runs(9), projection.position()) == ([fresh.view], 5)


def test_runs_are_listed_newest_first_by_repository_and_no_more_than_asked(projection: Projection) -> None:
    rows = [
        _like(run="r-old", started_at=1.0),
        _like(run="r-new", started_at=3.0),
        _like(run="r-else", started_at=2.0, repository="/srv/else"),
    ]
    projection.put_runs(rows, position=1)
    assert [stored.run for stored in projection.runs(10)] == ["r-new", "r-else", "r-old"]
    assert [stored.run for stored in projection.runs(1)] == ["r-new"]
    assert [stored.run for stored in projection.runs(10, "/srv/shop")] == ["r-new", "r-old"]
    assert projection.runs(10, "/srv") == projection.runs(-1) == []
    assert [stored.run for stored in projection.runs(10, offset=1)] == ["r-else", "r-old"]


def test_an_old_run_of_a_state_is_found_whatever_many_newer_runs_of_other_states_there_are(
    projection: Projection,
) -> None:
    newer = [_like(run=f"r-{number}", outcome="merged", started_at=9.0 + number) for number in range(5)]
    projection.put_runs([*newer, _like(run="r-old", outcome="waiting", started_at=1.0)], position=1)
    assert [stored.run for stored in projection.runs(1, outcome="waiting")] == ["r-old"]
    assert projection.runs(9, "/srv/else", "waiting") == projection.runs(9, outcome="aborted") == []


def test_oldest_first_is_by_how_long_a_run_has_been_where_it_is(projection: Projection) -> None:
    rows = [
        _like(run="r-a", started_at=1.0, moved_at=8.0),
        _like(run="r-b", started_at=3.0, moved_at=4.0),
        _like(run="r-c", started_at=2.0, moved_at=6.0),
    ]
    projection.put_runs(rows, position=1)
    assert [stored.run for stored in projection.runs(2, is_oldest_first=True)] == ["r-b", "r-c"]


def _like(**more: object) -> RunRow:
    made = row(*begun().facts)
    view = made.view.model_copy(
        update={name: said for name, said in more.items() if name in type(made.view).model_fields}
    )
    card = made.card._replace(run=str(more.get("run", made.run)))
    fields: dict[str, Any] = {**vars(made), "view": view, "card": card, **more}
    return RunRow(**fields)


def test_a_run_is_found_by_the_beginning_of_its_name(projection: Projection) -> None:
    projection.put_runs([_like(run=name) for name in ("ab", "ab1", "abc2", "b%_")], position=1)
    assert projection.run_by_prefix("abc").run == "abc2"
    assert projection.run_by_prefix("ab").run == "ab"
    assert projection.run_by_prefix("b%_").run == "b%_"
    with pytest.raises(Ambiguous, match="a may be any of ab, ab1, abc2; give more of the name"):
        projection.run_by_prefix("a")


@pytest.mark.parametrize("prefix", ["", "x", "%", "_", "a'; drop table rung_runs --"])
def test_a_name_that_no_run_has_is_not_found(projection: Projection, prefix: str) -> None:
    projection.put_runs([_like(run="ab")], position=1)
    with pytest.raises(NotFound) as said:
        projection.run_by_prefix(prefix)
    assert said.value.code == "not_found"
    assert projection.runs(9)


def test_many_candidates_are_not_all_named(projection: Projection) -> None:
    projection.put_runs([_like(run=f"a{n}") for n in range(9)], position=1)
    with pytest.raises(Ambiguous, match="a0, a1, a2, a3, a4 and others; give more of the name"):
        projection.run_by_prefix("a")


def test_unsettled_runs_are_those_about_which_something_may_be_owed(projection: Projection) -> None:
    projection.put_runs([row(*ended().facts), row(*of_run(OTHER, *begun().facts))], position=1)
    assert projection.unsettled_runs() == [OTHER]


def test_the_record_of_an_agent_is_its_labelled_runs_here_and_what_the_workflow_went_through(
    projection: Projection,
) -> None:
    def put(run: str, workflow: str = WORKFLOW, **card: object) -> None:
        made = _like(run=run, workflow=workflow)
        projection.put_runs([replace(made, card=made.card._replace(run=run, **card))], position=1)  # type: ignore[arg-type]

    put("a", agent="one", right=3, ended=1)
    put("b", agent="one", wrong=1, ended=2)
    put("c", agent="one", right=1)
    put("d", agent="two", right=2, ended=3)
    put("e", "w2", agent="one", right=2, is_drilled=True, merged=1, ended=9, has_signal=True)
    assert projection.record_of(WORKFLOW, "one") == TrackRecord(2, has_live_signal=False, has_drilled=False)
    put("f", agent="two", merged=3, ended=8, has_signal=True, is_drilled=True)
    assert projection.record_of(WORKFLOW, "two") == TrackRecord(1, has_live_signal=True, has_drilled=True)
    put("g", agent="two", merged=9, ended=12)
    assert projection.record_of(WORKFLOW, "two") == TrackRecord(1, has_live_signal=False, has_drilled=True)
    assert projection.workflows() == [*sorted((WORKFLOW, "w2"))]


def test_the_file_and_its_directory_are_the_owner_s_alone_and_outlive_the_process(url: str, tmp_path: Path) -> None:
    first = Projection(url)
    first.put_runs([row(*begun().facts)], position=7)
    first.close()
    again = Projection(url)
    assert (again.position(), len(again.runs(9))) == (7, 1)
    again.close()
    file = tmp_path / "état" / "projection.sqlite"
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (file.parent, file)]
    assert modes == [0o700, 0o600]


def test_two_processes_may_have_the_file_open(url: str, projection: Projection) -> None:
    second = Projection(url)
    rows = [row(*begun().facts), row(*of_run(OTHER, *begun().facts))]
    second.put_runs(rows[:1], position=3)
    projection.put_runs(rows[1:], position=4)
    assert second.dump() == projection.dump() == dump(rows)
    assert second.position() == 4
    second.close()


def _file(url: str) -> Path:
    return Path(url.removeprefix("sqlite:///"))


def _filled(url: str) -> None:
    projection = Projection(url)
    projection.put_runs([_like(run=f"run-{n}") for n in range(40)], position=7)
    projection.close()


def _overwrite(url: str) -> None:
    _file(url).write_bytes(b"this is not a database, but it is long enough to be taken for one" * 40)


def _overwrite_inside(url: str) -> None:
    content = bytearray(_file(url).read_bytes())
    content[4096:-4096] = os.urandom(len(content) - 8192)
    _file(url).write_bytes(content)


def _cut(url: str) -> None:
    _file(url).write_bytes(_file(url).read_bytes()[:5000])


@pytest.mark.parametrize("damage", [_overwrite, _overwrite_inside, _cut])
def test_a_damaged_file_is_set_aside_and_begun_again_and_that_is_said(
    url: str, damage: object, caplog: pytest.LogCaptureFixture
) -> None:
    assert callable(damage)
    _filled(url)
    damage(url)
    damaged = _file(url).read_bytes()
    with caplog.at_level(logging.WARNING, "rung"):
        projection = Projection(url)
    assert (projection.position(), projection.runs(9)) == (0, [])
    projection.close()
    assert _file(url).with_name("projection.sqlite.damaged").read_bytes() == damaged
    assert "is damaged" in caplog.text


def test_tables_of_another_version_are_begun_again_and_that_is_said(
    url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    _filled(url)
    monkeypatch.setattr(module, "_SCHEMA", module._SCHEMA._replace(version=module.SCHEMA + 1))
    with caplog.at_level(logging.WARNING, "rung"):
        projection = Projection(url)
    assert (projection.position(), projection.runs(9)) == (0, [])
    assert "another version" in caplog.text
    projection.close()
    monkeypatch.undo()


def test_tables_of_another_shape_are_begun_again_and_those_of_others_are_left_alone(url: str) -> None:
    _file(url).parent.mkdir()
    with sqlite3.connect(_file(url)) as connection:
        connection.executescript(
            "create table rung_runs (run text); create table runs (own integer); insert into runs values (1);"
        )
    connection.close()
    projection = Projection(url)
    projection.put_runs([row(*begun().facts)], position=1)
    projection.close()
    with sqlite3.connect(_file(url)) as connection:
        assert connection.execute("select own from runs").fetchall() == [(1,)]
    connection.close()


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("sqlite://", "a database in memory is not shared"),
        ("not a url", "named by the URL cannot be used"),
        ("mysql+pymysql://u:secret@h/d", "mysql is not supported"),
        ("sqlite:////proc/nowhere/x.sqlite", "cannot be used"),
        ("postgresql+nodriver://u:secret@h/d", "cannot be used"),
    ],
)
def test_a_database_that_cannot_be_used_is_one_sentence_without_the_password(url: str, sentence: str) -> None:
    with pytest.raises(DatabaseUnusable) as said:
        Projection(url)
    assert sentence in str(said.value)
    assert "secret" not in str(said.value)
    assert "\n" not in str(said.value)


def test_a_directory_in_the_file_s_place_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(DatabaseUnusable, match="cannot be used"):
        Projection(f"sqlite:///{tmp_path}")


def test_the_upsert_can_be_said_to_postgresql() -> None:
    dialect = postgresql.base.PGDialect()  # type: ignore[no-untyped-call]
    said = [
        str(module._upsert(table, dialect.name).compile(dialect=dialect)) for table in (module._RUNS, module._POSITION)
    ]
    assert said[1].endswith(
        "ON CONFLICT (name) DO UPDATE SET sequence = excluded.sequence "
        "WHERE rung_position.sequence <= excluded.sequence"
    )
    assert said[0].endswith("WHERE rung_runs.sequence <= excluded.sequence")


# -- replay -------------------------------------------------------------------


async def state(bus: Bus, *facts: Fact) -> None:
    """Put facts into the log, each by its speaker."""
    for fact in facts:
        async with bus.log(speaker_of(fact)) as log:
            await log.append(fact, cause="test", fence=Fence(fact.subject, await log.head(fact.subject)))


async def take_in(log: Log, projection: Projection, *runs: str) -> None:
    """What the gatekeeper does with each fact: read the run's history, put its row."""
    rows = [made for run in runs if (made := row_of(await log.read(run_filter(run)), {}))]
    projection.put_runs(rows, position=await log.head(">"))


STORY = begun(Level.ASSISTED).then(completed(Phase.PLAN, evidence=GOOD[Phase.PLAN])).settled().facts


async def test_a_replay_makes_the_same_as_the_live_projection(bus: Bus, projection: Projection) -> None:
    await state(bus, opened(), *STORY, *of_run(OTHER, started()))
    async with bus.log(Service.GATEKEEPER) as log:
        await take_in(log, projection, RUN, OTHER)
        live = projection.dump()
        done = await replay(log, projection)
        assert (done.facts, done.runs, done.was_same) == (len(STORY) + 2, 2, True)
        assert projection.dump() == live
        assert projection.position() == await log.head(">")


async def test_a_live_projection_that_is_behind_is_compared_as_of_its_position(
    bus: Bus, projection: Projection
) -> None:
    await state(bus, *STORY[:5])
    async with bus.log(Service.GATEKEEPER) as log:
        await take_in(log, projection, RUN)
        await state(bus, *STORY[5:], *of_run(OTHER, started()))
        done = await replay(log, projection)
        assert (done.runs, done.was_same) == (2, True)
        assert projection.position() == await log.head(">")


@pytest.mark.parametrize("lie", ["changed", "added", "missing", "behind", "unreadable"])
async def test_a_live_projection_that_differs_is_noticed_and_made_right(
    bus: Bus, projection: Projection, url: str, lie: str
) -> None:
    await state(bus, *STORY)
    async with bus.log(Service.GATEKEEPER) as log:
        await take_in(log, projection, RUN)
        right = projection.dump()
        _tell(lie, url)
        assert not (await replay(log, projection)).was_same
        assert projection.dump() == right
        assert (await replay(log, projection)).was_same


def _tell(lie: str, url: str) -> None:
    statement = {
        "changed": "update rung_scorecards set decisions = 99",
        "added": "insert into rung_runs select 'x', workflow, repository, issue, title, outcome, stage, level, "
        "level_in_force, started_at, moved_at, 10000, is_settled, view from rung_runs",
        "missing": "delete from rung_runs",
        "behind": "update rung_runs set sequence = 5, stage = 'working'",
        "unreadable": "update rung_runs set view = 'no JSON'",
    }[lie]
    with sqlite3.connect(_file(url)) as connection:
        connection.execute(statement)
    connection.close()


class Busy(Log):
    """A log in which something happens as soon as it has been read whole once."""

    def __init__(self, log: Log, happens: object) -> None:
        super().__init__(log._client, api=log._api, producer=log.producer)
        self._happens = happens

    async def read(self, *filters: str, after: int = 0) -> History:
        found = await super().read(*filters, after=after)
        happens, self._happens = self._happens, None
        if callable(happens):
            await happens()
        return found


async def test_a_row_put_while_the_replay_runs_is_not_set_back(bus: Bus, projection: Projection) -> None:
    await state(bus, *STORY[:5])
    async with bus.log(Service.GATEKEEPER) as log:

        async def happens() -> None:
            await state(bus, *STORY[5:])
            await take_in(log, projection, RUN)

        await replay(Busy(log, happens), projection)
        assert projection.dump() == dump(rows_of(await log.read(">")))
        assert projection.position() == await log.head(">")


async def test_a_fact_of_a_newer_build_shows_after_a_replay(bus: Bus, projection: Projection) -> None:
    await state(bus, *STORY)
    fact = decided(DecisionKind.APPROVE, Phase.PLAN)
    headers, data = encode_fact(fact, fact_id=fact_id("c", fact.subject), cause="c", producer=Service.GATEKEEPER)
    headers["ce-dataschema"] = headers["ce-dataschema"][:-1] + "9"
    async with bus.client(Service.GATEKEEPER) as client, bus.log(Service.GATEKEEPER) as log:
        await client.request(fact.subject, data, headers=headers, timeout=5)
        await replay(log, projection)
        assert projection.run_by_prefix(RUN).unread_count == 1
        assert projection.position() == await log.head(">")
