"""Removing what retention chose: first the rows, in one transaction with the names of the files, then the files.

Killed between the two, the names are still in `doomed` and the next pass goes on: no row ever names a file that is gone, and no file
stays behind.
"""

from __future__ import annotations

import contextlib
import shutil
from collections import Counter
from typing import TYPE_CHECKING, Any

import structlog
from sqlalchemy import delete, func, insert, select, update

from daemon.store import counters, tables
from daemon.store.blob import empty_pane
from daemon.store.retention import Item, Kind, Why

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from sqlalchemy import Connection

log = structlog.get_logger()
MOST_LABELS = 5_000
"""Rows deleted in one transaction: some 50 ms on SQLite."""
_pane, _label, _epoch, _incident, _doomed = tables.pane, tables.label, tables.epoch, tables.incident, tables.doomed


def remove_rows(tx: Connection, model: str, chosen: Sequence[tuple[Item, Why]]) -> list[tuple[Item, Why]]:
    """Those of the chosen that are out of the ledger now, their files doomed. Panes with more labels than fit one transaction wait."""
    panes = _with_labels(tx, model, [item for item, _ in chosen if item.kind is Kind.RECORDS])
    gone = [(item, why) for item, why in chosen if item.kind is not Kind.RECORDS or item.row in panes]
    tx.execute(delete(_pane).where(_pane.c.id.in_(panes)))
    sketches = [item.row for item, _ in gone if item.kind is Kind.SKETCHES]
    tx.execute(update(_pane).where(_pane.c.id.in_(sketches)).values(sketches=empty_pane()))
    references = [item.name for item, _ in gone if item.kind is Kind.REFERENCE]
    of_them = (_epoch.c.model == model, _epoch.c.reference_path.in_(references))
    tx.execute(update(_epoch).where(*of_them).values(reference_path=None, reference_digest=None))
    reports = [item.row for item, _ in gone if item.kind is Kind.REPORT]
    tx.execute(update(_incident).where(_incident.c.id.in_(reports)).values(report=None))
    _doom(tx, {item.name for item, _ in gone if item.kind is not Kind.SKETCHES and item.name})
    _count(tx, model, gone)
    return gone


def _with_labels(tx: Connection, model: str, panes: Sequence[Item]) -> set[int | str | None]:
    """Rows of the first panes whose labels fit one transaction: those labels go. Of a single pane with more, as many as fit go."""
    ids = [item.row for item in panes]
    query = select(_label.c.pane_id, func.count()).where(_label.c.model == model, _label.c.pane_id.in_(ids))
    n_labels: dict[int, int] = {row[0]: row[1] for row in tx.execute(query.group_by(_label.c.pane_id))}
    fits: list[int | str | None] = []
    left = MOST_LABELS
    for row in ids:
        left -= n_labels.get(row, 0)  # type: ignore[arg-type]  # a pane's row is a number
        if left < 0:
            break
        fits.append(row)
    if ids and not fits:
        keys = select(_label.c.key).where(_label.c.model == model, _label.c.pane_id == ids[0]).limit(MOST_LABELS)
        tx.execute(delete(_label).where(_label.c.model == model, _label.c.key.in_(keys)))
    tx.execute(delete(_label).where(_label.c.model == model, _label.c.pane_id.in_(fits)))
    return set(fits)


def _doom(tx: Connection, paths: set[str]) -> None:
    known = set(tx.execute(select(_doomed.c.path).where(_doomed.c.path.in_(sorted(paths)))).scalars())
    if paths - known:
        tx.execute(insert(_doomed), [{"path": path} for path in sorted(paths - known)])


def _count(tx: Connection, model: str, gone: Sequence[tuple[Item, Why]]) -> None:
    n_bytes: Counter[tuple[str, str]] = Counter()
    for item, why in gone:
        n_bytes["pruned", str(why)] += item.n_bytes
    counters.add(tx, model, n_bytes)


def doomed(tx: Connection, *, limit: int = 1000) -> list[str]:
    """Files and folders that no row needs any more."""
    return list(tx.execute(select(_doomed.c.path).order_by(_doomed.c.path).limit(limit)).scalars())


def remove_files(data_dir: Path, paths: Sequence[str]) -> list[str]:
    """Those that are gone now. What cannot be removed is told and tried again."""
    gone = []
    for name in paths:
        path = data_dir / name
        if ".." in path.parts or not path.is_relative_to(data_dir):
            log.error("retention.not_ours", path=name)
            continue
        try:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        except OSError as e:
            log.error("retention.not_removed", path=name, error=str(e))  # noqa: TRY400 (it says all)
            continue
        gone.append(name)
    for day in {(data_dir / name).parent for name in gone if name.startswith("records/")}:
        with contextlib.suppress(OSError):  # it holds more
            day.rmdir()
    return gone


def forget(tx: Connection, paths: Sequence[str]) -> None:
    """Their files are gone."""
    tx.execute(delete(_doomed).where(_doomed.c.path.in_(list(paths))))


def remove_unjoined(tx: Connection, model: str, *, before: float, most_n: int = MOST_LABELS) -> int:
    """Labels that never found a sampled record, received before a time; at most so many."""
    lost: Any = _label.c.state.in_(["expired", "unsampled"])
    keys = select(_label.c.key).where(_label.c.model == model, _label.c.received_at < before, lost).order_by(_label.c.received_at)
    return int(tx.execute(delete(_label).where(_label.c.model == model, _label.c.key.in_(keys.limit(most_n)))).rowcount)
