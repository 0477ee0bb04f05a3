"""A large reference is thinned by drawing: what comes in turn in it is kept in its shares, and a quiet stream stays quiet."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from detectors.of_reference import filled
from detectors.registry import build
from detectors.rhythm import Rhythm
from detectors.sequential import hour_witness, text_figures
from detectors.sketches.records import AT
from detectors.thinning import drawn_rows
from detectors.types import ColumnKind, Increment, Outcome, Pairs, Reference

if TYPE_CHECKING:
    from numpy.typing import NDArray

_START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("period", [2, 3, 4, 7])
@pytest.mark.parametrize("most", [100, 2048])
def test_of_rows_that_come_in_turn_as_many_are_kept_of_each_kind_as_chance_takes(most: int, period: int) -> None:
    """Evenly spread, all rows would be of one kind."""
    n = period * (most - 1) + 1
    kept = drawn_rows(n, most)
    assert len(np.unique(kept)) == most
    assert (np.diff(kept) > 0).all()
    assert kept[-1] < n
    shares = np.bincount(kept % period, minlength=period) / most
    assert np.abs(shares - 1.0 / period).max() < 3.5 * math.sqrt((period - 1) / most) / period  # 22 shares


def test_a_small_reference_is_kept_whole_and_an_empty_one_is_none() -> None:
    np.testing.assert_array_equal(drawn_rows(5, 5), np.arange(5))
    assert not len(drawn_rows(0, 5))


def _run(detector: Any, reference: Reference, panes: list[dict[str, NDArray[Any]]]) -> list[Outcome]:
    state, found = detector.start(reference), []
    for i, columns in enumerate(panes):
        start = _START + timedelta(hours=i)
        n = len(next(iter(columns.values())))
        state, verdict = detector.step(
            state, Increment(start=start, end=start + timedelta(hours=1), columns=columns, pairs=Pairs.empty(), n=n)
        )
        found.append(verdict.outcome)
    return found


def _reference(columns: dict[str, NDArray[Any]], kind: ColumnKind = ColumnKind.NUMERIC) -> Reference:
    return Reference(columns=columns, kinds=dict.fromkeys(columns, kind), sketches={}, bound=Pairs.empty(), digest="0")


def _texts(rng: np.random.Generator, is_long: NDArray[np.bool_]) -> NDArray[np.object_]:
    words = np.array(["the", "a", "film", "plot", "actor", "scene", "very", "good", "bad", "dull"])
    return np.array(
        [" ".join(rng.choice(words, int(rng.integers(20, 40)) if x else int(rng.integers(3, 9)))) for x in is_long], dtype=object
    )


def test_texts_that_come_in_turn_in_a_large_reference_are_no_drift(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_figures, "_KNOWN_N", 1500)
    rng = np.random.default_rng(3)
    texts = _texts(rng, np.arange(2 * 1499 + 1) % 2 == 0)
    panes = [{"input.text": _texts(rng, rng.random(40) < 0.5)} for _ in range(40)]
    found = _run(build("text_figures", column="input.text", alpha=1e-3), _reference({"input.text": texts}, ColumnKind.TEXT), panes)
    assert Outcome.ALARM not in found
    assert found[-1] is Outcome.OK


def test_rows_that_come_in_turn_in_a_large_reference_with_a_rhythm_are_no_drift(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hour_witness, "MOST_N", 2400)
    rng = np.random.default_rng(4)
    n = 2 * 2399 + 1
    kind = np.arange(n) % 2
    columns = {"input.a": 3.0 * kind + rng.normal(size=n), "input.b": rng.normal(size=n), AT: 3600.0 * (np.arange(n) // 200)}
    panes = []
    for _ in range(48):
        kinds = rng.integers(0, 2, 100)
        panes.append({"input.a": 3.0 * kinds + rng.normal(size=100), "input.b": rng.normal(size=100)})
    detector = build("domain_classifier", columns=("input.a", "input.b"), alpha=1e-3, rhythm=Rhythm.HOUR_OF_DAY)
    found = _run(detector, _reference(columns), panes)
    assert Outcome.ALARM not in found
    assert found[-1] is Outcome.OK


def test_evidence_of_other_rows_of_the_same_reference_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a state that an older release wrote starts afresh."""
    rng = np.random.default_rng(5)
    reference = _reference({"input.text": _texts(rng, rng.random(600) < 0.5)}, ColumnKind.TEXT)
    detector = build("text_figures", column="input.text", alpha=1e-3)
    monkeypatch.setattr(text_figures, "_KNOWN_N", 300)
    state = detector.start(reference)
    assert filled(state, detector.start(reference)).figures[0].hours[0].reference_n == 300
    monkeypatch.setattr(text_figures, "drawn_rows", lambda n, most: np.linspace(0, n - 1, most).round().astype(np.int64))
    with pytest.raises(ValueError, match="means of FiguresState is of other rows of the reference"):
        filled(state, detector.start(reference))


def _channels(kinds: NDArray[np.int64]) -> NDArray[np.object_]:
    return np.array(["web", "shop", "phone", "fax", "post"], dtype=object)[kinds]


def test_categories_that_come_in_turn_are_no_drift() -> None:
    """A third of the reference names what the others count: every third row is of one category."""
    rng = np.random.default_rng(6)
    reference = _reference({"input.channel": _channels(np.arange(600) % 3)}, ColumnKind.CATEGORY)
    panes = [{"input.channel": _channels(rng.integers(0, 3, 50))} for _ in range(60)]
    found = _run(build("conformal_category", column="input.channel", alpha=1e-3), reference, panes)
    assert Outcome.ALARM not in found
    assert found[-1] is Outcome.OK


def test_new_categories_are_told_beside_a_reference_whose_categories_come_in_turn() -> None:
    """A fifth of its rows say how often a new one comes: every fifth has one that the others lack."""
    rng = np.random.default_rng(7)
    reference = _reference({"input.channel": _channels(np.arange(600) % 5)}, ColumnKind.CATEGORY)
    pane = {"input.channel": np.where(rng.random(200) < 0.5, "pigeon", _channels(rng.integers(0, 5, 200)))}
    assert _run(build("unseen_category_rise", column="input.channel", alpha=1e-3), reference, [pane] * 5)[-1] is Outcome.ALARM


def test_large_errors_that_come_in_turn_are_part_of_the_bound() -> None:
    """A fifth of the bound rows say where losses are clipped, the others what is usual: every fifth error is a large one."""
    rng = np.random.default_rng(8)

    def pairs(is_hard: NDArray[np.bool_]) -> Pairs:
        nothing, value = np.full(len(is_hard), None, dtype=object), rng.normal(50.0, 10.0, len(is_hard))
        answer = value + np.where(is_hard, 10.0, 1.0) * rng.normal(size=len(is_hard))
        return Pairs(predicted=nothing, label=nothing, predicted_value=answer, value=value)

    reference = Reference(columns={}, kinds={}, sketches={}, bound=pairs(np.arange(2000) % 5 == 0), digest="0")
    detector = build("risk_value_change", alpha=1e-3)
    state, found = detector.start(reference), []
    for i in range(60):
        start, new = _START + timedelta(hours=i), pairs(rng.random(100) < 0.2)
        state, verdict = detector.step(state, Increment(start=start, end=start + timedelta(hours=1), columns={}, pairs=new, n=100))
        found.append(verdict.outcome)
    assert Outcome.ALARM not in found
    assert found[-1] is Outcome.OK
