"""Large panes are built in another process: the same as here, also when it dies, and it outlives nobody."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil
import pyarrow.parquet as pq
import pytest

from daemon.settings import ModelSettings
from daemon.store.builder import LARGE_N, Asked, Builder, _Process
from daemon.store.spooled import Rows, records_of, rows_of
from detectors.sketches.summary import Summary, summary_from_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from daemon.store.building import Built

MODEL = ModelSettings.model_validate(
    {
        "name": "m",
        "task": "text-classification",
        "labels": ["no", "yes"],
        "columns": {"text": "text", "age": "numeric", "band": {"kind": "category", "protected": True}},
    }
)


def rows(n: int) -> Rows:
    lines = []
    for i in range(n):
        inputs: dict[str, Any] = {"text": f"text {i} ünï", "age": i % 50 if i % 10 else None}
        output = {"label": ("yes", "no")[i % 2], "scores": {"yes": 0.75, "no": 0.25}}
        rest = {"id": f"r{i}", "model": "m", "version": "1", "at": f"2026-11-01T00:00:{i % 60:02d}.25Z", "output": output}
        lines.append(json.dumps({**rest, "inputs": inputs, "segments": {"band": ("old", "young", None)[i % 3]}}).encode())
    return rows_of(records_of(b"\n".join(lines)))


@pytest.fixture
def builder(tmp_path: Path) -> Iterator[Builder]:
    found = Builder([MODEL], tmp_path)
    yield found
    found.close()


def processes() -> list[psutil.Process]:
    return [child for child in psutil.Process().children() if "daemon.store.builder" in child.cmdline()]


def one_process() -> psutil.Process:
    (found,) = processes()
    return found


def assert_same(one: Built, other: Built) -> None:
    assert list(one.columns) == list(other.columns)
    for subject, values in one.columns.items():
        np.testing.assert_array_equal(values, other.columns[subject])
        assert values.dtype == other.columns[subject].dtype
    a: Summary = summary_from_bytes(one.summary)
    b: Summary = summary_from_bytes(other.summary)
    assert a["segment.band"] == b["segment.band"]
    assert a["input.age"]["moments"] == b["input.age"]["moments"]
    assert a["input.text"]["quantiles"].n == b["input.text"]["quantiles"].n


def test_a_large_pane_is_built_by_another_process_and_is_the_same_as_built_here(
    builder: Builder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = rows(LARGE_N)
    there = builder.build("m", found, "there.parquet")
    assert one_process().pid != os.getpid()
    monkeypatch.setattr("daemon.store.builder.LARGE_N", LARGE_N + 1)
    builder.close()
    here = builder.build("m", found, "here.parquet")
    assert processes() == []
    assert_same(there, here)
    assert pq.read_table(tmp_path / "there.parquet").equals(pq.read_table(tmp_path / "here.parquet"))


def test_memory_of_a_large_pane_goes_back_to_the_system_once_its_records_are_let_go(builder: Builder) -> None:
    held = [bytes(500) for _ in range(200_000)] + [bytes(50)]  # what is small and last keeps the heap from shrinking by itself
    builder.build("m", rows(LARGE_N), "a.parquet")
    last = held.pop()
    del held
    before = psutil.Process().memory_info().rss
    builder.release()
    freed = before - psutil.Process().memory_info().rss
    assert freed > 50 * 2**20, last
    builder.release()


def test_small_panes_need_no_other_process(builder: Builder) -> None:
    builder.build("m", rows(20), "small.parquet")
    assert processes() == []


def test_when_the_process_dies_its_pane_is_built_all_the_same_and_the_next_one_by_a_new_process(builder: Builder, tmp_path: Path) -> None:
    found = rows(LARGE_N)
    first = builder.build("m", found, "1.parquet")
    lost = one_process()
    lost.send_signal(signal.SIGKILL)
    lost.wait(30)
    assert_same(builder.build("m", found, "2.parquet"), first)
    assert_same(builder.build("m", found, "3.parquet"), first)
    assert one_process().pid != lost.pid
    assert pq.read_table(tmp_path / "2.parquet").equals(pq.read_table(tmp_path / "1.parquet"))


def test_what_cannot_be_written_is_an_error_here_as_well(builder: Builder, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OSError, match="file"):
        builder.build("m", rows(LARGE_N), "file/1.parquet")


def test_the_process_ends_in_silence_when_nobody_reads_its_answer(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    there = _Process([MODEL], ["daemon.store.builder"])
    there.send(Asked("m", str(tmp_path / "1.parquet"), rows(20)))
    assert there._pipe.poll(60)
    there.close()
    assert there._child.returncode == 0
    assert capfd.readouterr().err == ""


_SERVICE = """
import sys, time
from pathlib import Path
from tests.integration.test_builder import MODEL, processes, rows
from daemon.store.builder import LARGE_N, Builder
builder = Builder([MODEL], Path(sys.argv[1]))
builder.build("m", rows(LARGE_N), "1.parquet")
print(processes()[0].pid, flush=True)
time.sleep(600)
"""


def test_panes_that_are_built_behind_each_other_are_the_same_and_the_third_one_waits(builder: Builder, tmp_path: Path) -> None:
    found = rows(LARGE_N)
    first = builder.begin("m", found, "1.parquet")
    second = builder.begin("m", found, "2.parquet")
    third = builder.begin("m", found, "3.parquet")
    assert first.done()
    assert_same(first.result(), second.result())
    assert_same(first.result(), third.result())
    assert pq.read_table(tmp_path / "3.parquet").equals(pq.read_table(tmp_path / "1.parquet"))
    builder.begin("m", rows(20), "4.parquet")
    builder.close()
    assert (tmp_path / "4.parquet").exists()
    assert processes() == []


def test_a_very_large_pane_waits_until_all_before_it_are_built(builder: Builder, monkeypatch: pytest.MonkeyPatch) -> None:
    found = rows(LARGE_N)
    first = builder.begin("m", found, "1.parquet")
    monkeypatch.setattr("daemon.store.builder._AHEAD_BYTES", 1000)
    second = builder.begin("m", found, "2.parquet")
    assert first.done()
    assert_same(first.result(), second.result())


def test_when_the_process_dies_with_two_panes_both_are_built_all_the_same(builder: Builder, tmp_path: Path) -> None:
    found = rows(LARGE_N)
    first = builder.build("m", found, "1.parquet")
    lost = one_process()
    lost.suspend()
    begun = [builder.begin("m", found, f"{k}.parquet") for k in (2, 3)]
    lost.send_signal(signal.SIGKILL)
    begun.append(builder.begin("m", found, "4.parquet"))
    for k, built in enumerate(begun, 2):
        assert_same(built.result(60), first)
        assert pq.read_table(tmp_path / f"{k}.parquet").equals(pq.read_table(tmp_path / "1.parquet"))
    assert one_process().pid != lost.pid


def test_the_process_ends_with_a_service_that_was_killed_even_when_it_cannot_see_that(tmp_path: Path) -> None:
    service = subprocess.Popen(
        [sys.executable, "-c", _SERVICE, str(tmp_path)], stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]
    )
    assert service.stdout is not None
    with service, service.stdout:
        process = psutil.Process(int(service.stdout.readline()))
        process.suspend()  # as in the middle of a long call: its pipe's end is not read
        service.kill()
        service.wait()
        deadline = time.monotonic() + 60
        while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
            assert time.monotonic() < deadline
            time.sleep(0.05)
