"""A run of keys as the ledger holds it: blocks of some hundred keys in the keys' order, each a row, beside them where their records are.

A block's place is known from the key (keys are hashes, so all are equally full): a look-up reads one row.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from sqlalchemy import delete, insert, select

from daemon.store import tables
from daemon.store.key_filter import KEY_BYTES, keys_from, spread

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray
    from sqlalchemy import ColumnElement, Connection

_PER_BLOCK = 128  # keys: with their places nearly a page of SQLite
_MOST_BLOCKS = 1 << 20  # of a run: its blocks are numbered id * this and on
_READ_N = 500  # blocks read at once
PLACE = np.dtype([("pane", "<i8"), ("row", "<i4")])
"""Pane 0 = the record was not sampled."""

Place = tuple[int | None, int | None]
"""(pane id, row); (None, None) = seen but not sampled."""


class Entries(NamedTuple):
    """Keys in order with their places."""

    keys: NDArray[np.uint64]
    """Shape (n, 2)."""
    places: NDArray[np.void]
    """Shape (n,), of `PLACE`."""


def in_order(keys: NDArray[np.uint64], places: NDArray[np.void]) -> Entries:
    """In the order of the first half: a tie needs none."""
    order = np.argsort(keys[:, 0], kind="stable")  # sorted runs, one behind the other, are merged
    return Entries(keys[order], places[order])


def n_blocks(n: int) -> int:
    """Of a run with so many keys."""
    return 1 + n // _PER_BLOCK


def write(tx: Connection, run: int, entries: Entries) -> None:
    """All blocks of a new run; those that would be empty are left out."""
    count = n_blocks(len(entries.keys))
    ends = np.searchsorted(spread(entries.keys, count), np.arange(count + 1)).tolist()
    keys, places = entries.keys.astype(">u8").tobytes(), entries.places.tobytes()
    size, first = PLACE.itemsize, run * _MOST_BLOCKS
    rows = [
        {"id": first + i, "hashes": keys[a * KEY_BYTES : b * KEY_BYTES], "places": places[a * size : b * size]}
        for i, (a, b) in enumerate(pairwise(ends))
        if b > a
    ]
    if rows:
        tx.execute(insert(tables.key_block), rows)


def read_keys(tx: Connection, run: int) -> Iterator[NDArray[np.uint64]]:
    """A run's keys, part by part, in order."""
    t = tables.key_block
    query = select(t.c.hashes).where(_of(run)).order_by(t.c.id).execution_options(yield_per=_READ_N)
    for rows in tx.execute(query).partitions():
        yield keys_from(b"".join(row[0] for row in rows))


def read(tx: Connection, run: int) -> Entries:
    """All of it."""
    t = tables.key_block
    rows = tx.execute(select(t.c.hashes, t.c.places).where(_of(run)).order_by(t.c.id)).all()
    return Entries(keys_from(b"".join(row[0] for row in rows)), np.frombuffer(b"".join(row[1] for row in rows), PLACE))


def remove(tx: Connection, run: int) -> None:
    """Its blocks."""
    tx.execute(delete(tables.key_block).where(_of(run)))


def find(tx: Connection, run: int, keys: Sequence[bytes], places: NDArray[np.int64]) -> dict[bytes, Place]:
    """Those of the keys that a run holds; `places`: the keys' blocks in it, of `spread` over its `n_blocks`."""
    by_block: dict[int, list[bytes]] = {}
    for key, block in zip(keys, (places + run * _MOST_BLOCKS).tolist(), strict=True):
        by_block.setdefault(block, []).append(key)
    t, blocks, found = tables.key_block, list(by_block), dict[bytes, Place]()
    for i in range(0, len(blocks), _READ_N):
        for block, held, data in tx.execute(select(t.c.id, t.c.hashes, t.c.places).where(t.c.id.in_(blocks[i : i + _READ_N]))):
            for key in by_block[block]:
                at = _index(bytes(held), key)
                if at is not None:
                    found[key] = _place(bytes(data), at)
    return found


def _of(run: int) -> ColumnElement[bool]:
    return tables.key_block.c.id.between(run * _MOST_BLOCKS, (run + 1) * _MOST_BLOCKS - 1)


def _index(held: bytes, key: bytes) -> int | None:
    """The key's place among keys of a block."""
    at = held.find(key)
    while at > 0 and at % KEY_BYTES:  # the end of one and the beginning of the next: no key
        at = held.find(key, at + 1)
    return None if at < 0 else at // KEY_BYTES


def _place(data: bytes, at: int) -> Place:
    pane, row = np.frombuffer(data, PLACE, 1, at * PLACE.itemsize)[0].item()
    return (pane, row) if pane else (None, None)
