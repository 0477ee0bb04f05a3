"""The first records of a busy pane are built while the rest of it still comes in: closing it then waits for the last ones only.

Pieces hold a fixed number of records and are cut in the order of the spool. After a restart the same records come again in the same
order, so the same files are written again: none is left that no row names.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import func, select

from daemon.store import tables
from daemon.store.closed import Part
from daemon.store.record_log import log_path
from daemon.store.spooled import rows_of

if TYPE_CHECKING:
    from collections.abc import Iterable
    from concurrent.futures import Future

    from sqlalchemy import Connection

    from daemon.settings import ModelSettings
    from daemon.store.builder import Builder
    from daemon.store.building import Built
    from daemon.store.pending import Buffer

PIECE_N = 20_000
"""Records of a piece; what is left of a pane is built when it closes."""


class Piece(NamedTuple):
    """One part of an open pane that is built, or being built."""

    part: Part
    built: Future[Built]


def build_ahead(tx: Connection, model: ModelSettings, builder: Builder, index: int, buffer: Buffer) -> None:
    """Begin the next pieces of an open pane, as many as are full. Pieces with more than one version in them wait for the pane's end."""
    while len(buffer.records) - (begin := PIECE_N * len(buffer.pieces)) >= PIECE_N:
        records = buffer.records[begin : begin + PIECE_N]
        version = records[0].version
        if any(record.version != version for record in records):
            return
        part = new_part(tx, model, version, index * model.monitors.pane_s, n_seen=PIECE_N, beside=[p.part for p in buffer.pieces])
        rows = rows_of(records)
        built = builder.begin(model.name, rows, log_path(model.name, version, part.start, part.seq))
        buffer.pieces.append(Piece(replace(part, keys=buffer.keys[begin : begin + PIECE_N], ats=rows.ats), built))


def new_part(tx: Connection, model: ModelSettings, version: str, start: float, *, n_seen: int, beside: Iterable[Part]) -> Part:
    """A part without records, numbered after those of its pane that are committed or stand beside it."""
    t = tables.pane
    seq = tx.execute(select(func.max(t.c.seq)).where(t.c.model == model.name, t.c.version == version, t.c.start == start)).scalar()
    seq = (0 if seq is None else seq + 1) + sum(part.version == version and part.start == start for part in beside)
    end, ratio = start + model.monitors.pane_s, model.sample_ratio if n_seen else None
    return Part(version=version, start=start, end=end, seq=seq, path=None, sample_ratio=ratio, n_seen=n_seen, n_pairs=0, summary={})
