"""frouros: control charts on numbers (both directions), losses and errors (upwards); maximum mean discrepancy on vectors."""

from __future__ import annotations

import math
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np
import protocol
import watched
from frouros.detectors.concept_drift import (
    CUSUM,
    ECDDWT,
    CUSUMConfig,
    GeometricMovingAverage,
    GeometricMovingAverageConfig,
)
from frouros.detectors.data_drift import MMD

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    Columns = Mapping[str, np.ndarray]

_MOST_DIRECTIONS_N = 2
"""10 microseconds a value: more than one column up and down, or two losses up, would take hours."""


def charts(
    make: Callable[[], Any], statistic: Callable[[Any], float], *, is_binary: bool = False
) -> Callable[[Columns, Sequence[Columns], Mapping[str, str]], list[float] | None]:
    """The largest statistic in a pane; the chart is warmed up on the reference."""

    def scores(reference: Columns, panes: Sequence[Columns], kinds: Mapping[str, str]) -> list[float] | None:
        rows = [one for one in protocol.series(reference, panes, kinds) if one.is_binary or not is_binary]
        if not rows or sum(len(one.signs) for one in rows) > _MOST_DIRECTIONS_N:
            return None
        best = np.full(len(panes), protocol.NOTHING)
        for before, now, signs, _ in rows:
            for sign in signs:
                one = make()
                for x in (sign * before).tolist():
                    one.update(value=x)
                for at, pane in enumerate(now):
                    for x in (sign * pane).tolist():
                        one.update(value=x)
                        best[at] = max(best[at], statistic(one))
        return best.tolist()

    return scores


def _ecdd(one: Any) -> float:
    """Excess of the moving average over the error rate, in units of its control limit; 1 is the limit."""
    p = one.p.mean
    sd = math.sqrt(one._lambda_div_two_minus_lambda * (1 - one.z.one_minus_alpha ** (2 * one.num_instances)) * p * (1 - p))
    limit = one.config.control_limit_func(p=p) * sd
    return float((one.z.mean - p) / limit) if limit > 0 else protocol.NOTHING


def discrepancy(panes_n: int) -> Callable[[Columns, Sequence[Columns], Mapping[str, str]], list[float] | None]:
    """Its maximum mean discrepancy, default kernel, of a sliding window of so many panes."""

    def scores(reference: Columns, panes: Sequence[Columns], kinds: Mapping[str, str]) -> list[float] | None:
        columns = protocol.named(kinds, "embedding")
        if not columns:
            return None
        found = np.full(len(panes), protocol.NOTHING)
        for name in columns:
            one = MMD()
            one.fit(X=reference[name])
            for at in range(len(panes)):
                latest = np.concatenate([pane[name] for pane in panes[max(0, at + 1 - panes_n) : at + 1]])
                found[at] = max(found[at], float(one.compare(X=latest)[0].distance))
        return found.tolist()

    return scores


if __name__ == "__main__":
    protocol.main(
        {
            "frouros CUSUM": protocol.Rule(charts(lambda: CUSUM(CUSUMConfig(lambda_=math.inf)), lambda one: float(one.sum_)), 50.0),
            "frouros geometric moving average": protocol.Rule(
                charts(lambda: GeometricMovingAverage(GeometricMovingAverageConfig(lambda_=math.inf)), lambda one: float(one.sum_)), 1.0
            ),
            "frouros ECDD": protocol.Rule(charts(ECDDWT, _ecdd, is_binary=True), 1.0),
            "frouros MMD, each pane": protocol.Rule(discrepancy(1), None),
            "frouros MMD, last 5 panes": protocol.Rule(discrepancy(5), None),
        },
        {"frouros": version("frouros")},
        watched.views,
    )
