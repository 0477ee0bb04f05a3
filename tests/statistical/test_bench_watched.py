"""What rivals watch in the detectors' benchmark is what ours read: the same pairs, losses, groups and faults, pane by pane."""

from __future__ import annotations

import dataclasses
import importlib
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from detectors.losses import losses
from tests.bench.detectors import score
from tests.bench.detectors.case import Scenario, made
from tests.bench.detectors.scenarios import scenarios

LABELS = ("negative", "positive")
GROUPS = ("young", "old")
NOW = datetime(2026, 1, 1, tzinfo=UTC)
CLASSES = {"pairs.predicted": "pair", "pairs.label": "pair", "group.age_band": "pair"}
SCORED = {**CLASSES, "pairs.scores.negative": "pair-number", "pairs.scores.positive": "pair-number"}
NUMBERS = {"pairs.predicted": "pair-number", "pairs.label": "pair-number"}


def _case(draw: Any, kinds: dict[str, str], watched: tuple[str, ...], **sizes: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """(arrays of a case with one quiet stream, what is said about it)."""
    vocabularies = {"pairs.predicted": LABELS, "pairs.label": LABELS, "group.age_band": GROUPS}
    scenario = Scenario(
        id="a-test", says="-", kinds=kinds, draw=draw, ours={}, watched=watched, vocabularies=lambda: vocabularies, null=(1, 2), **sizes
    )
    arrays = made(scenario)
    return arrays, json.loads(str(arrays["about"]))


class Runners:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.syspath_prepend(str(Path(score.__file__).parent / "runners"))
        self.protocol, self.watched, self.ours = (importlib.import_module(name) for name in ("protocol", "watched", "run_retuned"))

    def stream(self, draw: Any, kinds: dict[str, str], *watched: str) -> tuple[Any, Any, dict[str, Any]]:
        """(reference, panes, what is watched) of one drifting stream."""
        arrays, about = _case(draw, kinds, watched, pane_n=40, reference_n=60, drift=(1, 1, 3))
        reference, panes = next(self.protocol.streams(arrays, about, "drift"))
        return reference, panes, self.watched.views(reference, panes, about)


@pytest.fixture
def runners(monkeypatch: pytest.MonkeyPatch) -> Runners:
    return Runners(monkeypatch)


def _classes(rng: np.random.Generator, much: Any) -> dict[str, Any]:
    """A third of the labels is missing; scores are of all records."""
    n = len(much)
    p, label = rng.uniform(size=n), rng.integers(0, 2, n)
    rows = {"pairs.predicted": (p > 0.5).astype(np.int64), "pairs.label": np.where(rng.random(n) < 1 / 3, -1, label)}
    return rows | {"group.age_band": rng.integers(0, 2, n), "pairs.scores.negative": 1.0 - p, "pairs.scores.positive": p}


def test_rivals_watch_the_errors_and_the_log_loss_of_the_pairs_that_ours_read(runners: Runners) -> None:
    reference, panes, seen = runners.stream(_classes, SCORED, "errors", "log loss", "scores")
    assert list(seen) == [" (errors)", " (log loss)", " (scores)"]
    for at, pane in enumerate(panes):
        pairs = runners.ours._pairs(pane, SCORED)
        assert 0 < pairs.n < len(pane["pairs.label"])
        watched = {name: view[1][at][name[2:-1]] for name, view in seen.items()}
        assert runners.protocol.known(watched[" (errors)"]).tolist() == pairs.loss.tolist()
        assert runners.protocol.known(watched[" (log loss)"]) == pytest.approx(losses(pairs, LABELS)["log_loss"])
        columns = runners.ours._increment(pane, SCORED, NOW).columns
        assert watched[" (scores)"].tolist() == columns["output.scores"][:, 1].tolist(), "of all records, labelled or not"
    assert runners.ours._reference(reference, SCORED).bound.n == np.isfinite(seen[" (errors)"][0]["errors"]).sum()


def test_errors_by_group_are_those_of_its_pairs_alone(runners: Runners) -> None:
    _, panes, seen = runners.stream(_classes, SCORED, "errors by age_band")
    pairs, found = runners.ours._pairs(panes[0], SCORED), seen[""][1][0]
    assert list(found) == ["errors of old", "errors of young"]
    for group in GROUPS:
        known = runners.protocol.known(found[f"errors of {group}"])
        assert known.tolist() == pairs.loss[pairs.groups["age_band"] == group].tolist()


def test_numbers_are_watched_by_their_absolute_errors_and_judgements_by_what_they_lack(runners: Runners) -> None:
    def numbers(rng: np.random.Generator, much: Any) -> dict[str, Any]:
        value = rng.normal(size=len(much))
        label = np.where(rng.random(len(much)) < 0.5, np.nan, value + rng.normal(size=len(much)))
        return {"pairs.predicted": value, "pairs.label": label}

    _, panes, seen = runners.stream(numbers, NUMBERS, "absolute errors", "residuals")
    pairs = runners.ours._pairs(panes[0], NUMBERS)
    watched = runners.protocol.known(seen[" (absolute errors)"][1][0]["absolute errors"])
    assert watched == pytest.approx(losses(pairs, ())["absolute_error"])
    assert runners.protocol.known(seen[" (residuals)"][1][0]["residuals"]).min() < 0.0 <= watched.min()

    def judged(rng: np.random.Generator, much: Any) -> dict[str, Any]:
        quality = rng.beta(2.0, 1.0, len(much))
        return {"judge": quality, "pairs.quality": np.where(rng.random(len(much)) < 0.5, np.nan, quality)}

    kinds = {"judge": "numeric", "pairs.quality": "pair-number"}
    _, panes, seen = runners.stream(judged, kinds, "judgements", "columns")
    pairs = runners.ours._pairs(panes[0], kinds)
    assert runners.protocol.known(seen[" (judgements)"][1][0]["judgements"]) == pytest.approx(1.0 - pairs.quality)
    assert pairs.columns["judge"].tolist() == pairs.quality.tolist(), "of the same answers"
    assert len(runners.ours._increment(panes[0], kinds, NOW).columns["judge"]) == 40 > pairs.n


def test_faults_are_counted_alike_on_both_sides(runners: Runners) -> None:
    def faulty(rng: np.random.Generator, much: Any) -> dict[str, Any]:
        is_wrong = rng.random(len(much)) < 0.2
        ids = np.arange(len(much))
        ids[70::10] = 40_000 + ids[::10][: len(ids[70::10])] % 3
        return {"record.id": ids, "x": np.where(is_wrong, np.nan, 1.0), "wrong.x": is_wrong.astype(np.int64)}

    kinds = {"record.id": "key", "x": "numeric", "wrong.x": "fault"}
    reference, panes, seen = runners.stream(faulty, kinds, "ids again", "wrong types", "missing values")
    assert seen[" (ids again)"][0]["ids again"].sum() == 0.0
    increments = [runners.ours._increment(pane, kinds, NOW) for pane in panes]
    assert [one.repeated for one in increments] == [pane["ids again"].sum() for pane in seen[" (ids again)"][1]]
    assert [one.repeated for one in increments] == [0, 4, 4, 4], "three ids were new in the first pane"
    assert all(one.n == len(one.columns["x"]) == one.arrived - one.repeated for one in increments)
    for one, pane, wrong in zip(increments, panes, seen[" (wrong types)"][1], strict=True):
        assert one.wrong == {"x": int(wrong["wrong types"][pane["record.id.again"] == 0.0].sum())}
    assert runners.ours._reference(reference, kinds).sketches["x"]["wrong"].k == seen[" (wrong types)"][0]["wrong types"].sum()
    assert [v["wrong types"].tolist() for v in seen[" (wrong types)"][1]] == [
        v["missing values"].tolist() for v in seen[" (missing values)"][1]
    ]


def test_a_rule_has_a_row_for_each_thing_that_it_can_read_and_one_if_it_reads_the_whole_case(runners: Runners) -> None:
    arrays, about = _case(_classes, SCORED, ("errors", "log loss"), drift=(2, 1, 3))

    def reads(_: Any, panes: Any, found: Any) -> list[float] | None:
        return None if "binary" in found.values() else [float(len(panes))] * len(panes)

    def rows(rule: Any, views: Any) -> dict[str, Any]:
        return dict(runners.protocol._scored(rule, arrays, about, views))

    rule = runners.protocol.Rule(reads, None)
    assert {name: np.shape(parts["drift"]) for name, parts in rows(rule, runners.watched.views).items()} == {" (log loss)": (2, 4)}
    assert list(rows(rule, None)) == [""]


def test_a_value_is_missing_in_whatever_column_it_is(runners: Runners) -> None:
    def holes(rng: np.random.Generator, much: Any) -> dict[str, Any]:
        x, shop = rng.random((2, len(much))) < 0.2
        return {"x": np.where(x, np.nan, 1.0), "group.age_band": np.where(shop, -1, 1), "gone.x": x * 1.0, "gone.shop": shop * 1.0}

    kinds = {"x": "numeric", "group.age_band": "category", "gone.x": "pair-number", "gone.shop": "pair-number"}
    _, panes, seen = runners.stream(holes, kinds, "missing values")
    for pane, found in zip(panes, seen[""][1], strict=True):
        assert found["missing values"].tolist() == np.maximum(pane["gone.x"], pane["gone.shop"]).tolist()
        assert found["missing values"].sum() > pane["gone.x"].sum()


OWN = [name for name, one in scenarios().items() if one.watched and not name.startswith("nannyml")]
"""Those whose rows are made here."""


@pytest.mark.parametrize("name", OWN)
def test_ours_say_something_of_each_pane_by_no_later_one_and_rivals_have_something_to_watch(name: str, runners: Runners) -> None:
    scenario = dataclasses.replace(scenarios()[name], null=(1, 2), drift=(1, 4, 3))
    arrays = made(scenario)
    about = json.loads(str(arrays["about"]))
    reference, panes = next(runners.protocol.streams(arrays, about, "drift"))
    for row, settings in scenario.ours.items():
        whole, part = (runners.ours.Folded(settings)(reference, panes[:n], about["kinds"]) for n in (7, 5))
        assert part == whole[:5], row
        assert whole[6] > runners.protocol.NOTHING, row
    for before, now, kinds in runners.watched.views(reference, panes, about).values():
        for column in kinds:
            assert all(len(runners.protocol.known(rows[column])) for rows in (before, *now)), column
