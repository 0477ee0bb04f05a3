"""Scenarios of labelled pairs with scores: confidences that say less or too much, a worse ranking, few labels among many scores."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import expit, ndtri

from tests.bench.detectors.case import Scenario
from tests.bench.detectors.errors import LABELS, OURS, PAIRS, vocabularies

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from tests.bench.detectors.case import Rows

    Floats = NDArray[np.float64]

KINDS = {**PAIRS, **{f"pairs.scores.{label}": "pair-number" for label in LABELS}}
SIZES: dict[str, Any] = {"pane_n": 50, "null": (20, 120), "drift": (28, 10, 30)}
CLASSES = {"labels": list(LABELS)}
SCORED: dict[str, dict[str, dict[str, Any]]] = {
    "retuned calibration_change": {"calibration_change": {**CLASSES, "tolerance": 0.0}},
    "retuned probability_ceiling, log loss": {"probability_ceiling": {**CLASSES, "max_rise": 0.001}},
    "retuned probability_ceiling, Brier": {"probability_ceiling": {**CLASSES, "max_rise": 0.001, "metric": "brier"}},
    "retuned auc_floor": {"auc_floor": {**CLASSES, "label": "positive", "max_drop": 0.001}},
    **{row: OURS[row] for row in ("retuned risk_change", "retuned accuracy_floor")},
}
_FEW: dict[str, dict[str, dict[str, Any]]] = {
    "retuned ppi_floor": {"ppi_floor": {**CLASSES, "max_drop": 0.001}},
    **{row: OURS[row] for row in ("retuned risk_change", "retuned risk_rise", "retuned accuracy_floor")},
}
_COLUMN: dict[str, dict[str, dict[str, Any]]] = {"retuned conformal_numeric of the scores": {"conformal_numeric": {}}}
_LABELLED = 0.1
"""Share of records with a label where labels are few."""


def scores(p: Floats) -> Rows:
    """Columns of the probability of the positive class."""
    return {"pairs.scores.negative": 1.0 - p, "pairs.scores.positive": p}


def answered(p: Floats, label: NDArray[np.bool_]) -> Rows:
    return {"pairs.predicted": (p > 0.5).astype(np.int64), "pairs.label": label.astype(np.int64), **scores(p)}


def _blunter(rng: np.random.Generator, much: Floats) -> Rows:
    """Confidences stay as they are and told the truth; then all of them are right as often as they are on average."""
    p = expit(rng.normal(0.0, 2.0, len(much)))
    confidence = np.maximum(p, 1.0 - p)
    is_right = rng.random(len(much)) < np.where(rng.random(len(much)) < much, confidence.mean(), confidence)
    return answered(p, np.where(is_right, p > 0.5, p <= 0.5))


def _surer(rng: np.random.Generator, much: Floats) -> Rows:
    """Log odds twice as large as those that told the truth; answers and labels stay."""
    logit = rng.normal(0.0, 1.5, len(much))
    p = expit(logit * (1.0 + much))
    return {**answered(p, rng.random(len(much)) < expit(logit)), "score": p}


def _ranked(before: float, after: float) -> Callable[[np.random.Generator, Floats], Rows]:
    """Three in ten positive; scores are posterior chances while the area under the curve is what it was."""

    def draw(rng: np.random.Generator, much: Floats) -> Rows:
        label = rng.random(len(much)) < 0.3
        apart, learnt = (np.sqrt(2.0) * ndtri(auc) for auc in (before + (after - before) * much, before))
        x = rng.normal(size=len(much)) + label * apart
        return answered(expit(learnt * x - learnt**2 / 2.0 + np.log(0.3 / 0.7)), label)

    return draw


def _few(rng: np.random.Generator, much: Floats) -> Rows:
    """One in five answers is unsure (right in 60 %, else 95 %), one in ten is labelled; a tenth of the right ones turns wrong."""
    confidence = np.where(rng.random(len(much)) < 0.2, 0.6, 0.95)
    rows = _sure(rng, confidence, confidence * (1.0 - 0.1 * much))
    return {**rows, "pairs.label": np.where(rng.random(len(much)) < _LABELLED, rows["pairs.label"], -1)}


def _harder(rng: np.random.Generator, much: Floats) -> Rows:
    """The same, and the share of unsure answers rises to two in five; a confidence says what it said."""
    confidence = np.where(rng.random(len(much)) < 0.2 + 0.2 * much, 0.6, 0.95)
    rows = _sure(rng, confidence, confidence)
    return {**rows, "pairs.label": np.where(rng.random(len(much)) < _LABELLED, rows["pairs.label"], -1), "confidence": confidence}


def _sure(rng: np.random.Generator, confidence: Floats, right: Floats) -> Rows:
    """Answers of a confidence and of a chance to be right."""
    given = rng.random(len(right)) < 0.5
    is_right = rng.random(len(right)) < right
    return answered(np.where(given, confidence, 1.0 - confidence), np.where(is_right, given, ~given))


def scored(name: str, says: str, draw: Any, **given: Any) -> Scenario:
    """Rivals watch errors and log losses, unless told otherwise."""
    usual = {"kinds": KINDS, "ours": SCORED, "watched": ("errors", "log loss")}
    return Scenario(id=name, says=says, draw=draw, vocabularies=vocabularies, **{**usual, **SIZES, **given})


_SPARSE: dict[str, Any] = {"pane_n": 100, "reference_n": 4000, "ours": _FEW}

SCENARIOS = (
    scored("calibration-blunt", "confidences that told the truth say nothing any more: accuracy and scores stay as they are", _blunter),
    scored(
        "calibration-too-sure",
        "scores' log odds double, answers and labels stay: the model is too sure of itself",
        _surer,
        kinds={**KINDS, "score": "numeric"},
        ours={**SCORED, **_COLUMN},
        watched=("errors", "log loss", "columns"),
    ),
    scored("auc-falls", "area under the curve from .90 to .82, three in ten positive", _ranked(0.9, 0.82)),
    scored(
        "few-labels-wrong",
        "one record in ten is labelled; a tenth of the right answers turns wrong, scores stay as they are",
        _few,
        watched=("errors", "log loss", "scores"),
        **_SPARSE,
    ),
    scored(
        "few-labels-unsure",
        "one record in ten is labelled; unsure answers, right in 60 %, go from a fifth to two fifths",
        _harder,
        kinds={**KINDS, "confidence": "numeric"},
        watched=("errors", "log loss", "columns"),
        **{**_SPARSE, "ours": {**_FEW, **_COLUMN}},
    ),
)
