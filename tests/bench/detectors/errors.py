"""Scenarios of labelled pairs: errors rise, a model meets another concept, one group is treated otherwise."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tests.bench.detectors.case import Scenario

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from tests.bench.detectors.case import Rows

    Floats = NDArray[np.float64]

LABELS = ("negative", "positive")
PAIRS = {"pairs.predicted": "pair", "pairs.label": "pair"}
OURS: dict[str, dict[str, dict[str, Any]]] = {
    "retuned risk_change": {"risk_change": {"tolerance": 0.0}},
    "retuned risk_rise": {"risk_rise": {"tolerance": 0.0}},
    "retuned risk": {"risk": {"tolerance": 0.0}},
    "retuned accuracy_floor": {"accuracy_floor": {"max_drop": 0.001}},
}
_LABEL = {"label": "positive", "max_drop": 0.001}
FLOORS: dict[str, dict[str, dict[str, Any]]] = {
    "retuned f1_floor": {"f1_floor": _LABEL},
    "retuned precision_floor": {"precision_floor": _LABEL},
    "retuned recall_floor": {"recall_floor": _LABEL},
}
_GAP = {"by": "age_band", "positive": "positive"}
_GAPS: dict[str, dict[str, dict[str, Any]]] = {
    "retuned fairness_gap": {"fairness_gap": {**_GAP, "maximum": 0.1}},
    "retuned fairness_gap, any gap": {"fairness_gap": {**_GAP, "maximum": 0.001}},
    "retuned risk_change by age_band": {"risk_change": {"tolerance": 0.0, "within": "age_band"}},
    "retuned risk_rise by age_band": {"risk_rise": {"tolerance": 0.0, "within": "age_band"}},
}


def vocabularies() -> Mapping[str, Sequence[str]]:
    """Of the pairs."""
    return {"pairs.predicted": LABELS, "pairs.label": LABELS, "group.age_band": ("young", "old")}


def answered(is_wrong: NDArray[np.bool_], label: NDArray[np.int64]) -> Rows:
    """Pairs of a label and an answer that is wrong where said."""
    return {"pairs.predicted": np.where(is_wrong, 1 - label, label), "pairs.label": label}


def _rise(rng: np.random.Generator, much: Floats, before: float, after: float, positive: float = 0.5) -> Rows:
    label = (rng.random(len(much)) < positive).astype(np.int64)
    is_wrong = rng.random(len(much)) < before + (after - before) * much
    return answered(is_wrong, label)


def _errors(before: float, after: float, positive: float = 0.5) -> Callable[[np.random.Generator, Floats], Rows]:
    return lambda rng, much: _rise(rng, much, before, after, positive)


def _missed(rng: np.random.Generator, much: Floats) -> Rows:
    """A quarter is positive; of those the model misses a tenth, then three tenths."""
    label = (rng.random(len(much)) < 0.25).astype(np.int64)
    is_wrong = rng.random(len(much)) < np.where(label == 1, 0.1 + 0.2 * much, 0.05)
    return answered(is_wrong, label)


def _unfair(rng: np.random.Generator, much: Floats) -> Rows:
    """Two groups alike; then the true positive rate of one falls from 85 to 55 %."""
    label, old = rng.integers(0, 2, len(much)), rng.integers(0, 2, len(much))
    is_wrong = rng.random(len(much)) < 0.15 + 0.3 * much * (label & old)
    return {**answered(is_wrong, label), "group.age_band": old}


def pairs(name: str, says: str, draw: Any, **given: Any) -> Scenario:
    return Scenario(id=name, says=says, draw=draw, vocabularies=vocabularies, **{"kinds": PAIRS, "ours": OURS, "pane_n": 50, **given})


SCENARIOS = (
    pairs("errors-large", "labelled pairs, errors from 10 to 30 %", _errors(0.1, 0.3)),
    pairs("errors-small", "labelled pairs, errors from 10 to 15 %", _errors(0.1, 0.15)),
    pairs("errors-gradual", "labelled pairs, errors from 10 to 25 % over 20 panes", _errors(0.1, 0.25), profile="gradual"),
    pairs("errors-one-class", "labelled pairs, a quarter positive, missed ones from 10 to 30 %", _missed, ours={**OURS, **FLOORS}),
    pairs(
        "errors-one-group",
        "labelled pairs in two groups, the true positive rate of one from 85 to 55 %",
        _unfair,
        kinds={**PAIRS, "group.age_band": "pair"},
        ours={**OURS, **_GAPS},
        watched=("errors", "errors by age_band"),
    ),
)
