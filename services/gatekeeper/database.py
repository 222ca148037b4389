"""Opening the database of the projection: SQLite by file, PostgreSQL by URL.

The tables can be made again from the log at any time, so nothing here is repaired or migrated:
tables of another version or shape are dropped, a damaged file is set aside, and an empty
projection begins in their place, which is said in the log.
"""

import logging
import os
import sqlite3
from pathlib import Path
from typing import Final, NamedTuple

from sqlalchemy import (
    Column,
    Connection,
    Engine,
    Integer,
    MetaData,
    Table,
    create_engine,
    event,
    func,
    insert,
    inspect,
    select,
)
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import DatabaseError, SQLAlchemyError

BUSY_TIMEOUT_MS: Final = 10_000

logger = logging.getLogger("rung")


class DatabaseUnusable(Exception):
    """The database cannot be opened as it is named; the message is one sentence for a person."""


class _Damaged(Exception):
    """What the check of an SQLite file says."""


class Schema(NamedTuple):
    """The tables that are wanted and the version of their meaning, kept in the table `stamp`."""

    metadata: MetaData
    stamp: Table
    version: int

    @property
    def columns(self) -> dict[str, frozenset[str]]:
        return {table.name: frozenset(column.name for column in table.c) for table in self.metadata.tables.values()}


def stamped(metadata: MetaData, name: str, version: int) -> Schema:
    """The tables in `metadata` and beside them one that says which version they have."""
    stamp = Table(name, metadata, Column("version", Integer, primary_key=True, autoincrement=False))
    return Schema(metadata, stamp, version)


def open_database(url: str, schema: Schema) -> Engine:
    """An engine whose database holds these tables, empty if they had to be made.

    Raises:  DatabaseUnusable when the URL, its driver or the server behind it is no good.
    """
    try:
        parsed = make_url(url)
        return _open_file(parsed, schema) if parsed.get_backend_name() == "sqlite" else _open_server(parsed, schema)
    except (SQLAlchemyError, ImportError, OSError, ValueError) as error:
        raise DatabaseUnusable(f"the database {_shown(url)} cannot be used: {_said(error)}") from error


def _open_server(url: URL, schema: Schema) -> Engine:
    if url.get_backend_name() != "postgresql":
        raise DatabaseUnusable(f"{url.get_backend_name()} is not supported; name an SQLite or a PostgreSQL database")
    return _prepared(create_engine(url, pool_pre_ping=True), schema)


def _open_file(url: URL, schema: Schema) -> Engine:
    """An SQLite file, made with its directory where missing; a damaged one is set aside and made anew."""
    if url.database in (None, "", ":memory:"):
        raise DatabaseUnusable("a database in memory is not shared between threads; name a file")
    path = Path(str(url.database))
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    try:
        return _prepared(_file_engine(url), schema)
    except (DatabaseError, _Damaged) as error:
        if not _is_damage(error):
            raise
        _set_aside(path, _said(error))
        return _prepared(_file_engine(url), schema)


def _file_engine(url: URL) -> Engine:
    engine = create_engine(url)

    @event.listens_for(engine, "connect")
    def configure(connection: sqlite3.Connection, _: object) -> None:
        for pragma in (f"busy_timeout = {BUSY_TIMEOUT_MS}", "journal_mode = WAL", "synchronous = NORMAL"):
            connection.execute(f"PRAGMA {pragma}")

    return engine


def _is_damage(error: Exception) -> bool:
    name = str(getattr(getattr(error, "orig", None), "sqlite_errorname", ""))
    return isinstance(error, _Damaged) or name.startswith(("SQLITE_NOTADB", "SQLITE_CORRUPT"))


def _set_aside(path: Path, reason: str) -> None:
    """The file is kept under another name, for it might be somebody's own and named by mistake."""
    aside = path.with_name(f"{path.name}.damaged")
    path.replace(aside)
    for tail in ("-wal", "-shm"):
        path.with_name(path.name + tail).unlink(missing_ok=True)
    logger.warning("the projection in %s is damaged (%s); set aside as %s and begun again", path, reason, aside.name)


def _prepared(engine: Engine, schema: Schema) -> Engine:
    """The engine with all tables there, in today's shape."""
    try:
        with engine.begin() as connection:
            if connection.dialect.name == "sqlite":
                _lock_and_check(connection)
            _begin_again_unless_todays(connection, schema)
    except BaseException:
        engine.dispose()
        raise
    return engine


def _lock_and_check(connection: Connection) -> None:
    """Of two processes that open the file at once, the second waits until the tables are there."""
    connection.exec_driver_sql("BEGIN IMMEDIATE")
    said = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar()
    if said != "ok":
        raise _Damaged(str(said))


def _begin_again_unless_todays(connection: Connection, schema: Schema) -> None:
    columns = _columns(connection, schema)
    version = _version(connection, schema) if columns == schema.columns else None
    if version == schema.version:
        return
    if columns:
        logger.warning("the projection was made by another version of this program; begun again")
    schema.metadata.drop_all(connection)
    schema.metadata.create_all(connection)
    connection.execute(insert(schema.stamp).values(version=schema.version))


def _columns(connection: Connection, schema: Schema) -> dict[str, frozenset[str]]:
    """The columns that the tables have which stand under the wanted names."""
    inspector = inspect(connection)
    found = (name for name in schema.columns if inspector.has_table(name))
    return {name: frozenset(column["name"] for column in inspector.get_columns(name)) for name in found}


def _version(connection: Connection, schema: Schema) -> int | None:
    version: int | None = connection.scalar(select(func.max(schema.stamp.c.version)))
    return version


def _shown(url: str) -> str:
    """The URL without its password, also where it cannot be parsed."""
    try:
        return make_url(url).render_as_string(hide_password=True)
    except (SQLAlchemyError, ValueError):
        return "named by the URL"


def _said(error: BaseException) -> str:
    """The reason itself, on one line, without the statement and the links that SQLAlchemy adds."""
    return " ".join(str(getattr(error, "orig", None) or error).split())
