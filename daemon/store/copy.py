"""A ledger copied as it is at one moment, while it is written to: SQLite into a file, any database's rows into another's."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

from sqlalchemy import Integer, func, insert, select, text

from daemon.store import tables
from daemon.store.ledger import Ledger
from retrain.types import Permanent, Reason

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy import Connection

_ROWS = 2_000


def copy_sqlite(source: Path, target: Path) -> None:
    """SQLite's own backup in one step: writers go on meanwhile, the copy is of the moment at which it began."""
    address = f"{source.resolve().as_uri()}?mode=ro"
    try:
        with closing(sqlite3.connect(address, uri=True, timeout=30)) as old, closing(sqlite3.connect(target)) as new:
            old.backup(new)
        one_file(target)
    except sqlite3.DatabaseError as e:
        raise Permanent(Reason.BAD_DATA, f"{source}: {e}") from e


def one_file(database: Path) -> None:
    """All of it in the file of its name, no journal beside it."""
    with closing(sqlite3.connect(database)) as db:
        db.execute("PRAGMA journal_mode=DELETE")


def copy_rows(source: Ledger, target: Ledger) -> dict[str, int]:
    """Every row of one moment into an empty ledger, whatever the two databases are; table -> rows. `Permanent(CONFLICT)`: not empty."""
    target.migrate()
    found = {}
    with source.read() as read, target.begin() as write:
        for table in tables.metadata.sorted_tables:
            if write.execute(select(func.count()).select_from(table)).scalar_one():
                raise Permanent(Reason.CONFLICT, f"the ledger that is to be filled holds rows in {table.name} already")
        for table in tables.metadata.sorted_tables:
            found[table.name] = 0
            for rows in read.execute(select(table).execution_options(yield_per=_ROWS)).mappings().partitions():
                write.execute(insert(table), [dict(row) for row in rows])
                found[table.name] += len(rows)
        _go_on_numbering(write)
    return found


def _go_on_numbering(tx: Connection) -> None:
    """PostgreSQL numbers rows by sequences, which know nothing of rows that came with their numbers."""
    if tx.dialect.name != "postgresql":
        return
    for table in tables.metadata.sorted_tables:
        column = table.autoincrement_column
        if column is not None and isinstance(column.type, Integer):
            last = tx.execute(select(func.max(column))).scalar()
            if last is not None:
                said = text("SELECT setval(pg_get_serial_sequence(:table, :column), :last)")
                tx.execute(said, {"table": f'"{table.name}"', "column": column.name, "last": last})
