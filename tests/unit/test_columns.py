"""Records to columns: many at once give what looking up each value by hand gives."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest

from daemon.settings import ModelSettings
from daemon.store.columns import Reader
from daemon.store.log_table import LOG_SCHEMA, log_table
from daemon.store.spooled import Rows, records_of, rows_of
from detectors.as_category import as_category

ODD = 'a "quoted" name'
COLUMNS = {"text": "text", "age": "numeric", "größe": "numeric", "channel": "category", "band": {"kind": "category", "protected": True}}


def model(columns: dict[str, Any], task: str = "text-classification") -> ModelSettings:
    return ModelSettings.model_validate({"name": "m", "task": task, "labels": ["no", "yes"], "columns": columns})


def spooled(items: list[dict[str, Any]]) -> Rows:
    return rows_of(records_of(b"\n".join(json.dumps(item).encode() for item in items)))


def item(i: int, rng: np.random.Generator, names: list[str]) -> dict[str, Any]:
    """A record with values of every kind, some of them missing, some null, some in the segments."""
    kinds: list[Any] = [None, True, i, i / 3, f"value {i % 7}", "12.5", "1.0", "ünïcode", 3.0, -0.0, -(2**63)]
    inputs = {name: kinds[int(rng.integers(len(kinds)))] for name in names if rng.random() < 0.8}
    segments = {name: kinds[int(rng.integers(len(kinds)))] for name in names if rng.random() < 0.3}
    label = ("yes", "no")[i % 2]
    outputs: list[Any] = [{"label": label}, {"label": label, "scores": {"yes": 0.25}}, {"text": "said", "unread": [1]}, {"value": 2}]
    base = {"id": f"r{i}", "model": "m", "version": "1", "at": f"2026-11-01T00:{i // 60 % 60:02d}:{i % 60:02d}Z"}
    return {**base, "inputs": inputs, "segments": segments, "output": outputs[int(rng.integers(len(outputs)))]}


def by_hand(found: dict[str, Any], subject: str) -> Any:
    where, name = subject.split(".", 1)
    output = found["output"]
    if where == "output":
        return output.get("scores", {}).get(output.get("label")) if name == "score" else output.get(name)
    value = found["inputs"].get(name)
    return found["segments"].get(name) if value is None else value


def as_number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return math.nan


def as_text(value: Any) -> str | None:
    return None if value is None else str(value)


@pytest.mark.parametrize("task", ["text-classification", "text-generation", "tabular-regression"])
@pytest.mark.parametrize("extra", [{}, {ODD: "numeric"}])
def test_columns_hold_what_each_record_says_by_itself(task: str, extra: dict[str, Any]) -> None:
    watched = model({**COLUMNS, **extra}, task)
    rng = np.random.default_rng(0)
    items = [item(i, rng, [*watched.columns, "unwatched"]) for i in range(2345)]
    frame = Reader(watched).frame(spooled(items).lines)
    scores = frame.watched.pop("output.scores", None)
    assert list(frame.watched) == list(watched.subjects())
    assert (scores is not None) == (task == "text-classification")
    for row, found in zip([] if scores is None else scores.tolist(), items, strict=scores is not None):
        np.testing.assert_array_equal(row, [0.75, 0.25] if "scores" in found["output"] else [np.nan, np.nan])
    for subject, kind in watched.subjects().items():
        truth = [by_hand(found, subject) for found in items]
        if kind.value == "numeric":
            np.testing.assert_array_equal(frame.watched[subject], np.array([as_number(v) for v in truth]))
        else:
            read = as_category if kind.value == "category" else as_text
            assert frame.watched[subject].tolist() == [read(v) for v in truth]
    assert frame.text is not None
    assert frame.text.tolist() == frame.watched["input.text"].tolist()
    assert frame.predicted.tolist() == [found["output"].get("label") for found in items]


@pytest.mark.parametrize("are_whole", [True, False])
def test_the_log_keeps_inputs_and_segments_as_they_were_sent_and_of_the_output_what_is_read(are_whole: bool) -> None:
    rng = np.random.default_rng(1)
    items = [item(i, rng, list(COLUMNS)) for i in range(9000)]
    items = [found for found in items if "unread" not in found["output"]] if are_whole else items
    rows = spooled(items)
    table = log_table(rows, Reader(model(COLUMNS)).frame(rows.lines), 0.5)
    assert table.schema == LOG_SCHEMA
    assert table["id"].to_pylist() == [found["id"] for found in items]
    assert table["at"].to_pylist() == rows.ats
    assert [json.loads(x) for x in table["inputs"].to_pylist()] == [found["inputs"] for found in items]
    assert [json.loads(x) for x in table["segments"].to_pylist()] == [found["segments"] for found in items]
    kept = [{k: v for k, v in json.loads(x).items() if v is not None} for x in table["output"].to_pylist()]
    assert kept == [{k: v for k, v in found["output"].items() if k != "unread"} for found in items]
    assert set(table["pi"].to_pylist()) == {0.5}
    assert [s is None for s in table["score"].to_pylist()] == [by_hand(found, "output.score") is None for found in items]
