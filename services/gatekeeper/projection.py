"""The projection: runs as SQL rows, for lists and counts; all SQL of the gatekeeper is here.

The log is the truth and this is a view of it that may be thrown away at any moment. A row is made
from the whole history of its run, so it does not matter in which order rows are put: one made from
an older history never replaces one made from a newer. The position, the last fact that was taken
in, moves in the same transaction as the rows. How the database is opened is told in `database.py`.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Double,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    delete,
    func,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite

from libs.contracts.views import RunView, State
from services.gatekeeper.database import open_database, stamped

SCHEMA: Final = 1
"""Version of the tables below; any change to them or to what a row means makes a new one."""

NAME: Final = "runs"
CANDIDATES_SHOWN: Final = 5

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
    Column("healing_attempts", Integer, nullable=False),
    Column("decisions", Integer, nullable=False),
    Column("overrides", Integer, nullable=False),
    Column("automatic_decisions", Integer, nullable=False),
    Column("is_successful", Boolean, nullable=False),
    Column("counts_for_rung", Boolean, nullable=False),
    Column("view", Text, nullable=False),
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
    """A run as of `sequence`, the last message of its history; times are the store's.

    `decisions` are people's, of which `overrides` contradicted a verdict; programs' decisions are
    counted apart. `counts_for_rung` is false while no gate has judged, and for ever once a program
    decided in somebody's name.
    """

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
    healing_attempts: int
    decisions: int
    overrides: int
    automatic_decisions: int
    is_successful: bool
    counts_for_rung: bool
    view: RunView


@dataclass(frozen=True)
class Counters:
    """First readiness figures of one workflow, over the runs that count for a rung."""

    runs: int
    successful_runs: int
    decisions: int
    overrides: int
    healing_attempts: int


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
    ) -> list[RunRow]:
        """The runs that began last, newest first; of one repository, or in one state, where given.

        Oldest first, those come that have been where they are for longest. `offset` are left out before them.
        """
        order = _RUNS.c.moved_at if is_oldest_first else _RUNS.c.started_at.desc()
        wanted = select(_RUNS).order_by(order, _RUNS.c.run).limit(max(limit, 0)).offset(max(offset, 0))
        if repository is not None:
            wanted = wanted.where(_RUNS.c.repository == repository)
        if outcome is not None:
            wanted = wanted.where(_RUNS.c.outcome == outcome)
        with self._engine.connect() as connection:
            return [_row(found) for found in connection.execute(wanted)]

    def run_by_prefix(self, prefix: str) -> RunRow:
        """The one run whose name is, or begins with, `prefix`.

        Raises:  NotFound, Ambiguous with a sentence.
        """
        if not prefix:
            raise NotFound("name a run by its id or the beginning of it")
        begins = _RUNS.c.run.startswith(prefix, autoescape=True)
        wanted = select(_RUNS).where(begins).order_by(_RUNS.c.run).limit(CANDIDATES_SHOWN + 1)
        with self._engine.connect() as connection:
            found = [_row(row) for row in connection.execute(wanted)]
        return _the_one(prefix, found)

    def unsettled_runs(self) -> list[str]:
        """Names of the runs about which something may still be owed."""
        wanted = select(_RUNS.c.run).where(~_RUNS.c.is_settled).order_by(_RUNS.c.run)
        with self._engine.connect() as connection:
            return list(connection.scalars(wanted))

    def counters(self, workflow: str) -> Counters:
        """Sums over the workflow's runs that count for a rung; all 0 for a workflow without any."""
        sums = (_RUNS.c.decisions, _RUNS.c.overrides, _RUNS.c.healing_attempts)
        wanted = select(
            func.count(),
            func.count().filter(_RUNS.c.is_successful),
            *(func.coalesce(func.sum(column), 0) for column in sums),
        ).where(_RUNS.c.workflow == workflow, _RUNS.c.counts_for_rung)
        with self._engine.connect() as connection:
            return Counters(*(int(figure) for figure in connection.execute(wanted).one()))

    def snapshot(self) -> Snapshot:
        """All that is stored, as it is stored: also rows that nothing here would have made."""
        with self._engine.connect() as connection:
            position = _position(connection)
            stored = [dict(row) for row in connection.execute(select(_RUNS)).mappings()]
        return Snapshot(position, {row["run"]: row["sequence"] for row in stored}, _canonical(stored))

    def dump(self) -> bytes:
        """All rows as canonical bytes, without the position."""
        return self.snapshot().dump


def dump(rows: Iterable[RunRow]) -> bytes:
    """Rows as bytes that are equal exactly when the rows are, in whatever order they come."""
    return _canonical(_values(row) for row in rows)


def _canonical(stored: Iterable[Mapping[str, Any]]) -> bytes:
    return "".join(sorted(json.dumps(row, sort_keys=True) + "\n" for row in stored)).encode()


def _the_one(prefix: str, found: list[RunRow]) -> RunRow:
    if not found:
        raise NotFound(f"there is no run {prefix}")
    if len(found) == 1 or found[0].run == prefix:
        return found[0]
    named = ", ".join(row.run for row in found[:CANDIDATES_SHOWN])
    more = " and others" if len(found) > CANDIDATES_SHOWN else ""
    raise Ambiguous(f"{prefix} may be any of {named}{more}; give more of the name")


def _values(row: RunRow) -> dict[str, Any]:
    fields = {name: value for name, value in vars(row).items() if name != "view"}
    return {**fields, "view": row.view.model_dump_json()}


def _row(found: Any) -> RunRow:
    values = dict(found._mapping)  # noqa: SLF001 - the public name of a row's mapping begins so
    return RunRow(**{**values, "view": RunView.model_validate_json(values["view"])})


def _put(connection: Connection, rows: Iterable[RunRow]) -> None:
    if values := [_values(row) for row in rows]:
        connection.execute(_upsert(_RUNS, connection.dialect.name), values)


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
