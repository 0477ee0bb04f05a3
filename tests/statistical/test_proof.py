"""The short form of `make prove`: every registered detector in an independent world, judged by the same functions."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from detectors import registry
from tests.prove import page, trials
from tests.prove.followed import LEARNT, certain, followed
from tests.prove.limits import LOG_FLAKE, least_mean_run
from tests.prove.page import PAGE
from tests.prove.remedies import REMEDIES
from tests.prove.run import SHORT, Task, tasks, tried
from tests.prove.verdicts import Row, alarms, coverage, is_sequential
from tests.prove.worlds import WORLDS, world


@pytest.mark.parametrize("name", [name for name in registry.names() if is_sequential(name)])
def test_no_quiet_stream_is_certain_of_a_shift(name: str) -> None:
    """Few streams say nothing of a rate; but at alpha = 1e-11 a single alarm is a fault, whatever the number of streams."""
    slow = {"rows_n": 1200, "panes_n": 40} if name in LEARNT else {}
    for seed in range(1 if slow else 2):
        found = followed(certain(name), "independent", seed, **slow)
        assert found["n"] > 0, f"{name} has said nothing"
        assert found["alarm"] == 0.0, f"{name} alarms in a quiet stream at alpha = 1e-11 (seed {seed})"


@pytest.mark.parametrize("name", [name for name in registry.names() if not is_sequential(name)])
def test_a_one_look_detector_keeps_its_level_and_its_interval(name: str) -> None:
    found: list[dict[str, Any]] = []
    for task in tasks([name], SHORT):
        if task.what.startswith("look/"):
            found = tried(task, SHORT, [])[0]
    assert found
    truth, error = trials.truth(name, "independent", shift=False)
    for row in (alarms(name, "independent", found), coverage(name, "independent", found, truth, error)):
        assert row is None or row.is_kept, row


@pytest.mark.parametrize("n", [4, 40, 1000])
def test_the_limit_of_mean_runs_is_missed_as_rarely_as_stated(n: int) -> None:
    """Exactly, for exponential runs: their sum is a gamma variable."""
    from scipy.stats import gamma

    limit = least_mean_run(n, 50.0)
    chance = float(gamma.logcdf(n * limit / 50.0, n))
    assert LOG_FLAKE - 5.0 < chance <= LOG_FLAKE


def test_the_page_of_validity_names_every_detector() -> None:
    text = PAGE.read_text()
    assert [name for name in registry.names() if f"### {name}\n" not in text] == []


def test_a_part_of_the_page_is_renewed_and_the_rest_stays_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before, copy = PAGE.read_text(), tmp_path / "validity.md"
    copy.write_text(before)
    monkeypatch.setattr(page, "PAGE", copy)
    row = Row("fairness_gap", "independent", "a claim", "7.0", "8.0", 9, is_kept=False)
    page.renew([row, replace(row, what="bursts"), replace(row, what=REMEDIES[0].name)], ["fairness_gap"])
    after = copy.read_text()
    dated = r"^Renewed on [\d-]+\. "
    others = [[re.sub(dated, "", line) for line in text.split("\n")[8:] if "fairness_gap" not in line] for text in (before, after)]
    assert others[0] == others[1]
    assert re.search(dated, after.partition("### fairness_gap\n\n")[2])
    mine = [line for line in after.split("\n") if line.startswith("| fairness_gap |")]
    assert [line.rsplit(" | ", 1)[-1] for line in mine] == ["NO |", "- |", "- |"]
    (counted,) = re.findall(r"(\d+) of (\d+) judgements", after)
    assert int(counted[0]) == int(counted[1]) - 1


def test_what_cannot_fail_is_no_judgement_that_holds() -> None:
    interval = {"n": 9, "low": 0.0, "high": 1.0}
    found = [coverage("accuracy", "independent", [interval] * n, 0.5, 0.0) for n in (4, 400)]
    assert [row.holds for row in found if row is not None] == ["too few", "yes"]
    runs = [alarms("conformal_numeric", "independent", [{"alarm": 1.0, "panes": 60}] * n) for n in (3, 60)]
    assert [row.holds for row in runs] == ["too few", "yes"]
    assert alarms("psi", "independent", [{"alarm": 1.0}] * 400).holds == "-"
    assert alarms("ks", "independent", [{"alarm": 1.0}] * 400).holds == "NO"
    counted = page._counted(page._table([*runs, replace(runs[1], is_kept=False), alarms("psi", "independent", [{"alarm": 1.0}])]))
    assert counted.startswith(
        "1 of 2 judgements inside the assumptions hold; 1 more rest on too few trials to fail, and 1 rows claim nothing"
    )


def test_worlds_outside_the_assumptions_keep_the_rows_and_change_their_order() -> None:
    detector = trials.proven("conformal_numeric")
    rows = trials.rows_of(detector, 3000, 1, world("independent"))
    values = rows.columns["input.age"]
    for where in (w for w in WORLDS if not w.is_inside):
        found = where.order(rows, np.random.default_rng(0)).columns["input.age"]
        neighbours = float(np.corrcoef(found[:-1], found[1:])[0, 1])
        assert neighbours > 0.2, where.name
        assert set(found.tolist()) <= set(values.tolist())
        if where.name != "bursts":
            assert sorted(found.tolist()) == sorted(values.tolist())
    assert Task("ks", "look/independent") in tasks(["ks"])
