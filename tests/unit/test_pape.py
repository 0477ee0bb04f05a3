"""Estimates without labels on a world whose truth is known: inputs that move (PAPE beside CBPE), shares that move (MLLS beside BBSE)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from detectors.performance.reweighted import density_ratio
from detectors.registry import build
from detectors.sketches.confusion import Confusion
from detectors.sketches.score_counts import ScoreCounts
from detectors.types import ColumnKind, Increment, Outcome, Pairs, Reference, Window

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from detectors.types import Verdict

_LABELS = ("no", "yes")
_COLUMNS = ("input.x", "input.region")
_KINDS = {"input.x": ColumnKind.NUMERIC, "input.region": ColumnKind.CATEGORY}
_AT = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class Traffic:
    """Records with what is right for them."""

    columns: dict[str, NDArray[Any]]
    pairs: Pairs

    @property
    def accuracy(self) -> float:
        return 1.0 - float(self.pairs.loss.mean())

    @property
    def share(self) -> float:
        return float((self.pairs.label == "yes").mean())


def _traffic(rng: np.random.Generator, n: int = 1000, *, south: float = 0.2, kept: tuple[float, float] = (1.0, 1.0)) -> Traffic:
    """Scores are honest in the north and far too sure in the south; `kept`: share of the noes and of the yeses that come at all."""
    is_south, x = rng.random(n) < south, rng.normal(size=n)
    z = 1.5 * x + rng.normal(0.0, 0.5, n)
    said, chance = 1.0 / (1.0 + np.exp(-z)), 1.0 / (1.0 + np.exp(-z * np.where(is_south, 0.25, 1.0)))
    label = (rng.random(n) < chance).astype(np.int64)
    there = rng.random(n) < np.asarray(kept)[label]
    names, answer = np.asarray(_LABELS, dtype=object), (said > 0.5).astype(np.int64)
    columns = {"input.x": x[there], "input.region": np.where(is_south, "south", "north").astype(object)[there]}
    scores = np.column_stack([1.0 - said, said])[there]
    pairs = Pairs(predicted=names[answer[there]], label=names[label[there]], scores=scores, columns=columns)
    return Traffic(columns={**columns, "output.label": pairs.predicted, "output.scores": scores}, pairs=pairs)


def _reference(known: Traffic) -> Reference:
    return Reference(columns=known.columns, kinds=_KINDS, sketches={}, bound=known.pairs, digest="made")


def _of_pane(name: str, known: Traffic, now: Traffic, **settings: Any) -> Verdict:
    detector = build(name, labels=_LABELS, **settings)
    pane = Increment(start=_AT, end=_AT, columns=now.columns, pairs=Pairs.empty(), n=now.pairs.n)
    return detector.step(detector.start(_reference(known)), pane)[1]


def _of_window(name: str, known: Traffic, now: Traffic, **settings: Any) -> Verdict:
    detector, n = build(name, labels=_LABELS, **settings), now.pairs.n
    scores = ScoreCounts.of(now.columns["output.scores"], now.pairs.predicted, _LABELS)
    sketches = {"output.scores": {"scores": scores}}
    window = Window(model="m", version="1", start=_AT, end=_AT, n_seen=n, n=n, sketches=sketches, confusion=Confusion())
    return detector.step(detector.start(_reference(known)), window)[1]


def test_where_inputs_moved_to_dishonest_scores_pape_is_right_and_cbpe_is_not() -> None:
    errors: dict[str, list[float]] = {"pape": [], "cbpe": []}
    hits = 0
    for seed in range(40):
        rng = np.random.default_rng([1, seed])
        known, now = _traffic(rng), _traffic(rng, south=0.7)
        pape = _of_pane("pape", known, now, metric="accuracy", columns=_COLUMNS)
        cbpe = _of_window("cbpe", known, now, metric="accuracy")
        errors["pape"].append(abs(pape.value - now.accuracy))
        errors["cbpe"].append(abs(cbpe.value - now.accuracy))
        hits += pape.low <= now.accuracy <= pape.high
    assert np.mean(errors["cbpe"]) > 0.07
    assert np.mean(errors["pape"]) < 0.035
    assert hits >= 32, f"{hits} of 40 intervals hold the realised accuracy"


def test_where_nothing_moved_pape_says_what_cbpe_says() -> None:
    rng = np.random.default_rng(2)
    known, now = _traffic(rng), _traffic(rng)
    pape = _of_pane("pape", known, now, metric="f1", label="yes", columns=_COLUMNS)
    cbpe = _of_window("cbpe", known, now, metric="f1", label="yes")
    assert pape.value == pytest.approx(cbpe.value, abs=0.02)
    assert pape.outcome is Outcome.OK
    assert "last 1000 answers" in pape.because


def test_production_that_no_labelled_row_is_like_gets_no_figure() -> None:
    rng = np.random.default_rng(3)
    known, now = _traffic(rng, south=0.02), _traffic(rng, south=1.0)
    verdict = _of_pane("pape", known, now, metric="accuracy", columns=_COLUMNS)
    assert verdict.outcome is Outcome.INSUFFICIENT
    assert "labelled reference rows count for inputs like these (needs 100)" in verdict.because


def test_an_estimate_stays_until_enough_has_come_and_then_speaks_of_the_latest_thousand() -> None:
    rng = np.random.default_rng(4)
    known, detector = _traffic(rng), build("pape", labels=_LABELS, metric="accuracy", columns=_COLUMNS)
    state, told = detector.start(_reference(known)), []
    for n, south in ((1000, 0.2), (40, 0.9), (960, 0.9)):
        now = _traffic(rng, n, south=south)
        pane = Increment(start=_AT, end=_AT, columns=now.columns, pairs=Pairs.empty(), n=n)
        state, verdict = detector.step(state, pane)
        told.append(verdict.value)
    assert told[0] == told[1]
    assert told[2] < told[0] - 0.05
    assert len(state.pool) == 1000


def test_weights_are_the_density_ratio_of_two_known_normals() -> None:
    """N(0, 1) to N(0.5, 1): the logarithm of the ratio is 0.5 x - 0.125."""
    rng = np.random.default_rng(5)
    before, now = rng.normal(size=(4000, 1)), rng.normal(0.5, size=(4000, 1))
    off = np.log(density_ratio(before, now)) - (0.5 * before[:, 0] - 0.125)
    assert np.abs(off).mean() < 0.08


def test_mlls_covers_a_moved_share_and_is_narrower_than_bbse() -> None:
    hits, widths, told = 0, {"mlls": [], "bbse": []}, 0
    for seed in range(40):
        rng = np.random.default_rng([6, seed])
        known, now = _traffic(rng), _traffic(rng, 1400, kept=(1.0, 0.4))
        mlls = _of_pane("label_shift_scores", known, now, label="yes", alpha=0.05)
        bbse = _of_window("label_shift", known, now, label="yes", alpha=0.05)
        hits += mlls.low <= now.share <= mlls.high
        told += mlls.outcome is Outcome.ALARM
        for name, verdict in (("mlls", mlls), ("bbse", bbse)):
            widths[name].append(verdict.high - verdict.low)
    assert hits >= 35, f"{hits} of 40 intervals at 95 % hold the share"
    assert np.mean(widths["mlls"]) < 0.9 * np.mean(widths["bbse"])
    assert told >= 35


def test_mlls_is_rarely_wrong_where_no_share_moved() -> None:
    false = 0
    for seed in range(60):
        rng = np.random.default_rng([7, seed])
        false += _of_pane("label_shift_scores", _traffic(rng), _traffic(rng), label="yes", alpha=0.05).outcome is Outcome.ALARM
    assert false <= 9, f"{false} of 60 at alpha = .05"


def test_rows_without_all_scores_are_left_out_and_unknown_answers_are_wrong() -> None:
    rng = np.random.default_rng(8)
    known, now = _traffic(rng), _traffic(rng)
    scores, answers = now.columns["output.scores"].copy(), now.columns["output.label"].copy()
    scores[:300, 0], answers[300:500] = np.nan, "maybe"
    torn = replace(now, columns={**now.columns, "output.scores": scores, "output.label": answers})
    verdict = _of_pane("pape", known, torn, metric="accuracy", columns=_COLUMNS)
    assert verdict.n == 700
    assert verdict.value <= 500 / 700
    assert _of_pane("label_shift_scores", known, torn, label="yes").n == 700
