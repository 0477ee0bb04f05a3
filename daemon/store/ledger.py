"""The ledger: append-only truth about decisions, one transaction per fact. Functions over a `Connection` live beside it."""

from __future__ import annotations

import sqlite3
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Engine, create_engine, event, insert, select

from daemon.store import tables

if TYPE_CHECKING:
    from collections.abc import Iterator

_READS = "retuned_reads"
_WAIT_MS = 10_000
"""A writer waits so long for the one before it, then its transaction fails and is tried again by the next tick."""
_WRITERS = 7_265_747_564
"""PostgreSQL's advisory lock of those who write."""


class Ledger:
    """Opens the database (SQLite: WAL, synchronous=FULL; PostgreSQL by URL) and hands out transactions.

    Both keep one rule: those who write do it one after the other, so that what a transaction has read still holds when it writes; those who
    read see one moment and wait for nobody.
    """

    def __init__(self, url: str) -> None:
        self.engine: Engine = create_engine(url, pool_pre_ping=not url.startswith("sqlite"))
        if self.engine.dialect.name == "sqlite":
            event.listen(self.engine, "connect", _sqlite_pragmas)
            event.listen(self.engine, "begin", _sqlite_begin)
        else:
            event.listen(self.engine, "begin", _postgresql_begin)

    def migrate(self) -> None:
        """Bring the schema up to date (Alembic)."""
        from daemon.store.migrate import upgrade  # noqa: PLC0415 (Alembic is needed once)

        upgrade(self.engine)

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """One transaction: all or nothing."""
        with self.engine.begin() as tx:
            yield tx

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A consistent view that takes no write lock: for the API and the exporter, which must not wait for a pane's commit."""
        with self.engine.connect().execution_options(**{_READS: True}) as tx, tx.begin():
            yield tx

    def close(self) -> None:
        """Give back all connections."""
        self.engine.dispose()


def _sqlite_pragmas(connection: Any, _record: Any) -> None:  # noqa: ANN401 (DB-API objects)
    connection.text_factory = _text
    connection.isolation_level = None  # we say BEGIN ourselves: sqlite3's own comes too late for a compare-and-set
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout={_WAIT_MS}")
    _write_ahead(cursor)
    for pragma in ("synchronous=FULL", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _text(data: bytes) -> str:
    """A text with a damaged byte is a text all the same: one row is no reason to call the ledger away."""
    return data.decode(errors="replace")


def _write_ahead(cursor: sqlite3.Cursor) -> None:
    """WAL. Two that open a new file at once: SQLite tells the second one that it is locked without waiting, whatever the timeout."""
    deadline = time.monotonic() + _WAIT_MS / 1000
    while True:
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError:
            if time.monotonic() >= deadline:
                raise
            time.sleep(0.01)
        else:
            return


def _sqlite_begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN" if _reads(connection) else "BEGIN IMMEDIATE")


def _postgresql_begin(connection: Connection) -> None:
    if _reads(connection):
        connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
    else:
        connection.exec_driver_sql(f"SET LOCAL lock_timeout = {_WAIT_MS}")
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_WRITERS})")


def _reads(connection: Connection) -> bool:
    return bool(connection.get_execution_options().get(_READS, False))


def note(tx: Connection, at: float, model: str, kind: str, **data: Any) -> None:  # noqa: ANN401 (JSON)
    """Append one event."""
    tx.execute(insert(tables.event).values(at=at, model=model, kind=kind, data=data))


def events(tx: Connection, model: str, *kinds: str, limit: int = 100) -> list[dict[str, Any]]:
    """The newest events of a model, newest first."""
    query = select(tables.event).where(tables.event.c.model == model)
    if kinds:
        query = query.where(tables.event.c.kind.in_(kinds))
    return [dict(row._mapping) for row in tx.execute(query.order_by(tables.event.c.id.desc()).limit(limit))]  # noqa: SLF001 (SQLAlchemy's API)
