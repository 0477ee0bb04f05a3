"""The one-look detectors agree with scipy, scikit-learn and fairlearn on the same raw data."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from fairlearn.metrics import (
    MetricFrame,
    accuracy_score_difference,
    demographic_parity_difference,
    demographic_parity_ratio,
    equal_opportunity_difference,
    equalized_odds_difference,
    false_negative_rate,
    false_negative_rate_difference,
    false_positive_rate,
    false_positive_rate_difference,
    make_derived_metric,
    selection_rate,
    true_positive_rate,
)
from scipy.spatial.distance import jensenshannon
from scipy.stats import binomtest, chi2_contingency, ks_2samp, kstwo, wasserstein_distance
from scipy.stats.contingency import association
from sklearn.metrics import accuracy_score, f1_score, precision_score, recall_score

from detectors.drift.ks import chance_of
from detectors.fairness.groups import OTHER, GroupRate, group_figures, named_groups
from detectors.fairness.intersection import intersections, joint_groups
from detectors.fairness.metric import GAPS
from detectors.registry import build
from detectors.sequential.fairness_gap import FairnessGap
from detectors.sketches.confusion import Confusion
from detectors.sketches.summary import summarise
from detectors.types import ColumnKind, Increment, Outcome, Pairs, PValue, Reference, Verdict, Window

if TYPE_CHECKING:
    from numpy.typing import NDArray

_KINDS = {"input.age": ColumnKind.NUMERIC, "input.channel": ColumnKind.CATEGORY}
_AT = datetime(2026, 1, 1, tzinfo=UTC)
_RNG_SEEDS = range(5)


def _reference(**columns: Any) -> Reference:
    named = {f"input.{name}": values for name, values in columns.items()}
    return Reference(columns=named, kinds=_KINDS, sketches=dict(summarise(named, _KINDS)), bound=Pairs.empty(), digest="d")


def _window(pairs: Pairs | None = None, **columns: Any) -> Window:
    named = {f"input.{name}": values for name, values in columns.items()}
    n = max([len(v) for v in named.values()] + [pairs.n if pairs else 0])
    sketches, confusion = dict(summarise(named, _KINDS)), Confusion().add(pairs or Pairs.empty())
    return Window(model="m", version="1", start=_AT, end=_AT, n_seen=n, n=n, sketches=sketches, confusion=confusion)


def _verdict(name: str, window: Window, reference: Reference | None = None, **settings: Any) -> Verdict:
    detector = build(name, **settings)
    verdict: Verdict = detector.step(detector.start(reference or _reference()), window)[1]
    return verdict


def _p(verdict: Verdict) -> float:
    assert isinstance(verdict.evidence, PValue)
    return verdict.evidence.p


@pytest.mark.parametrize("seed", _RNG_SEEDS)
@pytest.mark.parametrize("digits", [6, 0], ids=["distinct values", "ties"])
def test_ks_of_small_samples_is_scipys(seed: int, digits: int) -> None:
    rng = np.random.default_rng(seed)
    before, now = np.round(rng.normal(0.0, 3.0, 400), digits), np.round(rng.normal(0.3 * seed, 3.0, 250), digits)
    verdict = _verdict("ks", _window(age=now), _reference(age=before), column="input.age", alpha=0.05)
    oracle = ks_2samp(before.astype(np.float32), now.astype(np.float32), method="asymp")
    assert verdict.value == pytest.approx(oracle.statistic)
    assert _p(verdict) == pytest.approx(oracle.pvalue, abs=1e-3)  # scipy rounds n
    assert verdict.low <= oracle.statistic <= verdict.high
    assert verdict.n == 250


@pytest.mark.parametrize("n", [15, 40, 200, 5000])
def test_the_chance_of_a_gap_is_the_exact_one_and_never_too_small_where_alarms_are(n: int) -> None:
    gaps = np.linspace(0.2, 3.0, 200) / np.sqrt(n)
    exact, ours = kstwo.sf(gaps, n), np.asarray([chance_of(gap, n) for gap in gaps])
    assert np.abs(ours - exact).max() < 0.001
    assert (ours >= exact * 0.999)[exact < 0.05].all()


@pytest.mark.parametrize("seed", _RNG_SEEDS)
def test_ks_of_large_samples_is_scipys_within_the_sketches_error_and_never_surer(seed: int) -> None:
    rng = np.random.default_rng(seed)
    before, now = rng.normal(size=30_000), rng.normal(0.01 * seed, 1.0, 50_000)
    verdict = _verdict("ks", _window(age=now), _reference(age=before), column="input.age")
    oracle = ks_2samp(before, now, method="asymp")
    assert abs(verdict.value - oracle.statistic) <= 2 * 0.0028
    assert _p(verdict) >= oracle.pvalue
    assert verdict.low <= oracle.statistic <= verdict.high


@pytest.mark.parametrize("seed", _RNG_SEEDS)
def test_chi_square_is_scipys_without_yates(seed: int) -> None:
    rng = np.random.default_rng(seed)
    names = np.asarray(["web", "shop", "phone"], dtype=object)
    before, now = names[rng.choice(3, 500, p=[0.5, 0.3, 0.2])], names[rng.choice(3, 300, p=[0.4, 0.3, 0.3])]
    verdict = _verdict("chi_square", _window(channel=now), _reference(channel=before), column="input.channel")
    table = np.asarray([[(x == name).sum() for name in names] for x in (before, now)])
    oracle = chi2_contingency(table, correction=False)
    assert _p(verdict) == pytest.approx(oracle.pvalue)
    assert verdict.value == pytest.approx(association(table, method="cramer"))


def test_chi_square_pools_categories_that_are_too_rare_to_test() -> None:
    rare = [f"rare {i}" for i in range(8)]
    before = np.asarray(["web"] * 200 + ["shop"] * 200 + rare, dtype=object)
    now = np.asarray(["web"] * 130 + ["shop"] * 70 + rare, dtype=object)
    verdict = _verdict("chi_square", _window(channel=now), _reference(channel=before), column="input.channel")
    oracle = chi2_contingency([[200, 200, 8], [130, 70, 8]], correction=False)
    assert _p(verdict) == pytest.approx(2 * oracle.pvalue)  # half of the error rate is for the rare ones one by one


def test_chi_square_sees_a_category_vanish_though_it_is_expected_hardly_ever() -> None:
    before, now = np.asarray(["web"] * 40, dtype=object), np.asarray(["fax"] * 100_000, dtype=object)
    verdict = _verdict("chi_square", _window(channel=now), _reference(channel=before), column="input.channel")
    assert (verdict.outcome, verdict.value) == (Outcome.ALARM, pytest.approx(1.0))


@pytest.mark.parametrize("n", [2_000, 500_000])
def test_psi_sees_a_column_move_out_of_all_its_bins_also_when_sketches_round(n: int) -> None:
    before, now = np.arange(float(n)), np.arange(float(n)) + n
    verdict = _verdict("psi", _window(age=now), _reference(age=before), column="input.age")
    assert verdict.outcome is Outcome.ALARM
    assert 1.0 < verdict.low <= verdict.value <= verdict.high < 50.0


def test_chi_square_of_one_category_on_both_sides_finds_nothing() -> None:
    same = np.asarray(["web"] * 100, dtype=object)
    verdict = _verdict("chi_square", _window(channel=same), _reference(channel=same), column="input.channel")
    assert (_p(verdict), verdict.value, verdict.outcome) == (1.0, 0.0, Outcome.OK)


@pytest.mark.parametrize("seed", _RNG_SEEDS)
def test_jensen_shannon_is_scipys_with_missing_values_as_a_category(seed: int) -> None:
    rng = np.random.default_rng(seed)
    names = np.asarray(["web", "shop", None, "fax"], dtype=object)
    before, now = names[rng.choice(3, 500)], names[rng.choice(4, 300)]
    verdict = _verdict("jensen_shannon", _window(channel=now), _reference(channel=before), column="input.channel")
    p, q = (np.asarray([sum(v == name for v in x) for name in names]) / len(x) for x in (before, now))
    assert verdict.value == pytest.approx(float(jensenshannon(p, q, base=2)))
    assert verdict.low <= verdict.value <= verdict.high


@pytest.mark.parametrize("n", [500, 40_000], ids=["exact sketches", "sketches that round"])
def test_psi_is_its_formula_on_the_raw_deciles(n: int) -> None:
    rng = np.random.default_rng(1)
    before, now = rng.normal(size=n), rng.normal(0.3, 1.0, n)
    now[: n // 50] = np.nan
    verdict = _verdict("psi", _window(age=now), _reference(age=before), column="input.age")
    edges = np.sort(before)[np.arange(1, 10) * n // 10 - 1]
    counts = [np.append(np.bincount(np.searchsorted(edges, x[~np.isnan(x)]), minlength=10), np.isnan(x).sum()) for x in (before, now)]
    p, q = ((c + 0.5) / (c.sum() + 0.5 * len(c)) for c in counts)
    oracle = float(((q - p) * np.log(q / p)).sum())
    assert verdict.value == pytest.approx(oracle, rel=1e-6 if n == 500 else 0.1)
    assert verdict.low <= oracle <= verdict.high


@pytest.mark.parametrize("n", [500, 40_000], ids=["exact sketches", "sketches that round"])
@pytest.mark.parametrize("seed", _RNG_SEEDS)
def test_wasserstein_is_scipys_in_standard_deviations_of_the_reference(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    before, now = rng.lognormal(0.0, 1.0, n), rng.lognormal(0.1 * seed, 1.0, n)
    oracle = wasserstein_distance(before, now) / before.std(ddof=1)
    now[:: n // 50] = np.nan  # left out, at random
    kept = wasserstein_distance(before, now[~np.isnan(now)]) / before.std(ddof=1)
    verdict = _verdict("wasserstein", _window(age=now), _reference(age=before), column="input.age")
    assert verdict.value == pytest.approx(kept, abs=1e-5 if n == 500 else 0.05)
    assert verdict.low <= oracle <= verdict.high
    assert verdict.n == n - len(now[:: n // 50])


def test_wasserstein_of_a_constant_reference_has_no_unit_to_measure_in() -> None:
    verdict = _verdict("wasserstein", _window(age=np.arange(100.0)), _reference(age=np.ones(100)), column="input.age")
    assert verdict.outcome is Outcome.INSUFFICIENT
    assert "all numbers of the reference are the same" in verdict.because


def _shares(values: Any, names: Any) -> Any:
    return np.asarray([sum(v == name for v in values) for name in names]) / len(values)


@pytest.mark.parametrize("seed", _RNG_SEEDS)
def test_distances_of_categories_are_their_formulas_with_missing_values_as_a_category(seed: int) -> None:
    rng = np.random.default_rng(seed)
    names = np.asarray(["web", "shop", None, "fax"], dtype=object)
    before, now = names[rng.choice(3, 500)], names[rng.choice(4, 300)]
    p, q = _shares(before, names), _shares(now, names)
    oracles = {
        "hellinger": float(np.linalg.norm(np.sqrt(p) - np.sqrt(q)) / np.sqrt(2.0)),
        "total_variation": float(np.abs(p - q).sum() / 2.0),
        "l_infinity": float(np.abs(p - q).max()),
    }
    for name, oracle in oracles.items():
        verdict = _verdict(name, _window(channel=now), _reference(channel=before), column="input.channel")
        assert verdict.value == pytest.approx(oracle)
        assert verdict.low <= oracle <= verdict.high


@pytest.mark.parametrize("n", [500, 40_000], ids=["exact sketches", "sketches that round"])
def test_distances_of_binned_numbers_are_those_of_the_raw_deciles(n: int) -> None:
    rng = np.random.default_rng(1)
    before, now = rng.normal(size=n), rng.normal(0.3, 1.0, n)
    now[: n // 50] = np.nan
    edges = np.sort(before)[np.arange(1, 10) * n // 10 - 1]
    counts = [np.append(np.bincount(np.searchsorted(edges, x[~np.isnan(x)]), minlength=10), np.isnan(x).sum()) for x in (before, now)]
    p, q = (c / c.sum() for c in counts)
    oracles = {
        "jensen_shannon_numeric": float(jensenshannon(p, q, base=2)),
        "hellinger_numeric": float(np.linalg.norm(np.sqrt(p) - np.sqrt(q)) / np.sqrt(2.0)),
    }
    for name, oracle in oracles.items():
        verdict = _verdict(name, _window(age=now), _reference(age=before), column="input.age")
        assert verdict.value == pytest.approx(oracle, rel=1e-6 if n == 500 else 0.05)
        assert verdict.low <= oracle <= verdict.high


@pytest.mark.parametrize("name", ["jensen_shannon_numeric", "hellinger_numeric", "wasserstein"])
def test_a_column_that_moves_away_wholly_is_seen_also_when_sketches_round(name: str) -> None:
    before, now = np.arange(500_000.0), np.arange(500_000.0) + 500_000.0
    verdict = _verdict(name, _window(age=now), _reference(age=before), column="input.age")
    assert verdict.outcome is Outcome.ALARM
    assert 0.5 < verdict.low <= verdict.value <= verdict.high


def _pairs(seed: int, n: int = 300) -> Pairs:
    rng = np.random.default_rng(seed)
    names = np.asarray(["negative", "neutral", "positive"], dtype=object)
    label = rng.choice(3, n)
    predicted = np.where(rng.random(n) < 0.7, label, rng.choice(3, n))
    groups = {"age_band": np.asarray(["young", "old", "older"], dtype=object)[rng.choice(3, n)]}
    return Pairs(predicted=names[predicted], label=names[label], groups=groups)


@pytest.mark.parametrize("seed", _RNG_SEEDS)
def test_performance_is_scikit_learns(seed: int) -> None:
    pairs = _pairs(seed)
    window, truth, answer = _window(pairs), pairs.label.tolist(), pairs.predicted.tolist()
    assert _verdict("accuracy", window).value == pytest.approx(accuracy_score(truth, answer))
    for label in ("negative", "neutral", "positive"):
        for name, score in (("precision", precision_score), ("recall", recall_score), ("f1", f1_score)):
            oracle = score(truth, answer, labels=[label], average="macro")
            assert _verdict(name, window, label=label).value == pytest.approx(oracle)


def test_intervals_of_rates_are_scipys_exact_ones() -> None:
    pairs = _pairs(0)
    truth, answer = pairs.label, pairs.predicted
    tp, given = int(((truth == answer) & (answer == "positive")).sum()), int((answer == "positive").sum())
    either = int(((truth == "positive") | (answer == "positive")).sum())
    precision = _verdict("precision", _window(pairs), label="positive", alpha=0.1)
    exact = binomtest(tp, given).proportion_ci(confidence_level=0.9, method="exact")
    assert (precision.low, precision.high) == pytest.approx((exact.low, exact.high))
    assert precision.n == given
    f1 = _verdict("f1", _window(pairs), label="positive", alpha=0.1)
    jaccard = binomtest(tp, either).proportion_ci(confidence_level=0.9, method="exact")
    assert (f1.low, f1.high) == pytest.approx(tuple(2 * j / (1 + j) for j in (jaccard.low, jaccard.high)))


@pytest.mark.parametrize("seed", _RNG_SEEDS)
def test_fairness_is_fairlearns_on_the_raw_rows(seed: int) -> None:
    pairs = _pairs(seed)
    truth, answer, group = pairs.label == "positive", pairs.predicted == "positive", pairs.groups["age_band"]
    settings = {"by": "age_band", "positive": "positive", "min_n": 20}
    odds = _verdict("equalized_odds", _window(pairs), **settings)
    parity = _verdict("demographic_parity", _window(pairs), **settings)
    assert odds.value == pytest.approx(equalized_odds_difference(truth, answer, sensitive_features=group))
    assert parity.value == pytest.approx(demographic_parity_difference(truth, answer, sensitive_features=group))
    assert odds.low <= odds.value <= odds.high
    assert parity.n == pairs.n


_ORACLES = {
    "demographic_parity": demographic_parity_difference,
    "disparate_impact": demographic_parity_ratio,
    "equalized_odds": equalized_odds_difference,
    "rate_gap equal_opportunity_difference": equal_opportunity_difference,
    "rate_gap false_positive_rate_difference": false_positive_rate_difference,
    "rate_gap false_negative_rate_difference": false_negative_rate_difference,
    "rate_gap predictive_parity_difference": make_derived_metric(metric=precision_score, transform="difference"),
    "rate_gap accuracy_difference": accuracy_score_difference,
}


def _swapped(rng: np.random.Generator, groups: dict[str, NDArray[np.object_]]) -> Pairs:
    """Three classes; for the old the two that are not the favourable one are often taken for each other."""
    n = len(groups["age_band"])
    label, predicted = (rng.choice(np.array(["negative", "neutral", "positive"], dtype=object), n) for _ in range(2))
    predicted = np.where(rng.random(n) < 0.5, label, predicted)
    is_swapped = (groups["age_band"] == "old") & (label != "positive") & (predicted != "positive") & (rng.random(n) < 0.8)
    predicted[is_swapped] = np.where(label[is_swapped] == "neutral", "negative", "neutral")
    return Pairs(predicted=predicted, label=label, groups=groups)


@pytest.mark.parametrize("name", _ORACLES)
@pytest.mark.parametrize("by", ["age_band", "age_band & sex"])
def test_every_fairness_metric_is_fairlearns_also_by_intersections_and_with_weights(name: str, by: str) -> None:
    rng, n = np.random.default_rng(1), 900
    columns = {"age_band": ["young", "old", "older"], "sex": ["f", "m"]}
    groups = {column: rng.choice(np.array(names, dtype=object), n) for column, names in columns.items()}
    groups = joint_groups(groups, intersections(list(columns)))
    pairs = _swapped(rng, groups)
    weight = rng.choice([1.0, 3.0], pairs.n)
    weighed = Pairs(predicted=pairs.predicted, label=pairs.label, groups=groups, weight=weight)
    features = {"age_band": groups["age_band"], "age_band & sex": np.stack([groups["age_band"], groups["sex"]], axis=1)}[by]
    truth, answer = (x if "accuracy" in name else (x == "positive").astype(int) for x in (pairs.label, pairs.predicted))
    detector, *metric = name.split()
    verdict = _verdict(detector, _window(weighed), by=by, positive="positive", min_n=1, **({"metric": metric[0]} if metric else {}))
    expected = _ORACLES[name](truth, answer, sensitive_features=features, sample_weight=weight)
    assert verdict.value == pytest.approx(expected)
    assert verdict.low <= verdict.value <= verdict.high
    assert verdict.n > 0


@pytest.mark.parametrize("metric", GAPS)
def test_the_alarms_rates_are_fairlearns_of_three_classes(metric: str) -> None:
    rng, n = np.random.default_rng(2), 900
    pairs = _swapped(rng, {"age_band": rng.choice(np.array(["young", "old", "older"], dtype=object), n)})
    detector = build("fairness_gap", metric=metric, by="age_band", positive="positive")
    assert isinstance(detector, FairnessGap)
    x = detector.values(pairs)
    means = np.array([np.nanmean(x[pairs.groups["age_band"] == group], axis=0) for group in ("young", "old", "older")])
    truth, answer = (x if "accuracy" in metric else (x == "positive").astype(int) for x in (pairs.label, pairs.predicted))
    named = {"equalized_odds_difference": "equalized_odds", "demographic_parity_difference": "demographic_parity"}
    oracle = _ORACLES[named.get(metric, f"rate_gap {metric}")]
    assert (means.max(axis=0) - means.min(axis=0)).max() == pytest.approx(
        oracle(truth, answer, sensitive_features=pairs.groups["age_band"])
    )


def test_a_gap_between_the_classes_that_are_not_the_favourable_one_is_seen() -> None:
    rng = np.random.default_rng(3)
    pairs = _swapped(rng, {"age_band": rng.choice(np.array(["young", "old"], dtype=object), 2000)})
    settings = {"metric": "accuracy_difference", "by": "age_band", "positive": "positive"}
    assert _verdict("rate_gap", _window(pairs), **settings).outcome is Outcome.ALARM
    detector = build("fairness_gap", **settings)
    found = detector.step(detector.start(_reference()), Increment(start=_AT, end=_AT, columns={}, pairs=pairs))[1]
    assert found.outcome is Outcome.ALARM


def test_an_intersection_is_unknown_where_a_part_is_and_its_small_groups_are_named() -> None:
    age = np.asarray(["old"] * 100 + ["young"] * 100 + [None] * 3, dtype=object)
    sex = np.asarray((["f"] * 60 + ["m"] * 40) + ["f"] * 95 + ["m"] * 5 + ["f"] * 3, dtype=object)
    groups = joint_groups({"age_band": age, "sex": sex}, intersections(["age_band", "sex"]))
    assert groups["age_band & sex"][-1] is None
    label = np.asarray(["positive", "negative"] * 101 + ["positive"], dtype=object)
    window = _window(Pairs(predicted=label, label=label, groups=groups))
    verdict = _verdict("rate_gap", window, metric="accuracy_difference", by="age_band & sex", positive="positive", min_n=50)
    assert (verdict.value, verdict.n, verdict.outcome) == (0.0, 155, Outcome.OK)
    few = r"'old & m' \(40 labelled pairs, 50 are needed; accuracy shrunk 0.99\d, between 0.9\d\d and 1.000\); not judged: 'young & m' \(5 "
    assert re.search(few, verdict.because), verdict.because


@pytest.mark.parametrize("seed", _RNG_SEEDS)
def test_rates_of_groups_are_fairlearns_with_weights_and_unnamed_groups_are_one(seed: int) -> None:
    plain, rng = _pairs(seed), np.random.default_rng(seed)
    chance = np.where(plain.label == plain.predicted, 0.1, 0.9)  # what is labelled on purpose is what the model errs on
    pairs = Pairs(
        predicted=plain.predicted, label=plain.label, groups=plain.groups, weight=np.where(rng.random(300) < 0.9, 1.0 / chance, 2.0)
    )
    merged = np.where(pairs.groups["age_band"] == "older", OTHER, pairs.groups["age_band"])
    rates = {
        "positive": selection_rate,
        "true_positive": true_positive_rate,
        "false_positive": false_positive_rate,
        "false_negative": false_negative_rate,
        "precision": precision_score,
    }
    weight = {"sample_weight": pairs.weight}
    one = MetricFrame(
        metrics=rates,
        y_true=pairs.label == "positive",
        y_pred=pairs.predicted == "positive",
        sensitive_features=merged,
        sample_params=dict.fromkeys(rates, weight),
    )
    of_all = MetricFrame(
        metrics={"accuracy": accuracy_score},
        y_true=pairs.label,
        y_pred=pairs.predicted,
        sensitive_features=merged,
        sample_params={"accuracy": weight},
    )
    named = {"young", "old", "unseen"}
    found = list(group_figures(Confusion().add(pairs), by="age_band", positive="positive", named=named, min_n=1))
    assert {(f.group, str(f.rate)) for f in found} == {(g, r) for g in ("young", "old", OTHER) for r in GroupRate}
    for figure in found:
        oracle = of_all if figure.rate is GroupRate.ACCURACY else one
        assert figure.value == pytest.approx(oracle.by_group.loc[figure.group, str(figure.rate)])
        assert 0.0 <= figure.low <= figure.value <= figure.high <= 1.0
        assert figure.low < figure.high
    assert sum(f.n for f in found if f.rate is GroupRate.POSITIVE) == pairs.n


def test_a_rate_for_which_fewer_pairs_count_than_are_needed_is_drawn_towards_the_others_and_called_so() -> None:
    pairs = _pairs(0)
    least = min(int((pairs.label[pairs.groups["age_band"] == group] == "positive").sum()) for group in ("young", "old", "older"))
    named = {"young", "old", "older"}
    found = list(group_figures(Confusion().add(pairs), by="age_band", positive="positive", named=named, min_n=least + 1))
    of_accuracy, of_hits = ([f for f in found if f.rate is rate] for rate in (GroupRate.ACCURACY, GroupRate.TRUE_POSITIVE))
    assert [f.group for f in of_accuracy if not f.is_shrunk] == sorted(named)
    assert [f.n for f in of_hits if f.is_shrunk] == [least]
    assert {f.is_shrunk for f in found if f.n <= least} == {True}
    assert {f.is_shrunk for f in found if f.n > least} == {False}


def test_named_groups_are_the_references_largest_and_bounded() -> None:
    reference = {f"g{i}": i for i in range(30)}
    assert named_groups(reference) == {f"g{i}" for i in range(10, 30)}


def test_a_small_group_is_named_and_not_judged() -> None:
    pairs = _pairs(0)
    group = np.asarray(["young"] * 150 + ["old"] * 140 + ["older"] * 10, dtype=object)
    small = Pairs(predicted=pairs.predicted, label=pairs.label, groups={"age_band": group})
    verdict = _verdict("demographic_parity", _window(small), by="age_band", positive="positive")
    assert (verdict.outcome, verdict.n) == (Outcome.OK, 290)
    assert "'older' (10 labelled pairs, 50 are needed; positive shrunk 0." in verdict.because


def test_one_large_group_alone_is_insufficient() -> None:
    pairs = _pairs(0)
    group = np.asarray(["young"] * 290 + ["old"] * 10, dtype=object)
    alone = Pairs(predicted=pairs.predicted, label=pairs.label, groups={"age_band": group})
    for name in ("demographic_parity", "equalized_odds"):
        verdict = _verdict(name, _window(alone), by="age_band", positive="positive")
        assert (verdict.outcome, verdict.low, verdict.high) == (Outcome.INSUFFICIENT, 0.0, 1.0)


def test_a_group_whose_labels_are_all_the_same_has_no_odds_to_compare() -> None:
    pairs = _pairs(0)
    label = pairs.label.copy()
    group = np.asarray(["young", "old", "older"] * 100, dtype=object)
    label[group == "older"] = "positive"
    window = _window(Pairs(predicted=pairs.predicted, label=label, groups={"age_band": group}))
    verdict = _verdict("equalized_odds", window, by="age_band", positive="positive", min_n=20)
    assert verdict.n == 200
    assert "'older' (0 labelled pairs count for its false positive rate, 20 are needed; true positive shrunk 0." in verdict.because
    assert verdict.because.count("false positive shrunk") == 0  # nothing is known of it


def test_too_many_combinations_of_labels_are_no_classification() -> None:
    texts = np.asarray([f"answer {i}" for i in range(10_050)], dtype=object)
    verdict = _verdict("accuracy", _window(Pairs(predicted=texts, label=texts[::-1])))
    assert verdict.outcome is Outcome.INSUFFICIENT
    assert "is this a classification?" in verdict.because


def test_a_minimum_alarms_only_when_the_whole_interval_is_below_it() -> None:
    pairs = _pairs(0)
    value = _verdict("accuracy", _window(pairs))
    assert value.outcome is Outcome.OK
    assert _verdict("accuracy", _window(pairs), minimum=value.high - 0.001).outcome is Outcome.OK
    assert _verdict("accuracy", _window(pairs), minimum=value.high + 0.001).outcome is Outcome.ALARM


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("ks", {"column": "input.age", "alpha": 0.0}, r"alpha must be in \(0, 1\), got 0.0"),
        ("psi", {"column": "input.age", "bins": 1}, "bins must be at least 2"),
        ("jensen_shannon", {"column": "input.channel", "limit": 2.0}, r"limit must be in \(0, 1\), got 2.0; 0.1 is customary"),
        ("hellinger_numeric", {"column": "input.age", "bins": 1}, "bins must be at least 2"),
        ("wasserstein", {"column": "input.age", "limit": -1.0}, "limit must be in"),
        ("f1", {"label": "a", "minimum": 1.5}, "minimum must be in"),
        ("recall", {"label": "a", "min_n": 0}, "min_n must be at least 1, got 0"),
        ("equalized_odds", {"by": "age_band", "positive": "a", "maximum": 0.0}, r"maximum must be in \(0, 1\), got 0.0"),
    ],
)
def test_bad_settings_are_refused_with_value_and_rule(name: str, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build(name, **settings)
