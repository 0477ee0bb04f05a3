"""A column that lacks more values by night than by day, as of a nightly batch without that field."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from detectors.sketches.records import AT
from detectors.sketches.summary import summarise
from detectors.types import ColumnKind, Increment, Outcome, Pairs, Reference

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from detectors.types import Verdict

    Floats = NDArray[np.float64]
    Rng = np.random.Generator

COLUMN = "input.x"
START = datetime(2026, 11, 23, tzinfo=UTC)
NIGHT = np.arange(24) < 8


def shares(day: float, night: float) -> Floats:
    """Of missing values at each hour of the day."""
    return np.where(NIGHT, night, day)


def reference(rng: Rng, missing: Floats, rows_n: int) -> Reference:
    """So many rows at each hour, of the seven days before; `missing`: the share at each hour, shape (24,)."""
    hours = np.repeat(np.arange(24), rows_n)
    ats = START.timestamp() - 86_400.0 * rng.integers(1, 8, len(hours)) + 3600.0 * (hours + rng.random(len(hours)))
    columns = {COLUMN: np.where(rng.random(len(hours)) < missing[hours], np.nan, rng.normal(size=len(hours))), AT: ats}
    kinds = {COLUMN: ColumnKind.NUMERIC}
    return Reference(columns=columns, kinds=kinds, sketches=summarise({COLUMN: columns[COLUMN]}, kinds), bound=Pairs.empty(), digest="d")


def pane(rng: Rng, i: int, missing: Floats, n: int = 60) -> Increment:
    """The i-th hour of production."""
    start = START + timedelta(hours=i)
    values = np.where(rng.random(n) < missing[i % 24], np.nan, rng.normal(size=n))
    columns = {COLUMN: values, AT: start.timestamp() + np.sort(3600.0 * rng.random(n))}
    return Increment(start=start, end=start + timedelta(hours=1), columns=columns, pairs=Pairs.empty(), n=n)


def run(detector: Any, known: Reference, panes: Iterable[Increment]) -> tuple[int, Verdict]:
    """Hours to the first alarm, or all of them; and the last verdict."""
    state = detector.start(known)
    for i, data in enumerate(panes):  # noqa: B007 (the last one is told)
        state, verdict = detector.step(state, data)
        if verdict.outcome is Outcome.ALARM:
            break
    return i + 1, verdict
