"""The projection: runs as SQL rows, for lists and counts; all SQL of the gatekeeper is here.

The log is the truth and this is a view of it that may be thrown away at any moment. A row is made
from the whole history of its run, so it does not matter in which order rows are put: one made from
an older history never replaces one made from a newer. The position, the last fact that was taken
in, moves in the same transaction as the rows. How the database is opened is told in `database.py`.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, get_type_hints

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Double,
    Index,
    MetaData,
    String,
    Table,
    Text,
    delete,
    func,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite

from libs.contracts.readiness import Readiness
from libs.contracts.views import RunView, State
from libs.contracts.words import Level
from services.gatekeeper.database import open_database, stamped
from services.gatekeeper.readiness.scorecard import Result, Scorecard

SCHEMA: Final = 2
"""Version of the tables below; any change to them or to what a row means makes a new one."""

NAME: Final = "runs"
CANDIDATES_SHOWN: Final = 5

_KINDS: Final[Mapping[Any, Any]] = {int: BigInteger, bool: Boolean, str: Text}
_NAMES: Final = ("run", "agent")
"""Columns with an index, whose text is bounded."""


def _columns_of(card: type[Scorecard]) -> Iterator[tuple[str, Any]]:
    """A column for each field of a scorecard; words are kept as text."""
    for name, kind in get_type_hints(card).items():
        yield name, String(64) if name in _NAMES else _KINDS.get(kind, Text)()


_METADATA: Final = MetaData()
_RUNS: Final = Table(
    "rung_runs",
    _METADATA,
    Column("run", String(64), primary_key=True),
    Column("workflow", String(64), nullable=False, index=True),
    Column("repository", Text, nullable=False),
    Column("issue", String(64), nullable=False),
    Column("title", Text, nullable=False),
    Column("outcome", String(32), nullable=False),
    Column("stage", String(32), nullable=False),
    Column("level", String(32), nullable=False),
    Column("level_in_force", String(32)),
    Column("started_at", Double, nullable=False),
    Column("moved_at", Double, nullable=False),
    Column("sequence", BigInteger, nullable=False),
    Column("is_settled", Boolean, nullable=False, index=True),
    Column("view", Text, nullable=False),
)
_CARDS: Final = Table(
    "rung_scorecards",
    _METADATA,
    Column("workflow", String(64), primary_key=True),
    *(Column(name, kind, primary_key=name == "run", nullable=name == "level") for name, kind in _columns_of(Scorecard)),
    Column("sequence", BigInteger, nullable=False),
    Index("rung_scorecards_by_agent", "workflow", "agent"),
    Index("rung_scorecards_by_end", "workflow", "ended"),
)
_CARD_COLUMNS: Final = tuple(_CARDS.c[name] for name in Scorecard._fields)
_READINESS: Final = Table(
    "rung_readiness",
    _METADATA,
    Column("workflow", String(64), primary_key=True),
    Column("sequence", BigInteger, nullable=False),
    Column("answer", Text, nullable=False),
)
_POSITION: Final = Table(
    "rung_position",
    _METADATA,
    Column("name", String(32), primary_key=True),
    Column("sequence", BigInteger, nullable=False),
)
_SCHEMA: Final = stamped(_METADATA, "rung_schema", SCHEMA)


class NotFound(LookupError):
    """No run's name begins so."""

    code = "not_found"


class Ambiguous(LookupError):
    """Several runs' names begin so."""

    code = "ambiguous"


@dataclass(frozen=True)
class RunRow:
    """A run as of `sequence`, the last message about it; times are the store's."""

    run: str
    workflow: str
    repository: str
    issue: str
    title: str
    outcome: str
    stage: str
    level: str
    level_in_force: str | None
    started_at: float
    moved_at: float
    sequence: int
    is_settled: bool
    view: RunView
    card: Scorecard


class TrackRecord(NamedTuple):
    """What the runs of a workflow say for the next one by the same agent.

    `has_live_signal` is about the last run that was merged and watched to the end.
    """

    labelled_runs: int
    has_live_signal: bool
    has_drilled: bool


class Snapshot(NamedTuple):
    """The position, and rows at least as new: the sequence of each, and all as canonical bytes."""

    position: int
    sequences: dict[str, int]
    dump: bytes


class Projection:
    """The rows in one database; calls are short and may come from any thread.

    Raises:  DatabaseUnusable when the URL, its driver or the server behind it is no good.
    """

    def __init__(self, url: str) -> None:
        self._engine = open_database(url, _SCHEMA)

    def close(self) -> None:
        self._engine.dispose()

    def put_runs(self, rows: Iterable[RunRow], *, position: int) -> None:
        """Rows and position in one transaction; neither ever goes back."""
        with self._engine.begin() as connection:
            _put(connection, rows)
            _move(connection, position)

    def rebuild(self, rows: Iterable[RunRow], *, position: int) -> None:
        """Nothing but these rows and this position, in one transaction."""
        with self._engine.begin() as connection:
            connection.execute(delete(_RUNS))
            connection.execute(delete(_CARDS))
            connection.execute(delete(_READINESS))
            connection.execute(delete(_POSITION))
            _put(connection, rows)
            _move(connection, position)

    def position(self) -> int:
        """Sequence of the last fact taken in, 0 for none."""
        with self._engine.connect() as connection:
            return _position(connection)

    def runs(
        self,
        limit: int,
        repository: str | None = None,
        outcome: State | None = None,
        *,
        is_oldest_first: bool = False,
        offset: int = 0,
    ) -> list[RunView]:
        """The runs that began last, newest first; of one repository, or in one state, where given.

        Oldest first, those come that have been where they are for longest. `offset` are left out before them.
        """
        order = _RUNS.c.moved_at if is_oldest_first else _RUNS.c.started_at.desc()
        wanted = select(_RUNS.c.view).order_by(order, _RUNS.c.run).limit(max(limit, 0)).offset(max(offset, 0))
        if repository is not None:
            wanted = wanted.where(_RUNS.c.repository == repository)
        if outcome is not None:
            wanted = wanted.where(_RUNS.c.outcome == outcome)
        with self._engine.connect() as connection:
            return [RunView.model_validate_json(found) for found in connection.scalars(wanted)]

    def run_by_prefix(self, prefix: str) -> RunView:
        """The one run whose name is, or begins with, `prefix`.

        Raises:  NotFound, Ambiguous with a sentence.
        """
        if not prefix:
            raise NotFound("name a run by its id or the beginning of it")
        begins = _RUNS.c.run.startswith(prefix, autoescape=True)
        wanted = select(_RUNS.c.view).where(begins).order_by(_RUNS.c.run).limit(CANDIDATES_SHOWN + 1)
        with self._engine.connect() as connection:
            found = [RunView.model_validate_json(view) for view in connection.scalars(wanted)]
        return _the_one(prefix, found)

    def put_readiness(self, found: Readiness, *, position: int) -> None:
        """Keep the readiness of a workflow, made of rows as of this position, unless one of a later is kept already.

        What it is as of says less: a run that is taken up again takes its end back.
        """
        values = {"workflow": found.workflow, "sequence": position, "answer": found.model_dump_json()}
        with self._engine.begin() as connection:
            connection.execute(_upsert(_READINESS, connection.dialect.name), values)

    def readiness(self, workflow: str) -> Readiness | None:
        """The readiness of a workflow as it was worked out last; `None` where it was not since the rows were made."""
        wanted = select(_READINESS.c.answer).where(_READINESS.c.workflow == workflow)
        with self._engine.connect() as connection:
            answer = connection.scalar(wanted)
        return Readiness.model_validate_json(answer) if answer is not None else None

    def workflows(self) -> list[str]:
        """Names of the workflows that have runs."""
        with self._engine.connect() as connection:
            return list(connection.scalars(select(_CARDS.c.workflow).distinct().order_by(_CARDS.c.workflow)))

    def has_ended(self, run: str) -> bool:
        """Whether a run had come to rest when its row was put last."""
        with self._engine.connect() as connection:
            return bool(connection.scalar(select(_CARDS.c.ended).where(_CARDS.c.run == run)))

    def unsettled_runs(self) -> list[str]:
        """Names of the runs about which something may still be owed."""
        wanted = select(_RUNS.c.run).where(~_RUNS.c.is_settled).order_by(_RUNS.c.run)
        with self._engine.connect() as connection:
            return list(connection.scalars(wanted))

    def cards(self, workflow: str) -> list[Scorecard]:
        """The scorecards of all runs of a workflow."""
        wanted = select(*_CARD_COLUMNS).where(_CARDS.c.workflow == workflow)
        with self._engine.connect() as connection:
            return [_card(tuple(found)) for found in connection.execute(wanted)]

    def record_of(self, workflow: str, agent: str) -> TrackRecord:
        """What the workflow's runs so far say for the next one, by this agent."""
        cards = _CARDS.c
        labelled = select(func.count()).where(
            cards.workflow == workflow, cards.agent == agent, cards.right + cards.wrong > 0, cards.ended > 0
        )
        drilled = select(func.count()).where(cards.workflow == workflow, cards.is_drilled)
        watched = (
            select(cards.has_signal)
            .where(cards.workflow == workflow, cards.merged > 0, cards.ended > 0)
            .order_by(cards.ended.desc())
            .limit(1)
        )
        with self._engine.connect() as connection:
            return TrackRecord(
                labelled_runs=connection.scalar(labelled) or 0,
                has_live_signal=bool(connection.scalar(watched)),
                has_drilled=bool(connection.scalar(drilled)),
            )

    def snapshot(self) -> Snapshot:
        """All that is stored, as it is stored: also rows that nothing here would have made."""
        with self._engine.connect() as connection:
            position = _position(connection)
            cards = {row["run"]: dict(row) for row in connection.execute(select(_CARDS)).mappings()}
            stored = [
                {**row, "card": cards.pop(row["run"], None)} for row in connection.execute(select(_RUNS)).mappings()
            ]
        orphans = [{"card": card} for card in cards.values()]
        return Snapshot(position, {row["run"]: row["sequence"] for row in stored}, _canonical([*stored, *orphans]))

    def dump(self) -> bytes:
        """All rows as canonical bytes, without the position."""
        return self.snapshot().dump


def dump(rows: Iterable[RunRow]) -> bytes:
    """Rows as bytes that are equal exactly when the rows are, in whatever order they come."""
    return _canonical({**_values(row), "card": _card_values(row)} for row in rows)


def _canonical(stored: Iterable[Mapping[str, Any]]) -> bytes:
    return "".join(sorted(json.dumps(row, sort_keys=True) + "\n" for row in stored)).encode()


def _the_one(prefix: str, found: list[RunView]) -> RunView:
    if not found:
        raise NotFound(f"there is no run {prefix}")
    if len(found) == 1 or found[0].run == prefix:
        return found[0]
    named = ", ".join(row.run for row in found[:CANDIDATES_SHOWN])
    more = " and others" if len(found) > CANDIDATES_SHOWN else ""
    raise Ambiguous(f"{prefix} may be any of {named}{more}; give more of the name")


def _values(row: RunRow) -> dict[str, Any]:
    fields = {name: value for name, value in vars(row).items() if name not in ("view", "card")}
    return {**fields, "view": row.view.model_dump_json()}


_LEVELS: Final[Mapping[str | None, Level | None]] = {None: None, **{str(level): level for level in Level}}
_RESULTS: Final = {str(result): result for result in Result}
_LEVEL_AT: Final = Scorecard._fields.index("level")
_RESULT_AT: Final = Scorecard._fields.index("result")


def _card(stored: Sequence[Any]) -> Scorecard:
    values = list(stored)
    values[_LEVEL_AT] = _LEVELS[values[_LEVEL_AT]]
    values[_RESULT_AT] = _RESULTS[values[_RESULT_AT]]
    return Scorecard._make(values)


def _card_values(row: RunRow) -> dict[str, Any]:
    return {"workflow": row.workflow, **row.card._asdict(), "sequence": row.sequence}


def _put(connection: Connection, rows: Iterable[RunRow]) -> None:
    if known := list(rows):
        connection.execute(_upsert(_RUNS, connection.dialect.name), [_values(row) for row in known])
        connection.execute(_upsert(_CARDS, connection.dialect.name), [_card_values(row) for row in known])


def _move(connection: Connection, position: int) -> None:
    connection.execute(_upsert(_POSITION, connection.dialect.name), {"name": NAME, "sequence": position})


def _position(connection: Connection) -> int:
    return connection.scalar(select(_POSITION.c.sequence).where(_POSITION.c.name == NAME)) or 0


def _upsert(table: Table, dialect: str) -> Any:
    """Insert or replace, but never by an older sequence; the two databases spell it alike."""
    statement = (postgresql.insert if dialect == "postgresql" else sqlite.insert)(table)
    keys = list(table.primary_key)
    fresh = {column.name: statement.excluded[column.name] for column in table.c if column not in keys}
    is_newer = table.c.sequence <= statement.excluded.sequence
    return statement.on_conflict_do_update(index_elements=keys, set_=fresh, where=is_newer)
