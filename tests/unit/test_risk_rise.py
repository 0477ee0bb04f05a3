"""A rise of the loss by ranks among bound rows and past: when it alarms, what holds it back, what it does with few rows and weights."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from daemon.decide.incident import AlarmKind, alarm_kind
from daemon.decide.monitors.all import monitors
from daemon.settings import ModelSettings
from detectors.registry import build
from detectors.sequential.loss import Loss
from detectors.sequential.loss_cells import cell_values, cells_of, risen, usual_mean
from detectors.sequential.segment import Segment
from detectors.types import Increment, Outcome, Pairs, Reference, Verdict

ALPHA = 4.6e-6
"""Of each e-detector of performance in the demo."""


def wrong(is_wrong: Any, *, channel: str | None = None, weight: Any = None) -> Pairs:
    """Classes, all of them "a"."""
    n = len(is_wrong)
    columns = {} if channel is None else {"input.channel": np.full(n, channel, dtype=object)}
    label = np.full(n, "a", dtype=object)
    return Pairs(predicted=np.where(is_wrong, "b", "a").astype(object), label=label, columns=columns, weight=weight)


def numbers(off: Any) -> Pairs:
    n = len(off)
    none = np.full(n, None, dtype=object)
    return Pairs(predicted=none, label=none, value=np.zeros(n), predicted_value=np.asarray(off, dtype=np.float64))


def judged(loss: Any) -> Pairs:
    none = np.full(len(loss), None, dtype=object)
    return Pairs(predicted=none, label=none, quality=1.0 - np.asarray(loss, dtype=np.float64))


def folded(detector: Any, bound: Pairs, news: Pairs, pane_n: int = 10) -> list[Verdict]:
    """A verdict for each pane."""
    start, found = datetime(2026, 1, 1, tzinfo=UTC), []
    state = detector.start(Reference(columns={}, kinds={}, sketches={}, bound=bound, digest=""))
    for i in range(0, news.n, pane_n):
        at = start + timedelta(minutes=i)
        pane = Increment(start=at, end=at + timedelta(minutes=1), columns={}, pairs=news.take(slice(i, i + pane_n)), n=pane_n)
        state, verdict = detector.step(state, pane)
        found.append(verdict)
    return found


def first_alarm(found: list[Verdict]) -> int | None:
    return next((i for i, v in enumerate(found) if v.outcome is Outcome.ALARM), None)


def shares(rng: np.random.Generator, *parts: tuple[int, float]) -> Any:
    """So many draws at each rate, one after the other."""
    return np.concatenate([rng.random(n) < rate for n, rate in parts])


def test_labels_from_before_the_shift_show_a_rise_that_the_bound_of_few_rows_hides() -> None:
    """The loss goes from .24 to .41 after 300 labels; the limit of 200 bound rows is about .37, too near to .41."""
    seen = []
    for seed in range(8):
        rng = np.random.default_rng(seed)
        bound, news = wrong(np.arange(200) < 48), wrong(shares(rng, (300, 0.24), (1000, 0.41)))
        seen.append(first_alarm(folded(build("risk_rise", alpha=ALPHA), bound, news)))
        assert first_alarm(folded(build("risk_change", alpha=ALPHA), bound, news)) is None
    assert all(pane is not None and 30 < pane <= 130 for pane in seen)
    assert np.median([pane for pane in seen if pane is not None]) < 30 + 50


def test_evidence_of_a_rise_that_does_not_matter_stays_and_the_alarm_is_held_back() -> None:
    rng = np.random.default_rng(1)
    bound, news = wrong(shares(rng, (1000, 0.1))), wrong(shares(rng, (4000, 0.1), (4000, 0.14)))
    patient, strict = (folded(build("risk_rise", alpha=1e-3, tolerance=t), bound, news, 50) for t in (0.1, 0.0))
    assert [v.evidence for v in patient] == [v.evidence for v in strict]
    at = first_alarm(strict)
    assert at is not None
    assert first_alarm(patient) is None
    held = patient[at]
    assert held.outcome is Outcome.OK
    assert held.because.endswith(f"it rose, but up to {held.limit:.3g} is fine")
    assert "1000 bound rows among them" in held.because
    assert held.limit is not None
    quiet = float(held.because.partition(" labelled records, ")[2].partition(" on the ")[0])
    assert strict[at].value < held.limit == pytest.approx(quiet + 0.1, abs=1e-3)
    assert quiet == pytest.approx(0.1, abs=0.02)


@pytest.mark.parametrize("bound_n", [0, 20])
def test_with_few_bound_rows_or_none_the_past_is_the_reference(bound_n: int) -> None:
    rng = np.random.default_rng(2)
    bound, news = wrong(shares(rng, (bound_n, 0.1))), wrong(shares(rng, (500, 0.1), (400, 0.4)))
    found = folded(build("risk_rise", alpha=ALPHA), bound, news)
    at = first_alarm(found)
    assert at is not None
    assert 50 < at < 75
    assert f"({bound_n} bound rows among them)" in found[at].because
    later = found[at + 20]
    assert later.outcome is Outcome.ALARM
    assert later.limit == pytest.approx(0.15, abs=0.04)  # what rose is no part of what it rose above
    bad_from_the_start = folded(build("risk_rise", alpha=ALPHA), bound.take(slice(0)), wrong(shares(rng, (900, 0.4))))
    assert first_alarm(bad_from_the_start) is None


def test_without_a_label_nothing_is_said_and_nothing_is_a_step() -> None:
    found = folded(build("risk_rise", alpha=0.01), wrong(np.zeros(50)), wrong(np.zeros(0)))
    assert found == []
    (verdict,) = folded(build("risk_value_rise", alpha=0.01), numbers(np.ones(50)), numbers(np.full(10, np.nan)))
    assert (verdict.outcome, verdict.n, verdict.limit, verdict.e_value) == (Outcome.INSUFFICIENT, 0, None, None)


def test_many_quiet_panes_of_few_labels_are_no_part_of_what_rose() -> None:
    """The evidence wanders in quiet times: were they counted with the change, the alarm would come hundreds of labels after it."""
    for seed in range(3):
        rng = np.random.default_rng(seed)
        bound, news = wrong(np.arange(200) < 48), wrong(shares(rng, (2000, 0.24), (600, 0.41)))
        found = folded(build("risk_rise", alpha=ALPHA), bound, news, 2)
        reached = next(i for i, v in enumerate(found) if v.evidence.log10_e >= -np.log10(ALPHA))  # type: ignore[union-attr]
        assert first_alarm(found) == reached


def test_a_falling_loss_is_no_alarm() -> None:
    rng = np.random.default_rng(3)
    found = folded(build("risk_rise", alpha=0.01, tolerance=0.0), wrong(shares(rng, (500, 0.5))), wrong(shares(rng, (1500, 0.1))))
    assert first_alarm(found) is None


def test_a_wild_value_in_the_past_blinds_nobody_and_alone_alarms_nobody() -> None:
    rng = np.random.default_rng(4)
    quiet, worse = np.abs(rng.normal(size=600)), 2.0 * np.abs(rng.normal(size=400))
    quiet[[40, 500]] = 1e9
    found = folded(build("risk_value_rise", alpha=ALPHA), numbers(np.abs(rng.normal(size=100))), numbers(np.append(quiet, worse)))
    at = first_alarm(found)
    assert at is not None
    assert 60 < at < 80
    assert found[at].value == pytest.approx(1.6, abs=0.4)
    assert found[at].limit == pytest.approx(1.05 * 0.8, abs=0.1)


def test_judged_answers_are_seen_by_their_quality() -> None:
    rng = np.random.default_rng(5)
    before, after = (1.0 - rng.choice([0.25, 0.5, 0.75, 1.0], p=p, size=600) for p in ([0.1, 0.1, 0.3, 0.5], [0.3, 0.2, 0.2, 0.3]))
    news = judged(np.append(before[200:], after))
    found = folded(build("risk_judged_rise", alpha=ALPHA), judged(before[:200]), news)
    at = first_alarm(found)
    assert at is not None
    assert 40 < at < 60


def test_unequal_weights_are_thinned_to_an_even_sample() -> None:
    """Wrong answers are labelled three times as often as the bound rows have them; `most_weight` makes up for it, and sees a real rise."""

    def planned(rng: np.random.Generator, *parts: tuple[int, float]) -> Pairs:
        is_wrong = shares(rng, *parts)
        chance = np.where(is_wrong, 0.9, 0.3)
        kept = rng.random(len(chance)) < chance
        return wrong(is_wrong[kept], weight=1.0 / chance[kept])

    rng = np.random.default_rng(6)
    bound, quiet, risen_ = wrong(shares(rng, (500, 0.1))), planned(rng, (6000, 0.1)), planned(rng, (3000, 0.1), (3000, 0.3))
    weighted = build("risk_rise", alpha=1e-4, most_weight=1 / 0.3)
    assert first_alarm(folded(weighted, bound, quiet)) is None
    assert folded(weighted, bound, quiet)[-1].value == pytest.approx(0.1, abs=0.04)
    assert first_alarm(folded(weighted, bound, risen_)) is not None
    assert first_alarm(folded(build("risk_rise", alpha=1e-4), bound, wrong(quiet.loss == 1.0))) is not None


def test_a_segment_is_ranked_among_its_own_and_not_from_a_handful() -> None:
    rng = np.random.default_rng(7)
    web = Segment(column="input.channel", value="web", least_n=30)
    detector = build("risk_rise", alpha=ALPHA, within=web)
    assert detector.subject == "risk[channel=web]"
    others = folded(detector, wrong(np.zeros(100), channel="app"), wrong(np.ones(300), channel="app"))
    assert {v.outcome for v in others} == {Outcome.INSUFFICIENT}
    news = wrong(shares(rng, (300, 0.1), (300, 0.5)), channel="web")
    found = folded(detector, Pairs.empty(), news)
    assert [v.outcome for v in found[:3]] == [Outcome.INSUFFICIENT, Outcome.INSUFFICIENT, Outcome.OK]
    at = first_alarm(found)
    assert at is not None
    assert found[at].because.startswith("channel=web: loss ")


@pytest.mark.parametrize("name", ["risk_rise", "risk_value_rise", "risk_judged_rise"])
def test_a_rise_is_an_alarm_of_risk(name: str) -> None:
    assert alarm_kind(name) is AlarmKind.RISK


@pytest.mark.parametrize(
    ("task", "changes", "built"),
    [
        ("text-classification", {"labels": ["a", "b"]}, {True: {"risk_rise", "risk_change", "risk"}, False: {"risk_rise"}}),
        (
            "text-classification",
            {"labels": ["a", "b"], "labels_expected": False},
            {True: {"risk_rise", "risk_change", "risk"}, False: set()},
        ),
        ("text-classification", {}, {True: set(), False: set()}),
        ("text-generation", {}, {True: {"risk_judged_rise", "risk_judged_change", "risk_judged"}, False: set()}),
        (
            "tabular-regression",
            {"monitors": {"performance": {}}},
            {True: {"risk_value_rise", "risk_value_change", "risk_value"}, False: {"risk_value_rise"}},
        ),
        (
            "tabular-regression",
            {"labels_expected": True},
            {True: {"risk_value_rise", "risk_value_change", "risk_value"}, False: {"risk_value_rise"}},
        ),
        (
            "text-generation",
            {"labels_expected": True},
            {True: {"risk_judged_rise", "risk_judged_change", "risk_judged"}, False: {"risk_judged_rise"}},
        ),
        ("text-generation", {"labels_expected": False, "monitors": {"performance": {}}}, {False: set()}),
    ],
)
def test_it_is_watched_with_bound_rows_and_without_where_labels_are_expected(
    task: str, changes: dict[str, Any], built: dict[bool, set[str]]
) -> None:
    model = ModelSettings.model_validate({"name": "m", "task": task, **changes})
    for has_bound, wanted in built.items():
        found: list[Any] = [d for d in monitors(model, has_bound=has_bound) if d.name.startswith("risk")]
        assert {d.name for d in found} == wanted
        assert {d.alpha for d in found if d.name.endswith("rise")} <= {
            d.alpha for d in found if not d.name.endswith(("risk", "value", "judged"))
        }


@pytest.mark.parametrize("loss", [Loss.ERROR, Loss.QUALITY, Loss.ABSOLUTE_ERROR])
def test_a_loss_is_in_the_cell_whose_value_is_nearest(loss: Loss) -> None:
    values = cell_values(loss)
    assert (np.diff(values) > 0.0).all()
    assert np.array_equal(cells_of(values, values), np.arange(len(values)))
    off = np.random.default_rng(8).random(1000) * (1.0 if loss.is_bounded else 1e4)
    far = np.abs(values[cells_of(values, off)] - off)
    assert np.array_equal(far, np.abs(values - off[:, None]).min(axis=1))
    assert cells_of(values, np.array([0.0, 1e30]))[0] == 0


def test_means_and_risen_shares_are_those_of_the_losses() -> None:
    rng = np.random.default_rng(9)
    values = cell_values(Loss.ABSOLUTE_ERROR)
    off = np.abs(rng.normal(size=20_000))
    counts = np.bincount(cells_of(values, off), minlength=len(values)).astype(np.float64)
    mean, most = usual_mean(values, counts, is_bounded=False)
    assert mean == pytest.approx(off.mean(), rel=0.02)
    assert most == pytest.approx(np.quantile(off, 0.99), rel=0.1)
    grown, _ = usual_mean(values, risen(values, counts / counts.sum(), 0.3, is_bounded=False), is_bounded=False)
    assert grown == pytest.approx(1.3 * mean, rel=0.02)
    errors = cell_values(Loss.ERROR)
    assert risen(errors, np.array([0.8, 0.2]), 0.1, is_bounded=True) == pytest.approx([0.7, 0.3])
    assert usual_mean(errors, np.zeros(2), is_bounded=True) == (0.0, 0.0)
