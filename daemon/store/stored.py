"""What of a model could be removed: the oldest panes, and every folder and file that the ledger knows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import func, or_, select

from daemon.store import tables
from daemon.store.blob import empty_pane
from daemon.store.retention import Item, Kind
from daemon.store.sizes import children, tree_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from sqlalchemy import Connection

    from daemon.store.retention import Span

_pane = tables.pane.c


def oldest_panes(tx: Connection, data_dir: Path, model: str, *, outside: Sequence[Span], most_n: int) -> list[Item]:
    """Panes in the order of their time but for those needed, and for the newest of the model and of all: they tell the next one's place."""
    newest = select(func.max(_pane.start)).where(_pane.model == model).scalar_subquery()
    last = select(func.max(_pane.id)).scalar_subquery()
    query = select(_pane.id, _pane.end, _pane.path).where(_pane.model == model, _pane.start < newest, _pane.id < last)
    query = query.where(*(or_(_pane.end <= after, _pane.end > until) for after, until in outside))
    rows = tx.execute(query.order_by(_pane.start, _pane.id).limit(most_n))
    return [
        Item(kind=Kind.RECORDS, name=row.path or "", at=row.end, n_bytes=tree_bytes(data_dir / row.path) if row.path else 0, row=row.id)
        for row in rows
    ]


def oldest_sketches(tx: Connection, model: str, *, after: float, before: float, most_n: int) -> tuple[list[Item], float]:
    """Sketches of panes in [after, before) that are not empty yet, and up to where was looked: at most `most_n` panes."""
    query = select(_pane.id, _pane.start, _pane.end, func.length(_pane.sketches).label("size"))
    query = query.where(_pane.model == model, _pane.start >= after, _pane.start < before).order_by(_pane.start).limit(most_n)
    rows = tx.execute(query).all()
    found = [Item(kind=Kind.SKETCHES, name=str(row.id), at=row.end, n_bytes=0, row=row.id) for row in rows if row.size > len(empty_pane())]
    return found, rows[-1].start if len(rows) == most_n else max(after, before)


def folders(tx: Connection, data_dir: Path, model: str) -> list[Item]:
    """Run folders, references, adapters and reports."""
    return [*_runs(tx, data_dir, model), *_references(tx, data_dir, model), *_adapters(tx, data_dir, model), *_reports(tx, data_dir, model)]


def _runs(tx: Connection, data_dir: Path, model: str) -> Iterator[Item]:
    """Of ended runs; their checkpoints and jobs as items of their own, as long as they are there."""
    there = set(children(data_dir, f"runs/{model}"))
    run = tables.run.c
    for row in tx.execute(select(run.id, run.folder, run.ended_at).where(run.model == model, run.ended_at.is_not(None))):
        if row.folder not in there:
            continue
        work = [_item(data_dir, Kind.WORK, f"{row.folder}/{part}", row.ended_at) for part in ("checkpoints", "jobs")]
        yield from (part for part in work if part.n_bytes)
        rest = tree_bytes(data_dir / row.folder) - sum(part.n_bytes for part in work)
        yield Item(kind=Kind.RUN, name=row.folder, at=row.ended_at, n_bytes=rest)


def _references(tx: Connection, data_dir: Path, model: str) -> Iterator[Item]:
    epoch = tables.epoch.c
    query = select(epoch.reference_path, func.max(epoch.started_at).label("at"), func.max(epoch.ended_at).label("ended_at"))
    rows = tx.execute(query.where(epoch.model == model, epoch.reference_path.is_not(None)).group_by(epoch.reference_path))
    at = {row.reference_path: max(row.at, row.ended_at or row.at) for row in rows}
    for path in children(data_dir, f"references/{model}"):
        yield _item(data_dir, Kind.REFERENCE, path, at.get(path, (data_dir / path).stat().st_mtime))


def _adapters(tx: Connection, data_dir: Path, model: str) -> Iterator[Item]:
    """Copies of what the registry has: fetched again when they are wanted. Names are built, not read: a model's may hold a dash."""
    run, epoch = tables.run.c, tables.epoch.c
    versions = {*tx.execute(select(run.version).where(run.model == model)).scalars()}
    versions |= {*tx.execute(select(run.champion_version).where(run.model == model)).scalars()}
    versions |= {*tx.execute(select(epoch.version).where(epoch.model == model)).scalars()}
    there = set(children(data_dir, "adapters", f"{model}-"))
    for path in sorted({f"adapters/{model}-{version}" for version in versions} & there):
        yield _item(data_dir, Kind.ADAPTER, path, (data_dir / path).stat().st_mtime)


def _reports(tx: Connection, data_dir: Path, model: str) -> Iterator[Item]:
    incident = tables.incident.c
    for row in tx.execute(select(incident.id, incident.report, incident.closed_at).where(incident.model == model)):
        if row.report is not None and row.closed_at is not None:
            yield _item(data_dir, Kind.REPORT, row.report, row.closed_at, row.id)
    for path in children(data_dir, f"reports/{model}/jobs"):
        at = (data_dir / path).stat().st_mtime
        size = tree_bytes(data_dir / path)
        yield Item(kind=Kind.WORK, name=path, within=path.partition(".report-")[0], at=at, n_bytes=size)  # INCIDENT.report-N and endings


def _item(data_dir: Path, kind: Kind, path: str, at: float, row: str | None = None) -> Item:
    return Item(kind=kind, name=path, at=at, n_bytes=tree_bytes(data_dir / path), row=row)
