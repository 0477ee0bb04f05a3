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
from tests.bench.detectors import matched, page, score
from tests.bench.detectors.case import made
from tests.bench.detectors.errors import FLOORS, OURS, answered
from tests.bench.detectors.scenarios import EXCLUSIONS, judged, scenarios
from tests.bench.detectors.score import scored
from tests.bench.environments import ROOT
from tests.prove import results


def test_every_sequential_detector_is_in_a_scenario_or_excluded_with_a_reason() -> None:
    sequential = {name for name in names() if detector_class(name).kind is Kind.ALARMS}
    assert sequential - judged() - set(EXCLUSIONS) == set(), "add it to a scenario's `ours`, or to EXCLUSIONS with the reason"
    assert not judged() & set(EXCLUSIONS)
    assert judged() | set(EXCLUSIONS) <= sequential
    assert all(len(reason) > 20 for reason in EXCLUSIONS.values())


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
