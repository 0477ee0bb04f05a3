"""A model without a reference learns one: its first days of traffic are pinned, once, and never change within the epoch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from daemon.compared import Comparer, learnt_name
from daemon.store import champions, epochs, rows
from detectors.types import digest_of
from retrain.dataset.rows import write_rows
from retrain.types import Permanent

if TYPE_CHECKING:
    from pathlib import Path

    import pyarrow as pa
    from sqlalchemy import Connection

    from daemon.settings import ModelSettings
    from daemon.store.epochs import Epoch
    from daemon.store.ledger import Ledger

log = structlog.get_logger()

_DAY_S = 86_400.0


class Learner:
    """One per service: what keeps a model from a reference is told once, and keeps no other one from being watched."""

    def __init__(self, ledger: Ledger, data_dir: Path) -> None:
        self._ledger, self._data_dir = ledger, data_dir
        self._told: dict[str, str] = {}
        self._comparer = Comparer(ledger, data_dir)

    def learn(self, model: ModelSettings, now: float) -> None:
        """See the function `learn`, and tell what the reference lets go; a file of the log that is gone fails nothing."""
        try:
            learn(self._ledger, model, self._data_dir, now)
            self._comparer.compare(model, now)
        except (Permanent, OSError) as e:
            if self._told.get(model.name) != str(e):
                log.error("reference.not_learnt", model=model.name, because=str(e))  # noqa: TRY400 (a sentence, no bug)
            self._told[model.name] = str(e)
        else:
            self._told.pop(model.name, None)


def learn(ledger: Ledger, model: ModelSettings, data_dir: Path, now: float) -> None:
    """Pin the reference of the model's present epoch if it is due.

    Due: `learn_days` are over and `learn_n` records are there. The user's own file is pinned at once. Reading the records of weeks takes up
    to some minutes, in which nobody who writes to the ledger waits: only the pinning is a transaction. `Permanent(BAD_DATA)` when a file of
    the log is missing.
    """
    with ledger.read() as tx:
        held = champions.champion(tx, model.name)
        epoch = epochs.epoch(tx, model.name, held.epoch) if held is not None else None
        if epoch is None or epoch.reference_path is not None:
            return
        given = model.reference.path if model.reference.kind == "file" else None
        table = _seen(tx, model, epoch, data_dir, now) if given is None else None
    if given is not None:
        path = str(given.resolve())
        digest = digest_of(path)
    elif table is not None:
        folder = data_dir / "references" / model.name / learnt_name(epoch)
        write_rows(folder / "records.parquet", table)
        path, digest = str(folder.relative_to(data_dir)), digest_of(*table["id"].to_pylist())
    else:
        return
    with ledger.begin() as tx:
        if champions.champion(tx, model.name) == held:
            epochs.pin_reference(tx, model.name, epoch.epoch, path=path, digest=digest, now=now)


def _seen(tx: Connection, model: ModelSettings, epoch: Epoch, data_dir: Path, now: float) -> pa.Table | None:
    """The records of the epoch until now; None: too early, or too few. They are counted before a file is read: every tick asks."""
    wanted, since, version = model.reference, epoch.started_at, epoch.version
    if now - since < wanted.learn_days * _DAY_S or rows.sampled_n(tx, model.name, since=since, until=now, version=version) < wanted.learn_n:
        return None
    table = rows.sampled(tx, data_dir, model.name, since=since, until=now, version=version, limit=wanted.max_n, most_files=rows.ALL_FILES)
    return table if table.num_rows >= wanted.learn_n else None
