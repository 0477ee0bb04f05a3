"""`retuned backup`: one file with all that a service needs to go on elsewhere, made while it runs.

The order is what makes it consistent. First a hold: from now on nothing is deleted. Then the ledger, as of one moment. Whatever that moment
needs is on disk already and stays: panes name files that were written before them and never change; the spool still has everything behind
the ledger's mark. Then the registry, which may be ahead of the ledger, never behind it. A run's folder is looked through twice: a file that
says "complete" is taken only if the first look saw it, so that all it speaks of is there.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import select
from sqlalchemy.engine import make_url

from daemon.backup.archive import Writer
from daemon.store import tables
from daemon.store.copy import copy_rows, copy_sqlite, one_file
from daemon.store.hold import Hold
from daemon.store.intake import spool_mark
from daemon.store.ledger import Ledger
from retrain.types import Permanent, Reason
from retrain.whole import sync

if TYPE_CHECKING:
    from collections.abc import Iterator

    from daemon.settings import Settings

_COMPLETE = frozenset({".complete", "manifest.json", "candidate.json", "reload.json", "exit.json"})
"""Each is written when everything that it speaks of is."""
_LEFT_OUT = frozenset({"job.json", "lock"})
"""Of a job's folder: the environment of the service (secrets), and the lock of its process."""
_IN_MEMORY_BYTES = 2**24


@dataclass(kw_only=True)
class Made:
    """What is in a backup, and what is not."""

    path: Path
    n_files: int = 0
    n_bytes: int = 0
    seconds: float = 0.0
    outside: list[str] = field(default_factory=list)
    """Sentences: what the service needs and the backup does not hold."""

    def lines(self) -> list[str]:
        """For the person who asked."""
        size = f"{self.n_files} files, {self.n_bytes / 1e6:.1f} MB before packing, {self.seconds:.1f} s"
        return [f"{self.path}: {size}. It holds secrets.", *(f"not in it: {said}" for said in self.outside)]


def backup(settings: Settings, config: Path, out: Path, *, ledger_url: str) -> Made:
    """Write `out`, whole or not at all. `Permanent`: CONFLICT when it is there already, NOT_FOUND when there is nothing to back up."""
    if out.exists():
        raise Permanent(Reason.CONFLICT, f"{out} is there already: give every backup a name of its own")
    if not (settings.data_dir / "secrets.json").is_file():
        raise Permanent(Reason.NOT_FOUND, f"{settings.data_dir} is no data folder of a service")
    began = time.monotonic()
    with _beside(out) as folder, Hold(settings.data_dir).held():
        made = Made(path=out, outside=_outside(settings, ledger_url))
        with Writer(folder / "archive") as archive:
            _Backup(settings.data_dir, folder, archive).write(config, ledger_url, embedded=settings.registry.tracking_uri is None)
            facts = {
                "at": time.time(),
                "retuned": version("retuned"),
                "data_dir": str(settings.data_dir.resolve()),
                "outside": made.outside,
            }
            archive.finish(facts)
        (folder / "archive").rename(out)
        sync(out.parent)
    made.n_files, made.n_bytes = len(archive.files), sum(entry.size for entry in archive.files.values())
    made.seconds = time.monotonic() - began
    return made


@contextmanager
def _beside(out: Path) -> Iterator[Path]:
    """A folder beside the archive, on the same disk; what a killed backup left there goes first."""
    folder = out.with_name(f".{out.name}.part")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    fd = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Permanent(Reason.CONFLICT, f"another backup is writing {out}") from None
        for left in folder.iterdir():
            left.unlink()
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(fd)


class _Backup:
    """One backup while it is made."""

    def __init__(self, data_dir: Path, folder: Path, archive: Writer) -> None:
        self._data_dir, self._folder, self._archive = data_dir, folder, archive

    def write(self, config: Path, ledger_url: str, *, embedded: bool) -> None:
        """In the order that the module's text explains."""
        self._file("settings.yaml", config)
        self._file("secrets.json", self._data_dir / "secrets.json")
        ledger = self._folder / "ledger.db"
        self._ledger(ledger, ledger_url)
        self._file("ledger.db", ledger)
        self._spool(ledger)
        self._records(ledger)
        ledger.unlink()
        if embedded and (self._data_dir / "mlflow" / "mlflow.db").is_file():
            registry = self._folder / "mlflow.db"
            copy_sqlite(self._data_dir / "mlflow" / "mlflow.db", registry)
            self._file("mlflow/mlflow.db", registry)
            self._tree("mlflow/artifacts")
        for name in ("references", "adapters", "reports", "runs"):
            self._tree(name)

    def _ledger(self, into: Path, url: str) -> None:
        parsed = make_url(url)
        if parsed.get_backend_name() == "sqlite":
            copy_sqlite(Path(parsed.database or ""), into)
            return
        source, target = Ledger(url), Ledger(f"sqlite:///{into}")
        try:
            copy_rows(source, target)
        finally:
            source.close()
            target.close()
        one_file(into)

    def _spool(self, ledger: Path) -> None:
        """Segments that the ledger still needs, each as long as it is now: a torn last entry was never acknowledged."""
        held = Ledger(f"sqlite:///{ledger}")
        with held.read() as tx:
            mark = spool_mark(tx)
        held.close()
        for path in sorted((self._data_dir / "spool").glob("*.spool")):
            if int(path.stem) >= mark.segment:
                self._loose(f"spool/{path.name}", path)

    def _records(self, ledger: Path) -> None:
        """The files that the ledger's panes name. One that is missing is an error: the copy would be worth nothing."""
        held = Ledger(f"sqlite:///{ledger}")
        query = select(tables.pane.c.path).where(tables.pane.c.path.is_not(None)).order_by(tables.pane.c.path)
        with held.read() as tx:
            for name in tx.execute(query).scalars():
                self._file(name, self._data_dir / name)
        held.close()

    def _tree(self, name: str) -> None:
        """Everything below a folder but what is half written."""
        before = set(_files(self._data_dir / name))
        for path in sorted(_files(self._data_dir / name)):
            if path in before or path.name not in _COMPLETE:
                try:
                    self._loose(path.relative_to(self._data_dir).as_posix(), path)
                except FileNotFoundError:  # a checkpoint gave way to the next one
                    continue

    def _file(self, name: str, path: Path) -> None:
        """A file that does not change."""
        try:
            with path.open("rb") as source:
                self._archive.add(name, source, os.fstat(source.fileno()).st_size)
        except FileNotFoundError as e:
            raise Permanent(Reason.NOT_FOUND, f"{path} is missing") from e

    def _loose(self, name: str, path: Path) -> None:
        """A file that may grow, shrink or go while it is read: first a copy of what it holds now."""
        with path.open("rb") as source, tempfile.SpooledTemporaryFile(_IN_MEMORY_BYTES, dir=str(self._folder)) as now:
            shutil.copyfileobj(source, now)
            size = now.tell()
            now.seek(0)
            self._archive.add(name, now, size)


def _files(folder: Path) -> Iterator[Path]:
    try:
        entries = list(os.scandir(folder))
    except FileNotFoundError:
        return
    for entry in entries:
        is_half = entry.name.startswith(".") or entry.name.endswith((".tmp", ".part"))
        if (is_half and entry.name not in _COMPLETE) or entry.name in _LEFT_OUT or entry.is_symlink():
            continue
        if entry.is_dir():
            yield from _files(Path(entry.path))
        else:
            yield Path(entry.path)


def _outside(settings: Settings, ledger_url: str) -> list[str]:
    """What the backup does not hold."""
    said = []
    if settings.registry.tracking_uri is not None:
        said.append("the registry (registry.tracking_uri): back up MLflow's database and artifacts there")
    if make_url(ledger_url).get_backend_name() != "sqlite":
        said.append("the ledger's database server: its rows are in the backup as SQLite (retuned restore --ledger URL puts them back)")
    for model in settings.models:
        named = {"reference.path": model.reference.path, "reference.bound": model.reference.bound}
        if model.retrain is not None:
            base = Path(model.retrain.base_model)
            named |= {"retrain.replay": model.retrain.replay, "retrain.old_domain": model.retrain.old_domain}
            named |= {"retrain.base_model": base if base.is_dir() else None}
        said += [f"{model.name}: {path} ({setting})" for setting, path in named.items() if path is not None]
    return said
