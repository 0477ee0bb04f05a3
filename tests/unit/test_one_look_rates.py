"""The one-look detectors' error rates and the coverage of their intervals.

Seeds are fixed: a failure is a change of the code, not bad luck. Were they not, the bounds would be passed by chance with P < 1e-6 each
(binomial tail, in log space), and 2,000 trials let a doubled alpha pass with P < 1e-3.
"""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from scipy.special import betainc, betaln, softmax
from scipy.stats import binom

from detectors.drift.cells import Cells
from detectors.drift.chi_square import squared_association
from detectors.drift.divergence import STABILITY_INDEX
from detectors.fairness.gap import gap_interval
from detectors.fairness.shrinkage import shrunk
from detectors.performance.f1 import f1_of
from detectors.performance.rate import binomial
from detectors.registry import build
from detectors.sketches.confusion import Confusion, Tally
from detectors.sketches.summary import summarise
from detectors.types import ColumnKind, Pairs, PValue, Reference, Window

_KINDS = {"input.age": ColumnKind.NUMERIC, "input.channel": ColumnKind.CATEGORY}
_NAMES = np.asarray(["web", "shop", "phone", "fax"], dtype=object)
_LOG_FLAKE = math.log(1e-6)


def _most(trials: int, rate: float) -> int:
    """The count that a binomial with this rate passes with P < 1e-6."""
    counts = np.arange(trials + 1)
    return int(counts[binom.logsf(counts, trials, rate) < _LOG_FLAKE][0])


def _look(detector: Any, before: Any, now: Any) -> Any:
    sketches = [dict(summarise({detector.subject: values}, _KINDS)) for values in (before, now)]
    reference = Reference(columns={}, kinds=_KINDS, sketches=sketches[0], bound=Pairs.empty(), digest="d")
    at = datetime(2026, 1, 1, tzinfo=UTC)
    n = len(now)
    window = Window(model="m", version="1", start=at, end=at, n_seen=n, n=n, sketches=sketches[1], confusion=Confusion())
    return detector.step(detector.start(reference), window)[1]


def _numbers(rng: np.random.Generator, n: int) -> Any:
    return rng.normal(size=n)


def _categories(rng: np.random.Generator, n: int) -> Any:
    return _NAMES[rng.choice(4, n, p=[0.5, 0.3, 0.15, 0.05])]


_LONG_TAIL = np.asarray([f"kind {i}" for i in range(200)], dtype=object)
_TAIL_SHARES = 1.0 / np.arange(1, 201) / (1.0 / np.arange(1, 201)).sum()


def test_chi_square_keeps_its_rate_when_most_categories_are_rare() -> None:
    rng, trials, alpha = np.random.default_rng(11), 500, 0.05
    detector = build("chi_square", column="input.channel", alpha=alpha)
    draws = ([_LONG_TAIL[rng.choice(200, n, p=_TAIL_SHARES)] for n in (300, 900)] for _ in range(trials))
    alarms = sum(_look(detector, *draw).outcome == "alarm" for draw in draws)
    assert alarms <= _most(trials, alpha)


@pytest.mark.parametrize(("name", "column", "draw"), [("ks", "input.age", _numbers), ("chi_square", "input.channel", _categories)])
def test_p_values_keep_their_rate_and_a_doubled_alpha_would_be_caught(name: str, column: str, draw: Any) -> None:
    rng, trials, alpha = np.random.default_rng(7), 2000, 0.05
    detector = build(name, column=column, alpha=alpha)
    found = []
    for _ in range(trials):
        evidence = _look(detector, draw(rng, 150), draw(rng, 100)).evidence
        assert isinstance(evidence, PValue)
        found.append(evidence.p)
    p = np.asarray(found)
    assert (p <= alpha).sum() <= _most(trials, alpha)
    assert (p <= 2.5 * alpha).sum() > _most(trials, alpha)  # the bound has teeth: a test at 2.5 alpha does not keep it
    assert binom.logcdf(_most(trials, alpha), trials, 2 * alpha) < math.log(1e-3)


def test_ks_stays_quiet_on_equal_distributions_whose_sketches_round() -> None:
    rng, trials = np.random.default_rng(8), 80
    detector = build("ks", column="input.age", alpha=0.05)
    alarms = sum(_look(detector, rng.normal(size=20_000), rng.normal(size=20_000)).outcome == "alarm" for _ in range(trials))
    assert alarms <= _most(trials, 0.07)  # alpha and the 1 in 100 of each sketch


@pytest.mark.parametrize("name", ["psi", "chi_square", "jensen_shannon"])
def test_intervals_of_distances_hold_the_truth_and_are_open_below_on_equal_distributions(name: str) -> None:
    rng, trials, alpha = np.random.default_rng(9), 250, 0.1
    column, is_numeric = ("input.age", True) if name == "psi" else ("input.channel", False)
    detector = build(name, column=column, alpha=alpha)
    misses = false_claims = 0
    for _ in range(trials):
        before = rng.choice(10, 2000).astype(np.float64) if is_numeric else _categories(rng, 500)
        now = rng.choice(10, 400, p=np.arange(5, 15) / 95).astype(np.float64) if is_numeric else _NAMES[rng.choice(4, 400)]
        quiet = rng.choice(10, 400).astype(np.float64) if is_numeric else _categories(rng, 400)
        verdict = _look(detector, before, now)
        misses += not verdict.low <= _true_distance(name) <= verdict.high
        false_claims += _look(detector, before, quiet).low > 0.0
    assert misses <= _most(trials, alpha)
    assert false_claims <= _most(trials, alpha / 2)


def _true_distance(name: str) -> float:
    if name == "psi":
        return STABILITY_INDEX.of(np.full(10, 0.1), np.arange(5, 15) / 95)
    p, q = np.asarray([0.5, 0.3, 0.15, 0.05]), np.full(4, 0.25)
    if name == "chi_square":
        return math.sqrt(squared_association(p, q, 500, 400).value)
    m = (p + q) / 2
    return math.sqrt(float((p * np.log2(p / m) + q * np.log2(q / m)).sum()) / 2)


_RARE, _MOSTLY = np.asarray([0.002, 0.998]), np.asarray([0.01, 0.99])
_FLAT = np.full(300, 1.0 / 300)
_WORLDS = {
    "some of each": (np.asarray([0.5, 0.3, 0.15, 0.05]), np.full(4, 0.25)),
    "a long tail, quiet": (_TAIL_SHARES, _TAIL_SHARES),
    "a long tail that moves": (_TAIL_SHARES, np.roll(_TAIL_SHARES, 5)),
    "hardly ever": (_RARE, _MOSTLY),
    "a category is born": (np.asarray([0.5, 0.5, 0.0]), np.asarray([0.4, 0.4, 0.2])),
    "all rare, quiet": (_FLAT, _FLAT),
}


@pytest.mark.parametrize("world", _WORLDS)
@pytest.mark.parametrize("name", ["jensen_shannon", "hellinger", "psi_category", "total_variation", "l_infinity"])
def test_intervals_of_category_distances_hold_the_truth_also_where_cells_are_rare(name: str, world: str) -> None:
    (p, q), rng, trials, alpha = _WORLDS[world], np.random.default_rng(12), 200, 0.1
    detector: Any = build(name, column="input.channel", alpha=alpha)
    is_index = name == "psi_category"  # of shares with half a record in each cell: that is what its truth is too
    truth = detector.measured(Cells(p * 900, q * 400) if is_index else Cells(p * 1e9, q * 1e9)).value
    misses = 0
    for _ in range(trials):
        before, now = rng.multinomial(900, p), rng.multinomial(400, q)
        is_seen = before + now > 0
        figure = detector.measured(Cells(before[is_seen].astype(float), now[is_seen].astype(float)))
        misses += not figure.low - 1e-9 <= truth <= figure.high + 1e-9
        assert figure.low <= figure.value <= figure.high
    assert misses <= _most(trials, alpha)


def _ages(rng: np.random.Generator, n: int, world: str, *, is_now: bool) -> Any:
    match world:
        case "shift":
            return rng.normal(0.5 * is_now, 1.0, n)
        case "spread":
            return rng.normal(0.0, 1.0 + is_now, n)
        case "far":
            return rng.normal(8.0 * is_now, 1.0, n)
        case "heavy tail":
            return rng.lognormal(0.3 * is_now, 1.0, n)
        case _:
            return rng.poisson(2.0 + 0.5 * is_now, n).astype(np.float64)


@pytest.mark.parametrize("world", ["shift", "spread", "far", "heavy tail", "ties"])
@pytest.mark.parametrize("name", ["wasserstein", "hellinger_numeric", "jensen_shannon_numeric"])
def test_intervals_of_numeric_distances_hold_the_truth(name: str, world: str) -> None:
    rng, trials, alpha = np.random.default_rng(13), 80, 0.1
    detector = build(name, column="input.age", alpha=alpha)
    large = (_ages(rng, 100_000, world, is_now=is_now) for is_now in (False, True))
    truth = _look(detector, *large).value
    looks = [_look(detector, *(_ages(rng, n, world, is_now=n == 300) for n in (700, 300))) for _ in range(trials)]
    assert sum(not look.low <= truth <= look.high for look in looks) <= _most(trials, alpha)
    quiet = [_look(detector, *(_ages(rng, n, world, is_now=False) for n in (700, 300))) for _ in range(trials)]
    assert sum(look.low > 0.0 for look in quiet) <= _most(trials, alpha / 2)


@pytest.mark.parametrize("n", [5, 20, 100])
def test_exact_intervals_cover_every_rate_at_every_n(n: int) -> None:
    hits = np.arange(n + 1)
    rates, scores = [binomial(int(k), n, 0.05) for k in hits], [f1_of(binomial(int(k), n, 0.05)) for k in hits]
    for truth in np.linspace(0.001, 0.999, 97):
        chance = binom.pmf(hits, n, truth)
        assert chance[[r.low <= truth <= r.high for r in rates]].sum() >= 0.95
        assert chance[[s.low <= 2 * truth / (1 + truth) <= s.high for s in scores]].sum() >= 0.95


def _fraction(hits: int, n: int) -> tuple[Tally, Tally]:
    return Tally(hits, hits, hits), Tally(n, n, n)


def test_a_small_groups_rate_is_drawn_to_the_others_and_alike_groups_to_one_another() -> None:
    apart = [rate.value for rate in shrunk([_fraction(20, 100), _fraction(400, 500), _fraction(6, 6)])]
    assert apart == pytest.approx([0.2, 0.8, 1.0], abs=0.1)
    assert 0.7 < apart[2] < 1.0
    every, first = (shrunk([_fraction(3, 5), _fraction(400, 500)], has_ends=ends) for ends in (None, [True, False]))
    assert first == [every[0], replace(every[1], low=0.0, high=1.0)]
    alike = shrunk([_fraction(50, 100), _fraction(54, 100)])
    assert 0.02 < alike[1].value - alike[0].value < 0.03  # 0.04 apart
    (alone,) = shrunk([_fraction(3, 3)])
    assert alone.low < 0.5
    assert 0.7 < alone.value < alone.high
    rng, error = np.random.default_rng(3), np.zeros(2)
    for _ in range(300):
        truth, n = rng.beta(12.0, 8.0, 12), rng.integers(5, 60, 12)
        hits = rng.binomial(n, truth)
        drawn = [rate.value for rate in shrunk([_fraction(int(k), int(m)) for k, m in zip(hits, n, strict=True)])]
        error += [((hits / n - truth) ** 2).mean(), ((np.array(drawn) - truth) ** 2).mean()]
    assert error[1] < 0.75 * error[0]


@pytest.mark.parametrize(("hits", "n"), [([20, 400, 6], [100, 500, 6]), ([0, 900], [3, 1000]), ([40, 45, 38, 2], [50, 50, 50, 5])])
def test_a_drawn_rate_is_that_of_the_whole_model_on_a_fine_grid(hits: list[int], n: list[int]) -> None:
    m, u = (x.ravel() for x in np.meshgrid(np.linspace(0.0, 1.0, 241)[1:-1], np.linspace(0.01, 1.0, 90)))
    a, b = m / u**2, (1.0 - m) / u**2
    w = softmax(sum(betaln(a + k, b + of - k) - betaln(a, b) for k, of in zip(hits, n, strict=True)))
    is_likely = w > 1e-6
    w, a, b = w[is_likely], a[is_likely], b[is_likely]
    for found, k, of in zip(shrunk([_fraction(*one) for one in zip(hits, n, strict=True)]), hits, n, strict=True):
        assert found.value == pytest.approx(w @ ((a + k) / (a + b + of)), abs=0.005)
        ends = (found.low, found.low + 0.01, found.high - 0.01, found.high)
        below = [float(w @ betainc(a + k, b + of - k, end)) for end in ends]
        assert below[0] <= 0.03
        assert below[1] >= 0.02
        assert below[2] <= 0.98
        assert below[3] >= 0.97


@pytest.mark.parametrize(("a", "b", "groups_n"), [(18.0, 2.0, 3), (12.0, 8.0, 12), (900.0, 100.0, 2), (2.0, 1.0, 3)])
def test_the_interval_of_a_drawn_rate_about_holds_over_groups_that_are_alike_as_draws_are(a: float, b: float, groups_n: int) -> None:
    rng, held, width = np.random.default_rng(5), [], []
    for _ in range(300):
        truth, n = rng.beta(a, b, groups_n), np.r_[rng.integers(1, 10), rng.integers(1, 300, groups_n - 1)]
        hits = rng.binomial(n, truth)
        small = shrunk([_fraction(int(k), int(of)) for k, of in zip(hits, n, strict=True)])[0]
        held.append(small.low <= truth[0] <= small.high)
        exact = binomial(int(hits[0]), int(n[0]), 0.05)
        width.append((small.high - small.low) / (exact.high - exact.low))
    assert np.mean(held) > 0.92
    assert np.mean(width) < 0.85


def test_the_interval_of_a_gap_covers_the_largest_true_gap_of_many_groups() -> None:
    rng, trials, alpha = np.random.default_rng(10), 1000, 0.1
    truth, sizes = np.asarray([0.5, 0.6, 0.62, 0.75]), [60, 200, 90, 120]
    misses = 0
    for _ in range(trials):
        low, high = gap_interval([[_fraction(int(rng.binomial(n, p)), n) for p, n in zip(truth, sizes, strict=True)]], alpha)
        misses += not low <= 0.25 <= high
    assert misses <= _most(trials, alpha)
    assert gap_interval([[_fraction(5000, 10_000), _fraction(7500, 10_000)]], alpha) == pytest.approx((0.25, 0.25), abs=0.02)
