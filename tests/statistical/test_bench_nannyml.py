"""NannyML's sets in the detectors' benchmark: which rows are drawn, that labels are late and scores are not, and what is said of them."""

from __future__ import annotations

import importlib
import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import csv

from tests.bench import environments
from tests.bench.detectors import nannyml_rows, nannyml_sets, passes, score
from tests.bench.detectors.case import made
from tests.bench.detectors.nannyml_rows import SETS, Set, read
from tests.bench.detectors.nannyml_sets import LATE_N
from tests.bench.detectors.score import Scores
from tests.bench.estimates.sets import Files

BEFORE_N, AFTER_N = 6_000, 6_000
"""Rows of either period."""
CHANGE = 9_000
FILES = Files(reference="reference.csv", analysis="analysis.csv", targets="targets.csv", truth="truth")
SMALL = {
    "classes": Set(files=FILES, rows=(100, CHANGE, 11_900), rates=(0.1, 0.2), numeric=("row", "x"), category=("shop",)),
    "numbers": Set(
        files=replace(FILES, truth="value", answer="row", scores=()),
        rows=(100, CHANGE, 11_900),
        rates=(0.1, 0.2),
        classes=(),
        numeric=("row",),
    ),
}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A set as NannyML packs them: each row says in its columns, its score and its target which one it is."""
    row = np.arange(1, BEFORE_N + AFTER_N + 1)
    table = pa.table(
        {
            "id": row,
            "row": row,
            "x": pa.array([None if i % 10 == 0 else float(i) for i in row.tolist()]),
            "shop": [("", "west", "east")[i % 3] for i in row.tolist()],
            "y_pred": row % 2,
            "y_pred_proba": row / 20_000.0,
            "truth": (row % 4 == 1).astype(np.int64),
            "value": row + 0.5,
        }
    )
    csv.write_csv(table[:BEFORE_N], tmp_path / "reference.csv")
    csv.write_csv(table[BEFORE_N:].drop_columns(["truth", "value"]), tmp_path / "analysis.csv")
    csv.write_csv(table[BEFORE_N:].select(["id", "truth", "value"]), tmp_path / "targets.csv")
    monkeypatch.setattr(nannyml_rows, "folder", lambda: tmp_path)
    for name, one in SMALL.items():
        monkeypatch.setitem(SETS, name, one)
    read.cache_clear()
    yield tmp_path
    read.cache_clear()


def test_rows_of_a_set_are_its_two_periods_in_their_order_with_the_targets_beside_them(home: Path) -> None:
    found, row = read("classes"), np.arange(101, 11_901)
    assert found.columns["row"].tolist() == row.tolist()
    assert np.isnan(found.columns["x"]).tolist() == (row % 10 == 0).tolist()
    assert found.words == {"shop": ["east", "west"]}
    assert found.columns["shop"].tolist() == [(-1, 1, 0)[i % 3] for i in row.tolist()]
    assert found.answer.tolist() == (row % 2).tolist()
    assert found.truth.tolist() == (row % 4 == 1).astype(int).tolist()
    assert found.scores[:, 1] == pytest.approx(row / 20_000.0)
    assert np.exp(read("numbers").truth) == pytest.approx(row + 0.5)
    targets = csv.read_csv(home / "targets.csv")
    csv.write_csv(targets.take(list(range(AFTER_N))[::-1]), home / "targets.csv")
    read.cache_clear()
    with pytest.raises(ValueError, match="not in the order"):
        read("classes")


def _streams(of: str, places: Any, *, is_scored: bool, **sizes: Any) -> dict[str, Any]:
    scenario = nannyml_sets._of_answers("a-test", of, "-", places, is_scored=is_scored)
    return made(replace(scenario, **{"reference_n": 300, "null": (2, 4), "drift": (2, 8, 8), **sizes}))


@pytest.mark.usefixtures("home")
def test_a_label_comes_five_panes_after_its_record_and_the_score_with_the_record() -> None:
    case = _streams("classes", nannyml_sets.drawn("classes"), is_scored=True)
    pairs, latest = (
        np.hstack([case[f"{part}/drift/{when}pairs.scores.positive"] for part in ("reference", "stream")]) * 20_000.0
        for when in ("", "latest.")
    )
    assert latest[:, :-LATE_N] == pytest.approx(pairs[:, LATE_N:]), "the same records, five panes sooner"
    changed = 300 + 8 * 50
    assert latest[:, :changed].max() <= CHANGE + 0.1
    assert latest[:, changed:].min() > CHANGE
    assert pairs[:, : changed + LATE_N].max() <= CHANGE + 0.1
    assert pairs[:, changed + LATE_N :].min() > CHANGE
    answers = np.hstack([case[f"{part}/drift/pairs.predicted"] for part in ("reference", "stream")])
    assert answers.tolist() == (pairs.round().astype(int) % 2).tolist()


@pytest.mark.usefixtures("home")
def test_a_share_of_the_records_comes_from_after_the_change() -> None:
    case = _streams("numbers", nannyml_sets.drawn("numbers", 0.25), is_scored=False, drift=(2, 8, 48))
    rows = np.exp(case["stream/drift/pairs.predicted"].astype(np.float64))[:, 8 * 50 + LATE_N :].round()
    assert (rows > CHANGE).mean() == pytest.approx(0.25, abs=0.03)


@pytest.mark.usefixtures("home")
def test_one_pass_takes_rows_as_they_came_and_late_answers_five_panes_behind() -> None:
    case = _streams("numbers", nannyml_sets.as_they_came("numbers"), is_scored=False, drift=(1, 8, 8))
    came = np.exp(np.hstack([case["reference/drift/pairs.predicted"][0], case["stream/drift/pairs.predicted"][0]]).astype(np.float64))
    assert came.round().tolist() == list(range(CHANGE + 1 - 700 - LATE_N, CHANGE + 1 - LATE_N + 400))
    quiet = np.exp(case["stream/null/pairs.predicted"].astype(np.float64)).round()
    assert quiet.max() <= CHANGE
    assert len(np.unique(quiet)) > 350, "drawn anew"
    columns = made(replace(nannyml_sets._of_columns("a-test", "classes", "-", nannyml_sets.as_they_came("classes")), drift=(1, 2, 2)))
    came = np.hstack([columns["reference/drift/row"][0], columns["stream/drift/row"][0]])
    assert came.tolist() == list(range(CHANGE + 1 - 1_200, CHANGE + 1 + 200))


@pytest.mark.usefixtures("home")
def test_what_needs_no_label_reads_the_scores_of_the_records_that_came(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(score.__file__).parent / "runners"))
    protocol, watched, ours = (importlib.import_module(name) for name in ("protocol", "watched", "run_retuned"))
    case = _streams("classes", nannyml_sets.as_they_came("classes"), is_scored=True, drift=(1, 8, 8))
    about = json.loads(str(case["about"])) | {"watched": ["scores", "log loss"]}
    reference, panes = next(protocol.streams(case, about, "drift"))
    increment = ours._increment(panes[8], about["kinds"], datetime(2026, 1, 1, tzinfo=UTC))
    first = CHANGE + 1 + np.arange(50)
    assert increment.columns["output.scores"][:, 1] * 20_000.0 == pytest.approx(first)
    assert increment.columns["output.label"].tolist() == [("negative", "positive")[i % 2] for i in first.tolist()]
    assert increment.pairs.scores[:, 1] * 20_000.0 == pytest.approx(first - LATE_N)
    assert increment.pairs.predicted.tolist() == [("negative", "positive")[i % 2] for i in (first - LATE_N).tolist()]
    seen = watched.views(reference, panes, about)
    assert seen[" (scores)"][1][8]["scores"] * 20_000.0 == pytest.approx(first)
    p = (first - LATE_N) / 20_000.0
    assert seen[" (log loss)"][1][8]["log loss"] == pytest.approx(-np.log(np.where((first - LATE_N) % 4 == 1, p, 1.0 - p)), rel=1e-4)


def test_the_tables_of_passes_keep_series_and_sets_apart_and_count_early_alarms_of_both_sides() -> None:
    quiet = np.tile(np.arange(100.0) % 50, (4, 1))

    def scores(change: int, alarms: dict[str, int | None]) -> Scores:
        found = Scores(change=change, pane_n=50, looks=1)
        for rule, at in alarms.items():
            found.null[rule], found.drift[rule], found.shipped[rule] = quiet, np.zeros((1, change + 9)), None
            if at is not None:
                found.drift[rule][0, at] = 60.0
        return found

    text = passes.section(
        {
            "in-order-cards": scores(20, {"retuned a": 2, "b": 25}),
            "in-order-cards-late": scores(40, {"retuned a": 47, "retuned c": None, "b": 3, "d": 39}),
            "in-order-apple": scores(4, {"retuned a": 1}),
        }
    )
    assert text.count("## Real series") == 1
    series, sets = text.split("NannyML's sets with a change")
    assert "| **retuned a** | early, 2 of 4 | 1 of 1 |  |" in series.splitlines()
    lines = sets.splitlines()
    assert "| rule | `in-order-cards` | `in-order-cards-late` | early, matched | early, as shipped |" in lines
    assert "| **retuned a** | early, 3 of 20 | 8 | 1 of 2 |  |" in lines
    assert "| **retuned c** |  | missed | 0 of 1 |  |" in lines
    assert "| d |  | early, 40 of 40 | 1 of 1 |  |" in lines
    said = " ".join(sets.split())
    assert "1 of 3 passes of ours alarm before the change and 2 of 3 of the rivals'" in said
    assert "18% of those of columns would and 33% of those of answers" in said


@pytest.mark.skipif(not (environments._RIVALS / "nannyml" / ".ready").exists(), reason="NannyML is not installed (make bench-detectors)")
@pytest.mark.parametrize("name", SETS)
def test_the_error_rates_that_the_page_tells_are_those_of_the_rows(name: str) -> None:
    one, found = SETS[name], read(name)
    wrong = found.answer != found.truth if one.classes else np.abs(found.answer - found.truth)
    assert len(wrong) == one.before_n + one.after_n
    assert (wrong[: one.before_n].mean(), wrong[one.before_n :].mean()) == pytest.approx(one.rates, abs=0.0006)
