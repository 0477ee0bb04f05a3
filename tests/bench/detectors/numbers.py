"""Scenarios of answers that are numbers: errors get larger, or all to one side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.bench.detectors.case import Scenario

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from tests.bench.detectors.case import Rows

    Floats = NDArray[np.float64]

_OURS: dict[str, dict[str, dict[str, Any]]] = {
    "retuned risk_value_change": {"risk_value_change": {"tolerance": 0.0}},
    "retuned risk_value_rise": {"risk_value_rise": {"tolerance": 0.0}},
    "retuned risk_value": {"risk_value": {"tolerance": 0.0}},
    "retuned conformal_residual": {"conformal_residual": {"tolerance": 0.0}},
    "retuned value_ceiling, absolute error": {"value_ceiling": {"max_rise": 0.001}},
    "retuned value_ceiling, squared error": {"value_ceiling": {"max_rise": 0.001, "metric": "rmse"}},
}


def _off(factor: float, bias: float) -> Callable[[np.random.Generator, Floats], Rows]:
    """Errors of Student's t with 5 degrees of freedom; then larger by a factor, and moved by a part of their scale."""

    def draw(rng: np.random.Generator, much: Floats) -> Rows:
        value = rng.normal(50.0, 10.0, len(much))
        error = rng.standard_t(5.0, len(much)) * (1.0 + (factor - 1.0) * much) + bias * much
        return {"pairs.predicted": value + error, "pairs.label": value}

    return draw


def _numbers(name: str, says: str, draw: Callable[[np.random.Generator, Floats], Rows], **given: Any) -> Scenario:
    kinds = {"pairs.predicted": "pair-number", "pairs.label": "pair-number"}
    return Scenario(id=name, says=says, kinds=kinds, draw=draw, ours=_OURS, watched=("absolute errors", "residuals"), pane_n=50, **given)


SCENARIOS = (
    _numbers("numbers-errors-large", "answers are numbers, errors (Student's t, 5 degrees) half as large again", _off(1.5, 0.0)),
    _numbers("numbers-errors-gradual", "errors of numbers a third larger over 20 panes", _off(4.0 / 3.0, 0.0), profile="gradual"),
    _numbers("numbers-bias", "answers are numbers, all too high by .6 of the errors' scale", _off(1.0, 0.6)),
)
