"""Reference files as people have them: tables from pandas, classes as figures."""

import json
import math
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from daemon.decide.monitors.segments import watched_values
from daemon.settings import ModelSettings
from daemon.store.asked import groups_of
from daemon.store.columns import Reader
from daemon.store.reference import Bound, load_bound, load_reference
from daemon.store.spooled import records_of, rows_of
from detectors.registry import build
from detectors.types import Increment, Outcome, Pairs, Reference
from retrain.dataset.rows import groups_of as gate_groups
from retrain.dataset.rows import table_of
from retrain.types import Permanent

MODEL = {"name": "m", "task": "tabular-classification", "labels": ["0", "1"], "columns": {"x": "numeric"}}


@pytest.mark.parametrize("kind", [pa.int64(), pa.float64(), pa.string()])
def test_classes_of_a_table_are_those_of_records_whatever_their_type(tmp_path: Path, kind: pa.DataType) -> None:
    said, right = (pa.array(values).cast(kind) for values in ([1, 0, 1], [1, 1, 0]))
    file = tmp_path / "reference.parquet"
    pq.write_table(pa.table({"x": [1.0, 2.0, 3.0], "predicted": said, "label": right}), file)
    found = load_reference(ModelSettings.model_validate(MODEL), file, file)
    assert found.columns["output.label"].tolist() == ["1", "0", "1"]
    assert found.bound.predicted.tolist() == ["1", "0", "1"]
    assert found.bound.label.tolist() == ["1", "1", "0"]


def test_a_flat_table_brings_the_scores_of_every_class(tmp_path: Path) -> None:
    scores = [{"0": 0.2, "1": 0.8}, {"0": 0.9, "1": 0.1}, None]
    file = tmp_path / "reference.parquet"
    pq.write_table(pa.table({"x": [1.0, 2.0, 3.0], "predicted": ["1", "0", "1"], "scores": scores, "label": ["1", "1", "0"]}), file)
    found = load_reference(ModelSettings.model_validate(MODEL), file, file)
    np.testing.assert_array_equal(found.columns["output.score"], [0.8, 0.9, np.nan])
    assert found.bound.scores is not None
    np.testing.assert_array_equal(found.bound.scores, [[0.2, 0.8], [0.9, 0.1], [np.nan, np.nan]])


def test_an_input_may_be_called_scores(tmp_path: Path) -> None:
    file = tmp_path / "reference.parquet"
    pq.write_table(pa.table({"scores": [1.0, 2.0], "predicted": ["1", "0"]}), file)
    found = load_reference(ModelSettings.model_validate({**MODEL, "columns": {"scores": "numeric"}}), file, None)
    assert found.columns["input.scores"].tolist() == [1.0, 2.0]
    assert "output.scores" not in found.columns


CATEGORIES = {"plan": {"kind": "category"}, "band": {"kind": "category", "protected": True}}
CATEGORICAL = {**MODEL, "columns": CATEGORIES, "monitors": {"segments": {"by": ["plan"], "least_n": 20}, "performance": {"metric": "f1"}}}


def sent(model: ModelSettings, values: list[Any]) -> Any:
    """The categories of traffic with these values, as the detectors get them."""
    head = {"id": "r", "model": "m", "version": "1", "at": "2026-11-01T00:00:00Z", "output": {"label": "1"}}
    lines = [json.dumps({**head, "inputs": {"plan": value}, "segments": {"band": value}}).encode() for value in values]
    return Reader(model).frame(rows_of(records_of(b"\n".join(lines))).lines).watched


def alarms_of(reference: Reference, traffic: Any, subject: str) -> list[str]:
    """Which detectors of this category alarm at the first pane of this traffic."""
    start = datetime(2026, 11, 1, tzinfo=UTC)
    columns = {subject: traffic[subject]}
    data = Increment(start=start, end=start + timedelta(minutes=1), columns=columns, pairs=Pairs.empty(), n=len(traffic[subject]))
    built = [build(name, column=subject, alpha=1e-4) for name in ("unseen_category_rise", "conformal_category")]
    return [d.name for d in built if d.step(d.start(reference), data)[1].outcome is Outcome.ALARM]


@pytest.mark.parametrize("in_traffic", [1, 1.0])
@pytest.mark.parametrize("kind", [pa.int64(), pa.float64(), pa.float32(), pa.decimal128(21, 2)])
def test_a_category_that_is_a_figure_is_the_same_with_and_without_a_point(tmp_path: Path, kind: pa.DataType, in_traffic: float) -> None:
    """A table from pandas whose column has gaps holds 1.0 for 1; nothing alarms for that."""
    model, file = ModelSettings.model_validate(CATEGORICAL), tmp_path / "reference.parquet"
    rng = np.random.default_rng(0)
    figures = pa.array(rng.permutation([1, 2, None] * 100).tolist(), pa.int64()).cast(kind)
    pq.write_table(pa.table({"plan": figures, "band": figures, "predicted": [1, 0, 1] * 100, "label": [1.0, None, 0.0] * 100}), file)
    found = load_reference(model, file, file)
    named = {1: "1", 2: "2", None: None}
    assert found.columns["input.plan"].tolist() == [named[v] for v in figures.to_pylist()]
    assert found.columns["segment.band"].tolist() == [named[v] for v in figures.to_pylist()]
    assert set(found.bound.groups["band"].tolist()) == {"1", "2", None}
    assert watched_values(model, found.columns) == {"input.plan": ("1", "2")}
    values = rng.permutation([in_traffic, 2, None] * 50).tolist()
    traffic = sent(model, values)
    for subject in ("input.plan", "segment.band"):
        assert traffic[subject].tolist() == [named[v] for v in values]
    assert groups_of(["band"], {"band": in_traffic}, {}) == {"band": "1"}
    table = table_of([{"id": "r", "text": "t", "inputs": json.dumps({"band": in_traffic})}])
    assert gate_groups(table, ["band"]) == {"band": ["1"]}
    assert alarms_of(found, traffic, "input.plan") == []


def test_a_table_of_another_category_still_alarms(tmp_path: Path) -> None:
    model, file = ModelSettings.model_validate(CATEGORICAL), tmp_path / "reference.parquet"
    figures = pa.array([1.0, 2.0, None] * 100)
    pq.write_table(pa.table({"plan": figures, "band": figures, "predicted": [1] * 300}), file)
    found = alarms_of(load_reference(model, file, None), sent(model, [1.5, 2, None] * 50), "input.plan")
    assert found == ["unseen_category_rise", "conformal_category"]


@pytest.mark.parametrize("texts", [["1.0", "1.10", "1", "01", "1e3"], ["true", "True", "nan", "", "-0.0"]])
def test_a_category_that_is_a_text_stays_as_it_was_written(tmp_path: Path, texts: list[str]) -> None:
    model, file = ModelSettings.model_validate(CATEGORICAL), tmp_path / "reference.parquet"
    pq.write_table(pa.table({"plan": texts, "predicted": ["1"] * 5}), file)
    assert load_reference(model, file, None).columns["input.plan"].tolist() == texts
    assert sent(model, texts)["input.plan"].tolist() == texts


@pytest.mark.parametrize(
    ("value", "read"),
    [
        (True, "True"),
        (2**53 + 1, "9007199254740993"),
        (float(2**53), "9007199254740992"),
        (-(2**63), "-9223372036854775808"),
        (1e300, "1e+300"),
        (-0.0, "0"),
        (0, "0"),
        (1.5, "1.5"),
        (-3.0, "-3"),
    ],
)
def test_figures_of_every_kind_read_alike_in_reference_and_traffic(tmp_path: Path, value: float, read: str) -> None:
    model, file = ModelSettings.model_validate(CATEGORICAL), tmp_path / "reference.jsonl"
    file.write_text(json.dumps({"inputs": {"plan": value, "band": value}, "output": {"label": "1"}, "label": "1"}) + "\n")
    found = load_reference(model, file, file)
    assert [found.columns["input.plan"][0], found.bound.groups["band"][0], sent(model, [value])["input.plan"][0]] == [read] * 3


def test_a_category_that_is_nan_is_missing(tmp_path: Path) -> None:
    model, file = ModelSettings.model_validate(CATEGORICAL), tmp_path / "reference.parquet"
    nothing = pa.array([math.nan, math.nan, 3.0])
    pq.write_table(pa.table({"plan": nothing, "band": [math.nan] * 3, "predicted": nothing, "label": [1, 1, 1]}), file)
    found = load_reference(model, file, file)
    assert found.columns["input.plan"].tolist() == [None, None, "3"]
    assert "segment.band" not in found.columns
    assert found.bound.predicted.tolist() == ["3"]


def test_a_null_among_the_inputs_falls_back_to_the_segments_as_in_traffic(tmp_path: Path) -> None:
    model = ModelSettings.model_validate({**CATEGORICAL, "columns": {**CATEGORIES, "x": "numeric", "text": "text"}})
    given = {"plan": "gold", "band": "30-40", "x": 2.5, "text": "a day"}
    rows: list[dict[str, Any]] = [{"inputs": dict.fromkeys(given), "segments": given}, {"inputs": {}, "segments": given}]
    rows += [{"inputs": given, "segments": dict.fromkeys(given)}, {"inputs": {"x": 2.5}, "segments": {**given, "x": 9}}]
    head = {"id": "r", "model": "m", "version": "1", "at": "2026-11-01T00:00:00Z", "output": {"label": "1"}}
    lines = [json.dumps({**head, **row, "label": "1"}).encode() for row in rows]
    (tmp_path / "nd.jsonl").write_bytes(b"\n".join(lines))
    pq.write_table(pa.Table.from_pylist([json.loads(line) for line in lines]), tmp_path / "nested.parquet")  # a struct has every field
    traffic = Reader(model).frame(rows_of(records_of(b"\n".join(line.replace(b', "label": "1"}', b"}") for line in lines))).lines).watched
    for file in ("nd.jsonl", "nested.parquet"):
        found = load_reference(model, tmp_path / file, tmp_path / file)
        for subject in ("input.plan", "segment.band", "input.x", "input.text"):
            assert found.columns[subject].tolist() == traffic[subject].tolist()
        assert found.columns["input.x"].tolist() == [2.5, 2.5, 2.5, 2.5]
        assert found.columns["segment.band"][0] == "30-40"
        assert found.bound.groups["band"][0] == "30-40"


def test_what_is_no_table_of_records_is_told_as_that(tmp_path: Path) -> None:
    model, file = ModelSettings.model_validate(MODEL), tmp_path / "reference.parquet"
    file.write_bytes(b"PAR1 and nothing else")
    with pytest.raises(Permanent, match="row 1"):
        load_reference(model, file, None)
    file = file.with_suffix(".jsonl")
    file.write_text('{"inputs": {"x": 1}}\n' + "[" * 100_000)
    with pytest.raises(Permanent, match="row 2"):
        load_reference(model, file, None)


def bound_of(folder: Path, rows: list[dict[str, Any]], **model: Any) -> Bound:
    (folder / "bound.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return load_bound(ModelSettings.model_validate({"name": "m", **model}), folder / "bound.jsonl")


def test_what_is_right_may_have_the_name_that_a_posted_label_has_for_it(tmp_path: Path) -> None:
    number = {"inputs": {"x": 1.0}, "output": {"value": 2.0}}
    found = bound_of(tmp_path, [{**number, "value": 5.0}, {**number, "label": 3.0, "value": 9.0}], task="tabular-regression").pairs
    assert found.predicted_value is not None
    assert found.value is not None
    assert (found.predicted_value.tolist(), found.value.tolist()) == ([2.0, 2.0], [5.0, 3.0])
    flat = bound_of(tmp_path, [{"x": 1.0, "value": 2.0, "label": 5.0}], task="tabular-regression").pairs
    assert (flat.predicted_value, flat.value) == ([2.0], [5.0])  # there `value` is the answer
    said = {"inputs": {"x": "a"}, "output": {"text": "b"}}
    judged = [{**said, "score": 4.0}, {**said, "judgement": 1.0, "score": 4.0}, {**said, "label": "b", "score": 2.0}]
    quality = bound_of(tmp_path, judged, task="text-generation", score_range=[0, 4]).pairs.quality
    assert quality is not None
    assert quality.tolist() == [1.0, 0.25, 1.0]


@pytest.mark.parametrize(
    ("task", "row"),
    [
        ("tabular-regression", {"inputs": {}, "output": {"value": 2.0}, "truth": 5.0}),
        ("tabular-regression", {"x": 1.0, "value": 2.0}),
        ("text-generation", {"inputs": {}, "output": {"text": "b"}, "value": 0.5}),
        ("tabular-classification", {"inputs": {}, "output": {"label": "0"}, "value": "0"}),
        ("tabular-classification", {"inputs": {}, "output": {"value": 0.0}, "label": "0"}),
    ],
)
def test_bound_rows_of_which_none_can_be_used_are_refused_wherever_they_are_read(tmp_path: Path, task: str, row: dict[str, Any]) -> None:
    why = f"{tmp_path / 'bound.jsonl'}: none of its 3 rows has both an answer and a label that can be used"
    with pytest.raises(Permanent) as told:
        bound_of(tmp_path, [row] * 3, task=task, labels=["0", "1"])
    assert told.value.detail == why
    with pytest.raises(Permanent) as told:
        load_reference(ModelSettings.model_validate({"name": "m", "task": task}), *[tmp_path / "bound.jsonl"] * 2)
    assert told.value.detail == why


def labelled(*labels: str | None) -> list[dict[str, Any]]:
    return [{"inputs": {"x": 1.0}, "output": {"label": "yes"}, "label": label} for label in labels]


def test_bound_rows_whose_labels_are_of_another_spelling_are_counted_and_refused_when_most_are(tmp_path: Path) -> None:
    model: dict[str, Any] = {"task": "tabular-classification", "labels": ["no", "yes"]}
    assert bound_of(tmp_path, labelled("yes", "no"), **model).notes == ()
    of_others = "2 of 4 bound rows have a label that is none of `labels`, say 'Yes': what the model answers there counts as wrong."
    left_out = "1 of 5 bound rows have no answer or no label that can be used, and are left out."
    assert bound_of(tmp_path, labelled("Yes", "No", "yes", "no", None), **model).notes == (of_others, left_out)
    with pytest.raises(Permanent, match="3 of 4 bound rows have a label that is none of `labels`, say 'Yes'"):
        bound_of(tmp_path, labelled("Yes", "No", "yes", "NO"), **model)
    assert bound_of(tmp_path, labelled("Yes", "No"), task="tabular-classification").notes == ()  # no class is declared
