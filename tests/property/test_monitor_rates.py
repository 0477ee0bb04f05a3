"""The one knob: sums, order, weights, and that what is promised of the whole is what was asked for."""

from __future__ import annotations

import io
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from daemon.decide.monitors.all import monitors
from daemon.decide.monitors.rates import DELTA, DELTAS, E_PROCESSES, Group, promised_days, spread
from daemon.settings import ModelSettings
from daemon.watched.knob import knob_rows, knob_table, promise
from detectors.registry import build
from detectors.types import EDetectorValue, EValue, Kind

PANE_S = 60.0

counts = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 5)), min_size=1, max_size=6)
days = st.floats(0.1, 2000.0)


def _groups(sizes: list[tuple[int, int]], **own: float) -> list[Group]:
    """Groups of (e-detectors, e-processes) each, with one that informs between them."""
    found = []
    for at, (runs, bets) in enumerate(sizes):
        detectors = [build("conformal_numeric", column=f"input.x{at}_{i}", alpha=0.3) for i in range(runs)]
        detectors += [build("ks", column=f"input.x{at}", alpha=0.01)]
        detectors += [build("risk", alpha=0.4) for _ in range(bets)]
        found.append(Group(name=str(at), detectors=detectors, days=own.get("days") if at == 0 else None))
    return found


@given(sizes=counts, wanted=days)
def test_the_whole_keeps_what_was_asked_for_and_wastes_little_of_it(sizes: list[tuple[int, int]], wanted: float) -> None:
    promised = promised_days(spread(_groups(sizes), days=wanted, pane_s=PANE_S), pane_s=PANE_S)
    if any(runs for runs, _ in sizes):
        assert wanted * (1 - 1e-9) <= promised <= wanted / ((1 - DELTAS) * (1 - E_PROCESSES)) * (1 + 1e-9)
    else:
        assert math.isinf(promised)


@given(sizes=counts, wanted=days)
def test_order_and_all_but_the_rates_stay(sizes: list[tuple[int, int]], wanted: float) -> None:
    groups = _groups(sizes)
    given_in, found = [d for g in groups for d in g.detectors], spread(groups, days=wanted, pane_s=PANE_S)
    assert [(d.name, d.subject) for d in found] == [(d.name, d.subject) for d in given_in]
    assert [d for d in found if d.kind is Kind.INFORMS] == [d for d in given_in if d.kind is Kind.INFORMS]


@given(sizes=counts, wanted=days)
def test_groups_weigh_the_same_and_so_do_the_detectors_of_one(sizes: list[tuple[int, int]], wanted: float) -> None:
    for evidence in (EDetectorValue, EValue):
        shares = []
        for at, group in enumerate(groups := _groups(sizes)):
            built = spread(groups, days=wanted, pane_s=PANE_S)
            first = sum(len(g.detectors) for g in groups[:at])
            alphas = [d.alpha for d in built[first : first + len(group.detectors)] if d.evidence is evidence]
            assert len(set(alphas)) <= 1
            if alphas:
                shares.append(sum(alphas))
        assert shares == pytest.approx([shares[0]] * len(shares) if shares else [])
        if evidence is EValue and shares:
            assert sum(shares) == pytest.approx(E_PROCESSES)


@given(sizes=counts, wanted=days, own=st.floats(1e-9, 0.4))
def test_a_monitors_own_alpha_is_kept_and_changes_no_other(sizes: list[tuple[int, int]], wanted: float, own: float) -> None:
    before = spread(_groups(sizes), days=wanted, pane_s=PANE_S)
    names = {"conformal_numeric:input.x0_0": own, "risk": own / 2.0}
    after = spread(_groups(sizes), days=wanted, pane_s=PANE_S, alphas=names)
    for old, new in zip(before, after, strict=True):
        mine = names.get(f"{new.name}:{new.subject}", names.get(new.name))
        assert new == old if mine is None else new.alpha == mine  # type: ignore[attr-defined]  # those built here have one
        assert mine is None or getattr(new, "delta", 0.0) <= (mine / 2.0 if new.evidence is EValue else 0.01)


@given(sizes=counts, fewer=days, more=days)
def test_more_days_never_make_an_alpha_larger(sizes: list[tuple[int, int]], fewer: float, more: float) -> None:
    low, high = sorted((fewer, more))
    often, seldom = (spread(_groups(sizes), days=wanted, pane_s=PANE_S) for wanted in (low, high))
    assert all(a.alpha >= b.alpha for a, b in zip(often, seldom, strict=True))  # type: ignore[attr-defined]  # those built here have one


@given(sizes=counts, wanted=days, own=days)
def test_a_groups_own_days_are_kept_and_take_nothing_from_the_others(sizes: list[tuple[int, int]], wanted: float, own: float) -> None:
    runs = sizes[0][0]
    found = spread(_groups(sizes, days=own), days=wanted, pane_s=PANE_S)
    without = spread(_groups(sizes), days=wanted, pane_s=PANE_S)
    n = runs + 1 + sizes[0][1]
    assert found[n:] == without[n:]
    assert [d.alpha for d in found[:runs]] == pytest.approx([min(0.5, PANE_S / (own * 86400 * max(1, runs)))] * runs)  # type: ignore[attr-defined]


def _model(**monitored: object) -> ModelSettings:
    return ModelSettings.model_validate(
        {
            "name": "m",
            "task": "text-classification",
            "labels": ["a", "b"],
            "columns": {"text": "text", "age": "numeric", "band": {"kind": "category", "protected": True}},
            "monitors": monitored,
        }
    )


def test_a_model_as_it_is_usually_set_up_keeps_ninety_days() -> None:
    found = monitors(_model(fairness={"by": ["band"]}), has_bound=True)
    assert promised_days(found, pane_s=PANE_S) >= 90.0 * (1.0 - 1e-9)
    betting = {d.name: d.alpha for d in found if d.evidence is EValue}  # type: ignore[attr-defined]  # these have one
    assert betting == {"risk": pytest.approx(0.01), "fairness_gap": pytest.approx(0.01)}


def test_settings_of_a_group_that_were_there_before_the_knob_mean_what_they_meant() -> None:
    model = _model(drift={"mean_days_between_false_alarms": 10}, fairness={"by": ["band"], "alpha": 0.05}, quality=None, performance=None)
    found = monitors(model, has_bound=False)
    drift = [d for d in found if d.evidence is EDetectorValue]
    assert sum(d.alpha for d in drift) == pytest.approx(60 / 864_000)  # type: ignore[attr-defined]
    assert [d.alpha for d in found if d.evidence is EValue] == [0.05]  # type: ignore[attr-defined]


def test_half_the_days_are_twice_the_rate_in_every_group() -> None:
    usual, often = (monitors(_model(mean_days_between_false_alarms=n), has_bound=True) for n in (90, 45))
    pairs = [(a, b) for a, b in zip(usual, often, strict=True) if a.evidence is EDetectorValue]
    assert len(pairs) > 8
    assert all(b.alpha == pytest.approx(2 * a.alpha) for a, b in pairs)  # type: ignore[attr-defined]


def test_check_shows_which_alphas_were_set_by_hand_and_what_became_of_the_whole() -> None:
    model = _model(alphas={"conformal_numeric:input.age": 1e-3, "f1_floor": 2e-5})
    console = Console(width=160, record=True, file=io.StringIO())
    console.print(knob_table(knob_rows(model, has_bound=True)))
    rows = [" ".join(line.split()) for line in console.export_text().splitlines()]
    assert "drift (set by hand) conformal_numeric 1 0.001 one in 1 days" in rows
    assert any(row.startswith("performance (set by hand) f1_floor 2 2e-05 one in 35 days") for row in rows)
    assert any(row.startswith("drift conformal_category") for row in rows)
    found = monitors(model, has_bound=True)
    assert promised_days(found, pane_s=PANE_S) < 0.7
    assert "set by hand says otherwise" in promise(found, model)


def test_more_columns_widen_no_bound_of_labels() -> None:
    """The rows of a reference are many, its labelled ones few: what their bounds may fail by is not shared with every column."""

    def deltas(**columns: str) -> dict[str, float]:
        model = ModelSettings.model_validate({**_model().model_dump(exclude={"columns"}), "columns": columns})
        found = [d for d in monitors(model, has_bound=True) if hasattr(d, "delta") and d.kind is Kind.ALARMS]
        assert 0.9 * DELTAS <= sum(d.delta for d in found) <= DELTAS * (1.0 + 1e-9)
        return {d.name: d.delta for d in found}

    few, many = deltas(x="numeric"), deltas(**{f"x{i}": "numeric" for i in range(60)})
    assert {few[name] for name in ("f1_floor", "risk_change", "calibration_change")} == {DELTA}
    assert many["risk_change"] == many["f1_floor"] == DELTA
    assert many["missing_rise"] < few["missing_rise"] < DELTA
