"""What is seen between groups: a gap between the two largest, on the first day of an epoch."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from daemon.watched.seen.day import Soon, nothing, seen
from daemon.watched.seen.labels import NONE_COUNTS, UNKNOWN
from detectors.sequential.growth_of_gaps import smallest_fall, smallest_gap, weight_of_first

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from daemon.watched.seen.day import Day
    from detectors.sequential.between import Between
    from detectors.sequential.fairness_ratio import FairnessRatio
    from detectors.sequential.gap import GapState
    from detectors.types import Reference

    Floats = NDArray[np.float64]


class _Asked(NamedTuple):
    """What is asked."""

    d: Between | FairnessRatio
    reference: Reference
    day: Day


class _Figure(NamedTuple):
    """Of labels that count for it, values in [0, 1]."""

    counting: float
    """Share of the labels of a group."""
    mean: float = 0.5
    spread: float = 1.0
    """Variance over that of zeros and ones of the same mean."""


def of_gap(d: Between, state: GapState, reference: Reference, day: Day) -> Soon:
    """Of the figure that shows it first; means lie about that of the bound rows, without these about one half, where a gap is seen last."""
    if state.unit == 0.0:
        return nothing(d, "the reference has no range of answers to compare with")
    figures = _figures(d, state, reference)
    limit, weight = d.limit(state) / state.unit, weight_of_first(len(figures))

    def smallest(first_n: float, second_n: float, figure: _Figure) -> float:
        return state.unit * smallest_gap(
            alpha=d.alpha, maximum=limit, weight=weight, first_n=first_n, second_n=second_n, mean=figure.mean, spread=figure.spread
        )

    of = " or ".join(d.figures) + (" rates" if d.name == "fairness_gap" else "")
    return _between(
        _Asked(d, reference, day), figures, smallest, lambda gap: f"a gap of {gap:.3g} in {of} (allowed {limit * state.unit:.3g})"
    )


def of_ratio(d: FairnessRatio, reference: Reference, day: Day) -> Soon:
    """The favourable answer as often as in the bound rows, in half of all answers without these."""
    bound = reference.bound
    figure = _Figure(1.0, float(np.clip((bound.predicted == d.positive).mean(), 0.01, 0.99)) if bound.n else 0.5)

    def smallest(first_n: float, second_n: float, figure: _Figure) -> float:
        return smallest_fall(
            alpha=d.alpha, minimum=d.minimum, weight=weight_of_first(1), first_n=first_n, second_n=second_n, mean=figure.mean
        )

    return _between(
        _Asked(d, reference, day),
        [figure],
        smallest,
        lambda ratio: f"one gets {d.positive} {ratio:.2f} times as often (allowed {d.minimum:g})",
    )


def _between(
    asked: _Asked, figures: list[_Figure], smallest: Callable[[float, float, _Figure], float], says: Callable[[float], str]
) -> Soon:
    """Of the two largest groups."""
    d, reference, day = asked
    if day.labels_n is None:
        return nothing(d, UNKNOWN)
    first, second = _sizes(d.by, reference)
    if second == 0.0:
        return nothing(d, f"there are no two groups of {d.by} in the reference")
    if not any(figure.counting for figure in figures):
        return nothing(d, NONE_COUNTS)
    n = day.even_n(d.most_weight)

    def least(times: float) -> float:
        found = [f for f in figures if times * (day.labels_n or 0.0) * second * f.counting >= d.min_n]
        values = [smallest(times * n * first * f.counting, times * n * second * f.counting, f) for f in found]
        seen_at = [value for value in values if math.isfinite(value)]
        return (max if d.name == "fairness_ratio" else min)(seen_at, default=math.inf)

    return seen(d, least, says, n=day.labels_n, unit="labels", never="what is allowed leaves no room")


def _figures(d: Between, state: GapState, reference: Reference) -> list[_Figure]:
    """Of the labelled bound rows; without any each counts half of the labels (all, where there is but one figure)."""
    if not reference.bound.n:
        return [_Figure(1.0 / len(d.figures))] * len(d.figures)
    x = np.clip((d.values(reference.bound) - state.low) / state.unit, 0.0, 1.0)  # (n, figures)
    return [_figure(column) for column in x.T]


def _figure(x: Floats) -> _Figure:
    there = x[np.isfinite(x)]
    if not len(there):
        return _Figure(0.0)
    mean = float(np.clip(there.mean(), 0.01, 0.99))
    return _Figure(len(there) / len(x), mean, min(1.0, float(there.var()) / (mean * (1.0 - mean))))


def _sizes(by: str, reference: Reference) -> tuple[float, float]:
    """Shares of the two largest groups: of the bound rows, otherwise of the reference's; two equal ones where neither knows the column."""
    names = reference.bound.groups.get(by)
    columns = [next((v for s, v in reference.columns.items() if s.split(".", 1)[1] == name), None) for name in by.split(" & ")]
    if names is None and all(column is not None for column in columns):
        names = np.array([" & ".join(map(str, row)) for row in zip(*(c.tolist() for c in columns if c is not None), strict=True)])
    if names is None or not len(names):
        return 0.5, 0.5
    counts = sorted(np.unique(names[[name is not None for name in names.tolist()]].astype(str), return_counts=True)[1] / len(names))
    return (float(counts[-1]), float(counts[-2])) if len(counts) > 1 else (1.0, 0.0)
