"""The sharp proofs (marker `prove` in tests/statistical and tests/unit): one that passed is kept until its sources change.

So `pytest -m prove` goes on where it was killed, and docs/validity.md shows what passed of these very sources.
"""

from __future__ import annotations

import hashlib
import json
from functools import cache
from typing import TYPE_CHECKING

from tests.prove.results import KEPT, ROOT, digest_of, imported

if TYPE_CHECKING:
    from pathlib import Path

Row = tuple[str, ...]
"""Of the table in docs/validity.md: what, claim, figure, limit, streams, chance that a valid one misses."""
FOLDERS = ("tests/statistical/", "tests/unit/")
_KEPT = KEPT / "sharp"
_BESIDE = ["tests/statistical/conftest.py", "tests/prove/limits.py"]
"""Sources that no test imports by name."""
_REGISTRY = "detectors/registry.py"


def is_kept(test: str) -> bool:
    """Whether this test (its node id) passed with the sources as they are."""
    return _file(test).exists()


def keep(test: str, rows: list[Row]) -> None:
    """It passed; the rows that it gave, if any. Whole or not at all."""
    file = _file(test)
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_suffix(".part")
    part.write_text(json.dumps({"test": test, "rows": rows}))
    part.replace(file)


def rows() -> list[Row]:
    """Of all tests that passed with the sources as they are."""
    found = [(file, json.loads(file.read_text())) for file in _KEPT.glob("*.json")]
    return sorted(
        tuple(row) for file, one in found if (ROOT / _source(one["test"])).exists() and file == _file(one["test"]) for row in one["rows"]
    )


def _source(test: str) -> str:
    return test.partition("::")[0]


def _file(test: str) -> Path:
    return _KEPT / f"{hashlib.sha256(test.encode()).hexdigest()[:16]}-{_digest(_source(test))}.json"


@cache
def _digest(source: str) -> str:
    files = {*_BESIDE, *imported(source, "detectors", "daemon", "retrain", "tests")}
    if _REGISTRY in files:  # it finds detectors by looking into the folder
        files |= {str(path.relative_to(ROOT)) for path in (ROOT / "detectors").rglob("*.py")}
    return digest_of(files)
