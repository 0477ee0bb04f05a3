"""Scenarios of plain columns: one change each, in one column, in some of 20, in some of 200."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tests.bench.detectors.case import Scenario

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from tests.bench.detectors.case import Rows

    Floats = NDArray[np.float64]
    Draw = Callable[[np.random.Generator, Floats], Rows]

_NUMERIC: dict[str, dict[str, dict[str, Any]]] = {"retuned conformal_numeric": {"conformal_numeric": {}}}
_CATEGORY: dict[str, dict[str, dict[str, Any]]] = {"retuned conformal_category": {"conformal_category": {}}}
_TOGETHER: dict[str, dict[str, dict[str, Any]]] = {**_NUMERIC, "retuned domain_classifier": {"domain_classifier": {}}}
_CHANNELS = ("web", "shop", "phone", "partner", "fax")
_SHARES = np.array([0.5, 0.3, 0.15, 0.05])
_MOVED = np.array([0.42, 0.3, 0.23, 0.05])


def _mean(by: float) -> Draw:
    return lambda rng, much: {"x": rng.normal(0.0, 1.0, len(much)) + by * much}


def _spread(factor: float) -> Draw:
    return lambda rng, much: {"x": rng.normal(0.0, 1.0, len(much)) * np.where(rng.random(len(much)) < much, factor, 1.0)}


def _two_peaks(rng: np.random.Generator, much: Floats) -> Rows:
    """Half of the values around -.9, half around .9, with the mean and the variance of before."""
    x = rng.normal(0.0, 1.0, len(much))
    peaks = np.where(rng.random(len(much)) < 0.5, -0.9, 0.9) + np.sqrt(1.0 - 0.9**2) * x
    return {"x": np.where(rng.random(len(much)) < much, peaks, x)}


def _tail(rng: np.random.Generator, much: Floats) -> Rows:
    """8 % of the values come from a tail five times as wide."""
    return {"x": rng.normal(0.0, 1.0, len(much)) * np.where(rng.random(len(much)) < 0.08 * much, 5.0, 1.0)}


def _skewed(rng: np.random.Generator, much: Floats) -> Rows:
    """Money: log-normal, a tenth of it zero; everything 12 % dearer."""
    amounts = np.exp(rng.normal(3.0, 0.8, len(much))) * (1.0 + 0.12 * much)
    return {"x": np.where(rng.random(len(much)) < 0.1, 0.0, np.round(amounts, 1))}


def _missing(rng: np.random.Generator, much: Floats) -> Rows:
    """The missing rate goes from 2 to 8 %."""
    return {"x": np.where(rng.random(len(much)) < 0.02 + 0.06 * much, np.nan, rng.normal(0.0, 1.0, len(much)))}


def _shares(moved: Floats) -> Draw:
    def draw(rng: np.random.Generator, much: Floats) -> Rows:
        shares = np.where(rng.random(len(much))[:, None] < much[:, None], moved, _SHARES)
        return {"channel": (rng.random(len(much))[:, None] > np.cumsum(shares, axis=1)[:, :-1]).sum(axis=1)}

    return draw


def _birth(rng: np.random.Generator, much: Floats) -> Rows:
    """A fifth channel appears and takes 4 %."""
    rows = _shares(_SHARES)(rng, much)
    return {"channel": np.where(rng.random(len(much)) < 0.04 * much, 4, rows["channel"])}


def _many(columns_n: int, moved_n: int, by: float) -> Draw:
    """Correlated columns (a common factor, rho 0.3); the first few move."""

    def draw(rng: np.random.Generator, much: Floats) -> Rows:
        common = rng.normal(0.0, 1.0, len(much))
        return {
            f"x{at}": np.sqrt(0.7) * rng.normal(0.0, 1.0, len(much)) + np.sqrt(0.3) * common + (by * much if at < moved_n else 0.0)
            for at in range(columns_n)
        }

    return draw


def _rotation(rng: np.random.Generator, much: Floats) -> Rows:
    """Five pairs of columns, correlated .7, turn to -.7; no column by itself changes."""
    rows = {}
    for at in range(0, 20, 2):
        x, noise = rng.normal(0.0, 1.0, (2, len(much)))
        sign = np.where(rng.random(len(much)) < much, -1.0, 1.0) if at < 10 else 1.0
        rows[f"x{at}"], rows[f"x{at + 1}"] = x, sign * 0.7 * x + np.sqrt(0.51) * noise
    return rows


def _numeric(name: str, says: str, draw: Draw, columns_n: int = 1, **sizes: Any) -> Scenario:
    kinds = {"x": "numeric"} if columns_n == 1 else {f"x{at}": "numeric" for at in range(columns_n)}
    return Scenario(id=name, says=says, kinds=kinds, draw=draw, **{"ours": _NUMERIC, **sizes})


def _category(name: str, says: str, draw: Draw, **ours: dict[str, dict[str, Any]]) -> Scenario:
    kinds = {"channel": "category"}
    return Scenario(id=name, says=says, kinds=kinds, vocabularies=lambda: {"channel": _CHANNELS}, draw=draw, ours={**_CATEGORY, **ours})


_WIDE: dict[str, Any] = {"null": (8, 120), "drift": (12, 6, 20), "ours": _TOGETHER}
_WIDEST: dict[str, Any] = {"null": (5, 60), "drift": (6, 3, 10), "skip": ("Evidently, default tests, last 5 panes",)}

SCENARIOS = (
    _numeric("column-mean-large", "1 column, mean up by 1 standard deviation", _mean(1.0)),
    _numeric("column-mean-small", "1 column, mean up by 0.2 standard deviations", _mean(0.2)),
    _numeric("column-mean-gradual", "1 column, mean up by 0.6 standard deviations over 20 panes", _mean(0.6), profile="gradual"),
    _numeric("column-mean-recurring", "1 column, mean up by 0.3 in 4 of every 12 panes", _mean(0.3), profile="recurring"),
    _numeric("column-spread-out", "1 column, standard deviation 1 becomes 1.25", _spread(1.25)),
    _numeric("column-spread-in", "1 column, standard deviation 1 becomes 0.8", _spread(0.8)),
    _numeric("column-two-peaks", "1 column, two peaks 1.8 standard deviations apart, mean and variance as before", _two_peaks),
    _numeric(
        "column-tail",
        "1 column, 8 % of the values five times as far out",
        _tail,
        ours={**_NUMERIC, "retuned out_of_range_rise": {"out_of_range_rise": {}}},
    ),
    _numeric("column-skewed", "1 column, log-normal with zeros, amounts up by 12 %", _skewed),
    _numeric(
        "column-missing",
        "1 column, missing values from 2 to 8 %",
        _missing,
        ours={**_NUMERIC, "retuned missing_rise": {"missing_rise": {}}},
        watched=("columns", "missing values"),
    ),
    _category(
        "category-birth", "1 column, an unseen category takes 4 %", _birth, **{"retuned unseen_category_rise": {"unseen_category_rise": {}}}
    ),
    _category("category-shares", "1 column, the first category from 50 to 42 %, the third from 15 to 23 %", _shares(_MOVED)),
    _numeric("columns-20-one", "20 columns, 1 moves by 0.5 standard deviations", _many(20, 1, 0.5), 20, **_WIDE),
    _numeric("columns-20-ten", "20 columns, 10 move by 0.15 standard deviations", _many(20, 10, 0.15), 20, **_WIDE),
    _numeric("columns-20-rotation", "20 columns, 5 correlations of .7 turn to -.7, no column changes by itself", _rotation, 20, **_WIDE),
    _numeric("columns-200-five", "200 columns, 5 move by 0.5 standard deviations", _many(200, 5, 0.5), 200, **_WIDEST),
)
