"""The floor of accuracy by few labels and the predictions of all records: what it bets is fair, and it needs fewer labels."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from daemon.decide.monitors.all import monitors
from daemon.settings import ModelSettings
from detectors.registry import build
from detectors.sequential import ppi_floor
from detectors.sequential.bets import STAKES
from detectors.sequential.prediction_groups import MOST_N, add_records, matched, no_groups
from detectors.sketches.score_bins import bin_of
from detectors.types import Increment, Outcome, Pairs, Reference
from tests.prove.limits import least_mean_run

Floats = NDArray[np.float64]
LABELS = ("no", "yes")
START = datetime(2026, 1, 1, tzinfo=UTC)


def records(rng: np.random.Generator, n: int, *, hard: float, rise: float = 0.0) -> Pairs:
    """A share of `hard` records has a chance of .4 to be wrong and says so, the others of .025; `rise`: more errors that no score knows."""
    risk = np.where(rng.random(n) < hard, 0.4, 0.025)
    answer, is_wrong = rng.integers(0, 2, n), rng.random(n) < risk + rise
    names, sure = np.array(LABELS, dtype=object), (1.0 - risk)[:, None]
    scores = np.where(np.arange(2) == answer[:, None], sure, 1.0 - sure)
    return Pairs(predicted=names[answer], label=names[np.where(is_wrong, 1 - answer, answer)], scores=scores)


def pane(i: int, found: Pairs, labelled: NDArray[np.bool_], weight: Floats | None = None, *, late: int = 0) -> Increment:
    """Records, of which some are labelled at once; `late`: minutes that their time is before the pane's."""
    at = START + timedelta(minutes=i)
    pairs = found.take(labelled)
    when = np.full(pairs.n, at.timestamp() - 60.0 * late)
    pairs = Pairs(predicted=pairs.predicted, label=pairs.label, scores=pairs.scores, weight=weight, at=when)
    columns: dict[str, Any] = {"output.scores": found.scores, "output.label": found.predicted}
    return Increment(start=at, end=at + timedelta(minutes=1), columns=columns, pairs=pairs, n=found.n)


def reference(rng: np.random.Generator) -> Reference:
    return Reference(columns={}, kinds={}, sketches={}, bound=records(rng, 1000, hard=0.2), digest="x")


def test_every_prediction_is_in_one_group_and_every_group_is_used_once() -> None:
    rng = np.random.default_rng(1)
    groups, f, found = no_groups(), rng.random(700), []
    for i in range(20):
        groups = add_records(groups, f[35 * i : 35 * i + 35], 60.0 * i)
    total = 2.0 * groups.mean[:17].sum() + 16.0 * groups.mean[17:].sum() + groups.begun[1]  # groups of two until a pane has been counted
    assert total == pytest.approx(f.sum())
    before = np.sort(groups.mean)
    for _ in range(7):
        groups, means = matched(groups, np.full(20, 1200.0))
        found += means[np.isfinite(means)].tolist()
    assert np.sort(found).tolist() == before.tolist()  # all of them, although more labels ask
    assert not np.isfinite(matched(groups, np.zeros(1))[1]).any()


def test_a_label_is_compared_with_records_of_its_time_however_late_it_comes() -> None:
    groups = no_groups()
    for i in range(60):
        groups = add_records(groups, np.full(40, i / 100.0), 60.0 * i)
    groups, means = matched(groups, np.array([600.0, 620.0, 3000.0, 3540.0 + 3700.0]))
    assert means[:3].tolist() == pytest.approx([0.10, 0.10, 0.50], abs=0.011)
    assert np.isnan(means[3])  # nothing within the hour: the label speaks alone
    for i in range(60, 400):
        groups = add_records(groups, np.full(160, 0.5), 60.0 * i)
    assert len(groups.mean) <= MOST_N
    assert np.isnan(matched(groups, np.array([600.0]))[1]).all()


LIMIT = 0.025 + 0.375 * 0.1 + 0.03
"""Records easier than the bound rows by their scores, with three errors in a hundred more that no score knows."""


def wealth(*, is_active: bool = False) -> Floats:
    """Of 1,000 streams of 40 pairs in a world at the floor itself, (streams, stakes): as the detector bets, without beginning anew."""
    rng = np.random.default_rng(2)
    most = 1.0 / 0.05 if is_active else 1.0
    detector: Any = build("ppi_floor", labels=LABELS, minimum=1.0 - LIMIT, alpha=0.01, most_weight=most)
    state, bets = detector.start(reference(rng)), []
    for i in range(32):
        rows = records(rng, 15_000, hard=0.1, rise=0.03)
        assert rows.scores is not None
        doubt = 1.0 - rows.scores.max(axis=1)
        pi = np.clip(doubt, 0.05, 1.0) if is_active else np.full(rows.n, 0.1)
        chosen = rng.random(rows.n) < pi
        groups = add_records(state.groups, state.chance[bin_of(rows.scores.max(axis=1))], START.timestamp() + 60.0 * i)
        data = pane(i, rows, chosen, 1.0 / pi[chosen])
        assert data.pairs.scores is not None
        f = state.chance[bin_of(data.pairs.scores.max(axis=1))]
        _, g = ppi_floor.payoffs(replace(state, groups=groups), data.pairs.loss, f, np.full(data.pairs.n, START.timestamp() + 60.0 * i))
        bets.append((1.0 / pi[chosen] / most if is_active else 1.0) * (g - LIMIT) / (LIMIT + state.reach))
        state, _ = detector.step(state, data)
    gains = np.concatenate(bets)[:40_000].reshape(1000, 40)
    return np.exp(np.log1p(STAKES[:, None, None] * gains).sum(axis=2)).T


@pytest.mark.parametrize("is_active", [False, True])
def test_at_the_floor_a_bet_is_fair_though_inputs_moved_and_labels_are_chosen_by_doubt(*, is_active: bool) -> None:
    found = wealth(is_active=is_active)[:, :4]  # larger stakes rest on rare streams
    error = found.std(axis=0) / np.sqrt(len(found))
    assert (np.abs(found.mean(axis=0) - 1.0) < 4.0 * error).all()


def test_a_mean_prediction_of_another_time_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Planted: the bound rows' mean prediction in place of the same hour's; inputs became easier, so it calls what is no rise."""

    def of_the_reference(groups: Any, at: Floats) -> tuple[Any, Floats]:
        return groups, np.full(len(at), 0.1)

    monkeypatch.setattr(ppi_floor, "matched", of_the_reference)
    found = wealth()[:, :4]
    assert (found.mean(axis=0) - 4.0 * found.std(axis=0) / np.sqrt(len(found)) > 1.0).all()


def _run(seed: int, *, share: float, late: int) -> int:
    """Panes of 200 records to a false alarm, at most 400: one in ten answers is wrong (the floor), while hard records come and go."""
    rng = np.random.default_rng([9, seed])
    detector: Any = build("ppi_floor", labels=LABELS, minimum=0.9, alpha=1 / 40)
    state, panes = detector.start(reference(rng)), []
    for i in range(400):
        hard = min(0.2, 0.2 + 0.1 * np.sin(i / 7.0))
        rows = records(rng, 200, hard=hard, rise=0.1 - (0.025 + 0.375 * hard))
        panes.append(pane(i, rows, rng.random(rows.n) < share))
        labelled = panes[i - late].pairs if i >= late else Pairs.empty()
        state, verdict = detector.step(state, replace(panes[i], pairs=labelled))
        if verdict.outcome is Outcome.ALARM:
            break
    return i + 1


@pytest.mark.prove
@pytest.mark.parametrize(("share", "late"), [(0.05, 0), (0.05, 30), (0.2, 0), (0.5, 0)])
def test_at_the_floor_it_runs_as_long_as_promised_with_few_and_many_and_late_labels(share: float, late: int) -> None:
    runs = np.array([_run(seed, share=share, late=late) for seed in range(60)], dtype=np.float64)
    assert runs.mean() >= least_mean_run(len(runs), 40.0)  # a valid one fails once in ten million; found were 55 to 85


def _labels_until_alarm(name: str, seed: int) -> float:
    """Of 2,000 records a pane one in twenty is labelled; errors rise from 10 to 14 in a hundred after five panes, by harder records."""
    rng = np.random.default_rng([3, seed])
    labels = {"labels": LABELS} if name == "ppi_floor" else {}
    detector: Any = build(name, minimum=0.9, alpha=1e-4, **labels)
    state, used = detector.start(reference(rng)), 0
    for i in range(200):
        rows = records(rng, 2000, hard=0.2 if i < 5 else 0.2 + 0.04 / 0.375)
        found = pane(i, rows, rng.random(rows.n) < 0.05)
        state, verdict = detector.step(state, found)
        used += found.pairs.n if i >= 5 else 0
        if verdict.outcome is Outcome.ALARM:
            return float(used)
    return float("inf")


def test_with_sharp_scores_a_small_rise_needs_fewer_labels_than_by_labels_alone() -> None:
    alone, predicted = (np.mean([_labels_until_alarm(name, seed) for seed in range(24)]) for name in ("accuracy_floor", "ppi_floor"))
    assert predicted < 0.95 * alone, (predicted, alone)


def test_it_takes_the_place_of_the_floor_where_it_is_asked_for_and_can_predict() -> None:
    def named(**performance: Any) -> list[str]:
        settings = {"metric": "accuracy", "minimum": 0.8, **performance}
        model = ModelSettings.model_validate(
            {"name": "m", "task": "text-classification", "labels": ["no", "yes"], "monitors": {"performance": settings}}
        )
        found = [monitors(model, has_bound=True, seen=seen) for seen in (["output.scores"], [])]
        return [next(d.name for d in each if d.name.endswith("_floor")) for each in found]

    assert named() == ["accuracy_floor", "accuracy_floor"]
    assert named(predicted=True) == ["ppi_floor", "accuracy_floor"]
    for wrong in ({"metric": "f1"}, {"least_label_probability": 0.02}):
        with pytest.raises(ValueError, match=r"needs (`metric: accuracy`|no `least_label_probability`)"):
            named(predicted=True, **wrong)
