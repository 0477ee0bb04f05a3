"""What is told of rows that somebody damaged: one sentence each, with what becomes of them and what to do."""

from __future__ import annotations

from dataclasses import fields
from pathlib import PurePath
from traceback import extract_tb
from typing import TYPE_CHECKING, Any

from daemon.store.objects import Damaged

if TYPE_CHECKING:
    from collections.abc import Iterable

BROKEN = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""What is raised over a row that reads and is not what it should be; never of a ledger that is away, nor of a full disk."""
_MOST_IDS = 3
REMEDY = "put the row back, or restore a backup (docs/backup.md)"


def said(error: BaseException) -> str:
    """Where it went wrong, on one line."""
    place = extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {error} ({PurePath(place.filename).name}:{place.lineno})".replace("\n", " ")[:300]


def sentences(what: str, rows: Iterable[Any]) -> list[str]:
    """Of rows (dicts, or dataclasses of the ledger's, with an id) those with an object that is none, a sentence for each column."""
    ids: dict[str, list[str]] = {}
    for row in rows:
        values = row if isinstance(row, dict) else {f.name: getattr(row, f.name) for f in fields(row)}
        if columns := [name for name, value in values.items() if isinstance(value, Damaged)]:
            ids.setdefault(", ".join(columns), []).append(str(values["id"]))
    return [f"{of} of {what} {_some(which)}: no JSON object in the ledger, taken as empty; {REMEDY}" for of, which in ids.items()]


def _some(ids: list[str]) -> str:
    more = len(ids) - _MOST_IDS
    return ", ".join(ids[:_MOST_IDS]) + (f" and {more} more" if more > 0 else "")
