"""Sequential detectors one step at a time: what is a step, what is insufficient, what a figure means; oracles for bounds and bets."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import binomtest

from detectors.combine import e_bh, mean_e_detector
from detectors.fairness.metric import GAPS
from detectors.registry import build
from detectors.sequential import witness
from detectors.sequential.gap import curves, log_e_gap
from detectors.sequential.interval import MeanSequence, lower_share, share_sequence, upper_share
from detectors.sequential.mean_bets import log_above, log_below, sums_of
from detectors.sequential.paired import PairedOutcome, start_paired, step_paired
from detectors.types import EDetectorValue, EValue, Increment, Outcome, Pairs, Reference


def objects(values: Any) -> NDArray[np.object_]:
    items = list(values)
    found = np.empty(len(items), dtype=object)
    found[:] = items
    return found


def increment(i: int = 0, *, pairs: Pairs | None = None, x: NDArray[Any] | None = None) -> Increment:
    start = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=i)
    columns = {} if x is None else {"input.x": x}
    return Increment(start=start, end=start + timedelta(minutes=1), columns=columns, pairs=pairs or Pairs.empty())


def reference(x: NDArray[Any] | None = None, bound: Pairs | None = None) -> Reference:
    return Reference(columns={} if x is None else {"input.x": x}, kinds={}, sketches={}, bound=bound or Pairs.empty(), digest="0")


def pairs(right: int, wrong: int, group: str | None = None) -> Pairs:
    label = objects(["positive"] * (right + wrong))
    predicted = objects(["positive"] * right + ["negative"] * wrong)
    groups = {} if group is None else {"age_band": objects([group] * (right + wrong))}
    return Pairs(predicted=predicted, label=label, groups=groups)


@pytest.mark.parametrize(("k", "n"), [(0, 40), (3, 40), (20, 40), (40, 40)])
def test_share_bounds_agree_with_scipy(k: int, n: int) -> None:
    oracle = binomtest(k, n).proportion_ci(confidence_level=0.98, method="exact")
    np.testing.assert_allclose([lower_share(k, n, 0.01), upper_share(k, n, 0.01)], [oracle.low, oracle.high], atol=1e-9)


def test_a_confidence_sequence_holds_the_share_and_shrinks() -> None:
    widths = []
    for n in (10, 100, 1000, 10_000):
        low, high = share_sequence(n // 5, n, 0.05)
        assert low < 0.2 < high
        widths.append(high - low)
    assert widths == sorted(widths, reverse=True)
    assert share_sequence(0, 0, 0.05) == (0.0, 1.0)


@pytest.mark.parametrize("k", [0.02, 0.92, 0.98, 1.0 - 1e-12])
def test_one_loss_that_is_nearly_the_largest_has_an_interval(k: float) -> None:
    low, high = share_sequence(k, 1.0, 0.05)
    assert 0.0 <= low < k < high <= 1.0


def test_an_e_value_of_a_gap_is_the_best_null_by_brute_force_and_falls_as_the_gap_rises() -> None:
    rng = np.random.default_rng(0)
    for low, high in ((0.05, 0.4), (0.6, 0.95), (0.3, 0.8)):
        x, w = ((rng.random((n, 1)) < m).astype(float) for n, m in ((90, high), (400, low))), rng.uniform(0.2, 1.0, 400)
        a, b = (sums_of(values, w[: len(values)])[0] for values in x)
        above, below = curves(a).above, curves(b).below
        found = [float(log_e_gap(above, below, steps)) for steps in range(501)]
        assert (np.diff(found) <= 1e-9).all()
        means = np.linspace(0.0, 0.9, 2001)
        free = np.array([log_above(a, np.full(2, m + 0.1))[0] + log_below(b, np.full(2, m))[0] for m in means])
        assert free.min() - 0.25 <= found[50] <= free.min() + 1e-9


@pytest.mark.parametrize("name", ["conformal_numeric", "conformal_category", "text_witness"])
def test_an_empty_pane_is_no_step(name: str) -> None:
    x = np.arange(200.0) if name == "conformal_numeric" else objects(f"word{i % 7} here" for i in range(200))
    detector = build(name, column="input.x", alpha=0.01)
    state = detector.start(reference(x))
    for i in range(3):
        state, before = detector.step(state, increment(i, x=x[:80]))
    again, after = detector.step(state, increment(4, x=x[:0]))
    assert again is state
    assert (after.outcome, after.evidence, after.n) == (before.outcome, before.evidence, before.n)


@pytest.mark.parametrize("name", ["conformal_numeric", "conformal_category", "text_witness"])
def test_a_column_that_the_reference_lacks_is_insufficient_and_says_so(name: str) -> None:
    detector = build(name, column="input.x", alpha=0.01)
    values = np.arange(50.0) if name == "conformal_numeric" else objects(["a"] * 50)
    _, verdict = detector.step(detector.start(reference()), increment(x=values))
    assert verdict.outcome is Outcome.INSUFFICIENT
    assert "reference" in verdict.because


@pytest.mark.parametrize("name", ["risk", "risk_change"])
def test_risk_without_bound_rows_is_insufficient_however_bad_the_answers(name: str) -> None:
    detector = build(name, alpha=0.05, delta=0.01, tolerance=0.05)
    _, verdict = detector.step(detector.start(reference()), increment(pairs=pairs(0, 500)))
    assert verdict.outcome is Outcome.INSUFFICIENT
    assert "bound" in verdict.because


def test_a_floor_is_the_lower_bound_on_the_bound_rows_less_the_drop() -> None:
    detector = build("accuracy_floor", alpha=0.01, delta=0.01, max_drop=0.05)
    state = detector.start(reference(bound=pairs(180, 20)))
    floor = float(lower_share(180, 200, 0.01)) - 0.05
    assert 1.0 - state.limit == pytest.approx(floor)
    _, verdict = detector.step(state, increment(pairs=pairs(9, 1)))
    assert verdict.limit == pytest.approx(floor)


def test_an_f1_floor_tells_its_limit_as_f1_and_none_when_none_could_be_set() -> None:
    detector = build("f1_floor", label="positive", minimum=0.8, alpha=0.01)
    _, verdict = detector.step(detector.start(reference()), increment(pairs=pairs(9, 1)))
    assert verdict.limit == pytest.approx(0.8)
    hopeless = build("f1_floor", label="positive", max_drop=0.9, alpha=0.01)
    _, verdict = hopeless.step(hopeless.start(reference(bound=pairs(9, 1))), increment(pairs=pairs(9, 1)))
    assert verdict.limit is None


@pytest.mark.parametrize("right", [100, 400])
def test_an_f1_floor_counts_only_pairs_that_are_or_were_called_the_label(right: int) -> None:
    detector = build("f1_floor", label="positive", minimum=0.8, alpha=0.01)
    others = Pairs(predicted=objects(["negative"] * 1000), label=objects(["negative"] * 1000))
    state, verdict = detector.step(detector.start(reference()), increment(pairs=pairs(right, 100)))
    again, _ = detector.step(state, increment(pairs=others))
    assert again is state
    assert verdict.value == pytest.approx(2 * right / (2 * right + 100))
    assert verdict.outcome is (Outcome.ALARM if right == 100 else Outcome.OK)  # F1 .667 and .889


def test_evidence_is_capped_so_that_a_recovered_model_is_quiet_again() -> None:
    detector = build("accuracy_floor", alpha=1e-4, minimum=0.8)
    state = detector.start(reference())
    for i in range(50):
        state, verdict = detector.step(state, increment(i, pairs=pairs(10, 10)))
    assert verdict.outcome is Outcome.ALARM
    for i in range(40):
        state, verdict = detector.step(state, increment(i, pairs=pairs(20, 0)))
    assert verdict.outcome is Outcome.OK


def test_a_group_that_is_too_small_is_insufficient_and_named() -> None:
    detector = build("fairness_gap", by="age_band", positive="positive", min_n=50)
    state, _ = detector.step(detector.start(reference()), increment(pairs=pairs(100, 0, "old")))
    _, verdict = detector.step(state, increment(pairs=pairs(0, 49, "young")))
    assert verdict.outcome is Outcome.INSUFFICIENT
    assert "young: 49" in verdict.because


def test_a_fairness_alarm_and_the_lower_end_above_the_maximum_are_the_same_thing() -> None:
    detector = build("fairness_gap", by="age_band", positive="positive", maximum=0.1, alpha=0.01, min_n=20)
    state, seen = detector.start(reference()), set()
    for i in range(60):
        state, _ = detector.step(state, increment(i, pairs=pairs(19, 1, "old")))
        state, verdict = detector.step(state, increment(i, pairs=pairs(3, 2, "young")))
        assert (verdict.outcome is Outcome.ALARM) == (verdict.low > 0.1 - 1e-4)
        seen.add(verdict.outcome)
    assert seen == {Outcome.INSUFFICIENT, Outcome.OK, Outcome.ALARM}


@pytest.mark.parametrize("metric", sorted(GAPS))
def test_every_gap_alarms_in_order_and_names_the_groups_that_are_apart(metric: str) -> None:
    detector = build("fairness_gap", metric=metric, by="age_band", positive="positive", maximum=0.1, alpha=0.01, min_n=20)
    rng, state, verdict = np.random.default_rng(4), detector.start(reference()), None
    for i in range(150):
        group = rng.choice(np.array(["old", "young", "older"], dtype=object), 40)
        label = rng.random(40) < 0.5
        is_right = rng.random(40) < np.where(group == "old", 0.9, 0.4)
        predicted = np.where(is_right, label, ~label) if metric != "demographic_parity_difference" else is_right
        named = np.array(["negative", "positive"], dtype=object)
        batch = Pairs(predicted=named[predicted.astype(int)], label=named[label.astype(int)], groups={"age_band": group})
        state, verdict = detector.step(state, increment(i, pairs=batch))
    assert verdict is not None
    assert verdict.outcome is Outcome.ALARM
    assert 0.1 < verdict.low <= 0.5 <= verdict.high < 0.65
    assert "'old' over 'young'" in verdict.because or "'young' over 'old'" in verdict.because
    assert "'young' over 'older'" not in verdict.because
    assert "'older' over 'young'" not in verdict.because


def test_the_watch_gives_the_same_answer_however_the_pairs_are_batched() -> None:
    d = np.random.default_rng(0).choice([-1.0, 0.0, 1.0], p=[0.1, 0.7, 0.2], size=400)
    _, whole = step_paired(start_paired(), d, alpha=0.05, margin=0.05)
    state = start_paired()
    for part in np.array_split(d, 37):
        state, verdict = step_paired(state, part, alpha=0.05, margin=0.05)
    assert verdict.outcome is whole.outcome
    np.testing.assert_allclose(
        [verdict.log10_e_worse, verdict.log10_e_not_worse, verdict.mean, verdict.low, verdict.high],
        [whole.log10_e_worse, whole.log10_e_not_worse, whole.mean, whole.low, whole.high],
    )


def test_a_settled_watch_stays_settled() -> None:
    state, verdict = step_paired(start_paired(), np.ones(50), alpha=0.05, margin=0.05)
    assert verdict.outcome is PairedOutcome.WORSE
    _, later = step_paired(state, -np.ones(5000), alpha=0.05, margin=0.05)
    assert later.outcome is PairedOutcome.WORSE


def test_the_watch_refuses_differences_out_of_range() -> None:
    with pytest.raises(ValueError, match="scale losses"):
        step_paired(start_paired(), np.array([0.0, 1.5]), alpha=0.05, margin=0.05)
    with pytest.raises(ValueError, match="scale losses"):
        step_paired(start_paired(), np.array([math.nan]), alpha=0.05, margin=0.05)


def test_e_bh_rejects_what_the_definition_says() -> None:
    values = [2.5, 0.1, 1.2, 1.9, -3.0]
    found = e_bh([EValue(log10_e=v, alpha=0.05) for v in values], 0.1)
    ranked = sorted(values, reverse=True)
    k = max((k for k in range(1, 6) if 10 ** ranked[k - 1] >= 5 / (0.1 * k)), default=0)
    assert found.sum() == k == 2
    assert found.tolist() == [True, False, False, True, False]


def test_e_detectors_are_averaged_and_never_go_into_e_bh() -> None:
    both = [EDetectorValue(log10_e=2.0, alpha=0.01, delta=0.01), EDetectorValue(log10_e=0.0, alpha=0.01, delta=0.02)]
    mean = mean_e_detector(both, alpha=0.01)
    assert mean.log10_e == pytest.approx(math.log10(50.5))
    assert mean.delta == pytest.approx(0.03)
    with pytest.raises(TypeError, match="only EValue"):
        e_bh(both, 0.1)  # type: ignore[arg-type]  # that is the point
    with pytest.raises(ValueError, match="add up to 1"):
        mean_e_detector(both, alpha=0.01, weights=[0.5, 0.6])


def test_a_witness_is_learnt_twice_a_pool_and_not_again_while_no_32_texts_have_come(monkeypatch: pytest.MonkeyPatch) -> None:
    learnt: list[int] = []
    ridge = witness.ridge
    monkeypatch.setattr(witness, "ridge", lambda kernel, n: learnt.append(len(kernel)) or ridge(kernel, n))
    witness._learnt.cache_clear()
    rng = np.random.default_rng(0)
    texts = objects(" ".join(f"w{w}" for w in rng.zipf(1.5, size=15) % 5000) for _ in range(1100))
    detector = build("text_witness", column="input.x", alpha=1e-6)
    state = detector.start(reference(texts[:500]))
    sizes = [500, *[3] * 10, 20]  # 30 texts are too few to learn anew from; 50 are enough, for the pane after them
    bet, at = [], 500
    for i, n in enumerate([*sizes, 3]):
        state, verdict = detector.step(state, increment(i, x=texts[at : at + n]))
        bet.append(verdict.n)
        at += n
    assert bet[0] == 0  # nothing to learn from before the first pane
    assert min(bet[1:]) > 0
    assert learnt == [250 + 128, 250 + 500, 250 + 128, 250 + 512]  # half the reference with the last 128 and 512 texts, for two pools


@pytest.mark.parametrize(
    ("n", "low", "high"), [(100, 0.19910767, 0.36702939), (500, 0.26711739, 0.32098037), (2000, 0.27614394, 0.30277092)]
)
def test_the_sequence_of_a_mean_agrees_with_confseq(n: int, low: float, high: float) -> None:
    """Figures of confseq 0.0.11, `predmix_empbern_twosided_cs(x, alpha=0.05)`, on the same values; its first mean is 0, ours 1/2."""
    values = np.random.default_rng(11).beta(2.0, 5.0, 2000)[:n]
    assert MeanSequence(alpha=0.05).add(values).interval() == pytest.approx((low, high), abs=1.0 / n)
