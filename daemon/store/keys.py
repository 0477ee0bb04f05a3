"""Bulk look-ups and inserts by key: de-duplication of records and labels, and the join of the two.

Plain driver SQL on SQLite, where a record may cost only a microsecond or two; SQLAlchemy elsewhere.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, select, update
from sqlalchemy.dialects import postgresql

from daemon.store import tables

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection, Table

_CHUNK_N = 8192  # variables in one statement: SQLite allows 32,766


def key_of(record_id: str) -> bytes:
    """16 bytes that stand for a record's id."""
    return blake2b(record_id.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def recorded(tx: Connection, model: str, keys: Sequence[bytes]) -> dict[bytes, tuple[int | None, int | None]]:
    """Those of the keys that are committed records -> (pane id, row); (None, None) = seen but not sampled."""
    return {key: (pane_id, row) for key, pane_id, row in _rows(tx, tables.record_key, ("key", "pane_id", "row"), model, keys)}


def labelled(tx: Connection, model: str, keys: Sequence[bytes]) -> dict[bytes, str]:
    """Those of the keys that have a label -> its state."""
    return dict(_rows(tx, tables.label, ("key", "state"), model, keys))


def waiting(tx: Connection, model: str, keys: Sequence[bytes]) -> list[Any]:
    """Label rows that wait for one of these records, in the order in which they came."""
    columns = ("key", "record_id", "at", "received_at", "value", "source", "state")
    waits = [key for key, state in labelled(tx, model, keys).items() if state == "waiting"]
    table = tables.label
    found: list[Any] = []
    for i in range(0, len(waits), _CHUNK_N):
        query = select(*(table.c[name] for name in columns)).where(table.c.model == model, table.c.key.in_(waits[i : i + _CHUNK_N]))
        found += tx.execute(query)
    return sorted(found, key=lambda row: (row.received_at, row.record_id))


def insert_keys(tx: Connection, rows: Sequence[tuple[str, bytes, float, int | None, int | None]]) -> None:
    """Remember records: (model, key, at, pane id, row); those that are known stay as they are."""
    if not rows:
        return
    rows = sorted(rows, key=lambda row: row[1])  # neighbours in the table's tree
    if tx.dialect.name == "sqlite":
        tx.exec_driver_sql('INSERT OR IGNORE INTO record_key (model, "key", at, pane_id, "row") VALUES (?, ?, ?, ?, ?)', rows)
        return
    names = ("model", "key", "at", "pane_id", "row")
    insert = postgresql.insert(tables.record_key).on_conflict_do_nothing()
    tx.execute(insert, [dict(zip(names, row, strict=True)) for row in rows])


def _rows(tx: Connection, table: Table, columns: tuple[str, ...], model: str, keys: Sequence[bytes]) -> list[Any]:
    found: list[Any] = []
    for i in range(0, len(keys), _CHUNK_N):
        chunk = keys[i : i + _CHUNK_N]
        if tx.dialect.name == "sqlite":
            names = ", ".join(f'"{name}"' for name in columns)
            marks = ",".join("?" * len(chunk))
            sql = f'SELECT {names} FROM {table.name} WHERE model = ? AND "key" IN ({marks})'  # noqa: S608 (our own names, bound values)
            found += tx.exec_driver_sql(sql, (model, *chunk)).fetchall()
        else:
            query = select(*(table.c[name] for name in columns)).where(table.c.model == model, table.c.key.in_(chunk))
            found += [(bytes(row[0]), *row[1:]) for row in tx.execute(query)]
    return found


def sweep(tx: Connection, model: str, *, before: float, after: bytes = b"", n: int = 50_000) -> bytes:
    """Forget records of an earlier `at` among the next `n` keys behind `after`; gives the last key looked at, b"" at the end.

    Keys are in no order of time, and an index of times would cost every record: so all of them are walked through, a part at a time.
    """
    t = tables.record_key
    here = (t.c.model == model, t.c.key > after)
    last = tx.execute(select(t.c.key).where(*here).order_by(t.c.key).offset(n - 1).limit(1)).scalar()
    part = here if last is None else (*here, t.c.key <= last)
    tx.execute(delete(t).where(*part, t.c.at < before))
    return b"" if last is None else bytes(last)


def expire(tx: Connection, model: str, *, before: float) -> int:
    """Labels that wait since earlier expire; gives how many."""
    label = tables.label
    old = update(label).where(label.c.model == model, label.c.state == "waiting", label.c.received_at < before)
    return int(tx.execute(old.values(state="expired")).rowcount)
