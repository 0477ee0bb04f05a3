"""A window whose labels are all of one kind is known no better than so many labels can tell: no figure without a width, no rash alarm."""

from __future__ import annotations

import dataclasses
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.examples import N, Records, class_names, inputs, records, reference_of, window
from detectors.performance.rate import binomial
from detectors.registry import build, detector_class, names
from detectors.types import Detector, Kind, Outcome, Pairs, Reference, Verdict

_LABELS = ("negative", "positive")
_OF_CLASS = [(name, metric, label) for name in ("cbpe", "pape") for metric in ("precision", "recall", "f1", "roc_auc") for label in _LABELS]
_OF_CLASS += [("ppi_class", metric, label) for metric in ("precision", "recall", "f1") for label in _LABELS]
_MORE: dict[str, dict[str, Any]] = {"pape": {"columns": ("input.age",)}, "ppi_class": {"minimum": 0.8}}


def _figures() -> list[tuple[str, Detector]]:
    """Every detector of a figure with an interval that looks once, or at the latest records."""
    found = []
    for name in names():
        made = detector_class(name)
        if made.kind in {Kind.INFORMS, Kind.ESTIMATES} and made.__module__.startswith(("detectors.performance", "detectors.fairness")):
            found.append((name, made.example()))
    found += [
        (f"{name} {metric} {label}", build(name, metric=metric, label=label, labels=_LABELS, **_MORE.get(name, {})))
        for name, metric, label in _OF_CLASS
    ]
    found += [(f"macro {metric}", build("macro", metric=metric, labels=_LABELS, minimum=0.7)) for metric in ("precision", "recall")]
    return [*found, *((f"label_shift {label}", build("label_shift", label=label, labels=_LABELS)) for label in _LABELS)]


_FIGURES = dict(_figures())
_FEW_N = 5
"""Where 20 pairs are expected that a figure is of, fewer come once in 60,000 windows."""


@cache
def _started(name: str) -> tuple[Reference, Any]:
    detector = _FIGURES[name]
    reference = reference_of(detector, records(detector, N, seed=0))
    return reference, detector.start(reference)


def _of_one_kind(detector: Detector, n: int, seed: int, kind: str, sure: float) -> Records:
    """Rows of the detector's world with answers and truth of one kind: "right", "wrong", "one class" (right), "one class missed"."""
    rows, classes = records(detector, n, seed=seed), np.asarray(class_names(detector), dtype=object)
    pairs = rows.pairs
    if pairs.quality is not None:
        return dataclasses.replace(rows, pairs=dataclasses.replace(pairs, quality=np.full(n, float(kind in {"right", "one class"}))))
    if pairs.value is not None:
        value = np.full(n, 50.0) if kind.startswith("one class") else pairs.value
        answer = value + (0.0 if kind in {"right", "one class"} else 3.0)
        return dataclasses.replace(rows, pairs=dataclasses.replace(pairs, value=value, predicted_value=answer))
    rng = np.random.default_rng(seed)
    given = np.zeros(n, dtype=np.int64) if kind.startswith("one class") else rng.integers(0, 2, n)
    truth = given if kind in {"right", "one class"} else 1 - given
    scores = None if pairs.scores is None else np.where(np.arange(2) == given[:, None], sure, 1.0 - sure)
    made = Pairs(predicted=classes[given], label=classes[truth], groups=pairs.groups, columns=pairs.columns, scores=scores)
    columns = {**rows.columns, **({} if scores is None else {"output.scores": scores, "output.label": made.predicted})}
    return dataclasses.replace(rows, pairs=made, columns=columns)


def _verdict(name: str, rows: Records) -> Verdict:
    detector = _FIGURES[name]
    reference, state = _started(name)
    for each in inputs(detector, [rows], reference):
        state, verdict = detector.step(state, each)
    return verdict


@pytest.mark.parametrize("name", sorted(_FIGURES))
@settings(max_examples=40)
@given(
    n=st.integers(20, 400),
    seed=st.integers(0, 9),
    kind=st.sampled_from(["right", "wrong", "one class", "one class missed"]),
    sure=st.sampled_from([0.55, 0.9, 0.999, 1.0]),
)
def test_no_figure_of_labels_of_one_kind_is_known_exactly_and_none_alarms_where_the_exact_interval_would_not(
    name: str, n: int, seed: int, kind: str, sure: float
) -> None:
    rows = _of_one_kind(_FIGURES[name], n, seed, kind, sure)
    verdict = _verdict(name, rows)
    if verdict.outcome is Outcome.INSUFFICIENT:
        return
    assert verdict.high - verdict.low > 1e-6, verdict.because
    if verdict.outcome is not Outcome.ALARM or verdict.limit is None:
        return
    if name in {"ppi", "accuracy"}:
        hits = int((rows.pairs.predicted == rows.pairs.label).sum())
        assert binomial(hits, n, 0.05).high < verdict.limit, verdict.because
    if name.startswith("ppi_class "):
        made: Any = _FIGURES[name]
        exact = build(made.metric, label=made.label, minimum=verdict.limit)
        reference, _ = _started(name)
        said = exact.step(exact.start(reference), window(rows, reference, _LABELS))[1]
        assert said.outcome is Outcome.ALARM, (verdict.because, said.because)
    if name.startswith(("cbpe ", "pape ")):
        said = _labelled(name, rows, seed, verdict.limit)
        assert said.outcome is Outcome.ALARM or said.n >= _FEW_N, (verdict.because, said.because)


def _labelled(name: str, rows: Records, seed: int, limit: float) -> Verdict:
    """The figure of all these answers, were they labelled and right as often as the reference's: nine of ten."""
    made: Any = _FIGURES[name]
    is_right = np.random.default_rng([seed, 1]).random(rows.n) < 0.9
    label = np.where(is_right, rows.pairs.predicted, np.where(rows.pairs.predicted == _LABELS[0], _LABELS[1], _LABELS[0]))
    labelled = dataclasses.replace(rows, pairs=dataclasses.replace(rows.pairs, label=label))
    reference, _ = _started(name)
    found: Any = build(made.metric, label=made.label, minimum=limit, **({"labels": _LABELS} if made.metric == "roc_auc" else {}))
    verdict: Verdict = found.step(found.start(reference), window(labelled, reference, _LABELS))[1]
    if made.metric == "roc_auc" and verdict.outcome is Outcome.INSUFFICIENT:
        return dataclasses.replace(verdict, n=0)  # of one kind: there is nothing to rank
    return verdict
