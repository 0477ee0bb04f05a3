"""A model without a reference learns one: its first days of traffic are pinned, once, and never change within the epoch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from daemon.store import epochs, rows
from detectors.types import digest_of
from retrain.dataset.rows import write_rows

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy import Connection

    from daemon.settings import ModelSettings
    from daemon.store.epochs import Epoch

_DAY_S = 86_400.0


def learn(tx: Connection, model: ModelSettings, epoch: Epoch, data_dir: Path, now: float) -> str | None:
    """Path of the epoch's reference, pinned now if it is due; None while still learning.

    Due: `learn_days` are over and `learn_n` records are there. The user's own file is pinned at once.
    """
    if epoch.reference_path is not None:
        return epoch.reference_path
    wanted = model.reference
    if wanted.kind == "file" and wanted.path is not None:
        path = str(wanted.path.resolve())
        epochs.pin_reference(tx, model.name, epoch.epoch, path=path, digest=digest_of(path), now=now)
        return path
    if now - epoch.started_at < wanted.learn_days * _DAY_S:
        return None
    table = rows.sampled(
        tx, data_dir, model.name, since=epoch.started_at, until=now, version=epoch.version, limit=wanted.max_n, most_files=rows.ALL_FILES
    )
    if table.num_rows < wanted.learn_n:
        return None
    folder = data_dir / "references" / model.name / f"epoch-{epoch.epoch}"
    write_rows(folder / "records.parquet", table)
    path = str(folder.relative_to(data_dir))
    epochs.pin_reference(tx, model.name, epoch.epoch, path=path, digest=digest_of(*table["id"].to_pylist()), now=now)
    return path
