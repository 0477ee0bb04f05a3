"""A real shift is found, soon, at the small alphas that a promise of months between false alarms asks for."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from detectors.registry import build
from detectors.sequential.paired import PairedOutcome, start_paired, step_paired

ALPHA = 1e-6

short_and_full = pytest.mark.parametrize("size", [pytest.param(1, id="short"), pytest.param(6, id="full", marks=pytest.mark.prove)])


@short_and_full
@pytest.mark.parametrize(
    ("name", "most"), [("location", 600), ("scale", 1200), ("missing", 1000), ("peaks", 800)], ids=["location", "scale", "missing", "peaks"]
)
def test_a_numeric_shift_is_found_after_a_long_quiet_past(judge: Any, make: Any, name: str, most: int, size: int) -> None:
    rng, delays = np.random.default_rng(21), []

    def shifted(n: int) -> Any:
        x = rng.normal(size=n)
        peaks = np.where(rng.random(n) < 0.5, -0.9, 0.9) + math.sqrt(1.0 - 0.9**2) * x  # of the same mean and variance
        return {"location": x + 0.8, "scale": 2.2 * x, "missing": np.where(rng.random(n) < 0.4, np.nan, x), "peaks": peaks}[name]

    for _ in range(3 * size):
        detector = build("conformal_numeric", column="input.x", alpha=ALPHA, delta=0.01)
        quiet, new = (
            (make.increment(i, x=rng.normal(size=30)) for i in range(30)),
            (make.increment(i, x=shifted(30)) for i in range(30, 90)),
        )
        delays.append(_delay(detector, make.reference(x=rng.normal(size=500)), quiet, new, 30))
    judge.delays(f"conformal_numeric: {name}, alpha 1e-6", delays, most)


@short_and_full
@pytest.mark.parametrize(
    "shift", [("swap", [0.5, 0.1, 0.4, 0.0], 1000), ("a new category", [0.45, 0.25, 0.2, 0.1], 1000)], ids=["swap", "a new category"]
)
def test_a_category_shift_is_found(judge: Any, make: Any, shift: tuple[str, list[float], int], size: int) -> None:
    name, shares, most = shift
    rng, before, delays = np.random.default_rng(22), [0.5, 0.3, 0.2, 0.0], []

    def draw(n: int, p: list[float]) -> list[str]:
        return list(rng.choice(["a", "b", "c", "d"], p=p, size=n).tolist())

    for _ in range(3 * size):
        detector = build("conformal_category", column="input.x", alpha=ALPHA, delta=0.01)
        quiet = (make.increment(i, x=draw(30, before)) for i in range(30))
        new = (make.increment(i, x=draw(30, shares)) for i in range(30, 90))
        delays.append(_delay(detector, make.reference(x=draw(500, before)), quiet, new, 30))
    judge.delays(f"conformal_category: {name}, alpha 1e-6", delays, most)


@short_and_full
@pytest.mark.parametrize("name", ["risk_change", "accuracy_floor", "f1_floor", "precision_floor", "recall_floor"])
def test_errors_that_rise_from_5_to_40_in_a_hundred_are_found(judge: Any, make: Any, name: str, size: int) -> None:
    rng, delays = np.random.default_rng(23), []
    limit: dict[str, Any] = {"tolerance": 0.05} if name == "risk_change" else {"max_drop": 0.05}
    label = {} if name in {"risk_change", "accuracy_floor"} else {"label": "positive"}
    for _ in range(3 * size):
        detector = build(name, alpha=ALPHA, delta=0.01, **limit, **label)
        quiet = (make.increment(i, pairs=make.pairs_of(rng, 18, 0.05)) for i in range(60))
        new = (make.increment(i, pairs=make.pairs_of(rng, 18, 0.40)) for i in range(60, 120))
        delays.append(_delay(detector, make.reference(bound=make.pairs_of(rng, 200, 0.05)), quiet, new, 18))
    judge.delays(f"{name}: errors 5 % to 40 %, alpha 1e-6", delays, 700)


@short_and_full
def test_texts_on_another_matter_are_found(judge: Any, make: Any, size: int) -> None:
    rng, delays = np.random.default_rng(24), []

    def texts(n: int, first: int) -> list[str]:
        share = 1.0 / np.arange(1, 401)
        return [" ".join(f"w{first + w}" for w in rng.choice(400, size=9, p=share / share.sum())) for _ in range(n)]

    for _ in range(2 * size):
        detector = build("text_witness", column="input.text", alpha=ALPHA, delta=0.01)
        quiet = (make.increment(i, text=texts(50, 0)) for i in range(10))
        new = (make.increment(i, text=texts(50, 60)) for i in range(10, 40))
        delays.append(_delay(detector, make.reference(text=texts(500, 0)), quiet, new, 50))
    judge.delays("text_witness: another vocabulary, alpha 1e-6", delays, 300)


@short_and_full
def test_a_gap_between_groups_is_found(judge: Any, make: Any, size: int) -> None:
    rng, delays = np.random.default_rng(25), []

    def pairs(n: int) -> Any:
        old, young = make.pairs_of(rng, n, 0.05), make.pairs_of(rng, n, 0.4)
        groups = np.array(["old"] * n + ["young"] * n, dtype=object)
        both = {name: np.concatenate([getattr(old, name), getattr(young, name)]) for name in ("predicted", "label")}
        return type(old)(**both, groups={"age_band": groups})

    for _ in range(2 * size):
        detector = build("fairness_gap", by="age_band", positive="positive", maximum=0.1, alpha=0.01, min_n=50)
        delays.append(_delay(detector, make.reference(), iter(()), (make.increment(i, pairs=pairs(20)) for i in range(60)), 40))
    judge.delays("fairness_gap: error rates 5 % and 40 %, maximum .1", delays, 1500)


def test_a_much_worse_version_is_called_worse_and_an_equal_one_not_worse() -> None:
    rng = np.random.default_rng(26)
    _, worse = step_paired(start_paired(), rng.choice([-1.0, 0.0, 1.0], p=[0.05, 0.7, 0.25], size=300), alpha=0.05, margin=0.05)
    _, equal = step_paired(start_paired(), rng.choice([-1.0, 0.0, 1.0], p=[0.02, 0.96, 0.02], size=1000), alpha=0.05, margin=0.05)
    assert worse.outcome is PairedOutcome.WORSE
    assert equal.outcome is PairedOutcome.NOT_WORSE


def _delay(detector: Any, reference: Any, quiet: Any, new: Any, n: int) -> float:
    """Records from the shift to the alarm; fails on an alarm before it; infinite when never."""
    state = detector.start(reference)
    for data in quiet:
        state, verdict = detector.step(state, data)
        assert verdict.outcome.value != "alarm", f"false alarm: {verdict.because}"
    for i, data in enumerate(new, start=1):
        state, verdict = detector.step(state, data)
        if verdict.outcome.value == "alarm":
            assert verdict.low <= verdict.value <= verdict.high
            return float(i * n)
    return float("inf")
