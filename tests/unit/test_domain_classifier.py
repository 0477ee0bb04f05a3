"""Several columns at once: what is found, what it is laid to, and how rows become codes."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from daemon.decide.monitors.drift import drift
from daemon.settings import ModelSettings
from detectors.registry import build
from detectors.rhythm import Rhythm
from detectors.sequential.row_bets import halves
from detectors.sequential.row_distance import expected
from detectors.sequential.table import coding_of, encode, features
from detectors.sequential.two_parts import in_two
from detectors.sketches.records import AT
from detectors.types import EDetectorValue, Increment, Outcome, Pairs, Reference, Verdict

_COLUMNS = ("input.a", "input.b", "input.c", "input.channel")
_CHANNELS = np.array(["web", "shop", "phone"], dtype=object)


def rows(rng: np.random.Generator, n: int, *, correlation: float = 0.0, b_more: float = 0.0, shop: float = 0.3) -> dict[str, Any]:
    a, b, c = rng.normal(size=(3, n))
    b = correlation * a + np.sqrt(1.0 - correlation**2) * b + b_more
    c[rng.random(n) < 0.1] = np.nan
    return {
        "input.a": a,
        "input.b": b,
        "input.c": c,
        "input.channel": _CHANNELS[rng.choice(3, n, p=[0.9 - shop, shop, 0.1])],
    }


def run(**shift: float) -> Verdict:
    """40 panes of 25 rows of the reference's world, then up to 60 of another; the first alarm, or the last word."""
    rng = np.random.default_rng(1)
    known = rows(rng, 800)
    detector = build("domain_classifier", columns=_COLUMNS, alpha=1e-5)
    state = detector.start(Reference(columns=known, kinds={}, sketches={}, bound=Pairs.empty(), digest="0"))
    for i in range(100):
        start = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=i)
        columns = rows(rng, 25, **(shift if i >= 40 else {}))
        state, verdict = detector.step(
            state, Increment(start=start, end=start + timedelta(minutes=1), columns=columns, pairs=Pairs.empty(), n=25)
        )
        if verdict.outcome is Outcome.ALARM:
            assert i >= 40, "a quiet pane alarms"
            return verdict
    return verdict


def test_a_changed_correlation_that_no_single_column_shows_is_found_and_both_columns_are_named() -> None:
    because = run(correlation=0.85).because
    assert "input.a (" in because
    assert "input.b (" in because
    assert "input.c" not in because


@pytest.mark.parametrize(("shift", "column"), [({"b_more": 1.0}, "input.b"), ({"shop": 0.75}, "input.channel")])
def test_a_shift_of_one_column_is_laid_to_it(shift: dict[str, float], column: str) -> None:
    assert f"most by {column} (" in run(**shift).because


def test_a_world_that_stays_raises_no_alarm() -> None:
    assert run().outcome is Outcome.OK


@pytest.mark.parametrize(("rhythm", "period"), [(Rhythm.NONE, 2), (Rhythm.HOUR_OF_DAY, 3)])
def test_a_reference_whose_rows_come_in_turn_is_halved_into_two_of_a_kind(rhythm: Rhythm, period: int) -> None:
    """First one channel, then the other, and so on; production draws them."""
    rng, found = np.random.default_rng(4), []
    known = {**rows(rng, 720), "input.channel": np.resize(_CHANNELS[:period], 720)}
    times = {} if rhythm is Rhythm.NONE else {AT: 3600.0 * (np.arange(720) // period % 24)}
    detector = build("domain_classifier", columns=_COLUMNS, alpha=1e-3, rhythm=rhythm)
    state = detector.start(Reference(columns={**known, **times}, kinds={}, sketches={}, bound=Pairs.empty(), digest="0"))
    for i in range(30):
        start = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=i)
        new = {**rows(rng, 100), "input.channel": rng.permutation(np.resize(_CHANNELS[:period], 100))}
        end = start + timedelta(hours=1)
        state, verdict = detector.step(state, Increment(start=start, end=end, columns=new, pairs=Pairs.empty(), n=100))
        found.append(verdict.outcome)
    assert Outcome.ALARM not in found
    assert found[-1] is Outcome.OK


@pytest.mark.parametrize("n", [60, 800, 4096])
@pytest.mark.parametrize("period", [2, 3, 4, 7])
def test_neither_what_is_kept_nor_half_a_follows_a_period(n: int, period: int) -> None:
    kept, is_learnt = halves(n)
    assert len(kept) == min(n, 2048) == len(np.unique(kept))
    assert is_learnt.sum() == min(512, math.ceil(len(kept) / 2))
    for part in (kept, kept[is_learnt], kept[~is_learnt]):
        shares = np.bincount(part % period, minlength=period) / len(part)
        assert np.abs(shares - 1.0 / period).max() < 2.5 * math.sqrt((period - 1) / len(part)) / period + 0.02


def test_codes_keep_order_missing_values_and_names_that_the_reference_does_not_know() -> None:
    known = {"n": np.arange(100.0), "k": np.array(["x"] * 60 + ["y"] * 40, dtype=object)}
    coding = coding_of(known)
    new = {"n": np.array([-5.0, 50.0, 500.0, np.nan]), "k": np.array(["y", "z", None, "x"], dtype=object)}
    codes = encode(coding, ["n", "k", "gone"], {**new}, 4)
    assert codes[0, 0] == 0
    assert codes[:3, 0].tolist() == sorted(codes[:3, 0])
    assert codes[2, 0] == len(coding.knots["n"])
    assert (codes[3, 0], codes[2, 1]) == (255, 255)
    assert codes[[0, 1, 3], 1].tolist() == [1, 30, 0]
    assert (codes[:, 2] == 255).all()


def test_features_of_the_reference_are_centred_and_every_row_is_about_as_long() -> None:
    rng = np.random.default_rng(0)
    known = {f"n{i}": rng.gamma(2.0, size=4000) for i in range(5)}
    coding = coding_of(known)
    found, owners = features(coding, list(known), encode(coding, list(known), known, 4000))
    assert np.abs(found.mean(axis=0)).max() < 0.02
    assert np.mean((found**2).sum(axis=1)) == pytest.approx(1.0, abs=0.05)
    assert owners.tolist() == [j for j in range(5) for _ in range(3)]


def model(**drift_settings: Any) -> ModelSettings:
    columns = {"a": "numeric", "b": "numeric", "note": "text"}
    return ModelSettings.model_validate(
        {"name": "m", "task": "tabular-regression", "columns": columns, "monitors": {"drift": drift_settings}}
    )


def test_tabular_models_are_watched_as_a_table_too_unless_nobody_wants_it() -> None:
    settings = model()
    (found,) = [d for d in drift(settings, set(settings.subjects())) if d.name == "domain_classifier"]
    assert found.columns == ("input.a", "input.b", "output.value")  # type: ignore[attr-defined]  # it is that class
    assert not [d for d in drift(model(together=False), set(settings.subjects())) if d.name == "domain_classifier"]
    text = settings.model_copy(update={"task": "text-generation"})
    assert not [d for d in drift(text, set(text.subjects())) if d.name == "domain_classifier"]


def first_alarm(**shift: float) -> tuple[int, Verdict]:
    """Of 20 quiet panes of 100 rows and 10 others: (panes since the change, the alarm's own included; its verdict)."""
    rng = np.random.default_rng(5)
    detector = build("domain_classifier", columns=_COLUMNS, alpha=1e-4)
    state = detector.start(Reference(columns=rows(rng, 1000, correlation=0.9), kinds={}, sketches={}, bound=Pairs.empty(), digest="0"))
    for i in range(30):
        start = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=i)
        columns = rows(rng, 100, **{"correlation": 0.9, **(shift if i >= 20 else {})})
        state, verdict = detector.step(
            state, Increment(start=start, end=start + timedelta(minutes=1), columns=columns, pairs=Pairs.empty(), n=100)
        )
        if verdict.outcome is Outcome.ALARM:
            return i - 19, verdict
    return 0, verdict


def test_columns_that_part_are_told_in_their_first_pane_and_named() -> None:
    after, verdict = first_alarm(correlation=-0.9)
    assert after == 1
    assert "go together worse than its own do" in verdict.because
    assert "input.a (" in verdict.because
    assert "input.b (" in verdict.because
    assert "input.c" not in verdict.because


def test_columns_that_go_together_better_than_in_the_reference_are_told_too() -> None:
    after, verdict = first_alarm(correlation=0.9999)
    assert after > 0
    assert "better than its own do" in verdict.because or "look new" in verdict.because


def test_a_state_that_has_no_distances_goes_on_with_the_classifier_alone() -> None:
    detector = build("domain_classifier", columns=_COLUMNS, alpha=0.01)
    rng = np.random.default_rng(2)
    fresh: Any = detector.start(Reference(columns=rows(rng, 400), kinds={}, sketches={}, bound=Pairs.empty(), digest="0"))
    start = datetime(2026, 1, 1, tzinfo=UTC)
    pane = Increment(start=start, end=start + timedelta(minutes=1), columns=rows(rng, 50), pairs=Pairs.empty(), n=50)
    state, verdict = detector.step(replace(fresh, distance=None), pane)
    assert (state.distance, verdict.outcome) == (None, Outcome.INSUFFICIENT)
    state, verdict = detector.step(fresh, pane)
    assert (state.distance.step_n, verdict.outcome, verdict.n) == (1, Outcome.OK, 50)
    assert "50 production rows so far; the classifier learns" in verdict.because


def test_the_parts_of_a_distance_add_up_to_it_and_missing_values_and_new_names_are_far() -> None:
    rng = np.random.default_rng(3)
    known = rows(rng, 300, correlation=0.9)
    coding, subjects = coding_of(known), list(known)
    codes = encode(coding, subjects, known, 300)
    found = expected(coding, subjects, codes)
    free = 3 + 1 + 2  # numbers, whether one of them is missing, a category of three
    assert 0.8 * free < found.parts(codes).sum(axis=1).mean() < free  # the ridge takes a little
    new: dict[str, Any] = {name: values[:4].copy() for name, values in known.items()}
    new["input.channel"][0], new["input.channel"][1], new["input.a"][2] = "boat", None, np.nan
    parts, before = found.parts(encode(coding, subjects, new, 4)), found.parts(codes[:4])
    assert parts.shape == (4, 4)
    far = parts - before
    assert [int(far[i].argmax()) for i in range(3)] == [3, 3, 0]
    assert far[:3].max(axis=1).min() > 20.0
    np.testing.assert_allclose(parts[3], before[3])


def test_two_parts_alarm_by_their_mean_and_speak_by_the_one_with_more_evidence() -> None:
    def said(log10_e: float, outcome: Outcome, n: int = 10, because: str = "it is so") -> Verdict:
        evidence = EDetectorValue(log10_e=log10_e, alpha=0.01, delta=0.001)
        return Verdict(
            detector="d", subject="s", outcome=outcome, evidence=evidence, value=0.1, low=0.0, high=1.0, n=n, because=because, e_value=None
        )

    nothing = said(0.0, Outcome.INSUFFICIENT, 0, "none yet")
    found = in_two(nothing, said(2.31, Outcome.ALARM), is_of_ties=False)
    assert (found.outcome, found.because) == (Outcome.ALARM, "it is so")
    assert isinstance(found.evidence, EDetectorValue)
    assert found.evidence.log10_e == pytest.approx(2.31 - np.log10(2.0))
    assert found.evidence.delta == pytest.approx(0.002)
    found = in_two(said(-1.0, Outcome.OK, because="quiet"), said(2.2, Outcome.ALARM), is_of_ties=False)
    assert (found.outcome, found.because) == (Outcome.OK, "evidence grows, and is not enough yet: it is so")
    found = in_two(said(-1.0, Outcome.OK, because="quiet"), said(5.0, Outcome.OK, because="of ties"), is_of_ties=True)
    assert (found.outcome, found.because) == (Outcome.OK, "quiet")
    found = in_two(said(2.5, Outcome.ALARM), said(0.0, Outcome.OK, because="quiet"), is_of_ties=False)
    assert (found.outcome, found.because) == (Outcome.ALARM, "it is so")
    assert in_two(nothing, nothing, is_of_ties=False).evidence.log10_e == 0.0  # type: ignore[union-attr]  # it is that class
