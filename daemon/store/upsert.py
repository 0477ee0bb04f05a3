"""INSERT … ON CONFLICT for both databases (SQLite and PostgreSQL spell it alike, SQLAlchemy does not)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy.dialects import postgresql, sqlite

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import Connection, Table


def _insert(tx: Connection, table: Table) -> Any:  # noqa: ANN401 (either dialect's Insert: same methods, no common type)
    return sqlite.insert(table) if tx.dialect.name == "sqlite" else postgresql.insert(table)


def upsert(tx: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows, or overwrite those with the same primary key. All rows have the same columns."""
    if not rows:
        return
    statement = _insert(tx, table)
    keys = [column.name for column in table.primary_key]
    changed = {name: statement.excluded[name] for name in rows[0] if name not in keys}
    tx.execute(statement.on_conflict_do_update(index_elements=keys, set_=changed), list(rows))


def insert_new(tx: Connection, table: Table, row: Mapping[str, Any], *, key: str) -> bool:
    """Insert one row unless one with the same unique `key` column is there; False = it was."""
    done = tx.execute(_insert(tx, table).on_conflict_do_nothing(index_elements=[key]).values(**row))
    return bool(done.rowcount == 1)


def add_to(tx: Connection, table: Table, rows: Sequence[Mapping[str, Any]], *, column: str) -> None:
    """Insert rows, or add `column` to what stands under the same primary key."""
    if not rows:
        return
    statement = _insert(tx, table)
    keys = [c.name for c in table.primary_key]
    total = table.c[column] + statement.excluded[column]
    tx.execute(statement.on_conflict_do_update(index_elements=keys, set_={column: total}), list(rows))
