"""Embeddings: the features and their sums, the test, the bets, and how they come in."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daemon.capture.wire import decode_records
from daemon.check.rules import findings
from daemon.decide.monitors.all import monitors
from daemon.settings import Settings
from daemon.store.columns import Reader
from daemon.store.reference import load_reference
from daemon.store.values import vectors
from detectors.registry import build
from detectors.sketches.fourier import BLOCKS_N, FEATURES_N, Fourier, fourier_features
from detectors.sketches.summary import summarise
from detectors.types import ColumnKind, Increment, Outcome, Pairs, Reference, Verdict, Window


def _cone(rng: np.random.Generator, n: int, d: int = 24, towards: int = 0, tilt: float = 3.0) -> np.ndarray[Any, Any]:
    """Directions in a cone, as encoders give them."""
    return (rng.normal(size=(n, d)) + tilt * (np.arange(d) == towards)).astype(np.float32)


def test_inner_products_of_features_are_the_mean_of_three_gaussian_kernels() -> None:
    x = _cone(np.random.default_rng(0), 60)
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    squared = ((unit[:, None] - unit[None]) ** 2).sum(axis=2)
    exact = np.mean([np.exp(-squared / (2 * width**2)) for width in (0.35, 0.7, 1.4)], axis=0)
    found = fourier_features(x) @ fourier_features(x).T
    assert np.allclose(np.diag(found), 1.0)
    assert np.abs(found - exact).max() < 0.35
    assert np.sqrt(np.mean((found - exact) ** 2)) < 0.09


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(0, 200), min_size=1, max_size=20), st.integers(0, 5))
def test_sums_of_features_are_the_same_however_they_were_merged(sizes: list[int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    parts = [_cone(rng, n, d=3) for n in sizes]
    for part in parts:
        part[:1] = np.nan
    merged = Fourier()
    for part in parts:
        merged = merged.merge(Fourier.of(part))
    backwards = Fourier()
    for part in reversed(parts):
        backwards = Fourier.of(part).merge(backwards)
    whole = Fourier.of(np.concatenate(parts))
    for other in (backwards, whole):
        assert (merged.n, merged.missing) == (other.n, other.missing)
        assert np.allclose(merged.mean, other.mean, atol=1e-5)
    assert len(merged.sizes) <= BLOCKS_N
    again = Fourier.from_bytes(merged.to_bytes())
    assert again.to_bytes() == merged.to_bytes()
    assert (again.n, again.missing) == (merged.n, merged.missing)


@pytest.mark.parametrize("spoil", [lambda b: b[:-1], lambda b: b"\x02" + b[1:], lambda b: b[:13] + bytes(8) + b[21:], lambda _: b""])
def test_bytes_that_are_no_features_are_refused(spoil: Any) -> None:
    with pytest.raises(ValueError, match="Fourier"):
        Fourier.from_bytes(spoil(Fourier.of(_cone(np.random.default_rng(0), 10)).to_bytes()))


def _window(panes: list[np.ndarray[Any, Any]]) -> Window:
    merged = Fourier()
    for pane in panes:
        merged = merged.merge(Fourier.of(pane))
    at = datetime(2026, 1, 1, tzinfo=UTC)
    sketches = {"input.vector": {"fourier": merged}}
    return Window(model="m", version="1", start=at, end=at, n_seen=merged.n, n=merged.n, sketches=sketches, confusion=None)


def _reference(vectors_: np.ndarray[Any, Any]) -> Reference:
    return Reference(columns={"input.vector": vectors_}, kinds={}, sketches={}, bound=Pairs.empty(), digest="0")


def test_quiet_windows_are_called_different_about_as_often_as_alpha_and_moved_ones_always() -> None:
    rng = np.random.default_rng(2)
    detector = build("mmd", column="input.vector", alpha=0.1)
    quiet, moved = [], []
    for _ in range(120):
        state = detector.start(_reference(_cone(rng, 400)))
        for found, tilt in ((quiet, 3.0), (moved, 2.0)):
            verdict = detector.step(state, _window([_cone(rng, 40, tilt=tilt) for _ in range(10)]))[1]
            found.append(verdict.outcome is Outcome.ALARM)
            assert verdict.low <= verdict.value <= verdict.high
    assert sum(quiet) <= 32  # P(Binomial(120, .1) > 32) < 1e-7
    assert all(moved)


def test_too_few_runs_of_vectors_are_no_test() -> None:
    detector = build("mmd", column="input.vector")
    state = detector.start(_reference(_cone(np.random.default_rng(0), 400)))
    verdict = detector.step(state, _window([_cone(np.random.default_rng(1), 50)]))[1]
    assert (verdict.outcome, verdict.n) == (Outcome.INSUFFICIENT, 50)


def _run(d: int, *, towards: int) -> tuple[int, Verdict]:
    rng = np.random.default_rng(3)
    detector = build("embedding_witness", column="input.vector", alpha=1e-5)
    state = detector.start(_reference(_cone(rng, 600, d)))
    for i in range(60):
        start = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=i)
        new = _cone(rng, 25, d, towards=towards if i >= 20 else 0)
        new[0] = np.nan
        columns = {"input.vector": new}
        state, verdict = detector.step(
            state, Increment(start=start, end=start + timedelta(minutes=1), columns=columns, pairs=Pairs.empty(), n=25)
        )
        if verdict.outcome is Outcome.ALARM:
            break
    return i, verdict


@pytest.mark.parametrize("d", [16, 384])
def test_vectors_that_turn_away_are_noticed_soon_after_and_others_never(d: int) -> None:
    i, verdict = _run(d, towards=1)
    assert verdict.outcome is Outcome.ALARM, verdict.because
    assert 20 <= i < 45
    assert _run(d, towards=0)[1].outcome is Outcome.OK


_MODEL = {"name": "m", "task": "text-generation", "columns": {"vector": {"kind": "embedding", "dimensions": 3}, "x": "numeric"}}


def _line(i: int, vector: Any) -> bytes:
    at = "2026-11-01T00:00:00Z"
    return json.dumps(
        {"id": f"r{i}", "model": "m", "version": "1", "at": at, "inputs": {"vector": vector}, "output": {"text": "t"}}
    ).encode()


def test_vectors_come_from_the_door_to_the_columns_and_what_is_none_is_missing(tmp_path: Path) -> None:
    model = Settings.model_validate({"models": [_MODEL]}).models[0]
    sent = [[1, 2.5, -3], [1, 2], None, "text", [0.0, 0.0, 1e39]]
    body = b"\n".join(_line(i, vector) for i, vector in enumerate(sent))
    batch = decode_records(body, models={"m"}, now=1_793_491_200.0, future_s=300.0, max_n=100)
    assert (batch.n, batch.errors) == (5, [])
    found = Reader(model).frame([batch.payload]).watched["input.vector"]
    assert found.shape == (5, 3)
    assert found[0].tolist() == [1.0, 2.5, -3.0]
    assert np.isnan(found[1:]).all()
    (tmp_path / "reference.ndjson").write_bytes(body)
    reference = load_reference(model, tmp_path / "reference.ndjson", None)
    assert reference.kinds["input.vector"] is ColumnKind.EMBEDDING
    assert reference.sketches["input.vector"]["fourier"].n == 1


def test_missing_vectors_are_counted_in_a_window_and_in_a_pane() -> None:
    known = _cone(np.random.default_rng(0), 300)
    kinds = {"input.vector": ColumnKind.EMBEDDING}
    reference = Reference(
        columns={"input.vector": known},
        kinds=kinds,
        sketches=dict(summarise({"input.vector": known}, kinds)),
        bound=Pairs.empty(),
        digest="0",
    )
    new = known[:100].copy()
    new[:40] = np.nan
    detector = build("missing", column="input.vector")
    verdict = detector.step(detector.start(reference), _window([new]))[1]
    assert (verdict.value, verdict.n) == (0.4, 100)
    alarming = build("missing_rise", column="input.vector", alpha=1e-4)
    at = datetime(2026, 1, 1, tzinfo=UTC)
    pane = Increment(start=at, end=at + timedelta(minutes=1), columns={"input.vector": new}, pairs=Pairs.empty(), n=100)
    assert alarming.step(alarming.start(reference), pane)[1].outcome is Outcome.ALARM


def test_a_vector_at_the_door_is_bounded() -> None:
    for vector in ([1.0] * 4097, [[1.0]], ["a"]):
        batch = decode_records(_line(0, vector), models={"m"}, now=1_793_491_200.0, future_s=300.0, max_n=100)
        assert batch.n == 0
        assert batch.errors[0].path.startswith("$.inputs")


def test_a_column_of_embeddings_is_watched_by_both_and_needs_its_dimensions() -> None:
    model = Settings.model_validate({"models": [_MODEL]}).models[0]
    names = {d.name for d in monitors(model, has_bound=False) if "input.vector" in d.subject}
    assert {"mmd", "embedding_witness", "missing", "missing_rise", "wrong_type", "wrong_type_rise"} <= names
    assert vectors([], 3).shape == (0, 3)
    assert fourier_features(np.zeros((2, 3))).shape == (2, FEATURES_N)
    for wrong in ({"kind": "embedding"}, {"kind": "numeric", "dimensions": 3}, {"kind": "embedding", "dimensions": 3, "protected": True}):
        settings = Settings.model_validate({"models": [{**_MODEL, "columns": {"vector": wrong}}]})
        assert any("vector" in str(f.path) for f in findings(settings))


def test_half_of_the_vectors_of_another_kind_are_told_in_the_second_pane() -> None:
    """A witness that learns from the last 128 vectors has 16 bad ones among them after the first."""
    panes = [_panes_until_told(np.random.default_rng(seed)) for seed in range(8)]
    assert max(panes) <= 3
    assert np.median(panes) == 2


def _panes_until_told(rng: np.random.Generator) -> int:
    half, detector = 16, build("embedding_witness", column="input.vector", alpha=1e-3)
    state = detector.start(_reference(_cone(rng, 500, 32)))
    for i in range(16):
        start = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=i)
        new = np.concatenate([_cone(rng, half, 32), _cone(rng, half, 32, towards=1 if i >= 10 else 0)])
        pane = Increment(start=start, end=start + timedelta(minutes=1), columns={"input.vector": new}, pairs=Pairs.empty(), n=len(new))
        state, verdict = detector.step(state, pane)
        if verdict.outcome is Outcome.ALARM:
            assert i >= 10, "a quiet pane alarms"
            return i - 9
    raise AssertionError("never told")


def test_wealth_of_other_bets_is_refused() -> None:
    detector = build("embedding_witness", column="input.vector", alpha=1e-2)
    state: Any = detector.start(_reference(_cone(np.random.default_rng(0), 200, 8)))
    with pytest.raises(ValueError, match="wealth of 18 bets, expected 27"):
        replace(state, log_m=state.log_m[:18])
