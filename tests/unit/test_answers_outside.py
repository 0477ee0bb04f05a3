"""Answers that are none of the model's classes are wrong in every figure of accuracy, with labels or without."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from detectors.examples import Records, class_names, inputs, records, reference_of
from detectors.registry import build
from detectors.types import Outcome

_LABELS = ("negative", "positive")
_SHARE = 0.3
_NAMES = [("ppi", {}), ("cbpe", {"metric": "accuracy"}), ("cbpe_corrected", {}), ("cbpe_inputs", {"columns": ("input.age",)})]
_NAMES += [
    ("pape", {"metric": "accuracy", "columns": ("input.age",)}),
    ("pape", {"metric": "f1", "label": "positive", "columns": ("input.age",)}),
]


def with_others(rows: Records) -> Records:
    """Three answers of ten are "maybe"; their scores are as they were."""
    is_other = np.random.default_rng(7).random(rows.n) < _SHARE
    predicted = np.where(is_other, "maybe", rows.pairs.predicted).astype(object)
    columns = {**rows.columns, "output.label": predicted}
    return dataclasses.replace(rows, columns=columns, pairs=dataclasses.replace(rows.pairs, predicted=predicted))


@pytest.mark.parametrize(("name", "more"), _NAMES)
@pytest.mark.parametrize("is_usual", [False, True])
def test_an_answer_that_is_none_of_the_classes_is_wrong(name: str, more: dict[str, object], *, is_usual: bool) -> None:
    detector = build(name, labels=_LABELS, **more)
    assert class_names(detector) == _LABELS
    known = records(detector, 900, seed=0)
    reference = reference_of(detector, with_others(known) if is_usual else known)
    rows = with_others(records(detector, 1000, seed=1))
    state = detector.start(reference)
    for each in inputs(detector, [rows], reference):
        state, verdict = detector.step(state, each)
    answers, label = rows.pairs.predicted, rows.pairs.label
    right = answers == label
    true = 2 * (right & (label == "positive")).sum() / ((answers == "positive").sum() + (label == "positive").sum())
    assert verdict.low <= (right.mean() if more.get("metric") != "f1" else true) <= verdict.high, verdict.because
    assert verdict.outcome is (Outcome.OK if is_usual or name == "ppi" else Outcome.ALARM), verdict.because
