"""Keys of records in runs, not in a tree of all of them: what a key costs no longer grows with how many there are.

Written out, not taken from the code: a revision must not change when that does.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import sqlalchemy as sa
from alembic import op

if TYPE_CHECKING:
    from numpy.typing import NDArray

revision = "0007"
down_revision = "0006"

_Id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_PART_N = 500_000  # keys in memory at once
_DAY_S = 86_400.0  # a run is of one day's records, so that no key is kept much longer
_PER_BLOCK, _MOST_BLOCKS = 128, 1 << 20
_PLACE = np.dtype([("pane", "<i8"), ("row", "<i4")])
_old = sa.table("record_key", *(sa.column(name) for name in ("model", "key", "at", "pane_id", "row")))
_run = sa.Table("key_run", sa.MetaData(), sa.Column("id", _Id, primary_key=True))
for _name in ("model", "level", "n", "since", "until"):
    _run.append_column(sa.Column(_name))
_block = sa.table("key_block", *(sa.column(name) for name in ("id", "hashes", "places")))


def upgrade() -> None:
    """Two tables, filled from the one that goes."""
    op.create_table(
        "key_run",
        sa.Column("id", _Id, autoincrement=True, nullable=False),
        sa.Column("model", sa.String(length=64), nullable=False),
        sa.Column("level", sa.Integer(), nullable=False),
        sa.Column("n", sa.BigInteger(), nullable=False),
        sa.Column("since", sa.Float(), nullable=False),
        sa.Column("until", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "key_block",
        sa.Column("id", _Id, autoincrement=False, nullable=False),
        sa.Column("hashes", sa.LargeBinary(), nullable=False),
        sa.Column("places", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    _move(op.get_bind())
    op.drop_table("record_key")


def _move(tx: sa.Connection) -> None:
    """Model by model, each in the order of its keys."""
    model = tx.execute(sa.select(sa.func.min(_old.c.model))).scalar()
    while model is not None:
        _move_model(tx, str(model))
        model = tx.execute(sa.select(sa.func.min(_old.c.model)).where(_old.c.model > model)).scalar()


def _move_model(tx: sa.Connection, model: str) -> None:
    columns, behind = [_old.c[name] for name in ("key", "at", "pane_id", "row")], b""
    query = sa.select(*columns).where(_old.c.model == model, _old.c.key > sa.bindparam("behind")).order_by(_old.c.key).limit(_PART_N)
    while rows := tx.execute(query, {"behind": behind}).all():
        keys, ats, panes, numbers = zip(*rows, strict=True)
        behind = bytes(keys[-1])
        hashes, at = np.frombuffer(b"".join(map(bytes, keys)), np.void(16).dtype), np.array(ats)
        places = np.zeros(len(keys), _PLACE)
        places["pane"], places["row"] = [pane or 0 for pane in panes], [number or 0 for number in numbers]
        days = at // _DAY_S
        for day in np.unique(days):
            mine = days == day
            _write(tx, model, hashes[mine], places[mine], at[mine])


def _write(tx: sa.Connection, model: str, hashes: NDArray[np.void], places: NDArray[np.void], at: NDArray[np.float64]) -> None:
    """One run, in the order of its keys; all of shape (n,)."""
    n = len(hashes)
    row = {"model": model, "level": 0, "n": n, "since": float(at.min()), "until": float(at.max())}
    number = tx.execute(_run.insert().values(row).returning(_run.c.id)).scalar_one()
    keys, data = hashes.tobytes(), places.tobytes()
    ends = _ends(np.frombuffer(keys, ">u4").reshape(-1, 4)[:, 0], 1 + n // _PER_BLOCK).tolist()
    blocks = [
        {"id": number * _MOST_BLOCKS + i, "hashes": keys[16 * a : 16 * b], "places": data[12 * a : 12 * b]}
        for i, (a, b) in enumerate(pairwise(ends))
        if b > a
    ]
    tx.execute(_block.insert(), blocks)


def _ends(heads: NDArray[np.uint32], count: int) -> NDArray[np.int64]:
    """Where each of `count` equal ranges of keys begins, and the last one ends, shape (count + 1,); `heads`: the first 4 bytes."""
    return np.searchsorted(heads.astype(np.uint64) * np.uint64(count) >> np.uint64(32), np.arange(count + 1))
