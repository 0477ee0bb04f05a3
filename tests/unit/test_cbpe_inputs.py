"""Accuracy without labels, by scores and inputs: near the truth where inputs say what scores do not, else the scores' figure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.isotonic import IsotonicRegression

from detectors.performance.exact_calibration import calibrate_exactly
from detectors.performance.residual_trees import grown
from detectors.registry import build
from detectors.types import Increment, Outcome, Pairs, Reference

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from detectors.types import Verdict

_LABELS = ("no", "yes")
_COLUMNS = ("input.x", "input.region", "input.constant")
_AT = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class Traffic:
    """Records with what is right for them."""

    columns: dict[str, NDArray[Any]]
    pairs: Pairs

    @property
    def accuracy(self) -> float:
        return 1.0 - float(self.pairs.loss.mean())


def _traffic(rng: np.random.Generator, n: int = 1000, *, south: float = 0.3, x: float = 0.0, honesty: float = 0.0) -> Traffic:
    """Scores are honest in the north; in the south the true logit is `honesty` times theirs where x > 0."""
    is_south, number = rng.random(n) < south, rng.normal(x, 1.0, n)
    z = rng.normal(0.0, 2.0, n)
    said = 1.0 / (1.0 + np.exp(-z))
    chance = 1.0 / (1.0 + np.exp(-z * np.where(is_south & (number > 0.0), honesty, 1.0)))
    names, label = np.asarray(_LABELS, dtype=object), (rng.random(n) < chance).astype(np.int64)
    region = np.where(is_south, "south", "north").astype(object)
    columns: dict[str, NDArray[Any]] = {"input.x": number, "input.region": region, "input.constant": np.ones(n)}
    scores, answer = np.column_stack([1.0 - said, said]), names[(said > 0.5).astype(np.int64)]
    pairs = Pairs(predicted=answer, label=names[label], scores=scores, columns=columns)
    return Traffic(columns={**columns, "output.label": answer, "output.scores": scores}, pairs=pairs)


def _pane(now: Traffic) -> Increment:
    return Increment(start=_AT, end=_AT, columns=now.columns, pairs=Pairs.empty(), n=now.pairs.n)


def _reference(known: Traffic) -> Reference:
    return Reference(columns=known.columns, kinds={}, sketches={}, bound=known.pairs, digest="made")


def _said(known: Traffic, now: Traffic, columns: tuple[str, ...] = _COLUMNS) -> Verdict:
    detector = build("cbpe_inputs", labels=_LABELS, columns=columns)
    return detector.step(detector.start(_reference(known)), _pane(now))[1]


def _by_scores(known: Traffic, now: Traffic) -> float:
    assert known.pairs.scores is not None
    assert now.pairs.scores is not None
    truth, answer = known.pairs.label == "yes", now.pairs.predicted == "yes"
    chance = IsotonicRegression(out_of_bounds="clip").fit(known.pairs.scores[:, 1], truth).predict(now.pairs.scores[:, 1])
    return float(np.where(answer, chance, 1.0 - chance).mean())


@pytest.mark.parametrize("seed", [1, 2])
def test_the_calibrator_is_isotonic_regression_as_scikit_learn_fits_it(seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth, weight = rng.integers(0, 3, 700), rng.uniform(0.5, 4.0, 700)
    scores = rng.dirichlet(np.ones(3), 700).round(3 if seed == 1 else 12)
    found, asked, answer = calibrate_exactly(scores, truth, weight), rng.dirichlet(np.ones(3), 300), rng.integers(0, 3, 300)
    chance, block = found.read(asked, answer)
    for j in range(3):
        oracle = IsotonicRegression(out_of_bounds="clip").fit(scores[:, j], truth == j, weight)
        assert chance[answer == j] == pytest.approx(oracle.predict(asked[answer == j, j]), abs=1e-9)
    assert ((found.first[answer] <= block) & (block < found.first[answer + 1])).all()
    assert found.n == pytest.approx(weight.sum() ** 2 / (weight**2).sum())


def test_trees_find_a_mean_that_depends_on_two_columns_about_as_well_as_scikit_learns() -> None:
    rng = np.random.default_rng(3)
    codes = rng.integers(0, 64, (6000, 5)).astype(np.uint8)
    mean = np.where(codes[:, 0] > 40, -0.3, 0.1) + np.where((codes[:, 1] < 20) & (codes[:, 2] > 30), 0.2, 0.0)
    residual = mean + rng.normal(0.0, 0.4, 6000)
    trees = grown(codes[:4000], residual[:4000])
    found = trees.read(codes[4000:])[0].mean(axis=1) + trees.centre
    oracle = HistGradientBoostingRegressor(max_iter=100, max_depth=3, learning_rate=0.1, random_state=0).fit(codes[:4000], residual[:4000])
    off, off_oracle = (float(((x - mean[4000:]) ** 2).mean()) for x in (found, oracle.predict(codes[4000:])))
    assert off < 0.1 * mean.var()
    assert off < 1.5 * off_oracle
    assert trees.t > 10.0


def test_trees_of_noise_have_nothing_to_say() -> None:
    rng = np.random.default_rng(4)
    told = [grown(rng.integers(0, 64, (1000, 6)).astype(np.uint8), rng.normal(size=1000)).t for _ in range(4)]
    assert max(told) < 2.5


def test_effective_rows_are_counted_as_by_hand() -> None:
    """300 rows of 3,000 lie beyond the only cut that says something: all of production there is read from these."""
    rng = np.random.default_rng(5)
    codes = np.where(np.arange(3000) % 10 == 0, 9, 1).astype(np.uint8)[:, None]
    trees = grown(codes, np.where(codes[:, 0] > 5, -0.5, 0.05) + rng.normal(0.0, 0.1, 3000))
    assert trees.like(trees.read(np.full((50, 1), 9, np.uint8))[1]) == pytest.approx(300.0)
    assert trees.like(trees.read(codes)[1]) == pytest.approx(3000.0)


@pytest.mark.parametrize(("n", "least"), [pytest.param(5, 3, id="short"), pytest.param(100, 88, id="full", marks=pytest.mark.prove)])
def test_where_inputs_move_to_dishonest_scores_it_is_near_and_scores_alone_are_far(n: int, least: int) -> None:
    off, alone, held, read = [], [], 0, 0
    for seed in range(n):
        rng = np.random.default_rng([6, seed])
        known, now = _traffic(rng, 5000), _traffic(rng, south=0.8, x=0.7)
        said = _said(known, now)
        off.append(abs(said.value - now.accuracy))
        alone.append(abs(_by_scores(known, now) - now.accuracy))
        held += said.low <= now.accuracy <= said.high
        read += "by scores and inputs of the last 1000 answers" in said.because
    assert np.mean(alone) > 0.06
    assert np.mean(off) < 0.4 * np.mean(alone)
    assert read >= 0.9 * n
    assert held >= least, f"{held} of {n} intervals hold the realised accuracy"


def test_where_inputs_say_no_more_than_the_score_it_is_the_scores_figure_and_says_so() -> None:
    rng = np.random.default_rng(7)
    known, now = _traffic(rng, 2000, honesty=1.0), _traffic(rng, south=0.9, x=1.0, honesty=1.0)
    said = _said(known, now)
    assert said.value == pytest.approx(_by_scores(known, now), abs=1e-6)
    assert said.low <= now.accuracy <= said.high
    assert "by the scores of the last 1000 answers alone (inputs are not read: better by" in said.because


def test_production_that_hardly_any_labelled_row_is_like_gets_no_figure() -> None:
    rng = np.random.default_rng(8)
    known, now = _traffic(rng, 3000, south=0.03, x=3.0, honesty=-4.0), _traffic(rng, south=1.0, x=3.0)
    said = _said(known, now)
    assert said.outcome is Outcome.INSUFFICIENT
    assert "labelled reference rows count for inputs like these (needs 100)" in said.because


def test_a_drop_below_the_floor_alarms_by_inputs_and_the_pool_is_of_the_latest_records() -> None:
    rng = np.random.default_rng(9)
    known, detector = _traffic(rng, 5000), build("cbpe_inputs", labels=_LABELS, columns=_COLUMNS, minimum=0.7)
    state, told = detector.start(_reference(known)), []
    for n, south in ((1000, 0.3), (400, 1.0), (600, 1.0)):
        now = _traffic(rng, n, south=south, x=2.0 if south == 1.0 else 0.0)
        state, said = detector.step(state, _pane(now))
        told.append((said.outcome, said.n))
    assert told == [(Outcome.OK, 1000), (Outcome.OK, 1000), (Outcome.ALARM, 1000)]


def test_hostile_values_are_read_as_missing_or_as_any_other_and_equal_data_give_equal_figures() -> None:
    rng = np.random.default_rng(10)
    known, now = _traffic(rng, 5000), _traffic(rng)
    number, region = now.columns["input.x"].copy(), now.columns["input.region"].copy()
    number[:400] = np.repeat([np.nan, np.inf, -np.inf, 1e308], 100)
    region[400:700], region[700:800] = "never seen", None
    scores, answers = now.columns["output.scores"].copy(), now.columns["output.label"].copy()
    scores[:100, 0], answers[100:200] = np.nan, "maybe"
    torn = replace(
        now, columns={**now.columns, "input.x": number, "input.region": region, "output.scores": scores, "output.label": answers}
    )
    first, second = _said(known, torn), _said(known, torn)
    assert first == second
    assert first.n == 900  # "maybe" is wrong
    assert 0.0 < first.low < first.high < 1.0
    gone = replace(now, columns={k: v for k, v in now.columns.items() if k != "input.x"})
    assert _said(known, gone).n == 1000


def test_it_is_of_accuracy_alone() -> None:
    with pytest.raises(ValueError, match="it is of accuracy"):
        build("cbpe_inputs", labels=_LABELS, metric="f1", label="yes")
