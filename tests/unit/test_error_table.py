"""What the detectors that explain are made of: logistic regression, the surprise of a label, weights, their state in the ledger."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from daemon.store import codec
from detectors.registry import build
from detectors.sequential.error_table import OUTPUTS, inputs_of, surprise, table_of
from detectors.sequential.logistic import fit, logits
from detectors.sequential.reweighting import effective_n, no_weights, opened, relearnt, taken
from detectors.types import Increment, Outcome, Pairs, Reference
from tests.statistical.causes import LABELS, World, pairs
from tests.statistical.explained import COLUMNS

THREE = ("a", "b", "c")


def objects(items: Any) -> Any:
    found = np.empty(len(items), dtype=object)
    found[:] = items
    return found


def test_the_regression_is_scikit_learn_s_with_its_ridge() -> None:
    rng = np.random.default_rng(0)
    rows = np.column_stack([rng.normal(size=(400, 3)), np.zeros(400)])
    y = rng.random(400) < 1.0 / (1.0 + np.exp(-(rows[:, 0] - 0.5)))
    weight = rng.uniform(0.5, 2.0, 400)
    other = LogisticRegression(C=0.25, tol=1e-10, max_iter=1000).fit(rows, y, sample_weight=weight)
    found = fit(rows, y, weight)
    np.testing.assert_allclose(found[:-1], other.coef_[0], atol=1e-4)
    assert found[-1] == pytest.approx(float(other.intercept_[0]), abs=1e-4)
    np.testing.assert_allclose(logits(found, rows), other.decision_function(rows), atol=1e-3)
    assert found[3] == 0.0


def test_the_surprise_of_three_classes_is_uniform_while_the_chance_of_error_is_right() -> None:
    rng, n = np.random.default_rng(1), 30_000
    scores = rng.dirichlet([4.0, 2.0, 1.0], n)
    truth = (rng.random(n)[:, None] > np.cumsum(scores, axis=1)).sum(axis=1).clip(0, 2)
    names, said = np.array(THREE, dtype=object), scores.argmax(axis=1)
    rows = Pairs(predicted=names[said], label=names[truth], scores=scores)
    found = surprise(rows, 1.0 - scores.max(axis=1), THREE, rng.random(n))
    counts = np.bincount((found * 20).astype(int).clip(0, 19), minlength=20)
    assert float(((counts - n / 20) ** 2 / (n / 20)).sum()) < 60.0  # chi-square of 19 degrees: P < 1e-5
    wrong = rows.loss > 0.0
    assert found[wrong].min() >= scores.max(axis=1)[wrong].min() - 1e-9


def test_what_a_model_was_asked_is_columns_and_traces_in_its_answer() -> None:
    scores = np.array([[0.7, 0.2, 0.1], [np.nan, np.nan, np.nan]])
    found = inputs_of({"input.x": np.zeros(2), "input.y": np.ones(2)}, objects(["a", None]), scores, ["input.x", "input.gone"])
    assert list(found) == ["input.x", *OUTPUTS]
    np.testing.assert_allclose(found["output.confidence"], [0.7, np.nan])
    np.testing.assert_allclose(found["output.margin"], [0.5, np.nan])
    assert "output.confidence" not in inputs_of({}, objects(["a"]), None, [])


def test_weights_are_near_the_true_density_ratio() -> None:
    rng = np.random.default_rng(2)
    bound = pairs(rng, 2048, World())
    table = table_of(bound, COLUMNS)
    assert table is not None
    now = pairs(rng, 512, World(inputs=0.5))
    codes = table.encode(inputs_of(now.columns, now.predicted, now.scores, COLUMNS), now.n)
    begun = opened(no_weights(table), table, codes)
    state = relearnt(taken(begun, codes), table)
    hold = bound.take(table.kept)
    true = np.exp(0.5 * (hold.columns["input.a"] + hold.columns["input.b"]) - 0.25)
    assert float(np.corrcoef(np.log(state.weight), np.log(true))[0, 1]) > 0.8
    assert 0.5 < effective_n(state.weight) / effective_n(true) < 1.5
    assert float(state.weight.mean()) == pytest.approx(1.0, abs=0.25)


@pytest.mark.parametrize("name", ["conformal_inputs", "conformal_given_inputs", "conformal_given_classes", "likely_errors"])
def test_a_state_goes_on_from_the_ledger_as_if_nothing_had_been(name: str) -> None:
    rng = np.random.default_rng(3)
    columns: dict[str, Any] = {} if name == "conformal_given_classes" else {"columns": COLUMNS}
    detector = build(name, labels=LABELS, alpha=1e-4, **columns)
    state = kept = detector.start(Reference(columns={}, kinds={}, sketches={}, bound=pairs(rng, 600, World()), digest=""))
    for i in range(12):
        found = pairs(rng, 60, World(inputs=1.0 if i > 4 else 0.0))
        at = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=i)
        records = {**found.columns, "output.label": found.predicted, "output.scores": found.scores}
        pane = Increment(start=at, end=at, columns=records, pairs=found, n=found.n)
        state, verdict = detector.step(state, pane)
        kept, other = detector.step(codec.decode(codec.encode(kept), type(kept)), pane)
        assert verdict == other
    assert codec.encode(kept) == codec.encode(state)
    assert len(codec.encode(kept)) < 150_000


def test_a_model_without_scores_is_compared_by_its_columns_and_answers() -> None:
    rng = np.random.default_rng(4)

    def bare(world: World, n: int) -> Pairs:
        found = pairs(rng, n, world)
        return Pairs(predicted=found.predicted, label=found.label, columns=found.columns)

    detector = build("conformal_given_inputs", labels=LABELS, columns=COLUMNS, alpha=1e-4)
    state = detector.start(Reference(columns={}, kinds={}, sketches={}, bound=bare(World(), 1000), digest=""))
    outcomes = []
    for i in range(30):
        at = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=i)
        pane = Increment(start=at, end=at, columns={}, pairs=bare(World(concept=0.3 if i > 9 else 0.0), 50))
        state, verdict = detector.step(state, pane)
        outcomes.append(verdict.outcome)
    assert Outcome.ALARM not in outcomes[:10]
    assert Outcome.ALARM in outcomes[10:]
