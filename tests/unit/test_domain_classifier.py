"""Several columns at once: what is found, what it is laid to, and how rows become codes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from daemon.decide.monitors.drift import drift
from daemon.settings import ModelSettings
from detectors.registry import build
from detectors.sequential.table import coding_of, encode, features
from detectors.types import Increment, Outcome, Pairs, Reference, Verdict

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
