"""The e-process beside an e-detector: an e-value at any time, also for a late change; e-BH and e-LOND keep their rate on it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.combine import e_bh, e_lond
from detectors.registry import build
from detectors.sequential.bets import log_raise
from detectors.sequential.purse import Purse, e_value_of, full_purse, share_of_step, spend
from detectors.types import EValue

LOOKS_N, RECORDS_A_LOOK, MEAN, TARGETS = 334, 15, 0.3, np.array([0.35, 0.5])

short_and_full = pytest.mark.parametrize("size", [pytest.param(1, id="short"), pytest.param(6, id="full", marks=pytest.mark.prove)])


@given(steps=st.integers(0, 300))
def test_bets_that_win_nothing_leave_the_purse_as_it_was(steps: int) -> None:
    purse = full_purse(3)
    for _ in range(steps):
        purse = spend(purse, np.zeros(3))
    assert e_value_of(purse).log10_e == pytest.approx(0.0, abs=1e-9)
    assert sum(share_of_step(t) for t in range(1, steps + 1)) == pytest.approx(1.0 - 1.0 / math.log2(steps + 2))


def _columns(rng: np.random.Generator, streams: int, means: Any) -> Any:
    """log10 of e after each look, shape (looks, streams, columns), with the conditional mean of each column at `means`."""
    columns_n = len(means)
    purse = full_purse(streams * columns_n * len(TARGETS))
    found = np.empty((LOOKS_N, streams, columns_n))
    for look in range(LOOKS_N):
        hits = rng.binomial(RECORDS_A_LOOK, means, size=(streams, columns_n))[:, :, None]
        purse = spend(purse, log_raise(RECORDS_A_LOOK, hits, MEAN, TARGETS).ravel())
        mean_v = np.exp(purse.log_v.reshape(streams, columns_n, len(TARGETS))).mean(axis=2)
        found[look] = np.log10(mean_v + 1.0 / math.log2(purse.step_n + 2))
    return found


@short_and_full
def test_the_e_process_beside_an_e_detector_ever_crosses_as_seldom_as_promised(judge: Any, size: int) -> None:
    ever = _columns(np.random.default_rng(31), 1500 * size, np.array([MEAN])).max(axis=0)[:, 0]
    judge.crossings("e-process beside an e-detector, boundary", ever >= 1.0, 0.1)
    assert (ever >= 1.0).any(), "it may cross: a bet that never wins proves nothing"


def test_a_late_change_is_still_seen_where_a_plain_product_has_lost_all() -> None:
    rng, purse, plain = np.random.default_rng(32), full_purse(2), np.zeros(2)
    for look in range(2040):
        hits = rng.binomial(RECORDS_A_LOOK, 0.3 if look < 2000 else 0.6)
        bet = log_raise(RECORDS_A_LOOK, hits, MEAN, TARGETS)
        purse, plain = spend(purse, bet), plain + bet
    assert e_value_of(purse).log10_e > 3.0
    assert plain.max() < 0.0


@short_and_full
def test_e_bh_names_columns_falsely_no_more_often_than_it_says_at_the_time_of_the_first_alarm(judge: Any, size: int) -> None:
    means = np.array([MEAN] * 15 + [0.42] * 5)
    log10_e = _columns(np.random.default_rng(33), 60 * size, means)
    false, right = [], []
    for stream in range(log10_e.shape[1]):
        at = int(np.argmax(log10_e[:, stream].max(axis=1) >= 3.0))  # somebody's alarm: a stopping time of all
        named = e_bh([EValue(log10_e=float(e), alpha=0.1) for e in log10_e[at, stream]], 0.1)
        false.append(named[:15].sum() / max(1, named.sum()))
        right.append(named[15:].sum())
    judge.rows.append(("e-BH on 20 columns, 5 moved", "false discoveries <= 0.1", f"{np.mean(false):.4f}", "0.1", str(len(false)), "-"))
    assert np.mean(false) <= 0.1
    assert np.mean(right) >= 1.0


def test_e_lond_rejects_by_levels_that_grow_with_what_was_rejected_before() -> None:
    levels = [0.1 * share_of_step(1), 0.1 * share_of_step(2) * 2]
    exact = [EValue(log10_e=-math.log10(level) + 1e-9, alpha=0.1) for level in levels]
    nothing = EValue(log10_e=0.0, alpha=0.1)
    assert e_lond(exact, 0.1).tolist() == [True, True]
    assert e_lond([nothing, exact[1]], 0.1).tolist() == [False, False]
    assert e_lond([], 0.1).tolist() == []


def test_e_lond_keeps_its_rate_on_a_stream_of_true_hypotheses() -> None:
    rng = np.random.default_rng(34)
    any_rejected = 0
    for _ in range(2000):
        e = np.where(rng.random(30) < 0.02, 50.0, 1e-9)  # mean 1, all or nothing: the hardest e-value for a level of 1/50
        any_rejected += bool(e_lond([EValue(log10_e=float(np.log10(x)), alpha=0.5) for x in e], 0.5).any())
    assert any_rejected / 2000 <= 0.5
    assert any_rejected > 0


def test_a_column_detector_carries_an_e_value_that_tells_the_moved_from_the_quiet(make: Any) -> None:
    rng = np.random.default_rng(35)
    detector = build("conformal_numeric", column="input.x", alpha=1e-6)
    reference = make.reference(x=rng.normal(size=2000))
    found = {}
    for name, shift in (("quiet", 0.0), ("moved", 1.0)):
        state = detector.start(reference)
        for i in range(40):
            state, verdict = detector.step(state, make.increment(i, x=rng.normal(shift if i > 20 else 0.0, size=20)))
        assert verdict.e_value is not None
        found[name] = verdict.e_value.log10_e
    assert found["quiet"] < 1.0
    assert found["moved"] > 3.0
    assert isinstance(state.purse, Purse)
