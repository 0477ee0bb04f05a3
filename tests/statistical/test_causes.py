"""The detectors that explain: exact while nothing moves, and what they call concept, label and covariate shift when something does."""

from __future__ import annotations

import math
from datetime import UTC, datetime

import numpy as np
import pytest

from detectors.registry import build
from detectors.sequential import reweighting
from detectors.sequential.weighted_ranks import RANK_WEIGHTS, ranked, ranks_of
from detectors.types import Increment, Outcome, Reference
from tests.statistical.causes import LABELS, World, called, pairs, stream
from tests.statistical.explained import COLUMNS

ALPHA = 1e-5


def test_bets_on_ranks_have_mean_one_with_equal_weights_and_any_number_of_rows_since() -> None:
    """Exactly uniform ranks, in small references: E[bet] = 1 for each of the 47, over 1,000 fresh references."""
    rng, sums, n = np.random.default_rng(0), np.zeros(len(RANK_WEIGHTS)), 1000
    squares = sums.copy()
    for _ in range(n):
        scores = rng.integers(0, 6, 40) / 6.0  # heavy ties
        ranks = ranks_of(scores[:12])
        log_bets = np.zeros(len(RANK_WEIGHTS))
        for i in range(12, 24, 4):
            found, ranks = ranked(ranks, np.ones(12), scores[i : i + 4], rng.random((2, 4)))
            log_bets = log_bets + found
        sums += np.exp(log_bets)
        squares += np.exp(2.0 * log_bets)
    mean = sums / n
    error = np.sqrt((squares / n - mean**2) / n)
    assert (mean <= 1.0 + 5.5 * error + 0.01).all(), mean  # P(one of 47 beyond 5.5 errors) < 2e-6 by the normal tail


def test_weights_shift_the_ranks_to_where_production_is() -> None:
    """With the true density ratio, ranks of production are uniform; with weights of 1 they are not."""
    rng, n = np.random.default_rng(1), 4000
    before, now = rng.normal(size=n), rng.normal(0.8, 1.0, 600)
    true = np.exp(0.8 * before - 0.32)
    for weight, is_uniform in ((true, True), (np.ones(n), False)):
        bets, _ = ranked(ranks_of(before), weight, now, rng.random((2, len(now))))
        log10_e = math.log10(float(np.exp(bets - bets.max()) @ RANK_WEIGHTS)) + float(bets.max()) / math.log(10.0)
        assert (log10_e < 2.0) is is_uniform, log10_e


def test_while_nothing_moves_a_false_word_comes_as_rarely_as_stated() -> None:
    """Mean run of at least (1 - delta)/alpha panes: of 12 streams of 20 panes at alpha = 1/200 at most so many may be called."""
    streams, panes_n, ever = 12, 20, 0
    for seed in range(streams):
        found = stream(1000 + seed, World(), alpha=1.0 / 200.0, before_n=0, after_n=20 * panes_n, pane_n=20, reference_n=300)
        ever += any(v["conformal_given_inputs"].outcome is Outcome.ALARM for v in found)
    # E[M] <= panes at a stopping time: P(within 20 panes) <= 20/200 + delta = .11; P(Binomial(12, .11) > 8) < 1e-5
    assert ever <= 8


@pytest.mark.parametrize(
    ("world", "says", "least", "most"),
    [
        (World(inputs=0.7), "concept", 0, 1),
        (World(inputs=1.5), "concept", 0, 1),
        (World(concept=0.3), "concept", 4, 4),
        (World(inputs=0.7, concept=0.3), "concept", 3, 4),
        (World(yes_ratio=0.1), "concept", 0, 1),
    ],
    ids=["inputs", "inputs far", "concept", "both", "label"],
)
def test_concept_is_called_where_it_moved_and_hardly_ever_elsewhere(world: World, says: str, least: int, most: int) -> None:
    """Four streams each; the long form, with its table, is `python -m tests.statistical.causes 40`."""
    found = [called(stream(seed, world, alpha=ALPHA, before_n=500, after_n=1500)) for seed in range(4)]
    assert least <= sum(says in words for words in found) <= most, found


def test_moved_inputs_bring_weights_into_use_and_moved_shares_leave_the_classes_alone() -> None:
    found = stream(0, World(inputs=1.5), alpha=ALPHA)
    said = found[-1]["conformal_given_inputs"]
    assert said.outcome is Outcome.OK
    assert said.low < 0.0 < said.high
    assert "which moved as well" in said.because
    label = stream(0, World(yes_ratio=0.1), alpha=ALPHA)
    assert all(v["conformal_given_classes"].outcome is not Outcome.ALARM for v in label)


def test_inputs_that_no_reference_row_is_like_are_not_compared() -> None:
    found = stream(0, World(inputs=4.0), alpha=ALPHA)
    assert {v["conformal_given_inputs"].outcome for v in found} <= {Outcome.INSUFFICIENT, Outcome.OK}
    assert found[-1]["conformal_given_inputs"].outcome is Outcome.INSUFFICIENT


def test_labels_that_come_selectively_by_the_input_are_no_shift_of_concept() -> None:
    """Only unsure answers are labelled: their inputs have moved, what is right for them has not."""
    rng = np.random.default_rng(5)
    reference = Reference(columns={}, kinds={}, sketches={}, bound=pairs(rng, 1000, World()), digest="")
    detector = build("conformal_given_inputs", labels=LABELS, columns=COLUMNS, alpha=ALPHA)
    state, at = detector.start(reference), datetime(2026, 1, 1, tzinfo=UTC)
    for _ in range(40):
        many = pairs(rng, 150, World())
        assert many.scores is not None
        few = many.take(many.scores.max(axis=1) < 0.8)
        state, verdict = detector.step(state, Increment(start=at, end=at, columns={}, pairs=few))
        assert verdict.outcome is not Outcome.ALARM, verdict.because
    assert verdict.n > 200


def test_it_is_the_weights_that_keep_moved_inputs_from_being_called_concept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no sum over columns foretells the errors, only weights explain them: with weights of 1 an eighth are called concept."""
    world = World(inputs=1.0, hidden=True)

    def n_called() -> int:
        return sum("concept" in called(stream(seed, world, alpha=ALPHA, before_n=500, after_n=1500)) for seed in range(40))

    assert n_called() == 0
    monkeypatch.setattr(reweighting, "_weight", lambda table, *_: np.ones(len(table.hold)))
    assert n_called() >= 2
