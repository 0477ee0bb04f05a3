"""`retuned restore`: a backup into an empty folder, verified before anything of it is used, so that a service goes on there.

What names the old folder is brought to the new one: the registry's artifact addresses, and the handles of jobs that ran on the old machine
(a run in progress submits its job again and goes on from its checkpoint).
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import select, update

from daemon.backup.archive import unpack
from daemon.store import tables
from daemon.store.copy import copy_rows, one_file
from daemon.store.ledger import Ledger
from retrain.types import Permanent, Reason

WORK = ".restore"
"""Stands in the folder until everything is in its place: a service refuses to start on it."""


@dataclass(frozen=True, kw_only=True)
class Restored:
    """What was put where."""

    into: Path
    at: float
    """When the backup was made."""
    n_files: int
    outside: list[str]

    def lines(self) -> list[str]:
        """For the person who asked."""
        at = datetime.fromtimestamp(self.at, UTC).isoformat(timespec="seconds")
        said = f"{self.into}: {self.n_files} files as of {at}."
        then = f"The settings were {self.into / 'settings.yaml'}: let their data_dir name this folder."
        return [said, then, *(f"was not in the backup: {name}" for name in self.outside)]


def restore(archive: Path, into: Path, *, ledger_url: str | None = None) -> Restored:
    """Fill `into`, all or nothing. `Permanent`: CONFLICT when it is not empty, BAD_DATA or REFUSED when the archive cannot be used.

    `ledger_url`: an empty database that takes the ledger's rows; None = SQLite in `into`.
    """
    work = _prepared(archive, into)
    try:
        space = os.statvfs(into)
        facts = unpack(archive, work, room_bytes=space.f_bavail * space.f_frsize)
        _check_whole(work)
        _at_home(work, Path(facts["data_dir"]), into.resolve())
        if ledger_url is not None:
            _into_database(work / "ledger.db", ledger_url)
        os.sync()
    except BaseException:
        shutil.rmtree(work, ignore_errors=True)
        raise
    for path in sorted(work.iterdir()):
        path.rename(into / path.name)
    work.rmdir()
    return Restored(into=into, at=float(facts["at"]), n_files=len(facts["files"]), outside=[str(said) for said in facts["outside"]])


def _prepared(archive: Path, into: Path) -> Path:
    """An empty work folder inside an otherwise empty folder."""
    if not archive.is_file():
        raise Permanent(Reason.NOT_FOUND, f"{archive} is no file")
    try:
        into.mkdir(mode=0o700, parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as e:
        raise Permanent(
            Reason.CONFLICT, f"{into} cannot be made, a file is in its place: --into names an empty folder, or one to be made"
        ) from e
    work = into / WORK
    others = sorted(entry.name for entry in into.iterdir() if entry.name != "lost+found")
    if others == [WORK]:  # a restore that was killed before anything was in its place
        shutil.rmtree(work)
        others = []
    if others:
        raise Permanent(Reason.CONFLICT, f"{into} is not empty ({', '.join(others[:3])}): a backup is restored into an empty folder only")
    work.mkdir(mode=0o700)
    return work


def _check_whole(work: Path) -> None:
    """The three files without which nothing goes on."""
    for name in ("secrets.json", "ledger.db", "settings.yaml"):
        if not (work / name).is_file():
            raise Permanent(Reason.BAD_DATA, f"this is no backup that can be used: it holds no {name}")


def _at_home(work: Path, before: Path, now: Path) -> None:
    """Nothing names the old folder any more."""
    try:
        _forget_jobs(work / "ledger.db")
        registry = work / "mlflow" / "mlflow.db"
        if registry.is_file() and before != now:
            _move_registry(registry, before, now)
    except sqlite3.DatabaseError as e:
        raise Permanent(Reason.BAD_DATA, f"this is no backup that can be used: {e}") from e


def _forget_jobs(ledger: Path) -> None:
    """Local jobs are processes of another machine, or of another time."""
    held = Ledger(f"sqlite:///{ledger}")
    held.migrate()
    run = tables.run
    with held.begin() as tx:
        for row in tx.execute(select(run.c.id, run.c.detail).where(run.c.ended_at.is_(None))).all():
            job = row.detail.get("job", {})
            if not isinstance(job, dict) or Path(str(job.get("handle", ""))).is_absolute():
                detail: dict[str, Any] = {name: value for name, value in row.detail.items() if name != "job"}
                tx.execute(update(run).where(run.c.id == row.id).values(detail=detail))
    held.close()
    one_file(ledger)


def _move_registry(registry: Path, before: Path, now: Path) -> None:
    """Every address of MLflow's tables that lies in the old folder."""
    moves = [(f"{old}/", f"{new}/") for old, new in ((before.as_uri(), now.as_uri()), (str(before), str(now)))]
    with closing(sqlite3.connect(registry)) as db, db:
        db.execute("PRAGMA trusted_schema=OFF")
        for table in [row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]:
            for column in [row[1] for row in db.execute("SELECT * FROM pragma_table_info(?)", (table,))]:
                t, c = _quoted(table), _quoted(column)
                for old, new in moves:
                    sql = f"UPDATE {t} SET {c} = ? || substr({c}, ?) WHERE substr({c}, 1, ?) = ?"  # noqa: S608 (quoted names)
                    db.execute(sql, (new, len(old) + 1, len(old), old))
    one_file(registry)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _into_database(ledger: Path, url: str) -> None:
    source, target = Ledger(f"sqlite:///{ledger}"), Ledger(url)
    try:
        copy_rows(source, target)
    finally:
        source.close()
        target.close()
    for path in ledger.parent.glob("ledger.db*"):
        path.unlink()
