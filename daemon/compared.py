"""A reference that was learnt, or that came back with its version: people are told what nothing watches any more because of it.

Who absorbs, undoes that or promotes is told at that moment. These two come about in a transaction that waits for nobody to read two
references, so they are told by the tick that follows.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from daemon.decide.lost import lost
from daemon.store import champions, epochs
from daemon.store.ledger import events, note
from daemon.store.outbox import What
from daemon.store.reference import files_of, load_reference
from daemon.telling import tell_reference
from retrain.types import Permanent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

    from daemon.settings import ModelSettings
    from daemon.store.epochs import Epoch
    from daemon.store.ledger import Ledger

log = structlog.get_logger()

_NOTED = "reference.compared"


class Comparer:
    """One per service: looks once at each epoch."""

    def __init__(self, ledger: Ledger, data_dir: Path) -> None:
        self._ledger, self._data_dir = ledger, data_dir
        self._seen: dict[str, int] = {}

    def compare(self, model: ModelSettings, now: float) -> None:
        """Tell what the present epoch's reference lacks, if nobody has said it; a reference that cannot be read says so itself."""
        with self._ledger.read() as tx:
            held = champions.champion(tx, model.name)
            if held is None or self._seen.get(model.name) == held.epoch:
                return
            found = epochs.epochs(tx, model.name)
            if not found or found[0].reference_path is None:  # it learns
                return
            before = next((e for e in found[1:] if e.reference_path is not None), None)
            is_due = before is not None and _what(found) is not None and not _is_noted(tx, found[0])
        if is_due:
            assert before is not None
            self._tell(model, before, found, now)
        self._seen[model.name] = found[0].epoch

    def _tell(self, model: ModelSettings, before: Epoch, found: Sequence[Epoch], now: float) -> None:
        new, what = found[0], _what(found)
        assert what is not None
        try:
            gone = lost(model, *(load_reference(model, *files_of(model, self._path(e))) for e in (before, new)))
        except Permanent as e:
            log.warning("reference.not_compared", model=model.name, epoch=new.epoch, because=e.detail)
            return
        moved = "learnt from its traffic" if what is What.REFERENCE_LEARNT else "back"
        because = f"the reference of version {new.version} is {moved}; {gone.in_words()}"
        with self._ledger.begin() as tx:
            held = champions.champion(tx, model.name)
            if held is None or held.epoch != new.epoch:
                return
            note(tx, now, model.name, _NOTED, epoch=new.epoch, before=before.epoch, lost=gone.names(), because=gone.in_words())
            if gone.names():
                tell_reference(tx, new, what, incident=None, because=because, now=now)

    def _path(self, epoch: Epoch) -> Path:
        return Path(self._data_dir, epoch.reference_path or "")


def _what(found: Sequence[Epoch]) -> What | None:
    """How the newest of these epochs (newest first) came by its reference, where nobody was told; None = otherwise, or it is the first."""
    new, *earlier = found
    if not earlier or earlier[0].version == new.version:  # absorbing and its undoing say it themselves
        return None
    if any((e.version, e.reference_path) == (new.version, new.reference_path) for e in earlier):
        return What.REFERENCE_RESTORED
    return What.REFERENCE_LEARNT if Path(new.reference_path or "").name == learnt_name(new) else None


def learnt_name(epoch: Epoch) -> str:
    """The folder of what an epoch learns."""
    return f"epoch-{epoch.epoch}"


def _is_noted(tx: Connection, epoch: Epoch) -> bool:
    return any(e["data"].get("epoch") == epoch.epoch for e in events(tx, epoch.model, _NOTED, limit=1))
