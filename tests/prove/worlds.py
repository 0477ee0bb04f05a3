"""Quiet worlds for any detector: rows of its example, with another marginal, another volume or another order.

What changes the marginal changes reference and stream alike, so nothing drifts. What changes the order alone keeps the marginal and breaks
independence: outside the assumption of every detector here.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.examples import Records
from detectors.types import Detector, Eats, Pairs

Rng = np.random.Generator
PANE_N = 15
"""Rows of a usual pane: 5,010 rows are 334 looks."""
_RHO = 0.9
_DAY_N = 1440
"""Rows of a day: three and a half days a stream."""
_BURST_N = 10


@dataclass(frozen=True, kw_only=True)
class World:
    name: str
    says: str
    is_inside: bool
    """Whether detectors promise anything in it."""
    marginal: Callable[[Records, Rng], Records] = lambda rows, _: rows
    order: Callable[[Records, Rng], Records] = lambda rows, _: rows
    sizes: Callable[[int, Rng], list[int]] = lambda n, _: [PANE_N] * (n // PANE_N)
    """Rows of each pane of n rows."""
    applies: Callable[[Detector, Records], bool] = lambda _, __: True
    drawn: int = 1
    """Rows drawn for each one that stays."""


def taken(rows: Records, index: NDArray[np.int64]) -> Records:
    wrong = None if rows.wrong is None else rows.wrong[index]
    columns = {subject: values[index] for subject, values in rows.columns.items()}
    pairs = rows.pairs.take(index) if rows.pairs.n else rows.pairs
    return dataclasses.replace(rows, columns=columns, pairs=pairs, n=len(index), wrong=wrong)


def together(a: Records, b: Records) -> Records:
    """Rows of both, one after the other."""
    columns = {subject: np.concatenate([values, b.columns[subject]]) for subject, values in a.columns.items()}
    optional = ("weight", "scores", "predicted_value", "value", "at", "quality")
    pairs = Pairs(
        predicted=np.concatenate([a.pairs.predicted, b.pairs.predicted]),
        label=np.concatenate([a.pairs.label, b.pairs.label]),
        groups={by: np.concatenate([values, b.pairs.groups[by]]) for by, values in a.pairs.groups.items()},
        columns={subject: np.concatenate([values, b.pairs.columns[subject]]) for subject, values in a.pairs.columns.items()},
        **{x: None if getattr(a.pairs, x) is None else np.concatenate([getattr(a.pairs, x), getattr(b.pairs, x)]) for x in optional},
    )
    wrong = None if a.wrong is None or b.wrong is None else np.concatenate([a.wrong, b.wrong])
    return dataclasses.replace(a, columns=columns, pairs=pairs, n=a.n + b.n, wrong=wrong)


def _is_number(values: NDArray[Any]) -> bool:
    return values.dtype.kind == "f" and values.ndim == 1


def _map_columns(rows: Records, change: Callable[[NDArray[Any]], NDArray[Any]]) -> Records:
    """Of records and of labelled pairs; what an answer's scores are belongs to the model."""
    kept = {s: v if v.dtype.kind == "i" or (s.startswith("output.") and rows.pairs.columns) else change(v) for s, v in rows.columns.items()}
    pairs = dataclasses.replace(rows.pairs, columns={s: change(v) for s, v in rows.pairs.columns.items()})
    return dataclasses.replace(rows, columns=kept, pairs=pairs)


def _tied(rows: Records, _: Rng) -> Records:
    return _map_columns(rows, lambda v: np.round(v, -1) if _is_number(v) else v)


def _holed(rows: Records, rng: Rng) -> Records:
    def change(values: NDArray[Any]) -> NDArray[Any]:
        found, is_gone = values.copy(), rng.random(len(values)) < 0.1
        if rows.wrong is not None:
            is_gone &= ~rows.wrong
        found[is_gone] = None if values.dtype == object else np.nan
        return found

    return _map_columns(rows, change) if rows.columns else rows


def _unbalanced(rows: Records, rng: Rng) -> Records:
    """One row in twenty is of the group "old"."""
    old = np.logical_or.reduce([values == "old" for values in rows.pairs.groups.values()])
    kept = np.flatnonzero(~old | (rng.random(rows.n) < 1.0 / 19.0))
    return taken(rows, kept[: rows.n // 2])


def _key(rows: Records, rng: Rng) -> NDArray[np.float64]:
    """One number a row to put rows in order by: its first column, or how wrong its answer is; ties at random."""
    noise = rng.random(rows.n)
    for values in rows.columns.values():
        if values.dtype.kind == "i" or values.ndim > 2:
            continue
        if values.dtype == object:
            return np.unique([str(v) for v in values], return_inverse=True)[1] + noise
        return np.nan_to_num(np.asarray(values if values.ndim == 1 else values[:, 0], dtype=np.float64), nan=-1e9)
    pairs = rows.pairs
    if pairs.quality is not None:
        return np.asarray(pairs.quality)
    if pairs.value is not None and pairs.predicted_value is not None:
        return np.abs(pairs.value - pairs.predicted_value)
    return pairs.loss + noise if pairs.n else noise


def _in_order_of(rows: Records, latent: NDArray[np.float64], rng: Rng) -> Records:
    """The same rows, so that the larger keys come where the latent series is larger."""
    index = np.empty(rows.n, dtype=np.int64)
    index[np.argsort(latent, kind="stable")] = np.argsort(_key(rows, rng), kind="stable")
    return taken(rows, index)


def _autoregressive(rows: Records, rng: Rng) -> Records:
    steps, latent = rng.normal(size=rows.n), np.empty(rows.n)
    latent[0] = steps[0]
    for i in range(1, rows.n):
        latent[i] = _RHO * latent[i - 1] + np.sqrt(1.0 - _RHO**2) * steps[i]
    return _in_order_of(rows, latent, rng)


def _seasonal(rows: Records, rng: Rng) -> Records:
    return _in_order_of(rows, np.sin(2.0 * np.pi * np.arange(rows.n) / _DAY_N) + rng.normal(size=rows.n), rng)


def _bursts(rows: Records, rng: Rng) -> Records:
    starts = rng.integers(0, rows.n, -(-rows.n // _BURST_N))
    return taken(rows, np.repeat(starts, _BURST_N)[: rows.n])


def _changing(n: int, rng: Rng) -> list[int]:
    """From 1 to 45 rows a pane, as slowly as a day goes."""
    share = 0.5 + 0.48 * np.sin(np.arange(4 * n // PANE_N) / 30.0)
    found = np.maximum(1, rng.poisson(2 * PANE_N * share))
    return [int(x) for x in found[: int(np.searchsorted(np.cumsum(found), n))]]


WORLDS = [
    World(name="independent", says="rows independent", is_inside=True),
    World(
        name="ties",
        says="numbers rounded to four or five different ones",
        is_inside=True,
        marginal=_tied,
        applies=lambda _, rows: any(_is_number(v) for v in rows.columns.values()),
    ),
    World(
        name="missing",
        says="a tenth of all values missing",
        is_inside=True,
        marginal=_holed,
        applies=lambda _, rows: any(v.dtype.kind != "i" for s, v in rows.columns.items() if s != "output.scores"),
    ),
    World(
        name="unbalanced",
        says="one pair in twenty of the smaller group",
        is_inside=True,
        marginal=_unbalanced,
        applies=lambda detector, _: Eats.GROUPS in detector.eats,
        drawn=2,
    ),
    World(name="volume", says="panes of 1 to 45 rows, in waves", is_inside=True, sizes=_changing),
    World(name="AR(1)", says="rows in the order of an AR(1) series, rho .9", is_inside=False, order=_autoregressive),
    World(name="season", says="rows in the order of a daily sine with as much noise", is_inside=False, order=_seasonal),
    World(name="bursts", says="every row ten times in a row", is_inside=False, order=_bursts),
]


def world(name: str) -> World:
    return next(w for w in WORLDS if w.name == name)
