"""The first records of a busy pane are built while the rest of it still comes in: closing it then waits for the last ones only.

Pieces hold a fixed number of records and are cut in the order of the spool. After a restart the same records come again in the same
order, so the same files are written again: none is left that no row names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import func, select

from daemon.store import tables
from daemon.store.closed import Part
from daemon.store.columns import rows_of
from daemon.store.record_log import log_path

if TYPE_CHECKING:
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
        records, ats = buffer.records[begin : begin + PIECE_N], buffer.ats[begin : begin + PIECE_N]
        version = records[0].version
        if any(record.version != version for record in records):
            return
        pane_s = model.monitors.pane_s
        part = Part(
            version=version,
            start=index * pane_s,
            end=(index + 1) * pane_s,
            seq=next_seq(tx, model.name, version, index * pane_s) + sum(p.part.version == version for p in buffer.pieces),
            path=None,
            n_seen=PIECE_N,
            n_pairs=0,
            summary={},
            keys=buffer.keys[begin : begin + PIECE_N],
            ats=ats,
        )
        built = builder.begin(model.name, rows_of(records, ats), log_path(model.name, version, part.start, part.seq))
        buffer.pieces.append(Piece(part, built))


def next_seq(tx: Connection, model: str, version: str, start: float) -> int:
    """What follows on the parts of a pane that are committed."""
    t = tables.pane
    seq = tx.execute(select(func.max(t.c.seq)).where(t.c.model == model, t.c.version == version, t.c.start == start)).scalar()
    return 0 if seq is None else int(seq) + 1
