from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from daemon.capture.frames import EntryKind
from daemon.replay import read as read_module
from daemon.replay.read import Line, Recording
from retrain.types import Permanent

if TYPE_CHECKING:
    from pathlib import Path

START = 1_800_000_000.0


def stamp(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat()


def record(i: int, at: float, **more: Any) -> dict[str, Any]:
    base = {"id": f"r{i}", "model": "m", "version": "1", "at": stamp(at), "inputs": {"text": f"text {i}"}, "output": {"label": "a"}}
    return {**base, **more}


def label(i: int, at: float) -> dict[str, Any]:
    return {"id": f"r{i}", "model": "m", "at": stamp(at), "label": "a", "source": "human"}


def write(path: Path, items: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(x) + "\n" for x in items))
    return path


def read(folder: Path, records: list[dict[str, Any]], labels: list[dict[str, Any]] | None = None) -> tuple[list[Line], Recording]:
    work = folder / "work"
    work.mkdir()
    second = write(folder / "labels.jsonl", labels) if labels is not None else None
    recording = Recording(write(folder / "records.jsonl", records), second, models={"m"}, work=work)
    return list(recording.lines()), recording


def ids(lines: list[Line]) -> list[str]:
    return [json.loads(line.payload)["id"] for line in lines]


def test_records_and_labels_come_as_one_stream_by_their_time(tmp_path: Path) -> None:
    lines, _ = read(tmp_path, [record(1, START), record(2, START + 10.0)], [label(1, START + 5.0), label(2, START + 10.0)])
    assert [(line.kind.name, line.at - START) for line in lines] == [("RECORDS", 0), ("LABELS", 5), ("RECORDS", 10), ("LABELS", 10)]
    assert [line.version for line in lines] == ["1", "", "1", ""]


@pytest.mark.parametrize("run_n", [3, 7, 1000])
def test_a_large_file_in_any_order_is_merged_from_disk_without_losing_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run_n: int
) -> None:
    monkeypatch.setattr(read_module, "RUN_N", run_n)
    monkeypatch.setattr(read_module, "FAN_IN", 4)
    order = [(i * 37) % 101 for i in range(101)]
    lines, _ = read(tmp_path, [record(i, START + i) for i in order])
    assert ids(lines) == [f"r{i}" for i in range(101)]
    assert len(list((tmp_path / "work").iterdir())) <= 4 + 1


def test_lines_of_one_instant_keep_the_files_order(tmp_path: Path) -> None:
    lines, _ = read(tmp_path, [record(i, START) for i in (3, 1, 2)])
    assert ids(lines) == ["r3", "r1", "r2"]


def test_bad_lines_are_left_out_counted_by_reason_and_the_first_is_told(tmp_path: Path) -> None:
    bad = [record(1, START), {"id": "x"}, record(2, START, model="other"), record(3, START + 1)]
    lines, recording = read(tmp_path, bad)
    assert ids(lines) == ["r1", "r3"]
    assert sum(recording.skipped.values()) == 2
    assert recording.skipped["records", "unknown_model"] == 1
    assert "records.jsonl, line 1 and on (item 2)" in recording.first_error


@pytest.mark.parametrize("labels", [None, [label(1, START), label(2, START + 5)]])
def test_where_no_record_is_usable_it_says_how_many_were_refused_by_which_rule(tmp_path: Path, labels: list[dict[str, Any]] | None) -> None:
    bad = [record(1, START, model="other"), {"id": "x"}, record(2, START, model="other")]
    with pytest.raises(Permanent) as raised:
        read(tmp_path, bad, labels)
    told = raised.value.detail
    assert (
        "records.jsonl: no usable record: 3 refused (1 missing, 2 unknown_model); the first: records.jsonl, line 1 and on (item 1)" in told
    )
    assert "model is one of: m" in told


def test_an_empty_file_beside_labels_is_told_as_that(tmp_path: Path) -> None:
    with pytest.raises(Permanent, match="no usable record: the file is empty"):
        read(tmp_path, [], [label(1, START)])


def test_a_record_of_the_future_is_no_error_in_a_recording(tmp_path: Path) -> None:
    lines, recording = read(tmp_path, [record(1, START + 10 * 365 * 86400.0)])
    assert (len(lines), recording.skipped.total()) == (1, 0)


def test_a_line_without_end_is_skipped_in_bounded_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read_module, "MAX_LINE_BYTES", 300)
    lines, recording = read(tmp_path, [record(1, START), record(2, START, inputs={"text": "x" * 5000}), record(3, START)])
    assert ids(lines) == ["r1", "r3"]
    assert recording.skipped["records", "too_large"] == 1


def test_blank_lines_are_nothing_and_a_last_line_needs_no_end(tmp_path: Path) -> None:
    file = tmp_path / "records.jsonl"
    file.write_text("\n\n" + json.dumps(record(1, START)) + "\r\n\n" + json.dumps(record(2, START)))
    lines = list(Recording(file, None, models={"m"}, work=tmp_path).lines())
    assert (ids(lines), {line.kind for line in lines}) == (["r1", "r2"], {EntryKind.RECORDS})


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(Permanent, match="No such file"):
        list(Recording(tmp_path / "gone.jsonl", None, models={"m"}, work=tmp_path).lines())
