"""The floor of judged quality by few people and a judge of all answers: what it bets is fair, and it needs fewer people."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from daemon.decide.monitors.all import monitors
from daemon.settings import ModelSettings
from daemon.watched.seen.day import Day
from daemon.watched.soon import soon_seen
from detectors.registry import build
from detectors.sequential import ppi_score_floor
from detectors.sequential.prediction_groups import add_records
from detectors.types import Increment, Outcome, Pairs, Reference
from tests.prove.limits import least_mean_run

Floats = NDArray[np.float64]
JUDGE = "input.judge"
START = datetime(2026, 1, 1, tzinfo=UTC)
_USUAL, _FALLEN = 0.89, 0.694
"""Where the hidden worth of answers lies: people rate them .75 and .70 on average, on a scale of five."""


def answers(rng: np.random.Generator, n: int, *, worth: float = _USUAL, milder: float = 0.0, together: float = 0.755) -> Pairs:
    """As people would rate them, 0 to 1, beside a judge's 0 to 10; the two correlate by .7. `milder`: the judge's opinion alone moves."""
    hidden, own = rng.normal(size=n), rng.normal(size=n)
    quality = np.clip(np.round(2.0 + 1.4 * (hidden + worth)), 0.0, 4.0) / 4.0
    judged = np.clip(np.round(5.0 + 3.0 * (together * hidden + np.sqrt(1.0 - together**2) * own + worth + milder)), 0.0, 10.0)
    nothing = np.full(n, None, dtype=object)
    return Pairs(predicted=nothing, label=nothing, quality=quality, columns={JUDGE: judged})


def pane(i: int, found: Pairs, labelled: NDArray[np.bool_], weight: Floats | None = None) -> Increment:
    at = START + timedelta(minutes=i)
    pairs = replace(found.take(labelled), weight=weight, at=np.full(int(labelled.sum()), at.timestamp()))
    return Increment(start=at, end=at + timedelta(minutes=1), columns={JUDGE: found.columns[JUDGE]}, pairs=pairs, n=found.n)


def reference(rng: np.random.Generator) -> Reference:
    return Reference(columns={}, kinds={}, sketches={}, bound=answers(rng, 1000), digest="x")


def quality_of(worth: float) -> float:
    """Of very many."""
    found = answers(np.random.default_rng(0), 1_000_000, worth=worth).quality
    assert found is not None
    return float(found.mean())


def wealth(*, is_active: bool = False) -> Floats:
    """Of 1,000 streams of 40 ratings at the floor itself, (streams, stakes), while the judge has become milder: without beginning anew."""
    rng = np.random.default_rng(2)
    floor, most = quality_of(0.5), 1.0 / 0.05 if is_active else 1.0
    detector: Any = build("ppi_score_floor", judge=JUDGE, minimum=floor, alpha=0.01, most_weight=most)
    state, bets = detector.start(reference(rng)), []
    for i in range(32):
        rows = answers(rng, 15_000, worth=0.5, milder=0.4)
        score = rows.columns[JUDGE]
        pi = np.clip(0.2 - 0.015 * score, 0.05, 1.0) if is_active else np.full(rows.n, 0.1)
        chosen = rng.random(rows.n) < pi
        data = pane(i, rows, chosen, 1.0 / pi[chosen])
        groups = add_records(state.groups, np.clip(score, state.low, state.high), data.start.timestamp())
        f = np.clip(score[chosen], state.low, state.high)
        _, g, reach = ppi_score_floor.payoffs(replace(state, groups=groups), 1.0 - data.pairs.quality, f, data.pairs.at)
        bets.append((1.0 / pi[chosen] / most if is_active else 1.0) * (g - (1.0 - floor)) / (1.0 - floor + reach))
        assert bets[-1].min() >= -1.0
        state, _ = detector.step(state, data)
    gains = np.concatenate(bets)[:40_000].reshape(1000, 40)
    return np.exp(np.log1p(np.array([0.05, 0.1, 0.2, 0.4])[:, None, None] * gains).sum(axis=2)).T


@pytest.mark.parametrize("is_active", [False, True])
def test_at_the_floor_a_bet_is_fair_though_the_judge_moved_and_labels_are_chosen_by_him(*, is_active: bool) -> None:
    found = wealth(is_active=is_active)
    error = found.std(axis=0) / np.sqrt(len(found))
    assert (np.abs(found.mean(axis=0) - 1.0) < 4.0 * error).all()


def test_the_judges_mean_of_another_time_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Planted: his mean on the bound rows in place of the same hour's; he became milder, so it calls what is no fall."""
    then = float(np.clip(answers(np.random.default_rng(4), 10_000).columns[JUDGE], 4.0, 10.0).mean())

    def of_the_reference(groups: Any, at: Floats) -> tuple[Any, Floats]:
        return groups, np.full(len(at), then - 0.7)

    monkeypatch.setattr(ppi_score_floor, "matched", of_the_reference)
    found = wealth()
    assert (np.abs(found.mean(axis=0) - 1.0) > 4.0 * found.std(axis=0) / np.sqrt(len(found))).all()


def _run(seed: int, *, share: float, late: int) -> int:
    """Panes of 200 answers to a false alarm, at most 400, at the floor itself, while the judge's opinion comes and goes."""
    rng = np.random.default_rng([9, seed])
    detector: Any = build("ppi_score_floor", judge=JUDGE, minimum=_FLOOR, alpha=1 / 40)
    state, panes = detector.start(reference(rng)), []
    for i in range(400):
        rows = answers(rng, 200, worth=0.5, milder=0.5 * np.sin(i / 7.0))
        panes.append(pane(i, rows, rng.random(rows.n) < share))
        labelled = panes[i - late].pairs if i >= late else Pairs.empty()
        state, verdict = detector.step(state, replace(panes[i], pairs=labelled))
        if verdict.outcome is Outcome.ALARM:
            break
    return i + 1


_FLOOR = quality_of(0.5)


@pytest.mark.prove
@pytest.mark.parametrize(("share", "late"), [(0.05, 0), (0.05, 30), (0.2, 0), (0.5, 0)])
def test_at_the_floor_it_runs_as_long_as_promised_with_few_and_many_and_late_labels(share: float, late: int) -> None:
    runs = np.array([_run(seed, share=share, late=late) for seed in range(60)], dtype=np.float64)
    assert runs.mean() >= least_mean_run(len(runs), 40.0)


def labels_until_alarm(name: str, seed: int, *, together: float = 0.755, milder: float = 0.0) -> float:
    """Of 200 answers a pane one in twenty is rated; after ten panes the mean rating falls from .75, the floor, by .05."""
    rng = np.random.default_rng([3, seed])
    judge = {"judge": JUDGE} if name == "ppi_score_floor" else {}
    detector: Any = build(name, minimum=0.75, alpha=1e-4, **judge)
    bound = answers(rng, 500, together=together)
    state, used = detector.start(Reference(columns={}, kinds={}, sketches={}, bound=bound, digest="x")), 0
    for i in range(1000):
        rows = answers(rng, 200, worth=_USUAL if i < 10 else _FALLEN, milder=0.0 if i < 10 else milder, together=together)
        found = pane(i, rows, rng.random(rows.n) < 0.05)
        state, verdict = detector.step(state, found)
        used += found.pairs.n if i >= 10 else 0
        if verdict.outcome is Outcome.ALARM:
            return float(used) if i >= 10 else float("nan")
    return float("inf")


@pytest.mark.parametrize("milder", [0.0, _USUAL - _FALLEN])
def test_a_small_fall_needs_a_quarter_fewer_ratings_whether_the_judge_sees_it_or_not(milder: float) -> None:
    alone, judged = (
        np.mean([labels_until_alarm(name, seed, milder=milder) for seed in range(24)]) for name in ("score_floor", "ppi_score_floor")
    )
    assert judged < 0.75 * alone, (judged, alone)


def test_a_judge_who_knows_nothing_costs_little() -> None:
    alone, judged = (
        np.mean([labels_until_alarm(name, seed, together=0.0) for seed in range(24)]) for name in ("score_floor", "ppi_score_floor")
    )
    assert judged < 1.1 * alone, (judged, alone)


def test_it_takes_the_place_of_the_floor_where_a_judge_is_named_and_known() -> None:
    def named(seen: list[str] | None = None, **performance: Any) -> tuple[list[str], ModelSettings]:
        settings = {"minimum": 0.8, **performance}
        model = ModelSettings.model_validate(
            {
                "name": "m",
                "task": "text-generation",
                "columns": {"tone": "numeric", "age": "numeric"},
                "monitors": {"performance": settings},
            }
        )
        return [d.name for d in monitors(model, has_bound=True, seen=seen) if d.name.endswith("score_floor")], model

    assert named()[0] == ["score_floor"]
    found, model = named(predicted="tone")
    assert found == ["ppi_score_floor"]
    assert set(model.paired()) == {"input.age", "input.tone"}  # labels carry it, and no cause is sought in it
    assert set(model.asked()) == {"input.age"}
    assert named(["output.text"], predicted="tone")[0] == ["score_floor"]  # the reference's answers have none
    for wrong in ({"predicted": True}, {"predicted": "tone", "least_label_probability": 0.02}):
        with pytest.raises(ValueError, match="needs"):
            named(**wrong)


def test_what_is_seen_within_a_day_is_less_with_a_judge_and_that_of_people_alone_without_his_scores() -> None:
    known, day = reference(np.random.default_rng(1)), Day(records_n=5000.0, labels_n=250.0)
    detector, alone = build("ppi_score_floor", minimum=0.7, alpha=1e-3, judge=JUDGE), build("score_floor", minimum=0.7, alpha=0.5e-3)
    (judged,), (people,) = (soon_seen([d], known, day) for d in (detector, alone))
    assert people.smallest is not None
    assert judged.smallest is not None
    assert people.smallest + 0.01 < judged.smallest < 0.7
    assert judged.says == f"it falls to {judged.smallest:.3g} (floor 0.7)"
    unscored = replace(known, bound=replace(known.bound, columns={}))
    assert soon_seen([detector], unscored, day)[0].smallest == people.smallest
