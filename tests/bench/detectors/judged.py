"""Scenarios of judged answers: quality falls; and people judge few answers, while a judge (another model) scores all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tests.bench.detectors.case import Scenario

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from tests.bench.detectors.case import Rows

    Floats = NDArray[np.float64]

_OURS: dict[str, dict[str, dict[str, Any]]] = {
    "retuned risk_judged_change": {"risk_judged_change": {"tolerance": 0.0}},
    "retuned risk_judged_rise": {"risk_judged_rise": {"tolerance": 0.0}},
    "retuned risk_judged": {"risk_judged": {"tolerance": 0.0}},
    "retuned score_floor": {"score_floor": {"max_drop": 0.001}},
}
_BESIDE: dict[str, dict[str, dict[str, Any]]] = {
    **_OURS,
    "retuned ppi_score_floor": {"ppi_score_floor": {"judge": "judge", "max_drop": 0.001}},
    "retuned conformal_numeric of the judge": {"conformal_numeric": {}},
}
_KINDS = {"pairs.quality": "pair-number"}
_JUDGED = 0.1
"""Share of answers that people judge where these are few."""


def _lost(rng: np.random.Generator, more: Floats) -> Floats:
    """1 less the quality: Beta(2, 8), mean .2; so much more is lost of what there was."""
    return 1.0 - (1.0 - rng.beta(2.0, 8.0, len(more))) * (1.0 - more)


def _falls(by: float) -> Callable[[np.random.Generator, Floats], Rows]:
    """The mean quality falls from .8 by so much."""
    return lambda rng, much: {"pairs.quality": 1.0 - _lost(rng, by / 0.8 * much)}


def _few(by: float, *, judge_sees: bool) -> Callable[[np.random.Generator, Floats], Rows]:
    """The same, known of one answer in ten; the judge's scores, 0 to 10, correlate with quality by .8 and fall with it, or do not."""

    def draw(rng: np.random.Generator, much: Floats) -> Rows:
        lost = rng.beta(2.0, 8.0, len(much))
        now = 1.0 - (1.0 - lost) * (1.0 - by / 0.8 * much)
        judge = 10.0 * (1.0 - (now if judge_sees else lost)) + rng.normal(0.0, 0.9, len(much))
        return {"pairs.quality": np.where(rng.random(len(much)) < _JUDGED, 1.0 - now, np.nan), "judge": judge}

    return draw


def _judged(name: str, says: str, draw: Callable[[np.random.Generator, Floats], Rows], **given: Any) -> Scenario:
    usual = {"kinds": _KINDS, "ours": _OURS, "watched": ("judgements",), "pane_n": 50}
    return Scenario(id=name, says=says, draw=draw, **{**usual, **given})


_SPARSE: dict[str, Any] = {"pane_n": 100, "reference_n": 4000, "ours": _BESIDE, "watched": ("judgements", "columns")}
_SPARSE["kinds"] = {**_KINDS, "judge": "numeric"}

SCENARIOS = (
    _judged("judged-large", "judged answers, mean quality from .80 to .70", _falls(0.1)),
    _judged("judged-small", "judged answers, mean quality from .80 to .77", _falls(0.03)),
    _judged(
        "judged-few",
        "people judge one answer in ten, mean quality from .80 to .76; a judge of all answers gives lower scores too",
        _few(0.04, judge_sees=True),
        **_SPARSE,
    ),
    _judged(
        "judged-few-mild",
        "people judge one answer in ten, mean quality from .80 to .76; a judge of all answers turns milder by as much",
        _few(0.04, judge_sees=False),
        **_SPARSE,
    ),
)
