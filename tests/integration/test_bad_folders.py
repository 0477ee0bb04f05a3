"""A data folder or ledger that cannot be used: one sentence at the start, exit code 1, and not a byte of it changed."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from daemon.service import run
from daemon.settings import Settings
from daemon.store.ledger import Ledger
from tests.small_disk import fill, mounted

pytestmark = pytest.mark.timeout(120)


def settings(data: Path, **more: str) -> Settings:
    models = [{"name": "m", "task": "text-classification", "columns": {"text": "text"}}]
    return Settings.model_validate({"data_dir": str(data), "http": {"port": 0}, "models": models, **more})


def used(data: Path) -> None:
    """As a service leaves it: a ledger and a file of records."""
    (data / "records" / "m" / "2026-01-01").mkdir(parents=True)
    (data / "records" / "m" / "2026-01-01" / "00-00.parquet").write_bytes(b"PAR1")
    ledger = Ledger(f"sqlite:///{data / 'ledger.db'}")
    ledger.migrate()
    ledger.close()


def of_a_newer_version(data: Path) -> None:
    db = sqlite3.connect(data / "ledger.db")
    with db:
        db.execute("UPDATE alembic_version SET version_num = '0099'")
    db.close()


def cut(data: Path) -> None:
    (data / "ledger.db").write_bytes((data / "ledger.db").read_bytes()[:5000])


def a_folder(data: Path) -> None:
    (data / "ledger.db").unlink()
    (data / "ledger.db").mkdir()


def a_file_in_place_of(name: str) -> Callable[[Path], None]:
    return lambda data: (data / name).write_text("a file")


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (of_a_newer_version, "the ledger is of a newer version (revision 0099, this one knows "),
        (cut, "cannot be used: database disk image is malformed"),
        (lambda data: (data / "ledger.db").write_bytes(b"noise" * 2000), "cannot be used: file is not a database"),
        (lambda data: (data / "ledger.db").write_bytes(b""), "the ledger is empty, and "),
        (lambda data: (data / "ledger.db").unlink(), "the ledger is empty, and "),
        (a_folder, "cannot be used: unable to open database file"),
        (a_file_in_place_of("spool"), "spool must be a folder and is none"),
        (a_file_in_place_of("runs"), "runs must be a folder and is none"),
        (lambda data: (data / "secrets.json").write_text('{"sampl'), "secrets.json does not hold the two secrets"),
        (lambda data: (data / "secrets.json").write_text("{}"), "secrets.json does not hold the two secrets"),
    ],
)
def test_what_cannot_be_used_is_told_in_a_sentence_and_left_as_it_is(tmp_path: Path, damage: Callable[[Path], None], said: str) -> None:
    used(tmp_path)
    damage(tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(SystemExit) as ended:
        run(settings(tmp_path))
    assert str(ended.value.code).startswith("retuned: ")
    assert said in str(ended.value.code)
    assert "\n" not in str(ended.value.code)
    assert all(path.read_bytes() == was for path, was in before.items() if was)


def test_a_symlink_in_a_loop_is_told(tmp_path: Path) -> None:
    (tmp_path / "data").symlink_to(tmp_path / "data")
    with pytest.raises(SystemExit, match="cannot write in data_dir"):
        run(settings(tmp_path / "data"))


def test_a_disk_that_is_full_at_the_start_is_told(tmp_path: Path) -> None:
    with mounted(tmp_path / "data", "size=1m") as data:
        fill(data / "ballast")
        with pytest.raises(SystemExit, match="database or disk is full"):
            run(settings(data))


@pytest.mark.parametrize("driver", ["psycopg2", "asyncpg"])
def test_a_ledger_that_does_not_answer_or_whose_driver_is_missing_is_told_without_its_password(tmp_path: Path, driver: str) -> None:
    with pytest.raises(SystemExit, match="cannot be used") as ended:
        run(settings(tmp_path, ledger=f"postgresql+{driver}://retuned:geheim@127.0.0.1:9/retuned"))
    assert "geheim" not in str(ended.value.code)
