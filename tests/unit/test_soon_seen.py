"""What `retuned check` says to be seen within a day, kind by kind, and where it says that it is not computed."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from daemon.decide.monitors.all import monitors
from daemon.settings import Settings
from daemon.watched.soon import Soon
from daemon.watched.table import show_watched
from daemon.watched.traffic import Traffic, soon_of
from detectors.types import Kind

BOUND_N = 2000


def settings(folder: Path, **changes: Any) -> Settings:
    """A classifier right in nine of ten; a third of the rows are of the smaller group; bound rows with answer, label and group."""
    rng = np.random.default_rng(1)
    label = np.where(rng.random(BOUND_N) < 0.5, "yes", "no")
    wrong = {"yes": "no", "no": "yes"}
    said = [wrong[x] if rng.random() < 0.1 else x for x in label]
    rows = [
        {"text": "words", "amount": float(x), "band": "old" if x > 0.43 else "young", "predicted": p, "label": str(true)}
        for x, p, true in zip(rng.normal(size=BOUND_N), said, label, strict=True)
    ]
    pq.write_table(pa.Table.from_pylist(rows), folder / "rows.parquet")
    model: dict[str, Any] = {
        "name": "m",
        "task": "text-classification",
        "labels": ["no", "yes"],
        "columns": {"text": "text", "amount": "numeric", "band": {"kind": "category", "protected": True}},
        "reference": {"kind": "file", "path": folder / "rows.parquet", "bound": folder / "rows.parquet"},
        "monitors": {"performance": {"metric": "accuracy", "max_drop": 0.05}, "fairness": {"by": ["band"], "min_n": 20}},
    }
    return Settings.model_validate({"data_dir": folder / "data", "models": [{**model, **changes}]})


def soon(found: Settings, **said: int) -> dict[str, Soon]:
    (model,) = found.models
    alarming = [d for d in monitors(model, has_bound=model.reference.bound is not None) if d.kind is Kind.ALARMS]
    told = soon_of(model, alarming, Traffic(**said))
    assert told is not None
    return {one.detector: one for one in told[1] if not one.subject.startswith("output.")}


def test_every_kind_says_what_it_sees_or_that_this_is_not_computed(tmp_path: Path) -> None:
    found = soon(settings(tmp_path), per_day=5000, labels_per_day=1000)
    assert 0.1 < (found["conformal_numeric"].smallest or 0.0) < 0.3
    band = found["conformal_category"]
    assert band.says.startswith("the share of young rises from 0.6")
    assert 0.67 < (band.smallest or 0.0) < 0.8
    accuracy = found["accuracy_floor"]
    assert 0.7 < (accuracy.smallest or 0.0) < 0.83  # the floor: a lower bound of 0.9, less 0.05
    assert accuracy.says.startswith("it falls to 0.")
    assert 0.15 < (found["risk_change"].smallest or 0.0) < 0.35
    assert 0.15 < (found["fairness_gap"].smallest or 0.0) < 0.5
    assert 0.01 < (found["missing_rise"].smallest or 0.0) < 0.05
    for name in ("text_witness", "risk"):
        assert (found[name].smallest, found[name].says.startswith("not computed: ")) == (None, True)


def test_more_traffic_shows_smaller_changes_and_a_handful_shows_none(tmp_path: Path) -> None:
    less, more = (soon(settings(tmp_path), per_day=n, labels_per_day=n // 5) for n in (2500, 10_000))
    for name in ("conformal_numeric", "conformal_category", "risk_change", "missing_rise"):
        assert (more[name].smallest or 0.0) < (less[name].smallest or 0.0), name
    assert (more["accuracy_floor"].smallest or 0.0) > (less["accuracy_floor"].smallest or 1.0)
    few = soon(settings(tmp_path), per_day=5, labels_per_day=3)
    for name in ("conformal_numeric", "conformal_category", "accuracy_floor", "risk_change", "fairness_gap"):
        assert few[name].smallest is None, name
    assert (few["missing_rise"].smallest or 0.0) > 0.9  # of five records all
    assert few["conformal_numeric"].says == "no shift of a number"
    assert few["accuracy_floor"].says.startswith("no change of it (floor 0.8")


def test_a_tenth_of_the_records_kept_is_a_tenth_of_the_traffic(tmp_path: Path) -> None:
    part = soon(settings(tmp_path, sample_ratio=0.1), per_day=10_000, labels_per_day=1000)
    whole = soon(settings(tmp_path), per_day=1000, labels_per_day=100)
    assert part["conformal_numeric"].smallest == pytest.approx(whole["conformal_numeric"].smallest)
    assert part["accuracy_floor"].says == "not computed: labels weigh unevenly"


def test_what_is_not_known_is_not_made_up(tmp_path: Path) -> None:
    found = soon(settings(tmp_path, reference={}), per_day=5000)
    assert found["conformal_numeric"].smallest is not None  # ranks know no scale
    for name, why in {
        "conformal_category": "no reference row is known",
        "fairness_gap": "how many labels a day brings is not known",
        "missing_rise": "what the reference will have of it is not known",
    }.items():
        assert why in found[name].says
    assert "accuracy_floor" not in found  # without bound rows it has no limit, and is not watched
    without = soon(settings(tmp_path), per_day=5000)
    assert "how many labels a day brings is not known (--labels, --labels-per-day)" in without["accuracy_floor"].says


def test_it_is_shown_in_lines_and_as_data_and_not_at_all_without_traffic(tmp_path: Path) -> None:
    shown = [io.StringIO() for _ in range(3)]
    found, traffic = settings(tmp_path), Traffic(per_day=5000, labels_per_day=1000)
    show_watched(found, tmp_path, Console(file=shown[0], width=200), traffic=traffic)
    assert "seen within a day of 5,000 records and 1,000 labels, in 80% of cases" in shown[0].getvalue()
    show_watched(found, tmp_path, Console(file=shown[1], width=200), traffic=traffic, as_json=True)
    (model,) = json.loads(shown[1].getvalue())["models"]
    assert {"detector", "subject", "says", "smallest"} == set(model["seen_within_a_day"][0])
    show_watched(found, tmp_path, Console(file=shown[2], width=200))
    assert "seen within" not in shown[2].getvalue()


def test_a_rhythm_leaves_out_the_classifier_of_columns_and_names_who_knows_no_hours(tmp_path: Path) -> None:
    (model,) = settings(tmp_path, task="tabular-classification", reference={"rhythm": "hour_of_day"}).models
    names = {d.name for d in monitors(model, has_bound=False)}
    assert ("domain_classifier" in names, "conformal_numeric" in names) == (False, True)
    shown = io.StringIO()
    show_watched(settings(tmp_path, reference={"rhythm": "hour_of_day"}), tmp_path, Console(file=shown, width=200))
    assert "text_witness (input.text) know no rhythm" in shown.getvalue()


def shown(found: Settings) -> str:
    to = io.StringIO()
    show_watched(found, Path("retuned.yaml"), Console(file=to, width=200))
    return " ".join(to.getvalue().split())  # lines are wrapped


def test_hours_that_the_reference_lacks_are_told_before_anything_runs(tmp_path: Path) -> None:
    file = tmp_path / "rows.parquet"
    found = settings(tmp_path, reference={"kind": "file", "path": file, "rhythm": "hour_of_day"})
    assert "have no time (`at`), and reference.rhythm is set: no number or category is watched" in shown(found)
    hours = np.repeat(np.arange(24), [30] * 20 + [5] * 3 + [0])
    rows = [{"text": "words", "amount": 1.0, "band": "old", "at": 3600.0 * int(h)} for h in hours]
    pq.write_table(pa.Table.from_pylist(rows), file)
    told = shown(found)
    assert "4 of 24 (hour of the day) have fewer than 20 reference rows: they are compared with their own first records" in told
    pq.write_table(pa.Table.from_pylist([{**row, "at": 3600.0 * (i % 24)} for i, row in enumerate(rows)]), file)
    assert "hour of the day" not in shown(found)


def test_what_roc_auc_sees_is_said_not_to_be_computed(tmp_path: Path) -> None:
    model = settings(tmp_path, monitors={"performance": {"metric": "roc_auc", "minimum": 0.7}})
    found = soon(model, per_day=5000, labels_per_day=1000)["auc_floor"]
    assert (found.smallest, found.says.startswith("not computed: ")) == (None, True)
