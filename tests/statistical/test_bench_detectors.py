"""The detectors' benchmark: every sequential detector is judged, thresholds match the run length, and the protocol runs."""

from __future__ import annotations

import dataclasses
import importlib
import json
import shutil
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest

from detectors.registry import detector_class, names
from detectors.types import Kind
from tests.bench import environments
from tests.bench.detectors import annotated, matched, page, passes, rivals, score
from tests.bench.detectors.case import made
from tests.bench.detectors.errors import FLOORS, OURS, answered
from tests.bench.detectors.scenarios import judged, scenarios
from tests.bench.detectors.score import Scores, scored
from tests.bench.environments import ROOT
from tests.prove import results


def test_every_detector_that_alarms_is_judged_by_a_scenario() -> None:
    assert judged() == {name for name in names() if detector_class(name).kind is Kind.ALARMS}, "add it to a scenario's `ours`"


def test_the_page_marks_every_rule_that_is_not_matched_at_the_run_length_asked_for() -> None:
    tables = (ROOT / "docs" / "benchmarks-detectors.md").read_text().partition("\n## Every rule\n")[2]
    rows = [line.split(" | ") for line in tables.splitlines() if line.count(" | ") == 10]
    lengths = {(row[0], row[5]) for row in rows if row[5] != "run length"}
    assert len(lengths) > 100
    assert [(rule, length) for rule, length in lengths if "(" not in length and not 100 <= float(length) <= 150] == []


def row_of(name: str, delay: int | list[int], length: int = 100) -> page.Row:
    """A rule with so many panes of delay, in all streams or in turn."""
    null = np.zeros((4, length))
    null[:2, -1] = 1.0
    drift = np.zeros((12, 30))
    for at, one in enumerate(np.resize(delay, 12)):
        drift[at, 9 + one] = 2.0
    return page.Row(name=name, matched=matched.found(null, drift, 10, threshold=1.0), shipped=None, ms=0.0)


def test_beside_each_rule_stands_the_best_of_what_it_watches_and_no_other_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    table = [
        row_of("river quick (log loss)", 1),
        row_of("retuned risk", 3),
        row_of("river slow (errors)", 3),
        row_of("river quick (errors)", 9),
        row_of("river slow (log loss)", 9),
        row_of("frouros loud (errors)", 1, 20),
    ]
    monkeypatch.setattr(rivals, "_LEAST_N", 1)
    text = rivals.section({"auc-falls": table}, lambda t: page.standing(t) if page.best(t, is_ours=False) else None)
    assert "| river quick | 1 | 0 | 0 | 1 |" in text
    assert "| river slow | 1 | 0 | 1 | 0 |" in text
    assert "| river | 1 | 0 | 0 | 1 |" in text
    assert "loud" not in text  # it can not be matched
    assert "| frouros |" not in text


def test_a_difference_is_beyond_chance_where_nearly_every_draw_of_the_streams_has_it() -> None:
    ours = row_of("retuned risk", 3)
    assert page.is_beyond_chance([row_of("river quick", 1), ours])
    assert page.is_beyond_chance([ours, row_of("river slow", 5)])
    assert not page.is_beyond_chance([ours, row_of("river alike", 3)])
    by_luck = [row_of("river lucky", [1, 1, 1, 1, 1, 1, 1, 9, 9, 9, 9, 9]), ours]
    assert page.standing(by_luck) == "longer"
    assert not page.is_beyond_chance(by_luck)
    assert not page.is_beyond_chance([row_of("frouros loud", 1, 20), ours]), "what cannot be matched is no rival"


def test_a_scenario_gives_the_same_streams_every_time_and_a_fresh_reference_for_each() -> None:
    scenario = dataclasses.replace(scenarios()["column-mean-large"], null=(3, 4), drift=(2, 2, 2))
    first, second = made(scenario), made(scenario)
    assert all(np.array_equal(first[name], second[name]) for name in first)
    references = np.concatenate([first["reference/null/x"], first["reference/drift/x"]])
    assert len(np.unique(references[:, 0])) == 5
    before, after = first["stream/drift/x"][:, :200].mean(), first["stream/drift/x"][:, 200:].mean()
    assert abs(before) < 0.2
    assert after > 0.8


def test_the_matched_threshold_gives_the_run_length_that_was_asked_for() -> None:
    null = np.random.default_rng(0).exponential(size=(400, 200))
    threshold = matched.threshold_at(null, 100.0)
    assert threshold == pytest.approx(np.log(100.0), rel=0.05)
    assert 100.0 <= matched.run_length(null, threshold) < 101.0
    assert matched.run_length(null, np.nextafter(threshold, 0.0)) == pytest.approx(100.0, abs=1.0)


def test_a_coarse_rule_says_what_its_next_looser_threshold_does() -> None:
    null = np.full((10, 100), -np.inf)
    null[:, 19], null[0, 9] = 1.0, 2.0
    assert matched.threshold_at(null, 100.0) == 2.0
    assert matched.run_length(null, 2.0) == 10 + 9 * 100
    found = matched.found(null, null, 5, looks=100.0)
    assert (found.run_length, found.looser) == (910.0, pytest.approx((10 + 9 * 20) / 10))
    assert np.isnan(matched.looser_length(null, 1.0)), "its knob ends there"


@pytest.mark.parametrize(("rule", "streams"), [("river ADWIN", 16), ("river HDDM_W", 6)])
def test_rules_that_say_yes_or_no_are_matched_as_nearly_as_those_with_a_statistic(
    rule: str, streams: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(Path(score.__file__).parent / "runners"))
    runner, protocol, watched = (importlib.import_module(name) for name in ("run_river", "protocol", "watched"))
    arrays = made(dataclasses.replace(scenarios()["errors-large"], null=(streams, 100), drift=(1, 1, 1), reference_n=500))
    about = json.loads(str(arrays["about"]))
    quiet = [runner.RULES[rule].scores(*watched.views(*stream, about)[""]) for stream in protocol.streams(arrays, about, "null")]
    assert 100.0 <= matched.run_length(np.array(quiet), matched.threshold_at(np.array(quiet), 100.0)) <= 150.0


def test_streams_without_an_alarm_count_with_all_their_panes() -> None:
    null = np.zeros((10, 50))
    null[0, 9] = 1.0
    assert matched.run_length(null, 1.0) == 10 + 9 * 50
    assert matched.run_length(null, 2.0) == np.inf
    assert matched.threshold_at(np.full((10, 50), -np.inf), 100.0) == np.inf


def test_a_delay_counts_the_alarms_own_pane_and_early_streams_are_left_out() -> None:
    drift = np.zeros((4, 10))
    drift[0, 5], drift[1, 7], drift[2, 1] = 1.0, 1.0, 1.0  # at once, two panes later, before the change, never
    late, early = matched.delays(drift, 1.0, change=5)
    assert late.tolist() == [1.0, 3.0, np.inf]
    assert early == 0.25
    found = matched.found(np.zeros((4, 10)), drift, 5, threshold=1.0)
    assert (found.median, found.mean, found.missed) == (3.0, 3.0, pytest.approx(1 / 3))


def test_a_small_scenario_runs_through_the_protocol(tmp_path: Path) -> None:
    scenario = dataclasses.replace(scenarios()["column-mean-large"], null=(2, 8), drift=(2, 3, 9), reference_n=300)
    scores = scored(scenario, runners=("retuned", "rules"), kept=tmp_path)
    assert scores.null["retuned conformal_numeric"].shape == (2, 8)
    assert scores.drift["retuned conformal_numeric"][:, -1].min() > 2.0 > scores.null["retuned conformal_numeric"].max()
    table = page.rows(scores)
    assert {row.name for row in table} == set(scores.null)
    assert page.best(table, is_ours=True) is not None
    again = scored(scenario, runners=("retuned", "rules"), kept=tmp_path)
    assert again.seconds == scores.seconds, "kept scores are not computed again"


def test_vectors_run_through_the_protocol(tmp_path: Path) -> None:
    scenario = dataclasses.replace(
        scenarios()["embedding-amazon-nyt-half"],
        draw=lambda rng, much: {"vector": rng.normal(size=(len(much), 4)) + 3.0 * much[:, None]},
        null=(2, 6),
        drift=(2, 3, 6),
        reference_n=200,
    )
    scores = scored(scenario, runners=("retuned", "evidently", "rules", "river"), kept=tmp_path)
    assert {name for name in scores.null if not name.startswith("dummy")} == {
        "retuned embedding_witness",
        "Evidently, embedding drift by a model, last 5 panes",
        "Evidently, embedding drift by MMD, last 5 panes",
    }, "who reads no vectors has no row"
    for name in scores.null:
        if not name.startswith("dummy"):
            assert scores.drift[name][:, -1].min() > scores.null[name].max()
    fields = scores.drift["Evidently, embedding drift by MMD, last 5 panes"]
    assert fields[:, 3].min() > fields[:, 2].max(), "in the first pane of the change, not before"


def test_one_pass_in_order_takes_rows_as_they_came_up_to_the_change_and_after_it() -> None:
    raw = {"occupancy": (annotated._occupancy, 238), "run-log": (annotated._runs, 60), "bitcoin": (annotated._bitcoin, 747)}
    raw |= {"apple": (annotated._apple, 957)}
    for scenario in annotated.IN_ORDER:
        name, quiet = scenario.id, (3, 5)
        series, change = raw[name.removeprefix("in-order-")]
        case = made(dataclasses.replace(scenario, null=quiet))
        came = np.concatenate([case["reference/drift/x0"][0], case["stream/drift/x0"][0]])
        first = change - scenario.reference_n - scenario.drift[1] * scenario.pane_n
        assert np.array_equal(came, series()[first : first + len(came), 0].astype(np.float32)), name
        drawn = np.concatenate([case["reference/null/x0"], case["stream/null/x0"]], axis=1)
        assert np.isin(drawn, series()[:change, 0].astype(np.float32)).all(), "nothing from after the change"
        assert not np.array_equal(drawn[0], drawn[1])


def test_the_table_of_passes_says_where_each_rule_alarms_first() -> None:
    quiet, one = np.tile(np.arange(100.0) % 50, (4, 1)), np.zeros((1, 8))
    scores = Scores(change=4, pane_n=10, looks=1)
    for rule, at in (("retuned a", 2), ("b", 5), ("c", None)):
        scores.null[rule], scores.drift[rule], scores.shipped[rule] = quiet, one.copy(), 40.0 if rule == "b" else None
        if at is not None:
            scores.drift[rule][0, at] = 60.0
    lines = passes.section({"in-order-apple": scores}).splitlines()
    assert "| **retuned a** | early, 3 of 4 | 1 of 1 |  |" in lines
    assert "| b | 2 | 0 of 1 | 0 of 1 |" in lines
    assert "| c | missed | 0 of 1 |  |" in lines
    assert passes.section({}) == ""


def _copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Sources that a key is made of, to be changed."""
    for folder in ("detectors", "tests/bench/detectors/runners"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    monkeypatch.setattr(score, "ROOT", tmp_path)
    monkeypatch.setattr(score, "_RUNNERS", tmp_path / "tests/bench/detectors/runners")
    monkeypatch.setattr(results, "ROOT", tmp_path)
    return tmp_path


def test_kept_scores_are_stale_as_soon_as_anything_that_they_come_from_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root, scenario = _copied(tmp_path, monkeypatch), scenarios()["column-mean-large"]
    keys = [score._code("retuned", scenario)]
    for file in ("detectors/sequential/conformal_numeric.py", "detectors/of_reference.py", "detectors/sketches/quantiles.py"):
        with (root / file).open("a") as source:
            source.write("\nCHANGED = 1\n")
        keys.append(score._code("retuned", scenario))
    assert len(set(keys)) == 4
    with (root / "detectors/sequential/risk_change.py").open("a") as source:
        source.write("\nCHANGED = 1\n")
    with (root / "detectors/of_reference.py").open("a") as source:
        source.write("\n# a remark\n")
    assert score._code("retuned", scenario) == keys[-1], "what no row imports, and remarks, change no score"


@pytest.mark.parametrize("rival", score.RIVALS)
def test_kept_scores_of_a_rival_are_stale_with_another_version_of_it(rival: str, monkeypatch: pytest.MonkeyPatch) -> None:
    scenario = scenarios()["column-mean-large"]
    before = score._code(rival, scenario)
    monkeypatch.setattr(environments, "version", lambda name: f"{version(name)}.1")
    monkeypatch.setattr(environments, "_PINS", {name: (f"{name}==99", *pins) for name, pins in environments._PINS.items()})
    assert score._code(rival, scenario) != before


def test_a_rival_with_other_pins_is_installed_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[list[str]] = []
    monkeypatch.setattr(environments, "_RIVALS", tmp_path)
    monkeypatch.setattr(environments.subprocess, "run", lambda command, **_: ran.append(command))
    for pins in (("a==1",), ("a==1",), ("a==2",)):
        monkeypatch.setattr(environments, "_PINS", {"a": pins})
        (tmp_path / "a").mkdir(exist_ok=True)
        environments.python_of("a")
    assert [command[-1] for command in ran if "install" in command] == ["a==1", "a==2"]


def test_equal_streams_share_no_luck(tmp_path: Path) -> None:
    """Where all records are equal, ranks are drawn by the pane's start: were it the same, one unlucky pane would alarm in all of them."""
    scenario = dataclasses.replace(
        scenarios()["errors-large"],
        draw=lambda _rng, much: answered(np.zeros(len(much), dtype=np.bool_), np.ones(len(much), dtype=np.int64)),
        null=(4, 5),
        drift=(3, 2, 3),
        reference_n=50,
    )
    scores = scored(scenario, runners=("retuned",), kept=tmp_path)
    ends = np.concatenate([scores.null["retuned risk_rise"][:, 4], scores.drift["retuned risk_rise"][:, 4]])
    assert len(np.unique(ends)) == 7
    assert np.ptp(scores.null["retuned risk_change"][:, 4]) == 0.0, "nothing is drawn here"


@pytest.mark.parametrize("row", [*OURS, *FLOORS])
def test_a_score_of_ours_depends_on_no_later_pane(row: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(score.__file__).parent / "runners"))
    runner, protocol = importlib.import_module("run_retuned"), importlib.import_module("protocol")
    arrays = made(dataclasses.replace(scenarios()["errors-large"], null=(1, 2), drift=(1, 4, 8)))
    about = json.loads(str(arrays["about"]))
    reference, panes = next(protocol.streams(arrays, about, "drift"))
    whole, part = (runner.Folded({**OURS, **FLOORS}[row])(reference, panes[:n], about["kinds"]) for n in (12, 7))
    assert part == whole[:7]
    assert whole[11] > whole[3]
