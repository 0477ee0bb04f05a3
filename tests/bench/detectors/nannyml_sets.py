"""Scenarios from NannyML's bundled sets: their own change in the columns, and answers whose labels come five panes late.

`SCENARIOS` draw rows anew, with replacement, from before and after the change; `IN_ORDER` runs once through a set as it came. Which rows
those are, and how they were found, is in nannyml_rows.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tests.bench.detectors.case import Scenario
from tests.bench.detectors.errors import OURS, PAIRS
from tests.bench.detectors.nannyml_rows import SETS, read

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from tests.bench.detectors.case import Draw, Rows

    Floats = NDArray[np.float64]
    Places = Callable[[np.random.Generator, Floats], NDArray[np.int64]]
    Ours = Mapping[str, Mapping[str, Mapping[str, Any]]]

LATE_N = 250
"""Records that a label comes after."""
_LATEST, _CONFIDENCE = "latest.pairs.predicted", "output.score"


def drawn(name: str, share: float = 1.0) -> Places:
    """Rows drawn anew; where the change applies in full, so large a share of them comes from after it."""
    before_n, after_n = SETS[name].before_n, SETS[name].after_n

    def places(rng: np.random.Generator, much: Floats) -> NDArray[np.int64]:
        is_new = rng.random(len(much)) < much * share
        before, after = rng.integers(0, before_n, len(much)), rng.integers(0, after_n, len(much))
        return np.where(is_new, before_n + after, before)

    return places


def as_they_came(name: str) -> Places:
    """Quiet: drawn anew from before the change. Drifting: in order, so many before it as are not to be moved."""
    before_n = SETS[name].before_n

    def places(rng: np.random.Generator, much: Floats) -> NDArray[np.int64]:
        if not much.any():
            return rng.integers(0, before_n, len(much))
        return before_n - int((much == 0.0).sum()) + np.arange(len(much))

    return places


def _columns(name: str, places: Places) -> Draw:
    def draw(rng: np.random.Generator, much: Floats) -> Rows:
        rows = places(rng, much)
        return {column: values[rows] for column, values in read(name).columns.items()}

    return draw


def _late(name: str, places: Places, *, is_scored: bool) -> Draw:
    """Pairs in the order in which their labels come: of records five panes older than the latest ones.

    Answers and scores of those are there beside them, and the answer's score as a column: what needs no label need not wait for it.
    """

    def draw(rng: np.random.Generator, much: Floats) -> Rows:
        n, one = len(much), read(name)
        rows = places(rng, np.concatenate([np.zeros(LATE_N), much])[: n + LATE_N * is_scored])
        found = {"pairs.predicted": one.answer[rows[:n]], "pairs.label": one.truth[rows[:n]]}
        if not is_scored:
            return found
        latest = rows[LATE_N:]
        for at, label in enumerate(SETS[name].classes):
            found[f"pairs.scores.{label}"] = one.scores[rows[:n], at]
            found[f"latest.pairs.scores.{label}"] = one.scores[latest, at]
        return found | {_LATEST: one.answer[latest], _CONFIDENCE: one.scores[latest, one.answer[latest]]}

    return draw


_INPUTS: Ours = {"retuned conformal_numeric + conformal_category": {"conformal_numeric": {}, "conformal_category": {}}}
_NUMBERS: Ours = {
    **{f"retuned risk_value{kind}": {f"risk_value{kind}": {"tolerance": 0.0}} for kind in ("_change", "_rise", "")},
    "retuned conformal_residual": {"conformal_residual": {"tolerance": 0.0}},
    "retuned value_ceiling": {"value_ceiling": {"max_rise": 0.001}},
}


_BY_SCORE: Ours = {"retuned conformal_numeric (answer's score)": {"conformal_numeric": {}}}


def _of_scores(classes: Sequence[str]) -> Ours:
    labels = tuple(classes)
    found = {
        "retuned calibration_change": {"calibration_change": {"labels": labels, "tolerance": 0.0}},
        "retuned probability_ceiling": {"probability_ceiling": {"labels": labels, "max_rise": 0.001}},
    }
    if len(labels) == 2:
        found["retuned auc_floor"] = {"auc_floor": {"labels": labels, "label": labels[1], "max_drop": 0.001}}
    return found


def _of_columns(name: str, of: str, says: str, places: Places, **given: Any) -> Scenario:
    one = SETS[of]
    return Scenario(
        id=name,
        says=says,
        kinds=dict.fromkeys(one.numeric, "numeric") | dict.fromkeys(one.category, "category"),
        vocabularies=lambda: read(of).words,
        draw=_columns(of, places),
        **{"ours": _INPUTS, "null": (16, 120), "drift": (24, 6, 20), **given},
    )


def _of_answers(name: str, of: str, says: str, places: Places, *, is_scored: bool = False, **given: Any) -> Scenario:
    """Panes of 50: a label comes five of them after its record."""
    classes = SETS[of].classes
    kinds, ours, watched = dict(PAIRS), OURS, ()
    if not classes:
        kinds, ours, watched = dict.fromkeys(PAIRS, "pair-number"), _NUMBERS, ("absolute errors", "residuals")
    elif is_scored:
        scores = [f"{when}pairs.scores.{label}" for label in classes for when in ("", "latest.")]
        kinds |= {_LATEST: "pair", _CONFIDENCE: "numeric"} | dict.fromkeys(scores, "pair-number")
        ours, watched = {**OURS, **_of_scores(classes), **_BY_SCORE}, ("errors", "log loss", "columns")
    return Scenario(
        id=name,
        says=f"{says}, labels five panes late (in the delay)",
        kinds=kinds,
        vocabularies=lambda: dict.fromkeys((*PAIRS, _LATEST), classes),
        draw=_late(of, places, is_scored=is_scored),
        **{"ours": ours, "watched": watched, "pane_n": 50, "null": (16, 120), "drift": (32, 8, 24), **given},
    )


def _rates(of: str, share: float = 1.0) -> str:
    before, after = SETS[of].rates
    after = before + share * (after - before)
    if SETS[of].classes:
        return f"errors from {100.0 * before:.1f} to {100.0 * after:.1f} %"
    return f"mean absolute error of the logarithm from {before:.3f} to {after:.3f}"


_LOANS, _HOLES, _SAMPLE = "NannyML's car loans", "NannyML's car loans with holes", "NannyML's synthetic sample"
_CENSUS, _CARDS, _PRICES = "NannyML's employment census", "NannyML's cards, three classes", "NannyML's car prices"
_THIRD = "a third of the records come from after its own change"
_GROUPS = "households, then group quarters"

SCENARIOS = (
    _of_columns("nannyml-car-loan", "car-loan", f"{_LOANS}, 7 columns: {_THIRD}", drawn("car-loan", 1.0 / 3.0)),
    _of_answers(
        "nannyml-car-loan-late",
        "car-loan",
        f"{_LOANS} after its own change: {_rates('car-loan')}",
        drawn("car-loan"),
        null=(32, 120),
        drift=(48, 10, 30),
    ),
    _of_columns(
        "nannyml-car-loan-holes",
        "car-loan-holes",
        f"{_HOLES}, the 2 columns that have them, after its own change: missing from 10 to 22 %",
        drawn("car-loan-holes"),
        ours={**_INPUTS, "retuned missing_rise": {"missing_rise": {}}},
        watched=("columns", "missing values"),
    ),
    _of_answers("nannyml-sample-late", "sample", f"{_SAMPLE} after its own change: {_rates('sample')}", drawn("sample"), is_scored=True),
    _of_columns(
        "nannyml-employment",
        "employment",
        f"{_CENSUS}, 16 columns: a third of the records come from group quarters",
        drawn("employment", 1.0 / 3.0),
    ),
    _of_answers(
        "nannyml-employment-late", "employment", f"{_CENSUS}, {_GROUPS}: {_rates('employment')}", drawn("employment"), is_scored=True
    ),
    _of_answers(
        "nannyml-california-late",
        "california",
        f"NannyML's California housing, rows of its reference period, then of its analysis period: {_rates('california')}",
        drawn("california"),
        is_scored=True,
    ),
    _of_columns("nannyml-cards", "cards", f"{_CARDS}, 7 columns after its own change", drawn("cards")),
    _of_answers(
        "nannyml-cards-late", "cards", f"{_CARDS}: {_THIRD}, {_rates('cards', 1.0 / 3.0)}", drawn("cards", 1.0 / 3.0), is_scored=True
    ),
    _of_columns("nannyml-car-price", "car-price", f"{_PRICES}, 7 columns after its own change", drawn("car-price")),
    _of_answers(
        "nannyml-car-price-late",
        "car-price",
        f"{_PRICES} after its own change: {_rates('car-price')}",
        drawn("car-price"),
        null=(32, 120),
        drift=(48, 10, 30),
    ),
)
_PASSED: Sequence[tuple[str, str, dict[str, Any]]] = (
    ("car-loan", _LOANS, {}),
    ("employment", f"{_CENSUS}, {_GROUPS}", {}),
    ("cards", _CARDS, {}),
    ("car-price", _PRICES, {"watched": ("absolute errors",)}),
)
IN_ORDER = (
    *(_of_columns(f"in-order-{of}", of, says, as_they_came(of), null=(8, 120), drift=(1, 20, 20)) for of, says, _ in _PASSED),
    *(
        _of_answers(f"in-order-{of}-late", of, f"{says}: {_rates(of)}", as_they_came(of), null=(8, 120), drift=(1, 40, 40), **given)
        for of, says, given in _PASSED
    ),
)
"""One pass through each: its columns, and its late answers."""
