"""What stands for ids, and bulk look-ups of labels by it: their de-duplication, and the join with records that come later.

Plain driver SQL on SQLite, where a record may cost only a microsecond or two; SQLAlchemy elsewhere.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from sqlalchemy import select, update

from daemon.store import tables

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection, Table

_CHUNK_N = 8192  # variables in one statement: SQLite allows 32,766


def key_of(record_id: str) -> bytes:
    """16 bytes that stand for a record's id."""
    return blake2b(record_id.encode("utf-8", "surrogatepass"), digest_size=16).digest()


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


def expire(tx: Connection, model: str, *, before: float) -> int:
    """Labels that wait since earlier expire; gives how many."""
    label = tables.label
    old = update(label).where(label.c.model == model, label.c.state == "waiting", label.c.received_at < before)
    return int(tx.execute(old.values(state="expired")).rowcount)
